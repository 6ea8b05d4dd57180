# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules let in, keep out and answer."""

import socket

import pytest

from lab import (CLIENT, CLIENT6, LAN_GW, LAN_GW6, SERVER, SERVER6, WAN,
                 can_connect, connect, curl, is_dropped, ping, wait_for)


def forward(*rules, default="drop", head=""):
    lines = "".join(f"      - {{{rule}}}\n" for rule in rules)
    return (f"{head}\nfilter:\n  forward:\n    default: {default}\n" +
            ("    rules:\n" + lines if rules else ""))


def gets_through(lab, dport, dst=SERVER):
    """To the server, which answers: it accepts or refuses."""
    return can_connect(lab.client, dst, dport) in (True, "refused")


@pytest.mark.parametrize("chain, ns, dst", [
    ("forward", "client", SERVER), ("forward", "client", SERVER6),
    ("input", "client", LAN_GW), ("input", "client", LAN_GW6),
    ("output", "router", SERVER), ("output", "router", SERVER6)])
def test_default_drop(routed, chain, ns, dst):
    policy = "filter:\n  {}: {{default: {}}}\n"
    source = getattr(routed, ns)
    xctd = routed.start_xctd(policy.format(chain, "accept"))
    assert ping(source, dst)
    xctd.reload(policy.format(chain, "drop"))
    xctd.ctl("flush")
    before = xctd.dropped("default")
    assert not ping(source, dst, wait=0.2)
    assert is_dropped(source, dst, 9)
    assert xctd.dropped("default") >= before + 2


CONDITIONS = [
    # rule, port that passes, port that does not (None: nothing to tell apart)
    ("proto: tcp, dport: 80, accept: yes", 80, 81),
    ("proto: tcp, dport: [80, 90], accept: yes", 90, 85),
    ("proto: tcp, dport: 80-90, accept: yes", 85, 91),
    ("proto: tcp, dport: web, accept: yes", 443, 444),
    ("in: lan0, out: wan0, accept: yes", 80, None),
    ("in: 'lan*', accept: yes", 80, None),
    ("in: inside, out: outside, accept: yes", 80, None),
    ("src: 10.0.0.0/24, accept: yes", 80, None),
    ("src: hosts, dst: 192.0.2.2, accept: yes", 80, None),
    ("dst: 192.0.2.0-192.0.2.3, accept: yes", 80, None),
    ("state: [new, established], accept: yes", 80, None),
    ("proto: [udp, tcp], dport: 80, accept: yes", 80, 81),
]

NAMES = """
interfaces: {inside: [lan0], outside: ["wan*"]}
sets:
  web: [80, 443]
  hosts: [10.0.0.2, 10.9.0.0/16]
"""


@pytest.mark.parametrize("rule, passes, fails", CONDITIONS,
                         ids=[row[0] for row in CONDITIONS])
def test_a_condition_accepts_what_it_names(routed, rule, passes, fails):
    routed.start_xctd(forward(rule, head=NAMES))
    assert gets_through(routed, passes)
    if fails:
        assert is_dropped(routed.client, SERVER, fails)


MISMATCHES = ["in: wan0, accept: yes", "out: lan0, accept: yes",
              "in: 'wan*', accept: yes", "src: 10.0.1.0/24, accept: yes",
              "dst: 192.0.2.3, accept: yes", "proto: udp, accept: yes",
              "state: established, accept: yes",
              "translated: dnat, accept: yes"]


@pytest.mark.parametrize("rule", MISMATCHES)
def test_a_condition_that_fails_does_not_accept(routed, rule):
    routed.start_xctd(forward(rule))
    assert is_dropped(routed.client, SERVER, 80)


def test_icmp_type_lets_ping_through_and_nothing_else(routed):
    routed.start_xctd(forward(
        "proto: icmp, icmp-type: echo-request, accept: yes",
        "proto: icmpv6, icmp-type: echo-request, accept: yes"))
    assert ping(routed.client, SERVER) and ping(routed.client, SERVER6)
    assert is_dropped(routed.client, SERVER, 80)
    assert is_dropped(routed.client, SERVER6, 80)


def test_first_match_wins(routed):
    routed.start_xctd(forward("proto: tcp, dport: 80, drop: yes",
                              "proto: tcp, dport: 80-81, accept: yes"))
    assert is_dropped(routed.client, SERVER, 80)
    assert gets_through(routed, 81)
    assert routed.xctd.dropped("rule") >= 1


@pytest.mark.parametrize("how", ["yes", "tcp-reset"])
@pytest.mark.parametrize("dst", [SERVER, SERVER6])
def test_reject_answers_tcp_with_a_reset(routed, how, dst):
    routed.start_xctd(forward(f"proto: tcp, reject: {how}", default="accept"))
    with routed.server.listen(dst, 80):
        assert can_connect(routed.client, dst, 80) == "refused"
    assert routed.xctd.dropped("reject") == 1


@pytest.mark.parametrize("dst, src", [(SERVER, CLIENT), (SERVER6, CLIENT6)])
def test_reject_answers_udp_with_port_unreachable(routed, dst, src):
    routed.start_xctd(forward("proto: udp, reject: yes", default="accept"))
    with routed.client.udp_socket(src) as sock:
        sock.connect((dst, 7))
        sock.send(b"hello")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(9)


@pytest.mark.parametrize("chain, ns, dst", [
    ("input", "client", LAN_GW), ("input", "client", LAN_GW6),
    ("output", "router", SERVER), ("output", "router", SERVER6)])
def test_reject_works_for_the_router_itself(routed, chain, ns, dst):
    routed.start_xctd(f"filter: {{{chain}: {{default: accept, rules: "
                      "[{proto: tcp, dport: 80, reject: yes}]}}")
    target = routed.router if chain == "input" else routed.server
    with target.listen(dst, 80), target.listen(dst, 81):
        source = getattr(routed, ns)
        assert can_connect(source, dst, 81) is True
        assert can_connect(source, dst, 80) == "refused"


def test_reject_as_default(routed):
    routed.start_xctd(forward("proto: tcp, dport: 80, accept: yes",
                              default="reject"))
    with routed.server.listen(SERVER, 80), routed.server.listen(SERVER, 81):
        assert can_connect(routed.client, SERVER, 80) is True
        assert can_connect(routed.client, SERVER, 81) == "refused"


def test_a_rejected_connection_leaves_no_entry(routed):
    routed.start_xctd(forward("proto: tcp, reject: yes", default="accept"))
    assert can_connect(routed.client, SERVER, 80) == "refused"
    assert routed.xctd.list("-p", "tcp") == []


def test_log_says_which_rule_and_which_connection(routed):
    routed.start_xctd(forward(
        "name: noted, proto: tcp, dport: 80, log: yes, accept: yes"))
    assert gets_through(routed, 80)

    def line():
        return [text for text in routed.xctd.messages().splitlines()
                if "noted" in text and CLIENT in text and SERVER in text]
    wait_for(line, "a log line with the rule's name and the addresses")


def test_established_flows_outlive_the_rule_that_let_them_in(routed):
    routed.start_xctd(forward("proto: tcp, dport: 7000, accept: yes"))
    with routed.server.listen(SERVER, 7000) as listener, \
            connect(routed.client, SERVER, 7000) as sock:
        peer, _ = listener.accept()
        with peer:
            routed.xctd.reload(forward())
            sock.sendall(b"still here")
            assert peer.recv(99) == b"still here"
            peer.sendall(b"so am I")
            assert sock.recv(99) == b"so am I"
            assert is_dropped(routed.client, SERVER, 7000)


def test_answers_to_what_went_out_come_back_in(routed):
    routed.start_xctd("filter: {input: {default: drop}, "
                      "output: {default: accept}}")
    assert ping(routed.router, SERVER)
    assert not ping(routed.server, WAN, wait=0.2)
    with routed.server.listen(SERVER, 80):
        assert can_connect(routed.router, SERVER, 80) is True
    with routed.router.listen(WAN, 80):
        assert is_dropped(routed.server, WAN, 80)


def test_errors_about_an_accepted_flow_are_related_and_pass(routed):
    routed.start_xctd(forward("in: lan0, proto: udp, accept: yes"))
    with routed.client.udp_socket(CLIENT) as sock:
        sock.connect((SERVER, 9))  # nobody there: port unreachable
        sock.send(b"hello")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(9)


def test_a_dropped_connection_leaves_no_entry(routed):
    routed.start_xctd(forward())
    assert is_dropped(routed.client, SERVER, 80)
    assert routed.xctd.list("-p", "tcp", "-s", CLIENT) == []


def test_neighbour_discovery_is_never_in_the_way(routed):
    routed.start_xctd("filter: {input: {default: drop}, "
                      "output: {default: drop}, forward: {default: accept}}")
    for ns in routed.client, routed.server, routed.router:
        ns.run("ip", "-6", "neigh", "flush", "all", check=False)
    assert ping(routed.client, SERVER6)


def test_invalid_packets_are_dropped_or_not_as_the_policy_says(routed):
    # A bare ACK with loose pickup off fits no connection.
    policy = ("settings: {{tcp: {{loose: no}}}}\nfilter:\n  invalid: {}\n"
              "  forward: {{default: accept}}\n")
    xctd = routed.start_xctd(policy.format("drop"))
    with routed.server.listen(SERVER, 7000) as listener, \
            connect(routed.client, SERVER, 7000) as sock:
        peer, _ = listener.accept()
        peer.settimeout(0.3)
        with peer:
            xctd.ctl("flush")
            sock.sendall(b"lost")
            with pytest.raises(socket.timeout):
                peer.recv(9)
            xctd.reload(policy.format("accept"))
            peer.settimeout(5)
            assert peer.recv(9) == b"lost"  # by retransmission


def test_the_mark_of_a_rule_is_seen_in_the_list(routed):
    routed.start_xctd(forward("proto: tcp, mark: 7", default="accept"))
    with routed.server.listen(SERVER, 80):
        assert can_connect(routed.client, SERVER, 80) is True
    (entry,) = routed.xctd.list("-p", "tcp")
    assert entry["mark"] == 7
    assert len(routed.xctd.list("-m", "7")) == 1
    assert routed.xctd.list("-m", "8") == []


def test_what_is_bridged_is_forwarded(routed):
    """Where br_netfilter shows bridged packets to the IP hooks."""
    router = routed.router
    host = routed.namespace("b")
    router.ip("link add br0 type bridge", "link set br0 up",
              "addr del 10.0.0.1/24 dev lan0", "link set lan0 master br0",
              "addr add 10.0.0.1/24 dev br0",
              "link add port1 type veth peer name eth0 netns " + host.name,
              "link set port1 up master br0")
    host.ip("link set eth0 up", "addr add 10.0.0.9/24 dev eth0")
    sysctl = router.run("sysctl", "-n", "net.bridge.bridge-nf-call-iptables",
                        check=False)
    if sysctl.stdout.strip() != "1":
        pytest.skip("no br_netfilter here")
    xctd = routed.start_xctd("""
filter:
  forward:
    default: drop
    rules: [{name: bridged, in: br0, out: br0, proto: tcp, accept: yes}]
  output: {default: drop}
""")
    assert not ping(routed.client, "10.0.0.9", wait=0.3)
    assert xctd.json("rules")["policies"][0]["hits"] > 0
    with host.listen("10.0.0.9", 80):
        assert can_connect(routed.client, "10.0.0.9", 80) is True
    assert xctd.hits("bridged") == 1


def test_the_kernel_may_translate_what_is_not_translated_here(lab):
    """Docker's rules, say, beside a policy that only filters."""
    rules = ["in: lan0, out: wan0, accept: yes",
             f"in: wan0, proto: tcp, dst: {CLIENT}, dport: 80, accept: yes"]
    lab.router.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "wan0",
                   "-j", "MASQUERADE")
    lab.router.run("iptables", "-t", "nat", "-A", "PREROUTING", "-i", "wan0",
                   "-p", "tcp", "--dport", "8080", "-j", "DNAT", "--to",
                   f"{CLIENT}:80")
    for ns in lab.client, lab.server:
        lab.nginx(ns, 80)
    xctd = lab.start_xctd(forward(*rules))

    def kernel_entries():
        return lab.router.run("conntrack", "-L", "-p", "tcp").stdout

    assert curl(lab.client, f"http://{SERVER}/whoami").split()[0] == WAN
    assert curl(lab.server, f"http://{WAN}:8080/whoami").split()[1] == CLIENT
    assert len(kernel_entries().splitlines()) == 2
    assert {e["orig"]["dst"] for e in xctd.list("-p", "tcp")} == {SERVER,
                                                                  CLIENT}
    assert not xctd.list("--any-nat")

    # What is translated here is not the kernel's any more.
    xctd.reload(forward(rules[0], head="nat: [{out: wan0, masquerade: yes}]"))
    xctd.ctl("flush")
    lab.router.run("conntrack", "-F")
    assert curl(lab.client, f"http://{SERVER}/whoami").split()[0] == WAN
    assert not kernel_entries()
    assert xctd.list("--src-nat")

    # And is again when no flow needs that any more.
    xctd.reload(forward(*rules))
    xctd.ctl("flush")
    wait_for(lambda: "notrack" not in lab.router.run(
        "iptables", "-t", "raw", "-S", "XCT-RAW").stdout, "the hooks", 40)
    assert curl(lab.client, f"http://{SERVER}/whoami").split()[0] == WAN
    assert kernel_entries() and not xctd.list("--any-nat")
