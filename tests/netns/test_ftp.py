# SPDX-License-Identifier: GPL-2.0-or-later
"""FTP, by real servers and clients, through a router that has a helper for it:
the kernel's (CT --helper ftp) and xct's. Transfers succeed, or fail, alike; so
are what is expected, the entries and the bytes that the other end reads.
"""

import hashlib
import re
import signal
import sys
import threading

import pytest

import entries
from lab import (CLIENT, CLIENT6, ROOT, SERVER, SERVER6, WAN, WAN6, can_connect,
                 connect, wait_for)
from test_events import follow, follow_kernel
from twin import Twin

sys.path.insert(0, str(ROOT / "tests/faults"))

from fdstore import Store  # noqa: E402 (needs the path above)

# Nothing but what begins at port 21, and what that leads to.
ONLY_FTP = [f"{version}-I FORWARD -p tcp ! --dport {port} -m conntrack "
            "--ctstate NEW -j DROP" for version, port in (("", 21), ("6 ", 21))]
HELPER = [f"{version}-t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp"
          for version in ("", "6 ")]
FILTER = ("filter: {forward: {default: drop, rules: [{proto: tcp, dport: 21, "
          "accept: yes, helper: ftp}]}}\n")
MASQUERADE = [f"{version}-t nat -A POSTROUTING -o wan0 -j MASQUERADE"
              for version in ("", "6 ")]
FORWARD = [f"-t nat -A PREROUTING -d {WAN} -p tcp --dport 21 -j DNAT "
           f"--to-destination {SERVER}",
           f"6 -t nat -A PREROUTING -d {WAN6} -p tcp --dport 21 -j DNAT "
           f"--to-destination {SERVER6}"]
XCT_MASQUERADE = "{out: wan0, masquerade: yes}"
XCT_FORWARD = (f"{{dst: {WAN}, proto: tcp, dport: 21, dnat: {SERVER}}}, "
               f"{{dst: '{WAN6}', proto: tcp, dport: 21, dnat: '{SERVER6}'}}")


class Way:
    def __init__(self, kernel, nat, dst, routed=True):
        self.kernel, self.nat, self.dst, self.routed = kernel, nat, dst, routed
        self.is_v6 = ":" in dst
        self.src = CLIENT6 if self.is_v6 else CLIENT
        self.server = SERVER6 if self.is_v6 else SERVER

    def twin(self, make_lab, helper=True, policy=FILTER):
        nat = f"nat: [{', '.join(self.nat)}]\n" if self.nat else ""
        return Twin(make_lab, ONLY_FTP + self.kernel + (HELPER if helper else []),
                    nat + policy, routed=self.routed)


WAYS = {
    "plain": Way([], [], SERVER),
    "plain IPv6": Way([], [], SERVER6),
    "masquerade": Way(MASQUERADE, [XCT_MASQUERADE], SERVER, False),
    "masquerade IPv6": Way(MASQUERADE, [XCT_MASQUERADE], SERVER6, False),
    "DNAT": Way(FORWARD, [XCT_FORWARD], WAN),
    "DNAT IPv6": Way(FORWARD, [XCT_FORWARD], WAN6),
    "DNAT and masquerade": Way(FORWARD + MASQUERADE,
                               [XCT_FORWARD, XCT_MASQUERADE], WAN, False),
}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request):
    return request.param


def vsftpd(lab):
    """A server of files below lab.dir/ftp, which has one of 300 kB."""
    root = lab.dir / "ftp"
    root.mkdir()
    (root / "file").write_bytes(bytes(range(250)) * 1200)
    root.chmod(0o555)
    config = lab.dir / "vsftpd.conf"
    config.write_text(f"""
background=NO
listen=NO
listen_ipv6=YES
anonymous_enable=YES
anon_root={root}
no_anon_password=YES
seccomp_sandbox=NO
isolate_network=NO
connect_from_port_20=YES
pasv_min_port=50000
pasv_max_port=50000
""")
    lab.server.run("mkdir", "-p", "/var/run/vsftpd/empty")
    lab.server.start("vsftpd", str(config))
    wait_for(lambda: lab.server.listening(21), "vsftpd")


# What the client says to have a connection for data.
MODES = {
    "EPSV": [],
    "PASV": ["--disable-epsv", "--no-ftp-skip-pasv-ip"],
    "EPRT": ["--ftp-port", "{src}:5100-5199"],
    "PORT": ["--disable-eprt", "--ftp-port", "{src}:5200-5299"],
}


def fetch(lab, way, mode):
    """The digest of the file, as curl got it."""
    source = f"[{way.src}]" if way.is_v6 else way.src
    host = f"[{way.dst}]" if way.is_v6 else way.dst
    args = [arg.format(src=source) for arg in MODES[mode]]
    first = 4000 + 100 * list(MODES).index(mode)
    done = lab.client.run("curl", "-sS", "-g", "--max-time", "20",
                          "--local-port", f"{first}-{first + 50}", *args,
                          f"ftp://{host}/file", text=False)
    return hashlib.sha256(done.stdout).hexdigest()


FILE = hashlib.sha256(bytes(range(250)) * 1200).hexdigest()


def modes_of(way):
    return ["EPSV", "EPRT"] if way.is_v6 else list(MODES)


def told(entry):
    """Of an entry all but its counters: how often there is an ACK is chance."""
    return (*entries.key(entry), entries.tuple_of(entry["reply"]),
            entry["state"], tuple(sorted(entry["flags"])), entry["mark"],
            entry.get("helper"))


def same(twin, step):
    tables = [set(), set()]

    def check():
        tables[:] = [set(map(told, table.list()))
                     for table in (twin.kernel, twin.xctd)]
        return tables[0] == tables[1]
    try:
        wait_for(check, step, timeout=3)
    except AssertionError:
        raise AssertionError(f"after {step}: only the kernel has "
                             f"{tables[0] - tables[1]}, only xct "
                             f"{tables[1] - tables[0]}") from None


def stats(text):
    return {key: int(value)
            for key, value in re.findall(r"(expect_\w+)=(\d+)", text)}


def test_a_file_comes_by_each_mode(make_lab, way):
    twin = way.twin(make_lab)
    for lab in twin.labs:
        vsftpd(lab)
    for mode in modes_of(way):
        for lab in twin.labs:
            assert fetch(lab, way, mode) == FILE, mode
        same(twin, mode)
    found = twin.xctd.ctl("-S", "expect").stdout
    assert stats(found)["expect_new"] == len(modes_of(way))
    assert stats(found)["expect_create"] == len(modes_of(way))
    assert stats(found)["expect_delete"] == len(modes_of(way))
    expected = [lab.list("-u", "EXPECTED") for lab in (twin.kernel, twin.xctd)]
    assert len(expected[0]) == len(expected[1]) == len(modes_of(way))


class Dialogue:
    """A control connection that is driven line by line."""

    def __init__(self, lab, dst, src=None, sport=4000):
        self.lab = lab
        self.sock = connect(lab.client, dst, 21, src, sport)
        self.lines = self.sock.makefile("rb")
        self.hear()

    def hear(self):
        return self.lines.readline().decode().strip()

    def say(self, text):
        self.sock.sendall(text.encode() + b"\r\n")
        return self.hear()

    def log_in(self):
        assert self.say("USER anonymous").startswith("230")
        assert self.say("TYPE I").startswith("200")
        return self

    def close(self):
        self.lines.close()
        self.sock.close()


@pytest.mark.parametrize("name", ["plain", "plain IPv6", "masquerade", "DNAT"])
def test_nothing_comes_without_a_helper(make_lab, name):
    """None is there unless it is asked for."""
    way = WAYS[name]
    without = FILTER.replace(", helper: ftp", "")
    twin = way.twin(make_lab, helper=False, policy=without)
    seen = []
    for lab in twin.labs:
        vsftpd(lab)
        dialogue = Dialogue(lab, way.dst).log_in()
        assert dialogue.say("EPSV").startswith("229")
        seen.append(can_connect(lab.client, way.dst, 50000))
        dialogue.close()
    assert seen[0] == seen[1] in ("timeout", "refused")
    assert "helper=" not in twin.xctd.ctl("list").stdout
    assert twin.xctd.ctl("-C", "expect").stdout == "0\n"


def timeless(text):
    """Lines without the seconds that are left, which may be one less."""
    return sorted(re.sub(r"^( *\[\w+\])? ?\d+ |<timeout>\d+|-t \d+ ", r"\1",
                         line)
                  for line in text.splitlines())


def announce(dialogue, way, mode):
    if mode in ("EPSV", "PASV"):
        return dialogue.say(mode)
    if mode == "EPRT":
        version = 2 if way.is_v6 else 1
        return dialogue.say(f"EPRT |{version}|{way.src}|40000|")
    return dialogue.say(f"PORT {way.src.replace('.', ',')},156,64")


def test_conntrack_and_xctctl_show_the_same(make_lab, way):
    """What is expected, in every form; what is asked for, ended and counted;
    and as it happens."""
    twin = way.twin(make_lab)
    for lab in twin.labs:
        vsftpd(lab)
    family = ["-f", "ipv6" if way.is_v6 else "ipv4"]
    followers = [follow_kernel(twin.labs[0], "expect"),
                 follow_kernel(twin.labs[0]),
                 follow(twin.xctd, twin.labs[1], "expect"),
                 follow(twin.xctd, twin.labs[1])]
    asks = [twin.kernel.run,
            lambda *args: twin.xctd.ctl(*args, check=False)]

    def both(*args):
        kernel, ours = (ask(*args) for ask in asks)
        assert timeless(ours.stdout) == timeless(kernel.stdout)
        return ours.stdout

    def count():
        # conntrack's is of IPv4 alone.
        return twin.xctd.ctl("-C", "expect").stdout if way.is_v6 else \
            both("-C", "expect")

    dialogues = [Dialogue(lab, way.dst, way.src).log_in() for lab in twin.labs]
    try:
        for mode in modes_of(way):
            for dialogue in dialogues:
                assert announce(dialogue, way, mode)[0] == "2"
            lines = both("-L", "expect", *family)
            assert lines.count("helper=ftp") == 1, mode
            both("-L", "expect", "-o", "xml", *family)
            both("-L", "expect", "-o", "id,extended", *family)
            assert count() == "1\n"
            src, dst = re.findall(r" (?:src|dst)=(\S+)", lines)[:2]
            port = re.search(r"dport=(\d+)", lines)[1]
            # conntrack wants ports of the answer as well, and ignores them.
            one = ["expect", "-s", src, "-d", dst, "-p", "tcp", "--sport", "0",
                   "--dport", port, "--reply-port-src", "1",
                   "--reply-port-dst", "1"]
            assert both("-G", *one) == lines
        both("-L", "-o", "save")
        asks[0]("-D", *one)
        twin.xctd.ctl("-D", *one)
        assert both("-L", "expect", *family) == ""
        for dialogue in dialogues:
            announce(dialogue, way, mode)
        assert count() == "1\n"
        both("-F", "expect")
        assert count() == "0\n"
        for dialogue in dialogues:
            announce(dialogue, way, mode)
        for ask in asks:
            ask("-D", "-p", "tcp", "--dport", "21")
        assert count() == "0\n"
    finally:
        for dialogue in dialogues:
            dialogue.close()

    # Each of them comes and goes.
    wait_for(lambda: all(len(f.lines()) == 2 * (len(modes_of(way)) + 2)
                         for f in (followers[0], followers[2])),
             "the end of the last expectation")
    said = []
    for follower in followers:
        code, errors = follower.stop()
        assert code == 0
        said.append((follower.lines(), errors.split(": ", 1)[1]))
    assert timeless("\n".join(said[2][0])) == timeless("\n".join(said[0][0]))
    assert said[2][1] == said[0][1]
    for lines, _ in (said[1], said[3]):
        control = [line for line in lines if "dport=21 " in line]
        assert all(("helper=ftp" in line) == ("DESTROY" not in line)
                   for line in control) and len(control) >= 4


class Recorder:
    """A server that says "200 fine" to each line, and keeps all that it gets."""

    def __init__(self, lab, addr):
        self.listener = lab.server.listen(addr, 21)
        self.got = b""
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        sock, _ = self.listener.accept()
        with sock, self.listener:
            sock.settimeout(60)
            sock.sendall(b"220 ready\r\n")
            while data := sock.recv(4096):
                self.got += data
                sock.sendall(b"200 fine\r\n" * data.count(b"\n"))


LOSS = ["-m", "statistic", "--mode", "random", "--probability", "0.15", "-j",
        "DROP"]


@pytest.mark.parametrize("is_lossy", [False, True], ids=["", "lossy"])
@pytest.mark.parametrize("name", ["masquerade", "masquerade IPv6"])
def test_text_of_another_length_goes_on_behind_it(make_lab, name, is_lossy):
    """Also where segments get lost, on the way to the router and behind it:
    what is sent again is said alike, and acknowledged as it was sent."""
    way = WAYS[name]
    twin = way.twin(make_lab)
    heard = []
    for lab in twin.labs:
        server = Recorder(lab, way.server)
        dialogue = Dialogue(lab, way.dst, way.src)
        dialogue.sock.settimeout(60)
        for ns in (lab.client, lab.server) if is_lossy else ():
            ns.run("ip6tables" if way.is_v6 else "iptables", "-A", "INPUT",
                   *LOSS)
        for i in range(10):
            assert dialogue.say(f"NOOP {'x' * i}") == "200 fine"
            mode = modes_of(way)[-1 if way.is_v6 else -1 - i % 2]
            assert announce(dialogue, way, mode) == "200 fine"
        for ns in (lab.client, lab.server) if is_lossy else ():
            ns.run("ip6tables" if way.is_v6 else "iptables", "-F")
        dialogue.close()
        server.thread.join(60)
        heard.append(server.got)
    assert heard[0] == heard[1]
    assert heard[1].count(b"\r\n") == 20
    if not way.is_v6:
        assert f"PORT {WAN.replace('.', ',')},156,64".encode() in heard[1]


def test_transfers_go_on_while_xctd_dies(lab):
    """Between an announcement and its connection, in the middle of that, and
    afterwards, with numbers that differ."""
    vsftpd(lab)
    xctd = Store(lab, lab.router, "nat: [{out: wan0, masquerade: yes}]\n" +
                 FILTER)
    try:
        dialogue = Dialogue(lab, SERVER).log_in()
        dialogue.sock.settimeout(30)
        for mode in ("PORT", "EPRT", "PASV"):
            with lab.client.listen(CLIENT, 40000) as listener:
                listener.settimeout(30)
                answer = announce(dialogue, WAYS["masquerade"], mode)
                xctd.kill(signal.SIGKILL)
                xctd.await_ready()
                if mode == "PASV":
                    port = [int(n) for n in re.findall(r"\d+", answer)][-2:]
                    data = connect(lab.client, SERVER,
                                   port[0] * 256 + port[1], timeout=30)
                    assert dialogue.say("RETR file")[:3] == "150"
                else:
                    assert dialogue.say("RETR file")[:3] == "150", answer
                    data, _ = listener.accept()
                data.settimeout(30)
                got = hashlib.sha256(data.recv(1000))
                xctd.kill(signal.SIGKILL)
                while part := data.recv(65536):
                    got.update(part)
                data.close()
                assert got.hexdigest() == FILE
                xctd.await_ready()
                assert dialogue.hear()[:3] == "226"
        assert "helper=ftp" in xctd.ctl("list", "-p", "tcp", "--dport", "21")
        dialogue.close()
    finally:
        assert xctd.close(), xctd.messages()


def test_a_stop_keeps_what_a_helper_knows(lab):
    """But not what is expected: that has to be announced again."""
    path = lab.dir / "flows"
    way = WAYS["masquerade"]
    policy = (f"settings: {{snapshot: {path}}}\n"
              f"nat: [{XCT_MASQUERADE}]\n{FILTER}")
    vsftpd(lab)
    xctd = lab.start_xctd(policy)
    dialogue = Dialogue(lab, SERVER).log_in()
    assert announce(dialogue, way, "PORT")[0] == "2"
    assert xctd.ctl("-C", "expect").stdout == "1\n"
    # What is under way when nobody translates it would be reset.
    wait_for(lambda: lab.server.run(
        "ss", "-tnH", "state", "established", "sport = :21").stdout.split()[1]
             == "0", "an ACK")
    xctd.stop()
    xctd = lab.start_xctd(policy)
    assert "helper=ftp" in xctd.ctl("list").stdout
    assert xctd.ctl("-C", "expect").stdout == "0\n"
    with lab.client.listen(CLIENT, 40000) as listener:
        listener.settimeout(10)
        assert announce(dialogue, way, "EPRT")[0] == "2"
        assert dialogue.say("RETR file")[:3] == "150"
        data, _ = listener.accept()
        with data:
            assert data.recv(10) == bytes(range(10))
    dialogue.close()
    wait_for(lambda: "ftp: announced 10.0.0.2 port 40000 as 192.0.2.1 port "
             "40000: IN=lan0 OUT=wan0" in xctd.messages(), "the log")
    assert xctd.json("stats")["announced"] == 1


def test_rules_have_the_last_word_on_what_is_related(routed):
    policy = ("filter: {forward: {default: drop, rules: ["
              "{state: related, name: data, proto: tcp, drop: yes}, "
              "{proto: tcp, dport: 21, accept: yes, helper: ftp}]}}\n")
    xctd = routed.start_xctd(policy)
    vsftpd(routed)
    dialogue = Dialogue(routed, SERVER).log_in()
    assert dialogue.say("EPSV").startswith("229")
    assert can_connect(routed.client, SERVER, 50000) == "timeout"
    assert xctd.hits("data") == 1
    xctd.reload(policy.replace("drop: yes", "accept: yes"))
    assert dialogue.say("EPSV").startswith("229")
    assert can_connect(routed.client, SERVER, 50000) is True
    assert xctd.hits("data") == 1
    dialogue.close()
