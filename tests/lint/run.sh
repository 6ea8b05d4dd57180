#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make lint`: what can be checked without running anything. Every check runs,
# also after one has failed.
#
#   run.sh ENGINE_LIB
set -u
cd "$(dirname "$0")/../.." || exit

engine_lib=$1
python=${PYTHON:-/usr/bin/python3}
failed=()

# Only files that are, or could be, under version control.
files()
{
	find "${@:2}" -path ./build -prune -o -name "$1" -type f -print |
		sed 's|^\./||' | sort
}

have()
{
	command -v "$1" >/dev/null && return
	echo "  SKIPPED: $1 is not installed (make deps)"
	return 1
}

check()
{
	printf '  %-10s' "$1"
	local output
	if output=$("check_$1" 2>&1); then
		echo "ok"
	else
		echo "FAILED"
		failed+=("$1")
	fi
	[ -z "$output" ] || printf '%s\n' "$output"
}

check_format()
{
	have clang-format || return 0
	files '*.[ch]' . | xargs clang-format --style=file --dry-run -Werror \
		2>&1 | awk -F : '/error:/ && !seen[$1]++ {
			print $1 ":" $2 ": not laid out (make format)"; bad = 1
		} END { exit bad }'
}

# Suppressed: a pointer compared with one that may be NULL is taken for one that
# may itself be NULL; two variables that start alike are no mistake.
check_cppcheck()
{
	have cppcheck || return 0
	cppcheck --quiet --std=c11 --error-exitcode=1 -j "$(nproc)" \
		--enable=warning,portability --inline-suppr -I . -D_GNU_SOURCE \
		-DXCT_VERSION='"0"' "-Djson_object_foreach(o,k,v)=while ((k = json_k(o)) && (v = json_v(o)))" \
		"-Djson_array_foreach(o,k,v)=while ((k = json_i(o)) && (v = json_v(o)))" --suppress=missingInclude \
		--suppress=nullPointerRedundantCheck \
		--suppress=duplicateAssignExpression \
		common daemon ctl
}

check_includes()
{
	"$python" tests/lint/includes.py
}

# The engine may call nothing that is not in this list: no clock, no socket, no
# heap, no output.
check_symbols()
{
	have nm || return 0
	local allowed='(__)?(mem[a-z]+|str[a-z]+)(_chk)?|bsearch|__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_'
	local object undefined defined

	defined=$(nm --defined-only "$engine_lib" | awk 'NF == 3 { print $3 }' |
		sort -u)
	undefined=$(for object in daemon/engine/*.c daemon/engine/*/*.c; do
		nm -u "$(dirname "$engine_lib")/${object%.c}.o"
	done | awk '{ print $2 }' | sort -u | grep -vxE "$allowed" |
		grep -vxFf <(echo "$defined"))
	[ -z "$undefined" ] || {
		echo "the engine calls:" "$undefined"
		return 1
	}
}

check_spdx()
{
	local file bad=0

	while read -r file; do
		head -n 2 "$file" | grep -q \
			'SPDX-License-Identifier: GPL-2.0-or-later' || {
			echo "$file: no SPDX line"
			bad=1
		}
	done < <(files '*.[ch]' . && files '*.py' . && files '*.sh' . &&
		printf '%s\n' Makefile .ci/run)
	return $bad
}

check_manuals()
{
	have mandoc || return 0
	mandoc -Tlint -W warning docs/*.[58]
}

check_shell()
{
	have shellcheck || return 0
	files '*.sh' . | xargs shellcheck .ci/run
}

check_words()
{
	! grep -rnE "\b(TO""DO|FIX""ME|X""XX)\b" Makefile common daemon ctl \
		conf systemd tests docs README.md --include='*' \
		--exclude-dir=__pycache__
}

for each in format cppcheck includes symbols spdx manuals shell words; do
	check "$each"
done
[ ${#failed[@]} -eq 0 ] || {
	echo "lint failed: ${failed[*]}" >&2
	exit 1
}
