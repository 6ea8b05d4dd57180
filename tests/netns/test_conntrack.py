# SPDX-License-Identifier: GPL-2.0-or-later
"""Each option of conntrack(8), with each command it may be given to, beside the
kernel's own table.

A row that is a string has conntrack's output on both streams and its exit code.
A row (command, SENSE) has its output and exit code, and says why in words of
its own. A row (command, code, lines, words) differs on purpose, as xctctl(8)
says under COMPATIBILITY: its exit code, how many lines it prints, and what
standard error has in it.
"""

import shlex

import pytest

import entries
from lab import LABELLED, SERVER, XCTCTL, ping
from test_entries import CREATED, TCP, UDP, T, Pair, normal

SENSE = "conntrack's result in other words"
A = f"{T} -p udp --sport 12 --dport 20"
R = "-r 2.2.2.2 -q 1.1.1.1"

LISTED = [
    # tables
    "-L conntrack", "-L c", "-L expect", "-L exp", "-L dying", "-L d",
    "-L unconfirmed", "-L u", "-L expect -o xml", "-L expect -o id,extended",
    "-L expect -o save", "-L expect -f ipv6", "-L dying -p tcp",
    "-L unconfirmed -o xml", "-L dying -z", "-L foo", "-L expect -p tcp",
    "-L expect -s 1.1.1.1", "-L expect -z", "-C conntrack", "-C expect",
    "-C dying", "-C foo", "-C expect -p tcp", "-C -o xml", "-C -z", "-C -p tcp",
    "-G dying", "-U dying", "-D unconfirmed", "-I unconfirmed", "-F dying",
    "-S dying", "-S foo", "-U expect", "-A expect",
    "-F expect", "-F expect -p tcp", "-F foo", "-F -z", "-F -s 1.1.1.1",
    f"-G expect {T} -p 50", f"-D expect {T} -p 50",
    ("-G expect", SENSE), ("-G expect -s 1.1.1.1", SENSE),
    ("-D expect", SENSE), ("-I expect", SENSE),
    ("-D expect --tuple-src 1.1.1.1 --tuple-dst 2.2.2.2", SENSE),
    ("-S expect", 0, 1, ""),

    # protocols and their fields
    "-L -p tcp --tuple-port-src 5", "-D -p gre --mask-key-dst 5",
    "-L -a 1.1.1.1 -p tcp", "-C --nat-range 1.1.1.1", "-S -a",
    "-L -p tcp", "-L -p TCP", "-L -p 6", "-L -p 50", "-L -p ip", "-L -p 300",
    "-L -p -1", "-L -p ''", "-L -p nonsense", "-L -p sctp", "-L -p udplite",
    "-L -p tcp --state ESTABLISHED", "-L -p tcp --state NONE",
    "-L -p tcp --state SYN_SENT2", "-L -p tcp --state LISTEN",
    "-L -p tcp --state FOO", "-L -p sctp --state COOKIE_WAIT",
    "-L -p sctp --orig-vtag 16", "-L -p tcp --sport 10",
    "-L -p tcp --dport 20", "-L -p tcp --orig-port-src 10",
    "-L -p tcp --reply-port-src 20", "-L -p udp --reply-port-dst 700",
    "-L -p udplite --sport 1", "-L -p sctp --dport 2",
    "-L -p icmp --icmp-type 8", "-L -p icmp --icmp-code 0 --icmp-id 77",
    "-L -p icmp --icmp-type 9", "-L -p icmpv6 --icmpv6-type 128",
    "-L -p icmpv6 --icmpv6-id 9", "-L -p gre", "-L -p dccp",
    "-L -p dccp --sport 1", "-L -p dccp --state OPEN",
    "-L -p dccp --state LISTEN", "-L -p dccp --role client",
    ("-L -p udp --state ESTABLISHED", SENSE), ("-L --sport 10", SENSE),
    ("-L -p 50 --sport 10", SENSE), ("-L -p udp --icmp-type 8", SENSE),
    ("-L -p tcp --srckey 8", SENSE),
    ("-L -p tcp --state established", 0, 1, "1 flow"),
    ("-L -p tcp --sport http", 2, 0, "Invalid port"),
    ("-L -p tcp --sport 70000", 2, 0, "Invalid port"),
    ("-L -p tcp --sport 0x0a", 0, 1, "1 flow"),
    ("-L -p icmp --icmp-type echo", 2, 0, "Invalid ICMP type"),
    ("-L --sport 10 -p tcp", 0, 1, "1 flow"),
    ("-L -p gre --srckey 77", 0, 1, "1 flow"),
    ("-L -p gre --reply-key-src 16", 0, 1, "1 flow"),
    ("-L -p gre --dstkey x", 2, 0, "Invalid"),

    # addresses
    "-L -s 1.1.1.1", "-L --src 1.1.1.1", "-L --orig-src 1.1.1.0/24",
    "-L -d 2.2.2.2", "-L -r 9.9.9.9", "-L --reply-src 2.2.2.2",
    "-L -q 8.8.8.8", "-L -s 1::/16", "-L -s 1.1.1.1 -d ::1",
    "-L -s 1.1.1.1 -f ipv6", "-L -f ipv6 -s 1.1.1.1", "-L -f ipv6",
    "-L -f ipv4 -p tcp", "-L -f inet", "-L -f IPV4", "-L -f ''", "-L -s ''",
    "-L -d ''", "-L -r ''", "-L -s localhost", "-L -s 1.1.1.1/0",
    "-L -s 1.1.1.0 --mask-src 255.255.255.0",
    "-L -s 1.1.77.1 --mask-src 255.255.0.255",
    "-L -d 2.2.2.77 --mask-dst 255.255.255.0",
    "-L -s 1.1.1.1/24 --mask-src 255.255.0.0", "-L --mask-src 255.0.0.0",
    "-L --mask-dst 255.0.0.0", "-L -s 1.1.1.1 --mask-src ffff::",
    "-L -s 1.1.1.1 --mask-src 300.0.0.1", "-L --tuple-src 1.1.1.1",
    "-L --tuple-dst 1.1.1.1",
    ("-L -s 1.1.1.1/33", SENSE), ("-L -s ::1/129", SENSE),
    ("-L -s 1.1.1.1/x", SENSE),
    ("-L -s 1.1.1.1/", 2, 0, "Invalid IP address"),
    ("-L -s 1.1.1", 2, 0, "Invalid IP address"),
    ("-L -r 2.2.2.0/24 -p tcp", 0, 4, "4 flow"),

    # translation; a bare -n has pings of its own, see xctctl(8)
    "-L -n -p udp", "-L --src-nat -p tcp", "-L -g -p udp", "-L -j -p udp",
    "-L -n -g -p udp", "-L -n 9.9.9.9", "-L -n 9.9.9.9:700",
    "-L -n 9.9.9.9:701", "-L -g 9.9.9.9:700", "-L -j 9.9.9.9",
    "-L -j 9.9.9.9:700", "-L --dst-nat 9.9.9.9", "-L --any-nat 8.8.8.8",
    "-L -n 8.8.8.8 -g 9.9.9.9", "-L -j -n", "-L -j -g", "-L -n 300.1.1.1",
    "-L -n x", "-L -j x", "-L -n 9.9.9.9:x", "-D -n 7.7.7.7", "-D -g 7.7.7.7",
    ("-L -n 9.9.9.9:", SENSE),
    ("-L -n 3::3", 0, 1, "1 flow"), ("-L -n [3::3]", 0, 1, "1 flow"),
    ("-L -n 9.9.9.0/24 -p gre", 0, 1, "1 flow"),
    ("-L --src-nat=8.8.8.8 -p tcp", 0, 1, "1 flow"),
    ("-D -j 7.7.7.7", 1, 0, "0 flow"), ("-U -j 7.7.7.7 -m 1", 1, 0, "0 flow"),

    # mark, status, zone, id, labels, security marks
    "-L -m 5", "-L -m 0x5", "-L -m 05", "-L --mark 1/1", "-L -m 0/0",
    "-L -u ASSURED", "-L -u assured", "-L -u ASSURED,SEEN_REPLY", "-L -u FOO",
    "-L -u ''", "-L -u ASSURED,", "-L -u !ASSURED", "-L -u FIXED_TIMEOUT",
    "-L -u EXPECTED", "-L -u OFFLOAD", "-L -u HW_OFFLOAD", "-L -u hw_offload",
    "-L -w 4", "-L --zone 0x4", "-L --orig-zone 4", "-L --reply-zone 4",
    "-L -w 9", "-L -c 5", "-L --secmark 5", "-D -c 5", "-U -c 5", "-D -z",
    "-D --label-add", "-L -t 5",
    ("-L -l foo", SENSE), ("-D -l foo", SENSE), ("-U -l foo -m 4", SENSE),
    (f"-I {UDP} --sport 77 --label-add foo", SENSE),
    (f"-I {UDP} --sport 77 --label-del", SENSE),
    ("-U -s 1.1.1.1 --label-del", SENSE),
    ("-L -c x", 2, 0, "Invalid secmark"),
    ("-L -m ''", 2, 0, "Invalid mark"), ("-L -m 5/", 2, 0, "Invalid mark"),
    ("-L -m -1", 2, 0, "Invalid mark"),
    ("-L -m 4294967296", 2, 0, "Invalid mark"),
    ("-L -w 70000", 2, 0, "Invalid zone"), ("-L -w x", 2, 0, "Invalid zone"),
    ("-L -i 1", 0, 1, "1 flow"), ("-L -u UNSET -p sctp", 0, 1, "1 flow"),
    ("-L -t x", SENSE), ("-D -t 5", 2, 0, "Illegal option `--timeout'"),

    # output
    "-L -o extended", "-L -o id", "-L -o xml -p tcp", "-L -o XML -p tcp",
    "-L -o xml,extended -p tcp", "-L -o save", "-L -o save,id", "-L -o",
    "-L -o timestamp", "-L -o ktimestamp", "-L -o userspace,extended",
    "-L -z", "-z -L", "-L -z -o id", "-L -z -f ipv6", "-L -z -p udp",
    "-L -z -s 1.1.1.1", "-L -z -m 5", "-L -z -w 0", "-L -z -c 1",
    ("-L -o labels", SENSE), ("-L -o id,labels", SENSE), ("-L -o ''", SENSE),
    ("-L -o foo", SENSE), ("-L -z -n", 2, 0, "Can't use -z with filtering"),

    # get
    f"-G {T} -p tcp --sport 10 --dport 20",
    f"-G {T} -p tcp --sport 10 --dport 20 -o id",
    f"-G {T} -p tcp --sport 10 --dport 20 -o save",
    f"-G {T} -p tcp --sport 10 --dport 21",
    f"-G {T} -p tcp --sport 10 --dport 20 -m 5",
    f"-G {T} -p tcp --sport 10 --dport 20 -u ASSURED",
    f"-G {T} -p tcp --sport 10 --dport 20 -n",
    f"-G {T} -p tcp --sport 10 --dport 20 -z",
    f"-G {T} -p tcp --sport 10 --dport 20 -t 5",
    f"-G {T} -p tcp --sport 10 --dport 20 -c 4",
    f"-G {T} -p tcp --sport 10 --dport 20 --state SYN_SENT",
    f"-G {T} -p udp --sport 15 --dport 20", f"-G {T} -p udp --sport 12",
    f"-G {T} -p udp", f"-G {T}", "-G -p udp", "-G",
    f"-G {T} -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 77",
    f"-G {T} -p icmp --icmp-type 8 --icmp-code 0", f"-G {T} -p icmp",
    f"-G {T} -p icmp --icmp-type 8", f"-G {T} -p 50",
    f"-G {T} -p sctp --sport 1 --dport 2",
    f"-G {T} -p sctp --sport 1 --dport 2 --orig-vtag 17",
    f"-G {T} -p udplite --sport 1 --dport 2",
    f"-G {T} -p gre --srckey 77 --dstkey 16", f"-G {T} -p gre --srckey 77",
    f"-G {T} -p dccp", "-G -s 1::1 -d 2::2 -p udp --sport 17 --dport 20",
    "-G -s ::1 -d ::2 -p icmpv6 --icmpv6-type 128 --icmpv6-code 0 "
    "--icmpv6-id 9",
    ("-G -s 1.1.1.0/24 -d 2.2.2.2 -p tcp --sport 10 --dport 20", SENSE),
    (f"-G {T} -p dccp --sport 1 --dport 2", SENSE),
    (f"-G {T} -p udp --sport 15 --dport 20 -w 4", 0, 1, "1 flow"),
    (f"-G {T} -p tcp --sport 10 --dport 20 -f ipv4", 0, 1, "1 flow"),
    (f"-G {T} -p tcp --sport 10 --dport 20 --orig-zone 0", 0, 1, "1 flow"),
    # It is there, but another: as conntrack says it.
    (f"-G {T} -p tcp --sport 10 --dport 20 --state CLOSE", 1, 0, "0 flow"),
    (f"-G {T} -p tcp --sport 10 --dport 21 --state CLOSE", 1, 0, "exist"),
    (f"-G {T} -p tcp --sport 10 --dport 20 -r 9.9.9.9", 1, 0, "0 flow"),
    ("-G -r 2.2.2.2 -q 9.9.9.9 -p udp --reply-port-src 20 "
     "--reply-port-dst 700", 0, 1, "1 flow"),

    # commands
    "-L -L", "-L -D", "-C", "-R /dev/null",
    ("-R /dev/null -p tcp", 2, 0, "Illegal option"),
    ("-S", 0, 1, ""), ("-S conntrack", 0, 1, ""), ("-R", SENSE),
    ("-R /nonexistent", SENSE), ("-Q", SENSE), ("--nonsense", SENSE),
    ("-p tcp", SENSE), ("-L --id", 2, 0, "requires an argument"),
    ("-L -p tcp extra", 2, 0, "unexpected argument"),
    ("-Lp tcp", 2, 0, "no command"),
]

# These change the table; after each, both are compared and filled anew.
MADE = [
    f"-I {UDP} --sport 70 -u HW_OFFLOAD", f"-I {UDP} --sport 70 -u UNREPLIED",
    f"-I conntrack {UDP} --sport 70", f"-I {UDP} --sport 70 -g 9.9.9.9 -n",
    f"-I {UDP} --sport 70 -r 2.2.2.2 -q 1.1.1.1 --reply-port-src 20 "
    "--reply-port-dst 70", f"-I {T} -p igmp -t 500", f"-I {T} -p 0 -t 500",
    f"-I {T} -p 255 -t 500", f"-I {UDP} --sport 70 --tuple-src 1.1.1.1",
    f"-I {UDP} --sport 70 -z", f"-I {UDP} --sport 70 -c 5",
    f"-I {T} -p udp --sport 70 --dport 2", f"-I {UDP} --sport 70 --helper ftp",
    f"-I {T} -p dccp --sport 1 --dport 2 -t 500 --state OPEN --role client",
    f"-I {T} -p dccp --sport 1 --dport 2 -t 500 --state FOO --role client",
    f"-I {T} -p dccp --sport 1 --dport 2 -t 500 --state OPEN --role x",
    "-I -s 1::1 -d 2::2 -p icmp --icmp-type 8 --icmp-code 0 -t 500",
    "-I -s 1::1 -d 2::2 -p udp --sport 1 --dport 1 -t 500 -g 5.5.5.5",
    f"-A {UDP} --sport 70 -u ASSURED", f"-A {UDP} --sport 70 -r 3.3.3.3",
    f"-A {UDP} --sport 70 -a 3.3.3.3", f"-A {UDP} --sport 70 -u EXPECTED",
    f"-A {T} -p icmp --icmp-type 3 --icmp-code 0 --icmp-id 9 -t 5",
    "-D -f ipv6", "-D -p tcp", "-D -p icmp", "-D -u ASSURED",
    "-D -p tcp --state SYN_SENT", "-D -d 2.2.2.0/24 -p udp",
    "-D -s 1.1.1.0 --mask-src 255.255.255.0", "-D --mask-src 255.255.255.0",
    "-D -q 9.9.9.9", "-D -r 9.9.9.9", "-D -w 4", "-D --orig-zone 4",
    "-D -o save -p tcp", "-D -o xml -p tcp", "-D -o id,extended -p tcp",
    "-D -m 5/6", "-D -s 7.7.7.7", "-D -p icmp --icmp-type 8", "-D conntrack",
    "-D -p dccp --state CLOSING", "-F", "-F conntrack",
    f"-U {T} -p udp --sport 12 --dport 20 -t 444", "-U -s 7.7.7.7 -m 7",
    f"-U {T} -p tcp --sport 10 -m 5/0xff", "-U -s 1.1.1.1 -z",
    "-U -s 1.1.1.1 --tuple-src 1.1.1.1", f"-U {T} -p 50 -m 3",
    f"-U {T} -p tcp --sport 10 --state FOO",
    # another timeout for one that is fixed; what is offloaded
    (f"-U {T} -p tcp --sport 12 --dport 20 -t 5", SENSE),
    (f"-U {T} -p tcp --sport 12 --dport 20 -t 5 -m 6 -u ASSURED", SENSE),
    f"-U {T} -p tcp --sport 12 --dport 20 -m 6",
    f"-U {T} -p tcp --sport 10 --dport 20 -t 444 -u FIXED_TIMEOUT",
    f"-U {A} -u HW_OFFLOAD", f"-U {A} -u OFFLOAD,SEEN_REPLY",
    # what is said of replies
    f"-I {UDP} --sport 70 --reply-port-src 5",
    f"-I {UDP} --sport 70 --reply-port-src 5 --reply-port-dst 7 -n 7.7.7.7",
    f"-I {UDP} --sport 70 -r 3.3.3.3 -q 4.4.4.4 --reply-port-dst 5",
    f"-I {UDP} --sport 70 -r 3.3.3.3 --reply-port-src 5 -n 7.7.7.7",
    f"-I {R} -p udp --reply-port-src 5 --reply-port-dst 6 -t 500",
    f"-I {R} -p udp --reply-port-src 5 --reply-port-dst 6 -t 500 -n 7.7.7.7",
    f"-I {R} -p tcp --reply-port-src 5 --reply-port-dst 6 -t 500 -g 7.7.7.7 "
    "--state SYN_SENT", f"-I {R} -p gre --reply-key-src 7 --reply-key-dst 9 "
    "-t 500", f"-A {R} -p 60 -t 500 -w 3", "-I -r 2::2 -q 1::1 -p 50 -t 500",
    f"-I {R} -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 5 -t 500",
    "-I -r 2.2.2.2 -p 51 -t 500", "-I -q 2.2.2.2 -p 51 -t 500",
    f"-I {R} -p 60", f"-I {R} -t 500", f"-I {R} -p udp -t 500",
    (f"-U {T} -p udp --role client", SENSE),
    (f"-I {T} -p dccp --sport 1 --dport 2 -t 500", 0, 0, "1 flow"),
    (f"-I {UDP} --sport 70 --orig-zone 5 --reply-zone 6", 0, 0, "1 flow"),
    (f"-I {UDP} --sport 70 -t 0", 1, 0, "invalid parameters"),
    (f"-I {UDP} --sport 70 -t x", 2, 0, "Invalid timeout"),
    (f"-I {UDP} --sport 70 -m 5/x", 2, 0, "Invalid mark"),
    (f"-I {TCP} --sport 70 --state CLOSE --role client", SENSE),
    ("-D -j -p tcp", 0, 1, "1 flow"), ("-D -i 99999", 1, 0, "0 flow"),
    (f"-D {UDP} --sport 12", 0, 1, "1 flow"),
    ("-D --reply-zone 4", 0, 1, "1 flow"),
    ("-D -p gre --srckey 77", 0, 1, "1 flow"), ("-U -p 50 -m 3", 0, 1, "1 f"),
    ("-U -w 4 -m 13", 0, 1, "1 flow"), ("-U -m 7 -p sctp", 0, 1, "1 flow"),
]


@pytest.fixture(scope="module")
def pair(make_module_lab):
    made = Pair(make_module_lab())
    made.fill()
    return made


def run(pair, row, wrapper=()):
    """Both answers to a row, if it asks for conntrack's."""
    command, *expected = (row,) if isinstance(row, str) else row
    words = shlex.split(command)
    ours = pair.ours.run(*wrapper, XCTCTL, "-s", pair.xctd.sock, *words,
                         check=False, input="")
    if len(expected) == 3:
        code, lines, text = expected
        assert ours.returncode == code, ours.stderr
        assert len(ours.stdout.splitlines()) == lines
        assert text in ours.stderr
        return
    kernel = pair.kernel.run(*wrapper, "conntrack", *words, check=False,
                             input="")
    if expected == [SENSE]:
        for done in kernel, ours:
            assert done.stderr
            done.stderr = ""
    assert normal(ours) == normal(kernel)


def name(row):
    return row if isinstance(row, str) else row[0]


@pytest.mark.parametrize("row", LISTED, ids=name)
def test_what_only_reads_is_conntracks(pair, row):
    run(pair, row)


def refill(pair):
    for table in pair.conntrack, pair.xctctl:
        table("-F")
        assert table("-R -", input="\n".join(CREATED)).returncode == 0


def tables(pair):
    return normal(pair.conntrack("-L")), normal(pair.xctctl("-L"))


@pytest.mark.parametrize("row", MADE, ids=name)
def test_what_changes_the_table_is_conntracks(pair, row):
    try:
        run(pair, row)
        kernel, ours = tables(pair)
        if isinstance(row, str) or row[1] is SENSE:
            assert ours == kernel
    finally:
        refill(pair)


LABELS = [
    "-L -o labels", "-L -o labels,id,extended", "-L -o labels,save",
    "-L -o labels,xml -p udp", "-L -o labels,ktimestamp,userspace", "-L -l foo",
    "-L --label first,foo", "-L -l foo -l last", "-L -l none", "-L -l FOO",
    "-L -l ''", "-L -l 1", "-L -l foo,none", "-L -l foo,", "-L -l 'two words'",
    "-L -l under_score", "-L -l dup", "-L -l dup4", "-L -l hex", "-L -l oct",
    "-L -l over", "-L -l a-b", "-L -l x", "-L -l 'x # y'", "-L -l foo -z",
    "-D -l foo,none", "-D -l over", f"-U {A} --label-del",
    f"-U {A} --label-del foo", f"-U {A} --label-del none",
    f"-U {A} --label-add foo --label-del last", "-F -l foo",
    "-D --label-add foo", "-L --label-add foo", f"-G {A} --label-del",
    f"-I {UDP} --sport 82 --label-add none",
    # what follows has labels
    f"-U {A} --label-add last", f"-U {A} --label-add foo -o id",
    f"-U {A} --label-add foo,last", f"-U {A} -m 4",
    f"-U {A} --label-add 'two words,a-b' -o xml -m 7",
    f"-U {A} --label-add hex -o save", f"-U {A} --label-add hex -t 444",
    "-L -o labels", "-L -l last", "-L -l last,foo", "-L -l first",
    "-L -o save -l foo", "-L -o xml -l foo", "-L -l foo -o extended,id",
    "-L -o labels -z", f"-G {A} -o labels", f"-G {A} -l foo",
    f"-U {A} -l foo -m 5", f"-U {A} -l first -m 6",
    f"-U {A} --label-del foo", f"-U {A} --label-del foo,hex",
    f"-U {A} --label-del over", "-L -o labels",
    f"-I {UDP} --sport 80 --label-add foo",
    f"-A {UDP} --sport 81 --label-add foo,last",
    f"-I {UDP} --sport 83 --label-add foo --label-add first -w 4",
    (f"-I {UDP} --sport 84 --label-add over", SENSE), "-L -o labels",
    "-D -l first -o labels", "-D -l foo,last -o xml,labels", "-L -o labels",
    f"-U {A} --label-del", f"-U {A} --label-del", "-L -o labels", "-D -l foo",
    (f"-U {A} --label-add over", SENSE),
    # conntrack clears them all when one above 95 goes, or for a `='
    (f"-U {A} --label-add foo,hex,last", 0, 1, "1 flow"),
    (f"-U {A} --label-del last", 0, 1, "1 flow"),
    (f"-U {A} --label-del=hex", 0, 1, "1 flow"), ("-L -l foo", 0, 1, "1 flow"),
    ("-L -l hex", 0, 0, "0 flow"),
    # .. and adds what can be had of these, if there are labels already
    (f"-U {A} --label-add first,over", 1, 0, "0 to 127"),
]


def test_labels_are_those_of_a_kernel_that_uses_them(pair):
    rule = "INPUT", "-m", "connlabel", "--label", "9", "--set"
    pair.kernel.run("iptables", "-A", *rule)
    refill(pair)
    try:
        for row in LABELS:
            run(pair, row, LABELLED)
    finally:
        pair.kernel.run("iptables", "-D", *rule)
        refill(pair)


def test_a_state_of_dccp_is_taken_for_a_change(pair):
    try:
        pair.same(f"-I {T} -p dccp --sport 1 --dport 2 -t 500 --state OPEN "
                  "--role client")
        for options in ("--state CLOSING", "--state CLOSING -m 4",
                        "--state CLOSING -m 4 -o id", "-m 4", "--state FOO"):
            pair.same(f"-U {T} -p dccp {options}")
        pair.same("-U -s 7.7.7.7 -p dccp --state OPEN")
        assert pair.same("-L -p dccp")[0] == 0
    finally:
        refill(pair)


def test_what_delete_has_saved_deletes_again(pair):
    """A file of -D lines, as conntrack -D -o save writes them."""
    saved = pair.xctctl("-D -p udp -o save").stdout
    refill(pair)
    assert saved.startswith("-D -t ") and "\n-A" not in saved
    done = pair.xctctl("-R -", input=saved)
    assert (done.returncode, done.stderr) == (0, "")
    assert pair.xctctl("-L -p udp").stdout == ""
    refill(pair)


def test_zeroed_counters_begin_again(routed):
    xctd = routed.start_xctd("settings: {accounting: yes}\n")
    assert ping(routed.client, SERVER, count=2)
    (before,) = entries.parse(xctd.ctl("-L", "-z").stdout)
    (after,) = xctd.list()
    assert before["orig"]["packets"] == before["reply"]["packets"] == 2
    assert after["orig"]["packets"] == after["reply"]["bytes"] == 0
    assert ping(routed.client, SERVER, args=("-e", "9"))
    assert [e["orig"]["packets"] for e in xctd.list()].count(1) == 1
