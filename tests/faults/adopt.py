#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Kill xctd with a full table: how long do packets wait for its successor?

    adopt.py [FLOWS [KILLS]]

Fills a table (1,000,000 translated flows), pings through it each millisecond,
kills xctd, and fails if a ping was lost, a flow was, or the flows took a second
or longer to be adopted.
"""

import json
import pathlib
import re
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "netns"), str(HERE)]

import lab as netlab  # noqa: E402 (needs the path above)
from fdstore import Store  # noqa: E402


def fill(sock, count):
    load = subprocess.Popen([netlab.XCTCTL, "-s", sock, "load-entries", "-"],
                            stdin=subprocess.PIPE, text=True)
    for i in range(count):
        host, port = f"{i >> 8 & 255}.{i & 255}", 1024 + i % 60000
        load.stdin.write(
            f"-A -p tcp -s 10.{i >> 16}.{host} -d 203.0.113.{i % 250} --sport "
            f"{port} --dport 443 -r 203.0.113.{i % 250} -q 198.51."
            f"{i >> 16}.{i >> 8 & 255} --reply-port-src 443 "
            f"--reply-port-dst {port} --state ESTABLISHED -u ASSURED "
            "-t 80000\n")
    load.stdin.close()
    assert load.wait() == 0


def measure(lab, count, kills):
    lab.client.sysctl(net__ipv4__ping_group_range="0 0")
    xctd = Store(lab, lab.router, "nat: [{out: wan0, masquerade: yes}]\n"
                 f"settings: {{table-size: {count + 1000}}}\n")
    try:
        fill(xctd.sock, count)
        ping = lab.client.start(sys.executable, HERE / "traffic.py", "ping",
                                netlab.SERVER, "0.001", text=True,
                                stdout=subprocess.PIPE)
        netlab.wait_for(lambda: int(xctd.ctl("count")) == count + 1, "a ping")
        for _ in range(kills):
            time.sleep(1)
            xctd.kill(signal.SIGKILL)
            xctd.await_ready()
        ping.terminate()
        pings = json.loads(ping.communicate(timeout=120)[0])
        left = int(xctd.ctl("count"))
        took = [int(ms) for ms in re.findall(r"flows adopted in (\d+) ms",
                                             xctd.messages())]
    finally:
        xctd.close()
    return {"flows": left, "adopted_in_ms": took, "pings": pings,
            "is_right": left == count + 1 and max(took) < 1000 and
            pings["lost"] == pings["repeated"] == 0}


def main():
    count, kills = (*map(int, sys.argv[1:]), *(1_000_000, 5)[len(sys.argv) - 1:])
    lab = netlab.Lab()
    try:
        result = measure(lab, count, kills)
    finally:
        lab.close()
    print(json.dumps(result, indent=2))
    sys.exit(not result["is_right"])


if __name__ == "__main__":
    main()
