# SPDX-License-Identifier: GPL-2.0-or-later
"""Random FTP for routers with a helper: dialogues that announce connections,
rightly, wrongly, in pieces and again, and the connections that follow.

What a router makes of an announcement may be of another length. Whoever gets it
acknowledges what he has got: so each end knows how much more the other's bytes
have become (End.shift).
"""

import ipaddress

import traffic
from traffic import ACK, FIN, OWN, PSH, RST, SYN, Step, Talk, Tcp

FORMS = {4: ("PORT", "EPRT", "227", "229"), 6: ("EPRT", "229")}


def numbers(addr, port):
    return f"{addr},{port >> 8},{port & 255}".replace(".", ",")


def extended(addr, port, is_full=False):
    version = 2 if ":" in addr else 1
    if is_full:  # as routers write it
        addr = ipaddress.ip_address(addr).exploded
    return f"|{version}|{addr}|{port}|"


class Ftp:
    def __init__(self, chance, nat):
        self.chance = chance
        self.family = chance.choice((4, 4, 6))
        self.client = chance.choice(traffic.LAN_HOSTS[self.family])
        self.server = chance.choice(traffic.WAN_HOSTS[self.family])
        self.dialled = self.server
        if nat in ("dnat", "both") and chance.random() < 0.5:
            self.dialled = traffic.FORWARDED_ALL[self.family]
            self.server = traffic.WAN_HOSTS[self.family][1]
        self.outside = OWN["wan"][self.family] if nat in ("snat", "both") \
            else self.client
        self.is_translated = (self.outside, self.dialled) != \
            (self.client, self.server)
        self.tcp = Tcp(Talk(chance, self.family, ("lan", "wan"),
                            (self.client, self.dialled),
                            (chance.randrange(20000, 60000), 21)))
        self.steps = []

    def put(self, who, flags, **more):
        self.steps.append(self.tcp.send(who, flags, **more))
        self.tcp.hear(1 - who)

    def say(self, who, text, grown=0):
        """A segment with @text, of which @grown bytes more arrive."""
        payload = text.encode("latin-1")
        self.steps.append(self.tcp.send(who, ACK | PSH, size=len(payload),
                                        payload=payload))
        self.tcp.ends[who].shift += grown
        self.tcp.hear(1 - who)

    def again(self):
        """What was sent last is sent again, with the same numbers."""
        self.steps.append(self.steps[-1])

    def acknowledge(self, who):
        end = self.tcp.ends[who]
        sack = ()
        if self.chance.random() < 0.3:
            sack = [(end.acked + self.chance.randrange(-40, 40),
                     end.acked + self.chance.randrange(-40, 80))]
        self.steps.append(self.tcp.segment(who, ACK, sack=sack))

    def text(self, form, port, addr=None):
        """(who says it, what, how much longer it becomes)."""
        who = 0 if form in ("PORT", "EPRT") else 1
        own = self.client if who == 0 else self.server
        other = self.outside if who == 0 else self.dialled
        addr = addr or own
        if form == "EPRT":
            said, then = extended(addr, port), extended(other, port, True)
            line = f"EPRT {said}\r\n"
        elif form == "229":
            said = then = f"|||{port}|"
            line = f"229 Entering Extended Passive Mode ({said})\r\n"
        else:
            said, then = numbers(addr, port), numbers(other, port)
            line = f"PORT {said}\r\n" if form == "PORT" else \
                self.chance.choice(("227 Entering Passive Mode ({}).\r\n",
                                    "227 ({})\r\n", "227 ok {}\r\n")) \
                .format(said)
        grown = len(then) - len(said) if self.is_translated else 0
        return who, line, grown

    def spoil(self, form, line, port):
        """@line as it should not be: the segments that say it."""
        chance = self.chance
        at = chance.randrange(1, len(line))
        how = chance.randrange(11)
        if how < 2:
            return [line[:at]]
        if how < 4:
            return [line[:at] + chr(chance.randrange(256)) + line[at + 1:]]
        if how == 4:
            return [line[:at], line[at:]]
        if how == 5:
            return ["NOOP\r\n" + line]
        if how == 6:
            return [line.lower().replace("\r", chance.choice(("\r", "")))]
        if how == 7:
            return [line.replace(" ", "  ", 1)]
        if how == 8:
            return [self.text(form, chance.choice((0, 1, 65535, 65536, 99999)))
                    [1]]
        if how == 9:
            other = traffic.LAN_HOSTS if chance.random() < 0.5 else \
                traffic.WAN_HOSTS
            return [self.text(form, port, chance.choice(other[self.family]))[1]]
        return [line + line, line]

    def data(self, is_active, port):
        """The connection that was announced, or one that resembles it."""
        chance = self.chance
        begins, ends = (self.server, self.outside) if is_active else \
            (self.client, self.dialled)
        if chance.random() < 0.1:
            port ^= 1
        if chance.random() < 0.1 and not is_active:
            begins = traffic.HOPS["lan"][self.family]
        tcp = Tcp(Talk(chance, self.family,
                       ("wan", "lan") if is_active else ("lan", "wan"),
                       (begins, ends), (chance.randrange(20000, 60000), port)))
        whole = tcp.connection()
        self.steps += whole[:chance.randrange(1, len(whole) + 1)]

    def announce(self):
        """False: what the connection is like after it, nobody knows."""
        chance = self.chance
        form = chance.choice(FORMS[self.family])
        port = chance.randrange(20000, 60000)
        who, line, grown = self.text(form, port)
        if who == 1:
            self.say(0, "PASV\r\n" if form == "227" else "EPSV\r\n")
        is_odd = chance.random() < 0.35
        if is_odd:
            for part in self.spoil(form, line, port):
                self.say(who, part)
        else:
            self.say(who, line, grown)
        if chance.random() < 0.3:
            self.again()
        self.acknowledge(1 - who)
        if chance.random() < 0.8:
            self.data(who == 0, port)
        if chance.random() < 0.2:
            self.again()
        return not is_odd

    def dialogue(self):
        chance = self.chance
        self.put(0, SYN)
        self.put(1, SYN | ACK)
        self.put(0, ACK)
        self.say(1, "220 ready\r\n")
        self.say(0, "USER somebody\r\n")
        self.say(1, "230 come in\r\n")
        for _ in range(chance.randrange(1, 6)):
            if not self.announce():
                break
            self.say(*chance.choice(((1, "200 fine\r\n"), (0, "NOOP\r\n"))))
            self.acknowledge(chance.randrange(2))
        if chance.random() < 0.3:
            self.put(chance.randrange(2), RST | ACK)
        elif chance.random() < 0.7:
            for who, flags in ((0, FIN | ACK), (1, FIN | ACK), (0, ACK)):
                self.put(who, flags)
        return self.steps


def ftp(chance, nat):
    return Ftp(chance, nat).dialogue()


def ftp_lossy(chance, nat):
    """Lost, repeated and late segments: each end acknowledges what it has not
    got, and the router sees what it should not."""
    out, held = [], []
    for step in ftp(chance, nat):
        fate = chance.random()
        if fate < 0.05:
            continue
        if fate < 0.12:
            held.append(step)
            continue
        out.append(step)
        if fate > 0.85:
            out.append(Step(step.side, step.data))
        if held and chance.random() < 0.5:
            out.append(held.pop(0))
    return out + held


traffic.HELPED_KINDS.update({"ftp": ftp, "ftp-lossy": ftp_lossy})
