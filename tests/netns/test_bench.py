# SPDX-License-Identifier: GPL-2.0-or-later
"""`make bench` works, and says that a packet crosses the queue once.

No time is tested here: only what is counted is the same on any machine.
"""

import json
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree

import lab as lab_module

NAMES = ["kernel", "ceiling", "xctd", "xctd-filter"]
METRICS = {"bulk1", "udp10k", "conn", "rtt-p50", "rtt-p99", "cpu", "cpu-own",
           "visits"}


def test_a_short_benchmark_says_everything(tmp_path):
    done = subprocess.run(
        [sys.executable, str(lab_module.ROOT / "tests/bench/bench.py"),
         "--rounds", "1", "--seconds", "0.2", "--out", str(tmp_path),
         "--only", "bulk1,udp10k,conn,rtt,paced",
         "--contestants", ",".join(NAMES)],
        capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ratio to ceiling" in done.stdout

    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["commit"]["id"]
    assert {"cpu", "cores", "kernel"} <= report["machine"].keys()
    assert report["missing"] == {}
    assert report["results"].keys() == METRICS
    for key, result in report["results"].items():
        assert list(result["contestants"]) == NAMES
        for name, entry in result["contestants"].items():
            if name == "kernel" and key in ("visits", "cpu-own"):
                assert entry["median"] is None  # it has neither
                continue
            assert entry["q1"] <= entry["median"] <= entry["q3"]
            assert entry["median"] > 0, f"{name}: {key}"
            assert name == "ceiling" or "ceiling" in entry["ratio_to"]
    assert {t["contestant"] for t in report["targets"]} == {"xctd",
                                                            "xctd-filter"}

    # One flow, to and fro: every packet once, the first one as well.
    for name in "ceiling", "xctd", "xctd-filter":
        for slice_ in report["slices"]["rtt"][name]:
            assert slice_["visits"] == slice_["forwarded"], name
    xml.etree.ElementTree.parse(tmp_path / "bench.svg")


def test_a_worker_without_packets_sleeps(routed):
    """Also where it looks for packets long before it does."""
    xctd = routed.start_xctd("settings: {queue: {workers: 1, busy-poll: 1000}}")
    tasks = pathlib.Path(f"/proc/{xctd.process.pid}/task")

    def is_asleep():
        return all((task / "stat").read_text().rsplit(")", 1)[1].split()[0] ==
                   "S" for task in tasks.iterdir())

    def sleeps_on():
        for _ in range(10):
            if not is_asleep():
                return False
            time.sleep(0.005)
        return True
    assert lab_module.ping(routed.client, lab_module.SERVER, count=5)
    lab_module.wait_for(sleeps_on, "sleep")
