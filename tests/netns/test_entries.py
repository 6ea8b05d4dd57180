# SPDX-License-Identifier: GPL-2.0-or-later
"""Entries made, changed, written and loaded by hand: the same command lines for
conntrack(8) and the kernel's table, and for xctctl and xct's. And zones: the
same address twice.
"""

import contextlib
import re
import subprocess

import pytest

import entries
from lab import CLIENT, SERVER, WAN, XCTCTL, Xctd, connect, ping, wait_for
from twin import Twin

T = "-s 1.1.1.1 -d 2.2.2.2"
UDP = f"{T} -p udp --dport 20 -t 500"
TCP = f"{T} -p tcp --dport 20 -t 500"


class Pair:
    """A kernel's table and xct's, in two empty namespaces."""

    def __init__(self, lab):
        self.lab = lab
        self.kernel = lab.namespace("k")
        self.ours = lab.namespace("x")
        # Connection tracking is there once somebody needs it.
        self.kernel.run("iptables", "-A", "INPUT", "-m", "conntrack",
                        "--ctstate", "NEW")
        self.xctd = lab.xctd = Xctd(lab, self.ours,
                                    "settings: {accounting: no}\n")

    def conntrack(self, command, **options):
        return self.kernel.run("conntrack", *command.split(), check=False,
                               **options)

    def xctctl(self, command, **options):
        return self.xctd.ctl(*command.split(), check=False, **options)

    def both(self, command):
        """Run it twice; what came of it, normalised, in two tuples."""
        return (normal(self.conntrack(command)),
                normal(self.xctctl(command)))

    def same(self, command):
        kernel, ours = self.both(command)
        assert ours == kernel, command
        return kernel

    def fill(self):
        for command in CREATED:
            self.same(command)


def normal(done):
    """Lines sorted, without what differs by nature: the program, ids, the
    question's own reference, a second more or less of a long timeout."""
    text = done.stdout + done.stderr
    text = re.sub(r"(conntrack|xctctl) v[^:]*: ", "", text)
    text = re.sub(r"`\w+ -h' or '\w+ --help'", "`-h'", text)
    text = re.sub(r"<id>\d+", "<id>N", text)
    text = re.sub(r"\buse=2|<use>2", lambda m: m[0].replace("2", "1"), text)
    text = re.sub(r"( use=1) id=\d+", r"\1 id=N", text)
    text = re.sub(r"\b(4\d\d|500|8589\d\d\d)\b", "TIME", text)
    return done.returncode, sorted(text.splitlines())


CREATED = [
    f"-I {TCP} --sport 10 --state SYN_SENT",
    f"-I {TCP} --sport 11 --state ESTABLISHED -u ASSURED,SEEN_REPLY -m 5",
    f"-I {TCP} --sport 12 --state LISTEN -u FIXED_TIMEOUT",
    f"-I {TCP} --sport 13 --state NONE -n 8.8.8.8",
    f"-I {UDP} --sport 12 -n 9.9.9.9:700",
    f"-I {UDP} --sport 13 -g 9.9.9.9:700 -m 5/6",
    f"-I {UDP} --sport 14 -n 8.8.8.8 -g 9.9.9.9 -u SEEN_REPLY",
    f"-I {UDP} --sport 15 -w 4 -n 9.9.9.9",
    f"-I {UDP} --sport 16 --orig-zone 4",
    f"-I {UDP} --sport 17 --reply-zone 4",
    f"-I {UDP} --sport 18 -u UNSET",
    f"-I {UDP} --sport 19 -u OFFLOAD",
    f"-I {UDP} --sport 20 -u SRC_NAT",
    f"-I {UDP} --sport 21 -n 1.1.1.1:700",
    f"-I {UDP} --sport 22 -t 4294967295",
    f"-I {T} -p gre --srckey 77 --dstkey 0x10 -t 500",
    f"-I {T} -p gre --srckey 9 --dstkey 8 -n 9.9.9.9 -t 500",
    f"-I {T} -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 77 -t 500",
    f"-I {T} -p icmp --icmp-type 8 --icmp-code 0 -t 500 -n 9.9.9.9:44",
    f"-I {T} -p icmp --icmp-type 0 --icmp-code 0 --icmp-id 9 -t 500",
    f"-I {T} -p sctp --sport 1 --dport 2 -t 500 --state COOKIE_WAIT "
    "--orig-vtag 16 --reply-vtag 20",
    f"-I {T} -p udplite --sport 1 --dport 2 -t 500",
    f"-I {T} -p 50 -t 500",
    "-I -s 1::1 -d 2::2 -p udp --sport 17 --dport 20 -t 500 -n 3::3",
    "-I -s 1::1 -d 2::2 -p udp --sport 18 --dport 20 -t 500 -g [3::3]:55 "
    "-n 4::4",
    "-I -s ::1 -d ::2 -p icmpv6 --icmpv6-type 128 --icmpv6-code 0 "
    "--icmpv6-id 9 -t 500",
    f"-A {UDP} --sport 40",
]

# What conntrack, or the kernel, has something to say against.
REFUSED = [
    f"-I {UDP} --sport 12", f"-A {UDP} --sport 12",
    f"-I {UDP} --sport 30 -n 9.9.9.9:700",
    f"-I {UDP} --sport 30 -u EXPECTED", f"-I {UDP} --sport 30 -u FOO",
    f"-I {UDP} --sport 30 -u CONFIRMED", f"-I {UDP} --sport 30 -u DYING",
    f"-I {UDP} --sport 30 -r 3.3.3.3",
    f"-I {UDP} --sport 30 -r 3.3.3.3 -q 4.4.4.4",
    f"-I {UDP} --sport 30 -n 3.3.3.3:80-90",
    f"-I {UDP} --sport 30 -n 3.3.3.3/24", f"-I {UDP} --sport 30 -j 3.3.3.3",
    f"-I {UDP} --sport 30 -o save", f"-I {UDP} --sport 30 -i 7",
    f"-I {UDP} --sport 30 -d 2.2.2.0/24", f"-I {UDP} --sport 30 -f ipv4",
    f"-I {UDP} --sport 30 -d ::2", f"-I {UDP}",
    f"-I {T} -p udp --sport 30 --dport 20", f"-I {T} -t 5",
    f"-I {TCP} --sport 30", f"-I {TCP} --sport 30 --state FOO",
    "-I -s 1.1.1.1 -p udp --sport 30 --dport 20 -t 5",
    f"-I {T} -p icmp --icmp-type 8 -t 5",
    f"-I {T} -p icmp --icmp-type 3 --icmp-code 0 --icmp-id 9 -t 5",
    f"-I {T} -p icmpv6 --icmpv6-type 128 --icmpv6-code 0 -t 5",
    f"-I {T} -p gre -t 5",
    f"-I {T} -p sctp --sport 5 --dport 2 -t 5 --state CLOSED",
]

CHANGED = [
    f"-U {T} -p tcp --sport 10 -t 477", f"-U {T} -p tcp --sport 10 -m 9",
    f"-U {T} -p tcp --sport 10 -m 0x10/0xf0",
    f"-U {T} -p tcp --sport 11 -u SEEN_REPLY",
    f"-U {T} -p tcp --sport 10 -u FIXED_TIMEOUT",
    f"-U {T} -p tcp --sport 10 -u UNSET",
    f"-U {T} -p tcp --sport 10 --state LAST_ACK",
    f"-U {T} -p tcp --sport 999 -m 1", f"-U {T} -p gre --srckey 9 -m 3 -q "
    "9.9.9.9", "-U -s 7.7.7.7 -m 1", "-U",
    f"-U {T} -p udp --sport 14 -m 7 -o save",
    f"-U {T} -p udp --sport 14 -m 8 -o xml",
    f"-U {T} -p udp --sport 14 -m 9 -o id,extended",
    f"-U {T} -p udp -u CONFIRMED",
]

SHOWN = [
    "-L", "-L -o extended", "-L -o id", "-L -o ktimestamp", "-L -o timestamp",
    "-L -o save", "-L -o userspace", "-L -o xml -p tcp", "-L -o xml -p udp",
    "-L -o xml -p gre", "-L -o xml -p icmp", "-L -o xml -p 50",
    "-L -o xml -p icmpv6", "-L -o xml -p dccp", "-L -o xml,id,extended -p tcp",
    "-L -u !ASSURED", "-L -u !SEEN_REPLY",
    "-L -u ASSURED,SEEN_REPLY", "-L -u FIXED_TIMEOUT", "-L -u EXPECTED",
    "-L -w 4", "-L -w 0", "-L -w 5", "-L --orig-zone 4", "-L --reply-zone 4",
    "-L -n 9.9.9.9", "-L -n 9.9.9.9:700", "-L -n 9.9.9.9:701",
    "-L -n 1.1.1.1:700", "-L -n 9.9.9.9:15", "-L -g 9.9.9.9:700",
    "-L -j 9.9.9.9", "-L -j 9.9.9.9:700", "-L -j 9.9.9.9:701",
    "-L -s 1.1.1.0 --mask-src 255.255.255.0",
    "-L -s 1.1.77.1 --mask-src 255.255.0.255",
    "-L -s 1.77.1.1 --mask-src 255.255.0.255",
    "-L -d 2.2.2.77 --mask-dst 255.255.255.0", "-L --mask-src 255.0.0.0",
    "-L -t 5", "-D -p udp -m 5", "-D -w 4 -o xml", "-D -w 4",
    f"-G {T} -p gre --srckey 77 --dstkey 16",
    f"-G {T} -p tcp --sport 10 --dport 20 -o save",
]


@pytest.fixture
def pair(make_lab):
    return Pair(make_lab())


def test_every_command_line_has_conntracks_result(pair):
    pair.fill()
    for command in REFUSED + CHANGED + SHOWN:
        pair.same(command)
    assert pair.same("-L")[0] == 0


def test_timestamps(pair):
    pair.kernel.sysctl(net__netfilter__nf_conntrack_timestamp=1,
                       net__netfilter__nf_conntrack_acct=1)
    pair.xctd.reload("settings: {timestamps: yes, accounting: yes}\n")
    pair.fill()

    def is_same():
        # The second may change between the two programs.
        return all(a == b for a, b in map(pair.both, (
            "-L -o ktimestamp", "-L -o xml -p tcp", "-L",
            "-L -o ktimestamp,id,extended")))
    for ns, table in ((pair.kernel, pair.conntrack), (pair.ours, pair.xctctl)):
        assert re.search(r"delta-time=\d+ \[start=\w+ \w+ [ \d]\d "
                         r"\d\d:\d\d:\d\d \d{4}\] use=1\n",
                         table("-L -o ktimestamp").stdout)
    pair.conntrack("-F")
    pair.xctctl("-F")

    def attempt():
        pair.conntrack("-F")
        pair.xctctl("-F")
        pair.fill()
        return is_same()
    wait_for(attempt, "equal times", timeout=20)


def test_what_is_saved_loads_again(pair):
    pair.fill()
    saved = pair.xctctl("-L -o save").stdout
    marks = {entries.key(e): e["mark"] for e in pair.xctd.list()}
    before = sorted(re.sub(r"-t \d+", "", line)
                    for line in saved.splitlines())
    pair.xctctl("flush")
    done = pair.xctctl("load-entries -", input=saved)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    after = pair.xctctl("-L -o save").stdout
    assert sorted(re.sub(r"-t \d+", "", line)
                  for line in after.splitlines()) == before
    # As conntrack: marks are not written.
    assert {entries.key(e) for e in pair.xctd.list()} == marks.keys()
    # Again: everything is there, which -A does not mind.
    assert pair.xctctl("-R -", input=saved).returncode == 0


def test_what_the_kernel_saves_loads_here(pair):
    pair.fill()
    saved = pair.conntrack("-L -o save").stdout
    listed = normal(pair.xctctl("-L"))
    pair.xctctl("-F")
    path = pair.lab.dir / "saved"
    path.write_text("# from a kernel\n\n" + saved)
    assert pair.xctctl(f"-R {path}").returncode == 0
    loaded = normal(pair.xctctl("-L"))
    assert [re.sub(r"mark=\d+", "", line) for line in loaded[1]] == \
        [re.sub(r"mark=\d+", "", line) for line in listed[1]]


@pytest.mark.parametrize("lines, code, message", [
    (f"-A {UDP} --sport 1\n-A -t 40 -s 1.1.1.1 -p udp\n", 2,
     "line 2: you have to specify `--src' and `--dst'"),
    (f"-A {UDP} --sport 1\n\n# x\n-I {UDP} --sport 1\n-F\n", 1,
     "line 4: Operation failed: Such conntrack exists, try -U to update"),
    ("-L\n", 2, "line 1: Cannot use command `-L' with --load-file"),
    ("foo bar\n", 2, "line 1: Cannot use command `foo' with --load-file"),
    ('-A "x\n', 2, "line 1: too many words, or a quote without an end"),
])
def test_a_wrong_line_is_named(pair, lines, code, message):
    """Lines before it have been done; conntrack's exit code, with the line."""
    done = pair.xctctl("-R -", input=lines)
    assert done.returncode == code
    assert message in done.stderr
    assert len(pair.xctd.list()) == lines.count("--sport 1\n-") or \
        len(pair.xctd.list()) == lines.startswith("-A -s")
    if '"' not in lines:
        kernel = pair.conntrack("-R -", input=lines)
        assert kernel.returncode == code


def test_a_file_may_use_quotes_and_the_programs_name(pair):
    text = (f'conntrack -A {UDP} --sport "15"\n  xctctl update -p udp -m 5\n'
            f"create {UDP} --sport 16\n")
    assert pair.xctctl("-R -", input=text).returncode == 0
    assert sorted((e["orig"]["sport"], e["mark"])
                  for e in pair.xctd.list()) == [(15, 5), (16, 0)]
    assert pair.xctctl("-R /nonexistent").returncode == 2


def test_strangers_may_not_change_entries(pair):
    pair.xctd.reload("settings: {accounting: no}\n")
    subprocess.run(["chmod", "0666", pair.xctd.sock], check=True)
    copy = pair.lab.dir / "xctctl"
    copy.write_bytes(open(XCTCTL, "rb").read())
    copy.chmod(0o755)
    for command in (f"-I {UDP} --sport 1", "-U -m 4"):
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             copy, "--socket", pair.xctd.sock, *command.split()],
            capture_output=True, text=True)
        assert done.returncode == 1 and "permission denied" in done.stderr
    assert pair.xctd.list() == []


ZONES = """
zones:
  - {in: lan0, zone: 10}
  - {in: vpn*, zone: 20}
nat:
  - {in: lan0, out: wan0, snat: 192.0.2.10}
  - {in: vpn0, out: wan0, snat: 192.0.2.20}
filter:
  forward:
    default: drop
    rules:
      - {in: [lan0, vpn0], out: wan0, accept: yes}
"""


@pytest.fixture
def overlap(make_lab):
    """Two clients, both 10.0.0.2, behind two interfaces of the router; which
    of them an answer goes to is said by the address that it came for."""
    lab = make_lab()
    twin = lab.namespace("t")
    lab._veth(lab.router, "vpn0", twin, "eth0")
    twin.ip(f"address add {CLIENT}/24 dev eth0",
            "route add default via 10.0.0.1")
    lab.router.ip("address add 10.0.0.1/24 dev vpn0 noprefixroute",
                  "route add 10.0.0.0/24 dev vpn0 table 20",
                  "rule add fwmark 0x20/0xff table 20",
                  "address add 192.0.2.10/24 dev wan0",
                  "address add 192.0.2.20/24 dev wan0")
    # Before xctd's own chains: what it has queued skips the rest of a table.
    lab.router.run("iptables", "-t", "raw", "-A", "PREROUTING", "-d",
                   "192.0.2.20", "-j", "MARK", "--set-mark", "0x20/0xff")
    lab.router.sysctl(net__ipv4__conf__all__rp_filter=0,
                      net__ipv4__conf__vpn0__rp_filter=0)
    lab.twin = twin
    return lab


def ask(lab, ns, text):
    """A question from port 5000, and who asked in the server's eyes."""
    with ns.udp_socket(CLIENT, 5000) as sock:
        sock.sendto(text, (SERVER, 7000))
        assert sock.recvfrom(99) == (text, (SERVER, 7000))


def test_the_same_address_in_two_zones(overlap):
    lab = overlap
    xctd = lab.start_xctd(ZONES)
    peers = lab.echo(lab.server, SERVER, 7000)
    for _ in range(3):
        ask(lab, lab.client, b"of zone 10")
        ask(lab, lab.twin, b"of zone 20")
    assert set(peers) == {("192.0.2.10", 5000), ("192.0.2.20", 5000)}
    flows = sorted(xctd.list(), key=lambda e: e["zone-orig"])
    assert [e["zone-orig"] for e in flows] == [10, 20]
    assert [e["orig"]["src"] for e in flows] == [CLIENT, CLIENT]
    assert [e["reply"]["dst"] for e in flows] == ["192.0.2.10", "192.0.2.20"]
    assert [(e["orig"]["packets"], e["reply"]["packets"])
            for e in flows] == [(3, 3), (3, 3)]
    assert len(xctd.list("--orig-zone", "20")) == 1
    xctd.ctl("delete", "--orig-zone", "10")
    assert [e["zone-orig"] for e in xctd.list()] == [20]


def test_a_zone_follows_a_reload_and_a_new_name(overlap):
    lab = overlap
    xctd = lab.start_xctd(ZONES)
    lab.echo(lab.server, SERVER, 7000)
    ask(lab, lab.twin, b"zone 20")
    assert [e["zone-orig"] for e in xctd.list()] == [20]
    xctd.ctl("flush")
    xctd.reload(ZONES.replace("zone: 20", "zone: 21"))
    ask(lab, lab.twin, b"zone 21")
    assert [e["zone-orig"] for e in xctd.list()] == [21]
    xctd.ctl("flush")
    lab.router.ip("link set vpn0 down", "link set vpn0 name other0",
                  "link set other0 up",
                  "route add 10.0.0.0/24 dev other0 table 20")
    xctd.reload(ZONES.replace("vpn0", "other0"))
    ask(lab, lab.twin, b"no zone")
    assert ["zone-orig" in e for e in xctd.list()] == [False]
    assert WAN not in [e["reply"]["dst"] for e in xctd.list()]


OTHER = "10.0.0.200"
BOTH = "-t raw -A PREROUTING -i {} -j CT --zone{} {}"
ZONE_RULES = {
    # kernel's rules: (xct's zones, what is printed of OTHER's connections)
    "the source of one direction": (
        [f"-t raw -A PREROUTING -s {OTHER} -j CT --zone-orig 7"],
        f"{{src: {OTHER}, zone: 7}}", {"zone-orig": 7}),
    "the source of the answers": (
        [BOTH.format("lan0", "-reply", 9), BOTH.format("wan0", "-reply", 9)],
        "{src: 192.0.2.0/24, zone: 9}", {"zone-reply": 9}),
    "the mark": (
        [f"-t raw -A PREROUTING -s {OTHER} -j MARK --set-mark 0x25",
         f"-t raw -A PREROUTING -d {OTHER} -j MARK --set-mark 0x25",
         "-t raw -A PREROUTING -m mark --mark 0x20/0xf0 -j CT --zone 5"],
        "{mark: 0x20/0xf0, zone: 5}", {"zone": 5}),
    "interface and source": (
        [f"-t raw -A PREROUTING -i lan0 -s {OTHER} -j CT --zone-orig 3"],
        f"{{in: wan0, src: {OTHER}, zone: 4}}\n"
        f"  - {{in: lan0, src: [{OTHER}, 10.9.0.0/16], zone: 3}}\n"
        f"  - {{src: {OTHER}, zone: 2}}", {"zone-orig": 3}),
}


def zone_talk(lab):
    """TCP, UDP, a ping and a refused datagram, of both of the client's
    addresses."""
    with contextlib.ExitStack() as stack:
        keep = stack.enter_context
        listener = keep(lab.server.listen(SERVER, 7000))
        for i, addr in enumerate((CLIENT, OTHER)):
            # Open to the end: how two ends close is their timing.
            sock = keep(connect(lab.client, SERVER, 7000, addr, 5000 + i))
            peer = keep(listener.accept()[0])
            sock.sendall(b"question")
            assert peer.recv(99) == b"question"
            yield f"open from {addr}"
            with lab.client.udp_socket(addr, 6000 + i) as udp:
                udp.connect((SERVER, 9))
                udp.send(b"x")
                with pytest.raises(ConnectionRefusedError):
                    udp.recv(9)
                yield f"refused from {addr}"
            assert ping(lab.client, SERVER,
                        args=("-e", str(70 + i), "-I", addr))
            yield f"pinged from {addr}"


# With NAT, answers come for the router's address, which has no mark.
@pytest.mark.parametrize("name, is_nat", [
    (name, is_nat) for name in ZONE_RULES for is_nat in (True, False)
    if not (is_nat and name == "the mark")])
def test_a_zone_by_more_than_the_interface(make_lab, name, is_nat):
    """Beside CT --zone, --zone-orig and --zone-reply in the kernel's raw
    table."""
    kernel, zones, words = ZONE_RULES[name]
    marks = [rule for rule in kernel if "MARK" in rule]

    def prepare(lab):
        lab.client.ip(f"address add {OTHER}/24 dev eth0")
        for rule in marks:
            lab.router.run("iptables", *rule.split())
    rules = [rule for rule in kernel if rule not in marks]
    if is_nat:
        rules.append("-t nat -A POSTROUTING -o wan0 -j MASQUERADE")
    twin = Twin(make_lab, rules, f"zones:\n  - {zones}\n" +
                ("nat: [{out: wan0, masquerade: yes}]\n" if is_nat else ""),
                prepare, routed=True)
    assert twin.lockstep(zone_talk) == 6

    def zones_of(table):
        return {entries.key(e): {k: v for k, v in e.items() if "zone" in k}
                for e in table.list()}
    listed = zones_of(twin.xctd)
    assert listed == zones_of(twin.kernel) and len(listed) >= 5
    assert [v for k, v in listed.items() if ("src", OTHER) in k[1]] == \
        [words] * 3
