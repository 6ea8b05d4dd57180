# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting, reloading, stopping: what xctd does and how it says no."""

import os
import re
import signal
import socket
import subprocess

import pytest

from lab import (CLIENT, SERVER, SERVER6, WAN, XCTCTL, XCTD, can_connect, curl,
                 hooks_left, is_dropped, ping, wait_for)

OPEN = "filter: {forward: {default: accept}}\n"
CLOSED = "filter: {forward: {default: drop}}\n"
MASQUERADE = "nat:\n  - {name: internet, out: wan0, masquerade: yes}\n"

EXIT_USAGE, EXIT_RUNNING, EXIT_CONFIG, EXIT_QUEUE, EXIT_CAPABILITY, \
    EXIT_MISSING = range(2, 8)


def test_reload_swaps_the_rules(routed):
    xctd = routed.start_xctd(OPEN)
    assert can_connect(routed.client, SERVER, 80) == "refused"
    xctd.reload(CLOSED)
    assert is_dropped(routed.client, SERVER, 80)
    xctd.reload(OPEN)
    assert can_connect(routed.client, SERVER, 80) == "refused"


def test_sighup_reloads_too(routed):
    xctd = routed.start_xctd(OPEN)
    xctd.write(CLOSED)
    xctd.process.send_signal(signal.SIGHUP)
    wait_for(lambda: is_dropped(routed.client, SERVER, 80),
             "the new rules are in force")


BROKEN = """filter:
  forward:
    defualt: drop
    rules:
      - {proto: tpc, accept: yes}
      - {dport: 99999, proto: tcp, accept: yes}
nat:
  - {out: nowhere, masquerade: maybe}
"""


def messages_of(text):
    return re.findall(r"^\S*?:(\d+):(\d+): (?:error: )?(.+)$", text, re.M)


def test_a_broken_file_keeps_the_old_rules(routed):
    xctd = routed.start_xctd(CLOSED)
    for how in "reload", "SIGHUP":
        if how == "reload":
            done = xctd.reload(BROKEN, check=False)
            assert done.returncode == EXIT_CONFIG
            text = done.stdout + done.stderr
        else:
            before = len(xctd.messages())
            xctd.process.send_signal(signal.SIGHUP)
            text = wait_for(lambda: "masquerade" in
                            xctd.messages()[before:] and
                            xctd.messages()[before:],
                            "the errors are in the log")
        lines = {int(line) for line, _, _ in messages_of(text)} or \
            {int(n) for n in re.findall(r"\.yaml:(\d+):\d+:", text)}
        assert {3, 5, 6, 8} <= lines, text
        assert "default" in text and "tcp" in text  # did you mean
        assert is_dropped(routed.client, SERVER, 80)


def test_check_names_every_error_and_touches_nothing(tmp_path):
    (tmp_path / "rules.yaml").write_text(BROKEN)
    (tmp_path / "good.yaml").write_text(OPEN)
    for command in ([XCTD, "--check", "-c"], [XCTCTL, "check"]):
        done = subprocess.run([*command, tmp_path / "rules.yaml"],
                              capture_output=True, text=True)
        assert done.returncode == EXIT_CONFIG
        found = messages_of(done.stdout + done.stderr)
        assert [int(line) for line, _, _ in found] == \
            sorted(int(line) for line, _, _ in found)
        assert {3, 5, 6, 8} <= {int(line) for line, _, _ in found}
        done = subprocess.run([*command, tmp_path / "good.yaml"])
        assert done.returncode == 0
    done = subprocess.run([XCTCTL, "check", "-"], input=BROKEN, text=True,
                          capture_output=True)
    assert done.returncode == EXIT_CONFIG


@pytest.mark.parametrize("text", [
    "filter: [", "filter: {forward: {default: drop}, forward: {}}",
    "\t- x", "nat: {a: b}", "filter: &a {forward: *b}", "\0", "\xff",
    "- " * 5000, "[" * 5000, "a: " * 5000, "nat: [{masquerade: yes, snat: 1.2.3.4}]"])
def test_malformed_yaml_ends_in_errors_with_positions(tmp_path, text):
    path = tmp_path / "rules.yaml"
    path.write_text(text, encoding="latin-1")
    done = subprocess.run([XCTD, "--check", "-c", path], capture_output=True,
                          text=True, timeout=10)
    assert done.returncode == EXIT_CONFIG
    assert re.search(r"rules\.yaml:\d+:\d+: ", done.stdout + done.stderr)


def test_flows_stay_translated_when_their_rule_is_gone(lab):
    xctd = lab.start_xctd(MASQUERADE)
    peers = lab.echo(lab.server, SERVER, 7)
    with lab.client.udp_socket(CLIENT, 4000) as sock:
        sock.sendto(b"one", (SERVER, 7))
        assert sock.recv(9) == b"one"
        xctd.reload(OPEN)
        sock.sendto(b"two", (SERVER, 7))
        assert sock.recv(9) == b"two"
    assert {addr for addr, _ in peers} == {WAN}


LOCAL = "-A XCT-PRE -m addrtype --dst-type LOCAL -g XCT-EARLY"


def is_answered(lab):
    with lab.client.udp_socket(CLIENT, 4000) as sock:
        sock.sendto(b"x", (SERVER, 7))
        return sock.recv(9) == b"x"


@pytest.mark.parametrize("how", ["by hand", "loaded", "before the start"])
def test_a_flow_that_no_rule_translates_is_answered(lab, how):
    path = lab.dir / "flows"
    is_kept = how == "before the start"
    snapshot = f"settings: {{snapshot: {path}}}\n"
    xctd = lab.start_xctd((snapshot + MASQUERADE) if is_kept else OPEN)
    peers = lab.echo(lab.server, SERVER, 7)
    if not is_kept:
        assert LOCAL not in hooks_left(lab.router)
        xctd.ctl("-I", *f"-p udp -s {CLIENT} -d {SERVER} --sport 4000 "
                 f"--dport 7 -n {WAN} -t 60".split())
    assert is_answered(lab)
    if how == "loaded":
        xctd.ctl("save", str(path))
    if how != "by hand":
        xctd.stop()
        xctd = lab.start_xctd(snapshot + OPEN if is_kept else OPEN)
    if how == "loaded":
        assert LOCAL not in hooks_left(lab.router)
        xctd.ctl("load", str(path))
    assert hooks_left(lab.router).count(LOCAL) == 2  # of IPv4 and IPv6
    assert is_answered(lab)
    assert set(peers) == {(WAN, 4000)}


def test_a_port_forward_added_by_reload_works_at_once(lab):
    xctd = lab.start_xctd(MASQUERADE)
    lab.nginx(lab.client, 80)
    xctd.reload(MASQUERADE + '  - {name: web, in: wan0, proto: tcp, '
                'dport: 8080, dnat: "10.0.0.2:80"}\n')
    assert curl(lab.server, f"http://{WAN}:8080/whoami").split()[0] == SERVER


def test_reloads_lose_no_packet(routed):
    xctd = routed.start_xctd(OPEN)
    pinging = routed.client.start(
        "ping", "-n", "-q", "-i", "0.01", "-c", "100", SERVER,
        stdout=subprocess.PIPE, text=True)
    reloads = 0
    while pinging.poll() is None:
        xctd.reload(OPEN if reloads % 2 else MASQUERADE + OPEN)
        reloads += 1
    assert reloads > 2
    assert "100 received" in pinging.stdout.read()


def test_hooks_manual_leaves_them_to_the_operator(routed):
    xctd = routed.start_xctd("hooks: manual\n" + MASQUERADE + CLOSED)
    assert hooks_left(routed.router) == ""
    assert ping(routed.client, SERVER)  # nothing is queued yet
    for family, tool in ("ipv4", "iptables"), ("ipv6", "ip6tables"):
        text = xctd.ctl("hooks", family).stdout
        routed.router.run(tool + "-restore", "--noflush", input=text)
    assert "NFQUEUE" in hooks_left(routed.router)
    assert not ping(routed.client, SERVER, wait=0.2)
    # What the operator installed, the operator removes.
    xctd.process.terminate()
    xctd.process.wait(10)
    assert xctd.process.returncode == 0
    assert "NFQUEUE" in hooks_left(routed.router)
    for tool in "iptables", "ip6tables":
        for table in "raw", "mangle":
            routed.router.run(tool, "-t", table, "-F")
            routed.router.run(tool, "-t", table, "-X")


def run_xctd(lab, *args, prefix=(), policy=OPEN, env=None):
    """xctd that is expected to end by itself: exit code and what it said."""
    config = lab.dir / "other.yaml"
    config.write_text(policy)
    done = lab.router.run(*prefix, XCTD, "-c", str(config), *args, check=False,
                          timeout=20, env=env)
    return done.returncode, done.stderr


def test_a_second_xctd_on_the_socket_is_refused(routed):
    xctd = routed.start_xctd(OPEN)
    code, said = run_xctd(routed, "-s", xctd.sock)
    assert code == EXIT_RUNNING and said.count("\n") <= 2
    assert xctd.ctl("status").returncode == 0
    assert "NFQUEUE" in hooks_left(routed.router)
    assert ping(routed.client, SERVER)


def test_two_cannot_manage_the_same_hooks(routed):
    xctd = routed.start_xctd(CLOSED)
    other = str(routed.dir / "other.sock")
    code, said = run_xctd(routed, "-s", other, "--queue", "100")
    assert code == EXIT_RUNNING and "hooks: manual" in said
    assert "NFQUEUE" in hooks_left(routed.router)  # the first one's
    assert not ping(routed.client, SERVER, wait=0.2)
    assert xctd.is_alive()


def test_a_queue_in_use_is_refused(routed):
    xctd = routed.start_xctd(OPEN)
    other = str(routed.dir / "other.sock")
    code, said = run_xctd(routed, "-s", other)
    assert code == EXIT_QUEUE and "queue" in said
    assert not os.path.exists(other)
    assert "NFQUEUE" in hooks_left(routed.router)  # the first one's
    assert ping(routed.client, SERVER) and len(xctd.list()) == 1


def test_a_stale_socket_is_taken_over(routed):
    xctd = routed.start_xctd(OPEN)
    xctd.process.kill()
    xctd.process.wait()
    assert os.path.exists(xctd.sock)
    xctd._start(())
    assert ping(routed.client, SERVER)


def test_a_start_that_is_refused_is_no_stop(routed):
    path = str(routed.dir / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        code, _ = run_xctd(routed, "-s", str(routed.dir / "x"), policy=BROKEN,
                           env={**os.environ, "NOTIFY_SOCKET": path})
        assert code == EXIT_CONFIG
        notify.setblocking(False)
        with pytest.raises(BlockingIOError):
            notify.recv(4096)


def test_without_the_capability_it_says_so(routed):
    code, said = run_xctd(routed, "-s", str(routed.dir / "x"),
                          prefix=("setpriv", "--bounding-set=-net_admin"))
    assert code == EXIT_CAPABILITY and "CAP_NET_ADMIN" in said
    assert hooks_left(routed.router) == ""


def test_without_iptables_it_says_so(routed):
    code, said = run_xctd(routed, "-s", str(routed.dir / "x"),
                          prefix=("unshare", "--mount", "sh", "-c",
                                  "mount -t tmpfs none /usr/sbin && "
                                  "exec \"$0\" \"$@\""))
    assert code == EXIT_MISSING and "iptables" in said


def test_a_bad_configuration_is_not_started(routed):
    code, said = run_xctd(routed, "-s", str(routed.dir / "x"), policy=BROKEN)
    assert code == EXIT_CONFIG and {"3", "8"} <= {
        n for n in re.findall(r"other\.yaml:(\d+):", said)}
    assert hooks_left(routed.router) == ""


def test_a_missing_configuration_is_named(routed):
    code, said = run_xctd(routed, "-s", str(routed.dir / "x"), "-c",
                          "/nonexistent.yaml")
    assert code == EXIT_CONFIG and "/nonexistent.yaml" in said


@pytest.mark.parametrize("args", [["--nonsense"], ["--queue", "x"],
                                  ["--queue", "70000"], ["--workers", "-1"],
                                  ["word"]])
def test_wrong_usage(args):
    done = subprocess.run([XCTD, *args], capture_output=True, text=True,
                          timeout=10)
    assert done.returncode == EXIT_USAGE and done.stderr


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_queue_and_workers_can_be_chosen(routed, workers):
    xctd = routed.start_xctd(MASQUERADE, "--queue", "40", "--workers",
                             str(workers))
    queues = routed.router.run(
        "cat", "/proc/net/netfilter/nfnetlink_queue").stdout.splitlines()
    assert [int(line.split()[0]) for line in queues] == \
        list(range(40, 40 + workers))
    routed.nginx(routed.server, 80)
    for _ in range(10):
        assert curl(routed.client,
                    f"http://{SERVER}/whoami").split()[0] == WAN
        assert curl(routed.client, f"http://[{SERVER6}]/whoami")
    assert xctd.hits("internet") == 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_clean_stop_leaves_the_operators_rules_alone(routed, number):
    for tool in "iptables", "ip6tables":
        routed.router.run(tool, "-t", "mangle", "-A", "FORWARD", "-m",
                          "comment", "--comment", "mine", "-j", "ACCEPT")
        routed.router.run(tool, "-t", "raw", "-N", "MYCHAIN")
    xctd = routed.start_xctd(MASQUERADE)
    xctd.process.send_signal(number)
    xctd.process.wait(10)
    xctd.stop()
    for save in "iptables-save", "ip6tables-save":
        left = routed.router.run(save).stdout
        assert "--comment mine" in left and ":MYCHAIN" in left
    assert ping(routed.client, SERVER)


@pytest.mark.parametrize("policy, gets_through", [
    ("settings: {queue: {on-failure: accept}}\n", True),
    ("settings: {queue: {on-failure: drop}}\n", False), ("{}\n", False)])
def test_what_happens_when_xctd_dies_is_the_policys_choice(routed, policy,
                                                           gets_through):
    xctd = routed.start_xctd(policy)
    assert ping(routed.client, SERVER)
    xctd.process.kill()
    xctd.process.wait()
    assert ping(routed.client, SERVER, wait=0.3) is gets_through
    xctd._start(())
    assert ping(routed.client, SERVER)
