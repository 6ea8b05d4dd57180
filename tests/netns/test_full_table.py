# SPDX-License-Identifier: GPL-2.0-or-later
"""A table that gets full: it is said before, what is worth least goes first,
and what is ASSURED stays.
"""

import contextlib

from lab import CLIENT, SERVER, can_connect, connect, is_dropped, wait_for

MAX_FLOWS = 256
POLICY = f"settings: {{table-size: {MAX_FLOWS}}}\n"
ALARM, CALM = "the flow table is 90 % full", "at the most there were"


def open_connections(lab, stack, count, first):
    """TCP connections from ports @first on, as (ours, theirs)."""
    with lab.server.listen(SERVER, 7000) as listener:
        for port in range(first, first + count):
            ours = stack.enter_context(
                connect(lab.client, SERVER, 7000, CLIENT, port))
            theirs = stack.enter_context(listener.accept()[0])
            theirs.settimeout(5)
            yield ours, theirs


def still_work(pairs):
    for ours, theirs in pairs:
        ours.sendall(b"still here")
        assert theirs.recv(99) == b"still here"
        theirs.sendall(b"so am I")
        assert ours.recv(99) == b"so am I"


def flood(lab, count):
    """Datagrams that nobody answers, each from a port of its own."""
    lab.server.run("iptables", "-A", "OUTPUT", "-p", "icmp", "-j", "DROP")
    for port in range(20000, 20000 + count):
        with lab.client.udp_socket(CLIENT, port) as sock:
            sock.sendto(b"flood", (SERVER, 9))


def test_a_flood_takes_nothing_from_connections_and_is_said_in_time(routed):
    xctd = routed.start_xctd(POLICY)
    with contextlib.ExitStack() as stack:
        pairs = list(open_connections(routed, stack, 100, 30000))
        still_work(pairs)
        assert not xctd.json("status")["nearly_full"]
        flood(routed, 2 * MAX_FLOWS)
        wait_for(lambda: xctd.json("stats")["early_drop"] >= 356,
                 "the flood is through")
        # However fast it was: what the engine saw, not who looked then.
        wait_for(lambda: f"{ALARM}, 231 of {MAX_FLOWS} flows" in
                 xctd.messages(), "the alarm")
        status = xctd.json("status")
        assert status["nearly_full"] and status["peak_flows"] == MAX_FLOWS
        assert "nearly_full: yes" in xctd.ctl("status").stdout
        assert xctd.json("stats")["peak_flows"] == MAX_FLOWS
        # No connection was refused, none was lost.
        assert xctd.dropped("table-full") == 0
        still_work(pairs)
        assert len(xctd.list("-p", "tcp")) == 100
        # It is said once, and once more when it is over.
        xctd.ctl("delete", "-p", "udp")
        wait_for(lambda: CALM in xctd.messages(), "the end of the alarm")
        assert xctd.messages().count("the flow table is") == 2
        assert not xctd.json("status")["nearly_full"]


def test_a_table_full_of_connections_refuses_and_says_so(routed):
    xctd = routed.start_xctd(POLICY)
    with contextlib.ExitStack() as stack:
        pairs = list(open_connections(routed, stack, MAX_FLOWS, 30000))
        assert is_dropped(routed.client, SERVER, 7001)
        assert xctd.dropped("table-full") > 0
        wait_for(lambda: "flow table full, connection refused" in
                 xctd.messages(), "the refusal")
        still_work(pairs)
        # What is closing gives way.
        pairs[7][0].close()
        wait_for(lambda: xctd.list("-p", "tcp", "--state", "CLOSE_WAIT") or
                 xctd.list("-p", "tcp", "--state", "FIN_WAIT"), "a FIN")
        assert can_connect(routed.client, SERVER, 7001) == "refused"
        still_work(pairs[:7] + pairs[8:])
