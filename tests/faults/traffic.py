#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic that counts itself: what was sent, what came back, what broke.

    traffic.py ping ADDRESS INTERVAL          ICMP echo requests
    traffic.py udp ADDRESS:PORT INTERVAL      one socket, one echo a packet
    traffic.py dns ADDRESS:PORT INTERVAL      a new socket a query
    traffic.py connect ADDRESS:PORT INTERVAL  a new connection a request
    traffic.py chat ADDRESS:PORT INTERVAL     one connection, many requests
    traffic.py serve ADDRESS:PORT             echoes UDP, and TCP by lines

Nothing is ever sent a second time by this program, so nothing lost can hide.
On SIGTERM it stops sending, waits for what is still to come, and prints a JSON
object: sent, received, repeated (answers that came twice), broken (connections
refused, reset or answered wrong), slowest (ms).
"""

import json
import os
import selectors
import signal
import socket
import struct
import sys
import time

LINGER = 60  # seconds that answers are waited for after the last request
BUFFER = 32 << 20
SO_RCVBUFFORCE = 33
stopping = False


def stop(*_):
    global stopping
    stopping = True


class Tally:
    def __init__(self):
        self.sent = self.received = self.repeated = self.broken = 0
        self.slowest = 0.0
        self.why = {}
        self.waiting = {}  # key: when sent

    def send(self, key):
        self.waiting[key] = time.monotonic()
        self.sent += 1

    def answer(self, key):
        sent_at = self.waiting.pop(key, None)
        if sent_at is None:
            self.repeated += 1
            return
        self.received += 1
        self.slowest = max(self.slowest, time.monotonic() - sent_at)

    def fail(self, key, why):
        self.waiting.pop(key, None)
        self.broken += 1
        self.why[why] = self.why.get(why, 0) + 1

    def report(self):
        return {"sent": self.sent, "received": self.received,
                "repeated": self.repeated, "broken": self.broken,
                "why": self.why, "lost": len(self.waiting),
                "slowest": round(self.slowest * 1000)}


class Flow:
    """Datagrams of one socket, each answered with itself."""

    def __init__(self, tally, sock):
        self.tally = tally
        self.sock = sock
        self.n = 0

    def begin(self, sel):
        # A second of answers may come at once.
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self.sock.setblocking(False)
        sel.register(self.sock, selectors.EVENT_READ, self.ready)

    def ready(self, _):
        while True:
            try:
                data = self.sock.recv(2048)
            except BlockingIOError:
                return
            self.tally.answer(struct.unpack_from("!Q", data, self.head)[0])

    def step(self):
        self.n += 1
        self.tally.send(self.n)
        self.sock.send(self.request(struct.pack("!Q", self.n).ljust(56)))


class Ping(Flow):
    """The kernel fills in id and checksum."""
    head = 8

    def __init__(self, tally, addr, _):
        super().__init__(tally, socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP))
        self.sock.connect((addr, 0))

    def request(self, data):
        return struct.pack("!BBHHH", 8, 0, 0, 0, self.n & 0xffff) + data


class Udp(Flow):
    head = 0

    def __init__(self, tally, addr, port):
        super().__init__(tally,
                         socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.sock.connect((addr, port))

    def request(self, data):
        return data


FIRST_PORT, PORTS = 10000, 55000  # sources that ask once


class Dns:
    QUESTION = b"\4name\4test\0" + struct.pack("!HH", 1, 1)

    def __init__(self, tally, addr, port):
        self.tally = tally
        self.peer = addr, port
        self.n = 0

    def begin(self, sel):
        self.sel = sel

    def step(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind(("0.0.0.0", FIRST_PORT + self.n % PORTS))
        sock.connect(self.peer)
        self.n += 1
        self.sel.register(sock, selectors.EVENT_READ, self.ready)
        self.tally.send(sock)
        sock.send(struct.pack("!HHHHHH", self.n & 0xffff, 0x100, 1, 0, 0, 0) +
                  self.QUESTION)

    def ready(self, sock):
        self.sel.unregister(sock)
        try:
            data = sock.recv(512)
            if struct.unpack_from("!H", data, 6)[0] == 1:
                self.tally.answer(sock)
            else:
                self.tally.fail(sock, "no answer in the answer")
        except OSError as error:
            self.tally.fail(sock, error.strerror)
        sock.close()


class Connect:
    """Connect, ask, read the answer and the end of it."""

    def __init__(self, tally, addr, port):
        self.tally = tally
        self.peer = addr, port
        self.n = 0

    def begin(self, sel):
        self.sel = sel

    def step(self):
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind(("0.0.0.0", FIRST_PORT + self.n % PORTS))
        self.n += 1
        self.tally.send(sock)
        sock.connect_ex(self.peer)
        self.sel.register(sock, selectors.EVENT_WRITE, self.ready)

    def ready(self, sock):
        try:
            if self.sel.get_key(sock).events == selectors.EVENT_WRITE:
                sock.send(b"bye\n")
                self.sel.modify(sock, selectors.EVENT_READ, self.ready)
                return
            data = sock.recv(64)
            if data == b"bye\n":
                return
            if data:
                self.tally.fail(sock, "another answer")
            else:
                self.tally.answer(sock)
        except OSError as error:
            self.tally.fail(sock, error.strerror)
        self.sel.unregister(sock)
        sock.close()


class Chat:
    """One connection for all: an answer is the same bytes, in order."""

    def __init__(self, tally, addr, port):
        self.tally = tally
        self.n = self.next = 0
        self.buffer = b""
        self.sock = socket.create_connection((addr, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def begin(self, sel):
        sel.register(self.sock, selectors.EVENT_READ, self.ready)

    def step(self):
        self.n += 1
        self.tally.send(self.n)
        self.sock.sendall(b"%d\n" % self.n)

    def ready(self, _):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionResetError("the chat ended")
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in lines:
            self.next += 1
            if int(line) == self.next:
                self.tally.answer(self.next)
            else:
                self.tally.fail(self.next, "another answer")


KINDS = {"ping": Ping, "udp": Udp, "dns": Dns, "connect": Connect,
         "chat": Chat}


def run(kind, peer, interval):
    addr, _, port = peer.partition(":")
    tally = Tally()
    sel = selectors.DefaultSelector()
    source = KINDS[kind](tally, addr, int(port or 0))
    source.begin(sel)
    due = time.monotonic()
    end = None
    try:
        while True:
            now = time.monotonic()
            if stopping and end is None:
                end = now + LINGER
            if end is not None and (now >= end or not tally.waiting):
                break
            if end is None and now >= due:
                source.step()
                due = max(due + interval, now - 0.01)
            wait = 0.05 if end is not None else due - time.monotonic()
            for key, _ in sel.select(max(wait, 0)):
                key.data(key.fileobj)
    except OSError as error:
        tally.broken += 1
        tally.why[str(error)] = 1
    print(json.dumps(tally.report()))


class Server:
    def __init__(self, peer):
        addr, _, port = peer.partition(":")
        self.sel = selectors.DefaultSelector()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self.udp.bind((addr, int(port)))
        self.udp.setblocking(False)
        self.tcp = socket.create_server((addr, int(port)), backlog=4096)
        self.tcp.setblocking(False)
        self.sel.register(self.udp, selectors.EVENT_READ, self.datagrams)
        self.sel.register(self.tcp, selectors.EVENT_READ, self.accept)

    def datagrams(self, sock):
        try:
            while True:
                data, peer = sock.recvfrom(2048)
                sock.sendto(data, peer)
        except BlockingIOError:
            pass

    def accept(self, listener):
        sock = listener.accept()[0]
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sel.register(sock, selectors.EVENT_READ, self.lines)

    def lines(self, sock):
        try:
            data = sock.recv(65536)
            if data:
                sock.sendall(data)
        except OSError:
            data = b""
        if not data or data.endswith(b"bye\n"):
            self.sel.unregister(sock)
            sock.close()

    def run(self):
        while not stopping:
            for key, _ in self.sel.select(0.2):
                key.data(key.fileobj)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(-5)  # what is measured is not this program
    if sys.argv[1] == "serve":
        Server(sys.argv[2]).run()
    else:
        run(sys.argv[1], sys.argv[2], float(sys.argv[3]))
