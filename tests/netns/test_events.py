# SPDX-License-Identifier: GPL-2.0-or-later
"""Events: the same traffic through kernel conntrack, followed by conntrack -E,
and through xct, followed by xctctl -E, gives the same lines. Equal but for
time, id, port id, and a second in timeouts.
"""

import contextlib
import json
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

from lab import (CLIENT, CLIENT6, LABELLED, SERVER, SERVER6, WAN, XCTCTL, connect, ping,
                 wait_for)
from raw import RawHost
from twin import Twin

MASQUERADE = "-t nat -A POSTROUTING -o wan0 -j MASQUERADE"
FORWARDS = [f"-t nat -A PREROUTING -p {proto} -d 192.0.2.1 --dport 8000 "
            "-j DNAT --to-destination 192.0.2.2:7000"
            for proto in ("tcp", "udp")]
XCT_NAT = """nat:
  - {out: wan0, masquerade: yes}
  - {dst: 192.0.2.1, proto: [tcp, udp], dport: 8000, dnat: '192.0.2.2:7000'}
"""


class Follower:
    """A process that writes events, and what it has written."""

    def __init__(self, lab, argv, name, start=subprocess.Popen, **options):
        self.path = lab.dir / name
        with open(self.path, "wb") as out:
            self.process = start(argv, stdout=out, stderr=subprocess.PIPE,
                                 **options)

    def lines(self):
        text = self.path.read_text()
        return text[:text.rfind("\n") + 1].splitlines()

    def stop(self, number=signal.SIGINT):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            _, errors = self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, errors.decode()


def follow(xctd, lab, *args, prefix=(), **options):
    """xctctl -E, once xctd knows of it."""
    before = xctd.json("status")["event_readers"]
    follower = Follower(lab, [*prefix, XCTCTL, "-s", xctd.sock, "-E", *args],
                        f"xct{before}.events", **options)
    wait_for(lambda: xctd.json("status")["event_readers"] == before + 1,
             "xctctl follows")
    return follower


def follow_kernel(lab, *args, prefix=()):
    def start(argv, **options):
        return lab.router.start(*argv, **options)
    # How many have joined groups of events (protocol 12: netfilter).
    def joined():
        rows = lab.router.run("cat", "/proc/net/netlink").stdout.splitlines()
        return sum(row.split()[1] == "12" and int(row.split()[3], 16) > 0
                   for row in rows[1:])
    before = joined()
    follower = Follower(lab, [*prefix, "conntrack", "-E", *args],
                        f"kernel{before}.events", start)
    wait_for(lambda: joined() == before + 1, "conntrack -E follows")
    return follower


def normal(line):
    """What must be equal of two lines, and the timeout, which may differ."""
    line = re.sub(r" \[USERSPACE\].*", " [USERSPACE]", line)
    line = re.sub(r"^\[[0-9.]+\]\t", "[time]\t", line)
    line = re.sub(r" id=\d+(?= \[USERSPACE\]|$)", " id=", line)
    line = re.sub(r"\[(start|stop)=[^]]*\]", r"[\1]", line)
    line = re.sub(r"delta-time=\d+", "delta-time=", line)
    found = re.match(r"(.*?\[[A-Z]+\] .*?\w+ +\d+ )(\d+ )?(.*)", line)
    head, timeout, rest = found.groups()
    return (head, rest, timeout is None), int(timeout or 0)


def is_equal(ours, theirs):
    (a, t), (b, u) = normal(ours), normal(theirs)
    return a == b and abs(t - u) <= 1


class Streams:
    """Both labs with a follower each; compared step by step."""

    def __init__(self, make_lab, rules=(), policy="", args=(), prefix=(),
                 **options):
        self.twin = Twin(make_lab, list(rules), policy, **options)
        kernel, ours = self.twin.labs
        self.prefix = prefix
        self.kernel = follow_kernel(kernel, *args, prefix=prefix)
        self.xct = follow(self.twin.xctd, ours, *args, prefix=prefix)
        self.seen = 0

    def run(self, lab, *args):
        """conntrack in one lab, xctctl in the other."""
        command = "conntrack",
        if lab is self.twin.labs[1]:
            command = XCTCTL, "-s", self.twin.xctd.sock
        return lab.router.run(*self.prefix, *command, *args, check=False)

    def same(self, step, want=1):
        """@want: what the last line says, or how many lines there are."""
        def settled():
            theirs, ours = self.kernel.lines(), self.xct.lines()
            if len(theirs) != len(ours) or len(ours) == self.seen:
                return False
            if isinstance(want, int):
                return len(ours) - self.seen >= want
            return want in theirs[-1]
        with contextlib.suppress(AssertionError):
            wait_for(settled, step, timeout=3)
        theirs = self.kernel.lines()[self.seen:]
        ours = self.xct.lines()[self.seen:]
        # What belongs to no flow in common has no order: a table is
        # emptied, or expires, in that of its records.
        if "any order" in step:
            theirs.sort(key=lambda line: normal(line)[0])
            ours.sort(key=lambda line: normal(line)[0])
        assert len(ours) == len(theirs) and all(
            is_equal(*pair) for pair in zip(ours, theirs)), (
            f"after \"{step}\":\nkernel:\n" + "\n".join(theirs) +
            "\nxct:\n" + "\n".join(ours))
        assert ours, f"no event after \"{step}\""
        self.seen += len(ours)

    def lockstep(self, script):
        steps = 0
        with contextlib.ExitStack() as stack:
            running = [stack.enter_context(contextlib.closing(script(lab)))
                       for lab in self.twin.labs]
            for kernel_step, our_step in zip(*running, strict=True):
                assert kernel_step == our_step
                self.same(*kernel_step)
                steps += 1
        for follower in self.kernel, self.xct:
            code, errors = follower.stop()
            assert code == 0
            assert errors.endswith(
                f": {self.seen} flow events have been shown.\n"), errors
        return steps


def open_connection(lab, dst, dport, sport, server=SERVER, src=CLIENT):
    with lab.server.listen(server, 7000) as listener:
        ours = connect(lab.client, dst, dport, src, sport)
        theirs, _ = listener.accept()
    theirs.settimeout(5)
    return ours, theirs


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    sock.close()


WAYS = {"untranslated": (SERVER, 7000), "masquerade": (SERVER, 7000),
        "DNAT": (WAN, 8000)}


def streams_of(make_lab, way, *args):
    if way == "untranslated":
        return Streams(make_lab, args=args, routed=True)
    return Streams(make_lab, [MASQUERADE, *FORWARDS], XCT_NAT, args)


@pytest.mark.parametrize("way", WAYS)
def test_tcp_as_conntrack_shows_it(make_lab, way):
    """Handshake, close, a new connection in TIME_WAIT, resets, refusal."""
    dst, dport = WAYS[way]

    def script(lab):
        ours, theirs = open_connection(lab, dst, dport, 5001)
        yield "open", "ESTABLISHED"
        ours.sendall(b"x")
        assert theirs.recv(9) == b"x"
        theirs.close()
        assert ours.recv(9) == b""
        yield "half closed", "CLOSE_WAIT"
        ours.close()
        yield "closed", "TIME_WAIT"
        ours, theirs = open_connection(lab, dst, dport, 5001)
        yield "reopened in TIME_WAIT", "ESTABLISHED"
        reset(ours)
        with pytest.raises(ConnectionResetError):
            theirs.recv(9)
        theirs.close()
        yield "reset", "CLOSE"
        with pytest.raises(ConnectionRefusedError):
            connect(lab.client, dst, dport, CLIENT, 5002)
        yield "refused", "[DESTROY]"
    streams = streams_of(make_lab, way)
    assert streams.lockstep(script) == 6


def test_udp_icmp_and_ipv6(make_lab):
    def script(lab):
        with lab.client.udp_socket(CLIENT6, 5001) as ours, \
                lab.server.udp_socket(SERVER6, 7000) as theirs:
            started = time.monotonic()
            ours.sendto(b"question", (SERVER6, 7000))
            _, peer = theirs.recvfrom(99)
            yield "unreplied",
            theirs.sendto(b"answer", peer)
            ours.recv(99)
            yield "replied",
            assert ping(lab.client, SERVER, args=("-e", "77"))
            yield "echo", 2
            wait_for(lambda: time.monotonic() - started > 2.2, "two seconds")
            ours.sendto(b"more", (SERVER6, 7000))
            theirs.recv(99)
            yield "a stream",
    streams = streams_of(make_lab, "untranslated",
                         "-o", "timestamp,id,extended")
    assert streams.lockstep(script) == 4


def ip(src, dst, proto, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64,
                       proto, 0, socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def segment(src, dst, sport, dport, flags, seq, ack):
    tcp = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 << 4, flags,
                      65000, 0, 0)
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack(
        "!HH", 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    return ip(src, dst, 6, tcp)


SYN, RST, ACK, FIN = 2, 4, 16, 1


def test_what_no_stack_sends(make_lab):
    """Simultaneous open and close, challenge ACK, retransmissions, pickup, GRE
    without a tracker's state and a protocol without any."""
    left, right = "10.0.0.77", "192.0.2.77"

    def script(lab):
        ends = (RawHost(lab, lab.client, "lan0", left),
                RawHost(lab, lab.server, "wan0", right))

        def tcp(is_reply, flags, seq, ack=0, sport=5001):
            pair = (right, left) if is_reply else (left, right)
            ports = (7000, sport) if is_reply else (sport, 7000)
            ends[is_reply].send(segment(*pair, *ports, flags, seq, ack))

        tcp(False, SYN, 100)
        yield "SYN",
        tcp(False, SYN, 100)
        tcp(True, ACK, 900, 50)
        yield "a SYN again, and a challenge ACK",
        tcp(True, SYN, 500)
        yield "SYN of the other end",
        tcp(False, SYN | ACK, 100, 501)
        yield "SYN-ACK",
        tcp(True, ACK, 501, 101)
        tcp(False, ACK, 101, 501)
        yield "open",
        tcp(False, FIN | ACK, 101, 501)
        tcp(True, FIN | ACK, 501, 101)
        yield "both close",
        tcp(False, ACK, 102, 502)
        tcp(True, ACK, 502, 102)
        yield "closed",
        tcp(False, ACK, 4000, 8000, sport=5003)
        yield "picked up",
        tcp(True, ACK, 8000, 4000, sport=5003)
        yield "answered",
        tcp(False, ACK, 4000, 8000, sport=5003)
        yield "assured",
        for proto, data in ((47, b"\0\0\x08\0"), (99, b"whatever")):
            ends[0].send(ip(left, right, proto, data))
            yield f"protocol {proto}",
            for _ in range(2):
                ends[1].send(ip(right, left, proto, data))
            ends[0].send(ip(left, right, proto, data))
            yield f"answer of protocol {proto}",
        for end in ends:
            end.close()
    assert streams_of(make_lab, "untranslated").lockstep(script) == 14


def sctp(src, dst, ports, vtag, chunk):
    packet = struct.pack("!HHII", *ports, vtag, 0) + chunk
    crc = 0xffffffff
    for byte in packet:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    packet = packet[:8] + struct.pack("<I", crc ^ 0xffffffff) + packet[12:]
    return ip(src, dst, 132, packet)


def test_sctp(make_lab):
    left, right = "10.0.0.77", "192.0.2.77"
    init = struct.pack("!IHHI", 65536, 1, 1, 1)
    steps = [  # from the answering end, chunk, verification tag
        ("INIT", False, b"\x01\0\0\x14\0\0\0\x07" + init, 0),
        ("INIT ACK", True, b"\x02\0\0\x14\0\0\0\x09" + init, 7),
        ("COOKIE ECHO", False, b"\x0a\0\0\x08abcd", 9),
        ("COOKIE ACK", True, b"\x0b\0\0\x04", 7),
        ("SHUTDOWN", False, b"\x07\0\0\x08\0\0\0\x01", 9),
        ("SHUTDOWN ACK", True, b"\x08\0\0\x04", 7),
        ("SHUTDOWN COMPLETE", False, b"\x0e\0\0\x04", 9),
    ]

    def script(lab):
        ends = (RawHost(lab, lab.client, "lan0", left),
                RawHost(lab, lab.server, "wan0", right))
        for name, is_reply, chunk, vtag in steps:
            ends[is_reply].send(
                sctp(right, left, (7000, 5001), vtag, chunk) if is_reply else
                sctp(left, right, (5001, 7000), vtag, chunk))
            yield name,
        for end in ends:
            end.close()
    assert streams_of(make_lab, "untranslated").lockstep(script) == len(steps)


def test_by_hand_and_by_time(make_lab):
    """Create, change, delete, flush; a flow whose time is over."""
    streams = Streams(make_lab, args=("-o", "id"), routed=True)
    ends = ("-s", "10.0.0.9", "-d", "192.0.2.9")
    udp = ("-p", "udp", *ends, "--sport", "5", "--dport", "6")

    def script(lab):
        streams.run(lab, "-I", *udp, "-t", "50")
        yield "created",
        streams.run(lab, "-U", *udp, "-m", "7")
        yield "marked",
        streams.run(lab, "-U", *udp, "-m", "7")  # as it is: no event
        streams.run(lab, "-U", *udp, "-u", "SEEN_REPLY,ASSURED")
        yield "changed",
        streams.run(lab, "-I", "-p", "tcp", *ends, "--sport", "5", "--dport",
                    "6", "--state", "ESTABLISHED", "-t", "900", "-m", "3")
        yield "another one",
        streams.run(lab, "-D", *udp)
        yield "deleted",
        streams.run(lab, "-I", *udp, "-t", "1")
        yield "for a second",
        wait_for(lambda: not streams.run(lab, "-L", "-p", "udp").stdout,
                 "its end")
        yield "over",
        ours, theirs = open_connection(lab, SERVER, 7000, 5001)
        streams.run(lab, "-F")
        yield "emptied, in any order", 2
        with ours, theirs:
            ours.sendall(b"x")
            assert theirs.recv(9) == b"x"
        yield "the rest of it",
    assert streams.lockstep(script) == 9


def test_times_of_flows(make_lab):
    streams = Streams(make_lab, args=("-o", "ktimestamp"), routed=True)
    streams.twin.xctd.reload("settings: {accounting: yes, timestamps: yes}\n")
    streams.twin.labs[0].router.sysctl(
        net__netfilter__nf_conntrack_timestamp=1)

    def script(lab):
        assert ping(lab.client, SERVER, args=("-e", "77"))
        yield "echo", 2
        streams.run(lab, "-D", "-p", "icmp")
        yield "deleted",
    assert streams.lockstep(script) == 2


FILTERS = [
    ("-e", "NEW"), ("-e", "UPDATES,DESTROY"), ("-p", "tcp"),
    ("-p", "tcp", "--dport", "7000"), ("-s", "10.0.0.0/24"), ("-r", SERVER),
    ("--any-nat",), ("-p", "tcp", "--dst-nat"), ("-f", "ipv6"),
    ("-o", "save"), ("-o", "xml,timestamp"),
]


def without_times(lines):
    drop = (r" \[USERSPACE\].*", r"-t \d+ ", r"<(id|timeout)>\d+</\1>",
            r"<when>.*</when>")
    for line in lines:
        if line.startswith((" ", "[")):
            yield normal(line)[0]
        else:
            yield re.sub("|".join(drop), "", line)


def same_lines(pairs):
    """Each two followers have seen the same, and end well."""
    for args, theirs, xct in pairs:
        def are_equal():
            return (list(without_times(xct.lines())) ==
                    list(without_times(theirs.lines())))
        wait_for(are_equal, " ".join(args))
        assert [each.stop()[0] for each in (theirs, xct)] == [0, 0], args
        assert are_equal(), args


def test_filters_and_formats_as_conntracks(make_lab):
    """Many followers of one and the same traffic."""
    rules = [MASQUERADE, "6 " + MASQUERADE, *FORWARDS]
    streams = Streams(make_lab, rules, XCT_NAT)
    kernel, ours = streams.twin.labs
    pairs = [(args, follow_kernel(kernel, *args),
              follow(streams.twin.xctd, ours, *args)) for args in FILTERS]

    def script(lab):
        for sport, (dst, dport) in enumerate(WAYS.values(), 5001):
            made, theirs = open_connection(lab, dst, dport, sport)
            reset(made)
            with pytest.raises(ConnectionResetError):
                theirs.recv(9)
            theirs.close()
            yield f"connection {sport}", "CLOSE"
        assert ping(lab.client, SERVER6, args=("-e", "77"))
        yield "echo", 2
        streams.run(lab, "-D", "-p", "icmpv6")
        yield "deleted",
    assert streams.lockstep(script) == 5
    same_lines(pairs)


def test_the_end_of_sctp_is_saved_without_its_tags(make_lab):
    streams = Streams(make_lab, routed=True)
    args = "-o", "save", "-p", "sctp"
    pairs = [(args, follow_kernel(streams.twin.labs[0], *args),
              follow(streams.twin.xctd, streams.twin.labs[1], *args))]

    def script(lab):
        streams.run(lab, "-I", "-s", CLIENT, "-d", SERVER, "-p", "sctp",
                    "--sport", "1", "--dport", "2", "-t", "500", "--state",
                    "COOKIE_WAIT", "--orig-vtag", "1", "--reply-vtag", "2")
        yield "made", "COOKIE_WAIT"
        streams.run(lab, "-D", "-p", "sctp")
        yield "deleted",
    assert streams.lockstep(script) == 2
    same_lines(pairs)


LABEL_RULES = [f"-t mangle -A FORWARD -p udp --dport {port} -m connlabel "
               f"--label {label} --set"
               for port, label in ((7001, 0), (7001, 40), (7001, 127),
                                   (7002, 40))] + [
    "-t mangle -A FORWARD -p icmp -m conntrack --ctstate RELATED -m connlabel "
    "--label 1 --set"]
XCT_LABELS = """filter: {forward: {rules: [
  {proto: udp, dport: 7001, label: [0, 40]},
  {proto: udp, dport: 7001, label: 127, accept: yes},
  {proto: udp, dport: 7002, label: 40},
  {state: related, label: 1}]}}
"""


def test_labels_as_conntrack_shows_them(make_lab):
    """By rules and by hand. An event says labels that come with it, and only
    then is it one of a flow with labels."""
    streams = Streams(make_lab, LABEL_RULES, XCT_LABELS, ("-o", "labels"),
                      LABELLED, routed=True)
    kernel, ours = streams.twin.labs
    pairs = [(args, follow_kernel(kernel, *args, prefix=LABELLED),
              follow(streams.twin.xctd, ours, *args, prefix=LABELLED))
             for args in (("-l", "first"), ("-l", "first,last", "-e", "NEW"),
                          ("-o", "labels,xml"), ("-p", "udp"))]
    udp = ["-p", "udp", "-s", CLIENT, "--sport", "5001"]

    def script(lab):
        with lab.client.udp_socket(CLIENT, 5001) as client, \
                lab.server.udp_socket(SERVER, 7001) as server, \
                lab.server.udp_socket(SERVER, 7002), \
                lab.server.udp_socket(SERVER, 7003):
            client.sendto(b"x", (SERVER, 7001))
            yield "two with names, one without", "labels=first,last"
            server.settimeout(5)
            server.sendto(b"y", server.recvfrom(9)[1])
            yield "answer",
            client.sendto(b"x", (SERVER, 7002))
            yield "one without a name", " labels"
            client.sendto(b"x", (SERVER, 7003))
            yield "none",
            client.sendto(b"x", (SERVER, 7004))
            yield "one for an error about it", "labels=foo"
        streams.run(lab, "-U", *udp, "--dport", "7001", "--label-add", "foo")
        yield "one more", "labels=first,foo,last"
        streams.run(lab, "-U", *udp, "--dport", "7001", "-m", "5")
        yield "mark", "labels=first,foo,last"
        streams.run(lab, "-U", *udp, "--dport", "7001", "--label-del", "foo")
        yield "one less", "labels=first,last"
        streams.run(lab, "-U", *udp, "--dport", "7001", "--label-add", "last")
        yield "none more", "labels=first,last"
        streams.run(lab, "-U", *udp, "--dport", "7001", "--label-del")
        yield "all gone", "mark=5"
        streams.run(lab, "-I", "-p", "udp", "-s", "1.1.1.1", "-d", "2.2.2.2",
                    "--sport", "1", "--dport", "2", "-t", "50", "--label-add",
                    "first")
        yield "made by hand", "labels=first"
        streams.run(lab, "-D", "-p", "udp", "-s", "1.1.1.1")
        yield "deleted", "[DESTROY]"
    assert streams.lockstep(script) == 12
    same_lines(pairs)


def test_json_and_numbers(lab):
    xctd = lab.start_xctd(XCT_NAT)
    follower = follow(xctd, lab, "-o", "json")
    assert ping(lab.client, SERVER, args=("-e", "77"))
    xctd.ctl("flush")
    wait_for(lambda: len(follower.lines()) == 3, "three events")
    events = [json.loads(line) for line in follower.lines()]
    assert [e["event"] for e in events] == ["new", "update", "destroy"]
    assert [e["seq"] for e in events] == [1, 2, 3]
    assert len({e["id"] for e in events}) == 1
    assert events[1]["status"] == ["SEEN_REPLY", "CONFIRMED", "SRC_NAT"]
    assert "portid" not in events[0] and events[2]["portid"] > 0
    assert abs(events[0]["time_ms"] / 1000 - time.time()) < 60
    assert follower.stop(signal.SIGTERM)[0] == 0


def send_udp(lab, count, first=0):
    """@count flows of one packet each."""
    with lab.client.udp_socket(CLIENT) as sock:
        for n in range(first, first + count):
            sock.sendto(b"x", (SERVER, 1024 + n))


def test_a_slow_reader_is_told_what_it_missed(lab):
    """It sleeps while others read and packets pass."""
    xctd = lab.start_xctd(XCT_NAT)
    slow = follow(xctd, lab, "-o", "seq")
    fast = follow(xctd, lab, "-o", "ndjson")
    slow.process.send_signal(signal.SIGSTOP)
    made = 0
    while xctd.json("status")["events"] < 40000:
        send_udp(lab, 1000, made % 50000)
        xctd.ctl("flush")
        made += 1000
    assert ping(lab.client, SERVER, args=("-e", "77"))
    xctd.ctl("flush")
    total = xctd.json("status")["events"]
    wait_for(lambda: len(fast.lines()) == total, "the one that reads")
    slow.process.send_signal(signal.SIGCONT)

    def last():
        lines = slow.lines()
        return lines and f" seq={total} " in lines[-1] + " " and lines
    lines = wait_for(last, "the one that slept", timeout=30)
    marks = [line for line in lines if "[MISSED]" in line]
    missed = sum(int(re.search(r"count=(\d+)", line)[1]) for line in marks)
    assert marks
    assert missed + len(lines) - len(marks) == total
    assert missed == xctd.json("status")["events_missed"]
    # Numbers go on where the marker says.
    at = lines.index(marks[0])
    first, count = (int(re.search(rf"{key}=(\d+)", marks[0])[1])
                    for key in ("seq", "count"))
    assert int(re.search(r"seq=(\d+)", lines[at - 1])[1]) == first - 1
    assert int(re.search(r"seq=(\d+)", lines[at + 1])[1]) == first + count
    assert [json.loads(line)["seq"] for line in fast.lines()] == list(
        range(1, total + 1))
    for follower in slow, fast:
        assert follower.stop()[0] == 0


def test_how_it_ends(lab):
    xctd = lab.start_xctd(XCT_NAT)
    pipe = subprocess.Popen([XCTCTL, "-s", xctd.sock, "events"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: xctd.json("status")["event_readers"] == 1, "it follows")
    assert ping(lab.client, SERVER)
    assert b"[NEW] icmp" in pipe.stdout.readline()  # flushed at once
    pipe.stdout.close()
    xctd.ctl("flush")
    assert pipe.wait(10) == 0
    pipe.stderr.close()
    wait_for(lambda: xctd.json("status")["event_readers"] == 0, "it has left")

    follower = follow(xctd, lab)
    xctd.stop()
    code, errors = follower.stop()
    assert code == 3
    assert "xctd has gone" in errors
    done = subprocess.run([XCTCTL, "-s", xctd.sock, "-E"], capture_output=True,
                          timeout=10)
    assert done.returncode == 3


def test_one_too_many_is_told_what_to_do(lab):
    xctd = lab.start_xctd("settings: {queue: {workers: 1}}")
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            follower = follow(xctd, lab)
            stack.callback(follower.stop)
        done = xctd.ctl("-E", check=False)
        assert done.returncode == 1
        assert "as many do so already" in done.stderr
        assert "end one of them" in done.stderr


def test_wrong_options(lab):
    xctd = lab.start_xctd("")
    for args in (("-E", "-e", "FOO"), ("-E", "-e", "NEW,"), ("-E", "-b", "x"),
                 ("-L", "-e", "NEW"), ("-L", "-b", "9"), ("-L", "-o", "seq"),
                 ("-E", "expect", "-p", "tcp"), ("-E", "-t", "5")):
        assert xctd.ctl(*args, check=False).returncode == 2, args
