# SPDX-License-Identifier: GPL-2.0-or-later
"""xctd as a service of the real systemd that this runs under."""

import os
import pathlib
import signal
import subprocess

import lab as netlab

PATIENCE = 60  # seconds, on a slow machine
DROP_IN = """[Service]
WatchdogSec=1
RestartSec=0
"""


def show(name):
    return subprocess.run(["systemctl", "show", "-p", name, "--value", "xctd"],
                          capture_output=True, text=True, check=True
                          ).stdout.strip()


class Unit:
    """What fdstore.Store is, by systemd's means."""
    sock = "/run/xct/xctd.sock"
    middle = None  # nobody but systemd has the memory

    def __init__(self, lab, ns, policy):
        del lab
        self.ns = ns
        self.died_before_ready = 0
        drop_in = pathlib.Path("/etc/systemd/system/xctd.service.d")
        drop_in.mkdir(parents=True)
        (drop_in / "faults.conf").write_text(DROP_IN, encoding="ascii")
        pathlib.Path("/etc/xct/rules.yaml").write_text(policy,
                                                       encoding="ascii")
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        subprocess.run(["systemctl", "start", "xctd"], check=True)

    @property
    def pid(self):
        return int(show("MainPID"))

    def n_kept(self):
        return int(show("NFileDescriptorStore"))

    def is_ready(self):
        return show("ActiveState") == "active"

    def kill(self, how):
        old = self.pid
        if old == 0:  # between two lives
            return
        self.died_before_ready += not self.is_ready()
        os.kill(old, how)
        netlab.wait_for(lambda: self.pid not in (0, old), "a successor", PATIENCE)

    def hang(self, _):
        """The watchdog decides for how long."""
        self.await_ready()
        self.kill(signal.SIGSTOP)

    def await_ready(self):
        netlab.wait_for(self.is_ready, "the successor", PATIENCE)

    @staticmethod
    def messages():
        return subprocess.run(["journalctl", "-u", "xctd", "--no-pager"],
                              capture_output=True, text=True,
                              check=False).stdout

    @staticmethod
    def close():
        return subprocess.run(["systemctl", "stop", "xctd"],
                              check=False).returncode == 0
