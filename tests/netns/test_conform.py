# SPDX-License-Identifier: GPL-2.0-or-later
"""The same packets through the kernel's connection tracking and through xctd:
some seeds of random traffic, and all cases that once failed. More of it:
tests/conform/conform.py.
"""

import pathlib
import struct
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "conform"))

import conform  # noqa: E402 (needs the path above)
import routers  # noqa: E402
import traffic  # noqa: E402
import wire  # noqa: E402

SEEDS = range(1, 6)
CASES = sorted(conform.CASES.glob("*.case"))


@pytest.fixture(scope="module", params=conform.NATS)
def twins(request):
    with routers.Twins(request.param) as made:
        yield made


def same(twins, steps, again):
    found, summary = conform.first_difference(twins, steps)
    assert found is None, f"{found}\nagain: {again}"
    assert summary.packets == sum(step.side is not None for step in steps)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_traffic(twins, seed):
    same(twins, traffic.scenario(seed, twins.nat),
         f"tests/conform/conform.py --nat {twins.nat} --seed {seed}")


@pytest.mark.parametrize("tracking", [name for name in routers.TRACKING
                                      if name != "usual"])
def test_sysctls_and_settings(tracking):
    """With this traffic each of them matters: set on one side alone, it made a
    difference."""
    kinds = ["tcp-hostile", "tcp-lossy", "tcp-walk", "tcp-half-seen",
             "malformed"]
    with routers.Twins("both", tracking=tracking) as twins:
        same(twins, traffic.scenario(1, "both", kinds, packets=200),
             f"tests/conform/conform.py --tracking {tracking} --nat both "
             f"--seed 1 --packets 200 --kinds {','.join(kinds)}")


@pytest.mark.parametrize("nat", conform.NATS)
def test_ftp(nat):
    """With a helper: announcements right, wrong and in pieces, what they become
    by NAT, and what is expected after each."""
    kinds = ["ftp", "ftp-lossy"]
    with routers.Twins(nat, has_helper=True) as twins:
        for seed in (1, 2):
            same(twins, traffic.scenario(seed, nat, kinds, packets=200),
                 f"tests/conform/conform.py --nat {nat} "
                 f"--seed {seed} --kinds {','.join(kinds)} --packets 200")


def test_udp_streams(twins):
    kinds = ["udp-stream"]
    same(twins, traffic.scenario(1, twins.nat, kinds, packets=12),
         f"tests/conform/conform.py --nat {twins.nat} --seed 1 "
         "--kinds udp-stream --packets 12")


def test_cases_that_once_failed(twins):
    for path in CASES:
        nat, steps = conform.load_case(path)
        if nat == twins.nat:
            same(twins, steps, f"tests/conform/conform.py --case {path}")


def write_capture(path, link, frames):
    with open(path, "wb") as pcap:
        pcap.write(struct.pack("=IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 1 << 16,
                               link))
        for at, frame in enumerate(frames):
            pcap.write(struct.pack("=IIII", 1000 + at, 0, len(frame),
                                   len(frame)) + frame)


def test_a_capture(tmp_path):
    """The steps of a scenario come back from a capture in their order."""
    steps = [step for step in traffic.scenario(7, "none") if step.side]
    path = tmp_path / "some.pcap"
    raw_ip = 101
    write_capture(path, raw_ip, [step.data for step in steps])
    read = conform.load_pcap(path)
    assert all(0 < step.wait <= 0.2 for step in read if not step.side)
    read = [step for step in read if step.side]
    assert [step.data for step in read] == [step.data for step in steps]
    with routers.Twins("none", conform.PCAP_MTU,
                       conform.PCAP_MTU) as twins:
        same(twins, read, f"tests/conform/conform.py --pcap {path}")


MACS = bytes.fromhex("020000000002020000000001")
LINKS = {  # number in the file, what precedes an IPv4 and an IPv6 packet
    "Ethernet": (1, MACS + b"\x08\0", MACS + b"\x86\xdd"),
    "Q-in-Q": (1, MACS + bytes.fromhex("88a80003810000040800"),
               MACS + bytes.fromhex("88a800038100000486dd")),
    "MPLS": (1, MACS + bytes.fromhex("8847000051ff"),
             MACS + bytes.fromhex("8847000040ff000051ff")),
    "PPPoE": (1, MACS + bytes.fromhex("8864110000010023") + b"\0\x21",
              MACS + bytes.fromhex("8864110000010037") + b"\0\x57"),
    "PPP": (9, b"\xff\x03\0\x21", b"\xff\x03\0\x57"),
    "Cisco HDLC": (104, b"\x0f\0\x08\0", b"\x0f\0\x86\xdd"),
    "BSD loopback": (0, b"\x02\0\0\0", b"\x1e\0\0\0"),
    "cooked": (113, bytes.fromhex("0000000100060200000000010000" + "0800"),
               bytes.fromhex("0000000100060200000000010000" + "86dd")),
}


@pytest.mark.parametrize("link, before4, before6", LINKS.values(),
                         ids=LINKS.keys())
def test_link_layers_of_captures(tmp_path, link, before4, before6):
    packets = [wire.ip(src, dst, 17, struct.pack("!4H", 1, 2, 13, 0) + b"hello")
               for src, dst in (("10.1.2.3", "198.51.100.9"),
                                ("fd00::3", "2001:db8::9"))]
    path = tmp_path / "some.pcap"
    write_capture(path, link, [before4 + packets[0], before6 + packets[1]])
    assert [step.data for step in conform.load_pcap(path) if step.side] == \
        packets


def test_a_difference_is_seen(twins):
    """Neither other bytes, nor a packet less, nor another entry goes by."""
    steps = traffic.scenario(1, twins.nat, ["udp"], packets=10)
    first = next(step for step in steps if step.side)
    wrong = bytearray(first.data)
    wrong[-1] ^= 1

    class Liar:
        """One router that is handed something else than the other."""

        def __init__(self, packet):
            self.packet = packet
            self.real = twins.xct.send

        def __call__(self, side, packet):
            if self.packet is not None:
                self.real(side, self.packet)
    for packet in bytes(wrong), None:
        twins.xct.send = Liar(packet)
        try:
            found, _ = conform.first_difference(twins, [first])
        finally:
            del twins.xct.send
        assert found and found.at == 0
    table = twins.kernel.table()
    twins.xct.table = lambda: [{**entry, "timeout": entry["timeout"] + 3}
                               for entry in table]
    try:
        found, _ = conform.first_difference(twins, [first])
    finally:
        del twins.xct.table
    assert found and found.kind.startswith(("entry differs in timeout",
                                            "only"))
