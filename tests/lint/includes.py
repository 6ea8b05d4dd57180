#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may include whom. A part of the tree may include itself and what is
listed for it; inside the engine, lower layers never include higher ones.
"""

import pathlib
import re
import sys

PARTS = {  # directory: directories it may include from
    "common": {"common"},
    "daemon/engine": {"common", "daemon/engine"},
    "daemon": {"common", "daemon/engine", "daemon"},
    "ctl": {"common", "ctl"},
    "tests": {"common", "daemon/engine", "daemon", "ctl", "tests"},
}

# The engine's layers, lowest first; what is not named is in the highest.
# Headers that several layers share for their types (the flow record, the
# operations of trackers) are in the lowest layer that needs them.
LAYERS = [
    {"csum", "pkt", "index", "flow", "l4.h", "rule"},
    {"edit", "l4", "l4.c", "seqadj", "helper"},
    {"table", "dead", "expire", "reply"},
    {"nat", "migrate", "expect"},
    {"engine"},
]

SYSTEM_OF_COMMON = {
    "arpa/inet.h", "assert.h", "ctype.h", "errno.h", "inttypes.h", "limits.h",
    "net/if.h", "netinet/in.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h",
    "stdlib.h", "string.h", "strings.h", "sys/socket.h", "endian.h",
    "fcntl.h", "sys/stat.h", "unistd.h",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def part_of(path):
    """The most specific part that @path, relative to the tree, is in."""
    parts = [p for p in PARTS if path.startswith(p + "/")]
    return max(parts, key=len, default=None)


def layer_of(path):
    """The engine's layer of @path, or None where it is not in the engine."""
    if not path.startswith("daemon/engine/"):
        return None
    name = path.removeprefix("daemon/engine/")
    stem = name.split("/")[0]
    for candidate in (stem, stem.rsplit(".", 1)[0]):
        for number, layer in enumerate(LAYERS):
            if candidate in layer:
                return number
    return len(LAYERS) - 1


def check(root, path):
    part = part_of(path)
    lines = (root / path).read_text().splitlines()
    for number, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        where, target = f"{path}:{number}", found[2]
        if found[1] == "<":
            if part == "common" and target not in SYSTEM_OF_COMMON:
                yield f"{where}: common/ is libc only, not <{target}>"
            continue
        if not (root / target).exists():
            yield f"{where}: no {target} (includes start at the tree's root)"
            continue
        if part_of(target) not in PARTS[part]:
            yield f"{where}: {part}/ must not include {target}"
        mine, theirs = layer_of(path), layer_of(target)
        if mine is not None and theirs is not None and theirs > mine:
            yield f"{where}: {target} is in a higher layer of the engine"


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    bad = 0
    for part in ("common", "daemon", "ctl", "tests"):
        for path in sorted((root / part).rglob("*.[ch]")):
            for message in check(root, str(path.relative_to(root))):
                print(message)
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
