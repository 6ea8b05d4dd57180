# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads lines in conntrack(8)'s format, from conntrack -L as from xctctl list.

A line becomes a dict: proto, proto_number, timeout, state (None where the
protocol has none), orig and reply (dicts with src, dst, sport, ... packets and
bytes where accounting is on), flags (a set), and the rest (mark, use ...) by
name.
"""

import re

_COUNTERS = ("packets", "bytes")
_TUPLE = ("src", "dst", "sport", "dport", "type", "code", "id", "srckey",
          "dstkey") + _COUNTERS


def parse_line(line):
    words = line.split()
    entry = {"proto": words[0], "proto_number": int(words[1]), "state": None,
             "orig": {}, "reply": {}, "flags": set()}
    rest = words[2:]
    if rest and rest[0].isdigit():
        entry["timeout"] = int(rest.pop(0))
    if rest and re.fullmatch(r"[A-Z][A-Z0-9_]+", rest[0]):
        entry["state"] = rest.pop(0)

    direction = None
    for word in rest:
        flag = re.fullmatch(r"\[([A-Z_]+)\]", word)
        if flag:
            entry["flags"].add(flag[1])
            continue
        key, _, value = word.partition("=")
        value = int(value) if value.isdigit() else value
        if key == "src":
            direction = "reply" if direction == "orig" else "orig"
        if direction and key in _TUPLE and key not in entry[direction]:
            entry[direction][key] = value
        else:
            entry[key] = value
    return entry


def parse(text):
    return [parse_line(line) for line in text.splitlines() if line.strip()]


def tuple_of(half):
    """The tuple of one direction, without its counters."""
    return tuple((k, v) for k, v in half.items() if k not in _COUNTERS)


def key(entry):
    """What is the same for two tables that hold the same connection."""
    return (entry["proto"], tuple_of(entry["orig"]))


def is_src_nat(entry):
    return (entry["orig"]["src"] != entry["reply"]["dst"] or
            entry["orig"].get("sport") != entry["reply"].get("dport"))
