#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Run every unit test program given, also after one has failed.
set -u

export ASAN_OPTIONS=${ASAN_OPTIONS-detect_leaks=1:abort_on_error=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS-print_stacktrace=1}

failed=()
for program; do
	printf '%s\n' "--- ${program##*/}"
	"$program" 2>&1 || failed+=("${program##*/}")
done
if [ ${#failed[@]} -gt 0 ]; then
	echo "unit tests failed in: ${failed[*]}" >&2
	exit 1
fi
