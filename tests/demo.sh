#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make demo`: a gateway at work. Three network namespaces on this machine:
#
#     client 10.0.0.2 --- lan0 router wan0 --- 192.0.2.2 server
#            fd00:a::2         (xctd)          2001:db8:2::2
#
# Real programs talk through the router; then its rules and its table are shown
# and explained. The server has no route to the client's network: whatever
# comes back was translated. Needs root; leaves nothing behind.
set -eu
cd "$(dirname "$0")/.."

build=$PWD/build
id=xctdemo$$
client=$id-client router=$id-router server=$id-server
dir=$(mktemp -d /tmp/xct-demo.XXXXXX)
sock=$dir/xctd.sock
pids=()
xctd=''
failures=0

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
	bold=$'\e[1m' plain=$'\e[0m'
fi

title()
{
	printf '\n%s== %s%s\n' "$bold" "$*" "$plain"
}

clean_up()
{
	trap - EXIT
	trap '' INT TERM HUP
	if [ -n "$xctd" ]; then
		kill "$xctd" 2>/dev/null || true
		wait "$xctd" 2>/dev/null || true
	fi
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	for ns in "$client" "$router" "$server"; do
		ip netns del "$ns" 2>/dev/null || true
	done
	rm -rf "$dir"
}

in_ns()
{
	nsenter --net="/run/netns/$1" -- "${@:2}"
}

# background NAMESPACE COMMAND...: start it; its process id is in $started.
background()
{
	nsenter --net="/run/netns/$1" -- "${@:2}" > "$dir/log.$1" 2>&1 &
	started=$!
	pids+=("$started")
}

# await WHAT COMMAND...: until the command succeeds, for 10 seconds.
await()
{
	local what=$1 deadline=$((SECONDS + 10))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $deadline ]; then
			echo "gave up waiting for: $what" >&2
			cat "$dir"/log.* >&2
			exit 1
		fi
		sleep 0.05
	done
}

# step TEXT EXPECTED NAMESPACE COMMAND...: show the command and its answer,
# which must contain EXPECTED.
step()
{
	local text=$1 expected=$2 ns=$3 output
	shift 3
	printf '\n%s%s%s\n  %s$ %s\n' "$bold" "$text" "$plain" "${ns#*-}" "$*"
	if output=$(in_ns "$ns" "$@" 2>&1) &&
		[[ $output == *"$expected"* ]]; then
		printf '%s\n' "$output" | tail -n 4 | sed 's/^/    /'
		echo "  ok"
	else
		printf '%s\n' "$output" | sed 's/^/    /'
		echo "  FAILED (expected: $expected)"
		failures=$((failures + 1))
	fi
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

[ "$(id -u)" = 0 ] || {
	echo "demo: needs root, to make network namespaces: sudo make demo" >&2
	exit 1
}

# --- the network --------------------------------------------------------------

title "Three machines, as network namespaces: client - router - server"
for ns in "$client" "$router" "$server"; do
	ip netns add "$ns"
	in_ns "$ns" sysctl -qw net.ipv6.conf.default.accept_dad=0
	ip -n "$ns" link set lo up
done
ip -n "$router" link add lan0 type veth peer name eth0 netns "$client"
ip -n "$router" link add wan0 type veth peer name eth0 netns "$server"
in_ns "$router" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
address()
{
	ip -n "$1" link set "$2" up
	ip -n "$1" addr add "$3" dev "$2"
	ip -n "$1" addr add "$4" dev "$2" nodad
}
address "$router" lan0 10.0.0.1/24 fd00:a::1/64
address "$router" wan0 192.0.2.1/24 2001:db8:2::1/64
address "$client" eth0 10.0.0.2/24 fd00:a::2/64
address "$server" eth0 192.0.2.2/24 2001:db8:2::2/64
ip -n "$client" route add default via 10.0.0.1
ip -n "$client" route add default via fd00:a::1
echo "client 10.0.0.2, fd00:a::2   router 10.0.0.1 | 192.0.2.1   server 192.0.2.2, 2001:db8:2::2"

# --- the programs ---------------------------------------------------------------

title "The router's policy"
cat > "$dir/rules.yaml" <<'END'
interfaces:
  lan: [lan0]
  wan: [wan0]

nat:
  # Who goes out carries the router's own address.
  - {name: internet, out: wan, src: [10.0.0.0/8, "fd00::/8"], masquerade: yes}
  # Port 8080 of the router is port 80 of the server; for IPv6 too.
  - {name: website, proto: tcp, dst: 192.0.2.1, dport: 8080,
     dnat: "192.0.2.2:80"}
  - {name: website6, proto: tcp, dst: "2001:db8:2::1", dport: 8080,
     dnat: "[2001:db8:2::2]:80"}

filter:
  invalid: drop
  forward:
    default: drop
    rules:
      - {name: lan-out, in: lan, out: wan, accept: yes}
  input: {default: accept}
  output: {default: accept}

settings:
  accounting: yes
END
sed 's/^/    /' "$dir/rules.yaml"

mkdir "$dir/www"
chmod 755 "$dir" "$dir/www"
head -c 20000000 /dev/urandom > "$dir/www/file"
cat > "$dir/nginx.conf" <<END
daemon off; master_process off; user root;
pid $dir/nginx.pid; error_log $dir/nginx.log;
events { }
http {
	access_log off;
	client_body_temp_path $dir/t1; proxy_temp_path $dir/t2;
	fastcgi_temp_path $dir/t3; uwsgi_temp_path $dir/t4;
	scgi_temp_path $dir/t5;
	server {
		listen 192.0.2.2:80;
		listen [2001:db8:2::2]:80;
		root $dir/www;
		location = / {
			default_type text/plain;
			return 200 "Hello from nginx on \$server_addr port \$server_port: you are \$remote_addr\n";
		}
	}
}
END
background "$server" nginx -e "$dir/nginx.log" -c "$dir/nginx.conf"
background "$server" dnsmasq --no-daemon --conf-file=/dev/null --no-resolv \
	--no-hosts --user=root --pid-file --address=/www.example/192.0.2.2
await "nginx" in_ns "$server" curl -s -o /dev/null http://192.0.2.2/
await "dnsmasq" in_ns "$server" dig +tries=1 +time=1 @192.0.2.2 www.example

title "xctd starts on the router"
background "$router" "$build/xctd" -c "$dir/rules.yaml" -s "$sock"
xctd=$started
await "xctd" "$build/xctctl" -s "$sock" status
"$build/xctctl" -s "$sock" status

# --- the traffic -----------------------------------------------------------------

title "Real traffic through it"
sum=$(sha256sum < "$dir/www/file")
step "The client fetches a page through the port forward" "port 80: you are 192.0.2.1" \
	"$client" curl -sS --max-time 10 http://192.0.2.1:8080/
step "The same over IPv6" "port 80: you are 2001:db8:2::1" \
	"$client" curl -sS -g --max-time 10 "http://[2001:db8:2::1]:8080/"
step "DNS through masquerade" "192.0.2.2" \
	"$client" dig +short +tries=1 +time=5 @192.0.2.2 www.example
step "ping through masquerade" "3 received" \
	"$client" ping -c 3 -i 0.2 -W 2 192.0.2.2
step "ping over IPv6" "3 received" \
	"$client" ping -c 3 -i 0.2 -W 2 2001:db8:2::2
step "A download of 20 MB through masquerade: its hash" "$sum" \
	"$client" sh -c 'curl -sS --max-time 60 http://192.0.2.2/file | sha256sum'
step "The same over IPv6" "$sum" \
	"$client" sh -c 'curl -sS -g --max-time 60 "http://[2001:db8:2::2]/file" | sha256sum'
step "The server cannot reach into the LAN: the default of forward is drop" \
	"0 received" "$server" sh -c \
	'ip route add 10.0.0.0/24 via 192.0.2.1; ping -c 1 -W 1 10.0.0.2 || true'

# --- what xct says about it --------------------------------------------------------

title "The rules, and how many connections each has decided (xctctl rules)"
"$build/xctctl" -s "$sock" rules

title "The table of connections (xctctl list)"
"$build/xctctl" -s "$sock" list

title "What it means"
# explain DESCRIPTION OPTION...: the first entry that the options select.
explain()
{
	local text=$1 line
	shift
	line=$("$build/xctctl" -s "$sock" list "$@" 2>/dev/null | head -n 1)
	if [ -z "$line" ]; then
		echo "  FAILED: nothing listed for: $*"
		failures=$((failures + 1))
		return
	fi
	printf '\n  %s\n' "$line"
	printf '%s\n' "$text" | fmt -w 76 | sed 's/^/      /'
}
explain "The page through the port forward. The first src/dst pair is what the \
client sent: to port 8080 of the router. The second is what the answer looks \
like on the server's side: from port 80 of the server (the destination was \
translated), to the router (the source was translated too). TIME_WAIT: the \
connection is closed, its entry goes when the seconds in the third column \
have run down. [ASSURED]: traffic was seen both ways, so while it was open a \
full table would not have given it up for another." -p tcp -g -f ipv4
explain "A masqueraded download: the client asked 192.0.2.2, which answered \
192.0.2.1, the router. packets= and bytes= count each direction." \
	-p tcp -d 192.0.2.2
explain "The DNS query: UDP has no states. The entry lives for 30 seconds \
after the last packet, because a single question and its answer are no \
stream." -p udp
explain "The ping: an echo request (type 8) and the reply (type 0) it waits \
for, told apart from other pings by their id." -p icmp
explain "The same over IPv6, where the types are 128 and 129." -p icmpv6

title "The end: xctd stops, and takes its hooks with it"
kill "$xctd"
status=0
wait "$xctd" || status=$?
xctd=''
left=$({ in_ns "$router" iptables-save; in_ns "$router" ip6tables-save; } |
	grep -ci -e xct -e NFQUEUE || true)
echo "xctd: exit status $status; its rules left in iptables: $left"
if [ "$status" != 0 ] || [ "$left" != 0 ]; then
	failures=$((failures + 1))
fi

if [ "$failures" -gt 0 ]; then
	printf '\n%s step(s) FAILED\n' "$failures"
	exit 1
fi
printf '\nAll steps worked. Namespaces, processes and files of the demo are removed.\n'
