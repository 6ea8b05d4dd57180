# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines of a TCP handshake, seen one after the other."""

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from lab import WAN, WAN6, wait_for
from raw import RawHost

MASQUERADE = "nat:\n  - {name: internet, out: wan0, masquerade: yes}\n"
CASES = [(IP, "10.0.0.77", "192.0.2.77", WAN),
         (IPv6, "fd00:a::77", "2001:db8:2::77", WAN6)]


@pytest.mark.parametrize("header, inside, outside, translated", CASES,
                         ids=["IPv4", "IPv6"])
def test_handshake_step_by_step(lab, header, inside, outside, translated):
    xctd = lab.start_xctd(MASQUERADE)
    client = RawHost(lab, lab.client, "lan0", inside)
    server = RawHost(lab, lab.server, "wan0", outside)

    def segment(host, src, dst, **fields):
        host.send(header(src=src, dst=dst) / TCP(window=64000, **fields))

    def line(state):
        def found():
            listed = xctd.list("-p", "tcp", "--state", state)
            return listed[0] if len(listed) == 1 else None
        return wait_for(found, f"an entry in {state}")

    segment(client, inside, outside, sport=4321, dport=80, flags="S", seq=1000)
    entry = line("SYN_SENT")
    assert entry["flags"] == {"UNREPLIED"}
    assert entry["orig"] == {**entry["orig"], "src": inside, "dst": outside,
                             "sport": 4321, "dport": 80}
    # What comes back goes to the router's address, not to the client's.
    assert entry["reply"]["src"] == outside
    assert entry["reply"]["dst"] == translated != entry["orig"]["src"]
    assert 118 <= entry["timeout"] <= 120

    segment(server, outside, translated, sport=80, dport=4321, flags="SA",
            seq=9000, ack=1001)
    entry = line("SYN_RECV")
    assert entry["flags"] == set()
    assert 58 <= entry["timeout"] <= 60

    segment(client, inside, outside, sport=4321, dport=80, flags="A", seq=1001,
            ack=9001)
    entry = line("ESTABLISHED")
    assert entry["flags"] == {"ASSURED"}
    assert 431990 <= entry["timeout"] <= 432000

    segment(client, inside, outside, sport=4321, dport=80, flags="FA",
            seq=1001, ack=9001)
    line("FIN_WAIT")
    segment(server, outside, translated, sport=80, dport=4321, flags="A",
            seq=9001, ack=1002)
    line("CLOSE_WAIT")
    segment(server, outside, translated, sport=80, dport=4321, flags="FA",
            seq=9001, ack=1002)
    line("LAST_ACK")
    segment(client, inside, outside, sport=4321, dport=80, flags="A", seq=1002,
            ack=9002)
    line("TIME_WAIT")
    assert xctd.hits("internet") == 1
    client.close()
    server.close()


def test_the_line_is_conntracks_to_the_letter(lab):
    xctd = lab.start_xctd(MASQUERADE)
    client = RawHost(lab, lab.client, "lan0", "10.0.0.77")
    client.send(IP(src="10.0.0.77", dst="192.0.2.77") /
                TCP(sport=4321, dport=80, flags="S"))
    text = wait_for(lambda: xctd.ctl("list").stdout, "an entry")
    timeout = text.split()[2]
    counters = " packets=1 bytes=40" if "packets=" in text else ""
    none = " packets=0 bytes=0" if counters else ""
    assert text == (
        f"tcp      6 {timeout} SYN_SENT "
        f"src=10.0.0.77 dst=192.0.2.77 sport=4321 dport=80{counters} "
        f"[UNREPLIED] src=192.0.2.77 dst=192.0.2.1 sport=80 dport=4321{none} "
        "mark=0 use=1\n")
    client.close()
