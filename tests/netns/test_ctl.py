# SPDX-License-Identifier: GPL-2.0-or-later
"""xctctl shows, filters and changes the table; the control socket stands up to
whatever is sent to it.
"""

import contextlib
import json
import random
import re
import shutil
import socket
import struct
import subprocess

import pytest

import entries
from lab import (CLIENT, SERVER, SERVER6, WAN, XCTCTL, connect, ping,
                 wait_for)
from twin import Twin

KERNEL = [
    "-t nat -A POSTROUTING -o wan0 -p tcp -j MASQUERADE",
    "-t nat -A PREROUTING -p tcp -d 192.0.2.1 --dport 8000 -j DNAT "
    "--to-destination 192.0.2.2:7000",
    "-t mangle -A FORWARD -p udp -m conntrack --ctstate NEW -j CONNMARK "
    "--set-mark 7",
]
POLICY = """
nat:
  - {out: wan0, proto: tcp, family: ipv4, masquerade: yes}
  - {proto: tcp, dst: 192.0.2.1, dport: 8000, dnat: "192.0.2.2:7000"}
filter:
  forward:
    rules:
      - {proto: udp, family: ipv4, mark: 7}
"""


def traffic(lab):
    """One flow of every kind; yields once all are there."""
    with contextlib.ExitStack() as stack:
        keep = stack.enter_context
        for dst, dport, addr in ((SERVER, 7000, SERVER), (WAN, 8000, SERVER),
                                 (SERVER6, 7000, SERVER6)):
            with lab.server.listen(addr, 7000) as listener:
                keep(connect(lab.client, dst, dport, None, 5000 + dport % 7))
                keep(listener.accept()[0])
        udp = keep(lab.client.udp_socket(CLIENT, 6000))
        silent = keep(lab.server.udp_socket(SERVER, 53))
        udp.sendto(b"unanswered", (SERVER, 53))
        silent.recvfrom(99)
        assert ping(lab.client, SERVER, args=("-e", "77"))
        assert ping(lab.client, SERVER6, args=("-e", "78"))
        yield "all there"


@pytest.fixture(scope="module")
def twin(make_module_lab):
    made = Twin(make_module_lab, KERNEL, POLICY, routed=True)
    running = [traffic(lab) for lab in made.labs]
    for script in running:
        next(script)
    made.same("the flows of the fixture")
    yield made
    for script in running:
        script.close()


# What to ask, and how many of the six flows it should find.
FILTERS = [
    ("", 6), ("-f ipv4", 4), ("-f ipv6", 2), ("-p tcp", 3), ("-p udp", 1),
    ("-p icmp", 1), ("-p icmpv6 -f ipv6", 1), ("-s 10.0.0.2", 4),
    ("-s 10.0.0.0/24", 4), ("-s 10.1.0.0/16", 0), ("-d 192.0.2.1", 1),
    ("-d 192.0.2.2", 3), ("-d 192.0.2.0/24 -p tcp", 2), ("-r 192.0.2.2", 4),
    ("-q 192.0.2.1", 2), ("-q 10.0.0.2", 2), ("-s fd00:a::2", 2),
    ("-s fd00:a::/64", 2), ("--orig-src 10.0.0.2 --orig-dst 192.0.2.1", 1),
    ("--reply-src 192.0.2.2 --reply-dst 192.0.2.1", 2),
    ("-p tcp --dport 8000", 1), ("-p tcp --orig-port-dst 7000", 2),
    ("-p tcp --reply-port-src 7000", 3), ("-p udp --sport 6000", 1),
    ("-p udp --reply-port-dst 6000", 1), ("-p tcp --sport 1", 0),
    ("-p tcp --state ESTABLISHED", 3), ("-p tcp --state SYN_SENT", 0),
    ("-n", 2), ("--src-nat", 2), ("-g", 1), ("--dst-nat", 1), ("-j", 2),
    ("--any-nat", 2), ("-n 192.0.2.1", 2), ("-n 192.0.2.9", 0),
    ("-g 192.0.2.2", 1), ("-m 7", 1), ("-m 0", 5), ("--mark 3/3", 1),
    ("-u ASSURED", 3), ("-u SEEN_REPLY", 5), ("--status ASSURED -p udp", 0),
    ("-p icmp --icmp-type 8", 1), ("-p icmp --icmp-id 77", 1),
    ("-p icmp --icmp-id 78", 0),
]

# Asked for anything translated, conntrack(8) also lists an untranslated ping:
# it compares what would be ports. There only the count above is checked.
ANY_TRANSLATION = {"-n", "--src-nat", "-g", "--dst-nat", "-j", "--any-nat"}


@pytest.mark.parametrize("filters, count", FILTERS,
                         ids=[row[0] or "(none)" for row in FILTERS])
@pytest.mark.parametrize("command", ["list", "-L"])
def test_filters_find_what_conntrack_finds(twin, command, filters, count):
    ours = twin.xctd.ctl(command, *filters.split(), check=False)
    found = {entries.key(e) for e in entries.parse(ours.stdout)}
    assert len(found) == count, ours.stderr
    kernel = twin.kernel.run("-L", *filters.split())
    if filters in ANY_TRANSLATION:
        return
    assert found == {entries.key(e) for e in entries.parse(kernel.stdout)}
    if command == "-L":
        assert ours.returncode == kernel.returncode
        assert summary(ours) == summary(kernel)


def summary(done):
    """conntrack's closing line on stderr, but for the program's name."""
    return re.sub(r"^.*?: ", "", done.stderr.strip().splitlines()[-1])


@pytest.mark.parametrize("arguments", [
    "-L -p nonsense", "-L --state NOSUCH -p tcp", "-L -s 300.1.2.3",
    "-L --sport 80", "-L -f ipx", "-L --nonsense", "-Q", "-L -m x",
    "-L -p tcp --dport 70000"])
def test_bad_options_are_usage_errors(twin, arguments):
    done = twin.xctd.ctl(*arguments.split(), check=False)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr


def test_count(twin):
    assert twin.xctd.ctl("count").stdout.strip() == "6"
    assert twin.xctd.ctl("-C").stdout == twin.kernel.run("-C").stdout


def test_get_one_entry(twin):
    args = f"-p udp -s {CLIENT} -d {SERVER} --sport 6000 --dport 53".split()
    kernel = twin.kernel.run("-G", *args)
    for command in "get", "-G":
        ours = twin.xctd.ctl(command, *args)
        assert [entries.key(e) for e in entries.parse(ours.stdout)] == \
            [entries.key(e) for e in entries.parse(kernel.stdout)]
    args[args.index("6000")] = "6001"
    assert twin.kernel.run("-G", *args).returncode == 1
    for command in "get", "-G":
        assert twin.xctd.ctl(command, *args, check=False).returncode == 1


def test_statistics(twin):
    assert "found=" in twin.xctd.ctl("-S").stdout
    assert twin.xctd.ctl("stats").stdout
    assert twin.xctd.ctl("status").stdout
    assert twin.xctd.ctl("rules").stdout
    assert "NFQUEUE" in twin.xctd.ctl("hooks").stdout
    for command in "stats", "status", "rules":
        json.loads(twin.xctd.ctl(command, "-o", "json").stdout)


def test_list_as_json(twin):
    text = twin.xctd.ctl("list", "-o", "json").stdout
    listed = json.loads(text)
    flows = listed if isinstance(listed, list) else \
        next(v for v in listed.values() if isinstance(v, list))
    assert len(flows) == 6
    assert "192.0.2.2" in text and "ESTABLISHED" in text


def test_version():
    for option in "version", "-V", "--version":
        done = subprocess.run([XCTCTL, option], capture_output=True, text=True)
        assert done.returncode == 0 and re.search(r"\d+\.\d+", done.stdout)


def test_no_daemon_is_exit_3(tmp_path):
    done = subprocess.run([XCTCTL, "-s", str(tmp_path / "none"), "list"],
                          capture_output=True, text=True)
    assert done.returncode == 3 and "none" in done.stderr


def flows(lab, n):
    """@n unanswered UDP flows, from one socket to as many ports."""
    lab.server.run("iptables", "-A", "INPUT", "-p", "udp", "-j", "DROP")
    with lab.client.udp_socket(CLIENT, 9999) as sock:
        for i in range(n):
            sock.sendto(b"x", (SERVER, 10000 + i))
            if i % 200 == 199:
                wait_for(lambda: int(lab.xctd.ctl("count").stdout) > i,
                         "flows tracked")
    wait_for(lambda: int(lab.xctd.ctl("count").stdout) == n, "flows tracked")


@pytest.mark.parametrize("command", ["delete", "-D"])
def test_delete_what_matches(routed, command):
    xctd = routed.start_xctd("{}\n")
    flows(routed, 10)
    done = xctd.ctl(command, "-p", "udp", "--dport", "10003")
    (deleted,) = entries.parse(done.stdout)
    assert deleted["orig"]["dport"] == 10003
    assert "1 flow entries have been deleted" in done.stderr
    assert len(xctd.list()) == 9
    again = xctd.ctl(command, "-p", "udp", "--dport", "10003", check=False)
    assert again.returncode == 1
    assert len(xctd.list()) == 9


@pytest.mark.parametrize("command", ["flush", "-F"])
def test_flush(routed, command):
    xctd = routed.start_xctd("{}\n")
    flows(routed, 10)
    xctd.ctl(command)
    assert xctd.list() == []


def as_nobody(lab, gid, *command):
    """Run a copy of xctctl (the tree may be closed to others)."""
    copy = lab.dir / "xctctl"
    shutil.copy(XCTCTL, copy)
    return subprocess.run(
        ["setpriv", "--reuid=65534", f"--regid={gid}", "--clear-groups", copy,
         "-s", lab.xctd.sock, *command], capture_output=True, text=True)


def test_a_group_may_read_but_not_change(routed):
    xctd = routed.start_xctd("settings: {control: {group: users}}\n")
    flows(routed, 3)
    reading = as_nobody(routed, 100, "list")
    assert reading.returncode == 0, reading.stderr
    assert len(entries.parse(reading.stdout)) == 3
    for change in (["flush"], ["delete", "-p", "udp"], ["reload"]):
        denied = as_nobody(routed, 100, *change)
        assert denied.returncode == 1 and denied.stderr
    assert len(xctd.list()) == 3
    assert as_nobody(routed, 65534, "list").returncode == 3


FRAME = struct.Struct("=IIHH")
MAGIC = 0x58435404
LIST, RSP_END = 1, 67


def dial(xctd):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(5)

    def connected():
        try:
            sock.connect(xctd.sock)
        except BlockingIOError:  # its backlog is full for now
            return False
        return True
    wait_for(connected, "a connection to the control socket")
    return sock


BAD_FRAMES = {
    "wrong magic": FRAME.pack(0x12345678, 0, LIST, 0),
    "wrong version": FRAME.pack(MAGIC + 1, 0, LIST, 0),
    "unknown type": FRAME.pack(MAGIC, 0, 999, 0),
    "an answer": FRAME.pack(MAGIC, 0, RSP_END, 0),
    "too long": FRAME.pack(MAGIC, 0xffffffff, LIST, 0),
    "text": b"GET / HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("garbage", BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
def test_a_bad_frame_ends_the_connection(routed, garbage):
    xctd = routed.start_xctd("{}\n")
    with dial(xctd) as sock:
        sock.sendall(garbage)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(99) == b""
    assert ping(routed.client, SERVER)
    assert xctd.ctl("count").stdout.strip() == "1"


def test_random_bytes_do_not_matter(routed):
    xctd = routed.start_xctd("{}\n")
    chance = random.Random(1)
    for _ in range(300):
        with dial(xctd) as sock:
            noise = chance.randbytes(chance.randrange(1, 300))
            if chance.random() < 0.7:  # a good head, or the start of one
                head = FRAME.pack(MAGIC, chance.randrange(5000),
                                  chance.randrange(1, 12),
                                  chance.randrange(2))
                noise = head[:chance.randrange(1, 13)] + noise
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(noise)
    assert xctd.is_alive()
    assert ping(routed.client, SERVER)
    assert xctd.ctl("status").returncode == 0


def test_a_dump_that_is_not_read_stalls_nobody(routed):
    xctd = routed.start_xctd("{}\n")
    flows(routed, 5000)
    with subprocess.Popen([XCTCTL, "-s", xctd.sock, "list"],
                          stdout=subprocess.PIPE, text=True) as reader:
        first = reader.stdout.readline()  # it has begun; now leave it alone
        assert ping(routed.client, SERVER, count=20)
        assert len(xctd.list("-p", "icmp")) == 1  # others are served
        assert reader.poll() is None
        rest = reader.stdout.read()
    assert reader.returncode == 0
    assert len(entries.parse(first + rest)) >= 5000
