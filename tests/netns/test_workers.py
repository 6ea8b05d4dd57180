# SPDX-License-Identifier: GPL-2.0-or-later
"""Several workers: nothing is raced for, nothing overtakes, nothing is
allocated."""

import contextlib
import mmap
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

import lab as lab_module
from lab import CLIENT, LAN_GW, ROOT, SERVER, WAN, wait_for

WORKERS = 4
POLICY = """
settings: {table-size: 4096}
nat:
  - {name: internet, out: wan0, masquerade: yes}
  - {name: dns, in: wan0, dst: %s, proto: udp, dport: 5353, dnat: "10.0.0.2:53"}
filter:
  forward:
    default: drop
    rules:
      - {name: refused, dport: 7, proto: udp, log: yes, reject: yes}
      - {name: out, in: lan0, accept: yes}
      - {name: in, translated: dnat, accept: yes}
""" % WAN


class Flows:
    """Numbered packets of many UDP flows, answered by an echo, until stopped.
    In each direction a flow's numbers may have gaps; they may not go back."""

    def __init__(self, lab, n):
        self.overtaken = []
        self.seen = 0
        self.is_over = False
        self.server = lab.server.udp_socket(SERVER, 7000)
        self.server.setblocking(False)
        self.clients = [lab.client.udp_socket("10.0.0.2", 0) for _ in range(n)]
        for client in self.clients:
            client.setblocking(False)
        self.sent = dict.fromkeys(range(n), 0)
        self.last = {}
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _check(self, direction, packet):
        flow, number = struct.unpack("!II", packet)
        if number <= self.last.get((direction, flow), 0):
            self.overtaken.append((direction, flow, number))
        self.last[direction, flow] = number
        self.seen += 1

    def _run(self):
        while not self.is_over:
            for flow, client in enumerate(self.clients):
                for _ in range(4):
                    self.sent[flow] += 1
                    with contextlib.suppress(OSError):
                        client.sendto(struct.pack("!II", flow, self.sent[flow]),
                                      (SERVER, 7000))
            select.select([self.server], [], [], 0.01)
            with contextlib.suppress(BlockingIOError):
                while True:
                    packet, addr = self.server.recvfrom(64)
                    self._check("out", packet)
                    self.server.sendto(packet, addr)
            for client in self.clients:
                with contextlib.suppress(OSError):
                    while True:
                        self._check("back", client.recv(64))

    def stop(self):
        self.is_over = True
        self.thread.join()
        for each in [self.server, *self.clients]:
            each.close()


def queues_seen(lab):
    with lab.router.inside():
        lines = pathlib.Path("/proc/thread-self/net/netfilter/"
                             "nfnetlink_queue").read_text().splitlines()
    return [int(line.split()[7]) for line in lines]


def test_no_packet_of_a_flow_overtakes_another(lab):
    lab.start_xctd(POLICY, "--workers", str(WORKERS))
    flows = Flows(lab, 40)
    try:
        wait_for(lambda: flows.seen > 20000, "packets there and back", 60)
    finally:
        flows.stop()
    assert flows.overtaken == []
    # More than one queue had a part in it.
    assert sum(seen > 100 for seen in queues_seen(lab)) > 1


@pytest.fixture(name="tsan", scope="module")
def build_tsan():
    subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "-C", ROOT, "TSAN=1",
                    "build/tsan/xctd"], check=True, stdout=subprocess.DEVNULL)
    return str(ROOT / "build" / "tsan" / "xctd")


def test_threads_do_not_race(lab, tsan, monkeypatch):
    """All that threads share is used at once, under ThreadSanitizer."""
    monkeypatch.setattr(lab_module, "XCTD", tsan)
    xctd = lab.start_xctd(POLICY, "--workers", str(WORKERS))
    flows = Flows(lab, 40)
    refused = lab.client.udp_socket("10.0.0.2", 0)
    new = lab.server.udp_socket(SERVER, 0)
    until = time.monotonic() + 5
    seen = 0
    try:
        for i in range(1000):
            for _ in range(20):
                new.sendto(b"?", (WAN, 5353))
                with contextlib.suppress(OSError):
                    refused.sendto(b"?", (SERVER, 7))
            xctd.ctl(*[["list"], ["stats"], ["rules"], ["status"], ["count"],
                       ["update", "-t", "1"], ["reload"], ["flush"],
                       ["delete", "-p", "udp"]][i % 9], check=False)
            lab.router.ip(f"address {'add' if i % 2 else 'replace'} "
                          f"192.0.2.{100 + i % 100}/24 dev wan0")
            lab.router.ip(f"address del 192.0.2.{100 + i % 100}/24 dev wan0")
            seen = flows.seen
            if time.monotonic() > until and i > 18 and seen > 1000:
                break
    finally:
        flows.stop()
        refused.close()
        new.close()
    assert seen > 1000
    assert "ThreadSanitizer" not in xctd.messages(), xctd.messages()
    # It also speaks at the end, and by its exit code.
    xctd.stop()
    assert "ThreadSanitizer" not in xctd.messages(), xctd.messages()


COUNTER = r"""
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
static _Atomic unsigned *counter;
static void count(void)
{
	char name[16] = "";
	if (counter && !pthread_getname_np(pthread_self(), name, sizeof(name)) &&
	    !strncmp(name, "xctd-q", 6))
		++*counter;
}
__attribute__((constructor)) static void begin(void)
{
	int fd = open(getenv("COUNTER"), O_RDWR | O_CLOEXEC);
	counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}
#define WRAP(type, name, params, ...) \
	type name params \
	{ \
		extern type __libc_##name params; \
		count(); \
		return __libc_##name(__VA_ARGS__); \
	}
WRAP(void *, malloc, (size_t n), n)
WRAP(void *, calloc, (size_t n, size_t m), n, m)
WRAP(void *, realloc, (void *p, size_t n), p, n)
WRAP(void *, memalign, (size_t a, size_t n), a, n)
"""


def test_workers_allocate_nothing(lab, tmp_path, monkeypatch):
    """Whatever they see: flows, new ones, what is refused and logged."""
    source, library = tmp_path / "count.c", tmp_path / "count.so"
    source.write_text(COUNTER)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source],
                   check=True)
    counter = tmp_path / "counter"
    counter.write_bytes(bytes(4096))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("COUNTER", str(counter))
    xctd = lab.start_xctd(POLICY, "--workers", "2")
    monkeypatch.delenv("LD_PRELOAD")
    with open(counter, "r+b") as file, mmap.mmap(file.fileno(), 4096) as count:
        def allocations():
            return struct.unpack_from("I", count)[0]
        # What threads bring along with their first breath is not counted.
        flows = Flows(lab, 8)
        try:
            wait_for(lambda: flows.seen > 100, "first packets", 30)
            before = allocations()
            client = lab.client.udp_socket("10.0.0.2", 0)
            wait_for(lambda: client.sendto(b"?", (SERVER, 7)) and
                     xctd.hits("refused") > 0, "a packet refused", 30)
            client.close()
            for _ in range(300):
                with lab.client.udp_socket("10.0.0.2", 0) as new:
                    new.sendto(b"?", (SERVER, 9))
            seen = flows.seen
            wait_for(lambda: flows.seen > seen + 2000, "more packets", 30)
        finally:
            flows.stop()
        assert allocations() == before


def count(ask):
    """The number of flows, over a connection that is there already."""
    magic, req_count, end_size = 0x58435404, 2, 16
    ask.sendall(struct.pack("=IIHH", magic, 0, req_count, 0))
    answer = b""
    while len(answer) < 12 + end_size:
        more = ask.recv(64)
        assert more, "xctd has ended the connection"
        answer += more
    return struct.unpack_from("=Q", answer, 12 + 8)[0]


def test_who_asks_is_told_of_all_that_was_sent_before(lab):
    """As with the kernel's tracking: a packet is in the table when send() has
    returned. The worker shares a processor with the sender, so it lags; where
    others take that one for longer than xctd waits, it may lag now and then."""
    here, other = sorted(os.sched_getaffinity(0))[:2]
    xctd = lab.start_xctd("settings: {queue: {workers: 1}}")
    worker = next(int(task.name) for task in
                  pathlib.Path(f"/proc/{xctd.process.pid}/task").iterdir()
                  if (task / "comm").read_text().startswith("xctd-q"))
    before = os.sched_getaffinity(0)
    with lab.router.udp_socket(WAN) as sender, \
            socket.socket(socket.AF_UNIX) as ask:
        ask.connect(xctd.sock)
        ask.settimeout(5)
        os.sched_setaffinity(worker, {here})
        os.sched_setaffinity(xctd.process.pid, {other})
        os.sched_setaffinity(0, {here})
        late = 0
        try:
            for round_ in range(1, 21):
                for port in range(50):
                    sender.sendto(b"", (SERVER, 1000 * round_ + port))
                late += count(ask) != 50 * round_
        finally:
            os.sched_setaffinity(0, before)
        assert late <= 5


def test_each_packet_of_a_batch_gets_its_own_verdict(lab):
    """Though those that are alike are answered together."""
    ports = range(5000, 5030)
    marks = {port: 1 + port // 3 % 2 for port in ports}
    refused = {5000, 5007, 5008, 5019, 5029}
    xctd = lab.start_xctd(f"""
settings: {{queue: {{workers: 1}}}}
filter:
  input: {{rules: [{{proto: udp, dport: {sorted(refused)}, drop: yes}}]}}
""")
    router = lab.router
    for port in ports:
        match = ["-p", "udp", "--dport", str(port)]
        router.run("iptables", "-t", "raw", "-A", "PREROUTING", *match, "-j",
                   "MARK", "--set-mark", str(marks[port]))
        router.run("iptables", "-A", "INPUT", *match, "-m", "mark", "--mark",
                   str(marks[port]))

    def arrived():
        lines = router.run("iptables", "-vnxL", "INPUT").stdout.splitlines()
        return [int(line.split()[0]) for line in lines[2:]]

    xctd.process.send_signal(signal.SIGSTOP)
    try:
        with lab.client.udp_socket(CLIENT) as sock:
            for port in ports:
                sock.sendto(b"x", (LAN_GW, port))
    finally:
        xctd.process.send_signal(signal.SIGCONT)
    wanted = [int(port not in refused) for port in ports]
    wait_for(lambda: arrived() == wanted, "the verdicts")
    assert xctd.dropped("rule") == len(refused)
