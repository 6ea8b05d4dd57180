# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a packet is INVALID is said: which test of the window it failed, which
cell of the state table; in counters, and in the log in an operator's words.
"""

import re

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.sctp import (SCTP, SCTPChunkCookieEcho, SCTPChunkData,
                               SCTPChunkHeartbeatReq, SCTPChunkInit,
                               SCTPChunkInitAck)

from lab import SERVER, wait_for
from raw import RawHost

CLIENT, PEER = "10.0.0.77", "192.0.2.77"
POLICY = "filter: {invalid: log}\n"


@pytest.fixture(scope="module")
def wire(make_module_lab):
    """Two ends that send what they are told, and an xctd between them."""
    lab = make_module_lab(routed=True)
    lab.start_xctd(POLICY)
    lab.near = RawHost(lab, lab.client, "lan0", CLIENT)
    lab.far = RawHost(lab, lab.server, "wan0", PEER)
    yield lab
    lab.near.close()
    lab.far.close()


def reasons(lab):
    return lab.xctd.json("stats")["reasons"]


class Talk:
    """A TCP connection that both ends have from here. Each has its own ports,
    so that one test's does not meet another's."""

    port = 1000

    def __init__(self, lab):
        Talk.port += 1
        self.lab, self.port = lab, Talk.port

    def near(self, flags, seq, ack=0, data=b"", win=1000):
        self.lab.near.send(IP(src=CLIENT, dst=PEER) / TCP(
            sport=self.port, dport=80, flags=flags, seq=seq, ack=ack,
            window=win) / data)

    def far(self, flags, seq, ack=0, data=b"", win=1000):
        self.lab.far.send(IP(src=PEER, dst=CLIENT) / TCP(
            sport=80, dport=self.port, flags=flags, seq=seq, ack=ack,
            window=win) / data)

    def reach(self, state):
        wait_for(lambda: [e["state"] for e in self.lab.xctd.list(
            "-p", "tcp", "--sport", str(self.port))] == [state], state)

    def open(self):
        self.near("S", 100)
        self.reach("SYN_SENT")
        self.far("SA", 500, 101)
        self.reach("SYN_RECV")
        self.near("A", 101, 501)
        self.reach("ESTABLISHED")


def is_counted(lab, reason, before):
    wait_for(lambda: reasons(lab).get(reason, 0) == before + 1,
             f"a packet counted as {reason}", timeout=3)


def is_logged(lab, text):
    wait_for(lambda: text in lab.xctd.messages(), text, timeout=3)
    line = next(line for line in lab.xctd.messages().splitlines()
                if text in line)
    assert re.search(r"IN=\S+ OUT=\S* SRC=\S+ DST=\S+ PROTO=\w+", line)


def unexpected_synack(talk):
    talk.near("S", 100)
    talk.reach("SYN_SENT")
    talk.near("SA", 100, 1)


def synack_of_nothing(talk):
    talk.far("SA", 500, 101)


def data_beyond_the_window(talk):
    talk.open()
    # 1000 bytes are allowed, from 101 on.
    talk.near("A", 3101, 501, b"x" * 1200)


def ack_of_unsent_data(talk):
    talk.open()
    talk.near("A", 101, 501 + 77)


def late_reset(talk):
    talk.open()
    talk.far("A", 501, 101, b"y" * 40)
    talk.near("A", 101, 541)
    wait_for(lambda: [e["orig"]["packets"] for e in talk.lab.xctd.list(
        "-p", "tcp", "--sport", str(talk.port))] == [3], "the ACK")
    talk.far("R", 501)


def second_syn_of_the_answerer(talk):
    talk.open()
    talk.far("S", 9000)


TCP_CASES = {
    # what happens: (reason, words of the log, cell)
    unexpected_synack: (
        "tcp-state", "invalid: TCP segment impossible in this state: "
        "SYN-ACK in SYN_SENT, original direction: ",
        ("SYN-ACK", "SYN_SENT", "original")),
    synack_of_nothing: (
        "tcp-not-open", "invalid: TCP segment that opens no flow: "
        "SYN-ACK in NONE, original direction: ",
        ("SYN-ACK", "NONE", "original")),
    second_syn_of_the_answerer: (
        "tcp-state", "SYN in ESTABLISHED, reply direction: ",
        ("SYN", "ESTABLISHED", "reply")),
    data_beyond_the_window: (
        "tcp-window-seq", "invalid: TCP data above the window that its "
        "receiver has offered: ACK in ESTABLISHED, original direction, by "
        "3200 bytes: ", None),
    ack_of_unsent_data: (
        "tcp-window-ack", "invalid: TCP ACK of data that the other end has "
        "not sent yet: ACK in ESTABLISHED, original direction, by 77 bytes: ",
        None),
    late_reset: (
        "tcp-rst", "invalid: TCP RST below what was acknowledged: late, or "
        "forged: RST in ESTABLISHED, reply direction, by 40 bytes: ", None),
}


def cells(lab, proto):
    return {(c["packet"], c["state"], c["direction"]): c["packets"]
            for c in lab.xctd.json("stats")["cells"] if c["proto"] == proto}


@pytest.mark.parametrize("happens", TCP_CASES, ids=lambda f: f.__name__)
def test_a_tcp_segment_that_does_not_fit(wire, happens):
    reason, words, cell = TCP_CASES[happens]
    before, cells_before = reasons(wire).get(reason, 0), cells(wire, "tcp")
    happens(Talk(wire))
    is_counted(wire, reason, before)
    is_logged(wire, words)
    changed = {k: n - cells_before.get(k, 0)
               for k, n in cells(wire, "tcp").items()
               if n != cells_before.get(k, 0)}
    assert changed == ({cell: 1} if cell else {})
    shown = wire.xctd.ctl("stats").stdout
    assert re.search(rf"^  {reason} +\d+  TCP ", shown, re.MULTILINE)
    if cell:
        assert "{} in {}, {} direction".format(*cell) in shown


def test_an_sctp_chunk_that_does_not_fit(wire):
    def near(chunk, tag=0, port=7):
        wire.near.send(IP(src=CLIENT, dst=PEER) /
                       SCTP(sport=port, dport=9, tag=tag) / chunk)

    def far(chunk, tag=0, port=7):
        wire.far.send(IP(src=PEER, dst=CLIENT) /
                      SCTP(sport=9, dport=port, tag=tag) / chunk)

    def reach(state, port=7):
        wait_for(lambda: [e["state"] for e in wire.xctd.list(
            "-p", "sctp", "--sport", str(port))] == [state], state)
    near(SCTPChunkInit(init_tag=11))
    reach("CLOSED")
    far(SCTPChunkInitAck(init_tag=22), 11)
    reach("COOKIE_WAIT")
    near(SCTPChunkCookieEcho(cookie=b"abcd"), 99)
    is_counted(wire, "sctp-vtag", 0)
    is_logged(wire, "invalid: SCTP verification tag of another flow: "
              "COOKIE ECHO in COOKIE_WAIT, original direction: ")
    near(SCTPChunkHeartbeatReq(), 5, port=8)
    reach("HEARTBEAT_SENT", port=8)
    far(SCTPChunkInit(init_tag=3), 0, port=8)
    is_counted(wire, "sctp-state", 0)
    is_logged(wire, "invalid: SCTP chunk impossible in this state: "
              "INIT in HEARTBEAT_SENT, reply direction: ")
    near(SCTPChunkData(data=b"x"), 5, port=10)
    is_counted(wire, "sctp-not-open", 0)
    is_logged(wire, "invalid: SCTP packet that opens no flow: "
              "DATA in NONE, original direction: ")
    assert cells(wire, "sctp") == {
        ("INIT", "HEARTBEAT_SENT", "reply"): 1,
        ("DATA", "NONE", "original"): 1}


def test_a_flood_is_logged_within_a_limit_and_counted(wire):
    """What is logged and what is said to be left out are all there was; other
    events have a limit of their own."""
    wire.xctd.reload("""
filter:
  invalid: log
  forward:
    rules:
      - {name: seen, proto: udp, dport: 53, log: yes}
""")
    before = reasons(wire).get("checksum-udp", 0)
    bad = bytes(IP(src=CLIENT, dst=SERVER) / UDP(dport=7, chksum=1) / b"x")
    for _ in range(2000):
        wire.near.send(bad)
    wire.near.send(IP(src=CLIENT, dst=SERVER) / UDP(dport=53) / b"x")
    wait_for(lambda: reasons(wire).get("checksum-udp", 0) - before > 1000,
             "a flood that is counted")
    wait_for(lambda: "rule seen: " in wire.xctd.messages(),
             "the event that is no flood")

    def is_all_said():
        text = wire.xctd.messages()
        logged = text.count("invalid: UDP checksum wrong")
        left_out = sum(map(int, re.findall(
            r"(\d+) invalid packets were not logged", text)))
        assert logged < 1000
        return logged + left_out == reasons(wire)["checksum-udp"]
    wait_for(is_all_said, "every packet logged or left out", timeout=20)
    assert "were not logged" in wire.xctd.messages()
