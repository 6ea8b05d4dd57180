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


def test_a_capture(tmp_path):
    """The steps of a scenario come back from a capture in their order."""
    steps = [step for step in traffic.scenario(7, "none") if step.side]
    path = tmp_path / "some.pcap"
    with open(path, "wb") as pcap:
        raw_ip = 101
        pcap.write(struct.pack("=IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 1 << 16,
                               raw_ip))
        for at, step in enumerate(steps):
            pcap.write(struct.pack("=IIII", 1000 + at, 0, len(step.data),
                                   len(step.data)) + step.data)
    read = conform.load_pcap(path)
    assert all(0 < step.wait <= 0.2 for step in read if not step.side)
    read = [step for step in read if step.side]
    assert [step.data for step in read] == [step.data for step in steps]
    with routers.Twins("none", mtu=conform.PCAP_MTU) as twins:
        same(twins, read, f"tests/conform/conform.py --pcap {path}")


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
