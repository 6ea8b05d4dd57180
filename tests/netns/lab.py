# SPDX-License-Identifier: GPL-2.0-or-later
"""A small network of namespaces with xctd on its router.

    client (10.0.0.2) --- lan0 router wan0 --- (192.0.2.2) server
    client2 (10.0.0.3) -/ (through a bridge, where hosts=2)

    LAN 10.0.0.0/24, fd00:a::/64      router: .1, ::1
    WAN 192.0.2.0/24, 2001:db8:2::/64 router: .1, ::1

The server has a route to the LAN only where the lab is made with routed=True:
without it, only traffic whose source was translated comes back.

Nothing here sleeps for a fixed time: wait_for() polls a condition. Whatever is
started is stopped by its pid, whatever is made is removed, in Lab.close().
"""

import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import entries

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("XCT_BUILD", ROOT / "build"))
XCTD = str(BUILD / "xctd")
XCTCTL = str(BUILD / "xctctl")

CLIENT, CLIENT6 = "10.0.0.2", "fd00:a::2"
CLIENT2, CLIENT2_6 = "10.0.0.3", "fd00:a::3"
LAN_GW, LAN_GW6 = "10.0.0.1", "fd00:a::1"
WAN, WAN6 = "192.0.2.1", "2001:db8:2::1"
SERVER, SERVER6 = "192.0.2.2", "2001:db8:2::2"

CONNLABEL = """
mount -t tmpfs none /etc
mkdir /etc/xtables
printf '# a comment\\n0 first\\n 1\\tfoo\\n2 two words \\n3 under_score\\n4 dup\\n\\
4 dup4\\n5 dup\\n0x10 hex\\n020 oct\\n127 last\\n200 over\\n100 a-b\\n101 x # y\\n\\
102\\n' >/etc/xtables/connlabel.conf
exec "$@"
"""
# What runs behind this knows names of connection labels, of all kinds.
LABELLED = "unshare", "-m", "sh", "-c", CONNLABEL, "sh"

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count()
open_labs = []


class Timeout(AssertionError):
    pass


def wait_for(condition, what, timeout=10.0):
    """Poll until condition() is true; return what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"{what}: not within {timeout} s")
        time.sleep(0.01)


def _setns(fd):
    if _libc.setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """A named network namespace, and the processes started in it."""

    def __init__(self, name, is_here=False):
        self.name = name
        self.processes = []
        # "Here" gets a name, and keeps what it has when that goes.
        command = ["attach", name, str(os.getpid())] if is_here else ["add", name]
        subprocess.run(["ip", "netns", *command], check=True)
        self.fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        self.ip("link set lo up")
        # Duplicate address detection would leave IPv6 mute for a second.
        self.sysctl(net__ipv6__conf__default__accept_dad=0)

    def ip(self, *lines):
        """Run ip(8) commands, one a line."""
        subprocess.run(["ip", "-n", self.name, "-batch", "-"], check=True,
                       input="\n".join(lines) + "\n", text=True)

    def argv(self, command):
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command]

    def run(self, *command, check=True, timeout=60, **options):
        """Run a command; its output is in .stdout and .stderr, as text."""
        done = subprocess.run(self.argv(command), capture_output=True,
                              text=options.pop("text", True), timeout=timeout,
                              **options)
        if check and done.returncode:
            raise AssertionError(f"{self.name}: {' '.join(command)}: exit "
                                 f"{done.returncode}\n{done.stdout}"
                                 f"{done.stderr}")
        return done

    def start(self, *command, **options):
        """Start a process that lives until the namespace goes, or before."""
        process = subprocess.Popen(self.argv(command), **options)
        self.processes.append(process)
        return process

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the namespace: what it opens belongs there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _setns(self.fd)
            yield
        finally:
            _setns(home)
            os.close(home)

    def socket(self, *args):
        with self.inside():
            made = socket.socket(*args)
        made.settimeout(5)
        return made

    def tcp_socket(self, addr=None, port=0):
        made = self.socket(family_of(addr or "0.0.0.0"), socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if addr:
            made.bind((addr, port))
        return made

    def udp_socket(self, addr, port=0):
        made = self.socket(family_of(addr), socket.SOCK_DGRAM)
        made.bind((addr, port))
        return made

    def listen(self, addr, port):
        listener = self.tcp_socket(addr, port)
        listener.listen(64)
        return listener

    def sysctl(self, **values):
        with self.inside():
            for name, value in values.items():
                path = pathlib.Path("/proc/sys", name.replace("__", "/"))
                path.write_text(str(value))

    def mac(self, dev):
        with self.inside():
            return json.loads(subprocess.check_output(
                ["ip", "-j", "link", "show", "dev", dev]))[0]["address"]

    def listening(self, port, udp=False):
        flag = "-lnuH" if udp else "-lntH"
        return self.run("ss", flag, f"sport = :{port}").stdout.strip()

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        os.close(self.fd)
        subprocess.run(["ip", "netns", "del", self.name], check=False)


def family_of(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


class Xctd:
    """xctd in a namespace, from its readiness to what it leaves behind."""

    def __init__(self, lab, ns, policy, args=()):
        self.ns = ns
        self.dir = lab.dir
        self.config = lab.dir / f"rules{next(_serial)}.yaml"
        self.sock = str(lab.dir / f"xctd{next(_serial)}.sock")
        self.log = self.config.with_suffix(".log")
        self.write(policy)
        self.process = None
        self._start(args)

    def write(self, policy):
        self.config.write_text(policy)

    def _start(self, args):
        notify_path = self.sock + ".notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(notify_path)
            notify.settimeout(0.05)
            with open(self.log, "wb") as log:
                self.process = self.ns.start(
                    XCTD, "-c", str(self.config), "-s", self.sock, *args,
                    stderr=log, stdin=subprocess.DEVNULL,
                    env={**os.environ, "NOTIFY_SOCKET": notify_path})

            def ready():
                if self.process.poll() is not None:
                    raise AssertionError(
                        f"xctd: exit {self.process.returncode}\n"
                        f"{self.messages()}")
                try:
                    return b"READY=1" in notify.recv(4096).split(b"\n")
                except socket.timeout:
                    return False
            wait_for(ready, "READY=1 from xctd")
        os.unlink(notify_path)
        assert self.ctl("status").returncode == 0

    def messages(self):
        return self.log.read_text(errors="replace")

    def ctl(self, *args, check=True, **options):
        """xctctl as anybody runs it: from anywhere, through the socket."""
        done = subprocess.run([XCTCTL, "-s", self.sock, *args],
                              capture_output=True, text=True, timeout=30,
                              **options)
        if check and done.returncode:
            raise AssertionError(f"xctctl {' '.join(args)}: exit "
                                 f"{done.returncode}\n{done.stdout}"
                                 f"{done.stderr}\n{self.messages()}")
        return done

    def list(self, *filters):
        return entries.parse(self.ctl("list", *filters).stdout)

    def json(self, command):
        return json.loads(self.ctl(command, "-o", "json").stdout)

    def hits(self, name):
        """Connections that the rule called @name has matched."""
        found = [rule["hits"] for rule in find_dicts(self.json("rules"), "hits")
                 if rule.get("name") == name]
        assert len(found) == 1, f"{len(found)} rules called {name}"
        return found[0]

    def dropped(self, reason):
        """Packets dropped, or called INVALID, for @reason."""
        return self.json("stats")["reasons"].get(reason, 0)

    def reload(self, policy=None, check=True):
        if policy is not None:
            self.write(policy)
        return self.ctl("reload", check=check)

    def is_alive(self):
        return self.process.poll() is None

    def stop(self):
        """A clean stop, after which nothing may be left."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("xctd did not stop on SIGTERM\n" +
                                     self.messages()) from None
        assert self.process.returncode == 0, self.messages()
        assert not os.path.exists(self.sock), "socket left behind"
        assert_nothing_left(self.ns)


def find_dicts(tree, key):
    """All dicts below @tree that have @key."""
    if isinstance(tree, dict):
        if key in tree:
            yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for branch in tree:
            yield from find_dicts(branch, key)


def hooks_left(ns):
    left = ""
    for save in "iptables-save", "ip6tables-save":
        left += "".join(line + "\n"
                        for line in ns.run(save).stdout.splitlines()
                        if "xct" in line.lower() or "NFQUEUE" in line)
    return left


def assert_nothing_left(ns):
    assert hooks_left(ns) == ""
    queues = ns.run("cat", "/proc/net/netfilter/nfnetlink_queue").stdout
    assert queues == "", "queue left behind"


class Lab:
    def __init__(self, hosts=1, routed=False, router_here=False):
        self.namespaces = []
        self.threads = []
        self.xctd = None
        self.extra = []
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="xct-"))
        self.dir.chmod(0o755)
        self.prefix = f"xct{os.getpid()}-{next(_serial)}"
        open_labs.append(self)
        try:
            self._build(hosts, routed, router_here)
        except BaseException:
            self.close()
            raise

    def namespace(self, role, is_here=False):
        made = Namespace(f"{self.prefix}{role}", is_here)
        self.namespaces.append(made)
        return made

    def _build(self, hosts, routed, router_here):
        self.router = self.namespace("r", router_here)
        self.server = self.namespace("s")
        self.client = self.namespace("c")
        self.client2 = self.namespace("d") if hosts > 1 else None

        self._veth(self.router, "wan0", self.server, "eth0")
        if hosts == 1:
            self._veth(self.router, "lan0", self.client, "eth0")
        else:
            switch = self.namespace("w")
            switch.ip("link add br0 type bridge", "link set br0 up")
            for port, (ns, dev) in enumerate([(self.router, "lan0"),
                                              (self.client, "eth0"),
                                              (self.client2, "eth0")]):
                self._veth(ns, dev, switch, f"port{port}")
                switch.ip(f"link set port{port} master br0 up")

        self.router.sysctl(net__ipv4__ip_forward=1,
                           net__ipv6__conf__all__forwarding=1)
        addresses(self.router, "lan0", LAN_GW, LAN_GW6)
        addresses(self.router, "wan0", WAN, WAN6)
        addresses(self.server, "eth0", SERVER, SERVER6)
        addresses(self.client, "eth0", CLIENT, CLIENT6)
        self.client.ip(f"route add default via {LAN_GW}",
                       f"route add default via {LAN_GW6}")
        if hosts > 1:
            addresses(self.client2, "eth0", CLIENT2, CLIENT2_6)
            self.client2.ip(f"route add default via {LAN_GW}",
                            f"route add default via {LAN_GW6}")
        if routed:
            self.server.ip(f"route add 10.0.0.0/24 via {WAN}",
                           f"route add fd00:a::/64 via {WAN6}")

    @staticmethod
    def _veth(left, left_dev, right, right_dev):
        left.ip(f"link add {left_dev} type veth peer name {right_dev} "
                f"netns {right.name}", f"link set {left_dev} up")
        right.ip(f"link set {right_dev} up")

    def start_xctd(self, policy, *args):
        self.xctd = Xctd(self, self.router, policy, args)
        return self.xctd

    def nginx(self, ns, port, root=None, rate=0):
        """An nginx that serves files below @root, no faster than @rate bytes a
        second (0: as fast as it goes), and says who asked."""
        directory = self.dir / f"nginx{next(_serial)}"
        directory.mkdir()
        root = root or directory
        (directory / "nginx.conf").write_text(f"""
daemon off; master_process off; user root;
pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;
    fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u;
    scgi_temp_path {directory}/s;
    server {{
        listen 0.0.0.0:{port};
        listen [::]:{port} ipv6only=on;
        root {root};
        limit_rate {rate};
        location = /whoami {{
            default_type text/plain;
            return 200 "$remote_addr $server_addr $server_port\\n";
        }}
    }}
}}
""")
        ns.start("nginx", "-e", str(directory / "error.log"), "-c",
                 str(directory / "nginx.conf"))
        wait_for(lambda: ns.listening(port), f"nginx on port {port}")

    def dnsmasq(self, ns, **names):
        """A DNS server that knows @names and nothing else."""
        hosts = [f"--address=/{name}/{addr}" for name, addr in names.items()]
        ns.start("dnsmasq", "--no-daemon", "--conf-file=/dev/null",
                 "--no-resolv", "--no-hosts", "--user=root", "--pid-file",
                 *hosts, stderr=subprocess.DEVNULL)
        wait_for(lambda: ns.listening(53, udp=True), "dnsmasq")

    def echo(self, ns, addr, port):
        """A UDP echo server; returns the list of peers it has answered."""
        sock = ns.udp_socket(addr, port)
        sock.settimeout(0.05)
        peers = []
        stop = threading.Event()

        def serve():
            while not stop.is_set():
                with contextlib.suppress(socket.timeout, OSError):
                    data, peer = sock.recvfrom(65536)
                    peers.append(peer[:2])
                    sock.sendto(data, peer)
            sock.close()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self.threads.append((thread, stop))
        return peers

    def close(self):
        """Tear everything down; complain about what xctd left afterwards."""
        if self in open_labs:
            open_labs.remove(self)
        try:
            if self.xctd and self.xctd.process:
                self.xctd.stop()
        finally:
            for thread, stop in self.threads:
                stop.set()
                thread.join()
            for ns in reversed(self.namespaces):
                ns.close()
            shutil.rmtree(self.dir, ignore_errors=True)


def addresses(ns, dev, v4, v6):
    ns.ip(f"addr add {v4}/24 dev {dev}",
          f"addr add {v6}/64 dev {dev} nodad")


def connect(ns, dst, dport, src=None, sport=0, timeout=5):
    """A TCP connection from @ns."""
    sock = ns.socket(family_of(dst), socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.settimeout(timeout)
    try:
        if src or sport:
            sock.bind((src or ("::" if ":" in dst else "0.0.0.0"), sport))
        sock.connect((dst, dport))
    except BaseException:
        sock.close()
        raise
    return sock


def can_connect(ns, dst, dport, timeout=5):
    """True, or the reason why not: "refused", "timeout", "unreachable"."""
    try:
        connect(ns, dst, dport, timeout=timeout).close()
        return True
    except ConnectionRefusedError:
        return "refused"
    except socket.timeout:
        return "timeout"
    except OSError:
        return "unreachable"


def is_dropped(ns, dst, dport):
    """Does a connection get no answer? It waits for none in vain, so not long."""
    return can_connect(ns, dst, dport, timeout=0.4) == "timeout"


def ping(ns, dst, count=1, wait=1, args=()):
    """Does @dst answer, every time?"""
    done = ns.run("ping", "-n", "-c", str(count), "-i", "0.05", "-W",
                  str(wait), *args, dst, check=False)
    return f" {count} received" in done.stdout


def curl(ns, url, *args, **options):
    return ns.run("curl", "-sS", "-g", "--max-time", "20", *args, url,
                  **options).stdout
