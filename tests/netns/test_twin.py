# SPDX-License-Identifier: GPL-2.0-or-later
"""Exactness: the same traffic through kernel conntrack and through xct leaves
the same table, line by line, after every step.
"""

import contextlib
import fcntl
import socket
import struct
import termios
import time

import pytest

from lab import (CLIENT, CLIENT6, SERVER, SERVER6, WAN, WAN6, connect, ping,
                 wait_for)
from twin import Twin


class Way:
    """One kind of translation: the rules of both, and what the client dials."""

    def __init__(self, kernel, nat, dst=SERVER, dport=7000, routed=False):
        self.kernel, self.nat = kernel, nat
        self.dst, self.dport, self.routed = dst, dport, routed
        self.family6 = ":" in dst
        self.src = CLIENT6 if self.family6 else CLIENT
        self.server = SERVER6 if self.family6 else SERVER

    def twin(self, make_lab):
        nat = "nat:\n" + "".join(f"  - {{{rule}}}\n" for rule in self.nat)
        return Twin(make_lab, self.kernel, nat if self.nat else "",
                    routed=self.routed)


def dnat(tool, proto, to, dst):
    return (f"{tool}-t nat -A PREROUTING -p {proto} -d {dst} --dport 8000 "
            f"-j DNAT --to-destination {to}")


MASQUERADE = "-t nat -A POSTROUTING -o wan0 -j MASQUERADE"
FORWARDS = [dnat("", proto, "192.0.2.2:7000", WAN) for proto in ("tcp", "udp")]
FORWARDS6 = [dnat("6 ", proto, "[2001:db8:2::2]:7000", WAN6)
             for proto in ("tcp", "udp")]
XCT_FORWARD = ("dst: 192.0.2.1, proto: [tcp, udp], dport: 8000, "
               "dnat: '192.0.2.2:7000'")
XCT_FORWARD6 = ("dst: '2001:db8:2::1', proto: [tcp, udp], dport: 8000, "
                "dnat: '[2001:db8:2::2]:7000'")

WAYS = {
    "untranslated": Way([], [], routed=True),
    "untranslated IPv6": Way([], [], dst=SERVER6, routed=True),
    "masquerade": Way([MASQUERADE], ["out: wan0, masquerade: yes"]),
    "masquerade IPv6": Way(["6 " + MASQUERADE], ["out: wan0, masquerade: yes"],
                           dst=SERVER6),
    "SNAT to a port": Way(
        [f"-t nat -A POSTROUTING -p {proto} -j SNAT "
         "--to-source 192.0.2.1:30000" for proto in ("tcp", "udp")] +
        ["-t nat -A POSTROUTING -p icmp -j SNAT --to-source 192.0.2.1"],
        ["out: wan0, proto: [tcp, udp], snat: '192.0.2.1:30000'",
         "out: wan0, proto: icmp, snat: 192.0.2.1"]),
    "DNAT": Way(FORWARDS, [XCT_FORWARD], dst=WAN, dport=8000, routed=True),
    "DNAT IPv6": Way(FORWARDS6, [XCT_FORWARD6], dst=WAN6, dport=8000,
                     routed=True),
    "DNAT and masquerade": Way(
        [MASQUERADE, *FORWARDS], ["out: wan0, masquerade: yes", XCT_FORWARD],
        dst=WAN, dport=8000),
}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request):
    return request.param


def open_connection(lab, way, sport):
    with lab.server.listen(way.server, 7000) as listener:
        ours = connect(lab.client, way.dst, way.dport, way.src, sport)
        theirs, _ = listener.accept()
    theirs.settimeout(5)
    return ours, theirs


def unacknowledged(sock):
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]


def reset(sock):
    # What is still on its way would be answered by a second RST.
    wait_for(lambda: unacknowledged(sock) == 0, "all is acknowledged")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    sock.close()


def test_tcp_from_open_to_close(make_lab, way):
    def script(lab):
        ours, theirs = open_connection(lab, way, 5001)
        with ours, theirs:
            yield "open"
            ours.sendall(b"x" * 100)
            assert len(theirs.recv(999)) == 100
            yield "data"
            theirs.sendall(b"y" * 3000)
            got = 0
            while got < 3000:
                got += len(ours.recv(3000))
            yield "answer"
            ours.shutdown(socket.SHUT_WR)
            assert theirs.recv(9) == b""
            yield "half closed"
            theirs.sendall(b"late")
            assert ours.recv(9) == b"late"
            yield "data against the closed half"
            theirs.close()
            assert ours.recv(9) == b""
            yield "closed"
    assert way.twin(make_lab).lockstep(script) == 6


def test_tcp_closed_by_the_server_first(make_lab, way):
    def script(lab):
        ours, theirs = open_connection(lab, way, 5002)
        with ours:
            theirs.close()
            assert ours.recv(9) == b""
            yield "server closed"
            ours.sendall(b"to nobody")
            with contextlib.suppress(ConnectionResetError):
                ours.recv(9)
            yield "reset by the server"
    assert way.twin(make_lab).lockstep(script) == 2


@pytest.mark.parametrize("who", ["client", "server"])
def test_tcp_reset(make_lab, way, who):
    def script(lab):
        ours, theirs = open_connection(lab, way, 5003)
        with ours, theirs:
            ours.sendall(b"x")
            assert theirs.recv(9) == b"x"
            reset(ours if who == "client" else theirs)
            with pytest.raises(ConnectionResetError):
                (theirs if who == "client" else ours).recv(9)
            yield "reset"
    assert way.twin(make_lab).lockstep(script) == 1


RANGES = {  # first and last address, and whether a client keeps one of them
    "IPv4": ("192.0.2.50-192.0.2.53", False),
    "IPv4, persistent": ("192.0.2.50-192.0.2.53", True),
    "IPv6": ("2001:db8:2::50-2001:db8:2::57", False),
    "IPv6, persistent": ("2001:db8:2::50-2001:db8:2::57", True),
    "IPv6, of several words": ("2001:db8:2::50-2001:db8:4:3::57", False),
    "IPv6, of several words, persistent": (
        "2001:db8:2::50-2001:db8:4:3::57", True),
}


@pytest.mark.parametrize("name", RANGES)
def test_an_address_of_a_range_is_the_kernels_choice(make_lab, name):
    addresses, persistent = RANGES[name]
    family6 = ":" in addresses
    clients = [f"fd00:a::{i:x}:{i * 77:x}" if family6 else f"10.0.0.{i}"
               for i in range(20, 26)]
    servers = [f"2001:db8:2::{i:x}:1" if family6 else f"192.0.2.{i}"
               for i in range(100, 103)]
    bits = 64 if family6 else 24
    twin = Twin(
        make_lab,
        [f"{'6 ' if family6 else ''}-t nat -A POSTROUTING -o wan0 -j SNAT "
         f"--to-source {addresses}{' --persistent' if persistent else ''}"],
        f"nat: [{{out: wan0, snat: '{addresses}', "
        f"persistent: {'yes' if persistent else 'no'}}}]\n")

    def script(lab):
        for ns, hosts in (lab.client, clients), (lab.server, servers):
            ns.ip(*[f"addr add {addr}/{bits} dev eth0" +
                    (" nodad" if family6 else "") for addr in hosts])
        for number, dst in enumerate(servers):
            with lab.server.udp_socket(dst, 7000) as theirs:
                # No two with one port: none has to be changed.
                for port, addr in enumerate(clients, 6000 + 100 * number):
                    with lab.client.udp_socket(addr, port) as ours:
                        ours.sendto(b"which one?", (dst, 7000))
                        theirs.recv(99)
            yield f"to {dst}"
        # It is a choice: not the same one for all.
        if lab is twin.labs[0]:
            chosen = {e["reply"]["dst"] for e in twin.kernel.list(
                "-f", "ipv6" if family6 else "ipv4", "-p", "udp")}
            assert len(chosen) > 2
    assert twin.lockstep(script) == 3


def test_tcp_refused(make_lab, way):
    def script(lab):
        with pytest.raises(ConnectionRefusedError):
            connect(lab.client, way.dst, way.dport, way.src, 5004)
        yield "refused"
    assert way.twin(make_lab).lockstep(script) == 1


def test_tcp_reopened_in_time_wait(make_lab):
    way = WAYS["masquerade"]

    def script(lab):
        ours, theirs = open_connection(lab, way, 5005)
        with ours, theirs:
            theirs.close()
            assert ours.recv(9) == b""
        yield "closed, the server waits"
        ours, theirs = open_connection(lab, way, 5005)
        with ours, theirs:
            yield "open again"
    assert way.twin(make_lab).lockstep(script) == 2


def test_tcp_picked_up_in_its_middle(make_lab):
    """Loose pickup: both tables are emptied under a connection."""
    way = WAYS["untranslated"]
    twin = way.twin(make_lab)

    def script(lab):
        ours, theirs = open_connection(lab, way, 5006)
        with ours, theirs:
            yield "open"
            if lab is twin.labs[0]:
                twin.kernel.run("-F")
            else:
                twin.xctd.ctl("flush")
            yield "flushed"
            ours.sendall(b"x")
            assert theirs.recv(9) == b"x"
            yield "picked up"
            theirs.sendall(b"y")
            assert ours.recv(9) == b"y"
            yield "answered"
    assert twin.lockstep(script) == 4


def test_udp_unreplied_replied_and_stream(make_lab, way):
    def script(lab):
        with lab.client.udp_socket(way.src, 5001) as ours, \
                lab.server.udp_socket(way.server, 7000) as theirs:
            started = time.monotonic()
            ours.sendto(b"question", (way.dst, way.dport))
            _, peer = theirs.recvfrom(99)
            yield "unreplied"
            theirs.sendto(b"answer", peer)
            ours.recv(99)
            yield "replied"
            # A stream is what goes on for more than two seconds.
            wait_for(lambda: time.monotonic() - started > 2.2, "two seconds")
            ours.sendto(b"more", (way.dst, way.dport))
            theirs.recv(99)
            yield "more questions"
            theirs.sendto(b"answer", peer)
            ours.recv(99)
            ours.sendto(b"again", (way.dst, way.dport))
            theirs.recv(99)
            yield "a stream"
    assert way.twin(make_lab).lockstep(script) == 4


def test_udp_to_a_closed_port(make_lab, way):
    def script(lab):
        with lab.client.udp_socket(way.src, 5002) as ours:
            ours.connect((way.dst, way.dport))
            ours.send(b"anybody there?")
            with pytest.raises(ConnectionRefusedError):
                ours.recv(9)
            yield "port unreachable"
    assert way.twin(make_lab).lockstep(script) == 1


@pytest.mark.parametrize("name", [n for n in WAYS if "DNAT" not in n])
def test_icmp_echo(make_lab, name):
    way = WAYS[name]

    def script(lab):
        for _ in range(2):
            assert ping(lab.client, way.dst, args=("-e", "77"))
            yield "echo"
    assert way.twin(make_lab).lockstep(script) == 2


def test_icmp_echo_without_an_answer(make_lab):
    way = WAYS["masquerade"]

    def script(lab):
        lab.server.sysctl(net__ipv4__icmp_echo_ignore_all=1)
        assert not ping(lab.client, way.dst, wait=0.1, args=("-e", "78"))
        yield "no answer"
    assert way.twin(make_lab).lockstep(script) == 1


def test_a_syn_that_nobody_answers(make_lab):
    way = WAYS["masquerade"]

    def script(lab):
        lab.server.run("iptables", "-A", "INPUT", "-p", "tcp", "-j", "DROP")
        with pytest.raises(socket.timeout):
            connect(lab.client, way.dst, way.dport, way.src, 5007, timeout=0.3)
        yield "unanswered"
    assert way.twin(make_lab).lockstep(script) == 1
