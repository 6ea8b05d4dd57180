# SPDX-License-Identifier: GPL-2.0-or-later
"""Flows, queues and packets outlive the process that holds them."""

import hashlib
import os
import re
import signal
import subprocess

from lab import XCTD, wait_for
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


def take_over(lab, old):
    """Start a successor; returns when the old one has gone."""
    log = open(old.log, "ab")
    new = lab.router.start(XCTD, "--takeover", "-c", str(old.config), "-s",
                           old.sock, stderr=log, stdin=subprocess.DEVNULL)
    log.close()
    assert old.process.wait(10) == 0
    old.process = new
    wait_for(lambda: old.ctl("status", check=False).returncode == 0,
             "the successor on the socket")


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


def test_a_broken_configuration_stays_out_and_closed():
    machine("""
    systemctl start xctd
    echo 'natt: []' > /etc/xct/rules.yaml
    expect_failure systemctl restart xctd
    # Not running, and nothing passes: fail closed.
    iptables-save | grep -q NFQUEUE
    expect_failure ping -c 1 -W 1 192.0.2.2
    echo 'nat: []' > /etc/xct/rules.yaml
    systemctl start xctd
    ping -c 1 -W 2 192.0.2.2
    systemctl stop xctd
    ping -c 1 -W 2 192.0.2.2
    """)
