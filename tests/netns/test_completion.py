# SPDX-License-Identifier: GPL-2.0-or-later
"""What shells offer behind xctctl is what xctctl takes."""

import os
import re
import subprocess

import pytest

from lab import ROOT, XCTCTL

DIRECTORY = os.path.join(ROOT, "ctl", "completion")


def complete(*words):
    """What bash offers for the last of @words."""
    script = (f"source '{DIRECTORY}/xctctl.bash'; COMP_WORDS=(xctctl \"$@\"); "
              "COMP_CWORD=$#; _xctctl; printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", script, "bash", *words],
                          capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def commands():
    text = subprocess.run([XCTCTL, "help"], capture_output=True, text=True,
                          check=True).stdout
    part = text.split("Commands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  ([a-z][a-z-]*)", part, re.MULTILINE)


def test_every_command_is_offered_by_every_shell():
    assert len(commands()) > 15
    assert set(complete("")) == {*commands(), "--socket"}
    for name in "_xctctl", "xctctl.fish":
        text = open(os.path.join(DIRECTORY, name)).read()
        for command in commands():
            assert re.search(rf"(a |'){command}\b", text), (name, command)


@pytest.mark.parametrize("command", ["list", "get", "delete", "update",
                                     "create", "-L", "-D"])
def test_every_option_that_is_offered_is_known(command):
    offered = complete(command, "--")
    assert len(offered) > 30
    for option in offered:
        done = subprocess.run([XCTCTL, "list", option], capture_output=True,
                              text=True)
        assert "unknown option" not in done.stderr, option


@pytest.mark.parametrize("words, expected", [
    (("li",), ["list"]),
    (("list", "-p", "s"), ["sctp"]),
    (("-L", "-p", "udp"), ["udp", "udplite"]),
    (("list", "--state", "TIME"), ["TIME_WAIT"]),
    (("list", "-u", "DYI"), ["DYING"]),
    (("list", "-f", ""), ["ipv4", "ipv6"]),
    (("stats", "-o", ""), ["json"]),
    (("list", "--ze"), ["--zero"]),
    (("delete", "--ze"), []),
    (("-s", "/run/sock", "cou"), ["count"]),
    (("hooks", ""), ["ipv4", "ipv6"]),
])
def test_bash_completes_the_word(words, expected):
    assert complete(*words) == expected
