# SPDX-License-Identifier: GPL-2.0-or-later
"""What clients see of a router is the same with xct as with the kernel.

ask() of each test puts real clients to work in a lab and returns what they
saw; a lab tracked by the kernel and one tracked by xct have to agree.
"""

import re
import socket
import struct
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from lab import (CLIENT, CLIENT6, LAN_GW, LAN_GW6, SERVER, SERVER6, WAN, WAN6,
                 connect, family_of, wait_for)
from twin import Twin

MASQUERADE = ["-t nat -A POSTROUTING -o wan0 -j MASQUERADE",
              "6 -t nat -A POSTROUTING -o wan0 -j MASQUERADE"]
NAT = "nat: [{out: wan0, masquerade: yes}]\n"
DROP_INVALID = [f"{version}-I {chain} -m conntrack --ctstate INVALID -j DROP"
                for version in ("", "6 ") for chain in ("FORWARD", "INPUT")]
FILTER = "filter: {invalid: drop}\n"


@pytest.fixture
def gateways(make_lab):
    """Two that masquerade and drop what is INVALID."""
    return Twin(make_lab, MASQUERADE + DROP_INVALID, NAT + FILTER)


@pytest.fixture
def routers(make_lab):
    """Two that drop what is INVALID, and translate nothing."""
    return Twin(make_lab, DROP_INVALID, FILTER, routed=True)


def seen_by_both(twin, ask):
    kernel, ours = (ask(lab) for lab in twin.labs)
    assert ours == kernel
    return ours


HOPS = {"-4": [LAN_GW, SERVER], "-6": [LAN_GW6, SERVER6]}


@pytest.mark.parametrize("family", HOPS)
@pytest.mark.parametrize("method", ["udp", "icmp", "tcp"])
def test_traceroute(gateways, family, method):
    def ask(lab):
        lab.server.run("sysctl", "-q", "net.ipv4.icmp_ratelimit=0",
                       "net.ipv6.icmp.ratelimit=0")
        lab.router.run("sysctl", "-q", "net.ipv4.icmp_ratelimit=0",
                       "net.ipv6.icmp.ratelimit=0")
        out = lab.client.run("traceroute", family, "-n", "-M", method, "-w",
                             "2", "-m", "5", HOPS[family][-1]).stdout
        # Of a hop: its number, its address, and three times in ms.
        return [re.sub(r"[0-9.]+ ms", "ms", line).split()
                for line in out.splitlines()[1:]]

    hops = seen_by_both(gateways, ask)
    assert [hop[1] for hop in hops] == HOPS[family]
    assert all(hop[2:] == ["ms"] * 3 for hop in hops)


@pytest.mark.parametrize("dst", [SERVER, SERVER6])
def test_tracepath_finds_the_narrow_link(gateways, dst):
    def ask(lab):
        lab.router.ip("link set wan0 mtu 1400")
        lab.server.ip("link set eth0 mtu 1400")
        out = lab.client.run("tracepath", "-n", "-m", "5", dst).stdout
        return sorted(set(re.findall(r"pmtu \d+|reached", out)))

    assert seen_by_both(gateways, ask) == ["pmtu 1400", "pmtu 1500", "reached"]


def path_mtu(ns, dst):
    found = re.search(r"mtu (\d+)", ns.run("ip", "route", "get", dst).stdout)
    return int(found[1]) if found else None


def send_all(sender, receiver, size):
    got = 0
    view = memoryview(bytes(size))
    while got < size:
        if view:
            view = view[sender.send(view[:65536]):]
        got += len(receiver.recv(1 << 20))
    return got


@pytest.mark.parametrize("src, dst", [(CLIENT, SERVER), (CLIENT6, SERVER6)])
def test_tcp_learns_the_path_mtu_both_ways(gateways, src, dst):
    """One link of the router is narrow, and then the other: a side that sends
    into it has to hear of it from the router, the server through the NAT."""
    def ask(lab):
        seen = []
        with lab.server.listen(dst, 7000) as listener:
            ours = connect(lab.client, dst, 7000, src)
            theirs, (peer, *_) = listener.accept()
        theirs.settimeout(5)
        with ours, theirs:
            lab.router.ip("link set wan0 mtu 1400")
            seen += [send_all(ours, theirs, 300000), path_mtu(lab.client, dst)]
            lab.router.ip("link set wan0 mtu 1500", "link set lan0 mtu 1300")
            seen += [send_all(theirs, ours, 300000), path_mtu(lab.server, peer)]
        return seen

    assert seen_by_both(gateways, ask) == [300000, 1400, 300000, 1300]


@pytest.mark.parametrize("src, dst, outside", [(CLIENT, SERVER, WAN),
                                               (CLIENT6, SERVER6, WAN6)])
def test_large_udp(gateways, src, dst, outside):
    sizes = [1, 1472, 1473, 4000, 20000, 65000]

    def ask(lab):
        seen = []
        peers = lab.echo(lab.server, dst, 7)
        with lab.client.udp_socket(src, 5353) as sock:
            for size in sizes:
                sock.sendto(bytes(size), (dst, 7))
                seen.append(len(sock.recv(70000)))
        return seen, sorted(set(peers))

    assert seen_by_both(gateways, ask) == (sizes, [(outside, 5353)])


SCANS = ["-sS", "-sA", "-sF", "-sX", "-sN", "-sM", "-sW", "-sU", "-sT"]


@pytest.mark.parametrize("target", [SERVER, LAN_GW])
def test_nmap_against_a_policy_that_drops_invalid(routers, target):
    """The server and the router itself, with one open port, one that is
    closed and one behind a firewall of its own."""
    def ask(lab):
        host = lab.server if target == SERVER else lab.router
        seen, running = {}, {}
        host.run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "23", "-j",
                 "DROP")
        for ns in lab.server, lab.router:
            ns.run("sysctl", "-q", "net.ipv4.icmp_ratelimit=0",
                   "net.ipv4.icmp_msgs_per_sec=100000")
        with host.listen(target, 80), host.udp_socket(target, 53):
            for scan in SCANS:
                running[scan] = lab.client.start(
                    "nmap", "-n", "-Pn", "--max-retries", "1", "-T5",
                    "--min-rtt-timeout", "300ms", "--initial-rtt-timeout",
                    "300ms", scan, "-p", "22,23,53,80", "-oX",
                    str(lab.dir / scan), target, stdout=subprocess.DEVNULL)
            for scan, process in running.items():
                assert process.wait(30) == 0
                found = ElementTree.parse(lab.dir / scan)
                seen[scan] = [(port.get("portid"), state.get("state"),
                               state.get("reason"))
                              for port in found.iter("port")
                              for state in port.iter("state")]
        return seen

    seen = seen_by_both(routers, ask)
    assert seen["-sS"] == [("22", "closed", "reset"),
                           ("23", "filtered", "no-response"),
                           ("53", "closed", "reset"),
                           ("80", "open", "syn-ack")]
    # Christmas trees, FINs out of nowhere and the like are INVALID.
    for scan in "-sF", "-sX", "-sN":
        assert {reason for _, _, reason in seen[scan]} == {"no-response"}


def question(number, kind):
    return struct.pack("!6H", number, 0x100, 1, 0, 0, 0) + \
        b"\3www\7example\0" + struct.pack("!HH", kind, 1)


@pytest.mark.parametrize("dst", [SERVER, SERVER6])
def test_parallel_dns_queries_from_one_socket(gateways, dst):
    """As a resolver asks for A and AAAA at once: the second question may not
    be lost because the first one's flow is still being made."""
    def ask(lab):
        lab.dnsmasq(lab.server, **{"www.example": "192.0.2.80"})
        answered = []
        for number in range(200):
            with lab.client.socket(family_of(dst), socket.SOCK_DGRAM) as sock:
                sock.connect((dst, 53))
                sock.send(question(2 * number, 1))
                sock.send(question(2 * number + 1, 28))
                for _ in range(2):
                    answered.append(sock.recv(512)[:2])
        return len(set(answered))

    assert seen_by_both(gateways, ask) == 400


def test_what_stun_says_of_the_nat(gateways):
    def ask(lab):
        lab.server.ip("addr add 192.0.2.3/24 dev eth0")
        lab.server.start("stund", "-h", SERVER, "-a", "192.0.2.3", "-b")
        wait_for(lambda: lab.server.listening(3478, udp=True), "stund")
        done = lab.client.run("stun", SERVER, "-p", "20000", check=False)
        return re.findall(r"Primary: .*", done.stdout), done.returncode

    (verdict,), _ = seen_by_both(gateways, ask)
    assert "Independent Mapping, Port Dependent Filter" in verdict
    assert "preserves ports" in verdict


@pytest.mark.parametrize("src, dst, outside", [(CLIENT, SERVER, WAN),
                                               (CLIENT6, SERVER6, WAN6)])
def test_simultaneous_open_through_the_nat(gateways, src, dst, outside):
    """Both ends call each other, as peers that punch holes do: the server does
    not answer the client's SYN but sends its own."""
    def ask(lab):
        tool = "ip6tables" if ":" in dst else "iptables"
        closed = ("OUTPUT", "-p", "tcp", "--tcp-flags", "RST", "RST", "-j",
                  "DROP")
        lab.server.run(tool, "-A", *closed)
        with lab.client.socket(family_of(dst), socket.SOCK_STREAM) as ours, \
                lab.server.socket(family_of(dst), socket.SOCK_STREAM) as theirs:
            ours.bind((src, 5000))
            ours.setblocking(False)
            ours.connect_ex((dst, 6000))
            # Once it is on the server's doorstep, it is in the tables too.
            wait_for(lambda: " 0 " not in lab.server.run(
                tool, "-nvxL", "OUTPUT").stdout.splitlines()[2], "the SYN")
            theirs.bind((dst, 6000))
            theirs.connect((outside, 5000))
            ours.settimeout(5)
            ours.sendall(b"ping")
            heard = theirs.recv(9)
            theirs.sendall(b"pong")
            return heard, ours.recv(9)

    assert seen_by_both(gateways, ask) == (b"ping", b"pong")
    # How often the SYN had to be sent is a matter of timing.
    (kernel,), (ours,) = gateways.kernel.list(), gateways.xctd.list()
    assert [ours[field] for field in ("state", "flags")] == \
        [kernel[field] for field in ("state", "flags")]
