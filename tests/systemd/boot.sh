#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Run a command on a machine that is booted for it by a real systemd.
#
#   boot.sh PREPARE COMMAND [ARG]...
#
# The machine is a set of namespaces (pid, mount, net, ipc, uts, cgroup) over an
# overlay of /: it sees the host's files, what it writes is thrown away. The
# shell command PREPARE runs in the new root before systemd does. Then COMMAND
# runs in the booted machine; its exit status is the script's, or 125 if the
# machine did not come up. Nothing is left behind, also after a signal.
#
# It runs in three parts, each starting the next: `outside` makes a private
# mount namespace, `keeper` makes the cgroup, waits for the boot and cleans up,
# `machine` is process 1 of the new namespaces until systemd replaces it.
set -euo pipefail

fail()
{
	echo "boot.sh: $*" >&2
	exit 125
}

# --- machine: build the root from inside the new namespaces, become systemd ---

mount_api()
{
	local root=$1

	mount -t proc proc "$root/proc"
	# Only what belongs to the network namespace may be written.
	mount --bind "$root/proc/sys" "$root/proc/sys"
	mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
	mount -o remount,bind,ro "$root/proc/sys"
	mount -t sysfs -o ro sysfs "$root/sys"
	mount -t tmpfs tmpfs "$root/sys/fs"
	mkdir "$root/sys/fs/cgroup"
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	mount -t tmpfs -o mode=755 tmpfs "$root/run"
	mount -t tmpfs -o mode=755 tmpfs "$root/var/log"
	mount -t tmpfs -o mode=755 tmpfs "$root/dev"
	mkdir "$root/dev/shm" "$root/dev/pts"
	mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	for node in null zero full random urandom tty; do
		: > "$root/dev/$node"
		mount --bind "/dev/$node" "$root/dev/$node"
	done
}

# No unit of the host's: not its mounts, not its services, not its clock.
quieten()
{
	local root=$1 units=$1/etc/systemd/system unit

	: > "$root/etc/fstab"
	tr -d - < /proc/sys/kernel/random/uuid > "$root/etc/machine-id"
	rm -rf "$units"/*.wants "$units"/*.requires "$root"/etc/rc?.d
	for unit in systemd-{udevd,logind,timesyncd,networkd,resolved}.service \
		systemd-{sysctl,modules-load}.service console-getty.service \
		getty.target apt-daily{,-upgrade}.timer dpkg-db-backup.timer; do
		ln -sf /dev/null "$units/$unit"
	done
	mkdir -p "$root/etc/tmpfiles.d"
	ln -sf /dev/null "$root/etc/tmpfiles.d/tmp.conf" # /tmp stays as it is
}

machine()
{
	local scratch=$1 prepare=$2 root=$1/root
	local clean=(env -i LANG=C.UTF-8
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)

	mount -t overlay overlay \
		-o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" \
		"$root"
	mount_api "$root"
	quieten "$root"
	ip link set lo up
	mkdir "$root/run/host"
	cd "$root"
	pivot_root . run/host
	cd /
	umount -l /run/host
	rmdir /run/host
	"${clean[@]}" SYSTEMD_OFFLINE=1 sh -c "$prepare" >&2 ||
		fail "could not prepare: $prepare"
	# The clock, modules and raw devices are the host's.
	exec setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio \
		"${clean[@]}" container=boot-sh /lib/systemd/systemd \
		--unit=multi-user.target --show-status=no --log-target=journal
}

# --- keeper: start the machine, run the command in it, take it away -----------

scratch='' cgroup='' starter='' init=''

take_away()
{
	trap - EXIT
	trap '' INT TERM HUP
	# Killing process 1 of a pid namespace kills all of it.
	[ -z "$init" ] || kill -KILL "$init" 2>/dev/null || true
	[ -z "$starter" ] || kill -KILL "$starter" 2>/dev/null || true
	wait 2>/dev/null || true
	for _ in $(seq 100); do
		find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
		[ -d "$cgroup" ] || break
		sleep 0.05
	done
	umount -l "$scratch"
	rmdir "$scratch"
}

in_machine()
{
	nsenter --target "$init" --mount --uts --ipc --net --pid --cgroup -- "$@"
}

# Find the machine's process 1, then ask its systemd until it has booted.
await_boot()
{
	local deadline=$((SECONDS + 60)) state=none

	until [ "$state" = running ] || [ "$state" = degraded ]; do
		if [ ! -d "/proc/$starter" ] || [ $SECONDS -gt $deadline ]; then
			cat "$scratch/log" >&2
			fail "systemd did not come up (state: $state)"
		fi
		sleep 0.05
		if [ -z "$init" ]; then
			read -r init _ 2>/dev/null \
				< "/proc/$starter/task/$starter/children" || true
			continue
		fi
		[[ $(readlink "/proc/$init/exe") == */systemd ]] || continue
		state=$(in_machine systemctl is-system-running 2>/dev/null) ||
			true
	done
}

keeper()
{
	local prepare=$1 status=0
	shift

	scratch=$(mktemp -d /tmp/xct-boot.XXXXXX)
	trap take_away EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	mount -t tmpfs -o mode=755 tmpfs "$scratch"
	mkdir "$scratch"/{root,upper,work,cgroup}
	mount -t cgroup2 cgroup2 "$scratch/cgroup"
	cgroup=$scratch/cgroup/${scratch##*/}
	mkdir "$cgroup"

	(
		echo "$BASHPID" > "$cgroup/cgroup.procs"
		exec setpriv --pdeathsig KILL unshare --pid --mount --ipc --uts \
			--cgroup --net --fork --kill-child --propagation slave \
			bash "$0" --machine "$scratch" "$prepare"
	) > "$scratch/log" 2>&1 &
	starter=$!
	await_boot
	mkdir "$cgroup/command"
	(
		echo "$BASHPID" > "$cgroup/command/cgroup.procs"
		exec nsenter --target "$init" --mount --uts --ipc --net --pid \
			--cgroup -- "$@"
	) &
	wait $! || status=$?
	exit $status
}

case ${1-} in
--machine) machine "$2" "$3" ;;
--keeper)
	shift
	keeper "$@"
	;;
*)
	[ $# -ge 2 ] || fail "usage: boot.sh PREPARE COMMAND [ARG]..."
	[ "$(id -u)" = 0 ] || fail "must run as root"
	exec unshare --mount --propagation private \
		bash "$(realpath "$0")" --keeper "$@"
	;;
esac
