# SPDX-License-Identifier: GPL-2.0-or-later
# fish completion for xctctl(8)

set -l commands list get count delete create add update events load-entries save load flush stats rules \
    check reload hooks status version help
set -l none "not __fish_seen_subcommand_from $commands"
set -l flows "__fish_seen_subcommand_from list get delete create add update events"
set -l changes "__fish_seen_subcommand_from create add update"
set -l reports "__fish_seen_subcommand_from stats rules status"
set -l outputs "plain extended id ktimestamp labels save xml json ndjson"

complete -c xctctl -f
complete -c xctctl -l socket -r -F -d 'Control socket'
complete -c xctctl -n $none -s s -r -F -d 'Control socket'
complete -c xctctl -n $none -a list -d 'Show flows'
complete -c xctctl -n $none -a get -d 'Show one flow'
complete -c xctctl -n $none -a count -d 'Print the number of flows'
complete -c xctctl -n $none -a delete -d 'End flows'
complete -c xctctl -n $none -a create -d 'Make a flow'
complete -c xctctl -n $none -a add -d 'Make a flow unless it is there'
complete -c xctctl -n $none -a update -d 'Change flows'
complete -c xctctl -n $none -a events -d 'Follow flows as they begin, change, end'
complete -c xctctl -n $none -a load-entries -d 'Run what list -o save wrote'
complete -c xctctl -n $none -a save -d 'Write a snapshot'
complete -c xctctl -n $none -a load -d 'Load a snapshot'
complete -c xctctl -n $none -a flush -d 'End all flows'
complete -c xctctl -n $none -a stats -d 'Show counters'
complete -c xctctl -n $none -a rules -d 'Show rules and their hits'
complete -c xctctl -n $none -a check -d 'Look for errors in a configuration'
complete -c xctctl -n $none -a reload -d 'Load the configuration again'
complete -c xctctl -n $none -a hooks -d 'Show what iptables-restore is given'
complete -c xctctl -n $none -a status -d 'Show the state of the daemon'
complete -c xctctl -n $none -a version -d 'Print versions'
complete -c xctctl -n $none -a help -d 'Print a summary'

complete -c xctctl -n '__fish_seen_subcommand_from list get delete events count flush' \
    -a expect -d 'Connections that are expected'
complete -c xctctl -n '__fish_seen_subcommand_from hooks' -a 'ipv4 ipv6' \
    -d 'Of that family only'
complete -c xctctl -n '__fish_seen_subcommand_from check load-entries save load' -F
complete -c xctctl -n '__fish_seen_subcommand_from list' -s z -l zero \
    -d 'Zero counters'
complete -c xctctl -n $changes -s t -l timeout -x -d 'Timeout in seconds'
complete -c xctctl -n $changes -l orig-vtag -x -d 'Original SCTP tag'
complete -c xctctl -n $changes -l reply-vtag -x -d 'Reply SCTP tag'
complete -c xctctl -n $changes -l label-add -x -d 'Labels to add'
complete -c xctctl -n $changes -l label-del -d 'Labels to delete, or all'
complete -c xctctl -n '__fish_seen_subcommand_from events' -s e -l event-mask -x \
    -a 'ALL NEW UPDATES DESTROY' -d 'Events'
complete -c xctctl -n '__fish_seen_subcommand_from events' -s o -l output -x \
    -a 'timestamp seq' -d 'Output format'
complete -c xctctl -n $reports -s o -l output -x -a json -d 'Output format'

complete -c xctctl -n $flows -s s -l src -x -d 'Original source'
complete -c xctctl -n $flows -s d -l dst -x -d 'Original destination'
complete -c xctctl -n $flows -s r -l reply-src -x -d 'Reply source'
complete -c xctctl -n $flows -s q -l reply-dst -x -d 'Reply destination'
complete -c xctctl -n $flows -s p -l proto -x -d Protocol \
    -a 'tcp udp udplite icmp icmpv6 sctp dccp gre'
complete -c xctctl -n $flows -s f -l family -x -a 'ipv4 ipv6' \
    -d 'Address family'
complete -c xctctl -n $flows -s u -l status -x -d Status \
    -a 'ASSURED SEEN_REPLY UNREPLIED EXPECTED CONFIRMED SRC_NAT DST_NAT DYING FIXED_TIMEOUT'
complete -c xctctl -n $flows -s m -l mark -x -d 'Mark, or mark/mask'
complete -c xctctl -n $flows -s n -l src-nat -d 'Source translated'
complete -c xctctl -n $flows -s g -l dst-nat -d 'Destination translated'
complete -c xctctl -n $flows -s j -l any-nat -d 'Either translated'
complete -c xctctl -n $flows -s w -l zone -x -d 'Tracking zone'
complete -c xctctl -n $flows -l orig-zone -x -d 'Zone of the original alone'
complete -c xctctl -n $flows -l reply-zone -x -d 'Zone of the reply alone'
complete -c xctctl -n $flows -l srckey -x -d 'Original GRE source key'
complete -c xctctl -n $flows -l dstkey -x -d 'Original GRE destination key'
complete -c xctctl -n $flows -l reply-key-src -x -d 'Reply GRE source key'
complete -c xctctl -n $flows -l reply-key-dst -x -d 'Reply GRE destination key'
complete -c xctctl -n $flows -s i -l id -x -d 'Flow id'
complete -c xctctl -n $flows -s l -l label -x -d 'Labels'
complete -c xctctl -n $flows -s o -l output -x -a $outputs -d 'Output format'
complete -c xctctl -n $flows -l mask-src -x -d 'Netmask of --src'
complete -c xctctl -n $flows -l mask-dst -x -d 'Netmask of --dst'
complete -c xctctl -n $flows -l sport -x -d 'Original source port'
complete -c xctctl -n $flows -l dport -x -d 'Original destination port'
complete -c xctctl -n $flows -l reply-port-src -x -d 'Reply source port'
complete -c xctctl -n $flows -l reply-port-dst -x -d 'Reply destination port'
complete -c xctctl -n $flows -l state -x -d 'TCP or SCTP state' \
    -a 'SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE SYN_SENT2 CLOSED COOKIE_WAIT COOKIE_ECHOED SHUTDOWN_SENT SHUTDOWN_RECD SHUTDOWN_ACK_SENT HEARTBEAT_SENT'
complete -c xctctl -n $flows -l icmp-type -x -d 'ICMP type'
complete -c xctctl -n $flows -l icmp-code -x -d 'ICMP code'
complete -c xctctl -n $flows -l icmp-id -x -d 'ICMP id'
complete -c xctctl -n $flows -l icmpv6-type -x -d 'ICMPv6 type'
complete -c xctctl -n $flows -l icmpv6-code -x -d 'ICMPv6 code'
complete -c xctctl -n $flows -l icmpv6-id -x -d 'ICMPv6 id'
