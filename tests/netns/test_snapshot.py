# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections outlive a stop, a reboot, and a move from and to the kernel."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import signal
import socket
import stat
import struct
import subprocess

import pytest

import entries
from lab import (CLIENT, SERVER, WAN, XCTCTL, XCTD, assert_nothing_left,
                 connect, wait_for)
from test_survive import lost, pings
from test_systemd import machine

SIOCOUTQ = 0x5411
NAT = "nat: [{out: wan0, masquerade: yes}]\n"


def policy(path):
    return f"settings: {{snapshot: {path}}}\n{NAT}"


class Connection:
    """A TCP connection through the router, with both ends in hand."""

    def __init__(self, lab, port=7):
        self.listener = lab.server.listen(SERVER, port)
        self.client = connect(lab.client, SERVER, port)
        self.server, self.seen_as = self.listener.accept()
        for end in self.client, self.server:
            end.settimeout(5)
        self.talk()

    def talk(self):
        """The server speaks first: only a known flow leads to the client."""
        for sender, receiver in ((self.server, self.client),
                                 (self.client, self.server)):
            sender.sendall(b"x" * 3000)
            assert receiver.recv(3000, socket.MSG_WAITALL) == b"x" * 3000
        self.rest()

    def rest(self):
        """Until nothing of it is under way."""
        for end in self.client, self.server:
            wait_for(lambda end=end: fcntl.ioctl(
                end, SIOCOUTQ, struct.pack("i", 0)) == bytes(4), "an ACK")

    def close(self):
        for end in self.client, self.server, self.listener:
            end.close()


def table(xctd, *filters):
    """What is listed, without what passes by itself."""
    return sorted(re.sub(r"^(\w+ +\d+) \d+", r"\1", line)
                  for line in xctd.ctl("list", "-o", "id", *filters)
                  .stdout.splitlines())


def restart(lab, xctd):
    xctd.stop()
    assert_nothing_left(lab.router)
    return lab.start_xctd(xctd.config.read_text())


def snapshots(xctd):
    return xctd.json("stats")["snapshots"]


def test_connections_go_on_after_a_stop_and_a_start(lab):
    path = lab.dir / "flows"
    xctd = lab.start_xctd(policy(path))
    connection = Connection(lab)
    peers = lab.echo(lab.server, SERVER, 53)
    udp = lab.client.udp_socket(CLIENT, 5353)
    udp.settimeout(5)
    udp.sendto(b"x", (SERVER, 53))
    assert udp.recv(10) == b"x"
    before = table(xctd)
    assert len(before) == 2 and WAN in before[0]
    for _ in range(2):
        xctd = restart(lab, xctd)
        assert table(xctd) == before
        assert not path.exists(), "of the past, yet there"
        assert "2 flows restored" in xctd.messages()
        connection.talk()
        udp.sendto(b"y", (SERVER, 53))
        assert udp.recv(10) == b"y"
        before = table(xctd)
    assert len(set(peers)) == 1
    assert [p.name for p in lab.dir.glob("flows*")] == []
    connection.close()
    udp.close()


def test_save_and_load_by_hand(lab):
    xctd = lab.start_xctd(NAT)
    connection = Connection(lab)
    path = lab.dir / "snap"
    before = table(xctd)
    done = xctd.ctl("save", str(path))
    assert done.stderr.endswith("1 flow entries have been saved.\n")
    again = xctd.ctl("load", str(path)).stderr.splitlines()
    assert again[0].endswith("0 flow entries have been loaded.")
    assert again[1].endswith("not loaded: 1 whose tuples a flow has already")
    xctd.ctl("flush")
    # Through a pipe, as from another router.
    done = subprocess.run([XCTCTL, "-s", xctd.sock, "load", "-"],
                          stdin=path.open("rb"), capture_output=True,
                          text=True, check=True)
    assert done.stderr.endswith("1 flow entries have been loaded.\n")
    # That number has been given: it gets another.
    assert [re.sub(r"id=\d+", "", line) for line in table(xctd)] == \
        [re.sub(r"id=\d+", "", line) for line in before]
    connection.talk()
    done = subprocess.run([XCTCTL, "-s", xctd.sock, "save", "-"],
                          capture_output=True, check=True)
    assert len(done.stdout) == path.stat().st_size
    counters = snapshots(xctd)
    assert (counters["written"], counters["failed"]) == (2, 0)
    assert (counters["loaded"], counters["exists"]) == (1, 1)
    connection.close()


DAMAGE = {
    "nothing": (lambda data: b"", "it is no snapshot"),
    "its end": (lambda data: data[:-1], "length is not what it says"),
    "a flow": (lambda data: data[:24] + data[24 + 232:],
               "length is not what it says"),
    "a bit": (lambda data: data[:100] + bytes([data[100] ^ 4]) + data[101:],
              "its checksum is wrong"),
    "its version": (lambda data: data[:8] + b"\x63" + data[9:],
                    "it is of another version of xct"),
    "the format": (lambda data: b"-A -t 40 -s 1.1.1.1 -d 2.2.2.2 -p udp\n",
                   "it is no snapshot"),
}


@pytest.fixture(name="saved")
def saved_(make_module_lab):
    """A file that is good, an xctd to load it, and one without."""
    lab = make_module_lab()
    xctd = lab.start_xctd(policy(lab.dir / "flows"))
    connection = Connection(lab)
    xctd.ctl("save", str(lab.dir / "good"))
    connection.close()
    return lab


@pytest.mark.parametrize("change, why", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_refused_whole(saved, change, why):
    lab, xctd = saved, saved.xctd
    bad = lab.dir / "flows"
    bad.write_bytes(change((lab.dir / "good").read_bytes()))
    xctd.ctl("flush")
    done = xctd.ctl("load", str(bad), check=False)
    assert done.returncode == 1
    assert f"cannot load {bad}: " in done.stderr and why in done.stderr
    assert xctd.list() == []
    # At a start: said, put aside, and started without.
    content = bad.read_bytes()
    xctd.stop()
    bad.write_bytes(content)
    xctd = lab.start_xctd(xctd.config.read_text())
    assert xctd.list() == []
    assert why in xctd.messages()
    assert snapshots(xctd)["damaged"] == 1
    assert not bad.exists()
    aside = lab.dir / "flows.damaged"
    assert aside.read_bytes() == content
    aside.unlink()


def test_what_is_no_file_is_left_alone(lab):
    pipe, null = lab.dir / "pipe", lab.dir / "null"
    os.mkfifo(pipe)
    os.mknod(null, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    for path in pipe, null:
        xctd = lab.start_xctd(policy(path))
        assert f"{path}: it is no regular file" in xctd.messages()
        stop_that_fails(lab, xctd)
        assert f"{path}: cannot save the flows" in xctd.messages()
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_ISCHR(null.stat().st_mode)


@pytest.fixture(name="disk")
def disk_(lab):
    """A directory that is a small file system."""
    path = lab.dir / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path],
                   check=True)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def make_flows(lab, xctd, n):
    """@n flows of UDP datagrams that nobody answers."""
    socks = [lab.client.udp_socket(CLIENT) for _ in range(500)]

    def send(some):
        for i in some:
            socks[i % 500].sendto(b"", (SERVER, 10000 + i // 500))
        return int(xctd.ctl("count").stdout) >= some.stop

    for first in range(0, n, 2000):  # less than the queue holds
        some = range(first, min(first + 2000, n))
        wait_for(lambda some=some: send(some), "flows", 30)
    for sock in socks:
        sock.close()


def stop_that_fails(lab, xctd):
    """It is a whole one, but for the snapshot; the exit code says so."""
    xctd.process.terminate()
    assert xctd.process.wait(15) == 1
    assert_nothing_left(lab.router)
    assert not os.path.exists(xctd.sock)
    lab.xctd = None


@pytest.mark.parametrize("why", ["full", "ro"])
def test_a_disk_that_cannot_take_it_keeps_the_old_snapshot(lab, disk, why):
    path = disk / "flows"
    xctd = lab.start_xctd(policy(path))
    xctd.ctl("save", str(path))
    old = path.read_bytes()
    make_flows(lab, xctd, 500)
    if why == "ro":
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    done = xctd.ctl("save", str(path), check=False)
    assert done.returncode == 1
    message = {"full": "No space left on device",
               "ro": "Read-only file system"}[why]
    assert f"cannot save to {path}: {message}" in done.stderr
    assert os.listdir(disk) == ["flows"] and path.read_bytes() == old
    assert snapshots(xctd)["failed"] == 1
    assert f"a client could not save the flows: {message}" in xctd.messages()
    stop_that_fails(lab, xctd)
    assert os.listdir(disk) == ["flows"] and path.read_bytes() == old
    assert f"cannot save the flows, they are lost: {message}" in \
        xctd.messages()


def has_open(process, directory):
    with contextlib.suppress(OSError):  # closed, or gone, meanwhile
        return any(os.readlink(fd).startswith(f"{directory}/") for fd in
                   pathlib.Path(f"/proc/{process.pid}/fd").iterdir())
    return False


def in_the_middle(xctd, path, environ):
    """An xctctl that is stopped while it writes, as what it has open shows."""
    while True:
        saving = subprocess.Popen([XCTCTL, "-s", xctd.sock, "save", path],
                                  env={**os.environ, **environ},
                                  stderr=subprocess.DEVNULL)
        wait_for(lambda: saving.poll() is not None or
                 has_open(saving, path.parent), "a file")
        saving.send_signal(signal.SIGSTOP)
        wait_for(lambda: saving.poll() is not None or pathlib.Path(
            f"/proc/{saving.pid}/stat").read_text().split()[2] == "T", "a stop")
        if saving.poll() is None and not path.exists():
            return saving
        saving.send_signal(signal.SIGCONT)
        saving.wait(5)
        path.unlink()


@pytest.mark.parametrize("environ, how, left", [
    ({}, signal.SIGKILL, 0), ({}, signal.SIGTERM, 0),
    ({"XCT_NO_TMPFILE": "1"}, signal.SIGTERM, 0),
    ({"XCT_NO_TMPFILE": "1"}, signal.SIGKILL, 1)],
    ids=["killed", "ended", "ended, named file", "killed, named file"])
def test_a_save_that_is_interrupted_leaves_nothing(lab, preload, environ, how,
                                                   left):
    xctd = lab.start_xctd(
        "settings: {timeouts: {udp: {unreplied: 600}}}\n" + NAT)
    make_flows(lab, xctd, 10_000)
    disk = lab.dir / "disk"
    disk.mkdir()
    if environ:  # as on a file system that has no files without a name
        environ = {**environ, **preload}
    saving = in_the_middle(xctd, disk / "snap", environ)
    saving.send_signal(how)
    saving.send_signal(signal.SIGCONT)
    assert saving.wait(5) == -how
    assert len(os.listdir(disk)) == left
    subprocess.run([XCTCTL, "-s", xctd.sock, "save", disk / "snap"],
                   env={**os.environ, **environ}, check=True)
    assert len(os.listdir(disk)) == 1 + left


def test_what_is_no_file_is_not_replaced_by_one(lab):
    xctd = lab.start_xctd(NAT)
    done = xctd.ctl("save", "/dev/null", check=False)
    assert done.returncode == 1 and "no regular file" in done.stderr


def test_without_a_daemon_nothing_is_written():
    """Whatever is wrong besides, that comes first."""
    for path in "-", "/nonexistent/x":
        done = subprocess.run([XCTCTL, "-s", "/nonexistent", "save", path],
                              capture_output=True, check=False)
        assert done.returncode == 3 and done.stdout == b""
        assert b"is xctd running?" in done.stderr


def test_a_hundred_thousand_flows_while_packets_pass(lab):
    xctd = lab.start_xctd(
        "settings: {timeouts: {udp: {unreplied: 600}}}\n" + NAT)
    make_flows(lab, xctd, 100_000)
    path = lab.dir / "snap"
    ping = pings(lab.client, 300, 0.01)
    wait_for(lambda: xctd.list("-p", "icmp"), "the flow")
    xctd.ctl("save", str(path))
    assert path.stat().st_size >= 100_000 * 232
    xctd.ctl("flush")
    done = xctd.ctl("load", str(path))
    loaded = int(re.search(r"(\d+) flow entries", done.stderr)[1])
    assert loaded >= 100_000
    assert lost(ping.communicate(timeout=20)[0]) == 0


def test_an_interface_that_comes_later_is_waited_for(lab):
    """As at a boot, where xctd is there before the network."""
    xctd = lab.start_xctd(policy(lab.dir / "flows"))
    kept, gone = Connection(lab, 7), Connection(lab, 8)
    xctd.stop()
    lab.router.ip("link set wan0 down", "link set wan0 name wan9")
    xctd = lab.start_xctd(xctd.config.read_text())
    assert len(xctd.list("-p", "tcp")) == 2
    # It could be saved again: the name is not lost.
    xctd = restart(lab, xctd)
    assert len(xctd.list("-p", "tcp")) == 2
    lab.router.ip("link set wan9 name wan0", "link set wan0 up")
    kept.talk()
    gone.talk()
    # From now on it is theirs again. That takes xctd some seconds.
    wait_for(lambda: "no restored flow waits" in xctd.messages(), "the flows", 20)
    lab.router.ip(f"addr del {WAN}/24 dev wan0")
    wait_for(lambda: not xctd.list("-p", "tcp"), "the flows to end")
    kept.close()
    gone.close()


def test_another_address_ends_what_waited_for_the_old_one(lab):
    xctd = lab.start_xctd(policy(lab.dir / "flows"))
    connection = Connection(lab)
    xctd.stop()
    lab.router.ip(f"addr del {WAN}/24 dev wan0")
    xctd = lab.start_xctd(xctd.config.read_text())
    assert len(xctd.list("-p", "tcp")) == 1
    lab.router.ip("addr add 192.0.2.9/24 dev wan0")
    wait_for(lambda: not xctd.list("-p", "tcp"), "the flow to end", 20)
    connection.close()


# ------------------------------------------------------ from and to the kernel

SIZE = 6_000_000


def download(lab):
    """A TCP download that takes some seconds."""
    root = lab.dir / "www"
    root.mkdir()
    data = os.urandom(SIZE)
    (root / "file").write_bytes(data)
    lab.nginx(lab.server, 80, root=root, rate=SIZE // 4)
    curl = lab.client.start("curl", "-sS", "--max-time", "40",
                            f"http://{SERVER}/file", stdout=subprocess.PIPE)
    return curl, hashlib.sha256(data).digest()


def arrived(curl, digest):
    got = curl.communicate(timeout=60)[0]
    return len(got) == SIZE and hashlib.sha256(got).digest() == digest


def test_a_download_moves_from_the_kernel_to_xct(lab):
    router = lab.router
    router.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-p", "tcp",
               "-o", "wan0", "-j", "MASQUERADE", "--to-ports", "40000-50000")
    curl, digest = download(lab)

    def saved():
        return router.run("conntrack", "-L", "-p", "tcp", "--state",
                          "ESTABLISHED", "-o", "save").stdout
    wait_for(saved, "the connection")
    xctd = lab.start_xctd("hooks: manual\n" + NAT)
    xctd.ctl("load-entries", "-", input=saved())
    entry, = xctd.list("-p", "tcp")
    assert entry["reply"]["dst"] == WAN
    # The same flows, now with hooks.
    xctd.write("filter: {invalid: drop}\n" + NAT)
    log = open(xctd.log, "ab")
    new = router.start(XCTD, "--takeover", "-c", str(xctd.config), "-s",
                       xctd.sock, stderr=log, stdin=subprocess.DEVNULL)
    log.close()
    assert xctd.process.wait(10) == 0
    xctd.process = new
    wait_for(lambda: "\nready" in xctd.messages().split("leaving")[-1]
             or "ready: " in xctd.messages().split("leaving")[-1], "it")
    router.run("iptables", "-t", "nat", "-F")
    router.run("conntrack", "-F")
    assert arrived(curl, digest)
    moved, = xctd.list("-p", "tcp")
    assert moved["reply"]["dport"] == entry["reply"]["dport"]
    assert moved["orig"]["packets"] > 100
    assert xctd.json("stats")["class"]["INVALID"] == 0


def test_a_download_moves_from_xct_to_the_kernel(lab):
    router = lab.router
    xctd = lab.start_xctd(
        f"nat: [{{out: wan0, proto: tcp, snat: \"{WAN}:40000-50000\"}}]\n")
    router.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "wan0",
               "-j", "MASQUERADE")
    curl, digest = download(lab)
    entry, = wait_for(lambda: xctd.list("-p", "tcp", "--state",
                                        "ESTABLISHED"), "the connection")
    router.sysctl(net__netfilter__nf_conntrack_tcp_be_liberal=1)
    saved = xctd.ctl("list", "-o", "save").stdout
    router.run("conntrack", "-R", "-", input=saved)
    xctd.stop()
    assert arrived(curl, digest)
    moved, = entries.parse(router.run("conntrack", "-L", "-p",
                                      "tcp").stdout)
    assert moved["reply"]["dport"] == entry["reply"]["dport"]


# ------------------------------------------------------------------- systemd

def test_systemd_keeps_flows_over_a_stop_and_a_start():
    machine("""
    cat > /etc/xct/rules.yaml <<'END'
settings: {snapshot: /var/lib/xct/flows}
nat: [{out: near0, masquerade: yes}]
END
    say a stop and a start
    systemctl start xctd
    ping -c 3 -i 0.1 -W 2 192.0.2.2
    xctctl list -o id | sed 's/^icmp *1 [0-9]* //' > /tmp/before
    grep -q 'packets=3' /tmp/before
    systemctl stop xctd
    test -s /var/lib/xct/flows
    systemctl start xctd
    xctctl list -o id | sed 's/^icmp *1 [0-9]* //' > /tmp/after
    cmp /tmp/before /tmp/after
    test ! -e /var/lib/xct/flows

    say a restart needs none
    systemctl restart xctd
    test ! -e /var/lib/xct/flows
    xctctl list | grep -q packets=3
    said > /tmp/log
    test "$(grep -c 'flows saved' /tmp/log)" = 1 # at the stop
    test ! -e /run/xct/restart

    say an address that goes while nobody looks
    mkdir -p /etc/systemd/system/xctd.service.d
    printf '[Service]\\nRestartSec=1\\n' \
        > /etc/systemd/system/xctd.service.d/test.conf
    systemctl daemon-reload
    pid=$(systemctl show -p MainPID --value xctd)
    kill -KILL $pid
    ip addr del 192.0.2.1/24 dev near0
    ip addr add 192.0.2.7/24 dev near0
    while [ "$(systemctl show -p MainPID --value xctd)" = "$pid" ] ||
        ! xctctl status > /dev/null 2>&1; do
        sleep 0.05
    done
    test "$(xctctl list -s 192.0.2.1 | wc -l)" = 0
    said | grep '1 of addresses that are gone'
    systemctl stop xctd
    said > /tmp/log
    test "$(grep -c 'flows saved' /tmp/log)" = 2
    """)


def test_systemd_shows_a_stop_that_could_not_save():
    machine("""
    echo 'settings: {snapshot: /var/lib/xct/missing/flows}' \
        > /etc/xct/rules.yaml
    systemctl start xctd
    ping -c 1 -W 2 192.0.2.2
    systemctl stop xctd
    test "$(systemctl is-failed xctd)" = failed
    systemctl status xctd > /tmp/status || :
    cat /tmp/status
    grep 'Status: "the flows are lost: cannot save them to .*missing/flows: No' \
        /tmp/status
    say it is a stop like others
    expect_failure sh -c 'iptables-save | grep XCT'
    test ! -e /run/xct/lives
    systemctl start xctd
    test "$(systemctl is-active xctd)" = active
    xctctl status | grep 'starts: 1$'
    """)
