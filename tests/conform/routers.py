# SPDX-License-Identifier: GPL-2.0-or-later
"""Two equal routers, one tracked by the kernel and one by xctd, with nothing
behind them: packets are written to their wires and read off them.

    outside --lan-- [lan0 router wan0] --wan-- outside

What comes in on one side and is not for the router itself leaves by the other,
whatever its addresses. Both routers have the same addresses, also of their
links, so that what they send can be compared byte by byte.

A packet is known to be through when a marker that was sent behind it has come
out. A marker is an ICMP message of a type that does not exist: no tracker
keeps anything of it, and it takes the same way as everything else. What visits
a queue twice, or makes the router answer, is overtaken by the first marker but
not by as many as it has visits.
"""

import contextlib
import itertools
import json
import os
import pathlib
import select
import shutil
import socket
import re
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "netns"))

import entries  # noqa: E402 (needs the path above)
import lab  # noqa: E402
import wire  # noqa: E402

# Addresses that are in no capture.
LAN4, WAN4 = "100.127.1.1", "100.127.2.1"
LAN6, WAN6 = "fd7a:c0de:1::1", "fd7a:c0de:2::1"
OWN = {wire.packed(a) for a in (LAN4, WAN4, LAN6, WAN6)}
NEXT = {"lan": ("100.127.1.2", "fd7a:c0de:1::2"),
        "wan": ("100.127.2.2", "fd7a:c0de:2::2")}
MACS = {"lan": ("02:00:00:00:01:01", "02:00:00:00:01:02"),
        "wan": ("02:00:00:00:02:01", "02:00:00:00:02:02")}
SIDES = ("lan", "wan")
OTHER = {"lan": "wan", "wan": "lan"}
_COUNTER = re.compile(r"\[(\d+):\d+\] -A (ENTRY|EXIT) .*--ctstate (\w+)")
ROUNDS = 4  # more than any packet has visits to a queue
CLASSES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
_SOL_PACKET, _IGNORE_OUTGOING = 263, 23
_MARKER_FROM, _MARKER_TO = "10.0.0.250", "198.51.100.250"
_serial = itertools.count()



# Port forwardings of TCP and UDP: the side they are asked from, what is asked
# for, where it goes.
FORWARDS = (("lan", "203.0.113.5", 80, "198.51.100.10", 8080),
            ("wan", WAN4, 8080, "10.0.0.10", 80),
            ("lan", "2001:db8:5::5", 80, "2001:db8:99::10", 8080),
            ("wan", WAN6, 8080, "fd00:a::10", 80))


# The same for whole addresses, from inside: family, address, another.
FORWARDED = ((4, "203.0.113.6", "198.51.100.11"),
             (6, "2001:db8:5::6", "2001:db8:99::11"))


def _forward(rules, policy, family, match, proto, port, to):
    dash = f"-p {proto} --dport {port} " if port else ""
    side, dst = match
    rules.append((family, f"-A PREROUTING -i {side} -d {dst} {dash}"
                          f"-j DNAT --to-destination {to}"))
    ports = f"proto: {proto}, dport: {port}, " if port else ""
    policy.append(f"  - {{in: {side}, dst: '{dst}', {ports}dnat: '{to}'}}\n")


def nat_rules(kind):
    """(iptables' nat rules as (family, rule), xct's nat list) of @kind: "none",
    "snat", "dnat" or "both"."""
    rules, policy = [], []
    if kind in ("dnat", "both"):
        for proto in ("tcp", "udp"):
            for side, dst, port, to, to_port in FORWARDS:
                family, to = (6, f"[{to}]") if ":" in to else (4, to)
                _forward(rules, policy, family, (f"{side}0", dst), proto, port,
                         f"{to}:{to_port}")
        for family, dst, to in FORWARDED:
            _forward(rules, policy, family, ("lan0", dst), None, None, to)
    if kind in ("snat", "both"):
        rules += [(family, "-A POSTROUTING -o wan0 -j MASQUERADE")
                  for family in (4, 6)]
        policy.append("  - {out: wan0, masquerade: yes}\n")
    return rules, "nat:\n" + "".join(policy) if policy else ""


TIMEOUTS = {  # xct's name: the end of the kernel's
    "tcp": {"syn-sent": "tcp_timeout_syn_sent",
            "syn-recv": "tcp_timeout_syn_recv",
            "established": "tcp_timeout_established",
            "fin-wait": "tcp_timeout_fin_wait",
            "close-wait": "tcp_timeout_close_wait",
            "last-ack": "tcp_timeout_last_ack",
            "time-wait": "tcp_timeout_time_wait",
            "close": "tcp_timeout_close",
            "max-retrans": "tcp_timeout_max_retrans",
            "unacknowledged": "tcp_timeout_unacknowledged"},
    "udp": {"unreplied": "udp_timeout", "stream": "udp_timeout_stream"},
    "sctp": {"closed": "sctp_timeout_closed",
             "cookie-wait": "sctp_timeout_cookie_wait",
             "cookie-echoed": "sctp_timeout_cookie_echoed",
             "established": "sctp_timeout_established",
             "shutdown-sent": "sctp_timeout_shutdown_sent",
             "shutdown-recd": "sctp_timeout_shutdown_recd",
             "shutdown-ack-sent": "sctp_timeout_shutdown_ack_sent",
             "heartbeat-sent": "sctp_timeout_heartbeat_sent"},
    "gre": {"unreplied": "gre_timeout", "stream": "gre_timeout_stream"},
    "icmp": "icmp_timeout", "icmpv6": "icmpv6_timeout",
    "generic": "generic_timeout",
}


def other_timeouts():
    """All timeouts set, each to a number of its own."""
    seconds = itertools.count(1000, 20)
    sysctls, lines = {}, ["  timeouts:\n"]
    for proto, names in TIMEOUTS.items():
        if isinstance(names, str):
            sysctls[names] = next(seconds)
            lines.append(f"    {proto}: {sysctls[names]}s\n")
            continue
        sysctls |= {name: next(seconds) for name in names.values()}
        lines.append(f"    {proto}: {{" + ", ".join(
            f"{ours}: {sysctls[name]}s" for ours, name in names.items()) +
            "}\n")
    return sysctls, "".join(lines)


# How tracking is set up: the kernel's sysctls, below nf_conntrack_, and xct's
# settings.
TRACKING = {
    "usual": ({}, ""),
    "liberal": ({"tcp_be_liberal": 1}, "  tcp: {liberal: yes}\n"),
    "strict": ({"tcp_loose": 0}, "  tcp: {loose: no}\n"),
    "any-rst": ({"tcp_ignore_invalid_rst": 1},
                "  tcp: {ignore-invalid-rst: yes}\n"),
    "impatient": ({"tcp_max_retrans": 1}, "  tcp: {max-retrans: 1}\n"),
    "unverified": ({"checksum": 0}, "  checksum: no\n"),
    "timeouts": other_timeouts(),
}


class Wire:
    """The outer end of a link."""

    def __init__(self, outside, dev, side):
        self.header = b"".join(bytes.fromhex(m.replace(":", ""))
                               for m in MACS[side])
        with outside.inside():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self.sock.bind((dev, 3))  # ETH_P_ALL
        self.sock.setblocking(False)

    def send(self, packet):
        kind = b"\x86\xdd" if packet and packet[0] >> 4 == 6 else b"\x08\x00"
        self.sock.send(self.header + kind + packet)

    def receive(self):
        """An IP packet, or None if there is none now."""
        while True:
            try:
                frame = self.sock.recv(1 << 17)
            except BlockingIOError:
                return None
            kind = frame[12:14]
            if kind == b"\x08\x00":
                return frame[14:14 + struct.unpack_from("!H", frame, 16)[0]]
            if kind == b"\x86\xdd":
                size = 40 + struct.unpack_from("!H", frame, 18)[0]
                packet = frame[14:14 + size]
                # The router's own discovery, of its links.
                if packet[8:10] != b"\xfe\x80" and packet[8:24] != bytes(16):
                    return packet


class Router:
    """A router and its wires. What tracks is for the classes below."""

    def __init__(self, home, name, mtus):
        self.home, self.name = home, name
        self.ns = home.namespace(name)
        self.markers = 0
        for side in SIDES:
            inner, outer = MACS[side]
            dev, mtu = f"{side}0", mtus[side]
            self.ns.ip(
                f"link add {dev} address {inner} type veth peer name "
                f"{name}{side} address {outer} netns {home.outside.name}",
                # Whoever a capture calls a neighbour needs no looking for.
                f"link set {dev} mtu {mtu} arp off up")
            home.outside.ip(f"link set {name}{side} mtu {mtu} arp off up")
            self.ns.run("ethtool", "-K", dev, "rx", "off", "tx", "off", "gso",
                        "off", "tso", "off", "gro", "off")
            home.outside.run("ethtool", "-K", f"{name}{side}", "rx", "off",
                             "tx", "off", "gso", "off", "tso", "off", "gro",
                             "off")
        self._configure()
        self.wires = {side: Wire(home.outside, f"{name}{side}", side)
                      for side in SIDES}

    def _configure(self):
        sysctls = {
            "net__ipv4__ip_forward": 1, "net__ipv6__conf__all__forwarding": 1,
            "net__ipv4__icmp_ratelimit": 0,
            "net__ipv6__icmp__ratelimit": 0,
            "net__ipv4__icmp_msgs_per_sec": 1000000,
            "net__ipv4__icmp_msgs_burst": 1000000,
        }
        for dev in ("all", "default", "lan0", "wan0"):
            conf = f"net__ipv4__conf__{dev}"
            sysctls |= {f"{conf}__rp_filter": 0, f"{conf}__send_redirects": 0,
                        f"{conf}__log_martians": 0}
        self.ns.sysctl(**sysctls)
        lines = []
        for side, own4, own6 in (("lan", LAN4, LAN6), ("wan", WAN4, WAN6)):
            mac, dev = MACS[side][1], f"{side}0"
            lines += [f"addr add {own4}/24 dev {dev} noprefixroute",
                      f"addr add {own6}/64 dev {dev} nodad noprefixroute"]
            lines += [f"neigh add {hop} lladdr {mac} dev {dev} nud permanent"
                      for hop in NEXT[side]]
        # What comes in on one side leaves by the other.
        for number, (side, dev) in enumerate((("lan", "wan0"),
                                              ("wan", "lan0"))):
            for family, hop in zip(("-4", "-6"), NEXT[OTHER[side]]):
                table = 100 + number
                lines += [f"{family} rule add iif {side}0 lookup {table} "
                          "pref 100",
                          f"{family} route add default via {hop} dev {dev} "
                          f"onlink table {table}"]
        # What the router says itself.
        for family, lan, hops in (("-4", "10.0.0.0/24", 0),
                                  ("-6", "fd00:a::/64", 1)):
            lines += [f"{family} route replace {lan} via {NEXT['lan'][hops]} "
                      "dev lan0 onlink",
                      f"{family} route replace default via "
                      f"{NEXT['wan'][hops]} dev wan0 onlink"]
        for line in lines:
            self.ns.run("ip", *line.split())

    def _marker(self):
        self.markers += 1
        body = struct.pack("!BBHI", 77, 0, 0, self.markers)
        return wire.ip(_MARKER_FROM, _MARKER_TO, wire.ICMP,
                       wire.fill_checksum(_MARKER_FROM, _MARKER_TO, wire.ICMP,
                                          body))

    def _drain(self, out, marker):
        """Read all there is; was the marker among it?"""
        is_seen = False
        for side in SIDES:
            while (packet := self.wires[side].receive()) is not None:
                # Its TTL is one less.
                if side == "wan" and packet[12:] == marker[12:]:
                    is_seen = True
                elif packet[12:20] != marker[12:20]:
                    out[side].append(packet)
        return is_seen

    def settle(self, out):
        """Wait until all that was sent has come out; add that to @out."""
        poll = select.poll()
        for side in SIDES:
            poll.register(self.wires[side].sock, select.POLLIN)
        for _ in range(ROUNDS):
            marker = self._marker()
            self.wires["lan"].send(marker)
            # The marker's source is translated on the way in some set-ups: it
            # is INVALID, and those are not.
            tries = 0
            while not self._drain(out, marker):
                poll.poll(100)
                tries += 1
                if tries > 100:
                    raise lab.Timeout(f"{self.name}: a marker did not come "
                                      "out within 10 s")

    def send(self, side, packet):
        self.wires[side].send(packet)

    def classes(self):
        """How many packets of each class there were, without the markers:
        (when they came, when they left or were delivered). Fewer leave where
        the router itself lets packets die."""
        counts = self.count_classes()
        for count in counts:
            count["INVALID"] -= self.markers
        return counts

    def command(self, *command):
        """The output of a program that is run in the router."""
        with self.ns.inside():
            return subprocess.run(command, check=True, text=True,
                                  stderr=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE).stdout


def expectations(text):
    """Lines of conntrack -L expect, without their timeouts."""
    return {line.split(" ", 1)[1] for line in text.splitlines()}


class KernelRouter(Router):
    def __init__(self, home, mtus, nat, tracking, has_helper):
        super().__init__(home, "k", mtus)
        rules, _ = nat_rules(nat)
        for tool in ("iptables", "ip6tables") if has_helper else ():
            self.ns.run(tool, *"-t raw -A PREROUTING -p tcp --dport 21 -j CT "
                        "--helper ftp".split())
        for family, tool in ((4, "iptables-restore"), (6, "ip6tables-restore")):
            lines = ["*mangle"]
            for chain in "ENTRY", "EXIT":
                lines.append(f":{chain} - [0:0]")
                lines += [f"-A {chain} -m conntrack --ctstate {name} "
                          "-j RETURN" for name in CLASSES]
            lines += ["-A PREROUTING -j ENTRY", "-A OUTPUT -j ENTRY",
                      "-A POSTROUTING -j EXIT", "-A INPUT -j EXIT",
                      "COMMIT", "*nat"]
            lines += [rule for wanted, rule in rules if wanted == family]
            # Also where nothing is translated: it is what keeps the reply
            # tuples unique.
            lines += ["-A POSTROUTING -o nowhere -j ACCEPT", "COMMIT"]
            self.ns.run(tool, input="\n".join(lines) + "\n")
        sysctls, _ = TRACKING[tracking]
        self.ns.sysctl(net__netfilter__nf_conntrack_acct=1,
                       **{f"net__netfilter__nf_conntrack_{name}": value
                          for name, value in sysctls.items()})

    def table(self):
        return entries.parse(self.command("conntrack", "-L"))

    def expected(self):
        # Without a family conntrack shows those of IPv4.
        return expectations("".join(
            self.command("conntrack", "-L", "expect", "-f", family)
            for family in ("ipv4", "ipv6")))

    def flush(self):
        self.ns.run("conntrack", "-F")

    def count_classes(self):
        entry, leaving = (dict.fromkeys(CLASSES, 0) for _ in range(2))
        for tool in ("iptables-save", "ip6tables-save"):
            for line in self.command(tool, "-c", "-t", "mangle").splitlines():
                found = _COUNTER.match(line)
                if found:
                    count = entry if found[2] == "ENTRY" else leaving
                    count[found[3]] += int(found[1])
        return entry, leaving


class XctRouter(Router):
    def __init__(self, home, mtus, nat, tracking, has_helper):
        super().__init__(home, "x", mtus)
        _, policy = nat_rules(nat)
        _, settings = TRACKING[tracking]
        helper = "  forward: {rules: [{proto: tcp, dport: 21, helper: ftp}]}\n"
        self.policy = policy + f"""
filter:
  invalid: accept
{helper if has_helper else ""}
settings:
  queue: {{workers: 1}}
  accounting: yes
""" + settings
        self.xctd = lab.Xctd(home, self.ns, self.policy)

    def renew(self):
        """Another xctd, which knows nothing of what was before."""
        self.xctd.stop()
        self.xctd = lab.Xctd(self.home, self.ns, self.policy)

    def table(self):
        return self.xctd.list()

    def expected(self):
        return expectations(self.xctd.ctl("list", "expect").stdout)

    def flush(self):
        self.xctd.ctl("flush")

    def count_classes(self):
        counted = json.loads(self.xctd.ctl("stats", "-o", "json").stdout)
        counted = {name: counted["class"].get(name, 0) for name in CLASSES}
        return counted, dict(counted)


class Twins:
    """Both routers, and the outside that is on all their wires."""

    def __init__(self, nat="none", lan_mtu=1500, wan_mtu=1400,
                 tracking="usual", has_helper=False):
        self.nat, self.has_helper = nat, has_helper
        self.mtus = {"lan": lan_mtu, "wan": wan_mtu}
        self.number = next(_serial)
        self.namespaces = []
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="xct-conform-"))
        self.xct = None
        lab.open_labs.append(self)
        try:
            self.outside = self.namespace("o")
            self.outside.sysctl(net__ipv6__conf__all__disable_ipv6=1,
                                net__ipv6__conf__default__disable_ipv6=1)
            self.kernel = KernelRouter(self, self.mtus, nat, tracking,
                                       has_helper)
            self.xct = XctRouter(self, self.mtus, nat, tracking, has_helper)
        except BaseException:
            self.close()
            raise
        self.routers = (self.kernel, self.xct)

    xctd = property(lambda self: self.xct.xctd if self.xct else None)

    def namespace(self, role):
        made = lab.Namespace(f"xctconf{os.getpid()}-{self.number}{role}")
        self.namespaces.append(made)
        return made

    def close(self):
        with contextlib.suppress(ValueError):
            lab.open_labs.remove(self)
        try:
            if self.xct:
                self.xct.xctd.stop()
        finally:
            for ns in reversed(self.namespaces):
                ns.close()
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
