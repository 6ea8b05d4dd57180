# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong around xctd, and what must not go wrong because of it."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest

import entries
from lab import (BUILD, ROOT, SERVER, WAN, XCTCTL, XCTD, assert_nothing_left,
                 hooks_left, is_dropped, ping, wait_for)
from test_snapshot import Connection
from test_survive import take_over
from test_systemd import INSTALL, machine

FAULTS = ROOT / "tests/faults"
sys.path.insert(0, str(FAULTS))

import adopt  # noqa: E402 (needs the path above)
import faults  # noqa: E402
from fdstore import Store  # noqa: E402

LIGHT = ["--rate", "50M", "--megabytes", "20"]
IP_MTU_DISCOVER = 10
POLICY = "nat: [{out: wan0, masquerade: yes}]\n"


@pytest.fixture(name="store")
def make_store(lab):
    made = []

    def make(policy=POLICY, environ=None, lives=()):
        made.append(Store(lab, lab.router, policy, environ, lives))
        return made[-1]
    yield make
    for each in made:
        assert each.close(), each.messages()


def test_random_deaths_under_traffic_lose_nothing():
    summary = faults.run(["--kills", "20", *LIGHT])
    assert summary["faults"] == [], summary


def test_the_watchdog_and_systemd_lose_nothing():
    driver = [sys.executable, FAULTS / "faults.py", "--systemd", "--kills",
              "6", *LIGHT]
    done = subprocess.run(
        [ROOT / "tests/systemd/boot.sh", INSTALL, "env",
         f"PATH={os.environ['PATH']}", f"XCT_BUILD={BUILD}", *driver],
        capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("lives", [
    ["before"], ["after"], ["before", "read", "read"],
    ["before", "before", "read", "after", "before", "read", "after"]])
def test_packets_count_once_whenever_xctd_dies(lab, store, preload, lives):
    peers = lab.echo(lab.server, SERVER, 7)
    xctd = store()
    # Without an IP id (PMTUDISC_DO) all are the same, and one packet can be
    # taken for another.
    sock = lab.client.udp_socket("0.0.0.0", 4000)
    sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 2)

    def send(count):
        for _ in range(count):
            sock.sendto(b"x" * 64, (SERVER, 7))

    def receive(count):
        for _ in range(count):
            sock.recv(100)

    send(1)
    receive(1)
    xctd.lives = [{**preload, "XCT_DIE": how} for how in lives]
    starts = xctd.starts
    xctd.kill(9)
    send(20)
    wait_for(lambda: xctd.starts == starts + len(lives) + 1, "all deaths")
    receive(20)
    xctd.await_ready()
    send(20)
    receive(20)
    total = 1 + 20 + 20
    assert len(peers) == total
    sock.settimeout(0.1)
    with pytest.raises(socket.timeout):
        sock.recv(100)
    entry, = entries.parse(xctd.ctl("list", "-p", "udp"))
    assert entry["orig"]["packets"] == entry["reply"]["packets"] == total
    assert entry["orig"]["bytes"] == entry["reply"]["bytes"] == total * 92


FILTER = """
filter:
  forward:
    default: drop
    rules: [{proto: icmp, accept: yes}]
"""


@pytest.mark.parametrize("command", [
    "iptables -t mangle -F", "iptables -t mangle -F XCT-POST",
    "iptables -t mangle -D POSTROUTING -j XCT-POST",
    "iptables -t raw -F XCT-RAW", "ip6tables -t mangle -D XCT-IN 1",
    "echo '*mangle\nCOMMIT' | iptables-restore"])
def test_hooks_that_another_program_removes_are_put_back(routed, command):
    xctd = routed.start_xctd(POLICY + FILTER)
    assert is_dropped(routed.client, SERVER, 80)
    before = hooks_left(routed.router)
    routed.router.run("sh", "-c", command)
    assert hooks_left(routed.router) != before
    wait_for(lambda: xctd.json("stats")["hooks_restored"] == 1,
             "hooks put back", 5)
    assert sorted(hooks_left(routed.router)) == sorted(before)
    assert is_dropped(routed.client, SERVER, 80)
    assert "another program has removed hooks" in xctd.messages()


def test_rules_of_others_are_no_reason_to_look(routed):
    xctd = routed.start_xctd("settings: {accounting: yes}\n")
    run = routed.router.run
    run("iptables", "-t", "mangle", "-N", "OTHER")
    for _ in range(3):
        run("iptables", "-t", "mangle", "-A", "OTHER", "-j", "RETURN")
        run("iptables", "-t", "mangle", "-D", "OTHER", "1")
        run("iptables", "-t", "filter", "-A", "INPUT", "-j", "RETURN")
        run("iptables", "-t", "filter", "-F", "INPUT")
    assert xctd.json("stats")["hooks_restored"] == 0
    xctd.ctl("reload")
    assert xctd.json("stats")["hooks_restored"] == 0


def test_a_chain_that_another_program_names_is_all_that_stays(routed):
    xctd = routed.start_xctd(FILTER)
    run = routed.router.run
    run("iptables", "-t", "mangle", "-N", "OTHER")
    run("iptables", "-t", "mangle", "-A", "OTHER", "-j", "XCT-IN")
    routed.xctd = None  # which would ask for a clean stop
    xctd.process.terminate()
    assert xctd.process.wait(15) == 1
    assert hooks_left(routed.router).splitlines() == [
        ":XCT-IN - [0:0]", "-A OTHER -j XCT-IN"]
    assert "cannot remove the hooks" in xctd.messages()


def test_packets_that_a_deleted_base_chain_takes_are_counted(routed):
    """Whatever waits in a queue is dropped by the kernel; nothing else is."""
    xctd = routed.start_xctd(POLICY)

    def security(*args, check=True):
        return routed.router.run("iptables", "-t", "security", *args,
                                 check=check).returncode

    def make_chain():
        security("-A", "FORWARD", "-j", "RETURN")
        security("-F")
    make_chain()
    if security("-X", "FORWARD", check=False):
        pytest.skip("this iptables cannot delete a base chain")
    make_chain()
    pause(xctd)
    sock = routed.client.udp_socket("0.0.0.0")
    for _ in range(50):
        sock.sendto(b"x", (SERVER, 9))
    # Besides, hosts announce their multicast groups when they like.
    wait_for(lambda: faults.waiting(routed.router)[0] >= 50, "waiting packets")
    security("-X", "FORWARD")
    # The kernel does that a moment later.
    wait_for(lambda: faults.waiting(routed.router)[0] < 50, "the kernel")
    resume(xctd)
    wait_for(lambda: sum(q["vanished"] for q in xctd.json("stats")["queues"])
             >= 50, "the count of what vanished")
    assert ping(routed.client, SERVER, 3)
    assert sum(q["errors"] for q in xctd.json("stats")["queues"]) == 0


def pause(xctd):
    """Nobody reads the queues from here on."""
    xctd.process.send_signal(signal.SIGSTOP)
    status = f"/proc/{xctd.process.pid}/stat"
    wait_for(lambda: pathlib.Path(status).read_text().split()[2] == "T",
             "SIGSTOP")


def resume(xctd):
    xctd.process.send_signal(signal.SIGCONT)


def test_a_full_queue_drops_counts_and_goes_on(routed):
    xctd = routed.start_xctd("settings: {queue: {length: 64, workers: 1}}\n")
    pause(xctd)
    sock = routed.client.udp_socket("0.0.0.0")
    for _ in range(200):
        sock.sendto(b"x", (SERVER, 9))
    wait_for(lambda: faults.waiting(routed.router)[1] == 200 - 64,
             "the queue to overflow")
    resume(xctd)
    queue, = wait_for(lambda: [q for q in xctd.json("stats")["queues"]
                               if q["verdicts"] >= 64], "verdicts")
    assert queue["dropped_kernel"] == 200 - 64
    assert queue["received"] >= 64
    assert ping(routed.client, SERVER, 3)
    assert xctd.is_alive()
    assert faults.waiting(routed.router)[0] == 0


def test_a_socket_without_room_is_no_error(routed):
    """ENOBUFS: large packets fill the socket before the queue."""
    xctd = routed.start_xctd(
        "settings: {queue: {length: 200000, workers: 1}}\n")
    pause(xctd)
    sock = routed.client.udp_socket("0.0.0.0")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
    sent = 0
    while faults.waiting(routed.router)[2] < 100:
        for _ in range(500):
            sock.sendto(b"x" * 1400, (SERVER, 9))
        sent += 500
        assert sent < 200_000
    drops = faults.waiting(routed.router)[2]
    resume(xctd)
    wait_for(lambda: faults.waiting(routed.router)[0] == 0, "an empty queue")
    assert ping(routed.client, SERVER, 3)
    queue, = xctd.json("stats")["queues"]
    assert queue["dropped_user"] == queue["overruns"]
    assert queue["overruns"] >= drops  # answers may have found no room either
    assert queue["errors"] == 0
    assert xctd.is_alive()


def what_xctctl_sends(path, *args):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with subprocess.Popen([XCTCTL, "-s", path, *args],
                              stderr=subprocess.DEVNULL):
            conn = listener.accept()[0]
            conn.settimeout(5)
            request = conn.recv(4096)
            conn.close()
    return request


def test_clients_that_never_read_bother_nobody_else(routed):
    request = what_xctctl_sends(routed.dir / "fake.sock", "list")
    xctd = routed.start_xctd(POLICY)
    lines = "".join(f"-A -p udp -s 10.1.{i >> 8}.{i & 255} -d 192.0.2.2 "
                    "--sport 1 --dport 1 -t 600\n" for i in range(4000))
    xctd.ctl("load-entries", "-", input=lines)
    fds, rss = faults.usage(xctd.process.pid)
    pings = routed.client.start("ping", "-q", "-i", "0.005", "-c", "800",
                                SERVER, stdout=subprocess.PIPE, text=True)
    clients = []
    for i in range(300):
        client = socket.socket(socket.AF_UNIX)
        client.connect(xctd.sock)
        client.settimeout(5)
        clients.append(client)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send(request if i % 2 else request[:7])
    # They are served their second; then one of them makes room.
    wait_for(lambda: xctd.ctl("status", check=False).returncode == 0,
             "an answer", 5)
    for command in "count", "stats", "rules":
        xctd.ctl(command)
    stats = xctd.json("stats")
    assert stats["clients_dropped"] > 0 and stats["clients_refused"] > 0
    now_fds, now_rss = faults.usage(xctd.process.pid)
    assert now_fds - fds <= 64
    assert now_rss - rss <= 64 * 256
    for client in clients:
        client.close()
    assert " 0% packet loss" in pings.communicate(timeout=20)[0]
    wait_for(lambda: faults.usage(xctd.process.pid)[0] <= fds,
             "the end of their descriptors")


def test_short_memory_is_said_with_what_is_needed(lab):
    config = lab.dir / "large.yaml"
    config.write_text("settings: {table-size: 4000000}\n")
    done = lab.router.run("prlimit", "--as=600000000", XCTD, "-c", config, "-s",
                          lab.dir / "large.sock", check=False)
    assert done.returncode == 1
    assert '"table-size: 4000000" needs ' in done.stderr
    assert re.search(r"needs 12\d\d MB", done.stderr)
    assert_nothing_left(lab.router)  # as before


@pytest.fixture(name="cgroup")
def make_cgroup():
    """A cgroup that can limit memory: its directory, and the limit's file."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        names, path = line.split(":", 2)[1:]
        for root, limit in (("memory", "memory.limit_in_bytes"),
                            ("", "memory.max")):
            made = pathlib.Path("/sys/fs/cgroup", root, path.lstrip("/"),
                                f"xct-{os.getpid()}")
            if root not in names.split(",") or not made.parent.is_dir():
                continue
            made.mkdir()
            is_limit = (made / limit).exists()
            if is_limit:
                (made / "inside").mkdir()
                yield made, limit
                (made / "inside").rmdir()
            made.rmdir()
            if is_limit:
                return
    pytest.skip("no cgroup can be made that limits memory")


def test_a_cgroup_too_small_for_the_table_is_said_at_the_start(cgroup, lab):
    made, name = cgroup  # lasts longer than what is in it
    config, sock = lab.dir / "cgroup.yaml", str(lab.dir / "cgroup.sock")
    config.write_text("settings: {table-size: 100000}\n")
    inside = made / "inside"  # the limit is that of one further up

    def start(limit):
        (made / name).write_text(str(limit << 20))
        return lab.router.start(
            "sh", "-c", f"echo $$ > {inside}/cgroup.procs; exec \"$@\"", "sh",
            XCTD, "-c", config, "-s", sock, stderr=subprocess.PIPE, text=True)
    refused = start(20)
    said = refused.communicate(timeout=20)[1]
    assert refused.returncode == 1, said
    assert f"allows 20 MB ({made}/{name})" in said and "MemoryMax=" in said
    assert_nothing_left(lab.router)
    needs = int(re.search(r'"table-size: 100000" needs (\d+) MB', said)[1])
    assert start(needs - 1).wait(20) == 1
    # That much is enough, also for a table that is full.
    xctd = start(needs)
    wait_for(lambda: subprocess.run([XCTCTL, "-s", sock, "status"],
                                    capture_output=True).returncode == 0,
             "xctd on its socket")
    adopt.fill(sock, 100_000)
    assert subprocess.run([XCTCTL, "-s", sock, "count"], capture_output=True,
                          text=True).stdout == "100000\n"
    xctd.terminate()
    xctd.communicate(timeout=20)
    assert xctd.returncode == 0


@pytest.mark.parametrize("seconds", [400_000_000, -400_000_000])
def test_a_wall_clock_that_jumps_moves_no_timer(lab, store, preload, seconds):
    lab.server.ip("route add 10.0.0.0/24 via 192.0.2.1")
    xctd = store()
    assert ping(lab.client, SERVER)
    before, = xctd.flows()
    xctd.lives = [{**preload, "XCT_REALTIME": str(seconds)}]
    xctd.kill(9)
    xctd.await_ready()
    after, = xctd.flows()
    assert 0 <= before["timeout"] - after["timeout"] <= 10
    assert 0 <= after["age_ms"] - before["age_ms"] <= 10_000
    # What is shown is by the wall clock.
    assert abs(after["start_ms"] - before["start_ms"] - seconds * 1000) < 5000
    assert ping(lab.client, SERVER, 3)


def test_a_wall_clock_that_is_set_is_counted(lab, store, preload):
    shift = lab.dir / "shift"
    shift.write_text("0")
    xctd = store(environ={**preload, "XCT_REALTIME": str(shift)})
    assert xctd.stats()["clock_jumps"] == 0
    for jumps, seconds in enumerate((5000, -5000), 1):
        # In one step: a file that is empty for a moment would be a jump.
        (lab.dir / "next").write_text(str(seconds))
        os.rename(lab.dir / "next", shift)
        wait_for(lambda jumps=jumps: xctd.stats()["clock_jumps"] == jumps,
                 "the jump")
    for seconds in "+5000", "-10000":
        assert f"the wall clock has been set by {seconds} s" in xctd.messages()


def test_manual_hooks_stay_away_when_no_flow_needs_them(lab, store, preload):
    shift = lab.dir / "shift"
    shift.write_text("0")
    xctd = store("hooks: manual\n",
                 environ={**preload, "XCT_MONOTONIC": str(shift)})

    def ctl(*args):
        return subprocess.run([XCTCTL, "-s", xctd.sock, *args], check=True,
                              capture_output=True, text=True).stdout
    ctl("create", "-p", "udp", "-s", "10.0.0.9", "-d", SERVER, "--sport", "1",
        "--dport", "2", "--src-nat", WAN, "-t", "30")
    assert "--dst-type LOCAL" in ctl("hooks", "ipv4")
    # In one step, as in the test above.
    (lab.dir / "next").write_text("3600")
    os.rename(lab.dir / "next", shift)
    # With its end comes a look at what hooks are for.
    wait_for(lambda: xctd.stats()["expired"] == 1, "its end")
    assert "--dst-type LOCAL" not in ctl("hooks", "ipv4")
    assert hooks_left(lab.router) == ""


def test_a_snapshot_of_the_future_keeps_the_time_of_its_flows(lab, store,
                                                              preload):
    policy = f"settings: {{snapshot: {lab.dir}/flows}}\n{POLICY}"
    xctd = lab.start_xctd(policy)
    xctd.ctl("create", "-p", "udp", "-s", "10.0.0.9", "-d", SERVER, "--sport",
             "1", "--dport", "2", "-t", "600")
    xctd.ctl("save", str(lab.dir / "copy"))
    xctd.stop()
    lab.xctd = None
    behind = {**preload, "XCT_REALTIME": "-4000"}
    xctd = store(policy, environ=behind)
    flow, = xctd.flows()
    assert 590 <= flow["timeout"] <= 600
    assert xctd.stats()["snapshots"]["clock_behind"] == 1
    assert re.search(r"the clock is (3999|4000) s behind", xctd.messages())
    load = subprocess.run([XCTCTL, "-s", xctd.sock, "load", lab.dir / "copy"],
                          env={**os.environ, **behind}, capture_output=True,
                          text=True, check=True)
    assert "the clock is behind" in load.stderr
    assert "1 whose tuples a flow has already" in load.stderr


def test_a_clock_that_is_behind_sets_the_flows_back(lab, store, preload):
    """As where a successor runs in another time namespace."""
    xctd = store(environ={**preload, "XCT_MONOTONIC": "1000000"})
    assert ping(lab.client, SERVER)
    before, = xctd.flows()
    xctd.environ = {}
    xctd.kill(9)
    xctd.await_ready()
    after, = xctd.flows()
    assert abs(before["timeout"] - after["timeout"]) <= 10
    assert abs(after["age_ms"] - before["age_ms"]) <= 10_000
    assert after["id"] == before["id"]
    assert "behind that of an earlier xctd" in xctd.messages()
    assert abs(xctd.stats()["clock_back_ms"] - 1_000_000_000) < 60_000
    assert ping(lab.client, SERVER, 3)


def masquerades_as(xctd, proto):
    return sorted(f["reply"]["dst"] for f in xctd.flows() if f["proto"] == proto)


@pytest.mark.parametrize("is_dead", [False, True])
def test_a_masquerade_follows_the_address(lab, store, is_dead):
    """Its interface goes and comes back with another one; also while nobody
    sees it."""
    peers = lab.echo(lab.server, SERVER, 7)
    xctd = store()
    sock = lab.client.udp_socket("0.0.0.0", 4000)
    sock.sendto(b"x", (SERVER, 7))
    sock.recv(9)
    assert masquerades_as(xctd, "udp") == [WAN]
    other = "192.0.2.77"
    if is_dead:
        os.kill(xctd.pid, signal.SIGSTOP)
    lab.router.ip("link set wan0 down", f"addr del {WAN}/24 dev wan0",
                  f"addr add {other}/24 dev wan0", "link set wan0 up")
    if is_dead:
        xctd.kill(9)
        xctd.await_ready()
    wait_for(lambda: not masquerades_as(xctd, "udp"), "the end of the flow")
    sock.sendto(b"x", (SERVER, 7))
    sock.recv(9)
    assert masquerades_as(xctd, "udp") == [other]
    assert [addr for addr, _ in peers] == [WAN, other]


def table(sock):
    return sorted(map(faults.whole, faults.flows_of(sock)))


@pytest.mark.parametrize("lives", [["keep"], ["kept"], ["ready"],
                                   ["keep", "keep", "kept", "ready"]])
def test_a_death_while_a_snapshot_is_restored_neither_loses_nor_doubles(
        lab, store, preload, lives):
    policy = f"settings: {{snapshot: {lab.dir}/flows}}\n{POLICY}"
    xctd = lab.start_xctd(policy)
    connection = Connection(lab)
    xctd.ctl("create", "-p", "udp", "-s", "10.0.0.9", "-d", SERVER, "--sport",
             "1", "--dport", "2", "-t", "600")
    before = table(xctd.sock)
    assert len(before) == 2
    xctd.stop()
    lab.xctd = None
    xctd = store(policy, lives=[{**preload, "XCT_DIE": how} for how in lives])
    assert xctd.starts == len(lives) + 1
    assert table(xctd.sock) == before
    connection.talk()
    before = table(xctd.sock)
    assert not (lab.dir / "flows").exists()
    # What has been used is of the past.
    xctd.kill(9)
    xctd.await_ready()
    assert table(xctd.sock) == before
    connection.close()


@pytest.mark.parametrize("lives", [["keep"], ["kept"], ["keep", "kept",
                                                       "kept"]])
def test_a_death_while_the_table_is_resized_loses_nothing(lab, store, preload,
                                                          lives):
    xctd = store()
    connection = Connection(lab)
    before = table(xctd.sock)
    config = pathlib.Path(xctd.config)
    for size in 100_000, 1000, 262_144:
        config.write_text(f"settings: {{table-size: {size}}}\n{POLICY}")
        xctd.lives = [{**preload, "XCT_DIE": how} for how in lives]
        xctd.kill(9)
        wait_for(lambda: not xctd.lives, "all deaths")
        xctd.await_ready()
        assert table(xctd.sock) == before
        assert sum("xct-flows" in name for name in xctd.kept) == 1
    connection.close()


@pytest.mark.parametrize("lacks", ["interface", "address"])
def test_flows_that_wait_for_their_address_outlive_xctd(lab, store, lacks):
    policy = f"settings: {{snapshot: {lab.dir}/flows}}\n{POLICY}"
    xctd = lab.start_xctd(policy)
    connection = Connection(lab)
    xctd.stop()
    lab.xctd = None
    if lacks == "interface":
        lab.router.ip("link set wan0 down", "link set wan0 name wan9")
    else:
        lab.router.ip(f"addr del {WAN}/24 dev wan0")
    xctd = store(policy)
    for size in 262144, 262144, 200000:  # also into memory of another size
        pathlib.Path(xctd.config).write_text(
            policy.replace("{", f"{{table-size: {size}, ", 1))
        assert masquerades_as(xctd, "tcp") == [WAN]
        xctd.kill(9)
        xctd.await_ready()
    if lacks == "interface":
        lab.router.ip("link set wan9 name wan0", "link set wan0 up")
    else:
        lab.router.ip(f"addr add {WAN}/24 dev wan0")
    connection.talk()
    wait_for(lambda: "no restored flow waits" in xctd.messages(), "it", 20)
    # From now on it is a flow like others, also for a successor.
    xctd.kill(9)
    xctd.await_ready()
    connection.talk()
    os.kill(xctd.pid, signal.SIGSTOP)
    lab.router.ip(f"addr del {WAN}/24 dev wan0")
    xctd.kill(9)
    xctd.await_ready()
    assert masquerades_as(xctd, "tcp") == []
    connection.close()


POOL = "203.0.113.5"
POOLED = f"nat: [{{out: wan0, snat: {POOL}}}]\n"
UNPOOLED = "nat: [{out: wan0, proto: udp, masquerade: yes}]\n"


def selects_pool(lab):
    return f"-d {POOL}/32" in hooks_left(lab.router)


@pytest.mark.parametrize("how", ["crash", "reload and crash"])
def test_flows_of_rules_that_are_gone_outlive_xctd(lab, store, how):
    """Their answers are for an address that only those rules knew."""
    lab.server.ip(f"route add {POOL} via {WAN}")
    xctd = store(POOLED)
    connection = Connection(lab)
    assert connection.seen_as[0] == POOL
    pathlib.Path(xctd.config).write_text(UNPOOLED)
    for _ in range(2):
        if how != "crash":
            xctd.ctl("reload")
        xctd.kill(9)
        xctd.await_ready()
        assert "masquerade" in xctd.ctl("rules")
        assert selects_pool(lab)
        connection.talk()
    connection.close()


def test_flows_of_rules_that_are_gone_outlive_a_takeover(lab):
    lab.server.ip(f"route add {POOL} via {WAN}")
    xctd = lab.start_xctd(POOLED)
    connection = Connection(lab)
    xctd.write(UNPOOLED)
    for _ in range(2):
        take_over(lab, xctd)
        assert selects_pool(lab)
        connection.talk()
    connection.close()


def test_flows_of_manual_hooks_outlive_a_takeover(lab):
    """Nobody knows what those selected."""
    xctd = lab.start_xctd("hooks: manual\n"
                          "nat: [{out: wan0, masquerade: yes}]\n")
    for family, tool in ("ipv4", "iptables"), ("ipv6", "ip6tables"):
        lab.router.run(tool + "-restore", "--noflush",
                       input=xctd.ctl("hooks", family).stdout)
    connection = Connection(lab)
    xctd.write("nat: []\n")
    take_over(lab, xctd)
    connection.talk()
    connection.close()


def test_a_restart_keeps_flows_of_rules_that_are_gone():
    machine(f"""
    ip -n far route add {POOL} via 192.0.2.1
    echo 'nat: [{{out: near0, snat: {POOL}}}]' > /etc/xct/rules.yaml
    systemctl start xctd
    ping -q -i 0.02 -c 100 -W 3 192.0.2.2 > /tmp/ping &
    until xctctl list | grep -q {POOL}; do sleep 0.05; done
    echo 'nat: []' > /etc/xct/rules.yaml
    systemctl restart xctd
    wait
    grep ' 0% packet loss' /tmp/ping
    expect_failure sh -c "xctctl rules | grep -q {POOL}"
    """)
