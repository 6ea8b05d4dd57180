# SPDX-License-Identifier: GPL-2.0-or-later
"""A service manager in small: keeps descriptors for xctd, starts it again.

What systemd does for `Type=notify`, `Restart=always`, `FileDescriptorStoreMax=`
and `FDPOLL=0`, without its pauses; so that xctd can be killed hundreds of times.
"""

import array
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import lab as netlab

PATIENCE = 60           # seconds, on a slow machine
PENDING_AT = 64         # offsets and sizes of daemon/memory.c
PENDING = struct.Struct("=II32Q")


class Store:
    """xctd in @ns, with what it wants kept."""

    def __init__(self, lab, ns, policy, environ=None, lives=()):
        self.ns = ns
        self.environ = environ or {}
        # What the next ones have besides in the environment.
        self.lives = list(lives)
        self.config = str(lab.dir / "store.yaml")
        self.sock = str(lab.dir / "store.sock")
        self.log = str(lab.dir / "store.log")
        self.notify_path = str(lab.dir / "store.notify")
        with open(self.config, "w", encoding="ascii") as file:
            file.write(policy)
        self.kept = {}        # name: descriptor
        self.starts = 0
        self.pid = None
        self.ready = threading.Event()
        self.gone = threading.Event()
        self.is_over = False
        self.middle = 0       # deaths with packets the engine was through with
        self.died_before_ready = 0
        self.status = None
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.notify.bind(self.notify_path)
        self.notify.settimeout(0.01)
        self.runner = threading.Thread(target=self._run, daemon=True)
        self.runner.start()
        netlab.wait_for(self.ready.is_set, "READY=1", PATIENCE)

    def _spawn(self):
        names, actions = list(self.kept), []
        # Beyond 3 + n first: a descriptor must not be overwritten by another.
        high = [os.dup2(self.kept[name], 600 + i, inheritable=False)
                for i, name in enumerate(names)]
        for i, fd in enumerate(high):
            actions.append((os.POSIX_SPAWN_DUP2, fd, 3 + i))
        actions.append((os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0))
        actions.append((os.POSIX_SPAWN_OPEN, 2, self.log,
                        os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
        env = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": self.notify_path,
               **self.environ, **(self.lives.pop(0) if self.lives else {})}
        if names:
            env.update(LISTEN_FDS=str(len(names)),
                       LISTEN_FDNAMES=":".join(names))
        script = 'LISTEN_PID=$$; export LISTEN_PID; exec "$@"'
        argv = ["sh", "-c", script, "sh",
                *self.ns.argv([netlab.XCTD, "--keep", "-c", self.config, "-s",
                               self.sock])]
        pid = os.posix_spawn("/bin/sh", argv, env, file_actions=actions)
        for fd in high:
            os.close(fd)
        return pid

    def _run(self):
        while not self.is_over:
            self.gone.clear()
            self.ready.clear()
            self.pid = self._spawn()
            self.starts += 1
            while True:
                self._read()
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    break
            # What it said last counts, as with systemd.
            while self._read():
                pass
            self.status = status
            if not self.is_over:
                self.middle += self._was_in_the_middle()
                self.died_before_ready += not self.ready.is_set()
            self.gone.set()

    def _was_in_the_middle(self):
        fd = next((fd for name, fd in self.kept.items()
                   if name.startswith("xct-flows")), None)
        if fd is None:
            return False
        n_done = (PENDING.unpack(os.pread(fd, PENDING.size, PENDING_AT +
                                          i * PENDING.size))[1]
                  for i in range(8))
        return any(0 < n <= 32 for n in n_done)

    def _read(self):
        try:
            data, anc, _, _ = self.notify.recvmsg(
                4096, socket.CMSG_SPACE(64) + socket.CMSG_SPACE(16),
                socket.MSG_CMSG_CLOEXEC)
        except socket.timeout:
            return False
        self._note(data.decode().split("\n"), anc)
        return True

    def _note(self, lines, anc):
        fds = array.array("i")
        for level, kind, data in anc:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
        said = dict(line.split("=", 1) for line in lines if "=" in line)
        name = said.get("FDNAME")
        if said.get("FDSTOREREMOVE") == "1" and name in self.kept:
            os.close(self.kept.pop(name))
        if said.get("FDSTORE") == "1":
            assert name not in self.kept, f"{name} is kept twice"
            self.kept[name] = fds.pop()
        for fd in fds:
            os.close(fd)
        if said.get("READY") == "1":
            self.ready.set()

    def kill(self, how):
        """Returns when the successor has been started, not when it is ready."""
        before = self.starts
        os.kill(self.pid, how)
        netlab.wait_for(lambda: self.starts > before, "a successor", PATIENCE)

    def hang(self, seconds):
        """As a watchdog sees it: it says nothing, and is killed."""
        os.kill(self.pid, signal.SIGSTOP)
        time.sleep(seconds)
        self.kill(signal.SIGKILL)

    def n_kept(self):
        return len(self.kept)

    def await_ready(self):
        try:
            netlab.wait_for(self.ready.is_set, "the successor", PATIENCE)
        except netlab.Timeout as error:
            raise netlab.Timeout(f"{error}\n{self._where()}") from None

    def _where(self):
        """What each of its threads, and of its children's, waits for."""
        done = subprocess.run(["ps", "-L", "-o", "pid,lwp,stat,wchan:32,args",
                               "-p", str(self.pid), "--ppid", str(self.pid)],
                              capture_output=True, text=True, check=False)
        return (f"the runner lives: {self.runner.is_alive()}, starts: "
                f"{self.starts}\n{done.stdout}")

    def ctl(self, *args):
        return subprocess.run([netlab.XCTCTL, "-s", self.sock, *args],
                              capture_output=True, text=True, check=True,
                              timeout=30).stdout

    def stats(self):
        return json.loads(self.ctl("stats", "-o", "json"))

    def flows(self):
        return [json.loads(line) for line in
                self.ctl("list", "-o", "ndjson").splitlines()]

    def messages(self):
        with open(self.log, encoding="ascii", errors="replace") as file:
            return file.read()

    def close(self):
        """The end; True if it was clean."""
        self.is_over = True
        if not self.gone.is_set():
            os.kill(self.pid, signal.SIGTERM)
        self.runner.join()
        self.notify.close()
        while self.kept:
            os.close(self.kept.popitem()[1])
        self.ns.run(netlab.XCTD, "--unhook", "-c", self.config)
        return os.waitstatus_to_exitcode(self.status) == 0
