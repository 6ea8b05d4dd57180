#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Kill xctd at random moments under real traffic, and count what was lost.

    faults.py [--kills N] [--seed N] [--json FILE] [--systemd] [--rate BITS]
              [--megabytes N]

A client talks through xctd's masquerade to a server: iperf3, pings each
millisecond, a UDP echo flow, a TCP connection with a question each 5 ms, DNS
queries and new TCP connections from new sockets, and downloads a file again and
again. Meanwhile xctd is killed: SIGKILL, SIGSEGV, SIGABRT, and SIGSTOP followed,
as by a watchdog, by SIGKILL; a quarter of the times before it is ready.

In the end nothing may be missing: every request answered, and once; every
connection whole; hashes equal; the packets and bytes that iptables counted at
both ends equal to what the flows say; entries that nobody used unchanged;
nothing waiting in a queue; no descriptor and no memory more than in the
beginning.

With --systemd it runs inside a machine (tests/systemd/boot.sh), where systemd
has the descriptors and the watchdog.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "netns"), str(HERE)]

import lab as netlab  # noqa: E402 (needs the path above)
from fdstore import Store  # noqa: E402
from systemd import Unit  # noqa: E402

POLICY = """
nat: [{out: wan0, masquerade: yes}]
settings:
  # Ended flows stay to be counted.
  timeouts:
    tcp: {time-wait: 3600, close: 3600, last-ack: 3600, fin-wait: 3600,
          close-wait: 3600}
    udp: {unreplied: 3600, stream: 3600}
    icmp: 3600
"""
ECHO, HTTP, IPERF = 7, 80, 5201
IDLE = 1000  # entries that no packet belongs to


class Fault(AssertionError):
    pass


class Traffic:
    """All sources, their servers, and the truth about each."""

    SOURCES = {"ping": (netlab.SERVER, 0.001),
               "udp": (f"{netlab.SERVER}:{ECHO}", 0.002),
               "chat": (f"{netlab.SERVER}:{ECHO}", 0.005),
               "connect": (f"{netlab.SERVER}:{ECHO}", 0.01),
               "dns": (f"{netlab.SERVER}:53", 0.01)}
    COUNTED = {"icmp": ("icmp", None), "echo-udp": ("udp", ECHO),
               "echo-tcp": ("tcp", ECHO), "dns": ("udp", 53),
               "iperf": ("tcp", IPERF), "http": ("tcp", HTTP)}
    SYN = "--tcp-flags SYN,RST SYN"  # counted last

    def __init__(self, lab, rate, size):
        self.lab = lab
        self.rate = rate
        self.size = size
        self.downloads = 0
        self.wrong_downloads = []
        # Ports that traffic.py does not use.
        lab.client.sysctl(net__ipv4__ping_group_range="0 0",
                          net__ipv4__ip_local_port_range="1024 9999")
        for ns in lab.client, lab.server:
            self._count_at(ns)
        root = lab.dir / "www"
        root.mkdir()
        data = random.randbytes(size)
        (root / "file").write_bytes(data)
        self.hash = hashlib.sha256(data).hexdigest()
        lab.nginx(lab.server, HTTP, root=root)
        lab.dnsmasq(lab.server, **{"name.test": netlab.SERVER})
        lab.server.start(sys.executable, HERE / "traffic.py", "serve",
                         f"{netlab.SERVER}:{ECHO}")
        netlab.wait_for(lambda: lab.server.listening(ECHO), "the echo server")
        lab.server.start("iperf3", "-s", "-1", stdout=subprocess.DEVNULL)
        netlab.wait_for(lambda: lab.server.listening(IPERF), "iperf3")

    def _count_at(self, ns):
        """Rules that count what leaves and what arrives, by who serves it."""
        there = ns is self.lab.server
        lines = ["*filter"]
        for proto, port in self.COUNTED.values():
            for chain in "INPUT", "OUTPUT":
                side = "--dport" if (chain == "INPUT") == there else "--sport"
                match = f" {side} {port}" if port else ""
                lines.append(f"-A {chain} -p {proto}{match}")
        lines += [f"-A {chain} -p tcp {self.SYN}" for chain in
                  ("INPUT", "OUTPUT")]
        ns.run("iptables-restore", input="\n".join([*lines, "COMMIT", ""]))

    def _counted_at(self, ns):
        """[chain][name]: (packets, bytes)"""
        lines = [line for line in
                 ns.run("iptables-save", "-c", "-t", "filter").stdout.split("\n")
                 if line.startswith("[")]
        numbers = [tuple(map(int, line[1:line.index("]")].split(":")))
                   for line in lines]
        names = [*self.COUNTED, "syn"]
        n = len(names)
        # In the order of the rules: by chain, then as they were added.
        return {"INPUT": dict(zip(names, numbers[:n])),
                "OUTPUT": dict(zip(names, numbers[n:]))}

    def start(self):
        client = self.lab.client
        self.iperf = client.start("iperf3", "-c", netlab.SERVER, "-t", "36000",
                                  "-J", "-b", self.rate,
                                  stdout=subprocess.PIPE, text=True)
        self.sources = {
            kind: client.start(sys.executable, HERE / "traffic.py", kind, peer,
                               str(interval), stdout=subprocess.PIPE, text=True)
            for kind, (peer, interval) in self.SOURCES.items()}
        self._download()

    def _download(self):
        self.curl = self.lab.client.start(
            "sh", "-c", "curl -sS --limit-rate 20M --max-time 600 "
            f"http://{netlab.SERVER}/file | sha256sum", stdout=subprocess.PIPE,
            text=True)

    def look(self):
        """Between kills: has anything ended that should not have?"""
        for kind, process in self.sources.items():
            if process.poll() is not None:
                raise Fault(f"{kind} ended: {process.stdout.read()}")
        if self.iperf.poll() is not None:
            raise Fault(f"iperf3 ended: {self.iperf.stdout.read()}")
        if self.curl.poll() is not None:
            self._check_download()
            self._download()

    def _check_download(self):
        got = self.curl.communicate(timeout=600)[0].split()[0]
        self.downloads += 1
        if got != self.hash:
            self.wrong_downloads.append(got)

    def stop(self):
        """{source: its report}"""
        self._check_download()
        self.iperf.send_signal(signal.SIGINT)
        for process in self.sources.values():
            process.terminate()
        reports = {kind: json.loads(process.communicate(timeout=120)[0])
                   for kind, process in self.sources.items()}
        iperf = json.loads(self.iperf.communicate(timeout=60)[0])
        reports["iperf3"] = {
            "bytes": iperf["end"]["sum_sent"]["bytes"],
            "retransmits": iperf["end"]["sum_sent"]["retransmits"],
            "broken": "interrupt" not in iperf.get("error", "interrupt")}
        reports["download"] = {"bytes": self.size * self.downloads,
                               "files": self.downloads,
                               "broken": len(self.wrong_downloads)}
        return reports

    def truth(self):
        """{name: (sent, received by the server, answers, received)}, each
        (packets, bytes)."""
        client = self._counted_at(self.lab.client)
        server = self._counted_at(self.lab.server)
        return {name: (client["OUTPUT"][name], server["INPUT"][name],
                       server["OUTPUT"][name], client["INPUT"][name])
                for name in [*self.COUNTED, "syn"]}

    def told(self, flows):
        """The same as xctd's flows have it: {name: (original, reply)}."""
        sums = {name: [0, 0, 0, 0] for name in self.COUNTED}
        for flow in flows:
            for name, (proto, port) in self.COUNTED.items():
                if flow["proto"] == proto and (
                        port is None or flow["orig"].get("dport") == port):
                    for i, direction in enumerate(("orig", "reply")):
                        sums[name][2 * i] += flow[direction]["packets"]
                        sums[name][2 * i + 1] += flow[direction]["bytes"]
        return {name: ((s[0], s[1]), (s[2], s[3])) for name, s in sums.items()}


def flows_of(sock):
    done = subprocess.run([netlab.XCTCTL, "-s", sock, "list", "-o", "ndjson"],
                          capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def identity(flow):
    """What never changes while it lives."""
    def half(direction):
        return tuple((k, v) for k, v in flow[direction].items()
                     if k not in ("packets", "bytes"))
    return (flow["id"], flow["proto"], half("orig"), half("reply"),
            flow["mark"], flow["zone"])


def whole(flow):
    """What does not change either where no packet comes."""
    return (identity(flow), flow.get("state"), tuple(flow["status"]),
            flow["orig"]["packets"], flow["reply"]["packets"])


def is_idle(flow):
    return flow["orig"]["src"] == "198.51.100.1"


def make_idle_entries(sock):
    lines = "".join(
        f"-A -p tcp -s 198.51.100.1 -d 203.0.113.{i % 250} --sport {1024 + i} "
        f"--dport 443 --state ESTABLISHED -u ASSURED -t 80000 -m {i}\n"
        for i in range(IDLE))
    subprocess.run([netlab.XCTCTL, "-s", sock, "load-entries", "-"],
                   input=lines, text=True, check=True)


def waiting(ns):
    """(packets in the queues, dropped there, dropped at the sockets)"""
    rows = [line.split() for line in
            ns.run("cat", "/proc/net/netfilter/nfnetlink_queue").stdout
            .splitlines()]
    return tuple(sum(int(row[i]) for row in rows) for i in (2, 5, 6))


def usage(pid):
    """(descriptors, resident kilobytes of its own)"""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        rss = next(int(line.split()[1]) for line in file
                   if line.startswith("RssAnon"))
    return len(os.listdir(f"/proc/{pid}/fd")), rss


class Run:
    def __init__(self, options):
        self.options = options
        self.rng = random.Random(options.seed)
        self.lab = netlab.Lab(router_here=options.systemd)
        self.kinds = {}

    def quiet(self, what, condition, timeout=60):
        netlab.wait_for(condition, what, timeout)

    def kill_once(self, manager):
        """One death at a random moment of a random kind."""
        if self.rng.random() < 0.75:
            manager.await_ready()
            time.sleep(self.rng.uniform(0, self.options.pause))
        else:
            time.sleep(self.rng.uniform(0, 0.15))
        how = self.rng.choices(("KILL", "SEGV", "ABRT", "STOP"),
                               (6, 2, 1, 1))[0]
        if how == "STOP":
            manager.hang(self.rng.uniform(0.1, 1.0))
        else:
            manager.kill(getattr(signal, "SIG" + how))
        self.kinds[how] = self.kinds.get(how, 0) + 1

    def kill_all(self, manager, traffic):
        """Yields what differs in the table that should not."""
        before = None
        for n in range(1, self.options.kills + 1):
            if n % 10 == 1:
                manager.await_ready()
                before = {f["id"]: f for f in flows_of(manager.sock)}
            self.kill_once(manager)
            traffic.look()
            if n % 10 == 0 or n == self.options.kills:
                manager.await_ready()
                after = {f["id"]: f for f in flows_of(manager.sock)}
                for key, flow in before.items():
                    if key not in after:
                        yield f"flow {key} is gone: {flow}"
                    elif identity(flow) != identity(after[key]):
                        yield f"flow {key} changed: {flow} -> {after[key]}"
                if self.options.progress:
                    print(f"{n} deaths, {len(after)} flows", file=sys.stderr)

    def go(self):
        lab = self.lab
        manager = (Unit if self.options.systemd else Store)(lab, lab.router,
                                                            POLICY)
        try:
            return self.measure(manager)
        except BaseException:
            print(manager.messages(), file=sys.stderr)
            raise
        finally:
            manager.close()

    def measure(self, manager):
        lab = self.lab
        make_idle_entries(manager.sock)
        idle = {whole(f) for f in flows_of(manager.sock) if is_idle(f)}
        fds, rss = usage(manager.pid)
        kept = manager.n_kept()
        began = time.monotonic()
        traffic = Traffic(lab, self.options.rate,
                          self.options.megabytes * 1_000_000)
        traffic.start()
        faults = list(self.kill_all(manager, traffic))
        took = time.monotonic() - began
        reports = traffic.stop()
        manager.await_ready()
        self.quiet("empty queues", lambda: waiting(lab.router)[0] == 0)
        self.settle(manager, traffic)

        truth = traffic.truth()
        flows = flows_of(manager.sock)
        told = traffic.told(flows)
        n_tcp = sum(f["proto"] == "tcp" and not is_idle(f) for f in flows)
        faults += self.judge(reports, truth, told, n_tcp)
        if {whole(f) for f in flows if is_idle(f)} != idle:
            faults.append("entries that nobody used have changed")
        pending, queue_drops, socket_drops = waiting(lab.router)
        end_fds, end_rss = usage(manager.pid)
        if pending or queue_drops or socket_drops:
            faults.append(f"queues: {pending} waiting, {queue_drops} and "
                          f"{socket_drops} dropped")
        if end_fds != fds or manager.n_kept() != kept:
            faults.append(f"descriptors: {fds} and {kept} kept, then {end_fds} "
                          f"and {manager.n_kept()}")
        # More flows touch more of the indexes: 64 bytes each is generous.
        if end_rss > rss + 4096 + len(flows) * 64 // 1024:
            faults.append(f"memory: {rss} kB, then {end_rss} kB")
        return {"kills": self.options.kills, "seed": self.options.seed,
                "seconds": round(took, 1), "by": self.kinds,
                "before_ready": manager.died_before_ready,
                "in_the_middle_of_a_batch": manager.middle,
                "flows": len(flows), "traffic": reports,
                "packets_at_the_ends": {k: v[1][0] + v[2][0]
                                        for k, v in truth.items()},
                "packets_in_the_table": {k: v[0][0] + v[1][0]
                                         for k, v in told.items()},
                "memory_kb": [rss, end_rss], "descriptors": [fds, end_fds],
                "kept": kept, "faults": faults}

    def settle(self, manager, traffic):
        """The last packets are on their way still."""
        def is_still():
            was = traffic.truth(), traffic.told(flows_of(manager.sock))
            time.sleep(0.3)
            return was == (traffic.truth(),
                           traffic.told(flows_of(manager.sock)))
        self.quiet("an end of the traffic", is_still)

    @staticmethod
    def judge(reports, truth, told, n_tcp):
        # A SYN, or its answer, that comes again when the other side has the
        # connection already is passed but not counted, as in the kernel.
        ignored = [truth["syn"][0][0] - n_tcp, truth["syn"][2][0] - n_tcp]
        syn_size = 60
        for kind, report in reports.items():
            for what in "lost", "repeated", "broken":
                if report.get(what):
                    yield f"{kind}: {report[what]} {what} {report.get('why')}"
        for name, (original, reply) in told.items():
            sent, arrived, answered, got = truth[name]
            if sent != arrived or answered != got:
                yield (f"{name}: packets and bytes {sent} sent, {arrived} "
                       f"arrived; {answered} answered, {got} got")
            for i, (real, said) in enumerate(((arrived, original),
                                              (answered, reply))):
                missing = real[0] - said[0]
                if Traffic.COUNTED[name][0] == "tcp":
                    ignored[i] -= missing
                    is_right = (missing >= 0 and ignored[i] >= 0 and
                                real[1] - said[1] == missing * syn_size)
                else:
                    is_right = real == said
                if is_right:
                    continue
                yield f"{name}: the table says {said}, the ends {real}"


def parse_args(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rate", default="200M", help="of iperf3")
    parser.add_argument("--megabytes", type=int, default=100,
                        help="of a download")
    parser.add_argument("--pause", type=float, default=0.25,
                        help="the longest life after readiness, in seconds")
    parser.add_argument("--json", help="write the summary there")
    parser.add_argument("--systemd", action="store_true",
                        help="xctd is this machine's service")
    parser.add_argument("--progress", action="store_true")
    options = parser.parse_args(argv)
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    return options


def run(argv):
    """The summary; its "faults" is empty if nothing was lost."""
    one = Run(parse_args(argv))
    try:
        return one.go()
    finally:
        one.lab.close()


def main():
    options = parse_args(sys.argv[1:])
    summary = run([*sys.argv[1:], "--seed", str(options.seed)])
    text = json.dumps(summary, indent=2)
    if options.json:
        pathlib.Path(options.json).write_text(text + "\n", encoding="ascii")
    print(text)
    sys.exit(bool(summary["faults"]))


if __name__ == "__main__":
    main()
