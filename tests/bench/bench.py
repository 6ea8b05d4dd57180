# SPDX-License-Identifier: GPL-2.0-or-later
"""`make bench`: xctd beside what else forwards, in one interleaved run.

In a round each load runs through every contestant, one right after the other,
in an order shuffled anew: what else the machine does meets all
of them. What counts are the ratios within a round, their median and quartiles.

  bench.py [--rounds N] [--seconds S] [--only LOAD,...]
           [--contestants NAME,...] [--out DIR]
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import random
import re
import signal
import statistics
import subprocess
import sys

import plot
from contestants import CONTESTANTS, PLACE, ROOT, Missing, lab_module

LOAD = str(lab_module.BUILD / "tests" / "bench" / "load")
PACE = 50000  # packets a second of the load that CPU time is measured with
ATTEMPTS = 5

# name: what load.c is told.
LOADS = {
    "bulk1": ["bulk", 1], "bulk8": ["bulk", 8],
    "udp64": ["udp", 64], "udp10k": ["udp", 10000],
    "conn": ["conn", 16], "rtt": ["rtt", 1], "paced": ["udp", 64, PACE],
}


class Metric:
    def __init__(self, load, title, unit, value, is_lower_better=False):
        self.load, self.title, self.unit = load, title, unit
        self.value, self.is_lower_better = value, is_lower_better


def cpu(slice_):
    """Of client, server and contestant, and the kernel's in their names."""
    return (slice_["cpu_s"] * 1e6 + slice_["cpu_ns"] / 1e3) / slice_["total"]


def own_cpu(slice_):
    if not slice_["cpu_ns"]:
        return None
    return slice_["cpu_ns"] / 1e3 / slice_["total"]


def visits(slice_):
    return slice_["visits"] / slice_["forwarded"] if slice_["visits"] else None


METRICS = {
    "bulk1": Metric("bulk1", "TCP bulk, 1 stream", "Gbit/s",
                    lambda s: s["rate"] * 8e-9),
    "bulk8": Metric("bulk8", "TCP bulk, 8 streams", "Gbit/s",
                    lambda s: s["rate"] * 8e-9),
    "udp64": Metric("udp64", "small UDP, 64 flows", "kpackets/s",
                    lambda s: s["rate"] / 1e3),
    "udp10k": Metric("udp10k", "small UDP, 10,000 flows", "kpackets/s",
                     lambda s: s["rate"] / 1e3),
    "conn": Metric("conn", "new TCP connections", "1000/s",
                   lambda s: s["rate"] / 1e3),
    "rtt-p50": Metric("rtt", "round trip, median", "us",
                      lambda s: s["p50_us"], True),
    "rtt-p99": Metric("rtt", "round trip, 99th percentile", "us",
                      lambda s: s["p99_us"], True),
    "cpu": Metric("paced", f"CPU in all, {PACE // 1000}k UDP/s", "us/packet",
                  cpu, True),
    "cpu-own": Metric("paced", "CPU of the contestant's threads",
                      "us/packet", own_cpu, True),
    "visits": Metric("rtt", "queue visits", "per packet", visits, True),
}

# metric, contestant, beside whom, at least (or at most) how many times as much.
TARGETS = [
    ("bulk1", "xctd", "ceiling", 0.95), ("bulk8", "xctd", "ceiling", 0.95),
    ("udp64", "xctd", "ceiling", 0.90), ("udp10k", "xctd", "ceiling", 0.90),
    ("conn", "xctd", "ceiling", 0.90),
    ("rtt-p50", "xctd", "ceiling", 1.05), ("rtt-p99", "xctd", "ceiling", 1.05),
    ("bulk1", "xctd-filter", "ceiling-pass", 0.95),
    ("bulk8", "xctd-filter", "ceiling-pass", 0.95),
    ("udp64", "xctd-filter", "ceiling-pass", 0.95),
    ("udp10k", "xctd-filter", "ceiling-pass", 0.95),
    ("conn", "xctd-filter", "ceiling-pass", 0.95),
    ("visits", "xctd", None, 1.0), ("visits", "xctd-filter", None, 1.0),
    ("bulk1", "xctd", "suricata", 10), ("bulk8", "xctd", "suricata", 10),
    ("udp64", "xctd", "suricata", 1.5), ("udp10k", "xctd", "suricata", 1.5),
    ("conn", "xctd", "suricata", 1.5),
    # Suricata translates nothing.
    ("udp64", "xctd-filter", "suricata", 1.5),
    ("udp10k", "xctd-filter", "suricata", 1.5),
    ("conn", "xctd-filter", "suricata", 1.5),
]


def progress(*words):
    print(*words, file=sys.stderr, flush=True)


def run_slice(contestant, load, seconds):
    kind, n, *rate = LOADS[load]
    lab = contestant.lab
    before = contestant.cpu_ns(), *contestant.packets()
    done = subprocess.run([LOAD, lab.client.name, lab.server.name, PLACE, kind,
                           str(n), str(seconds), *map(str, rate)],
                          stdout=subprocess.PIPE, text=True, check=True,
                          timeout=60 + seconds)
    after = contestant.cpu_ns(), *contestant.packets()
    contestant.flush()
    slice_ = json.loads(done.stdout)
    for name, old, new in zip(("cpu_ns", "visits", "forwarded"), before, after):
        slice_[name] = new - old
    return slice_


def run_slice_well(contestant, load, seconds):
    """A machine that has other things to do may starve a short one."""
    for _ in range(ATTEMPTS):
        slice_ = run_slice(contestant, load, seconds)
        if slice_["done"]:
            return slice_
        progress(f"{contestant.title}: nothing arrived: {slice_}")
    raise RuntimeError(f"{contestant.title}: {load}: nothing arrives")


def run_rounds(running, loads, rounds, seconds):
    """slices[load][contestant]: one for each round."""
    slices = {load: {name: [] for name in running} for load in loads}
    names = list(running)
    for number in range(rounds):
        for load in loads:
            random.shuffle(names)
            for name in names:
                slices[load][name].append(
                    run_slice_well(running[name], load, seconds))
            progress(f"round {number + 1} of {rounds}: {load}: " +
                     " ".join(f"{name} {slices[load][name][-1]['rate']:.4g}"
                              for name in running))
    return slices


def spread(values):
    """Median and quartiles; None where there is nothing to say."""
    if not values or None in values:
        return None
    low, middle, high = (statistics.quantiles(values, method="inclusive")
                         if len(values) > 1 else values * 3)
    return {"median": middle, "q1": low, "q3": high,
            "min": min(values), "max": max(values)}


def evaluate(slices):
    """metric -> contestant -> values, their spread, ratios to all others."""
    results = {}
    for key, metric in METRICS.items():
        if metric.load not in slices:
            continue
        values = {name: [metric.value(s) for s in of_name]
                  for name, of_name in slices[metric.load].items()}
        results[key] = {
            "title": metric.title, "unit": metric.unit,
            "lower_is_better": metric.is_lower_better,
            "contestants": {name: {
                "values": mine, **(spread(mine) or {"median": None}),
                "ratio_to": {
                    other: spread([a / b for a, b in zip(mine, theirs)])
                    for other, theirs in values.items()
                    if other != name and None not in mine + theirs},
            } for name, mine in values.items()}}
    return results


def judge(results):
    for key, name, other, wanted in TARGETS:
        entry = results.get(key, {}).get("contestants", {}).get(name)
        got = entry and (entry["ratio_to"].get(other) if other else
                         entry if entry["median"] else None)
        if got:
            # Visits are counted, not timed: two digits say it all.
            median = got["median"] if other else round(got["median"], 2)
            is_met = (median <= wanted if results[key]["lower_is_better"]
                      else median >= wanted)
            yield {"metric": key, "contestant": name, "beside": other,
                   "wanted": wanted, "median": got["median"],
                   "q1": got["q1"], "q3": got["q3"], "met": is_met}


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT,
                          check=False)
    return done.stdout.strip()


def describe_machine():
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    memory = pathlib.Path("/proc/meminfo").read_text().split()[1]
    return {"cpu": model.group(1) if model else platform.processor(),
            "cores": os.cpu_count(), "kernel": platform.release(),
            "memory_mb": int(memory) // 1024,
            "load_average": os.getloadavg()[0]}


def describe_commit():
    return {"id": output("git", "rev-parse", "HEAD"),
            "changed": bool(output("git", "status", "--porcelain",
                                   "--untracked-files=no"))}


def show(report):
    machine, commit = report["machine"], report["commit"]
    print(f"\n{machine['cpu']}, {machine['cores']} cores, Linux "
          f"{machine['kernel']}; commit {commit['id'][:12]}"
          f"{' and changes' if commit['changed'] else ''}; "
          f"{report['rounds']} rounds of {report['seconds']} s\n")
    names = list(report["contestants"])
    for name in names:
        print(f"  {name:13}{report['contestants'][name]}")
    for name, why in report["missing"].items():
        print(f"  {name:13}missing: {why}")
    head = f"\n{'':44}" + "".join(f"{name:>16}" for name in names)

    print(head + "\nmedians")
    for result in report["results"].values():
        print(f"{result['title'] + ', ' + result['unit']:44}" + "".join(
            f"{_number(entry['median']):>16}"
            for entry in result["contestants"].values()))
    for base in "kernel", "ceiling":
        if base in names:
            print(head + f"\nratio to {base}: median, quartiles")
            for result in report["results"].values():
                print(f"{result['title']:44}" + "".join(
                    f"{_ratio(entry['ratio_to'].get(base)):>16}"
                    for entry in result["contestants"].values()))
    if report["targets"]:
        print("\ntargets")
    for target in report["targets"]:
        beside = target["beside"] or "as such"
        print(f"  {'met   ' if target['met'] else 'MISSED'} "
              f"{METRICS[target['metric']].title}: {target['contestant']}, "
              f"{beside}: {target['median']:.3f} "
              f"({target['q1']:.3f} to {target['q3']:.3f}), "
              f"wanted {target['wanted']}")


def _number(value):
    return "-" if value is None else f"{value:.4g}"


def _ratio(found):
    if not found:
        return "-"
    return f"{found['median']:.2f} {found['q1']:.2f}-{found['q3']:.2f}"


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--only", default=",".join(LOADS))
    parser.add_argument("--contestants", default=",".join(CONTESTANTS))
    parser.add_argument("--out", type=pathlib.Path,
                        default=lab_module.BUILD / "bench")
    args = parser.parse_args()
    args.only = args.only.split(",")
    args.contestants = args.contestants.split(",")
    for given, known in ((args.only, LOADS), (args.contestants, CONTESTANTS)):
        for name in given:
            if name not in known:
                parser.error(f"no {name}; there are {', '.join(known)}")
    return args


def main():
    args = parse_args()
    if os.geteuid() != 0:
        sys.exit("bench.py: needs root, to make network namespaces")
    # SIGTERM unwinds like ^C, so that nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running, missing = {}, {}
    report = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(
                  timespec="seconds"),
              "commit": describe_commit(), "machine": describe_machine(),
              "rounds": args.rounds, "seconds": args.seconds}
    try:
        for name in args.contestants:
            try:
                running[name] = CONTESTANTS[name]()
                progress(f"ready: {name}")
            except Missing as why:
                missing[name] = str(why)
                progress(f"without {name}: {why}")
        slices = run_rounds(running, args.only, args.rounds, args.seconds)
    finally:
        for each in running.values():
            each.close()
    results = evaluate(slices)
    report |= {"contestants": {name: CONTESTANTS[name].title
                               for name in running},
               "missing": missing, "results": results,
               "targets": list(judge(results)), "slices": slices}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "bench.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.out / "bench.svg").write_text(plot.svg(report))
    show(report)
    print(f"\nwritten: {args.out}/bench.json, {args.out}/bench.svg")


if __name__ == "__main__":
    main()
