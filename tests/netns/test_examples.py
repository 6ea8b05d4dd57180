# SPDX-License-Identifier: GPL-2.0-or-later
"""Every policy that is shipped loads, and the default one locks nobody out. The
schema for editors knows what xctd knows."""

import json
import re
import subprocess
import textwrap

import pytest

from lab import ROOT, SERVER, SERVER6, WAN, XCTCTL, XCTD, can_connect, ping

SHIPPED = sorted([ROOT / "conf/rules.yaml",
                  *(ROOT / "conf/examples").glob("*.yaml")])


def test_there_are_examples():
    assert len(SHIPPED) >= 4


@pytest.mark.parametrize("path", SHIPPED,
                         ids=[str(p.relative_to(ROOT)) for p in SHIPPED])
def test_it_loads(path):
    for command in ([XCTD, "--check", "-c", path], [XCTCTL, "check", path]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in (done.stdout + done.stderr).lower()


def test_the_policy_in_the_readme_loads(tmp_path):
    text = (ROOT / "README.md").read_text()
    block = re.search(r"^( *)```yaml\n(.*?)^ *```", text, re.M | re.S)
    path = tmp_path / "rules.yaml"
    path.write_text(textwrap.dedent(block[2]))
    done = subprocess.run([XCTD, "--check", "-c", path], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr


TIMEOUTS = "properties settings properties timeouts"


@pytest.mark.parametrize("text, place", [
    ("KEY: 1", ""),
    ("zones: [{in: a, zone: 1, KEY: 1}]", "properties zones items"),
    ("nat: [{KEY: 1}]", "definitions nat-rule"),
    ("filter: {KEY: 1}", "properties filter"),
    ("filter: {input: {KEY: 1}}", "definitions chain"),
    ("filter: {input: {rules: [{KEY: 1}]}}", "definitions filter-rule"),
    ("settings: {KEY: 1}", "properties settings"),
    *((f"settings: {{{name}: {{KEY: 1}}}}",
       f"properties settings properties {name}")
      for name in ("tcp", "queue", "control")),
    ("settings: {timeouts: {KEY: 1}}", TIMEOUTS),
    *((f"settings: {{timeouts: {{{name}: {{KEY: 1}}}}}}",
       f"{TIMEOUTS} properties {name}") for name in ("tcp", "udp", "sctp",
                                                     "gre")),
])
def test_the_schema_has_the_keys_that_xctd_has(text, place):
    """xctd says which ones it expects where it finds one that it does not."""
    schema = json.loads((ROOT / "conf/rules.schema.json").read_text())
    for name in place.split():
        schema = schema[name]
    done = subprocess.run([XCTD, "--check", "-c", "-"], capture_output=True,
                          text=True, input=text.replace("KEY", "qqqqqqqq"))
    expected = re.search(r'unknown key "q+" in .*?; expected (.*)', done.stderr)
    assert set(expected[1].split(", ")) == set(schema["properties"])
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("path", SHIPPED,
                         ids=[str(p.relative_to(ROOT)) for p in SHIPPED])
def test_it_starts_and_stops(lab, path):
    xctd = lab.start_xctd(path.read_text())
    assert xctd.is_alive()
    xctd.stop()


def test_the_default_policy_accepts_and_tracks(routed):
    routed.start_xctd((ROOT / "conf/rules.yaml").read_text())
    assert ping(routed.client, SERVER) and ping(routed.client, SERVER6)
    with routed.router.listen(WAN, 22):
        assert can_connect(routed.server, WAN, 22) is True
    assert {e["proto"] for e in routed.xctd.list()} == {"icmp", "icmpv6", "tcp"}
