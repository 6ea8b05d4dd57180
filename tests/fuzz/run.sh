#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make fuzz`: build each target with clang's libFuzzer and run it.
#
#   run.sh SECONDS FUZZ_SOURCE...
#
# What a run finds worth keeping stays in build/fuzz/corpus/; an input that
# breaks something is left in build/fuzz/ and named.
set -eu
cd "$(dirname "$0")/../.."

seconds=$1
shift
out=build/fuzz
flags=(-std=gnu11 -O1 -g -I. -D_GNU_SOURCE '-DXCT_VERSION="fuzz"' -pthread
	-fsanitize=fuzzer -fsanitize=address -fsanitize=undefined
	-fno-sanitize-recover=undefined)

command -v clang >/dev/null || {
	echo "fuzz: needs clang (apt-get install clang)" >&2
	exit 1
}
libs=$(pkg-config --libs libnetfilter_queue libmnl libnfnetlink yaml-0.1 \
	libsystemd jansson)
sources=(common/*.c daemon/engine/*.c daemon/engine/*/*.c)
for file in daemon/*.c; do
	[ "$file" = daemon/main.c ] || sources+=("$file")
done

mkdir -p "$out"
for target; do
	name=$(basename "$target" .c)
	echo "=== $name, $seconds s"
	mkdir -p "$out/corpus/$name"
	# shellcheck disable=SC2086 # the libraries are several words
	clang "${flags[@]}" -o "$out/$name" "$target" "${sources[@]}" $libs
	"$out/$name" -max_total_time="$seconds" -max_len=4096 \
		-artifact_prefix="$out/$name-" -print_final_stats=1 \
		"$out/corpus/$name" 2>&1 | tail -n 25
	[ "${PIPESTATUS[0]}" = 0 ] || exit 1
done
