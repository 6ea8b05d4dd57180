/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TCP connections, segment by segment, each under a sentence that says what it
 * shows. A row is a segment and what it must lead to:
 *
 *   { direction, flags, seq, ack, window, payload, options,
 *     verdict, state, ASSURED, seconds left }
 *
 * direction: '>' from the end that opened the flow, '<' from the other, '+' no
 * segment but seq milliseconds of time. flags: S, A, F, R, P, U. options: wN
 * window scale N, s SACK permitted, kA-B a SACK block. A REOPEN row forgets the
 * flow and then expects the same segment to open another.
 */
/* clang-format off */

#define HANDSHAKE                                                             \
	{ '>', "S",  1000, 0,    8192, 0, "", OK, SYN_SENT, 0, 120 },         \
	{ '<', "SA", 5000, 1001, 8192, 0, "", OK, SYN_RECV, 0, 60 },          \
	{ '>', "A",  1001, 5001, 8192, 0, "", OK, ESTABLISHED, 1, 432000 }

#define HANDSHAKE_LARGE                                                       \
	{ '>', "S",  1000, 0,    65535, 0, "", OK, SYN_SENT, 0, 120 },        \
	{ '<', "SA", 5000, 1001, 65535, 0, "", OK, SYN_RECV, 0, 60 },         \
	{ '>', "A",  1001, 5001, 65535, 0, "", OK, ESTABLISHED, 1, 432000 }

#define CLOSED                                                                \
	HANDSHAKE,                                                            \
	{ '>', "FA", 1001, 5001, 8192, 0, "", OK, FIN_WAIT, 1, 120 },         \
	{ '<', "A",  5001, 1002, 8192, 0, "", OK, CLOSE_WAIT, 1, 60 },        \
	{ '<', "FA", 5001, 1002, 8192, 0, "", OK, LAST_ACK, 1, 30 },          \
	{ '>', "A",  1002, 5002, 8192, 0, "", OK, TIME_WAIT, 1, 120 }

static const struct tcp_case tcp_cases[] = {
{ "a handshake makes a flow ESTABLISHED and ASSURED", 0, {
	HANDSHAKE,
} },
{ "the end that opened may close first", 0, {
	CLOSED,
} },
{ "the other end may close first", 0, {
	HANDSHAKE,
	{ '<', "FA", 5001, 1001, 8192, 0, "", OK, FIN_WAIT, 1, 120 },
	{ '>', "A",  1001, 5002, 8192, 0, "", OK, CLOSE_WAIT, 1, 60 },
	{ '>', "FA", 1001, 5002, 8192, 0, "", OK, LAST_ACK, 1, 30 },
	{ '<', "A",  5002, 1002, 8192, 0, "", OK, TIME_WAIT, 1, 120 },
} },
{ "both ends may close at the same time", 0, {
	HANDSHAKE,
	{ '>', "FA", 1001, 5001, 8192, 0, "", OK, FIN_WAIT, 1, 120 },
	{ '<', "FA", 5001, 1001, 8192, 0, "", OK, LAST_ACK, 1, 30 },
	{ '>', "A",  1002, 5002, 8192, 0, "", OK, TIME_WAIT, 1, 120 },
	{ '<', "A",  5002, 1002, 8192, 0, "", OK, TIME_WAIT, 1, 120 },
} },
{ "data flows on after one end has closed", 0, {
	HANDSHAKE,
	{ '>', "FA", 1001, 5001, 8192, 0,    "", OK, FIN_WAIT, 1, 120 },
	{ '<', "A",  5001, 1002, 8192, 0,    "", OK, CLOSE_WAIT, 1, 60 },
	{ '<', "PA", 5001, 1002, 8192, 1400, "", OK, CLOSE_WAIT, 1, 60 },
	{ '>', "A",  1002, 6401, 8192, 0,    "", OK, CLOSE_WAIT, 1, 60 },
} },
{ "a FIN may carry data and URG, and be sent again", 0, {
	HANDSHAKE,
	{ '>', "FAPU", 1001, 5001, 8192, 100, "", OK, FIN_WAIT, 1, 120 },
	{ '<', "A",    5001, 1102, 8192, 0,   "", OK, CLOSE_WAIT, 1, 60 },
	{ '>', "FAPU", 1001, 5001, 8192, 100, "", OK, LAST_ACK, 1, 30 },
} },
{ "a late ACK in TIME_WAIT starts its time again", 0, {
	CLOSED,
	{ '+', "", 50000, 0, 0, 0, "", OK, TIME_WAIT, 1, 70 },
	{ '>', "A", 1002, 5002, 8192, 0, "", OK, TIME_WAIT, 1, 120 },
} },
{ "sequence numbers may wrap", 0, {
	{ '>', "S",  0xffffff00, 0,          8192, 0,    "", OK, SYN_SENT, 0, 120 },
	{ '<', "SA", 0xfffffffe, 0xffffff01, 8192, 0,    "", OK, SYN_RECV, 0, 60 },
	{ '>', "A",  0xffffff01, 0xffffffff, 8192, 0,    "", OK, ESTABLISHED, 1, 432000 },
	{ '>', "PA", 0xffffff01, 0xffffffff, 8192, 1000, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "A",  0xffffffff, 745,        8192, 0,    "", OK, ESTABLISHED, 1, 432000 },
	{ '<', "PA", 0xffffffff, 745,        8192, 1000, "", OK, ESTABLISHED, 1, 300 },
	{ '>', "A",  745,        999,        8192, 0,    "", OK, ESTABLISHED, 1, 432000 },
} },

/* opening */
{ "a SYN sent again before any answer neither counts nor refreshes", 0, {
	{ '>', "S", 1000, 0, 8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '+', "", 5000, 0, 0, 0, "", OK, SYN_SENT, 0, 115 },
	{ '>', "S", 1000, 0, 8192, 0, "", IGNORE, SYN_SENT, 0, 115 },
	{ '<', "SA", 5000, 1001, 8192, 0, "", OK, SYN_RECV, 0, 60 },
} },
{ "a SYN with a higher number replaces the one before", 0, {
	{ '>', "S",  1000, 0,    8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '>', "S",  9000, 0,    8192, 0, "", IGNORE, SYN_SENT, 0, 120 },
	{ '<', "SA", 5000, 9001, 8192, 0, "", OK, SYN_RECV, 0, 60 },
} },
{ "and so do its options", 0, {
	{ '>', "S",  1000,  0,    8192, 0,   "w7", OK, SYN_SENT, 0, 120 },
	{ '>', "S",  9000,  0,    8192, 0,   "s", IGNORE, SYN_SENT, 0, 120 },
	{ '<', "SA", 5000,  9001, 8192, 0,   "w7", OK, SYN_RECV, 0, 60 },
	{ '>', "A",  9001,  5001, 1000, 0,   "", OK, ESTABLISHED, 1, 432000 },
	{ '<', "PA", 65001, 9001, 8192, 100, "", BAD_SEQ, ESTABLISHED, 1, 432000 },
} },
{ "a SYN-ACK sent again is ignored", 0, {
	{ '>', "S",  1000, 0,    8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '<', "SA", 5000, 1001, 8192, 0, "", OK, SYN_RECV, 0, 60 },
	{ '+', "", 1000, 0, 0, 0, "", OK, SYN_RECV, 0, 59 },
	{ '<', "SA", 5000, 1001, 8192, 0, "", IGNORE, SYN_RECV, 0, 59 },
	{ '>', "A",  1001, 5001, 8192, 0, "", OK, ESTABLISHED, 1, 432000 },
} },
{ "a SYN-ACK of a SYN never sent is invalid", 0, {
	{ '>', "S",  1000, 0,    8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '<', "SA", 5000, 1002, 8192, 0, "", BAD_ACK, SYN_SENT, 0, 120 },
} },
{ "data before the handshake's end is invalid from the opener", 0, {
	{ '>', "S",  1000, 0, 8192, 0,  "", OK, SYN_SENT, 0, 120 },
	{ '>', "PA", 1001, 1, 8192, 10, "", BAD_STATE, SYN_SENT, 0, 120 },
} },
{ "the handshake's last ACK may carry data", 0, {
	{ '>', "S",  1000, 0,    8192, 0,   "", OK, SYN_SENT, 0, 120 },
	{ '<', "SA", 5000, 1001, 8192, 0,   "", OK, SYN_RECV, 0, 60 },
	{ '>', "PA", 1001, 5001, 8192, 100, "", OK, ESTABLISHED, 1, 300 },
} },
{ "both ends may open at the same time", 0, {
	{ '>', "S",  1000, 0,    8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '<', "S",  5000, 0,    8192, 0, "", IGNORE, SYN_SENT2, 0, 120 },
	{ '>', "SA", 1000, 5001, 8192, 0, "", OK, SYN_RECV, 0, 60 },
	{ '<', "SA", 5000, 1001, 8192, 0, "", IGNORE, SYN_RECV, 0, 60 },
	{ '>', "A",  1001, 5001, 8192, 0, "", OK, ESTABLISHED, 1, 432000 },
} },
{ "the other end's ACK completes a simultaneous open as well", 0, {
	{ '>', "S",  1000, 0,    8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '<', "S",  5000, 0,    8192, 0, "", IGNORE, SYN_SENT2, 0, 120 },
	{ '<', "SA", 5000, 1001, 8192, 0, "", OK, SYN_RECV, 0, 60 },
	{ '>', "SA", 1000, 5001, 8192, 0, "", OK, SYN_RECV, 0, 60 },
	{ '<', "A",  5001, 1001, 8192, 0, "", OK, ESTABLISHED, 1, 432000 },
} },
{ "the other end's ACK does not complete an ordinary open", 0, {
	{ '>', "S",  1000, 0,    8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '<', "SA", 5000, 1001, 8192, 0, "", OK, SYN_RECV, 0, 60 },
	{ '<', "A",  5001, 1001, 8192, 0, "", OK, SYN_RECV, 0, 60 },
} },

/* refusing */
{ "a RST as the only answer ends the flow", 0, {
	{ '>', "S",  1000, 0,    8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '<', "RA", 0,    1001, 0,    0, "", END, CLOSE, 0, 120 },
} },
{ "so does a RST whose sender set ACK and left the number zero", 0, {
	{ '>', "S",  900000, 0, 8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '<', "RA", 0,      0, 0,    0, "", END, CLOSE, 0, 120 },
} },
{ "a RST that answers another SYN is invalid", 0, {
	{ '>', "S",  1000, 0,    8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '<', "RA", 0,    1777, 0,    0, "", BAD_ACK, SYN_SENT, 0, 120 },
} },
{ "the opener's own RST ends an unanswered flow", 0, {
	{ '>', "S", 1000, 0, 8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '>', "R", 1001, 0, 0,    0, "", END, CLOSE, 0, 120 },
} },
{ "also one without a number", 0, {
	{ '>', "S", 0x90000000, 0, 8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '>', "R", 0,          0, 0,    0, "", END, CLOSE, 0, 120 },
} },
{ "a RST with number zero closes a flow that is not established", 0, {
	{ '>', "S",  1000, 0,    8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '<', "SA", 5000, 1001, 8192, 0, "", OK, SYN_RECV, 0, 60 },
	{ '>', "R",  0,    0,    0,    0, "", OK, CLOSE, 0, 10 },
} },

/* segments that cannot be judged yet */
{ "a half-open connection is reset by the opener, who then tries again", 0, {
	{ '>', "S", 1000, 0, 8192, 0, "", OK, SYN_SENT, 0, 120 },
	{ '<', "A", 7000, 500000, 8192, 0, "", IGNORE, SYN_SENT, 0, 120 },
	{ '>', "R", 500000, 0, 0,    0, "", OK, CLOSE, 0, 10 },
	{ '>', "S", 1000, 0,   8192, 0, "", REOPEN, SYN_SENT, 0, 120 },
} },
{ "an open flow outlives a SYN that is answered by a challenge ACK", 0, {
	HANDSHAKE,
	{ '>', "S", 90000, 0,    8192, 0, "", IGNORE, ESTABLISHED, 1, 432000 },
	{ '<', "A", 5001,  1001, 8192, 0, "", OK, ESTABLISHED, 1, 432000 },
} },
{ "a SYN answered by a SYN-ACK starts an open flow anew", 0, {
	HANDSHAKE,
	{ '>', "S",  90000, 0,     8192, 0,  "", IGNORE, ESTABLISHED, 1, 432000 },
	{ '<', "SA", 70000, 90001, 8192, 0,  "", OK, SYN_RECV, 1, 60 },
	{ '>', "A",  90001, 70001, 8192, 0,  "", OK, ESTABLISHED, 1, 432000 },
	{ '>', "PA", 90001, 70001, 8192, 10, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "A",  70001, 90011, 8192, 0,  "", OK, ESTABLISHED, 1, 432000 },
} },
{ "with the options of that SYN", 0, {
	HANDSHAKE,
	{ '>', "S",  90000,  0,     8192, 0,   "w7s", IGNORE, ESTABLISHED, 1, 432000 },
	{ '<', "SA", 70000,  90001, 8192, 0,   "w7s", OK, SYN_RECV, 1, 60 },
	{ '>', "A",  90001,  70001, 8192, 0,   "", OK, ESTABLISHED, 1, 432000 },
	{ '<', "PA", 970001, 90001, 8192, 100, "", OK, ESTABLISHED, 1, 300 },
} },
{ "a SYN-ACK of another SYN than the ignored one is ignored too", 0, {
	HANDSHAKE,
	{ '>', "S",  90000, 0,     8192, 0, "", IGNORE, ESTABLISHED, 1, 432000 },
	{ '<', "SA", 70000, 90002, 8192, 0, "", IGNORE, ESTABLISHED, 1, 432000 },
} },
{ "a SYN answered by a RST closes an open flow", 0, {
	HANDSHAKE,
	{ '>', "S",  90000, 0,     8192, 0, "", IGNORE, ESTABLISHED, 1, 432000 },
	{ '<', "RA", 0,     90001, 0,    0, "", OK, CLOSE, 1, 10 },
} },
{ "unless the RST is of another SYN", 0, {
	HANDSHAKE,
	{ '>', "S",  90000, 0,     8192, 0, "", IGNORE, ESTABLISHED, 1, 432000 },
	{ '<', "RA", 0,     90002, 0,    0, "", BAD_ACK, ESTABLISHED, 1, 432000 },
} },
{ "or comes from the SYN's own sender", 0, {
	HANDSHAKE,
	{ '>', "S",  90000, 0,     8192, 0, "", IGNORE, ESTABLISHED, 1, 432000 },
	{ '>', "RA", 90001, 90001, 0,    0, "", BAD_SEQ, ESTABLISHED, 1, 432000 },
} },
{ "a SYN of the other end on an open flow is invalid", 0, {
	HANDSHAKE,
	{ '<', "S", 5001, 0, 8192, 0, "", BAD_STATE, ESTABLISHED, 1, 432000 },
} },
{ "a challenge ACK in LAST_ACK is not the last ACK", 0, {
	HANDSHAKE,
	{ '>', "FA", 1001,  5001, 8192, 0, "", OK, FIN_WAIT, 1, 120 },
	{ '<', "FA", 5001,  1002, 8192, 0, "", OK, LAST_ACK, 1, 30 },
	{ '>', "S",  40000, 0,    8192, 0, "", IGNORE, LAST_ACK, 1, 30 },
	{ '<', "A",  5002,  1002, 8192, 0, "", IGNORE, LAST_ACK, 1, 30 },
	{ '<', "A",  5002,  1002, 8192, 0, "", OK, TIME_WAIT, 1, 120 },
} },
{ "the closer's ACK is the last one, challenge or not", 0, {
	HANDSHAKE,
	{ '>', "FA", 1001,  5001, 8192, 0, "", OK, FIN_WAIT, 1, 120 },
	{ '<', "FA", 5001,  1002, 8192, 0, "", OK, LAST_ACK, 1, 30 },
	{ '>', "S",  40000, 0,    8192, 0, "", IGNORE, LAST_ACK, 1, 30 },
	{ '>', "A",  1002,  5002, 8192, 0, "", OK, TIME_WAIT, 1, 120 },
} },

/* reopening */
{ "a SYN in TIME_WAIT reopens", 0, {
	CLOSED,
	{ '>', "S",  50000, 0,     8192, 0, "", REOPEN, SYN_SENT, 0, 120 },
	{ '<', "SA", 80000, 50001, 8192, 0, "", OK, SYN_RECV, 0, 60 },
} },
{ "a SYN of the other end in TIME_WAIT opens the other way round", 0, {
	CLOSED,
	{ '<', "S", 50000, 0, 8192, 0, "", REOPEN, SYN_SENT, 0, 120 },
} },
{ "a SYN-ACK in TIME_WAIT is ignored", 0, {
	CLOSED,
	{ '<', "SA", 5000, 1001, 8192, 0, "", IGNORE, TIME_WAIT, 1, 120 },
} },
{ "a SYN of the end that has reset the flow reopens it", 0, {
	HANDSHAKE,
	{ '>', "R", 1001,  0, 0,    0, "", OK, CLOSE, 1, 10 },
	{ '>', "S", 20000, 0, 8192, 0, "", REOPEN, SYN_SENT, 0, 120 },
} },
{ "after the other end's RST a SYN waits for its SYN-ACK", 0, {
	HANDSHAKE,
	{ '<', "R",  5001,  0,     0,    0, "", OK, CLOSE, 1, 10 },
	{ '>', "S",  20000, 0,     8192, 0, "", IGNORE, CLOSE, 1, 10 },
	{ '<', "SA", 30000, 20001, 8192, 0, "", OK, SYN_RECV, 1, 60 },
	{ '>', "A",  20001, 30001, 8192, 0, "", OK, ESTABLISHED, 1, 432000 },
} },

/* RST */
{ "a RST with exactly the expected number closes", 0, {
	HANDSHAKE,
	{ '<', "R", 5001, 0, 0, 0, "", OK, CLOSE, 1, 10 },
} },
{ "a RST that follows its sender's last segment closes", 0, {
	HANDSHAKE,
	{ '<', "PA", 5001, 1001, 8192, 100, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "RA", 5101, 1001, 0,    0,   "", OK, CLOSE, 1, 10 },
} },
{ "a RST with another number in the window awaits a challenge ACK", 0, {
	HANDSHAKE,
	{ '<', "R", 5100, 0,    0,    0, "", OK, ESTABLISHED, 1, 10 },
	{ '>', "A", 1001, 5001, 8192, 0, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "R", 5001, 0,    0,    0, "", OK, CLOSE, 1, 10 },
} },
{ "a RST below what has been acknowledged is invalid", 0, {
	HANDSHAKE,
	{ '<', "R", 5000, 0, 0, 0, "", BAD_RST, ESTABLISHED, 1, 432000 },
} },
{ "even where the tracker is liberal", LIBERAL, {
	HANDSHAKE,
	{ '<', "R", 5000, 0, 0, 0, "", BAD_RST, ESTABLISHED, 1, 432000 },
} },
{ "but not if invalid RSTs are to be ignored", IGNORE_RST, {
	HANDSHAKE,
	{ '<', "R", 5000, 0, 0, 0, "", OK, ESTABLISHED, 1, 10 },
} },
{ "any RST closes a flow that is closing", 0, {
	HANDSHAKE,
	{ '>', "FA", 1001,     5001, 8192, 0, "", OK, FIN_WAIT, 1, 120 },
	{ '<', "R",  77777777, 0,    0,    0, "", OK, CLOSE, 1, 10 },
} },

/* the window */
{ "rule I: data far above the window is invalid", 0, {
	HANDSHAKE,
	{ '>', "PA", 20000, 5001, 8192, 100, "", BAD_SEQ, ESTABLISHED, 1, 432000 },
} },
{ "a little above it is ignored, and may be acknowledged", 0, {
	HANDSHAKE,
	{ '>', "PA", 9194, 5001, 8192, 100, "", IGNORE, ESTABLISHED, 1, 432000 },
	{ '<', "A",  5001, 9294, 8192, 0,   "", OK, ESTABLISHED, 1, 432000 },
} },
{ "data just at the end of the window is valid", 0, {
	HANDSHAKE,
	{ '>', "PA", 9193, 5001, 8192, 100, "", OK, ESTABLISHED, 1, 300 },
} },
{ "what lies across that end is taken for a larger window", 0, {
	HANDSHAKE,
	{ '>', "PA", 9193, 5001, 8192, 100, "", OK, ESTABLISHED, 1, 300 },
	{ '>', "A",  1000, 5001, 8192, 0,   "", IGNORE, ESTABLISHED, 1, 300 },
	{ '>', "A",  1001, 5001, 8192, 0,   "", OK, ESTABLISHED, 1, 300 },
} },
{ "a window that shrinks takes nothing back", 0, {
	HANDSHAKE,
	{ '<', "A",  5001, 1001, 100,  0,   "", OK, ESTABLISHED, 1, 432000 },
	{ '>', "PA", 9000, 5001, 8192, 100, "", OK, ESTABLISHED, 1, 300 },
} },
{ "rule II: data that was acknowledged long ago is ignored", 0, {
	HANDSHAKE,
	{ '>', "PA", 1001, 5001,  8192, 8000, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "A",  5001, 9001,  8192, 0,    "", OK, ESTABLISHED, 1, 432000 },
	{ '>', "PA", 9001, 5001,  8192, 8000, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "A",  5001, 17001, 8192, 0,    "", OK, ESTABLISHED, 1, 432000 },
	{ '+', "", 1000, 0, 0, 0, "", OK, ESTABLISHED, 1, 431999 },
	{ '>', "A",  8808, 5001,  8192, 0,    "", IGNORE, ESTABLISHED, 1, 431999 },
	{ '>', "A",  8809, 5001,  8192, 0,    "", OK, ESTABLISHED, 1, 432000 },
} },
{ "rule III: an ACK of data never sent is invalid", 0, {
	HANDSHAKE,
	{ '<', "A", 5001, 1002, 8192, 0, "", BAD_ACK, ESTABLISHED, 1, 432000 },
} },
{ "rule IV: an ACK is ignored from 66000 below the newest data on", 0, {
	HANDSHAKE_LARGE,
	{ '<', "PA", 5001,  1001,  65535, 40000, "", OK, ESTABLISHED, 1, 300 },
	{ '>', "A",  1001,  45001, 65535, 0,     "", OK, ESTABLISHED, 1, 432000 },
	{ '<', "PA", 45001, 1001,  65535, 40000, "", OK, ESTABLISHED, 1, 300 },
	{ '>', "A",  1001,  85001, 65535, 0,     "", OK, ESTABLISHED, 1, 432000 },
	{ '+', "", 1000, 0, 0, 0, "", OK, ESTABLISHED, 1, 431999 },
	{ '>', "A",  1001,  19000, 65535, 0,     "", IGNORE, ESTABLISHED, 1, 431999 },
	{ '>', "A",  1001,  19001, 65535, 0,     "", OK, ESTABLISHED, 1, 432000 },
} },
{ "windows are scaled if both ends have offered it", 0, {
	{ '>', "S",  1000,   0,    8192, 0,     "w7", OK, SYN_SENT, 0, 120 },
	{ '<', "SA", 5000,   1001, 8192, 0,     "w7", OK, SYN_RECV, 0, 60 },
	{ '>', "A",  1001,   5001, 1000, 0,     "", OK, ESTABLISHED, 1, 432000 },
	{ '<', "PA", 5001,   1001, 64,   60000, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "PA", 65001,  1001, 64,   60000, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "PA", 133001, 1001, 64,   10,    "", OK, ESTABLISHED, 1, 300 },
	{ '<', "PA", 133002, 1001, 64,   10,    "", IGNORE, ESTABLISHED, 1, 300 },
} },
{ "windows are not scaled if only the opener has offered it", 0, {
	{ '>', "S",  1000, 0,    8192, 0,   "w7", OK, SYN_SENT, 0, 120 },
	{ '<', "SA", 5000, 1001, 8192, 0,   "", OK, SYN_RECV, 0, 60 },
	{ '>', "A",  1001, 5001, 1000, 0,   "", OK, ESTABLISHED, 1, 432000 },
	{ '<', "PA", 6001, 1001, 8192, 1,   "", OK, ESTABLISHED, 1, 300 },
	{ '<', "PA", 9000, 1001, 8192, 100, "", IGNORE, ESTABLISHED, 1, 300 },
} },
{ "a scale above 14 is taken as 14", 0, {
	{ '>', "S",  1000,   0,    8192, 0, "w20", OK, SYN_SENT, 0, 120 },
	{ '<', "SA", 5000,   1001, 8192, 0, "w0", OK, SYN_RECV, 0, 60 },
	{ '>', "A",  1001,   5001, 8,    0, "", OK, ESTABLISHED, 1, 432000 },
	{ '<', "PA", 135001, 1001, 8192, 1, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "PA", 205001, 1001, 8192, 1, "", IGNORE, ESTABLISHED, 1, 300 },
} },
{ "a SACK block moves the window as an ACK does", 0, {
	{ '>', "S",  1000,  0,    8192, 0,    "s", OK, SYN_SENT, 0, 120 },
	{ '<', "SA", 5000,  1001, 8192, 0,    "s", OK, SYN_RECV, 0, 60 },
	{ '>', "A",  1001,  5001, 8192, 0,    "", OK, ESTABLISHED, 1, 432000 },
	{ '>', "PA", 1001,  5001, 8192, 1000, "", OK, ESTABLISHED, 1, 300 },
	{ '>', "PA", 2001,  5001, 8192, 1000, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "A",  5001,  1001, 8192, 0,    "k2001-3001", OK, ESTABLISHED, 1, 300 },
	{ '>', "PA", 10000, 5001, 8192, 100,  "", OK, ESTABLISHED, 1, 300 },
	{ '>', "PA", 20000, 5001, 8192, 100,  "", IGNORE, ESTABLISHED, 1, 300 },
} },
{ "but only if it was agreed on", 0, {
	HANDSHAKE,
	{ '>', "PA", 1001,  5001, 8192, 1000, "", OK, ESTABLISHED, 1, 300 },
	{ '>', "PA", 2001,  5001, 8192, 1000, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "A",  5001,  1001, 8192, 0,    "k2001-3001", OK, ESTABLISHED, 1, 300 },
	{ '>', "PA", 10000, 5001, 8192, 100,  "", IGNORE, ESTABLISHED, 1, 300 },
} },
{ "a SACK block of data never sent is invalid", 0, {
	{ '>', "S",  1000, 0,    8192, 0, "s", OK, SYN_SENT, 0, 120 },
	{ '<', "SA", 5000, 1001, 8192, 0, "s", OK, SYN_RECV, 0, 60 },
	{ '>', "A",  1001, 5001, 8192, 0, "", OK, ESTABLISHED, 1, 432000 },
	{ '<', "A",  5001, 1001, 8192, 0, "k9000-9500", BAD_ACK, ESTABLISHED, 1, 432000 },
} },
{ "what is outside the window passes where the tracker is liberal", LIBERAL, {
	HANDSHAKE,
	{ '>', "PA", 20000, 5001,    8192, 100, "", OK, ESTABLISHED, 1, 432000 },
	{ '<', "A",  5001,  7654321, 8192, 0,   "", OK, ESTABLISHED, 1, 432000 },
} },

/* picking up */
{ "an ACK picks a connection up, the next after an answer is ASSURED", 0, {
	{ '>', "A", 7777, 8888, 8192, 0, "", OK, ESTABLISHED, 0, 300 },
	{ '>', "A", 7777, 8888, 8192, 0, "", OK, ESTABLISHED, 0, 300 },
	{ '<', "A", 8888, 7777, 8192, 0, "", OK, ESTABLISHED, 0, 300 },
	{ '>', "A", 7777, 8889, 8192, 0, "", OK, ESTABLISHED, 1, 432000 },
} },
{ "a connection that was picked up is judged liberally", 0, {
	{ '>', "A",  7777,   8888, 8192, 0,   "", OK, ESTABLISHED, 0, 300 },
	{ '<', "A",  8888,   7777, 8192, 0,   "", OK, ESTABLISHED, 0, 300 },
	{ '>', "PA", 900000, 8888, 8192, 100, "", OK, ESTABLISHED, 1, 432000 },
	{ '<', "A",  8888, 900100, 8192, 0,   "", OK, ESTABLISHED, 1, 432000 },
} },
{ "nothing is picked up where loose is off", STRICT, {
	{ '>', "A", 7777, 8888, 8192, 0, "", BAD_OPEN, NONE, 0, 0 },
	{ '>', "S", 1000, 0,    8192, 0, "", OK, SYN_SENT, 0, 120 },
} },
{ "SYN-ACK, FIN and RST open nothing", 0, {
	{ '>', "SA", 7777, 8888, 8192, 0, "", BAD_OPEN, NONE, 0, 0 },
	{ '>', "FA", 7777, 8888, 8192, 0, "", BAD_OPEN, NONE, 0, 0 },
	{ '>', "R",  7777, 0,    8192, 0, "", BAD_OPEN, NONE, 0, 0 },
	{ '>', "RA", 7777, 8888, 8192, 0, "", BAD_OPEN, NONE, 0, 0 },
} },

/* timeouts */
{ "data under way shortens the timeout until it is acknowledged", 0, {
	HANDSHAKE,
	{ '>', "PA", 1001, 5001, 8192, 100, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "A",  5001, 1050, 8192, 0,   "", OK, ESTABLISHED, 1, 300 },
	{ '<', "A",  5001, 1101, 8192, 0,   "", OK, ESTABLISHED, 1, 432000 },
} },
{ "the third segment sent again in vain shortens the timeout", 0, {
	HANDSHAKE,
	{ '>', "A", 1001, 5001, 8192, 0, "", OK, ESTABLISHED, 1, 432000 },
	{ '>', "A", 1001, 5001, 8192, 0, "", OK, ESTABLISHED, 1, 432000 },
	{ '>', "A", 1001, 5001, 8192, 0, "", OK, ESTABLISHED, 1, 300 },
	{ '<', "A", 5001, 1001, 8192, 0, "", OK, ESTABLISHED, 1, 432000 },
} },
{ "how many is configurable", MAX_RETRANS_1, {
	HANDSHAKE,
	{ '>', "A", 1001, 5001, 8192, 0, "", OK, ESTABLISHED, 1, 300 },
	{ '>', "A", 1001, 5001, 8191, 0, "", OK, ESTABLISHED, 1, 432000 },
} },
{ "a closed window shortens the timeout until it opens", 0, {
	HANDSHAKE,
	{ '>', "A", 1001, 5001, 0,    0, "", OK, ESTABLISHED, 1, 300 },
	{ '>', "A", 1001, 5001, 8192, 0, "", OK, ESTABLISHED, 1, 432000 },
} },
{ "FINs of both ends outside the window shorten the timeout", 0, {
	HANDSHAKE,
	{ '>', "FA", 500000, 5001, 8192, 0, "", BAD_SEQ, ESTABLISHED, 1, 432000 },
	{ '<', "FA", 900000, 1001, 8192, 0, "", BAD_SEQ, ESTABLISHED, 1, 300 },
} },
{ "those of one end do not", 0, {
	HANDSHAKE,
	{ '>', "FA", 500000, 5001, 8192, 0, "", BAD_SEQ, ESTABLISHED, 1, 432000 },
	{ '>', "RA", 500001, 5001, 8192, 0, "", BAD_SEQ, ESTABLISHED, 1, 432000 },
} },
{ "nor do they on a flow with little time left", UNACK_60, {
	HANDSHAKE,
	{ '+', "", 431900000, 0, 0, 0, "", OK, ESTABLISHED, 1, 100 },
	{ '>', "FA", 500000, 5001, 8192, 0, "", BAD_SEQ, ESTABLISHED, 1, 100 },
	{ '<', "FA", 900000, 1001, 8192, 0, "", BAD_SEQ, ESTABLISHED, 1, 100 },
} },
{ "nothing changes a fixed timeout", FIXED_TIMEOUT, {
	{ '>', "S",  1000, 0,    8192, 0, "", OK, SYN_SENT, 0, 77 },
	{ '<', "SA", 5000, 1001, 8192, 0, "", OK, SYN_RECV, 0, 77 },
	{ '>', "A",  1001, 5001, 8192, 0, "", OK, ESTABLISHED, 1, 77 },
	{ '<', "R",  5001, 0,    0,    0, "", OK, CLOSE, 1, 77 },
} },
};

#undef HANDSHAKE
#undef HANDSHAKE_LARGE
#undef CLOSED

/*
 * The state after a segment with the right numbers, for every state, either
 * direction and every kind of segment. "-" is invalid, "ignored" leaves the
 * state, "reopen" ends the flow for a new one.
 */
static const char *const tcp_transitions[] = {
	/*             SYN       SYN-ACK  FIN      ACK         RST */
	"NONE        > SYN_SENT  -        -        ESTABLISHED -",
	"NONE        < -         -        -        -           -",
	"SYN_SENT    > SYN_SENT  -        -        -           CLOSE",
	"SYN_SENT    < SYN_SENT2 SYN_RECV -        ignored     CLOSE",
	"SYN_RECV    > ignored   SYN_RECV FIN_WAIT ESTABLISHED CLOSE",
	"SYN_RECV    < -         ignored  FIN_WAIT SYN_RECV    CLOSE",
	"ESTABLISHED > ignored   -        FIN_WAIT ESTABLISHED CLOSE",
	"ESTABLISHED < -         ignored  FIN_WAIT ESTABLISHED CLOSE",
	"FIN_WAIT    > ignored   -        LAST_ACK CLOSE_WAIT  CLOSE",
	"FIN_WAIT    < -         ignored  LAST_ACK CLOSE_WAIT  CLOSE",
	"CLOSE_WAIT  > ignored   -        LAST_ACK CLOSE_WAIT  CLOSE",
	"CLOSE_WAIT  < -         ignored  LAST_ACK CLOSE_WAIT  CLOSE",
	"LAST_ACK    > ignored   -        LAST_ACK TIME_WAIT   CLOSE",
	"LAST_ACK    < -         ignored  LAST_ACK TIME_WAIT   CLOSE",
	"TIME_WAIT   > reopen    -        TIME_WAIT TIME_WAIT  CLOSE",
	"TIME_WAIT   < reopen    ignored  TIME_WAIT TIME_WAIT  CLOSE",
	"CLOSE       > reopen    -        CLOSE    CLOSE       CLOSE",
	"CLOSE       < -         ignored  CLOSE    CLOSE       CLOSE",
	"SYN_SENT2   > SYN_SENT2 SYN_RECV -        -           CLOSE",
	"SYN_SENT2   < SYN_SENT2 SYN_RECV -        ignored     CLOSE",
};

/* How a connection gets into each state: direction and flags. */
static const struct {
	const char *state;
	const char *path[8];
} tcp_paths[] = {
	{ "NONE", { NULL } },
	{ "SYN_SENT", { ">S" } },
	{ "SYN_SENT2", { ">S", "<S" } },
	{ "SYN_RECV", { ">S", "<SA" } },
	{ "ESTABLISHED", { ">S", "<SA", ">A" } },
	{ "FIN_WAIT", { ">S", "<SA", ">A", ">FA" } },
	{ "CLOSE_WAIT", { ">S", "<SA", ">A", ">FA", "<A" } },
	{ "LAST_ACK", { ">S", "<SA", ">A", ">FA", "<A", "<FA" } },
	{ "TIME_WAIT", { ">S", "<SA", ">A", ">FA", "<A", "<FA", ">A" } },
	{ "CLOSE", { ">S", "<SA", ">A", ">R" } },
};
/* clang-format on */
