# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that exist on the wire only: no stack answers for them.

A RawHost sends whatever bytes it is given. Its router knows its address by a
permanent neighbour entry, so nothing else replies in its place, and a TCP
handshake can be held at any step.
"""

import socket
import struct


class RawHost:
    def __init__(self, lab, ns, router_dev, addr, dev="eth0"):
        self.addr = addr
        self.mac = bytes.fromhex(ns.mac(dev).replace(":", ""))
        self.router_mac = bytes.fromhex(
            lab.router.mac(router_dev).replace(":", ""))
        lab.router.ip(f"neigh replace {addr} lladdr {ns.mac(dev)} "
                      f"dev {router_dev} nud permanent")
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.bind((dev, 0))

    def send(self, packet):
        """Send an IP packet: bytes, or what bytes() makes of it."""
        packet = bytes(packet)
        kind = 0x86dd if packet and packet[0] >> 4 == 6 else 0x0800
        self.frame(kind, packet)

    def frame(self, kind, payload):
        self.sock.send(self.router_mac + self.mac + struct.pack("!H", kind) +
                       payload)

    def close(self):
        self.sock.close()
