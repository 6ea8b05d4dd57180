# SPDX-License-Identifier: GPL-2.0-or-later
"""Random traffic that a seed determines: a list of steps.

A step is a packet on a side, or a time to wait. Packets are written as their
sender would, without knowing of NAT: who answers a translated packet, or
complains about it, is told its true addresses only when the answer is sent
(conform.Run does that). Each packet carries its number as the IP id or flow
label, so that it is known again when it comes out.
"""

import random
import struct

import routers
import wire

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << i for i in range(8))
MOD = 1 << 32


class Step:
    """A packet that comes in on @side; or (side None) @wait seconds."""

    def __init__(self, side, data=b"", wait=0.0):
        self.side, self.data, self.wait = side, data, wait

    def __str__(self):
        if self.side is None:
            return f"wait {self.wait} s"
        return f"{self.side}: {wire.describe(self.data)}"

    def save(self):
        if self.side is None:
            return f"wait {self.wait}"
        return f"{self.side} {self.data.hex()}"

    @staticmethod
    def load(line):
        what, value = line.split()
        if what == "wait":
            return Step(None, wait=float(value))
        return Step(what, bytes.fromhex(value))


LAN_HOSTS = {4: ["10.0.0.10", "10.0.0.11"], 6: ["fd00:a::10", "fd00:a::11"]}
WAN_HOSTS = {4: ["198.51.100.10", "198.51.100.11"],
             6: ["2001:db8:99::10", "2001:db8:99::11"]}
HOPS = {"lan": {4: "10.0.0.77", 6: "fd00:a::77"},
        "wan": {4: "203.0.113.99", 6: "2001:db8:77::1"}}
OWN = {"lan": {4: routers.LAN4, 6: routers.LAN6},
       "wan": {4: routers.WAN4, 6: routers.WAN6}}
FORWARDED = {4: "203.0.113.5", 6: "2001:db8:5::5"}
FORWARDED_ALL = {4: "203.0.113.6", 6: "2001:db8:5::6"}


class Talk:
    """Two ends that talk. End 0 begins."""

    def __init__(self, chance, family, sides, ends, ports):
        self.chance, self.family = chance, family
        self.sides, self.ends, self.ports = sides, ends, ports

    def packet(self, who, proto, payload, **options):
        """@payload from end @who, complete but for its checksum."""
        src, dst = self.ends[who], self.ends[1 - who]
        if proto in wire.CSUM_AT:
            payload = wire.fill_checksum(src, dst, proto, payload)
        return Step(self.sides[who],
                    wire.ip(src, dst, proto, payload, **options))


def talk(chance, nat, ports=8, has_ports=True):
    """Two ends, chosen so that all ways through the router occur."""
    family = chance.choice((4, 4, 6))
    lan, wan = (chance.choice(hosts[family]) for hosts in (LAN_HOSTS,
                                                           WAN_HOSTS))
    sport = 5000 + chance.randrange(ports)
    dport = chance.choice((80, 80, 8080))
    way = chance.random()
    if nat in ("dnat", "both"):
        if way < 0.3 and has_ports:
            return Talk(chance, family, ("lan", "wan"),
                        (lan, FORWARDED[family]), (sport, 80))
        if way < 0.4:
            return Talk(chance, family, ("lan", "wan"),
                        (lan, FORWARDED_ALL[family]), (sport, dport))
        if way < 0.6 and has_ports:
            return Talk(chance, family, ("wan", "lan"),
                        (wan, OWN["wan"][family]), (sport, 8080))
    if way < 0.85:
        return Talk(chance, family, ("lan", "wan"), (lan, wan), (sport, dport))
    return Talk(chance, family, ("wan", "lan"), (wan, lan), (sport, dport))


# ---- TCP


class End:
    def __init__(self, chance):
        self.isn = chance.choice((chance.randrange(MOD), MOD - 50, 0, 1000))
        self.next = self.isn
        self.acked = 0  # what it has acknowledged
        self.shift = 0  # bytes that the other end gets more than it has sent
        self.scale = chance.choice((None, 0, 2, 7, 14))
        self.sack = chance.random() < 0.6
        self.stamps = chance.random() < 0.4
        self.win = chance.choice((65535, 29200, 8192, 1000, 1, 64240))


class Tcp:
    """A connection that is right, segment by segment, and knows enough of
    itself to make a wrong one."""

    def __init__(self, between):
        self.between = between
        self.chance = between.chance
        self.ends = [End(self.chance), End(self.chance)]

    def options(self, who, flags, sack=()):
        end, out = self.ends[who], b""
        if flags & SYN:
            if self.chance.random() < 0.9:
                out += struct.pack("!BBH", 2, 4, 1460)
            if end.sack:
                out += b"\4\2"
            if end.scale is not None:
                out += b"\1\3\3" + bytes([end.scale])
        if end.stamps:
            out += b"\1\1\x08\x0a" + struct.pack(
                "!II", self.chance.randrange(MOD), self.chance.randrange(MOD))
        if sack:
            out += b"\1\1\5" + bytes([2 + 8 * len(sack)])
            for left, right in sack:
                out += struct.pack("!II", left % MOD, right % MOD)
        return (out + b"\1" * 3)[:(len(out) + 3) // 4 * 4][:40]

    def segment(self, who, flags, seq=None, ack=None, size=0, win=None,
                sack=(), options=None, payload=None):
        end = self.ends[who]
        seq = end.next if seq is None else seq
        ack = end.acked if ack is None else ack
        win = end.win if win is None else win
        if options is None:
            options = self.options(who, flags, sack)
        sport, dport = self.between.ports[::1 if who == 0 else -1]
        head = struct.pack("!HHIIBBHHH", sport, dport, seq % MOD,
                           ack % MOD if flags & ACK or ack else 0,
                           (5 + len(options) // 4) << 4, flags, win, 0, 0)
        return self.between.packet(who, wire.TCP,
                                   head + options + (payload or bytes(size)))

    def send(self, who, flags, size=0, **more):
        """The next segment of @who, which is then under way."""
        end = self.ends[who]
        if self.chance.random() < 0.2:
            end.win = self.chance.choice((65535, 29200, 8192, 100, 0, 1))
        made = self.segment(who, flags, size=size, **more)
        end.next += size + bool(flags & SYN) + bool(flags & FIN)
        return made

    def hear(self, who):
        """@who has got all that the other has sent."""
        other = self.ends[1 - who]
        self.ends[who].acked = other.next + other.shift

    def connection(self):
        """All of a connection, as a list."""
        chance, steps = self.chance, []

        def exchange(who, flags, size=0):
            steps.append(self.send(who, flags, size))
            self.hear(1 - who)

        if chance.random() < 0.1:  # both open at once
            steps.append(self.send(0, SYN))
            steps.append(self.send(1, SYN))
            self.hear(0)
            self.hear(1)
            steps.append(self.segment(0, SYN | ACK, seq=self.ends[0].isn))
            steps.append(self.segment(1, SYN | ACK, seq=self.ends[1].isn))
        else:
            exchange(0, SYN | (chance.random() < 0.1) * (ECE | CWR))
            exchange(1, SYN | ACK)
        exchange(0, ACK)
        for _ in range(chance.randrange(6)):
            who = chance.randrange(2)
            for _ in range(chance.randrange(1, 4)):
                steps.append(self.send(
                    who, ACK | chance.choice((0, PSH)),
                    chance.choice((1, 10, 100, 1000))))
            self.hear(1 - who)
            exchange(1 - who, ACK)
        first = chance.randrange(2)
        how = chance.random()
        if how < 0.15:
            exchange(first, RST | ACK)
        elif how < 0.25:
            exchange(first, RST)
        elif how < 0.35:  # both at once
            steps.append(self.send(0, FIN | ACK))
            steps.append(self.send(1, FIN | ACK))
            self.hear(0)
            self.hear(1)
            steps.append(self.send(0, ACK))
            steps.append(self.send(1, ACK))
        elif how < 0.9:
            exchange(first, FIN | ACK)
            if chance.random() < 0.7:
                exchange(1 - first, ACK)
                if chance.random() < 0.3:  # half closed
                    exchange(1 - first, ACK | PSH, 100)
                    exchange(first, ACK)
            exchange(1 - first, FIN | ACK)
            exchange(first, ACK)
        return steps

    def odd(self):
        """A segment that should not be: random flags, and numbers on the
        edges of what is known."""
        chance = self.chance
        who = chance.randrange(2)
        mine, other = self.ends[who], self.ends[1 - who]
        edges = [mine.next, mine.next - 1, mine.next + 1, mine.isn,
                 other.acked, other.acked - 1, other.acked + other.win,
                 other.acked + other.win + 1, mine.next - 66001,
                 mine.next + 70000, 0, chance.randrange(MOD),
                 other.acked + (other.win << (other.scale or 0))]
        acks = [other.next, other.next - 1, other.next + 1, mine.acked,
                other.isn, other.isn + 1, other.next - 66000,
                other.next - 66001, other.next - 100000, 0,
                chance.randrange(MOD), other.next + 1000]
        flags = chance.choice(
            (SYN, SYN, SYN | ACK, SYN | ACK, ACK, ACK, RST, RST, RST | ACK,
             RST | ACK, FIN | ACK, FIN | ACK, FIN, 0, SYN | FIN, SYN | RST,
             PSH | ACK, URG | ACK, FIN | PSH | URG, chance.randrange(256)))
        likely = chance.random() < 0.5
        sack = ()
        if chance.random() < 0.15:
            sack = [(chance.choice(acks), chance.choice(acks))
                    for _ in range(chance.randrange(1, 3))]
        return self.segment(
            who, flags,
            seq=mine.next if likely else chance.choice(edges),
            ack=mine.acked if chance.random() < 0.5 else chance.choice(acks),
            size=chance.choice((0, 0, 0, 1, 100, 1000)),
            win=chance.choice((None, None, 0, 1, 65535)), sack=sack)


def tcp(chance, nat):
    return Tcp(talk(chance, nat)).connection()


def tcp_lossy(chance, nat):
    """Lost, repeated, late and damaged segments."""
    steps, out, held = Tcp(talk(chance, nat)).connection(), [], []
    for step in steps:
        fate = chance.random()
        if fate < 0.12:
            continue
        if fate < 0.2:
            held.append(step)
            continue
        if fate < 0.24:
            step = Step(step.side, damaged(chance, step.data))
        out.append(step)
        if fate > 0.8:
            out += [step] * chance.choice((1, 1, 1, 2, 4))
        if held and chance.random() < 0.5:
            out.append(held.pop(0))
    return out + held


def tcp_hostile(chance, nat):
    """Segments that should not be, at every place of a connection."""
    made = Tcp(talk(chance, nat))
    steps = made.connection()
    cut = chance.randrange(len(steps) + 1)
    out = steps[:cut]
    for _ in range(chance.randrange(1, 8)):
        out.append(made.odd())
    if chance.random() < 0.7:
        out += steps[cut:]
    return out


def tcp_walk(chance, nat):
    """No connection at all: segments with likely numbers and any flags, which
    together come to every place of the state table."""
    made, out = Tcp(talk(chance, nat, ports=3)), []
    for _ in range(chance.randrange(4, 25)):
        if chance.random() < 0.3:
            out.append(made.odd())
            continue
        who = chance.randrange(2)
        flags = chance.choice((SYN, SYN | ACK, ACK, ACK, ACK | PSH, FIN | ACK,
                               RST, RST | ACK))
        out.append(made.send(who, flags, chance.choice((0, 0, 10, 1000))))
        if chance.random() < 0.8:
            made.hear(1 - who)
    return out


def tcp_reuse(chance, nat):
    """The ports of a connection are used again in whatever state it is."""
    between = talk(chance, nat)
    steps = Tcp(between).connection()
    out = steps[:chance.randrange(1, len(steps) + 1)]
    again = Tcp(between).connection()
    return out + again[:chance.randrange(1, len(again) + 1)]


def tcp_half_seen(chance, nat):
    """One direction, or from the middle on."""
    steps = Tcp(talk(chance, nat)).connection()
    if chance.random() < 0.5:
        side = chance.choice(("lan", "wan"))
        return [step for step in steps if step.side == side]
    return steps[chance.randrange(len(steps)):]


def damaged(chance, data):
    """The same packet, with a wrong transport checksum."""
    view = wire.View(data)
    data = bytearray(data)
    at = view.l4 + wire.CSUM_AT.get(view.proto, 0)
    if at + 2 <= len(data):
        data[at] ^= chance.randrange(1, 256)
    return bytes(data)


# ---- the others


def udp_header(ports, who, size):
    sport, dport = ports if who == 0 else ports[::-1]
    return struct.pack("!HHHH", sport, dport, 8 + size, 0)


def udp(chance, nat):
    between, out = talk(chance, nat), []
    if chance.random() < 0.3:
        between.ports = (chance.choice((53, 500, 700)), between.ports[1])
    for _ in range(chance.randrange(1, 6)):
        size = chance.choice((0, 1, 33, 1000))
        who = chance.randrange(2) if out else 0
        step = between.packet(who, wire.UDP,
                              udp_header(between.ports, who, size) +
                              bytes(size))
        fate = chance.random()
        if fate < 0.08:
            step = Step(step.side, damaged(chance, step.data))
        elif fate < 0.15:  # without a checksum
            view = wire.View(step.data)
            step = Step(step.side, step.data[:view.l4 + 6] + b"\0\0" +
                        step.data[view.l4 + 8:])
        elif fate < 0.2:
            view = wire.View(step.data)
            length = chance.choice((0, 7, 8, 9, 60000))
            step = Step(step.side, step.data[:view.l4 + 4] +
                        struct.pack("!H", length) + step.data[view.l4 + 6:])
        out.append(step)
    return out


def udp_stream(chance, nat):
    """Long enough to be taken for a stream."""
    between = talk(chance, nat)

    def one(who):
        return between.packet(who, wire.UDP,
                              udp_header(between.ports, who, 4) + b"data")
    out = [one(0)] + [one(1)] * chance.randrange(2)
    out.append(Step(None, wait=2.1))
    return out + [one(chance.randrange(2)) for _ in range(4)]


def large(chance, nat):
    """Around the MTU of the way out, with leave to be cut and without. What is
    not answered is sent again."""
    made, out = Tcp(talk(chance, nat)), []
    steps = made.connection()[:4] if chance.random() < 0.8 else []
    for _ in range(chance.randrange(1, 8)):
        size = chance.choice((1300, 1360, 1361, 1388, 1400, 1440))
        if chance.random() < 0.7:
            steps.append(made.send(chance.randrange(2), ACK | PSH, size,
                                   options=b""))
        else:
            steps.append(made.between.packet(
                chance.randrange(2), wire.UDP,
                udp_header(made.between.ports, 0, size) + bytes(size)))
    for step in steps:
        editor = wire.Editor(step.data)
        if made.between.family == 4 and chance.random() < 0.7:
            editor.put(6, b"\x40\0", [10])  # do not fragment
        out += [Step(step.side, bytes(editor.data))] * chance.choice(
            (1, 1, 1, 2, 5))
    return out


QUERIES = {4: [(8, 0), (13, 14), (15, 16), (17, 18)],
           6: [(128, 129), (139, 140)]}


def icmp(chance, nat):
    between, out = talk(chance, nat, has_ports=False), []
    proto = wire.ICMP if between.family == 4 else wire.ICMP6
    query = chance.choice(QUERIES[between.family])
    ident = 100 + chance.randrange(4)
    for number in range(chance.randrange(1, 5)):
        who = chance.randrange(2) if out else 0
        kind = query[who]
        if chance.random() < 0.15:
            kind = chance.choice([k for pair in QUERIES[between.family]
                                  for k in pair] + [chance.randrange(256)])
        if between.family == 6 and 130 <= kind <= 137:
            continue  # discovery, which would make the router answer
        size = chance.choice((0, 1, 56, 1000))
        step = between.packet(who, proto, struct.pack(
            "!BBHHH", kind, chance.choice((0, 0, 0, 1)), 0, ident, number) +
            bytes(size))
        if chance.random() < 0.08:
            step = Step(step.side, damaged(chance, step.data))
        out.append(step)
    return out


def generic(chance, nat):
    between, out = talk(chance, nat, has_ports=False), []
    proto = chance.choice((4, 33, 41, 50, 51, 89, 99, 103, 112, 253))
    for _ in range(chance.randrange(1, 5)):
        payload = bytes(chance.randrange(256)
                        for _ in range(chance.choice((0, 1, 8, 60))))
        if proto == 51:  # a whole authentication header
            payload = struct.pack("!BBHIII", 99, 2, 0, 1, 2, 3) + payload
        out.append(between.packet(chance.randrange(2) if out else 0, proto,
                                  payload))
    return out


def udplite(chance, nat):
    between, out = talk(chance, nat, has_ports=False), []
    for _ in range(chance.randrange(1, 5)):
        who = chance.randrange(2) if out else 0
        data = bytes(chance.choice((0, 1, 40)))
        sport, dport = between.ports[::1 if who == 0 else -1]
        covered = chance.choice((0, 8, 8 + len(data), 7, 200))
        head = struct.pack("!HHHH", sport, dport, covered, 0)
        src, dst = between.ends[who], between.ends[1 - who]
        # The kernel wants UDP's number in the pseudo header.
        proto = chance.choice((wire.UDP, wire.UDP, wire.UDP, wire.UDPLITE))
        part = (head + data)[:covered or None]
        value = wire.checksum(part, wire.pseudo(
            wire.packed(src), wire.packed(dst), proto, 8 + len(data)))
        value = chance.choice((value or 0xffff,) * 9 + (0,))
        out.append(Step(between.sides[who], wire.ip(
            src, dst, wire.UDPLITE, head[:6] + struct.pack("!H", value) +
            data)))
    return out


SCTP_DATA, SCTP_INIT, SCTP_INIT_ACK, SCTP_SACK, SCTP_HEARTBEAT, \
    SCTP_HEARTBEAT_ACK, SCTP_ABORT, SCTP_SHUTDOWN, SCTP_SHUTDOWN_ACK, \
    SCTP_ERROR, SCTP_COOKIE_ECHO, SCTP_COOKIE_ACK = range(12)
SCTP_COMPLETE = 14
_SCTP_ORDER = ((0, SCTP_INIT), (1, SCTP_INIT_ACK), (0, SCTP_COOKIE_ECHO),
               (1, SCTP_COOKIE_ACK), (0, SCTP_DATA), (1, SCTP_SACK),
               (0, SCTP_HEARTBEAT), (1, SCTP_HEARTBEAT_ACK),
               (0, SCTP_SHUTDOWN), (1, SCTP_SHUTDOWN_ACK), (0, SCTP_COMPLETE))


def sctp_chunk(chance, kind, tag):
    body = b""
    if kind in (SCTP_INIT, SCTP_INIT_ACK):
        body = struct.pack("!IIHHI", tag, 65535, 1, 1, 7)
    elif kind == SCTP_DATA:
        body = struct.pack("!IHHI", 7, 0, 0, 0) + b"data"
    elif kind in (SCTP_COOKIE_ECHO, SCTP_HEARTBEAT, SCTP_HEARTBEAT_ACK):
        body = bytes(8)
    elif kind in (SCTP_SACK, SCTP_SHUTDOWN):
        body = bytes(12 if kind == SCTP_SACK else 4)
    flags = 3 if kind == SCTP_DATA else chance.random() < 0.1
    return struct.pack("!BBH", kind, flags, 4 + len(body)) + body


def sctp(chance, nat):
    """An association, with wrong chunks, tags and checksums in between."""
    between, out = talk(chance, nat, has_ports=False), []
    tags = [chance.randrange(1, MOD), chance.randrange(1, MOD)]
    wild = chance.random() < 0.5
    for who, kind in _SCTP_ORDER[:chance.randrange(1, 12)]:
        if wild and chance.random() < 0.3:
            continue
        if wild and chance.random() < 0.3:
            who, kind = chance.randrange(2), chance.choice(
                (*range(12), SCTP_COMPLETE, 15, 130))
        tag = 0 if kind == SCTP_INIT else tags[1 - who]
        if wild and chance.random() < 0.15:
            tag = chance.choice((0, tags[who], tags[1 - who], 99))
        chunks = sctp_chunk(chance, kind, tags[who])
        if kind == SCTP_COOKIE_ACK or wild and chance.random() < 0.2:
            chunks += sctp_chunk(chance, chance.choice(
                (SCTP_DATA, SCTP_SACK, SCTP_ABORT)), 1)
        sport, dport = between.ports[::1 if who == 0 else -1]
        head = struct.pack("!HHI", sport, dport, tag)
        crc = wire.crc32c(head + bytes(4) + chunks)
        if chance.random() < 0.05:
            crc ^= 1
        step = Step(between.sides[who], wire.ip(
            between.ends[who], between.ends[1 - who], wire.SCTP,
            head + struct.pack("<I", crc) + chunks))
        out += [step] * chance.choice((1, 1, 1, 2))
    return out


def gre(chance, nat):
    between, out = talk(chance, nat, has_ports=False), []
    for _ in range(chance.randrange(1, 6)):
        who = chance.randrange(2) if out else 0
        version = chance.choice((0x0000, 0x0000, 0x2000, 0x3001, 0x2001,
                                 chance.randrange(65536)))
        payload = struct.pack("!HHI", version, chance.choice((0x880b, 0x0800)),
                              chance.choice((1, 2, 0x40001)))
        payload += bytes(chance.choice((0, 4, 30)))
        if chance.random() < 0.1:
            payload = payload[:chance.randrange(8)]
        out.append(between.packet(who, wire.GRE, payload))
    return out


def fragments(chance, nat):
    """A datagram in pieces: in order, backwards, twice, with a hole."""
    between = talk(chance, nat)
    out = []
    for number in range(chance.randrange(1, 4)):
        who = chance.randrange(2) if number else 0
        size = chance.choice((40, 1200, 2000, 5000))
        data = bytes(i & 255 for i in range(size))
        if chance.random() < 0.7:
            proto = wire.UDP
            payload = udp_header(between.ports, who, size) + data
        else:
            proto = wire.ICMP if between.family == 4 else wire.ICMP6
            kind = QUERIES[between.family][0][who]
            payload = struct.pack("!BBHHH", kind, 0, 0, 300, number) + data
        src, dst = between.ends[who], between.ends[1 - who]
        payload = wire.fill_checksum(src, dst, proto, payload)
        pieces = split(src, dst, proto, payload,
                       chance.choice((16, 24, 512, 1400)),
                       chance.randrange(1, 60000))
        if len(pieces) > 20:
            continue
        order = chance.random()
        if order < 0.3:
            pieces.reverse()
        elif order < 0.5:
            chance.shuffle(pieces)
        elif order < 0.6 and len(pieces) > 1:
            del pieces[chance.randrange(len(pieces))]
        elif order < 0.7:
            pieces.insert(chance.randrange(len(pieces)),
                          chance.choice(pieces))
        out += [Step(between.sides[who], piece) for piece in pieces]
    return out


def split(src, dst, proto, payload, size, ident):
    """IP fragments with @size bytes each; all have the IP id @ident."""
    pieces = []
    for at in range(0, len(payload), size):
        part = payload[at:at + size]
        more = at + size < len(payload)
        if ":" in src:
            head = struct.pack("!BBHI", proto, 0, at | more, ident)
            pieces.append(wire.ip(src, dst, proto, part, extensions=head,
                                  first=44, ident=ident))
        else:
            pieces.append(wire.ip(src, dst, proto, part, ident=ident,
                                  frag=at // 8 | 0x2000 * more))
    return pieces


def local(chance, nat):
    """To the router itself, which answers as routers do."""
    family = chance.choice((4, 6))
    side = chance.choice(("lan", "wan"))
    hosts = {"lan": LAN_HOSTS, "wan": WAN_HOSTS}[side][family]
    between = Talk(chance, family, (side, side),
                   (chance.choice(hosts),
                    OWN[chance.choice(("lan", "wan"))][family]),
                   (5000 + chance.randrange(8),
                    chance.choice((80, 8080, 9999))))
    what = chance.randrange(3)
    if what == 0:
        return [between.packet(0, wire.UDP, udp_header(between.ports, 0, 2) +
                               b"hi")]
    if what == 1:
        proto = wire.ICMP if family == 4 else wire.ICMP6
        return [between.packet(0, proto, struct.pack(
            "!BBHHH", QUERIES[family][0][0], 0, 0, 200, 1) + b"ping")]
    made = Tcp(between)
    return [made.segment(0, chance.choice((SYN, ACK, FIN | ACK, RST)), ack=0)]


def malformed(chance, nat):
    """Packets of the other kinds, bent."""
    out = []
    for step in chance.choice((tcp, udp, icmp, generic))(chance, nat)[:4]:
        data = bytearray(step.data)
        view = wire.View(step.data)
        how = chance.random()
        if how < 0.4 and view.l4 < len(data):
            # Bend the transport header, and mend its checksum.
            for _ in range(chance.randrange(1, 4)):
                at = chance.randrange(view.l4, min(len(data), view.l4 + 40))
                data[at] = chance.randrange(256)
            if chance.random() < 0.7:
                data = mended(data)
        elif how < 0.7:
            # Cut, and let the IP header agree.
            keep = chance.randrange(view.l4, len(data) + 1)
            del data[keep:]
            if view.family == 4:
                struct.pack_into("!H", data, 2, len(data))
                struct.pack_into("!H", data, 10, 0)
                struct.pack_into("!H", data, 10, wire.checksum(
                    bytes(data[:view.l4])))
            else:
                struct.pack_into("!H", data, 4, len(data) - 40)
        elif view.family == 6:
            data = extended(chance, data)
        else:
            step = Step(step.side, wire.ip(
                wire.text(view.src), wire.text(view.dst), view.proto,
                bytes(data[view.l4:]),
                options=chance.choice((b"\1\1\1\0", b"\x94\4\0\0", b"\7\7\4" +
                                       bytes(5), b"\x83\7\4" + bytes(5)))))
            data = bytearray(step.data)
        out.append(Step(step.side, bytes(data)))
    return out


def mended(data):
    """@data with a right transport checksum, if there is room for one."""
    view = wire.View(bytes(data))
    csum = wire.CSUM_AT.get(view.proto)
    if csum is None or view.l4 + csum + 2 > len(data):
        return data
    struct.pack_into("!H", data, view.l4 + csum, 0)
    return bytearray(data[:view.l4] + wire.fill_checksum(
        wire.text(view.src), wire.text(view.dst), view.proto,
        bytes(data[view.l4:])))


def extended(chance, data):
    """An IPv6 packet with extension headers put in."""
    view = wire.View(bytes(data))
    first, chain = view.proto, b""
    for _ in range(chance.randrange(1, 5)):
        kind = chance.choice((60, 60, 43, 44, 0))
        if kind == 44:
            head = bytes([first, 0, 0, 0]) + struct.pack(
                "!I", chance.randrange(MOD))
        elif kind == 43:
            head = bytes([first, 0, 253, 0]) + bytes(4)
        else:
            head = bytes([first, 0, 1, 4]) + bytes(4)
        if chance.random() < 0.05:
            head = head[:1] + bytes([chance.randrange(256)]) + head[2:]
        chain = head + chain
        first = kind
    return bytearray(wire.ip(wire.text(view.src), wire.text(view.dst),
                             view.proto, bytes(data[40:]), extensions=chain,
                             first=first))


KINDS = {kind.__name__.replace("_", "-"): kind for kind in (
    tcp, tcp_lossy, tcp_hostile, tcp_walk, tcp_reuse, tcp_half_seen, udp,
    udplite, sctp, gre, icmp, generic, fragments, large, local, malformed)}
SLOW_KINDS = {"udp-stream": udp_stream}
HELPED_KINDS = {}  # for routers with helpers
ALL_KINDS = [*KINDS, "errors", "expired"]


# ---- ICMP errors about packets that went before


def error(chance, about):
    """An ICMP error about the step @about, from behind the router."""
    data = about.data
    view = wire.View(data)
    side = routers.OTHER[about.side]
    src, dst = wire.text(view.src), wire.text(view.dst)
    sender = HOPS[side][view.family]
    if view.dst not in routers.OWN and chance.random() < 0.5:
        sender = dst
    receiver = src
    quote = bytearray(data)
    quote[7 if view.family == 6 else 8] = chance.randrange(1, 64)
    how = chance.random()
    if how < 0.15 and view.l4 + 4 <= len(quote):  # forged: no such flow
        quote[view.l4 + chance.randrange(4)] ^= chance.randrange(1, 256)
    elif how < 0.25:  # forged: to somebody else
        hosts = (LAN_HOSTS if about.side == "lan" else WAN_HOSTS)
        receiver = chance.choice(hosts[view.family])
    if chance.random() < 0.5:  # as routers quote
        quote = quote[:view.l4 + 8 if view.family == 4 else 1232]
    elif chance.random() < 0.5:
        quote = quote[:view.l4 + chance.randrange(29)]
    elif chance.random() < 0.2:
        quote = quote[:chance.randrange(view.l4 + 1)]
    quote = bytes(quote[:1232])
    if view.family == 4:
        kind, code = chance.choice(((3, 0), (3, 1), (3, 3), (3, 4), (3, 13),
                                    (11, 0), (11, 1), (12, 0), (4, 0),
                                    (5, 1)))
        proto = wire.ICMP
        rest = b"\0\0\5\xdc" if (kind, code) == (3, 4) else bytes(4)
    else:
        kind, code = chance.choice(((1, 0), (1, 1), (1, 4), (2, 0), (3, 0),
                                    (3, 1), (4, 1)))
        proto = wire.ICMP6
        rest = b"\0\0\5\0" if kind == 2 else bytes(4)
    body = wire.fill_checksum(sender, receiver, proto, struct.pack(
        "!BBH", kind, code, 0) + rest + quote)
    made = wire.ip(sender, receiver, proto, body)
    if chance.random() < 0.05:
        made = damaged(chance, made)
    return Step(side, made)


# ---- packets that end in the router


def expired(chance, step):
    """@step with a TTL that is over when it comes to the router."""
    view, editor = wire.View(step.data), wire.Editor(step.data)
    ttl = chance.choice((0, 1, 1, 1))
    if view.family == 4:
        editor.put(8, bytes([ttl, step.data[9]]), [10])
    elif view.family == 6:
        editor.data[7] = ttl
    return Step(step.side, bytes(editor.data))


# ---- all together


def interleave(chance, talks):
    """The steps of all @talks, each in its order."""
    talks = [steps for steps in talks if steps]
    out = []
    while talks:
        # Bursts: more talks are then under way with the same partner.
        steps = chance.choice(talks)
        for _ in range(chance.choice((1, 1, 2, 5))):
            if steps:
                out.append(steps.pop(0))
        talks = [steps for steps in talks if steps]
    return out


def number(steps):
    """Give each packet that is not a fragment its number."""
    for at, step in enumerate(steps):
        if step.side is None:
            continue
        view = wire.View(step.data)
        if view.family is None or view.is_fragment:
            continue
        data = bytearray(step.data)
        if view.family == 6:
            struct.pack_into("!I", data, 0, struct.unpack_from(
                "!I", data)[0] & ~0xfffff | at + 1)
        else:
            head = wire.Editor(bytes(data))
            head.put(4, struct.pack("!H", at % 60000 + 1), [10])
            data = head.data
        steps[at] = Step(step.side, bytes(data))
    return steps


def scenario(seed, nat, kinds=None, packets=150):
    """About @packets packets of @kinds (default: all that are quick)."""
    kinds = list(kinds or ALL_KINDS)
    chance = random.Random(f"{seed} {nat} {' '.join(kinds)}")
    makers = {**KINDS, **SLOW_KINDS, **HELPED_KINDS}
    wants_errors, wants_expired = "errors" in kinds, "expired" in kinds
    kinds = [kind for kind in kinds if kind in makers] or list(KINDS)
    talks, count = [], 0
    while count < packets:
        steps = makers[chance.choice(kinds)](chance, nat)
        talks.append(list(steps))
        count += len(steps)
    # A few at a time, so that ports come to be used again.
    steps = []
    while talks:
        group = [talks.pop() for _ in range(min(len(talks),
                                                chance.randrange(1, 5)))]
        steps += interleave(chance, group)
    if wants_errors:
        out, past = [], []
        for step in steps:
            out.append(step)
            if step.side and wire.View(step.data).family:
                past.append(step)
            if past and chance.random() < 0.15:
                recent = past[-chance.choice((1, 3, 10, 1000)):]
                out.append(error(chance, chance.choice(recent)))
        steps = out
    if wants_expired:
        steps = [expired(chance, step)
                 if step.side and chance.random() < 0.05 else step
                 for step in steps]
    return number(steps)
