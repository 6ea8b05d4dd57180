# SPDX-License-Identifier: GPL-2.0-or-later
"""Fragments: large packets arrive whole, hostile ones cost little."""

import os
import shutil

import pytest
from scapy.all import IP, IPv6, IPv6ExtHdrFragment, Raw, UDP, raw

from lab import ping, wait_for
from raw import RawHost

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


@pytest.fixture
def without(routed, monkeypatch):
    """Make iptables-restore refuse rules with any of some words, as it does
    where the kernel lacks something."""
    def make(*words):
        patterns = " ".join(f"-e '{word}'" for word in words)
        directory = routed.dir / "bin"
        directory.mkdir()
        for tool in "iptables-restore", "ip6tables-restore":
            (directory / tool).write_text(f"""#!/bin/sh
rules=$(mktemp) && cat > "$rules" && trap 'rm -f "$rules"' EXIT
if grep -q {patterns} "$rules"; then
    echo "{tool}: line 3 failed: No such file or directory" >&2
    exit 1
fi
{shutil.which(tool)} "$@" < "$rules"
""")
            (directory / tool).chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return make


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
    if v6:  # those that overlap are dropped uncounted; the others get too old
        wait_for(lambda: reassembly(xctd)["failed_ipv6"] >= 1000,
                 "fragments that are given up")
        assert reassembly(xctd)["failed"] == 0
    else:
        numbers = reassembly(xctd)
        assert 0 < numbers["memory"] <= MEMORY_MAX
        assert numbers["fragments"] >= 2000 and numbers["failed"] > 0
    assert xctd.list("-p", "udp") == []
    assert xctd.is_alive() and ping(routed.client, SERVER)
