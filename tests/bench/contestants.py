# SPDX-License-Identifier: GPL-2.0-or-later
"""What `make bench` compares: each makes a router of a lab of its own forward.

All labs are alike. What forwards in user space has one thread and one queue,
on the last processor, where the server is; the client has the first.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "netns"))

import lab as lab_module  # noqa: E402 (needs the path above)

CEILING = str(lab_module.BUILD / "tests" / "bench" / "ceiling")
PLACE = "198.18.0.1"  # the first of the server's addresses
PLACES = "198.18.0.0/16"

# Rules, tracking and translation, as a gateway has them.
GATEWAY = """
settings: {table-size: 1048576}
sets: {private: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]}
nat:
  - {name: internet, out: wan0, src: private, masquerade: yes}
filter:
  invalid: drop
  forward:
    default: drop
    rules:
      - {name: lan-out, in: lan0, out: wan0, accept: yes}
"""
FIREWALL = GATEWAY.replace("""nat:
  - {name: internet, out: wan0, src: private, masquerade: yes}
""", "")

SURICATA = """%YAML 1.1
---
default-log-dir: {dir}
stats: {{enabled: no}}
outputs: []
unix-command: {{enabled: no}}
pid-file: {dir}/suricata.pid
nfq: {{mode: accept, fail-open: no}}
default-rule-path: {dir}
rule-files: []
app-layer: {{protocols: {{}}}}
host-mode: router
"""


class Missing(Exception):
    """This host has not what it takes; the message says what."""


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Missing(f"{program} is not installed "
                          "(tests/deps.sh compare)")


class Contestant:
    """The kernel, forwarding and nothing else."""
    title = "forwarding without tracking"

    def __init__(self):
        self.pids = []
        self.lab = lab_module.Lab(routed=True)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self):
        lab = self.lab
        lab.server.ip(f"route add local {PLACES} dev lo")
        lab.router.ip(f"route add {PLACES} via {lab_module.SERVER}")
        self.start()
        lab_module.wait_for(lambda: lab_module.ping(lab.client, PLACE),
                            f"{type(self).__name__}: forwarding", 30)
        for pid in self.pids:
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(task), {os.cpu_count() - 1})

    def start(self):
        pass

    def flush(self):
        """Forget connections, so that tables do not fill."""

    def close(self):
        self.lab.close()

    def router(self, *commands):
        for command in commands:
            self.lab.router.run(*command.split())

    def start_process(self, *command, **options):
        log = open(self.lab.dir / f"{pathlib.Path(command[0]).name}.log", "wb")
        with log:
            process = self.lab.router.start(*command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, **options)
        self.pids.append(process.pid)

    def cpu_ns(self):
        """What its own threads have run so far."""
        total = 0
        for pid in self.pids:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    total += int((task / "schedstat").read_text().split()[0])
        return total

    def packets(self):
        """(that its queues have seen, that its router has forwarded), IPv4,
        once nothing is on its way any more."""
        seen = []

        def is_quiet():
            seen.append(self._packets())
            return len(seen) > 1 and seen[-1] == seen[-2] and not seen[-1][0]
        lab_module.wait_for(is_quiet, "quiet after a load")
        return seen[-1][1:]

    def _packets(self):
        with self.lab.router.inside():
            net = pathlib.Path("/proc/thread-self/net")
            queues = (net / "netfilter/nfnetlink_queue").read_text()
            snmp = (net / "snmp").read_text()
        queues = [line.split() for line in queues.splitlines()]
        names, values = [line.split() for line in snmp.splitlines()
                         if line.startswith("Ip:")]
        return (sum(int(queue[2]) for queue in queues),
                sum(int(queue[7]) for queue in queues),
                int(values[names.index("ForwDatagrams")]))


class Kernel(Contestant):
    title = "kernel conntrack and MASQUERADE"

    def start(self):
        self.router(
            "iptables -P FORWARD DROP",
            "iptables -A FORWARD -m conntrack --ctstate "
            "ESTABLISHED,RELATED -j ACCEPT",
            "iptables -A FORWARD -i lan0 -o wan0 -j ACCEPT",
            "iptables -t nat -A POSTROUTING -s 10.0.0.0/8 -o wan0 "
            "-j MASQUERADE")

    def flush(self):
        self.router("conntrack -F")


class Ceiling(Contestant):
    title = "the queue's ceiling: bytes returned, nothing tracked"

    def start(self):
        self.router(
            "iptables -t raw -A PREROUTING -i wan0 -j NFQUEUE --queue-num 0",
            "iptables -t mangle -A POSTROUTING -o wan0 -j NFQUEUE "
            "--queue-num 0")
        self.start_process(CEILING, "0", "mangle")


class CeilingPass(Contestant):
    title = "the queue's ceiling, nothing returned"

    def start(self):
        self.router("iptables -t mangle -A POSTROUTING -j NFQUEUE "
                    "--queue-num 0")
        self.start_process(CEILING, "0", "pass")


class Xctd(Contestant):
    title = "xctd: rules, tracking, masquerade"
    policy = GATEWAY

    def start(self):
        xctd = self.lab.start_xctd(self.policy, "--workers", "1")
        self.pids.append(xctd.process.pid)

    def flush(self):
        self.lab.xctd.ctl("flush")


class XctdFilter(Xctd):
    title = "xctd: rules and tracking, no translation"
    policy = FIREWALL


class Suricata(Contestant):
    title = "Suricata inline, without rules"

    def start(self):
        need("suricata")
        config = self.lab.dir / "suricata.yaml"
        config.write_text(SURICATA.format(dir=self.lab.dir))
        self.router("iptables -A FORWARD -j NFQUEUE --queue-num 0")
        self.start_process("suricata", "-c", str(config), "-q", "0",
                           "--runmode", "workers", "-S", "/dev/null",
                           "-l", str(self.lab.dir))


class Ovs(Contestant):
    """Not behind a queue: AF_PACKET instead. The kernel answers ARP, no more.
    It wants checksums complete, which takes segmentation from the hosts."""
    title = "OVS in user space: ct(nat), checksums by the hosts"

    def _ovs(self, tool, *args):
        self.lab.router.run(tool, *args, env=self.env)

    def start(self):
        need("ovs-vswitchd", "ovsdb-server", "ovs-ofctl", "ethtool")
        lab, run = self.lab, self.lab.dir
        self.env = {**os.environ, "OVS_RUNDIR": str(run),
                    "OVS_LOGDIR": str(run), "OVS_DBDIR": str(run)}
        lab.router.sysctl(net__ipv4__ip_forward=0)
        self.router("iptables -t raw -A PREROUTING -j DROP")
        for ns in lab.client, lab.server:
            ns.run("ethtool", "-K", "eth0", "tx", "off")
        database = f"unix:{run}/db.sock"
        self._ovs("ovsdb-tool", "create", f"{run}/conf.db",
                  "/usr/share/openvswitch/vswitch.ovsschema")
        self.start_process("ovsdb-server", f"{run}/conf.db",
                           f"--remote=p{database}", env=self.env)
        lab_module.wait_for((run / "db.sock").exists, "ovsdb-server")
        self._ovs("ovs-vsctl", f"--db={database}", "--no-wait", "init")
        self.start_process("ovs-vswitchd", "--pidfile", database,
                           env=self.env)
        self._ovs("ovs-vsctl", f"--db={database}", "--timeout=20",
                  "add-br", "br0", "--", "set", "bridge", "br0",
                  "datapath_type=netdev", "--", "add-port", "br0", "lan0",
                  "--", "add-port", "br0", "wan0")
        self._ovs("ovs-ofctl", "add-flows", f"unix:{run}/br0.mgmt",
                  str(self._flows()))

    def _flows(self):
        lab = self.lab
        to_wan = (f"dec_ttl,set_field:{lab.router.mac('wan0')}->eth_src,"
                  f"set_field:{lab.server.mac('eth0')}->eth_dst,output:wan0")
        to_lan = (f"dec_ttl,set_field:{lab.router.mac('lan0')}->eth_src,"
                  f"set_field:{lab.client.mac('eth0')}->eth_dst,output:lan0")
        path = lab.dir / "flows"
        path.write_text(
            "table=0,ip,actions=ct(table=1,zone=1,nat)\n"
            "table=0,priority=0,actions=drop\n"
            "table=1,ip,in_port=lan0,ct_state=+new+trk,actions=ct(commit,"
            f"zone=1,nat(src={lab_module.WAN})),{to_wan}\n"
            f"table=1,ip,in_port=lan0,ct_state=+est+trk,actions={to_wan}\n"
            f"table=1,ip,in_port=wan0,ct_state=+trk-new-inv,actions={to_lan}\n"
            "table=1,priority=0,actions=drop\n")
        return path

    def flush(self):
        self._ovs("ovs-appctl", "-t", "ovs-vswitchd", "dpctl/flush-conntrack")


CONTESTANTS = {"plain": Contestant, "kernel": Kernel, "ceiling": Ceiling,
               "ceiling-pass": CeilingPass, "xctd": Xctd,
               "xctd-filter": XctdFilter, "suricata": Suricata, "ovs": Ovs}
