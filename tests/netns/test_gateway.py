# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway passes real traffic and translates it."""

import errno
import hashlib
import os
import signal
import socket
import time

import pytest

from entries import is_src_nat
from lab import (CLIENT, CLIENT2, CLIENT2_6, CLIENT6, LAN_GW, LAN_GW6, SERVER,
                 SERVER6, WAN, WAN6, can_connect, connect, curl,
                 is_dropped, ping, wait_for)

# Of linux/in.h and linux/in6.h; Python has no names for them.
IP_MTU_DISCOVER, IP_RECVERR, IPV6_RECVERR = 10, 11, 25

GATEWAY = """
interfaces: {lan: [lan0], wan: [wan0]}
nat:
  - {name: internet, out: wan, src: [10.0.0.0/8, "fd00::/8"], masquerade: yes}
  - {name: web-in, in: wan, proto: tcp, dport: 8080, dst: 192.0.2.1,
     dnat: "10.0.0.2:80"}
  - {name: web-in6, in: wan, proto: tcp, dport: 8080, dst: "2001:db8:2::1",
     dnat: "[fd00:a::2]:80"}
filter:
  invalid: drop
  forward:
    default: drop
    rules:
      - {name: lan-out, in: lan, out: wan, accept: yes}
      - {name: let-in, in: wan, translated: dnat, accept: yes}
  input: {default: accept}
  output: {default: accept}
"""


@pytest.fixture
def gateway(lab):
    lab.start_xctd(GATEWAY)
    return lab


@pytest.mark.parametrize("url, seen_as", [
    (f"http://{SERVER}/whoami", WAN), (f"http://[{SERVER6}]/whoami", WAN6)])
def test_curl_through_masquerade_comes_from_the_router(gateway, url, seen_as):
    gateway.nginx(gateway.server, 80)
    assert curl(gateway.client, url).split()[0] == seen_as


@pytest.mark.parametrize("url, reaches, comes_from", [
    (f"http://{WAN}:8080/whoami", CLIENT, SERVER),
    (f"http://[{WAN6}]:8080/whoami", CLIENT6, SERVER6)])
def test_port_forward_changes_the_port(gateway, url, reaches, comes_from):
    gateway.nginx(gateway.client, 80)
    assert curl(gateway.server, url).split() == [comes_from, reaches, "80"]
    (entry,) = gateway.xctd.list("-g")
    assert entry["orig"]["dport"] == 8080
    assert entry["reply"]["src"] == reaches
    assert entry["reply"]["sport"] == 80


def test_dns_and_ping_through_masquerade(gateway):
    gateway.dnsmasq(gateway.server, **{"www.example": "192.0.2.80"})
    for server in SERVER, SERVER6:
        answer = gateway.client.run("dig", "+short", "+tries=1", "+time=5",
                                    f"@{server}", "www.example").stdout
        assert answer.strip() == "192.0.2.80"
        assert ping(gateway.client, server, count=3)
    found = {entry["proto"]: entry for entry in gateway.xctd.list()}
    assert found["udp"]["reply"]["dst"] in (WAN, WAN6)
    assert found["icmp"]["reply"]["dst"] == WAN
    assert found["icmpv6"]["reply"]["dst"] == WAN6


OFFLOADS = {
    "offloads on": [],
    "segmentation off": ["gso", "off", "tso", "off", "gro", "off"],
    "checksumming off": ["gso", "off", "tso", "off", "gro", "off", "tx", "off"],
    "checksumming off, receive merging on": ["tx", "off", "gro", "on"],
}


@pytest.mark.parametrize("offloads", OFFLOADS.values(), ids=OFFLOADS.keys())
def test_a_download_arrives_unharmed(gateway, tmp_path, offloads):
    if offloads:
        for ns, dev in ((gateway.client, "eth0"), (gateway.server, "eth0"),
                        (gateway.router, "lan0"), (gateway.router, "wan0")):
            ns.run("ethtool", "-K", dev, *offloads)
    data = os.urandom(20 << 20)
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_bytes(data)
    gateway.nginx(gateway.server, 80, root=tmp_path)
    for server in SERVER, f"[{SERVER6}]":
        got = curl(gateway.client, f"http://{server}/file", text=False)
        assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_an_upload_through_a_port_forward_arrives_unharmed(gateway):
    data = os.urandom(4 << 20)
    with gateway.client.listen(CLIENT, 80) as listener, \
            connect(gateway.server, WAN, 8080) as sender:
        receiver, _ = listener.accept()
        with receiver:
            receiver.settimeout(10)
            got = bytearray()
            view = memoryview(data)
            while len(got) < len(data):
                view = view[sender.send(view[:65536]):]
                while len(got) < len(data) - len(view):
                    got += receiver.recv(1 << 20)
    assert got == data


def test_the_router_itself_connects_and_is_connected_to(gateway):
    gateway.nginx(gateway.server, 80)
    gateway.nginx(gateway.router, 81)
    assert curl(gateway.router, f"http://{SERVER}/whoami").split()[0] == WAN
    assert curl(gateway.client, f"http://{LAN_GW}:81/whoami").split() == \
        [CLIENT, LAN_GW, "81"]
    assert curl(gateway.client, f"http://[{LAN_GW6}]:81/whoami").split() == \
        [CLIENT6, LAN_GW6, "81"]
    assert curl(gateway.server, f"http://{WAN}:81/whoami").split() == \
        [SERVER, WAN, "81"]
    assert ping(gateway.router, CLIENT) and ping(gateway.router, SERVER6)
    assert curl(gateway.router, "http://127.0.0.1:81/whoami").split() == \
        ["127.0.0.1", "127.0.0.1", "81"]


@pytest.mark.parametrize("addr", ["127.0.0.1", WAN, "::1", WAN6])
def test_what_the_router_says_to_itself_is_counted_once(gateway, addr):
    gateway.echo(gateway.router, addr, 7)
    with gateway.router.udp_socket(addr) as sock:
        for _ in range(3):
            sock.sendto(b"x", (addr, 7))
            assert sock.recv(9) == b"x"
    [entry] = gateway.xctd.list("-p", "udp", "--dport", "7")
    assert (entry["orig"]["packets"], entry["reply"]["packets"]) == (3, 3)


def test_hairpin_reaches_a_lan_server_by_the_public_address(make_lab):
    lab = make_lab(hosts=2)
    lab.start_xctd("""
nat:
  - {name: web, dst: 192.0.2.1, proto: tcp, dport: 8080, dnat: "10.0.0.3:80"}
  - {name: web6, dst: "2001:db8:2::1", proto: tcp, dport: 8080,
     dnat: "[fd00:a::3]:80"}
  - {name: hairpin, src: [10.0.0.0/24, "fd00:a::/64"], out: lan0, in: lan0,
     masquerade: yes}
""")
    # Redirects would tell the client of the direct way.
    lab.nginx(lab.client2, 80)
    assert curl(lab.client, f"http://{WAN}:8080/whoami").split() == \
        [LAN_GW, CLIENT2, "80"]
    assert curl(lab.client, f"http://[{WAN6}]:8080/whoami").split() == \
        [LAN_GW6, CLIENT2_6, "80"]
    entry = next(e for e in lab.xctd.list("-f", "ipv4"))
    assert (entry["orig"]["src"], entry["orig"]["dst"]) == (CLIENT, WAN)
    assert (entry["reply"]["src"], entry["reply"]["dst"]) == (CLIENT2, LAN_GW)
    assert lab.xctd.hits("web") == 1 and lab.xctd.hits("hairpin") == 2


def test_redirect_serves_from_the_router_itself(lab):
    lab.start_xctd("""
nat:
  - {name: proxy, in: lan0, proto: tcp, dport: 80, redirect: 3128}
""")
    lab.nginx(lab.router, 3128)
    assert curl(lab.client, "http://198.51.100.7/whoami").split() == \
        [CLIENT, LAN_GW, "3128"]
    assert curl(lab.client, "http://[2001:db8:99::7]/whoami").split() == \
        [CLIENT6, LAN_GW6, "3128"]


def test_dnat_of_what_the_router_itself_sends(lab):
    lab.start_xctd("""
nat:
  - {name: own, proto: tcp, dst: 198.51.100.7, dport: 80, local: yes,
     dnat: "192.0.2.2:8000"}
""")
    lab.router.ip("route add 198.51.100.0/24 via 192.0.2.2")
    lab.nginx(lab.server, 8000)
    assert curl(lab.router, "http://198.51.100.7/whoami").split() == \
        [WAN, SERVER, "8000"]


def test_snat_takes_address_and_port_from_its_range(lab):
    lab.router.ip("addr add 192.0.2.7/24 dev wan0")
    lab.start_xctd("""
nat:
  - {name: fixed, out: wan0, proto: tcp, snat: "192.0.2.7:20000-20009"}
""")
    with lab.server.listen(SERVER, 7000) as listener:
        held = []
        for _ in range(10):
            held.append(connect(lab.client, SERVER, 7000))
            peer, (addr, port) = listener.accept()
            held.append(peer)
            assert addr == "192.0.2.7"
            assert 20000 <= port <= 20009
        ports = {e["reply"]["dport"] for e in lab.xctd.list("-n")}
        assert ports == set(range(20000, 20010))
        # The range is used up: the eleventh connection gets nothing.
        assert is_dropped(lab.client, SERVER, 7000)
        assert lab.xctd.dropped("nat-exhausted") >= 1
        for sock in held:
            sock.close()


def test_two_clients_with_one_source_port_get_different_tuples(make_lab):
    lab = make_lab(hosts=2)
    lab.start_xctd(GATEWAY)
    with lab.server.listen(SERVER, 7000) as listener:
        one = connect(lab.client, SERVER, 7000, CLIENT, 5555)
        peer1, (_, port1) = listener.accept()
        two = connect(lab.client2, SERVER, 7000, CLIENT2, 5555)
        peer2, (_, port2) = listener.accept()
        assert port1 == 5555 and port2 != 5555
        one.sendall(b"one")
        two.sendall(b"two")
        assert peer1.recv(9) == b"one" and peer2.recv(9) == b"two"
        peer1.sendall(b"to one")
        peer2.sendall(b"to two")
        assert one.recv(9) == b"to one" and two.recv(9) == b"to two"
        replies = {tuple(e["reply"].items()) for e in lab.xctd.list()}
        assert len(replies) == 2
        for sock in one, two, peer1, peer2:
            sock.close()


def test_a_rule_counts_connections_not_packets(gateway):
    with gateway.server.listen(SERVER, 7000) as listener:
        for connections in 1, 2, 3:
            with connect(gateway.client, SERVER, 7000) as sock:
                peer, _ = listener.accept()
                for _ in range(20):
                    sock.sendall(b"ping")
                    peer.recv(4)
                    peer.sendall(b"pong")
                    sock.recv(4)
                peer.close()
            assert gateway.xctd.hits("internet") == connections
            assert gateway.xctd.hits("lan-out") == connections
    assert gateway.xctd.hits("web-in") == 0


def test_masqueraded_flows_vanish_with_their_address(gateway):
    peers = gateway.echo(gateway.server, SERVER, 7)
    with gateway.client.udp_socket(CLIENT, 4000) as sock:
        sock.sendto(b"one", (SERVER, 7))
        assert sock.recv(9) == b"one"
        assert len(gateway.xctd.list("-p", "udp")) == 1
        gateway.router.ip("addr add 192.0.2.9/24 dev wan0",
                          f"addr del {WAN}/24 dev wan0")
        wait_for(lambda: not gateway.xctd.list("-p", "udp"),
                 "the flow of the lost address is gone")
        gateway.router.ip("addr replace 192.0.2.9/24 dev wan0")
        sock.sendto(b"two", (SERVER, 7))
        assert sock.recv(9) == b"two"
    assert peers[-1] == ("192.0.2.9", 4000)


def is_answered(sock):
    sock.settimeout(0.2)
    sock.sendto(b"two", (SERVER, 7))
    try:
        return sock.recv(9) == b"two"
    except socket.timeout:
        return False


def test_a_new_address_that_the_hooks_cannot_name(gateway, without):
    """Traffic goes on; what the new address is needed for does, later."""
    other = "192.0.2.9"
    gateway.xctd.stop()
    tools = without(f"-d {other} ")
    xctd = gateway.start_xctd(GATEWAY)
    peers = gateway.echo(gateway.server, SERVER, 7)
    gateway.router.ip(f"addr del {WAN}/24 dev wan0",
                      f"addr add {other}/24 dev wan0")
    with gateway.client.udp_socket(CLIENT, 4000) as sock:
        sock.settimeout(0.2)
        sock.sendto(b"one", (SERVER, 7))
        with pytest.raises(socket.timeout):
            sock.recv(9)
        wait_for(lambda: peers == [(other, 4000)], "the first packet")
        assert "cannot name a new address in the hooks" in xctd.messages()
        assert ping(gateway.client, LAN_GW)
        for tool in list(tools.iterdir()):
            tool.unlink()
        wait_for(lambda: is_answered(sock), "an answer", 20)


def test_a_new_address_that_a_failed_reload_has_seen(gateway, without):
    """It is for the next attempt to name it."""
    other = "192.0.2.9"
    gateway.xctd.stop()
    tools = without(f"-d {other} ")
    xctd = gateway.start_xctd(GATEWAY)
    gateway.echo(gateway.server, SERVER, 7)
    (tools / "hang").touch()
    gateway.router.ip("addr add 198.51.100.1/32 dev lan0")
    wait_for((tools / "hangs").exists, "hooks are changed")
    gateway.router.ip(f"addr del {WAN}/24 dev wan0",
                      f"addr add {other}/24 dev wan0")
    xctd.process.send_signal(signal.SIGHUP)
    (tools / "hang").unlink()
    wait_for(lambda: "not loaded" in xctd.messages(), "reloading")
    (tools / "words").write_text("")
    with gateway.client.udp_socket(CLIENT, 4000) as sock:
        wait_for(lambda: is_answered(sock), "an answer", 20)


def test_hooks_that_hang_make_packets_late_once(gateway, without):
    other = "192.0.2.9"
    gateway.xctd.stop()
    tools = without("nothing")
    gateway.start_xctd(GATEWAY)
    peers = gateway.echo(gateway.server, SERVER, 7)
    (tools / "hang").touch()
    gateway.router.ip(f"addr del {WAN}/24 dev wan0",
                      f"addr add {other}/24 dev wan0")
    wait_for((tools / "hangs").exists, "hooks are changed")
    began = time.monotonic()
    for port in range(4000, 4008):
        with gateway.client.udp_socket(CLIENT, port) as sock:
            sock.sendto(b"one", (SERVER, 7))
            wait_for(lambda: peers[-1:] == [(other, port)], "the packet")
    assert time.monotonic() - began < 6
    (tools / "hang").unlink()
    with gateway.client.udp_socket(CLIENT, 4000) as sock:
        wait_for(lambda: is_answered(sock), "an answer")


def test_a_renamed_interface_matches_by_its_new_name(lab):
    lab.start_xctd("""
nat:
  - {name: masq, out: "up*", masquerade: yes}
""")
    lab.nginx(lab.server, 80)
    assert is_dropped(lab.client, SERVER, 80)
    lab.xctd.ctl("flush")
    lab.router.ip("link set wan0 down", "link set wan0 name up7",
                  "link set up7 up", f"addr replace {WAN6}/64 dev up7 nodad")
    assert curl(lab.client, f"http://{SERVER}/whoami").split()[0] == WAN
    assert curl(lab.client, f"http://[{SERVER6}]/whoami").split()[0] == WAN6


def test_a_hot_plugged_interface_is_known_at_once(lab):
    lab.start_xctd("""
nat:
  - {name: masq, out: "hot*", masquerade: yes}
""")
    lab.router.ip("link add hot0 type veth peer name eth1 netns " +
                  lab.server.name, "link set hot0 up",
                  "addr add 203.0.113.1/24 dev hot0")
    lab.server.ip("link set eth1 up", "addr add 203.0.113.2/24 dev eth1")
    lab.nginx(lab.server, 80)
    assert curl(lab.client, "http://203.0.113.2/whoami").split()[0] == \
        "203.0.113.1"
    assert all(is_src_nat(entry) for entry in lab.xctd.list("-p", "tcp"))


def test_bulk_traffic_both_ways_at_once(gateway):
    gateway.server.start("iperf3", "-s", "-1", "-B", SERVER,
                         stdout=-3)  # subprocess.DEVNULL
    wait_for(lambda: gateway.server.listening(5201), "iperf3")
    done = gateway.client.run("iperf3", "-c", SERVER, "-n", "50M", "-P", "2",
                              "--bidir", "-J")
    assert '"error"' not in done.stdout
    # The control connection and two streams each way, one hit each.
    assert gateway.xctd.hits("internet") == 5


def test_the_peer_is_told_when_a_forwarded_port_is_closed(gateway):
    # DNAT works, nobody listens: the client's own RST comes back translated.
    assert can_connect(gateway.server, WAN, 8080) == "refused"


def test_the_routers_own_errors_reach_the_client(gateway):
    gateway.server.ip("link set eth0 mtu 1400")
    gateway.router.ip("link set wan0 mtu 1400")
    gateway.echo(gateway.server, SERVER, 7)
    for first in b"small", None:  # of a flow that is there, of a new one
        with gateway.client.udp_socket(CLIENT) as sock:
            sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 3)  # PROBE
            sock.connect((SERVER, 7))
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            if first:
                sock.send(first)
                assert sock.recv(99) == first
            sock.send(b"x" * 1450)
            with pytest.raises(OSError) as raised:
                sock.recv(2000)
            assert raised.value.errno == errno.EMSGSIZE


def test_errors_from_beyond_are_translated_back(gateway):
    """A host behind the server is reached over a narrow link: the server's
    fragmentation-needed quotes the translated packet.
    """
    far = gateway.namespace("f")
    gateway.server.ip("link add far0 type veth peer name eth0 netns " +
                      far.name, "link set far0 up mtu 1300",
                      "addr add 203.0.113.1/24 dev far0")
    far.ip("link set eth0 up mtu 1300", "addr add 203.0.113.2/24 dev eth0",
           "route add default via 203.0.113.1")
    gateway.server.sysctl(net__ipv4__ip_forward=1)
    gateway.router.ip(f"route add 203.0.113.0/24 via {SERVER}")
    with gateway.client.udp_socket(CLIENT) as sock:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 3)  # PROBE
        sock.connect(("203.0.113.2", 7))
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        sock.send(b"x" * 1450)
        with pytest.raises(OSError) as raised:
            sock.recv(2000)
        assert raised.value.errno == errno.EMSGSIZE


def test_traceroute_sees_the_router(gateway):
    for addr, dst, level, option in (
            (CLIENT, SERVER, socket.IPPROTO_IP, socket.IP_TTL),
            (CLIENT6, SERVER6, socket.IPPROTO_IPV6,
             socket.IPV6_UNICAST_HOPS)):
        with gateway.client.udp_socket(addr) as sock:
            sock.connect((dst, 33434))
            sock.setsockopt(level, IP_RECVERR if level == 0 else IPV6_RECVERR,
                            1)
            sock.setsockopt(level, option, 1)
            sock.send(b"probe")
            with pytest.raises(OSError) as raised:
                sock.recv(99)
            assert raised.value.errno == errno.EHOSTUNREACH
