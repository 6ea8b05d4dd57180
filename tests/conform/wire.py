# SPDX-License-Identifier: GPL-2.0-or-later
"""IP packets as bytes: built, read, and rewritten as a NAT would.

Packets are bytes that begin with the IP header. Whatever is rewritten has its
checksums updated by difference, so that a wrong one stays wrong.
"""

import ipaddress
import struct

ICMP, TCP, UDP, ICMP6, SCTP, UDPLITE, GRE = 1, 6, 17, 58, 132, 136, 47
PORTS = (TCP, UDP, SCTP, UDPLITE, 33)
# Where the checksum stands in the transport header.
CSUM_AT = {TCP: 16, UDP: 6, ICMP: 2, ICMP6: 2, UDPLITE: 6}
ECHO = {ICMP: (0, 8, 13, 14, 15, 16, 17, 18), ICMP6: (128, 129, 139, 140)}
ERRORS = {ICMP: (3, 4, 5, 11, 12), ICMP6: tuple(range(0, 128))}


def packed(addr):
    return ipaddress.ip_address(addr).packed


def total(data, start=0):
    if len(data) % 2:
        data += b"\0"
    start += sum(struct.unpack(f"!{len(data) // 2}H", data))
    while start >> 16:
        start = (start & 0xffff) + (start >> 16)
    return start


def checksum(data, start=0):
    return ~total(data, start) & 0xffff


def crc32c(data):
    """SCTP's checksum (RFC 9260 appendix A), bit by bit."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def pseudo(src, dst, proto, length):
    return total(src + dst + struct.pack("!II", length, proto))


def ip(src, dst, proto, payload, ident=0, ttl=64, frag=0, options=b"", tos=0,
       extensions=b"", first=None, bad_ip_sum=False):
    """An IP packet. @src and @dst are text; @frag: the IPv4 fragment field;
    @extensions: IPv6 extension headers, @first the type of their first.
    """
    src, dst = packed(src), packed(dst)
    if len(src) == 16:
        body = extensions + payload
        return struct.pack("!IHBB", 6 << 28 | tos << 20 | ident & 0xfffff,
                           len(body), proto if first is None else first,
                           ttl) + src + dst + body
    head = bytearray(struct.pack(
        "!BBHHHBBH4s4s", 0x40 | 5 + len(options) // 4, tos,
        20 + len(options) + len(payload), ident & 0xffff, frag, ttl, proto, 0,
        src, dst) + options)
    struct.pack_into("!H", head, 10, checksum(bytes(head)) ^ bad_ip_sum)
    return bytes(head) + payload


def fill_checksum(src, dst, proto, payload):
    """@payload with its transport checksum, which has to be 0 in it."""
    at = CSUM_AT[proto]
    start = 0 if proto == ICMP else pseudo(packed(src), packed(dst), proto,
                                           len(payload))
    value = checksum(payload, start)
    if proto in (UDP, UDPLITE) and not value:
        value = 0xffff
    return payload[:at] + struct.pack("!H", value) + payload[at + 2:]


class View:
    """Where the parts of a packet are; None for what it does not have."""

    def __init__(self, data, offset=0):
        self.data, self.offset = data, offset
        self.family = self.proto = self.l4 = self.src = self.dst = None
        self.sport = self.dport = self.ident = self.inner = None
        self.is_later_fragment = self.is_fragment = False
        self.frag_header = None
        have = len(data) - offset
        if have >= 20 and data[offset] >> 4 == 4:
            self._ipv4()
        elif have >= 40 and data[offset] >> 4 == 6:
            self._ipv6()
        if self.l4 is not None and not self.is_later_fragment:
            self._transport()

    def _ipv4(self):
        data, at = self.data, self.offset
        size = (data[at] & 15) * 4
        if size < 20 or len(data) < at + size:
            return
        self.family = 4
        self.addr_at, self.addr_len = at + 12, 4
        self.src, self.dst = data[at + 12:at + 16], data[at + 16:at + 20]
        self.proto, self.l4 = data[at + 9], at + size
        self.ident, frag = struct.unpack_from("!HH", data, at + 4)
        self.is_fragment = bool(frag & 0x3fff)
        self.is_later_fragment = bool(frag & 0x1fff)

    def _ipv6(self):
        data, at = self.data, self.offset
        self.family = 6
        self.addr_at, self.addr_len = at + 8, 16
        self.src, self.dst = data[at + 8:at + 24], data[at + 24:at + 40]
        self.ident = struct.unpack_from("!I", data, at)[0] & 0xfffff
        proto, where = data[at + 6], at + 40
        while proto in (0, 43, 44, 51, 60) and where + 8 <= len(data):
            size = (data[where + 1] + 1) * 8
            if proto == 44:
                size = 8
                frag = struct.unpack_from("!H", data, where + 2)[0]
                self.frag_header = where
                self.is_fragment = bool(frag & 0xfff9)
                self.is_later_fragment = bool(frag & 0xfff8)
            elif proto == 51:
                size = (data[where + 1] + 2) * 4
            proto = data[where]
            where += size
            if self.is_later_fragment:
                break
        self.proto, self.l4 = proto, min(where, len(data))

    def _transport(self):
        data, at = self.data, self.l4
        have = len(data) - at
        if self.proto in PORTS and have >= 4:
            self.sport, self.dport = struct.unpack_from("!HH", data, at)
        elif self.proto in ECHO and have >= 8:
            if data[at] in ECHO[self.proto]:
                self.sport = struct.unpack_from("!H", data, at + 4)[0]
                self.dport = 0
            elif data[at] in ERRORS[self.proto] and not self.offset:
                self.inner = View(data, at + 8)

    @property
    def tuple(self):
        """(proto, src, sport, dst, dport); ports are None if there are none;
        an ICMP id is the sport, whatever the direction."""
        return self.proto, self.src, self.sport, self.dst, self.dport


def inverse(what):
    proto, src, sport, dst, dport = what
    if proto in ECHO:
        return proto, dst, sport, src, dport
    return proto, dst, dport, src, sport


class Editor:
    """Changes 16-bit words and keeps the checksums that cover them in step."""

    def __init__(self, data):
        self.data = bytearray(data)

    def _crc(self, view):
        data = bytes(self.data[view.l4:])
        return struct.pack("<I", crc32c(data[:8] + bytes(4) + data[12:]))

    def _word(self, at, value, sums):
        old = struct.unpack_from("!H", self.data, at)[0]
        struct.pack_into("!H", self.data, at, value)
        for where in sums:
            self._adjust(where, old, value)

    def _adjust(self, where, old, new):
        present = struct.unpack_from("!H", self.data, where)[0]
        value = ~total(struct.pack("!HHH", ~present & 0xffff, ~old & 0xffff,
                                   new)) & 0xffff
        struct.pack_into("!H", self.data, where, value)

    def put(self, at, value, sums):
        """Write bytes of even length at an even distance from all @sums'
        areas."""
        for i in range(0, len(value), 2):
            self._word(at + i, struct.unpack_from("!H", value, i)[0], sums)

    def retuple(self, view, what, outer_sums=()):
        """Give the packet at @view the tuple @what. @outer_sums: checksums of
        what it is quoted in."""
        _, src, sport, dst, dport = what
        ip_sums, l4_sums = [], []
        if view.family == 4:
            ip_sums.append(view.offset + 10)
        csum = CSUM_AT.get(view.proto)
        if view.offset and view.proto == TCP and \
                len(self.data) < view.l4 + 20:
            csum = None  # not translated in a part of a header
        if csum is not None and not view.is_later_fragment and \
                view.l4 + csum + 2 <= len(self.data) and not (
                    view.proto == UDP and
                    self.data[view.l4 + 6:view.l4 + 8] == b"\0\0"):
            l4_sums.append(view.l4 + csum)
        before = bytes(self.data[view.offset:])
        has_crc = view.proto == SCTP and not view.is_fragment and \
            self._crc(view) == self.data[view.l4 + 8:view.l4 + 12]
        has_pseudo = view.proto != ICMP
        for addr, at in ((src, view.addr_at),
                         (dst, view.addr_at + view.addr_len)):
            self.put(at, addr, ip_sums + (l4_sums if has_pseudo else []))
        if sport is not None:
            if view.proto in ECHO:
                self.put(view.l4 + 4, struct.pack("!H", sport), l4_sums)
            else:
                self.put(view.l4, struct.pack("!HH", sport, dport), l4_sums)
        if has_crc:
            self.data[view.l4 + 8:view.l4 + 12] = self._crc(view)
        # What an error quotes is covered by its checksum.
        after = bytes(self.data[view.offset:])
        for where in outer_sums:
            for i in range(0, len(before) - 1, 2):
                if before[i:i + 2] != after[i:i + 2]:
                    self._adjust(where, *struct.unpack(
                        "!HH", before[i:i + 2] + after[i:i + 2]))
            if len(before) % 2 and before[-1] != after[-1]:
                self._adjust(where, before[-1] << 8, after[-1] << 8)


def retuple(data, what):
    view = View(data)
    editor = Editor(data)
    editor.retuple(view, what)
    return bytes(editor.data)


def retuple_quote(data, what, dst):
    """An ICMP error: the quoted packet becomes @what, the error goes to
    @dst."""
    view = View(data)
    editor = Editor(data)
    own = view.l4 + CSUM_AT[view.proto]
    editor.retuple(view.inner, what, [own])
    _, src, _, _, _ = view.tuple
    editor.retuple(View(bytes(editor.data)), (view.proto, src, None, dst, None))
    return bytes(editor.data)


def text(addr):
    return str(ipaddress.ip_address(addr)) if addr else "?"


_FLAGS = "FSRPAUEC"


_NOBODY = [ipaddress.ip_network(net) for net in (
    "0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "ff00::/8")]
_LINK_LOCAL = ipaddress.ip_network("fe80::/10")


def is_refused(data):
    """Is a packet from or for addresses that no router forwards?"""
    view = View(data)
    if view.family is None:
        return False
    src, dst = map(ipaddress.ip_address, (view.src, view.dst))
    return src in _LINK_LOCAL or any(addr in net for net in _NOBODY
                                     for addr in (src, dst))


def describe(data):
    """One line about a packet."""
    view = View(data)
    return _describe(view) + f" ({len(data)} bytes)"


def _describe(view):
    data, at = view.data, view.l4
    if view.family is None:
        return "not an IP packet: " + data[view.offset:].hex()[:80]
    ends = [text(view.src), text(view.dst)]
    if view.sport is not None and view.proto in PORTS:
        ends = [f"{ends[0]} port {view.sport}", f"{ends[1]} port {view.dport}"]
    line = f"{' > '.join(ends)}: protocol {view.proto}"
    if view.is_fragment:
        line += " fragment"
    if view.is_later_fragment or view.sport is None and view.inner is None:
        return line + " " + data[at:at + 16].hex()
    if view.proto == TCP and at + 20 <= len(data):
        seq, ack, off, flags, win = struct.unpack_from("!IIBBH", data, at + 4)
        names = "".join(n for i, n in enumerate(_FLAGS) if flags >> i & 1)
        size = len(data) - at - (off >> 4) * 4
        line = (f"{' > '.join(ends)}: TCP [{names}] seq {seq} ack {ack} "
                f"win {win} data {size}")
        if off > 0x50:
            line += f" options {data[at + 20:at + (off >> 4) * 4].hex()}"
    elif view.proto == UDP:
        line = f"{' > '.join(ends)}: UDP data {len(data) - at - 8}"
    elif view.proto in ECHO:
        line = (f"{' > '.join(ends)}: ICMP type {data[at]} code "
                f"{data[at + 1]}")
        if view.inner is None:
            line += f" id {view.sport}"
        else:
            line += f" about ({_describe(view.inner)})"
    return line
