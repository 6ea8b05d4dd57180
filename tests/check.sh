#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make check`: build with warnings as errors, unit tests under sanitizers,
# lint, integration tests. What needs root is skipped without, and said so.
set -eu
cd "$(dirname "$0")/.."

make=${MAKE:-make}
jobs=-j$(nproc)

step()
{
	printf '\n=== %s\n' "$*"
}

if [ "$(id -u)" = 0 ]; then
	step "packages"
	tests/deps.sh build demo test
	echo "all there"
fi
step "build, warnings are errors"
$make --no-print-directory "$jobs" WERROR=1 all
# From here on everything runs, also after something has failed.
failed=()
step "unit tests, under ASan and UBSan"
$make --no-print-directory "$jobs" WERROR=1 SAN=1 unit || failed+=(unit)
step "lint"
$make --no-print-directory WERROR=1 lint || failed+=(lint)
step "integration tests, in network namespaces"
if [ "$(id -u)" = 0 ]; then
	$make --no-print-directory WERROR=1 netns || failed+=(netns)
else
	echo "SKIPPED: tests/netns needs root, to make network namespaces" \
		"(sudo make check)"
fi
if [ ${#failed[@]} -gt 0 ]; then
	echo "make check: FAILED in: ${failed[*]}" >&2
	exit 1
fi
