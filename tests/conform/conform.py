#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The same traffic through the kernel's connection tracking and through xctd:
what comes out, the classes and the tables must be the same.

Each packet is put into both routers and what leaves them is compared at once;
tables and classes are compared after every so many packets. If they differ, all
is played again from the start with a comparison after every packet, so that the
first packet after which they differ can be named.
"""

import argparse
import pathlib
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import entries  # noqa: E402 (routers.py puts it in reach)
import routers  # noqa: E402
import traffic  # noqa: E402
import wire  # noqa: E402
