# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong around xctd, and what must not go wrong because of it."""

import os
import pathlib
import socket
import subprocess
import sys

import pytest

import entries
from lab import BUILD, ROOT, SERVER, XCTCTL, wait_for
from test_systemd import INSTALL

FAULTS = ROOT / "tests/faults"
sys.path.insert(0, str(FAULTS))

import faults  # noqa: E402 (needs the path above)
from fdstore import Store  # noqa: E402

IP_MTU_DISCOVER = 10
POLICY = "nat: [{out: wan0, masquerade: yes}]\n"


@pytest.fixture(name="preload", scope="session")
def build_preload(tmp_path_factory):
    """The library that makes seldom things happen: its environment."""
    made = tmp_path_factory.mktemp("preload") / "preload.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE",
                    "-o", made, FAULTS / "preload.c"], check=True)
    return {"LD_PRELOAD": str(made)}


@pytest.fixture(name="store")
def make_store(lab):
    made = []

    def make(policy=POLICY, environ=None):
        made.append(Store(lab, lab.router, policy, environ))
        return made[-1]
    yield make
    for each in made:
        assert each.close(), each.messages()


def test_random_deaths_under_traffic_lose_nothing():
    summary = faults.run(["--kills", "25", "--rate", "100M"])
    assert summary["faults"] == [], summary


def test_the_watchdog_and_systemd_lose_nothing():
    driver = [sys.executable, FAULTS / "faults.py", "--systemd", "--kills",
              "8", "--rate", "100M"]
    done = subprocess.run(
        [ROOT / "tests/systemd/boot.sh", INSTALL, "env",
         f"PATH={os.environ['PATH']}", f"XCT_BUILD={BUILD}", *driver],
        capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("lives", [
    ["before"], ["after"], ["before", "read", "read"],
    ["before", "before", "read", "after", "before", "read", "after"]])
def test_packets_count_once_whenever_xctd_dies(lab, store, preload, lives):
    peers = lab.echo(lab.server, SERVER, 7)
    xctd = store()
    # Without an IP id (PMTUDISC_DO) all are the same, and one packet can be
    # taken for another.
    sock = lab.client.udp_socket("0.0.0.0", 4000)
    sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 2)

    def send(count):
        for _ in range(count):
            sock.sendto(b"x" * 64, (SERVER, 7))

    def receive(count):
        for _ in range(count):
            sock.recv(100)

    send(1)
    receive(1)
    xctd.lives = [{**preload, "XCT_DIE": how} for how in lives]
    starts = xctd.starts
    xctd.kill(9)
    send(20)
    wait_for(lambda: xctd.starts == starts + len(lives) + 1, "all deaths")
    receive(20)
    xctd.await_ready()
    send(20)
    receive(20)
    total = 1 + 20 + 20
    assert len(peers) == total
    sock.settimeout(0.1)
    with pytest.raises(socket.timeout):
        sock.recv(100)
    entry, = entries.parse(xctd.ctl("list", "-p", "udp"))
    assert entry["orig"]["packets"] == entry["reply"]["packets"] == total
    assert entry["orig"]["bytes"] == entry["reply"]["bytes"] == total * 92
