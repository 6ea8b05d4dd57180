#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Install the Debian packages that are missing, as root; else name them.
#
#   deps.sh GROUP...     groups: build, demo (run time of the demo), test, bench,
#                        compare (what else `make bench` can measure)
set -eu

declare -A packages=(
	[build]="gcc make pkg-config libc6-dev libnetfilter-queue-dev
		libmnl-dev libnfnetlink-dev libyaml-dev libsystemd-dev
		libjansson-dev"
	[demo]="iptables iproute2 procps nginx-light curl dnsmasq-base dnsutils
		iputils-ping util-linux python3"
	[test]="libcmocka-dev binutils git iptables iproute2 procps util-linux
		conntrack python3 python3-pytest python3-scapy nginx-light curl
		dnsmasq-base dnsutils iputils-ping iputils-tracepath iperf3
		ethtool nftables nmap stun-client stun-server traceroute vsftpd systemd
		mandoc clang-format cppcheck shellcheck"
	[bench]="iptables iproute2 iputils-ping util-linux conntrack python3 git"
	[compare]="ethtool"
)
# Only where the configured releases have them: bookworm has suricata in its
# backports.
declare -A optional=([compare]="openvswitch-switch suricata")

# Several packages can bring the same program: any nginx will do.
provided()
{
	case $1 in
	nginx-light) command -v nginx ;;
	dnsutils) command -v dig ;;
	*) dpkg-query -W -f '${Status}' "$1" 2>/dev/null |
		grep -x 'install ok installed' ;;
	esac >/dev/null
}

wanted=()
for group; do
	if [ -z "${packages[$group]-}" ]; then
		echo "deps.sh: no such group: $group" >&2
		exit 2
	fi
	for package in ${packages[$group]}; do
		provided "$package" || wanted+=("$package")
	done
	for package in ${optional[$group]-}; do
		if ! provided "$package" && apt-cache show "$package" \
			>/dev/null 2>&1; then
			wanted+=("$package")
		fi
	done
done
[ ${#wanted[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "deps.sh: not a Debian system; please install the equivalent of:" >&2
	echo "  ${wanted[*]}" >&2
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "These packages are missing; as root:" >&2
	echo "  apt-get install ${wanted[*]}" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y --no-install-recommends "${wanted[@]}"
