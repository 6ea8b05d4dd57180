# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for xctctl(8)

_xctctl() {
	local cur prev word command='' i
	local commands='list get count delete create add update events
		load-entries save load flush stats rules check reload hooks
		status version help'
	local filters='--src --dst --reply-src --reply-dst --proto --family
		--status --mark --src-nat --dst-nat --any-nat --output --zone
		--id --mask-src --mask-dst --sport --dport --reply-port-src
		--reply-port-dst --state --icmp-type --icmp-code --icmp-id
		--icmpv6-type --icmpv6-code --icmpv6-id --srckey --dstkey
		--reply-key-src --reply-key-dst --orig-zone --reply-zone
		--label --socket'
	local changes='--timeout --orig-vtag --reply-vtag --label-add --label-del'

	cur=${COMP_WORDS[COMP_CWORD]}
	prev=${COMP_WORDS[COMP_CWORD-1]}
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-L | -D | -G | -E | -I | -A | -U | -R | -C | -F | -S | --dump | \
			--delete | --get | --event | --create | --add | --update | \
			--load-file | --count | --flush | --stats)
			command=${word##*-}
			break
			;;
		-s | --socket) ((i++)) ;;
		-*) ;;
		*)
			command=$word
			break
			;;
		esac
	done

	case $prev in
	--socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-s)
		[[ -n $command ]] ||
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-p | --proto | --protonum)
		mapfile -t COMPREPLY < <(compgen -W 'tcp udp udplite icmp
			icmpv6 sctp dccp gre' -- "$cur")
		return
		;;
	-f | --family)
		mapfile -t COMPREPLY < <(compgen -W 'ipv4 ipv6' -- "$cur")
		return
		;;
	-o | --output)
		case $command in
		stats | rules | status | S)
			mapfile -t COMPREPLY < <(compgen -W 'json' -- "$cur")
			;;
		events | E | event)
			mapfile -t COMPREPLY < <(compgen -W 'plain extended id
				ktimestamp timestamp seq labels save xml json ndjson' \
				-- "$cur")
			;;
		*)
			mapfile -t COMPREPLY < <(compgen -W 'plain extended id
				ktimestamp labels save xml json ndjson' -- "$cur")
			;;
		esac
		return
		;;
	-e | --event-mask)
		mapfile -t COMPREPLY < <(compgen -W 'ALL NEW UPDATES DESTROY' \
			-- "$cur")
		return
		;;
	-u | --status)
		mapfile -t COMPREPLY < <(compgen -W 'ASSURED SEEN_REPLY
			UNREPLIED EXPECTED CONFIRMED SRC_NAT DST_NAT DYING
			FIXED_TIMEOUT' -- "$cur")
		return
		;;
	--state)
		mapfile -t COMPREPLY < <(compgen -W 'SYN_SENT SYN_RECV
			ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT
			CLOSE SYN_SENT2 CLOSED COOKIE_WAIT COOKIE_ECHOED
			SHUTDOWN_SENT SHUTDOWN_RECD SHUTDOWN_ACK_SENT
			HEARTBEAT_SENT' -- "$cur")
		return
		;;
	esac

	case $command in
	'')
		mapfile -t COMPREPLY < <(compgen -W "$commands --socket" \
			-- "$cur")
		;;
	list | L | dump)
		mapfile -t COMPREPLY < <(compgen -W "$filters --zero expect" -- "$cur")
		;;
	events | E | event)
		mapfile -t COMPREPLY < <(compgen -W "$filters --event-mask
			expect" -- "$cur")
		;;
	get | delete | G | D)
		mapfile -t COMPREPLY < <(compgen -W "$filters expect" -- "$cur")
		;;
	count | flush | C | F)
		mapfile -t COMPREPLY < <(compgen -W 'expect --socket' -- "$cur")
		;;
	stats | rules | status | S)
		mapfile -t COMPREPLY < <(compgen -W '--output --socket' \
			-- "$cur")
		;;
	create | add | update | I | A | U)
		mapfile -t COMPREPLY < <(compgen -W "$filters $changes" \
			-- "$cur")
		;;
	hooks)
		mapfile -t COMPREPLY < <(compgen -W 'ipv4 ipv6' -- "$cur")
		;;
	check | load-entries | save | load | R | file)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	esac
}

complete -o filenames -F _xctctl xctctl
