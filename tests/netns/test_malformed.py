# SPDX-License-Identifier: GPL-2.0-or-later
"""Malformed packets end in a reason and a counter; xctd goes on."""

import random
import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoReply,
                                ICMPv6EchoRequest, IPv6,
                                IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
                                IPv6ExtHdrHopByHop, IPv6ExtHdrRouting)
from scapy.layers.sctp import SCTP, SCTPChunkAbort, SCTPChunkInit

from lab import (CLIENT, LAN_GW, SERVER, SERVER6, connect, ping,
                 wait_for)
from raw import RawHost

V4 = IP(src="10.0.0.77", dst=SERVER)
V6 = IPv6(src="fd00:a::77", dst=SERVER6)
POLICY = """
nat:
  - {out: wan0, masquerade: yes}
filter:
  invalid: drop
"""


def quote(packet, **icmp):
    """An ICMP error about @packet, which may be bytes."""
    return V4 / ICMP(**{"type": 3, "code": 1, **icmp}) / bytes(packet)


def truncated(packet, n):
    """An IPv4 packet of which only @n bytes after the IP header are there; the
    IP header agrees, so that the kernel hands it on.
    """
    head = IP(bytes(packet))
    rest = bytes(head.payload)[:n]
    head.remove_payload()
    head.len = 20 + n
    head.chksum = None
    return bytes(head) + rest


def in_ipv6(next_header, payload):
    return bytes(IPv6(src=V6.src, dst=V6.dst, nh=next_header,
                      plen=len(payload))) + payload


def udplite(coverage, checksum):
    return IP(src=V4.src, dst=V4.dst, proto=136) / \
        struct.pack("!HHHH", 1, 2, coverage, checksum) / b"payload"


SCTP_INIT = bytes(V4 / SCTP(sport=1, dport=2) / SCTPChunkInit())
SYN = TCP(sport=1000, dport=80, flags="S")
UNKNOWN = IP(src=SERVER, dst="10.0.0.99") / UDP(sport=1, dport=2)

CASES = {
    # name: (packet, reason)
    "TCP checksum wrong": (V4 / TCP(flags="S", chksum=1),
                           "checksum-tcp"),
    "UDP checksum wrong": (V4 / UDP(chksum=1) / b"x", "checksum-udp"),
    "ICMP checksum wrong": (V4 / ICMP(chksum=1), "checksum-icmp"),
    "TCP over IPv6 checksum wrong": (V6 / TCP(flags="S", chksum=1),
                                     "checksum-tcp"),
    "UDP over IPv6 checksum wrong": (V6 / UDP(chksum=1) / b"x",
                                     "checksum-udp"),
    "ICMPv6 checksum wrong": (V6 / ICMPv6EchoRequest(cksum=1),
                              "checksum-icmpv6"),
    "UDP-Lite checksum wrong": (udplite(8, 1), "checksum-udplite"),
    "UDP-Lite without checksum": (udplite(8, 0), "checksum-udplite"),
    "UDP-Lite covering half its header": (udplite(4, 1), "l4-short"),
    "SCTP checksum wrong": (SCTP_INIT[:-1] + b"\x77", "checksum-sctp"),
    "SCTP without chunks": (V4 / SCTP(sport=1, dport=2), "sctp-chunks"),
    "SCTP INIT and another chunk": (
        V4 / SCTP(sport=1, dport=2) / SCTPChunkInit() / SCTPChunkAbort(),
        "sctp-chunks"),
    "SCTP ABORT first": (V4 / SCTP(sport=1, dport=2) / SCTPChunkAbort(),
                         "sctp-not-open"),
    "SCTP INIT with a tag": (
        V4 / SCTP(sport=1, dport=2, tag=7) / SCTPChunkInit(), "sctp-vtag"),
    "GRE version 1 with other than PPP": (
        IP(src=V4.src, dst=V4.dst, proto=47) /
        (b"\x20\x01\x08\x00" + bytes(8)),
        "gre-protocol"),
    "TCP SYN+FIN": (V4 / TCP(flags="SF"), "tcp-flags"),
    "TCP SYN+RST": (V4 / TCP(flags="SR"), "tcp-flags"),
    "TCP without flags": (V4 / TCP(flags=""), "tcp-flags"),
    "TCP XMAS": (V4 / TCP(flags="FPU"), "tcp-flags"),
    "TCP FIN alone": (V4 / TCP(flags="F"), "tcp-flags"),
    "TCP SYN+ACK first": (V4 / TCP(flags="SA"), "tcp-not-open"),
    "TCP RST first": (V4 / TCP(flags="R"), "tcp-not-open"),
    "TCP FIN+ACK over IPv6 first": (V6 / TCP(flags="SA"), "tcp-not-open"),
    "TCP header cut": (truncated(V4 / SYN, 10), "l4-short"),
    "TCP data offset too small": (V4 / TCP(flags="S", dataofs=2), "l4-short"),
    "TCP data offset too large": (V4 / TCP(flags="S", dataofs=15), "l4-short"),
    "UDP header cut": (truncated(V4 / UDP(sport=1, dport=2), 5), "l4-short"),
    "UDP length too large": (V4 / UDP(sport=1, dport=2, len=999) / b"x",
                             "l4-short"),
    "UDP length too small": (V4 / UDP(sport=1, dport=2, len=4) / b"x",
                             "l4-short"),
    "ICMP header cut": (truncated(V4 / ICMP(), 3), "l4-short"),
    "ICMP of unknown type": (V4 / ICMP(type=77), "icmp-type"),
    "ICMP answer that nobody asked for": (V4 / ICMP(type=0, id=5),
                                          "icmp-type"),
    "ICMPv6 answer that nobody asked for": (V6 / ICMPv6EchoReply(id=5),
                                            "icmp-type"),
    "ICMP error about no flow": (quote(UNKNOWN), "icmp-unrelated"),
    "ICMPv6 error about no flow": (
        V6 / ICMPv6DestUnreach() / IPv6(src=SERVER6, dst="fd00:a::99") /
        UDP(sport=1, dport=2), "icmp-unrelated"),
    "ICMP error without a quote": (quote(b""), "icmp-quote"),
    "ICMP error quoting half an IP header": (quote(bytes(UNKNOWN)[:11]),
                                             "icmp-quote"),
    "ICMP error quoting no ports": (quote(bytes(UNKNOWN)[:22]), "icmp-quote"),
    "ICMP error quoting noise": (quote(b"\x45" + b"\xff" * 40), "icmp-quote"),
    "ICMP error quoting another family": (quote(bytes(V6 / UDP())),
                                          "icmp-quote"),
    "IPv6 destination options beyond the packet": (
        in_ipv6(60, struct.pack("BB", 6, 200) + bytes(14)), "ext-header"),
    "IPv6 extension header cut": (in_ipv6(60, b"\x06"), "ext-header"),
}


@pytest.fixture(scope="module")
def net(make_module_lab):
    lab = make_module_lab()
    lab.start_xctd(POLICY)
    lab.raw = RawHost(lab, lab.client, "lan0", V4.src)
    RawHost(lab, lab.client, "lan0", V6.src).close()
    yield lab
    lab.raw.close()


def still_works(lab):
    assert lab.xctd.is_alive()
    assert ping(lab.client, SERVER) and ping(lab.client, SERVER6)


@pytest.mark.parametrize("packet, reason", CASES.values(), ids=CASES.keys())
def test_a_malformed_packet_has_a_reason(net, packet, reason):
    before = net.xctd.dropped(reason)
    listed = len(net.xctd.list())
    net.raw.send(packet)
    wait_for(lambda: net.xctd.dropped(reason) == before + 1,
             f"one more packet counted as {reason}", timeout=3)
    assert len(net.xctd.list()) == listed
    still_works(net)


def test_a_forged_error_does_not_end_a_connection(net):
    """A quote must name the flow; a redirect of a NATed flow never passes."""
    with net.server.listen(SERVER, 7000) as listener, \
            connect(net.client, SERVER, 7000, CLIENT, 5001) as sock:
        peer, _ = listener.accept()
        with peer:
            inner = IP(src=SERVER, dst=CLIENT) / TCP(sport=7000, dport=5002)
            net.raw.send(quote(inner))
            before = net.xctd.dropped("icmp-redirect")
            wan = RawHost(net, net.server, "wan0", "192.0.2.77")
            wan.send(IP(src="192.0.2.77", dst="192.0.2.1") /
                     ICMP(type=5, code=1, gw="192.0.2.99") /
                     IP(src="192.0.2.1", dst=SERVER) /
                     TCP(sport=5001, dport=7000))
            wan.close()
            wait_for(lambda: net.xctd.dropped("icmp-redirect") > before,
                     "the redirect is counted", timeout=3)
            sock.sendall(b"alive")
            assert peer.recv(9) == b"alive"
    still_works(net)


CHAIN = IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / \
    IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt()


def test_a_chain_of_extension_headers_is_walked(net):
    before = net.xctd.list("-f", "ipv6", "-p", "icmpv6")
    net.raw.send(V6 / CHAIN / ICMPv6EchoRequest(id=4242))

    def found():
        return [e for e in net.xctd.list("-f", "ipv6", "-p", "icmpv6")
                if e["orig"]["id"] == 4242 and "UNREPLIED" not in e["flags"]]
    wait_for(found, "the echo and its answer, behind extension headers")
    assert len(before) <= len(net.xctd.list("-f", "ipv6"))
    still_works(net)


def test_fragments_are_translated(net):
    assert ping(net.client, SERVER, args=("-s", "5000"))
    assert ping(net.client, SERVER6, args=("-s", "5000"))
    net.echo(net.server, SERVER, 7)
    with net.client.udp_socket(CLIENT) as sock:
        sock.sendto(b"z" * 20000, (SERVER, 7))
        assert sock.recv(65536) == b"z" * 20000


@pytest.mark.parametrize("packets", [
    [V4 / TCP(flags="S", options=[("MSS", 0)] * 10)],
    [bytes(IP(src=V4.src, dst=SERVER, ihl=4) / SYN)],
    [bytes(IP(src=V4.src, dst=SERVER, ihl=15) / SYN)],
    [bytes(IP(src=V4.src, dst=SERVER, version=7) / SYN)],
    [bytes(IP(src=V4.src, dst=SERVER, len=9999) / SYN)],
    [bytes(IP(src=V4.src, dst=SERVER, len=10) / SYN)],
    [bytes(IP(src=V4.src, dst=SERVER, chksum=1) / SYN)],
    [bytes(V4)[:13]], [b""], [b"\x60"], [bytes(V6)[:33]],
    [bytes(IPv6(src=V6.src, dst=V6.dst, plen=9999) / SYN)],
    [bytes(IPv6(src=V6.src, dst=V6.dst, plen=3) / SYN)],
    [IP(src=V4.src, dst=SERVER, flags="MF", frag=0, id=9) / (b"a" * 24),
     IP(src=V4.src, dst=SERVER, flags=0, frag=1, id=9) / (b"b" * 64)],
    [IP(src=V4.src, dst=SERVER, flags=0, frag=8189, id=8) / (b"c" * 64)],
    [V6 / IPv6ExtHdrFragment(m=1, offset=0, id=7) / (b"d" * 16),
     V6 / IPv6ExtHdrFragment(m=0, offset=1, id=7) / (b"e" * 16)],
    [V6 / IPv6ExtHdrFragment(m=0, offset=8191, id=6) / (b"f" * 64)],
    [V6 / IPv6ExtHdrRouting(type=0, addresses=["::1"] * 3) / SYN],
    [in_ipv6(0, b"\x00\xff" + bytes(6))], [in_ipv6(59, b"")],
    [in_ipv6(43, b"\x06" + b"\xff" * 7)],
])
def test_headers_that_lie_do_no_harm(net, packets):
    for packet in packets:
        net.raw.send(packet)
    still_works(net)


def test_noise_does_no_harm(net):
    """Packets, good and then bent at random, to the router and through it."""
    chance = random.Random(20240601)
    seeds = [V4 / SYN, V4 / UDP() / b"data", V4 / ICMP(id=1), V6 / SYN,
             V6 / UDP() / b"data", V6 / CHAIN / UDP(), quote(UNKNOWN),
             IP(src=V4.src, dst=LAN_GW) / SYN,
             V6 / ICMPv6DestUnreach() / V6 / UDP(),
             V4 / TCP(flags="S", options=[("WScale", 14), ("SAckOK", b""),
                                          ("Timestamp", (1, 2))])]
    seeds = [bytes(seed) for seed in seeds]
    for _ in range(3000):
        packet = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(1, 4)):
            # The addresses stay, so that most get past the kernel's routing.
            at = chance.choice([0, *range(2, 12), *range(20, len(packet))])
            packet[at % len(packet)] = chance.randrange(256)
        if chance.random() < 0.3:
            del packet[chance.randrange(len(packet)):]
        if len(packet) >= 20 and packet[0] == 0x45:
            packet[2:4] = struct.pack("!H", len(packet))
            packet[10:12] = b"\0\0"
            total = sum(struct.unpack("!10H", packet[:20]))
            total = (total & 0xffff) + (total >> 16)
            packet[10:12] = struct.pack("!H", ~((total & 0xffff) +
                                                (total >> 16)) & 0xffff)
        net.raw.send(packet)
    still_works(net)
    stats = net.xctd.json("stats")
    assert sum(stats["reasons"].values()) > 300
