# SPDX-License-Identifier: GPL-2.0-or-later
"""Flows, queues and packets outlive the process that holds them."""

import hashlib
import mmap
import os
import pathlib
import re
import resource
import signal
import struct
import subprocess

import pytest

from lab import SERVER6, XCTD, can_connect, hooks_left, wait_for
from test_systemd import machine

SERVER = "192.0.2.2"
POLICY = "nat: [{out: wan0, masquerade: yes}]\n"


def pings(ns, count, interval):
    return ns.start("ping", "-q", "-i", str(interval), "-c", str(count), "-W",
                    "3", SERVER, stdout=subprocess.PIPE, text=True)


def lost(out):
    sent, got = re.search(r"(\d+) packets transmitted, (\d+) received",
                          out).groups()
    return int(sent) - int(got)


def take_over(lab, old, *prefix):
    """Start a successor; returns when the old one has gone."""
    log = open(old.log, "ab")
    new = lab.router.start(*prefix, XCTD, "--takeover", "-c", str(old.config), "-s",
                           old.sock, stderr=log, stdin=subprocess.DEVNULL)
    log.close()
    assert old.process.wait(10) == 0
    old.process = new
    wait_for(lambda: old.ctl("status", check=False).returncode == 0,
             "the successor on the socket")

def memory_of(xctd):
    """The memfd that @xctd has its flows in."""
    path = next(fd for fd in pathlib.Path(
        f"/proc/{xctd.process.pid}/fd").iterdir()
        if "memfd:xct-flows" in os.readlink(fd))
    return os.open(path, os.O_RDWR)


def with_version(fd, version):
    """The layout that the region says it has becomes @version; returns what it
    said."""
    with mmap.mmap(fd, 0) as memory:
        at = memory.find(struct.pack("=Q", 0x0a776f6c66746378)) + 8
        before, = struct.unpack_from("=I", memory, at)
        struct.pack_into("=I", memory, at, version)
    return before


def in_layout_4(fd):
    """A memfd with the flows of memfd @fd as layout 4 had them: records of 232
    bytes, in one piece."""
    with mmap.mmap(fd, 0) as memory:
        begin = memory.find(struct.pack("=Q", 0x0a776f6c66746378))
        max_flows, n_used, next_id = struct.unpack_from("=IIQ", memory,
                                                        begin + 16)
        old = bytearray(memory[:begin])
        old += struct.pack("=QIIIIQ32x", 0x0a776f6c66746378, 4, 232, max_flows,
                           n_used, next_id)
        for i in range(n_used):
            hot = begin + 128 + i * 192
            cold = begin + 128 + (max_flows + 1) * 192 + i * 40
            times, track = memory[hot:hot + 16], memory[hot + 16:hot + 72]
            sides = [memory[at:at + 56] for at in (hot + 72, hot + 128)]
            old += b"".join(side[:40] for side in sides)
            old += memory[hot + 184:hot + 192] + times
            old += b"".join(side[40:48] for side in sides)
            old += b"".join(side[48:] for side in sides)
            old += track + memory[cold:cold + 16] + 24 * b"\xa5"
    old += bytes((max_flows - n_used) * 232)
    copy = os.memfd_create("xct-flows-4")
    os.write(copy, old)
    return copy


def start_with(lab, old, memory):
    """A successor of the dead @old that is handed @memory as systemd would."""
    script = (f"exec 3<>/proc/self/fd/{memory}; LISTEN_PID=$$ LISTEN_FDS=1 "
              'LISTEN_FDNAMES=xct-flows exec "$@"')
    with open(old.log, "ab") as log:
        old.process = lab.router.start(
            "sh", "-c", script, "sh", XCTD, "-c", str(old.config), "-s",
            old.sock, pass_fds=[memory], stderr=log, stdin=subprocess.DEVNULL)
    wait_for(lambda: old.ctl("status", check=False).returncode == 0,
             "the successor on the socket")


def die(xctd):
    xctd.process.send_signal(signal.SIGKILL)
    xctd.process.wait(5)


def test_a_start_after_an_upgrade_has_the_flows_of_layout_4(routed):
    routed.nginx(routed.server, 80)
    xctd = routed.start_xctd("settings: {table-size: 1000}\n" + POLICY)
    with routed.client.tcp_socket() as sock:
        sock.settimeout(20)
        sock.connect((SERVER, 80))
        sock.sendall(b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in sock.recv(4096)
        xctd.ctl("create", "-p", "sctp", "--src", "10.0.0.7", "--dst", SERVER,
                 "--sport", "7", "--dport", "8", "--state", "ESTABLISHED",
                 "-t", "3600", "-m", "99", "--orig-vtag", "5", "--reply-vtag",
                 "6")

        def flows():
            # What runs on is not compared.
            return sorted((re.sub(r'"(timeout|age_ms|start_ms)": ?\d+,?', "",
                                  line) for line in xctd.ctl(
                "list", "-o", "ndjson").stdout.splitlines()))
        before = flows()
        assert len(before) == 2
        kept = memory_of(xctd)
        die(xctd)
        start_with(routed, xctd, in_layout_4(kept))
        assert flows() == before
        assert re.search(r"2 flows adopted from layout 4 in", xctd.messages())
        sock.sendall(b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in sock.recv(4096)
    os.close(kept)
    # From now on they are of the present layout.
    take_over(routed, xctd)
    assert "2 flows adopted in" in xctd.messages()
    xctd.stop()


def test_flows_of_a_layout_to_come_are_not_misread(routed):
    xctd = routed.start_xctd("settings: {table-size: 1000}\n" + POLICY)
    assert lost(pings(routed.client, 1, 0.05).communicate(timeout=20)[0]) == 0
    kept = memory_of(xctd)
    die(xctd)
    with_version(kept, 99)
    start_with(routed, xctd, kept)
    assert "of a layout that this one does not know" in xctd.messages()
    assert xctd.list() == []
    assert lost(pings(routed.client, 1, 0.05).communicate(timeout=20)[0]) == 0
    xctd.stop()


def test_a_takeover_loses_no_packet_and_counts_each_once(routed):
    xctd = routed.start_xctd(POLICY)
    ping = pings(routed.client, 400, 0.005)
    wait_for(lambda: xctd.list("-p", "icmp"), "the flow")
    for _ in range(4):
        take_over(routed, xctd)
    assert lost(ping.communicate(timeout=20)[0]) == 0
    entry, = xctd.list("-p", "icmp")
    assert entry["orig"]["packets"] == entry["reply"]["packets"] == 400
    assert xctd.messages().count("1 flows adopted") == 4
    xctd.stop()  # and nothing is left behind


def test_a_takeover_to_other_queues_loses_no_packet(routed):
    xctd = routed.start_xctd(POLICY)
    ping = pings(routed.client, 400, 0.005)
    wait_for(lambda: xctd.list("-p", "icmp"), "the flow")
    for queues in "first: 10", "first: 20, workers: 4", "first: 22, workers: 1":
        xctd.write(f"settings: {{queue: {{{queues}}}}}\n{POLICY}")
        take_over(routed, xctd)
    assert lost(ping.communicate(timeout=20)[0]) == 0
    entry, = xctd.list("-p", "icmp")
    assert entry["orig"]["packets"] == entry["reply"]["packets"] == 400
    xctd.stop()  # no queue is left


def test_a_download_goes_on_through_takeovers(routed):
    root = routed.dir / "www"
    root.mkdir()
    data = os.urandom(20_000_000)
    (root / "file").write_bytes(data)
    routed.nginx(routed.server, 80, root=root)
    xctd = routed.start_xctd(POLICY)
    curl = routed.client.start("curl", "-sS", "--limit-rate", "15M",
                               "--max-time", "30", f"http://{SERVER}/file",
                               stdout=subprocess.PIPE)
    for _ in range(4):
        take_over(routed, xctd)
    got = curl.communicate(timeout=40)[0]
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    xctd.stop()


def test_a_takeover_that_cannot_start_changes_nothing(routed):
    xctd = routed.start_xctd(POLICY)
    bad = routed.dir / "bad.yaml"
    bad.write_text("natt: []\n")
    done = routed.router.run(XCTD, "--takeover", "-c", str(bad), "-s",
                             xctd.sock, check=False)
    assert done.returncode == 4
    ping = pings(routed.client, 5, 0.05)
    assert lost(ping.communicate(timeout=20)[0]) == 0
    assert xctd.is_alive()


def test_a_takeover_of_a_layout_to_come_changes_nothing(routed):
    xctd = routed.start_xctd(POLICY)
    memory = memory_of(xctd)
    ours = with_version(memory, 99)
    done = routed.router.run(XCTD, "--takeover", "-c", str(xctd.config), "-s",
                             xctd.sock, check=False)
    with_version(memory, ours)
    os.close(memory)
    assert done.returncode == 3
    assert "of a layout that this one does not know" in done.stderr
    ping = pings(routed.client, 5, 0.05)
    assert lost(ping.communicate(timeout=20)[0]) == 0
    take_over(routed, xctd)
    xctd.stop()


def test_a_takeover_that_cannot_be_whole_changes_nothing(routed):
    xctd = routed.start_xctd(POLICY)
    pid = xctd.process.pid
    wait_for(lambda: xctd.sock not in routed.router.run(
        "ss", "-xH", "state", "established").stdout, "clients to be gone")
    used = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    # Room for the successor's connection, and for no other descriptor.
    room = next(n for n in range(soft) if len(set(range(n)) - used) == 1)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (room, hard))
    done = routed.router.run(XCTD, "--takeover", "-c", str(xctd.config), "-s",
                             xctd.sock, check=False, timeout=20)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert done.returncode == 1
    assert "cannot take over from the xctd that runs" in done.stderr
    assert "leaving" not in xctd.messages()
    assert lost(pings(routed.client, 5, 0.05).communicate(timeout=20)[0]) == 0


def test_a_takeover_from_a_service_changes_nothing(routed):
    xctd = routed.start_xctd(POLICY, "--keep")
    done = routed.router.run(XCTD, "--takeover", "-c", str(xctd.config), "-s",
                             xctd.sock, check=False, timeout=20)
    assert done.returncode == 3
    assert "systemctl restart xctd" in done.stderr
    assert lost(pings(routed.client, 5, 0.05).communicate(timeout=20)[0]) == 0
    assert "leaving" not in xctd.messages()
    xctd.process.terminate()
    assert xctd.process.wait(10) == 0
    routed.router.run(XCTD, "--unhook", "-c", str(xctd.config))
    routed.xctd = None  # nothing is left to stop


def test_a_takeover_from_nobody_says_what_to_do(routed):
    config = routed.dir / "rules.yaml"
    config.write_text(POLICY)
    sock = str(routed.dir / "nobody.sock")
    done = routed.router.run(XCTD, "--takeover", "-c", str(config), "-s", sock,
                             check=False, timeout=20)
    assert done.returncode == 1
    assert sock in done.stderr and "without --takeover" in done.stderr


def test_only_who_may_change_may_take_over(routed):
    xctd = routed.start_xctd(POLICY)
    os.chmod(xctd.sock, 0o666)
    os.chmod(routed.dir, 0o755)
    done = routed.router.run("setpriv", "--reuid=65534",
                             "--inh-caps=+net_admin,+net_raw",
                             "--ambient-caps=+net_admin,+net_raw", XCTD, "--takeover", "-c",
                             str(xctd.config), "-s", xctd.sock, check=False,
                             timeout=20)
    assert done.returncode == 1 and "not permitted" in done.stderr
    assert xctd.is_alive()


def test_left_over_hooks_of_a_killed_xctd_are_taken_over(routed):
    xctd = routed.start_xctd(POLICY)
    xctd.process.send_signal(signal.SIGKILL)
    xctd.process.wait(5)
    again = routed.start_xctd(POLICY)
    ping = pings(routed.client, 3, 0.05)
    assert lost(ping.communicate(timeout=20)[0]) == 0
    again.stop()


def test_unhook_takes_away_what_a_dead_xctd_left_and_nothing_else(routed):
    xctd = routed.start_xctd(POLICY)

    def unhook():
        return routed.router.run(XCTD, "--unhook", "-c", str(xctd.config),
                                 check=False)
    hooks = hooks_left(routed.router)
    refused = unhook()
    assert refused.returncode == 3 and "stop it" in refused.stderr
    assert hooks_left(routed.router) == hooks
    xctd.process.send_signal(signal.SIGKILL)
    xctd.process.wait(5)
    assert hooks_left(routed.router) == hooks
    done = unhook()
    assert done.returncode == 0, done.stderr
    assert hooks_left(routed.router) == ""
    routed.xctd = None  # nothing is left to stop


def test_queues_beyond_the_last_number_are_refused(routed):
    config = routed.dir / "rules.yaml"
    config.write_text(POLICY)
    done = routed.router.run(XCTD, "-c", str(config), "-s",
                             str(routed.dir / "sock"), "--queue", "65535",
                             "--workers", "2", check=False, timeout=20)
    assert done.returncode == 2
    assert "2 queues from number 65535" in done.stderr


def test_kill_and_restart_under_systemd_lose_nothing():
    out = machine("""
    cat > /etc/xct/rules.yaml <<'END'
nat: [{out: near0, snat: "192.0.2.1:20000-30000"}]
END
    systemctl start xctd
    ping -q -i 0.01 -c 400 -W 3 192.0.2.2 > /tmp/ping &
    for how in KILL SEGV restart KILL; do
        sleep 0.5
        pid=$(systemctl show -p MainPID --value xctd)
        case $how in
        restart) systemctl restart xctd ;;
        *) test "$pid" -gt 1; kill -$how "$pid" ;;
        esac
        while [ "$(systemctl show -p MainPID --value xctd)" = "$pid" ] ||
            ! xctctl status > /dev/null 2>&1; do
            sleep 0.05
        done
    done
    wait
    cat /tmp/ping
    xctctl list -p icmp
    systemctl stop xctd
    ! iptables-save | grep XCT
    test ! -s /proc/net/netfilter/nfnetlink_queue
    """)
    assert lost(out) == 0
    assert out.count(" packets=400 bytes=33600 ") == 2


def test_a_restart_with_other_queues_loses_nothing():
    out = machine("""
    settings() {
        echo "settings: {queue: {first: $1, workers: $2}}"
        echo 'nat: [{out: near0, snat: "192.0.2.1:20000-30000"}]'
    }
    settings 0 2 > /etc/xct/rules.yaml
    systemctl start xctd
    ping -q -i 0.005 -c 400 -W 3 192.0.2.2 > /tmp/ping &
    until xctctl list | grep -q icmp; do sleep 0.05; done
    for queues in '1 2' '7 1' '5 3'; do
        settings $queues > /etc/xct/rules.yaml
        systemctl restart xctd
    done
    wait
    cat /tmp/ping
    xctctl list -p icmp
    awk '{print $1}' /proc/net/netfilter/nfnetlink_queue | sort | xargs
    """)
    assert lost(out) == 0
    assert out.count(" packets=400 bytes=33600 ") == 2
    assert "\n5 6 7\n" in out


def test_a_takeover_by_hand_leaves_the_service_as_it_is():
    machine("""
    systemctl start xctd
    pid=$(main_pid)
    ping -q -i 0.01 -c 100 -W 3 192.0.2.2 > /tmp/ping &
    expect_failure xctd --takeover 2> /tmp/said
    cat /tmp/said
    grep -q 'systemctl restart xctd' /tmp/said
    systemctl restart xctd # as it says
    wait
    grep -q ' 0% packet loss' /tmp/ping
    test "$(main_pid)" != "$pid"
    test "$(systemctl show -p NRestarts --value xctd)" = 0
    xctctl list | grep -q packets=100
    test "$(said | grep -c ready:)" = 2
    """)


def test_a_successor_rejects_through_the_sockets_it_was_given(routed):
    xctd = routed.start_xctd("filter: {forward: {default: reject}}")
    take_over(routed, xctd, "setpriv", "--bounding-set=-net_raw")
    assert can_connect(routed.client, SERVER, 80) == "refused"
    assert can_connect(routed.client, SERVER6, 80) == "refused"
    xctd.stop()


FLOW = """
    xctctl create -p tcp --src 192.0.2.1 --dst 192.0.2.2 --sport 1000 \\
        --dport 2000 --state ESTABLISHED -t 3600 > /dev/null
"""
IS_FLOW_THERE = "test \"$(xctctl list -p tcp --sport 1000 2>&1 | wc -l)\" = 2\n"


def test_a_broken_configuration_stays_out_until_it_is_mended():
    machine(f"""
    systemctl start xctd
    {FLOW}
    echo 'natt: []' > /etc/xct/rules.yaml
    expect_failure systemctl restart xctd
    say nothing passes: fail closed
    iptables-save | grep -q NFQUEUE
    expect_failure ping -c 1 -W 1 192.0.2.2
    say visible
    await_state activating # after the steps of the end
    said -p err | grep natt
    until systemctl show -p StatusText xctd | grep 'crash loop.* exited 4'; do
        sleep 0.1
    done
    expect_failure ping -c 1 -W 1 192.0.2.2
    say mended
    echo 'nat: []' > /etc/xct/rules.yaml
    await_state active
    ping -c 1 -W 2 192.0.2.2
    {IS_FLOW_THERE}
    systemctl stop xctd
    ping -c 1 -W 2 192.0.2.2
    """)


def test_after_a_crash_a_broken_file_does_not_replace_the_rules():
    machine("""
    rule() {
        echo "filter: {output: {rules: [{name: $1, proto: udp, drop: yes}]}}"
    }
    rule first > /etc/xct/rules.yaml
    systemctl start xctd
    rule second > /etc/xct/rules.yaml
    systemctl reload xctd
    echo 'natt: []' > /etc/xct/rules.yaml
    expect_failure systemctl reload xctd
    for _ in 1 2; do
        kill_xctd KILL
        xctctl rules | grep second
    done
    xctctl status | grep 'config_kept: yes'
    until systemctl show -p StatusText xctd | grep 'of before'; do
        sleep 0.1
    done
    said -p err | grep 'of before the crash'
    ping -c 1 -W 2 192.0.2.2

    say mended
    rule third > /etc/xct/rules.yaml
    systemctl reload xctd
    xctctl rules | grep third
    xctctl status | grep 'config_kept: no'

    say a restart insists on the file
    echo 'natt: []' > /etc/xct/rules.yaml
    expect_failure systemctl restart xctd
    expect_failure ping -c 1 -W 1 192.0.2.2
    """)


# xctd dies at its start as long as there is a file /etc/crash.
CRASH = """
    crash() { systemctl kill --signal=SEGV --kill-who=main xctd; }
    await_loop() {
        until systemctl show -p StatusText xctd | grep 'crash loop'; do
            sleep 0.1
        done
    }
    mkdir -p /etc/systemd/system/xctd.service.d
    cat > /etc/systemd/system/xctd.service.d/crash.conf <<'END'
[Service]
ExecStart=
ExecStart=/bin/sh -c '[ ! -e /etc/crash ] || kill -SEGV $$$$; \
    exec /usr/sbin/xctd --keep -c /etc/xct/rules.yaml'
END
    systemctl daemon-reload
"""


@pytest.mark.parametrize("policy", ["accept", "drop"])
def test_in_a_crash_loop_the_policy_says_what_passes(policy):
    test = "" if policy == "accept" else "expect_failure"
    machine(f"""
    echo 'settings: {{queue: {{on-failure: {policy}}}}}' > /etc/xct/rules.yaml
    {CRASH}
    systemctl start xctd
    {FLOW}
    touch /etc/crash
    crash
    await_loop
    test ! -s /proc/net/netfilter/nfnetlink_queue
    {test} ping -c 1 -W 1 192.0.2.2
    iptables-save | grep -q NFQUEUE
    said -p err | grep 'crash loop'

    say the cause is gone
    rm /etc/crash
    await_state active
    ping -c 1 -W 2 192.0.2.2
    {IS_FLOW_THERE}
    xctctl status | tee /dev/stderr | grep 'last_end: killed SEGV'
    test "$(xctctl status | sed -n 's/^starts: //p')" -gt 8

    say a stop ends a loop
    touch /etc/crash
    crash
    await_loop
    systemctl stop xctd
    test "$(systemctl is-active xctd || :)" != activating
    # By the service, or between two starts by the socket, a moment later.
    while iptables-save | grep -q NFQUEUE; do sleep 0.1; done
    ping -c 1 -W 1 192.0.2.2
    """)


def test_a_death_in_the_middle_of_a_reload_is_one_like_others():
    """systemd starts the next one when the reload's own process has ended."""
    out = machine("""
    mkdir -p /etc/systemd/system/xctd.service.d
    printf '[Service]\\nWatchdogSec=0\\nTimeoutStartSec=infinity\\n' \\
        > /etc/systemd/system/xctd.service.d/patient.conf
    systemctl daemon-reload
    systemctl start xctd
    ping -q -i 0.01 -c 200 -W 5 192.0.2.2 > /tmp/ping &
    until xctctl list | grep -q icmp; do sleep 0.05; done
    old=$(main_pid)
    test "$old" -gt 1
    kill -STOP $old # so that the reload is not over
    systemctl reload --no-block xctd
    until [ "$(systemctl show -p ControlPID --value xctd)" != 0 ]; do
        sleep 0.01
    done
    kill -KILL $old
    until [ "$(main_pid)" != $old ]; do sleep 0.05; done
    await_state active
    wait
    cat /tmp/ping
    xctctl status | grep 'starts: 2$'
    """)
    assert lost(out) == 0


def test_deaths_of_one_that_served_are_no_crash_loop():
    out = machine("""
    systemctl start xctd
    ping -q -i 0.01 -c 300 -W 5 192.0.2.2 > /tmp/ping &
    for _ in $(seq 10); do
        kill_xctd KILL
    done
    wait
    cat /tmp/ping
    xctctl status | grep 'starts: 11'
    said > /tmp/said
    expect_failure grep "crash loop" /tmp/said
    """)
    assert lost(out) == 0
