# SPDX-License-Identifier: GPL-2.0-or-later
"""`make bench-size`: what a large table costs those who use it, and the packets
that pass meanwhile.

A table is filled by packets; then each command runs beside round trips of
another flow. Shown: how long the command took, and the round trips' 99.9th
percentile with and without it.

  size.py [--flows N] [--rules N] [--rounds N] [--out DIR]
"""

import argparse
import json
import pathlib
import socket
import statistics
import struct
import subprocess
import time

from bench import LOAD, describe_commit, describe_machine
from contestants import GATEWAY, PLACE, Contestant, lab_module

ROUND_TRIPS = 6  # seconds of them around a command
SOURCES = 50  # addresses that the flows come from
BURST = 8192  # packets sent to fill a table between two looks at the queue
SINK = "198.18.1.{}"  # where they go; nobody answers


def policy(flows, rules):
    return GATEWAY.replace(
        "{table-size: 1048576}",
        f"{{table-size: {flows + flows // 16}, timeouts: {{udp: "
        "{unreplied: 1h}}, queue: {length: 65536}}") + "".join(
        f"      - {{name: r{i}, src: 172.16.{i // 256}.{i % 256}, "
        f"dst: 10.0.0.{i % 256}, accept: yes}}\n" for i in range(rules))


class Large(Contestant):
    title = "xctd with a large table"

    def __init__(self, flows, rules):
        self.flows, self.rules = flows, rules
        super().__init__()

    def start(self):
        xctd = self.lab.start_xctd(policy(self.flows, 10))
        self.pids.append(xctd.process.pid)
        self.lab.server.run("iptables", "-t", "raw", "-A", "PREROUTING", "-d",
                            "198.18.1.0/24", "-j", "DROP")

    def count(self):
        return int(self.lab.xctd.ctl("count").stdout)

    def pace(self):
        """Not faster than they are taken: a queue that overruns loses some."""
        while self._packets()[0] > BURST:
            time.sleep(0.002)

    def fill(self):
        """Flows until the table has so many. What was lost on the way comes
        again, then; what is there already is only hit."""
        with self.lab.client.inside():
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW,
                                socket.IPPROTO_RAW)
        packet = bytearray(struct.pack(
            "!BBHHHBBH4s4sHHHH", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0,
            socket.inet_aton("10.0.0.2"), bytes(4), 0, 9, 8, 0))
        while self.count() < self.flows:
            for i in range(self.flows):
                if i % BURST == 0:
                    self.pace()
                # Each destination has its own ports to translate to.
                packet[15] = 100 + i % SOURCES
                rest = i // SOURCES
                packet[20:22] = (1024 + rest % 64000).to_bytes(2, "big")
                place = SINK.format(1 + rest // 64000 * SOURCES + i % SOURCES)
                packet[16:20] = socket.inet_aton(place)
                try:
                    raw.sendto(packet, (place, 0))
                except OSError:
                    pass  # the way is full: next time round
        raw.close()

    def round_trips(self, command=None):
        """(p50, p99.9 of round trips, seconds @command took), while it runs."""
        took = None
        load = subprocess.Popen([LOAD, self.lab.client.name,
                                 self.lab.server.name, PLACE, "rtt", "1",
                                 str(ROUND_TRIPS)], stdout=subprocess.PIPE,
                                text=True)
        if command:
            time.sleep(0.5)
            begin = time.monotonic()
            took = command() or time.monotonic() - begin
        seen = json.loads(load.communicate(timeout=60)[0])
        return seen["p50_us"], seen["p999_us"], took

    def ctl(self, *args):
        def run():
            xctd = self.lab.xctd
            subprocess.run([lab_module.XCTCTL, "-s", xctd.sock, *args],
                           stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=True)
        return run

    def reload(self):
        self.lab.xctd.ctl("reload")

    def expire(self):
        """All in as short a time as changing them took, two seconds later.
        Seconds from the first to the last."""
        self.ctl("update", "-t", "2")()
        while self.count() > self.flows * 0.99:
            time.sleep(0.01)
        begin = time.monotonic()
        while self.count() > self.flows * 0.01:
            time.sleep(0.01)
        return time.monotonic() - begin


def measure(large, results, name, command):
    base = large.round_trips()
    during = large.round_trips(command)
    results.setdefault(name, []).append(
        {"s": during[2], "p999_us": during[1], "p999_us_without": base[1]})


def measure_round(large, results):
    large.fill()
    measure(large, results, "count", large.ctl("count"))
    measure(large, results, "list", large.ctl("list"))
    measure(large, results, "list --output json",
            large.ctl("list", "--output", "json"))
    large.lab.xctd.write(policy(large.flows, large.rules))
    measure(large, results, f"reload, {large.rules} rules", large.reload)
    large.lab.xctd.write(policy(large.flows, 10))
    large.reload()
    measure(large, results, "flush", large.ctl("flush"))
    large.fill()
    measure(large, results, "expiry", large.expire)


def show(results, large):
    print(f"{large.flows} flows\n{'':24} {'seconds':>9} {'p99.9 us':>10} "
          f"{'without':>10}")
    for name, rounds in results.items():
        median = {key: statistics.median(each[key] for each in rounds)
                  for key in rounds[0]}
        print(f"{name:24} {median['s']:9.3f} {median['p999_us']:10.1f} "
              f"{median['p999_us_without']:10.1f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--flows", type=int, default=1000000)
    parser.add_argument("--rules", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("."))
    args = parser.parse_args()
    results = {}
    large = Large(args.flows, args.rules)
    try:
        for _ in range(args.rounds):
            measure_round(large, results)
    finally:
        large.close()
    show(results, large)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "size.json").write_text(json.dumps(
        {"version": 1, "commit": describe_commit(),
         "machine": describe_machine(), "flows": args.flows,
         "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
