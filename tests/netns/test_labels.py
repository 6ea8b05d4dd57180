# SPDX-License-Identifier: GPL-2.0-or-later
"""Connection labels: what they cost, what they outlive, and their names. What
conntrack(8) shows of them is compared in test_conntrack.py and test_events.py.
"""

import json
import os

from lab import CLIENT, LABELLED, SERVER, XCTCTL, ping, wait_for
from test_survive import take_over

PAGE = 4096
FLOWS = 65536
ABSENT = FLOWS * (16 + 64)  # labels, and what helpers know
POLICY = f"""settings: {{table-size: {FLOWS}}}
filter: {{forward: {{rules: [
  {{name: web, proto: udp, dport: 80, label: [3, 127]}}]}}}}
"""


def absent(xctd):
    """Bytes of the table's memory that the kernel has not had to find."""
    fds = f"/proc/{xctd.process.pid}/fd"
    table, = (fd for fd in os.listdir(fds)
              if "xct-flows" in os.readlink(f"{fds}/{fd}"))
    status = os.stat(f"{fds}/{table}")
    return status.st_size - status.st_blocks * 512


def labels(xctd, *filters):
    flows = json.loads(xctd.ctl("list", "-o", "json", *filters).stdout)
    return [flow["labels"] for flow in flows["flows"]]


def send(lab, dport):
    with lab.client.udp_socket(CLIENT, 5001) as sock:
        sock.sendto(b"x", (SERVER, dport))


def test_memory_is_taken_where_a_flow_has_labels(routed):
    xctd = routed.start_xctd(POLICY)
    whole = absent(xctd)
    assert ABSENT <= whole <= ABSENT + PAGE
    assert ping(routed.client, SERVER)
    send(routed, 81)
    wait_for(lambda: len(xctd.list()) == 2, "two flows")
    assert labels(xctd) == [[], []]
    xctd.ctl("update", "-s", CLIENT, "--label-del", check=False)
    xctd.ctl("delete", "-s", CLIENT)
    assert absent(xctd) == whole

    send(routed, 80)
    wait_for(lambda: labels(xctd) == [["3", "127"]], "a flow with labels")
    assert absent(xctd) == whole - 2 * PAGE  # drafted, and entered


def test_labels_outlive_xctd_and_the_table(routed):
    xctd = routed.start_xctd(POLICY)
    send(routed, 81)
    send(routed, 80)
    wait_for(lambda: len(xctd.list()) == 2, "two flows")
    take_over(routed, xctd)
    assert labels(xctd, "-p", "udp", "--dport", "80") == [["3", "127"]]
    snapshot = routed.dir / "flows"
    xctd.ctl("save", str(snapshot))
    xctd.ctl("flush")
    xctd.ctl("load", str(snapshot))
    assert sorted(labels(xctd)) == [[], ["3", "127"]]
    assert absent(xctd) < ABSENT


def test_rules_name_labels(routed):
    """Names are those of connlabel.conf, where xctd or xctctl runs."""
    def check(policy, *prefix):
        path = routed.dir / "labels.yaml"
        path.write_text(f"filter: {{forward: {{rules: [{policy}]}}}}\n")
        return routed.router.run(*prefix, XCTCTL, "check", str(path),
                                 check=False)
    for right in "{label: two words}", "{label: [first, 9, last]}":
        assert check(right, *LABELLED).returncode == 0
    for wrong, hint in (("frist", 'did you mean "first"?'),
                        ("over", "a number from 0 to 127, or a name")):
        done = check(f"{{label: {wrong}}}", *LABELLED)
        assert done.returncode and hint in done.stdout + done.stderr
    done = check("{label: first}")
    assert done.returncode
    assert "connlabel.conf cannot be read" in done.stdout + done.stderr

    xctd = routed.start_xctd(POLICY)
    send(routed, 80)
    wait_for(xctd.list, "the flow")
    done = routed.router.run(*LABELLED, XCTCTL, "-s", xctd.sock, "list", "-o",
                             "ndjson", "-l", "last")
    assert json.loads(done.stdout)["labels"] == ["3", "last"]
    assert "label: [3, 127]" in xctd.ctl("rules").stdout
