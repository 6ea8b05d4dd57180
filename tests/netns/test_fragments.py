# SPDX-License-Identifier: GPL-2.0-or-later
"""Fragments: large packets arrive whole, hostile ones cost little."""

import ipaddress
import os
import random
import struct

import pytest
from scapy.all import IP, IPv6, IPv6ExtHdrFragment, Raw, UDP, raw

from lab import ping, wait_for
from raw import RawHost
from test_survive import take_over

CLIENT, SERVER = "10.0.0.2", "192.0.2.2"
CLIENT6, SERVER6 = "fd00:a::2", "2001:db8:2::2"
POLICY = """
nat: [{out: wan0, masquerade: yes}]
filter: {invalid: drop}
"""
MEMORY_MAX = 4 * 1024 * 1024 + 512 * 1024  # the kernel's high threshold


def reassembly(xctd):
    return xctd.json("stats")["reassembly"]


@pytest.mark.parametrize("src, dst", [(CLIENT, SERVER), (CLIENT6, SERVER6)])
@pytest.mark.parametrize("size", [1473, 9000, 60000])
def test_a_large_datagram_arrives_whole_both_ways(routed, src, dst, size):
    xctd = routed.start_xctd(POLICY)
    data = os.urandom(size)
    with routed.server.udp_socket(dst, 7000) as server, \
            routed.client.udp_socket(src) as client:
        client.settimeout(5)
        server.settimeout(5)
        client.sendto(data, (dst, 7000))
        got, peer = server.recvfrom(65535)
        assert got == data and peer[0] != src  # masqueraded
        server.sendto(data[::-1], peer)
        assert client.recv(65535) == data[::-1]
    entry, = xctd.list("-p", "udp")
    assert entry["orig"]["packets"] == entry["reply"]["packets"] == 1
    if ":" not in dst:
        assert reassembly(xctd)["whole"] >= 1


@pytest.mark.parametrize("missing, instead", [
    (["-m socket"], "-j TPROXY"),
    (["-m socket", "-j TPROXY"], "--ctstate UNTRACKED"),
    (["-m socket", "-j TPROXY", "-m conntrack", "-lt 2"], None)])
def test_fragments_where_the_kernel_lacks_a_match(routed, without, missing,
                                                  instead):
    without(*missing)
    xctd = routed.start_xctd(POLICY)
    data = os.urandom(9000)
    for save, src, dst in (("iptables-save", CLIENT, SERVER),
                           ("ip6tables-save", CLIENT6, SERVER6)):
        rules = routed.router.run(save, "-t", "mangle").stdout
        assert "-m socket" not in rules
        assert instead is None or instead in rules
        with routed.server.udp_socket(dst, 7000) as server, \
                routed.client.udp_socket(src) as client:
            before = xctd.dropped("ip-fragment")
            client.sendto(data, (dst, 7000))
            if instead is None:
                assert "cannot put fragments together" in xctd.messages()
                wait_for(lambda: xctd.dropped("ip-fragment") >= before + 6,
                         "later fragments that are INVALID")
                continue
            got, peer = server.recvfrom(65535)
            assert got == data and peer[0] != src
            server.sendto(data[::-1], peer)
            assert client.recv(65535) == data[::-1]
            entry, = [e for e in xctd.list("-p", "udp")
                      if e["orig"]["src"] == src]
            assert entry["orig"]["packets"] == entry["reply"]["packets"] == 1


def hostile(n, v6):
    """First fragments of packets that are never completed, tiny ones, and ones
    that overlap."""
    for i in range(n):
        body = raw(UDP(sport=1000 + i % 60000, dport=7) / Raw(b"x" * 1200))
        if v6:
            ip = IPv6(src=CLIENT6, dst=SERVER6)
            def piece(off, more, data):
                return ip / IPv6ExtHdrFragment(nh=17, id=i, offset=off,
                                               m=more) / Raw(data)
        else:
            def piece(off, more, data):
                return IP(src=CLIENT, dst=SERVER, proto=17, id=i % 65536,
                          frag=off, flags="MF" if more else 0) / Raw(data)
        yield piece(0, 1, body[:1200])
        if i % 4 == 1:
            yield piece(100, 0, body[800:])  # overlaps
        if i % 4 == 2:
            yield piece(151, 0, b"tiny")
        if i % 4 == 3:
            yield piece(1, 1, body[8:16])


@pytest.mark.parametrize("v6", [False, True])
def test_hostile_fragments_are_bounded_and_leave_no_flow(routed, v6):
    xctd = routed.start_xctd(POLICY)
    if v6:
        routed.router.sysctl(net__netfilter__nf_conntrack_frag6_timeout=1)
    host = RawHost(routed, routed.client, "lan0", "10.0.0.77")
    for packet in hostile(2000, v6):
        host.send(packet)
    host.close()
    if v6:
        wait_for(lambda: reassembly(xctd)["failed_ipv6"] >= 1000,
                 "fragments that are given up")
        numbers = reassembly(xctd)
        assert numbers["failed"] == 0
        assert numbers["fragments_ipv6"] == 3500
        # Each fourth overlaps at once, another fourth beyond the first piece.
        assert numbers["overlapping_ipv6"] == 500
    else:
        numbers = reassembly(xctd)
        assert 0 < numbers["memory"] <= MEMORY_MAX
        assert numbers["fragments"] >= 2000 and numbers["failed"] > 0
    assert xctd.list("-p", "udp") == []
    assert xctd.is_alive() and ping(routed.client, SERVER)


def piece6(ident, off, data, more=1, nh=17, tc=0, before=b""):
    """An IPv6 fragment; @before: destination options in front of it."""
    body = before + struct.pack("!BBHI", nh, 0, off | more, ident) + data
    return (struct.pack("!IHBB", 6 << 28 | tc << 20, len(body),
                        60 if before else 44, 64) +
            socket_addr(CLIENT6) + socket_addr(SERVER6) + body)


def socket_addr(text):
    return ipaddress.ip_address(text).packed


OPTIONS = bytes([44, 0, 1, 4, 0, 0, 0, 0])  # then a fragment header
DATA = bytes(raw(UDP(sport=1000, dport=7) / Raw(b"x" * 792)))  # 800 bytes
FIRST, LAST = (0, DATA[:400]), (400, DATA[400:], 0)
# What comes, and what becomes of it: whole, overlapping, malformed packets,
# and those that are passed on as they are.
ROWS = {
    "in order": ([FIRST, LAST], 1, 0, 0, 0),
    "the last one first": ([LAST, FIRST], 1, 0, 0, 0),
    "in one fragment": ([(0, DATA, 0)], 1, 0, 0, 0),
    "behind options": ([(*FIRST, 1, 17, 0, OPTIONS),
                        (*LAST, 17, 0, OPTIONS)], 1, 0, 0, 0),
    "overlap": ([FIRST, (392, DATA[392:], 0)], 0, 1, 0, 0),
    "overlap, then as it should be": (
        [FIRST, (392, DATA[392:], 0), FIRST, LAST], 1, 1, 0, 0),
    "one that holds another": ([(80, DATA[80:160]), (0, DATA[:400])],
                               0, 1, 0, 0),
    "twice the same": ([FIRST, FIRST, LAST], 1, 0, 0, 0),
    "a part of what is there": ([FIRST, (80, DATA[80:160]), LAST],
                                1, 0, 0, 0),
    "two runs in one": ([(400, DATA[400:600]), (200, DATA[200:400]),
                         (200, DATA[200:600])], 0, 1, 0, 0),
    "first without a header": ([(0, b""), (8, DATA[8:], 0)], 0, 0, 0, 1),
    "first with half a header": ([(0, DATA[:8], 1, 6)], 0, 0, 0, 1),
    "no multiple of 8": ([FIRST, (400, DATA[400:433]), LAST], 0, 0, 0, 1),
    "empty": ([FIRST, (400, b""), LAST], 1, 0, 1, 0),
    "empty last": ([FIRST, (400, b"", 0), LAST], 0, 0, 2, 0),
    "beyond 64 KiB": ([(65528, DATA[:80], 0)], 0, 0, 1, 0),
    "the end before what is there": ([FIRST, (200, DATA[200:300], 0)],
                                     0, 0, 1, 0),
    "two ends": ([LAST, (400, DATA[400:700], 0), FIRST], 1, 0, 1, 0),
    "beyond the end": ([LAST, (1600, DATA[:8]), FIRST], 1, 0, 1, 0),
    "congestion that cannot be": ([FIRST, (*LAST, 17, 3)], 0, 0, 1, 0),
    "congestion that can be": ([(*FIRST, 1, 17, 2), (*LAST, 17, 3)],
                               1, 0, 0, 0),
    "incomplete": ([FIRST], 0, 0, 0, 0),
}


class Seen6:
    """What the kernel's reassembly lets through of CLIENT6's, and xctd's
    reckoning of it."""

    def __init__(self, lab, xctd):
        self.router, self.xctd = lab.router, xctd
        frag = "-m frag --fragid 0:4294967295 -j RETURN"
        for rule in "", frag:
            lab.router.run("ip6tables", "-t", "raw", "-I", "PREROUTING",
                           "-s", CLIENT6, *rule.split())

    def kernel(self):
        """Packets that are whole, and fragments that are passed on."""
        rules = self.router.run("ip6tables", "-t", "raw", "-nvxL",
                                "PREROUTING").stdout.splitlines()[2:4]
        return [int(rule.split()[0]) for rule in rules][::-1]

    def xct(self):
        now = reassembly(self.xctd)
        return [now[name + "_ipv6"] for name in
                ("whole", "overlapping", "malformed", "unknown", "fragments")]


def test_ipv6_fragments_are_told_apart_as_the_kernel_does_it(routed):
    xctd = routed.start_xctd(POLICY)
    seen = Seen6(routed, xctd)
    host = RawHost(routed, routed.client, "lan0", "10.0.0.77")
    sent, kernel, ours = 0, [0, 0], [0, 0, 0, 0]
    for ident, (name, row) in enumerate(ROWS.items(), 1):
        pieces, whole, overlapping, malformed, passed = row
        for piece in pieces:
            host.send(piece6(ident, *piece))
        sent += len(pieces)
        kernel = [kernel[0] + whole, kernel[1] + passed]
        ours = [ours[0] + whole, ours[1] + overlapping, ours[2] + malformed, 0]
        wait_for(lambda: seen.xct()[4] == sent, f"fragments: {name}")
        assert seen.kernel() == kernel, name
        assert seen.xct()[:4] == ours, name
    host.close()
    # What is passed on is INVALID.
    assert xctd.json("stats")["class"]["INVALID"] == kernel[1]


def some_pieces(rng, ident):
    """The fragments of a packet, of which some things may be wrong."""
    data = DATA[:rng.randrange(64, 800)]
    cuts = sorted({8 * rng.randrange(1, len(data) // 8)
                   for _ in range(rng.randrange(1, 8))})
    pieces = [[a, data[a:b], int(b < len(data))]
              for a, b in zip([0, *cuts], [*cuts, len(data)])]
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        piece = list(rng.choice(pieces))
        what = rng.randrange(6)
        if what == 0:
            pieces.remove(rng.choice(pieces))
        elif what == 1:
            piece[0] = max(0, piece[0] + rng.choice((-16, -8, 8, 16)))
        elif what == 2:
            piece[1] = piece[1][:rng.randrange(len(piece[1]) + 1)]
        elif what == 3:
            piece[2] = 1 - piece[2]
        elif what == 4:
            piece[1] += DATA[:8 * rng.randrange(1, 20)]
        pieces.insert(rng.randrange(len(pieces) + 1), piece)
        if not pieces:
            break
    if rng.random() < 0.5:
        rng.shuffle(pieces)
    return [piece6(ident, *piece) for piece in pieces]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_ipv6_fragments_are_told_apart_as_the_kernel_does_it(routed, seed):
    xctd = routed.start_xctd(POLICY)
    seen = Seen6(routed, xctd)
    host = RawHost(routed, routed.client, "lan0", "10.0.0.77")
    rng, sent = random.Random(seed), 0
    for ident in range(400):
        for packet in some_pieces(rng, ident):
            host.send(packet)
            sent += 1
    host.close()
    wait_for(lambda: seen.xct()[4] == sent, "all fragments to be seen")
    whole, overlapping, malformed, unknown, _ = seen.xct()
    assert unknown == 0 and overlapping > 20 and malformed > 20
    assert whole == seen.kernel()[0] > 100


def test_what_looks_at_ipv6_fragments_goes_with_xctd(routed):
    def chains():
        return routed.router.run("nft", "list", "table", "ip6", "xct",
                                 check=False).stdout.count("chain fragments")

    xctd = routed.start_xctd(POLICY)
    assert chains() == 1
    take_over(routed, xctd)
    assert chains() == 1 and "fragments_ipv6" in reassembly(xctd)
    xctd.process.kill()
    xctd.process.wait()
    assert chains() == 0
    xctd._start(())
    assert chains() == 1
    xctd.stop()
    assert chains() == 0
