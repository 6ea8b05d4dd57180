# SPDX-License-Identifier: GPL-2.0-or-later
"""Installed and run by a real systemd, in a machine that is thrown away."""

import subprocess

import pytest

from lab import BUILD, ROOT

MAKE = ["make", "-C", str(ROOT), "--no-print-directory", "-o", "all",
        f"B={BUILD}"]  # install what is built
INSTALL = " ".join([*MAKE, "install", "PREFIX=/usr", "SYSCONFDIR=/etc"])

# What every script starts with: a network beyond the machine to ping through.
PRELUDE = """
set -eu
say() { echo "--- $*"; }
expect_failure() { if "$@"; then echo "unexpected success: $*"; exit 1; fi; }
# What the service has said, all of it; options are journalctl's.
said() { journalctl --sync; journalctl -u xctd -o cat --no-pager "$@"; }
await_state() { until [ "$(systemctl is-active xctd)" = "$1" ]; do sleep 0.05; done; }
main_pid() { systemctl show -p MainPID --value xctd; }
# Kill xctd with signal $1, and wait until another is ready.
kill_xctd() {
    old=$(main_pid)
    test "$old" -gt 1 # 0 would be this script, and who started it
    kill "-$1" "$old"
    until new=$(main_pid); [ "$new" != 0 ] && [ "$new" != "$old" ] &&
        [ "$(systemctl is-active xctd)" = active ]; do sleep 0.05; done
}
ip netns add far
ip link add near0 type veth peer name far0 netns far
ip addr add 192.0.2.1/24 dev near0
ip link set near0 up
ip -n far addr add 192.0.2.2/24 dev far0
ip -n far link set far0 up
"""


def machine(script):
    booted = subprocess.Popen(
        [ROOT / "tests/systemd/boot.sh", INSTALL, "bash", "-c",
         PRELUDE + script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True)
    try:
        out, err = booted.communicate(timeout=200)
    except subprocess.TimeoutExpired:
        booted.terminate()  # it takes the machine away
        out, err = booted.communicate()
    assert booted.returncode == 0, out + err
    return out


def test_the_service_starts_reloads_and_stops():
    machine("""
    say start
    systemctl start xctd
    test "$(systemctl is-active xctd)" = active
    test -S /run/xct/xctd.sock
    ping -c 1 -W 2 192.0.2.2
    xctctl list | grep 'icmp .* dst=192.0.2.2'

    say edit and reload
    cat > /etc/xct/rules.yaml <<'END'
filter:
  output:
    default: accept
    rules:
      - {name: no-ping, proto: icmp, drop: yes}
END
    systemctl reload xctd
    xctctl flush
    expect_failure ping -c 1 -W 1 192.0.2.2
    xctctl rules | grep no-ping

    say a broken file
    echo 'filter: {outputt: {default: accept}}' > /etc/xct/rules.yaml
    expect_failure systemctl reload xctd
    test "$(systemctl is-active xctd)" = active
    expect_failure ping -c 1 -W 1 192.0.2.2
    xctctl rules | grep no-ping
    said | grep 'rules.yaml:1:'

    say priorities
    said -p err | grep -q outputt
    said -p 6..6 | grep -q .
    said -p err > /tmp/said
    expect_failure grep -i started /tmp/said

    say stop
    systemctl stop xctd
    test "$(systemctl show -p Result --value xctd)" = success
    expect_failure sh -c \
        '{ iptables-save; ip6tables-save; } | grep -Ei "xct|NFQUEUE"'
    test ! -s /proc/net/netfilter/nfnetlink_queue
    ping -c 1 -W 2 192.0.2.2
    """)


def test_a_large_table_may_take_longer_to_start_than_the_unit_allows():
    machine("""
    mkdir -p /etc/systemd/system/xctd.service.d
    printf '[Service]\\nTimeoutStartSec=800ms\\n' \\
        > /etc/systemd/system/xctd.service.d/hurry.conf
    systemctl daemon-reload
    echo 'settings: {table-size: 4000000}' > /etc/xct/rules.yaml
    systemctl start xctd
    test "$(systemctl show -p NRestarts --value xctd)" = 0
    xctctl status | grep 'max_flows: 4000000'
    systemctl stop xctd
    """)


def test_a_limit_on_memory_is_seen_from_inside_the_unit():
    out = machine("""
    mkdir -p /etc/systemd/system/xctd.service.d
    limited=/etc/systemd/system/xctd.service.d/limit.conf
    if grep -qw memory /sys/fs/cgroup/cgroup.controllers; then
        printf '[Service]\nMemoryMax=50M\n' > $limited
        systemctl daemon-reload
    else # all that systemd starts gets it
        cg=/run/cgroup
        mkdir $cg
        if ! mount -t cgroup -o memory none $cg; then
            echo nothing limits memory here
            exit 0
        fi
        mkdir $cg/small
        echo 50M > $cg/small/memory.limit_in_bytes
        trap 'echo 1 > $cg/cgroup.procs; systemctl stop xctd
              until rmdir $cg/small; do
                  for pid in $(cat $cg/small/cgroup.procs); do
                      echo $pid > $cg/cgroup.procs || :
                  done
              done' EXIT
        echo 1 > $cg/small/cgroup.procs
    fi
    echo 'settings: {table-size: 400000}' > /etc/xct/rules.yaml
    expect_failure systemctl start xctd
    said -p err |
        grep 'table-size: 400000" needs .* allows 50 MB.*MemoryMax='
    say less
    echo 'settings: {table-size: 40000}' > /etc/xct/rules.yaml
    await_state active
    """)
    if "nothing limits memory" in out:
        pytest.skip("no memory controller")


def test_the_socket_starts_the_service():
    machine("""
    systemctl start xctd.socket
    test "$(systemctl is-active xctd.socket)" = active
    test "$(systemctl is-active xctd.service || :)" = inactive
    xctctl status
    test "$(systemctl is-active xctd.service)" = active
    ping -c 1 -W 2 192.0.2.2
    xctctl list | grep 'icmp .* dst=192.0.2.2'
    systemctl stop xctd.socket xctd.service
    test ! -s /proc/net/netfilter/nfnetlink_queue
    """)


def test_it_runs_with_no_more_rights_than_it_needs():
    out = machine("""
    systemctl start xctd
    systemd-analyze verify --man=no xctd.service
    systemd-analyze security --threshold=15 xctd.service >/dev/null
    pid=$(systemctl show -p MainPID --value xctd)
    echo "user $(id -u xct) group $(id -g xct)"
    cat /proc/$pid/status
    say writable
    nsenter -t $pid -m setpriv --reuid xct --regid xct --clear-groups \
        find / -path /proc -prune -o \
        '(' -type d -o -type f ')' -writable -print 2>&1 || :
    """)
    status, writable = out.split("--- writable\n")
    values = dict(line.split(":", 1) for line in status.splitlines()
                  if ":" in line)
    _, user, _, group = status.split("\n", 1)[0].split()
    assert values["Uid"].split() == [user] * 4 and user != "0"
    assert values["Gid"].split() == [group] * 4
    assert values["Groups"].split() in ([], [group])
    for name in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
        assert int(values[name], 16) == 1 << 12, name  # CAP_NET_ADMIN
    assert values["NoNewPrivs"].strip() == "1"
    assert values["Seccomp"].strip() == "2"
    assert [line for line in writable.splitlines()
            if "Permission denied" not in line] == ["/var/lib/xct"]


def test_with_few_rights_it_rejects_reloads_and_counts():
    machine("""
    cat > /etc/xct/rules.yaml <<'END'
settings: {queue: {length: 16}}
filter:
  input:
    default: accept
    rules:
      - {proto: tcp, dport: 81, reject: yes}
      - {proto: udp, dport: 81, reject: yes}
END
    chmod 640 /etc/xct/rules.yaml
    chgrp xct /etc/xct/rules.yaml
    try() { ip netns exec far timeout 30 bash -c "$1" 2>&1 || :; }
    rejects() {
        try 'exec 3<>/dev/tcp/192.0.2.1/81' | grep 'Connection refused'
        try 'exec 3<>/dev/udp/192.0.2.1/81
             while echo x >&3; do sleep 0.05; done' | grep 'Connection refused'
        try 'exec 3<>/dev/tcp/2001:db8:2::1/81' | grep 'Connection refused'
    }
    ip addr add 2001:db8:2::1/64 dev near0 nodad
    ip -n far addr add 2001:db8:2::2/64 dev far0 nodad
    systemctl start xctd
    rejects

    say hooks of a reload
    expect_failure sh -c 'iptables-save | grep -e "--dport.* 82"'
    echo 'nat: [{in: near0, proto: tcp, dport: 82, dnat: 192.0.2.1}]' \
        >> /etc/xct/rules.yaml
    systemctl reload xctd
    iptables-save | grep -e '--dport.* 82'

    say the same after a crash
    kill_xctd KILL
    rejects

    say what the kernel counts of a queue that is full
    pid=$(main_pid)
    test "$pid" -gt 1
    kill -STOP $pid
    until awk '{dropped += $6} END {exit !dropped}' \
        /proc/net/netfilter/nfnetlink_queue; do
        ip netns exec far ping -q -i 0.002 -c 50 -W 0.1 192.0.2.1 || :
    done
    kill -CONT $pid || : # if the watchdog was not first
    until xctctl stats -o json > /tmp/stats; do sleep 0.05; done
    grep '"dropped_kernel":[1-9]' /tmp/stats

    say rules that it may not read
    chown root:root /etc/xct/rules.yaml
    chmod 600 /etc/xct/rules.yaml
    expect_failure systemctl reload xctd
    said -p err | grep 'user xct'
    rejects
    """)


def test_a_hung_daemon_is_restarted_by_the_watchdog():
    machine("""
    mkdir -p /etc/systemd/system/xctd.service.d
    printf '[Service]\\nWatchdogSec=1\\nRestartSec=0\\n' \
        > /etc/systemd/system/xctd.service.d/test.conf
    systemctl daemon-reload
    systemctl start xctd
    first=$(systemctl show -p MainPID --value xctd)
    kill -STOP $first
    for _ in $(seq 100); do
        pid=$(systemctl show -p MainPID --value xctd)
        if [ "$pid" != "$first" ] && [ "$pid" != 0 ] &&
            xctctl status >/dev/null 2>&1; then
            ping -c 1 -W 2 192.0.2.2
            exit 0
        fi
        sleep 0.1
    done
    systemctl status xctd
    exit 1
    """)


def test_who_waits_for_iptables_does_not_hang():
    machine("""
    mkdir -p /etc/systemd/system/xctd.service.d
    printf '[Service]\\nWatchdogSec=2\\n' \
        > /etc/systemd/system/xctd.service.d/test.conf
    systemctl daemon-reload
    systemctl start xctd
    first=$(main_pid)
    real=$(command -v iptables-restore)
    slow=/usr/local/sbin/iptables-restore
    test "$real" != $slow
    printf '#!/bin/sh\\nsleep 4\\nexec %s "$@"\\n' "$real" > $slow
    chmod +x $slow
    systemctl reload xctd
    test "$(main_pid)" = "$first"
    said | grep 'generation 2'
    """)


@pytest.mark.parametrize("prefix", ["/usr", "/opt/xct"])
def test_make_install_and_uninstall_honour_their_variables(tmp_path, prefix):
    make = [*MAKE, f"DESTDIR={tmp_path}", f"PREFIX={prefix}",
            "SYSCONFDIR=/cfg"]
    subprocess.run([*make, "install"], check=True, capture_output=True)
    inside = tmp_path / prefix.lstrip("/")
    for path in "sbin/xctd", "sbin/xctctl", "lib/systemd/system/xctd.socket", \
            "share/man/man8/xctd.8", "share/man/man8/xctctl.8", \
            "share/man/man5/rules.yaml.5", "lib/sysusers.d/xct.conf":
        assert (inside / path).is_file(), path
    unit = (inside / "lib/systemd/system/xctd.service").read_text()
    assert f"{prefix}/sbin/xctd" in unit
    rules = tmp_path / "cfg/xct/rules.yaml"
    rules.write_text("# mine\n")
    subprocess.run([*make, "install"], check=True, capture_output=True)
    assert rules.read_text() == "# mine\n"
    subprocess.run([*make, "uninstall"], check=True, capture_output=True)
    left = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert left == [rules]
