# SPDX-License-Identifier: GPL-2.0-or-later
"""Two equal labs, one tracked by the kernel, the other by xct.

A script is a generator over a lab that yields after each step. lockstep() runs
it in both labs and compares the tables after every step.
"""

import contextlib

import entries
from lab import wait_for

OFFLOADS_OFF = ("gso", "off", "tso", "off", "gro", "off")


class KernelTable:
    """The kernel's connection tracking in a lab's router."""

    def __init__(self, lab, rules):
        self.ns = lab.router
        for rule in ["-A FORWARD -m conntrack --ctstate NEW -j ACCEPT", *rules]:
            tool = "ip6tables" if rule.startswith("6 ") else "iptables"
            self.ns.run(tool, *rule.removeprefix("6 ").split())
        self.ns.run("ip6tables", "-A", "FORWARD", "-m", "conntrack",
                    "--ctstate", "NEW", "-j", "ACCEPT")
        self.ns.sysctl(net__netfilter__nf_conntrack_acct=1)

    def run(self, *args):
        return self.ns.run("conntrack", *args, check=False)

    def list(self, *filters):
        return entries.parse(self.run("-L", *filters).stdout)


class Twin:
    def __init__(self, make_lab, kernel_rules, policy, prepare=None, **options):
        self.labs = (make_lab(**options), make_lab(**options))
        for lab in self.labs:
            for ns, dev in ((lab.client, "eth0"), (lab.server, "eth0"),
                            (lab.router, "lan0"), (lab.router, "wan0")):
                ns.run("ethtool", "-K", dev, *OFFLOADS_OFF)
            for ns in lab.client, lab.server:
                # A busy machine would see segments probed for a second time.
                ns.sysctl(net__ipv4__tcp_early_retrans=0)
            if prepare:
                prepare(lab)
        self.kernel = KernelTable(self.labs[0], kernel_rules)
        self.xctd = self.labs[1].start_xctd(
            "settings: {accounting: yes}\n" + policy)

    def differences(self):
        """What the two tables say differently, as lines."""
        kernel = {entries.key(e): e for e in self.kernel.list()}
        ours = {entries.key(e): e for e in self.xctd.list()}
        lines = [f"only the kernel has {kernel[k]}"
                 for k in kernel.keys() - ours.keys()]
        lines += [f"only xct has {ours[k]}"
                  for k in ours.keys() - kernel.keys()]
        for common in kernel.keys() & ours.keys():
            lines += compare(kernel[common], ours[common])
        return lines

    def same(self, step):
        """The tables are, or soon become, the same (ACKs may be late)."""
        last = []

        def check():
            last[:] = self.differences()
            return not last
        try:
            wait_for(check, step, timeout=3)
        except AssertionError:
            raise AssertionError(f"after \"{step}\":\n" +
                                 "\n".join(last)) from None

    def lockstep(self, script):
        with contextlib.ExitStack() as stack:
            running = [stack.enter_context(contextlib.closing(script(lab)))
                       for lab in self.labs]
            steps = 0
            for kernel_step, our_step in zip(*running, strict=True):
                assert kernel_step == our_step
                self.same(kernel_step)
                steps += 1
        return steps


def compare(kernel, ours):
    what = entries.key(kernel)
    for field in ("proto_number", "state", "orig", "reply", "flags", "mark",
                  "helper"):
        if kernel.get(field) != ours.get(field):
            yield (f"{what}: {field}: kernel {kernel.get(field)}, "
                   f"xct {ours.get(field)}")
    if abs(kernel["timeout"] - ours["timeout"]) > 2:
        yield (f"{what}: timeout: kernel {kernel['timeout']}, "
               f"xct {ours['timeout']}")
