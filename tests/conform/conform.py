#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The same traffic through the kernel's connection tracking and through xctd:
what comes out, the classes and the tables must be the same.

Each packet is put into both routers and what leaves them is compared at once;
tables and classes are compared after every so many packets. If they differ, all
is played again from the start with a comparison after every packet, so that the
first packet after which they differ can be named.
"""

import argparse
import collections
import pathlib
import random
import signal
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import ftp  # noqa: E402, F401 (needs the path above)
import routers  # noqa: E402
import traffic  # noqa: E402
import wire  # noqa: E402
import entries  # noqa: E402 (routers has put it in reach)

NATS = ("none", "snat", "dnat", "both")
ALIKE = ("an error of the router itself is about one of two connections that "
         "were alike behind a DNAT rule; no table is, from then on")
CASES = pathlib.Path(__file__).parent / "cases"


class Difference(Exception):
    """What differs after step number @at."""

    def __init__(self, at, step, lines):
        self.at, self.step, self.lines = at, step, lines
        super().__init__("\n".join(
            [f"after packet {at + 1}: {step}"] + [f"  {x}" for x in lines]))

    @property
    def kind(self):
        """The same for two differences that have one cause, most likely."""
        return self.lines[0].split(":")[0]


class Summary:
    def __init__(self):
        self.packets = self.forwarded = self.entries = self.comparisons = 0
        self.expected = 0  # expectations that were compared
        self.classes = dict.fromkeys(routers.CLASSES, 0)
        self.known = collections.Counter()

    def __str__(self):
        classes = ", ".join(f"{name} {n}" for name, n in self.classes.items()
                            if n)
        return (f"{self.packets} packets in, {self.forwarded} out, all bytes "
                f"equal; classes equal: {classes}; {self.comparisons} "
                f"comparisons of tables, {self.entries} entries at the last, "
                f"all equal; {self.expected} expectations" + "".join(
                    f"\n  {n} times not compared: {reason}"
                    for reason, n in self.known.items()))


# ---- NAT, as the hosts outside see it


class Seen:
    """What one router has made of the packets that began connections."""

    def __init__(self, nat):
        # Who stands behind a forwarded port: (proto, address, port) -> same.
        self.behind = {}
        if nat in ("dnat", "both"):
            self.behind = {
                (proto, wire.packed(dst), port): (wire.packed(to), to_port)
                for _, dst, port, to, to_port in routers.FORWARDS
                for proto in (wire.TCP, wire.UDP)}
        self.sent = {}  # (family, number) -> (side, tuple)
        self.made = {}  # tuple as sent -> (side, tuple as it came out)

    def inject(self, step):
        """The bytes of @step, as one sends them who sees this router's
        translations."""
        data = step.data
        view = wire.View(data)
        if view.family is None or view.l4 is None:
            return data
        if view.inner is not None and view.inner.sport is not None:
            side, made = self.made.get(view.inner.tuple, (None, None))
            if made and side != step.side:
                dst = made[1] if view.dst == view.inner.src else view.dst
                data = wire.retuple_quote(data, made, dst)
        elif view.inner is None and not view.is_later_fragment:
            side, made = self.made.get(wire.inverse(view.tuple), (None, None))
            if made and side != step.side:
                data = wire.retuple(data, wire.inverse(made))
            elif view.tuple[:3] in self.behind:
                proto, _, _, dst, dport = view.tuple
                data = wire.retuple(data, (
                    proto, *self.behind[view.tuple[:3]], dst, dport))
        elif view.is_later_fragment:
            data = self.inject_fragment(data, view, step.side)
        view = wire.View(data)
        if view.family and view.inner is None and \
                not view.is_later_fragment:
            self.sent[view.family, view.ident] = (step.side, view.tuple)
        return data

    def inject_fragment(self, data, view, to):
        """A fragment without ports: addresses alone tell what it is of."""
        for sent, (side, made) in self.made.items():
            if side != to and sent[0] == view.proto and \
                    (sent[3], sent[1]) == (view.src, view.dst):
                return wire.retuple(data, (view.proto, made[3], None, made[1],
                                           None))
        for (proto, dst, _), (behind, _) in self.behind.items():
            if (proto, dst) == (view.proto, view.src):
                return wire.retuple(data, (proto, behind, None, view.dst,
                                           None))
        return data

    def learn(self, packets):
        for packet in packets:
            view = wire.View(packet)
            side, sent = self.sent.get((view.family, view.ident),
                                       (None, None))
            if sent and not view.is_later_fragment and \
                    view.inner is None and sent[0] == view.proto and \
                    sent != view.tuple:
                self.made[sent] = (side, view.tuple)


# ---- comparing packets


def without_chance(packet, numbers):
    """@packet without what the kernel chooses at random: the IP id or flow
    label of what the router says itself, the id of IPv6 fragments that it has
    made anew."""
    view = wire.View(packet)
    # An error of its own may come from an address that is translated.
    is_own = view.src in routers.OWN or view.inner is not None
    # About what was sent just now: its number is not that one's, but by chance.
    is_answer = view.inner is not None and view.inner.ident in numbers
    if is_own and (is_answer or view.ident not in numbers):
        editor = wire.Editor(packet)
        if view.family == 4:
            editor.put(4, b"\0\0", [10])
        else:
            editor.put(2, b"\0\0", [])
            editor.data[1] &= 0xf0
        quote = view.inner
        if quote and quote.proto == wire.SCTP and \
                len(packet) >= quote.l4 + 12:  # its sum follows its ports
            editor.put(quote.l4 + 8, bytes(4), [view.l4 + 2])
        packet = bytes(editor.data)
        if view.proto == wire.ICMP and packet[view.l4] == 14:  # its clock
            packet = packet[:view.l4 + 2] + bytes(len(packet) - view.l4 - 2)
    if view.frag_header is not None:
        at = view.frag_header
        packet = packet[:at + 4] + bytes(4) + packet[at + 8:]
    return packet


def other_port(port, like, sent, sent_like):
    """@like for @port, if both were chosen at random or neither was: then
    each equals what its own router was sent."""
    if None in (port, like) or (port == sent) != (like == sent_like):
        return port
    return like


def renamed(packet, like, sent, sent_like):
    """@packet, which became of @sent, with its ports replaced by those of
    @like, which became of @sent_like, where they were chosen at random."""
    views = [wire.View(p) for p in (packet, like, sent, sent_like)]
    is_error = views[0].inner is not None
    quotes = [v.inner if is_error else v for v in views]
    if None in quotes[:2] or quotes[0].proto != quotes[1].proto:
        return packet
    # An answer of the router itself quotes, or answers, what was sent.
    own = [q or v for q, v in zip(quotes, views)]
    proto, src, sport, dst, dport = own[0].tuple
    new = (proto, src, other_port(sport, *(q.sport for q in own[1:])), dst,
           other_port(dport, *(q.dport for q in own[1:])))
    if is_error:
        return wire.retuple_quote(packet, new, views[0].dst)
    return wire.retuple(packet, new) if sport is not None else packet


def reassembled(packets):
    """The one datagram that @packets are fragments of, whole; or None."""
    views = [wire.View(p) for p in packets]
    if not views or not all(v.is_fragment or v.frag_header for v in views):
        return None
    first = min(views, key=lambda v: v.is_later_fragment)
    head = bytearray(first.data[:first.l4])
    if first.family == 4:
        head[2:4] = head[6:8] = head[10:12] = b"\0\0"
    else:
        head[4:6] = head[first.frag_header + 2:first.frag_header + 4] = b"\0\0"
    parts = {}
    for view in views:
        if view.family == 4:
            offset = struct.unpack_from("!H", view.data, 6)[0] << 3 & 0xfff8
        else:
            offset = struct.unpack_from("!H", view.data,
                                        view.frag_header + 2)[0] & 0xfff8
        parts[offset] = view.data[view.l4:]
    whole = b""
    for offset in sorted(parts):
        if offset != len(whole):
            return None
        whole += parts[offset]
    return bytes(head) + whole


def is_same_datagram(kernel, ours, sents):
    """Are both the same, cut differently?"""
    a, b = reassembled(kernel), reassembled(ours)
    return a is not None and b is not None and (
        a == b or renamed(b, a, *sents[::-1]) == a)


def is_about_its_like(kernel, ours):
    """Are both errors of the routers about packets that cannot be told apart
    where they were refused: one was forwarded there, one sent there?"""
    a, b = quotes = [wire.View(p).inner for p in (kernel, ours)]
    if None in quotes:
        return False
    if a.dport == b.dport and any(
            {a.dst, b.dst} == {wire.packed(dst), wire.packed(to)}
            for _, dst, to in routers.FORWARDED):
        return True
    for _, dst, port, to, to_port in routers.FORWARDS:
        into, behind = (wire.packed(dst), port), (wire.packed(to), to_port)
        if {(q.dst, q.dport) for q in quotes} == {into, behind}:
            return True
        # Both answer from there, and one of the ports was changed for that.
        if (a.src, a.sport) == (b.src, b.sport) == behind and \
                a.dst == b.dst and a.dport != b.dport:
            return True
    return False


def compare_packets(sents, outs, numbers, known):
    """What the routers have made of @sents, as lines. @known counts what
    differs for a reason that is known."""
    for side in routers.SIDES:
        kernel, ours = ([without_chance(p, numbers) for p in out[side]]
                        for out in outs)
        if kernel != ours and is_same_datagram(kernel, ours,
                                                      sents):
            known["xctd rewrites a reassembled packet, so that the kernel "
                  "cuts it anew instead of where it was cut before"] += 1
            continue
        for a, b in zip(kernel, ours):
            if is_about_its_like(a, b):
                known[ALIKE] += 1
            elif a != b and renamed(b, a, *sents[::-1]) != a:
                yield (f"forwarded to {side}: other bytes: kernel "
                       f"{wire.describe(a)}, xct {wire.describe(b)}")
                yield f"kernel {a.hex()}"
                yield f"xct    {b.hex()}"
        for name, longer, shorter in (("kernel", kernel, ours),
                                      ("xct", ours, kernel)):
            for packet in longer[len(shorter):]:
                yield (f"only {name} sends to {side}: "
                       f"{wire.describe(packet)}")


# ---- comparing tables


def short(entry):
    half = [" ".join(f"{k}={v}" for k, v in entry[d].items())
            for d in ("orig", "reply")]
    flags = "".join(f" [{flag}]" for flag in sorted(entry["flags"]))
    return (f"{entry['proto']} {entry.get('timeout')} {entry['state'] or ''} "
            f"{half[0]} | {half[1]}{flags} mark={entry.get('mark')}")


def was_chosen(entry):
    """The port or id of its reply that NAT has chosen at random, if it has."""
    orig, reply = entry["orig"], entry["reply"]
    name, kept = ("dport", "sport") if "sport" in orig else ("id", "id")
    if name in reply and reply[name] != orig[kept]:
        return name
    return None


def normal(entry):
    """@entry without what may differ: its timeout, its reference count, and a
    port that was chosen at random."""
    made = {k: v for k, v in entry.items() if k not in ("timeout", "use")}
    name = was_chosen(entry)
    if name:
        made["reply"] = {**made["reply"], name: "any"}
    return made


def with_ports(entry, ports):
    """@entry with its ports replaced as @ports says."""
    return {**entry, **{half: {
        k: ports.get(v, v) if k in ("sport", "dport", "id") else v
        for k, v in entry[half].items()} for half in ("orig", "reply")}}


def compare_tables(kernel, ours, apart=0.0):
    """@apart: seconds that there may be between both."""
    # Protocols without a name are all called "unknown".
    kernel, ours = ({(e["proto_number"], entries.key(e)): e for e in table}
                    for table in (kernel, ours))
    for name, one, other in (("the kernel", kernel, ours),
                             ("xct", ours, kernel)):
        for key in one.keys() - other.keys():
            if one[key].get("timeout", 2) <= 1 + apart:
                continue  # is about to end, or just has
            yield f"only {name} has: {short(one[key])}"
    for key in kernel.keys() & ours.keys():
        a, b = kernel[key], ours[key]
        what = [k for k in normal(a).keys() | normal(b).keys()
                if normal(a).get(k) != normal(b).get(k)]
        if abs(a.get("timeout", 0) - b.get("timeout", 0)) > 1 + apart:
            what.append("timeout")
        if what:
            yield (f"entry differs in {', '.join(sorted(what))}: "
                   f"kernel {short(a)}")
            yield f"{' ' * 18}xct    {short(b)}"


# ---- a run


def is_source_routed(options):
    while options and options[0]:
        if options[0] in (0x83, 0x89):
            return True
        size = 1 if options[0] == 1 else max(options[1] if len(options) > 1
                                             else 0, 2)
        options = options[size:]
    return False


class Run:
    """One list of steps through both routers of @twins."""

    def __init__(self, twins, every):
        self.twins, self.every = twins, every
        self.summary = Summary()
        self.found = None  # a list: go on after a difference, and keep it

    def classes(self):
        """What both have counted since begin(). Router and listener discovery
        of the routers themselves is UNTRACKED, and comes when it likes."""
        return [[{name: count[name] - before[name] for name in count
                  if name != "UNTRACKED"}
                 for count, before in zip(router.classes(), befores)]
                for router, befores in zip(self.twins.routers, self.before)]

    def begin(self):
        for router in self.twins.routers:
            router.settle({side: [] for side in routers.SIDES})
            router.flush()
        self.before = [router.classes() for router in self.twins.routers]
        self.seen = [Seen(self.twins.nat) for _ in self.twins.routers]
        self.own_errors = 0
        self.lag = 0.0  # seconds; at most, between both for one packet
        self.refused = 0  # by routing: the kernel alone has seen them
        self.ports = {}  # chosen by xct -> by the kernel in its place

    def play(self, steps):
        """Raises Difference."""
        self.begin()
        for at, step in enumerate(steps):
            if step.side is None:
                time.sleep(step.wait)
            else:
                self.put(at, step)
            if (at + 1) % self.every == 0 or at + 1 == len(steps):
                self.compare(at, step)

    def differ(self, at, step, lines):
        if not lines:
            return
        if self.found is None:
            raise Difference(at, step, lines)
        self.found.append(Difference(at, step, lines))

    def why_not(self, side, data):
        """Why @data is not sent: what is known to differ."""
        view = wire.View(data)
        if view.src in routers.OWN:
            return ("the kernel tracks what comes from the router's own "
                    "address and then does not route it; xct never sees it")
        if view.family == 4 and is_source_routed(data[20:view.l4]):
            return ("the kernel tracks what is source-routed and then refuses "
                    "it; xct never sees it")
        if self.twins.nat in ("dnat", "both") and view.l4 and \
                not view.is_later_fragment and \
                view.proto in wire.CSUM_AT and len(data) < view.l4 + 8:
            return ("iptables' own matches for ports and types, with which "
                    "xct chooses what to queue, drop what is cut too short "
                    "for them")
        if len(data) > self.twins.mtus[side]:
            return "longer than the MTU of the link"
        return None

    def put(self, at, step):
        started = time.monotonic()
        outs, sents = [], []
        for router, seen in zip(self.twins.routers, self.seen):
            out = {side: [] for side in routers.SIDES}
            data = seen.inject(step)
            reason = self.why_not(step.side, data)
            if reason:
                self.summary.known[reason] += 1
            else:
                router.send(step.side, data)
                if seen is self.seen[0] and wire.is_refused(data):
                    self.refused += 1
            router.settle(out)
            for side in routers.SIDES:
                seen.learn(out[side])
            outs.append(out)
            sents.append(data)
        self.lag = max(self.lag, time.monotonic() - started)
        numbers = {wire.View(step.data).ident}
        self.note_ports(sents)
        self.own_errors += sum(
            view.inner is not None and view.src in routers.OWN
            for side in routers.SIDES for view in map(wire.View,
                                                      outs[1][side]))
        lines = list(compare_packets(sents, outs, numbers,
                                     self.summary.known))
        self.differ(at, step, lines)
        self.summary.packets += 1
        self.summary.forwarded += sum(len(p) for p in outs[0].values())

    def note_ports(self, sents):
        """Ports that were chosen at random come back in what is sent."""
        kernel, ours = (wire.View(data) for data in sents)
        for a, b in ((kernel, ours), (kernel.inner, ours.inner)):
            if a and b and a.sport is not None and b.sport is not None:
                for theirs, mine in ((a.sport, b.sport), (a.dport, b.dport)):
                    if theirs != mine:
                        self.ports[mine] = theirs

    def compare(self, at, step):
        # The packet it was about is the one's or the other's, too.
        if self.summary.known[ALIKE]:
            return
        started = time.monotonic()
        tables = [router.table() for router in self.twins.routers]
        lines = list(compare_tables(tables[0], [
            with_ports(entry, self.ports) for entry in tables[1]],
            time.monotonic() - started + self.lag))
        if self.twins.has_helper:
            expected = [router.expected() for router in self.twins.routers]
            lines += [f"expected by the kernel alone: {line}"
                      for line in expected[0] - expected[1]]
            lines += [f"expected by xct alone: {line}"
                      for line in expected[1] - expected[0]]
            self.summary.expected += len(expected[0])
        (came, _), (ours, _) = self.classes()
        wrong = [name for name in ours
                 if not 0 <= came[name] - ours[name] <= self.refused]
        # The router's own error about a packet that fits no connection.
        excess = ours["RELATED"] - came["RELATED"]
        if set(wrong) == {"RELATED", "INVALID"} and \
                0 < excess <= self.own_errors and \
                excess == came["INVALID"] - ours["INVALID"]:
            self.summary.known["an ICMP error of the router itself about an "
                               "INVALID packet is RELATED to xct"] = excess
        elif wrong:
            lines.append("classes: " + ", ".join(
                f"{name}: kernel {came[name]}, xct {ours[name]}"
                for name in wrong))
        self.differ(at, step, lines)
        self.summary.comparisons += 1
        self.summary.entries = len(tables[0])
        self.summary.classes = ours


def first_difference(twins, steps, every=50):
    """Play @steps. Returns the Difference (None: there is none), found with a
    comparison after each packet, and the summary."""
    run = Run(twins, every)
    try:
        run.play(steps)
        return None, run.summary
    except Difference as difference:
        found = difference
    try:
        # Whatever is wrong may have left more than what is listed.
        twins.xct.renew()
        run = Run(twins, 1)
        run.play(steps[:found.at + 1])
    except Difference as difference:
        return difference, run.summary
    found.lines.append("(not seen again when compared after each packet)")
    return found, run.summary


def survey(twins, steps):
    """Play all @steps, whatever differs. Returns a line about it."""
    run = Run(twins, len(steps) + 1)
    run.found = []
    run.play(steps)
    # The tables are compared below.
    bytes_differ = sum("forwarded to" in found.lines[0] or
                       "sends to" in found.lines[0] for found in run.found)
    tables = [router.table() for router in twins.routers]
    lines = list(compare_tables(tables[0], [
        with_ports(entry, run.ports) for entry in tables[1]]))
    differ = sum(line.startswith(("only", "entry")) for line in lines)
    listed = max(len(table) for table in tables)
    (came, left), (ours, _) = run.classes()
    classes = "; ".join(
        f"{name}: kernel {came[name]}" + (
            f" came, {left[name]} left" if came[name] != left[name] else "") +
        f", xct {ours[name]}" for name in ours)
    not_compared = "".join(f"\n  {n} times not compared: {reason}"
                           for reason, n in run.summary.known.items())
    return (f"{run.summary.packets} packets in, {run.summary.forwarded} out; "
            f"forwarded otherwise: {bytes_differ}; {listed} entries, "
            f"{listed - differ} equal, {differ} different; {classes}"
            f"{not_compared}")


def minimise(twins, steps, found):
    """As few of @steps as show the same kind of difference at their end."""
    steps = steps[:found.at + 1]

    def fails(some):
        twins.xct.renew()
        try:
            Run(twins, len(some)).play(some)
        except Difference as difference:
            return difference.kind == found.kind
        return False

    size = len(steps) // 2
    while size:
        at = 0
        while at < len(steps) - 1:
            fewer = steps[:at] + steps[min(at + size, len(steps) - 1):]
            if fails(fewer):
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


# ---- where steps come from


def load_case(path):
    """(kind of NAT, steps) of a case: a file with a line for each step."""
    nat, steps = "none", []
    for line in path.read_text().splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("nat "):
            nat = line.split()[1]
        elif line:
            steps.append(traffic.Step.load(line))
    return nat, steps


def save_case(path, nat, steps, difference):
    lines = [f"# {line}" for line in str(difference).splitlines()]
    lines.append(f"nat {nat}")
    for step in steps:
        lines += [f"# {step}", step.save()]
    path.write_text("\n".join(lines) + "\n")


MAX_GAP = 0.2
PCAP_MTU = 65000  # captures hold packets that a host had yet to segment


MAX_LINK = 80  # bytes of a link layer that nobody here knows


def find_packet(frame):
    """The IP packet that ends @frame, behind a link layer that scapy cannot
    read; None if there is none."""
    for at in range(min(MAX_LINK, len(frame) - 20)):
        rest = frame[at:]
        if rest[0] >> 4 == 4:
            header = rest[:(rest[0] & 15) * 4]
            if len(header) >= 20 and wire.checksum(header) == 0 and \
                    int.from_bytes(rest[2:4], "big") == len(rest):
                return rest
        elif rest[0] >> 4 == 6 and \
                40 + int.from_bytes(rest[4:6], "big") == len(rest):
            return rest
    return None


def load_pcap(path):
    """The IP packets of a capture. Two ends that talk are put on different
    sides, the one that is heard first inside; gaps are shortened."""
    # Slow to load, and needed here alone; what nothing names binds layers.
    import scapy.contrib.mpls  # noqa: F401
    import scapy.layers.dot11  # noqa: F401
    import scapy.layers.ppp  # noqa: F401
    from scapy.error import Scapy_Exception
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6
    from scapy.utils import PcapReader

    try:
        reader = PcapReader(str(path))
    except Scapy_Exception as error:
        raise ValueError(f"cannot be read: {error}") from None
    steps, sides, last = [], {}, None
    for frame in reader:
        # The outermost: what stands in a tunnel is the tunnel's payload.
        layer = frame
        while layer and not isinstance(layer, (IP, IPv6)):
            layer = layer.payload
        raw = layer.original if layer else find_packet(frame.original)
        if not raw:
            continue
        view = wire.View(raw)
        if view.family is None:
            continue
        size = struct.unpack_from("!H", raw, 2)[0] if view.family == 4 else \
            40 + struct.unpack_from("!H", raw, 4)[0]
        raw = raw[:size] if size else raw
        for near, far in ((view.src, view.dst), (view.dst, view.src)):
            if near not in sides:
                sides[near] = routers.OTHER[sides[far]] if far in sides \
                    else "lan"
        stamp = float(frame.time)
        if last is not None and stamp - last > 0.001:
            steps.append(traffic.Step(None, wait=min(stamp - last, MAX_GAP)))
        last = stamp
        steps.append(traffic.Step(sides[view.src], raw))
    return steps


# ---- the tool


def report(found, steps, command):
    print(f"DIFFERENT {found}")
    print(f"  again: {command}")
    history = [s for s in steps[:found.at] if s.side is not None]
    print("  before it:")
    for step in history[-5:]:
        print(f"    {step}")


def play(twins, steps, options, command):
    """True if there is no difference."""
    found, summary = first_difference(twins, steps, options.every)
    if found is None:
        print(f"equal: {summary}", flush=True)
        return True
    report(found, steps, command)
    if options.minimise:
        fewer = minimise(twins, steps, found)
        print(f"  {len(fewer)} steps show it:")
        for step in fewer:
            print(f"    {step}")
        if options.save:
            save_case(pathlib.Path(options.save), twins.nat, fewer, found)
    sys.stdout.flush()
    return False


def run_random(options):
    seeds = range(options.seed, options.seed + options.count) \
        if options.seed is not None else \
        [random.randrange(1 << 30) for _ in range(options.count)]
    bad = 0
    has_helper = not traffic.HELPED_KINDS.keys().isdisjoint(options.kinds or ())
    for nat in options.nat:
        with routers.Twins(nat, tracking=options.tracking,
                           has_helper=has_helper) as twins:
            for seed in seeds:
                steps = traffic.scenario(seed, nat, options.kinds,
                                         options.packets)
                command = (f"tests/conform/conform.py --nat {nat} --seed "
                           f"{seed} --packets {options.packets}")
                if options.kinds:
                    command += f" --kinds {','.join(options.kinds)}"
                if options.tracking != "usual":
                    command += f" --tracking {options.tracking}"
                print(f"seed {seed} nat {nat}: ", end="")
                bad += not play(twins, steps, options, command)
    return bad


def run_files(options):
    bad = 0
    for name in options.case:
        nat, steps = load_case(pathlib.Path(name))
        with routers.Twins(nat) as twins:
            print(f"{name}: ", end="")
            bad += not play(twins, steps, options,
                            f"tests/conform/conform.py --case {name}")
    if options.pcap:
        with routers.Twins("none", PCAP_MTU, PCAP_MTU) as twins:
            for name in options.pcap:
                try:
                    steps = load_pcap(name)
                except (OSError, ValueError) as error:
                    print(f"{name}: {error}")
                    bad += 1
                    continue
                if not steps:
                    print(f"{name}: no IPv4 or IPv6 packet that can be "
                          "replayed in it")
                    bad += 1
                    continue
                print(f"{name}: {survey(twins, steps)}")
                twins.xct.renew()
                bad += not play(twins, steps, options,
                                f"tests/conform/conform.py --pcap {name}")
    return bad


def main():
    parser = argparse.ArgumentParser(
        description="The kernel's connection tracking and xctd side by side: "
        "forwarded bytes, classes and tables of the same traffic. Exits 1 if "
        "they differ. Needs root.")
    parser.add_argument("--seed", type=int, help="the first seed of random "
                        "traffic (default: a random one)")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--packets", type=int, default=150,
                        help="in a seed, about (150)")
    parser.add_argument("--nat", type=lambda s: s.split(","),
                        default=list(NATS), help="of " + ",".join(NATS))
    parser.add_argument("--kinds", type=lambda s: s.split(","),
                        help="of " + ",".join([*traffic.ALL_KINDS,
                                               *traffic.SLOW_KINDS,
                                               *traffic.HELPED_KINDS]) +
                        "; with the last ones, port 21 has a helper")
    parser.add_argument("--tracking", choices=routers.TRACKING,
                        default="usual", help="how tracking is set up, of " +
                        ", ".join(routers.TRACKING))
    parser.add_argument("--every", type=int, default=50, metavar="N",
                        help="compare tables after every N packets (50)")
    parser.add_argument("--minimise", action="store_true",
                        help="look for the fewest packets that differ")
    parser.add_argument("--save", metavar="FILE",
                        help="with --minimise: write them to a case file")
    parser.add_argument("--case", nargs="+", default=[], metavar="FILE",
                        help="play cases that were saved")
    parser.add_argument("--pcap", nargs="+", metavar="FILE",
                        help="play captures")
    options = parser.parse_args()
    # Whatever ends this takes its namespaces along.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    bad = run_files(options) if options.case or options.pcap else \
        run_random(options)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
