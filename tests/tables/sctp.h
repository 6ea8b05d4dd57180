/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SCTP associations, packet by packet, each under a sentence that says what it
 * shows. A row is a packet and what it must lead to:
 *
 *   { direction, verification tag, chunks, verdict, state, ASSURED, seconds }
 *
 * direction: '>' from the end that opened the flow, '<' from the other, '+' no
 * packet but that many milliseconds (in place of the tag) of time. chunks: the
 * names below, INIT and INITACK with the tag they choose; "/t" sets the T flag.
 * The opener chooses tag 1 and the other end 2, so that '>' carries 2.
 */
/* clang-format off */

#define HANDSHAKE                                                             \
	{ '>', 0, "INIT=1",     OK, CLOSED, 0, 10 },                          \
	{ '<', 1, "INITACK=2",  OK, COOKIE_WAIT, 0, 3 },                      \
	{ '>', 2, "CE",         OK, COOKIE_ECHOED, 0, 3 },                    \
	{ '<', 1, "CA",         OK, ESTABLISHED, 1, 210 }

static const struct sctp_case sctp_cases[] = {
{ "a handshake makes a flow ESTABLISHED and ASSURED", {
	HANDSHAKE,
	{ '+', 5000, "", OK, ESTABLISHED, 1, 205 },
	{ '>', 2, "DATA", OK, ESTABLISHED, 1, 210 },
	{ '<', 1, "SACK", OK, ESTABLISHED, 1, 210 },
} },
{ "the cookie may come with data, and be acknowledged with it", {
	{ '>', 0, "INIT=1",    OK, CLOSED, 0, 10 },
	{ '<', 1, "INITACK=2", OK, COOKIE_WAIT, 0, 3 },
	{ '>', 2, "CE DATA DATA", OK, COOKIE_ECHOED, 0, 3 },
	{ '<', 1, "CA SACK DATA", OK, ESTABLISHED, 1, 210 },
} },
{ "the opener may close", {
	HANDSHAKE,
	{ '>', 2, "SD",    OK, SHUTDOWN_SENT, 1, 3 },
	{ '<', 1, "SDACK", OK, SHUTDOWN_ACK_SENT, 1, 3 },
	{ '>', 2, "SDC",   OK, CLOSED, 1, 10 },
} },
{ "the other end may close", {
	HANDSHAKE,
	{ '<', 1, "SD",    OK, SHUTDOWN_RECD, 1, 3 },
	{ '>', 2, "SDACK", OK, SHUTDOWN_ACK_SENT, 1, 3 },
	{ '<', 1, "SDC",   OK, CLOSED, 1, 10 },
} },
{ "all in one packet lead on one by one", {
	HANDSHAKE,
	{ '>', 2, "DATA SD", OK, SHUTDOWN_SENT, 1, 3 },
	{ '<', 1, "SACK SDACK", OK, SHUTDOWN_ACK_SENT, 1, 3 },
} },
{ "an ABORT closes, from either end", {
	HANDSHAKE,
	{ '<', 1, "ABORT", OK, CLOSED, 1, 10 },
} },
{ "an ABORT reflects the tag if the T flag says so", {
	HANDSHAKE,
	{ '<', 2, "ABORT",   BAD_VTAG, ESTABLISHED, 1, 210 },
	{ '<', 1, "ABORT/t", BAD_VTAG, ESTABLISHED, 1, 210 },
	{ '<', 2, "ABORT/t", OK, CLOSED, 1, 10 },
} },
{ "so does a SHUTDOWN COMPLETE", {
	HANDSHAKE,
	{ '>', 2, "SD",    OK, SHUTDOWN_SENT, 1, 3 },
	{ '<', 1, "SDACK", OK, SHUTDOWN_ACK_SENT, 1, 3 },
	{ '>', 1, "SDC",   BAD_VTAG, SHUTDOWN_ACK_SENT, 1, 3 },
	{ '>', 2, "SDC/t", BAD_VTAG, SHUTDOWN_ACK_SENT, 1, 3 },
	{ '>', 1, "SDC/t", OK, CLOSED, 1, 10 },
} },
{ "a server refuses by an ABORT with the tag of the INIT", {
	{ '>', 0, "INIT=1", OK, CLOSED, 0, 10 },
	{ '+', 4000, "",    OK, CLOSED, 0, 6 },
	{ '<', 1, "ABORT",  OK, CLOSED, 0, 10 },
} },
{ "an ERROR says that the cookie is stale", {
	{ '>', 0, "INIT=1",    OK, CLOSED, 0, 10 },
	{ '<', 1, "INITACK=2", OK, COOKIE_WAIT, 0, 3 },
	{ '>', 2, "CE",        OK, COOKIE_ECHOED, 0, 3 },
	{ '<', 1, "ERROR",     OK, CLOSED, 0, 10 },
} },

/* tags */
{ "data with another association's tag is invalid", {
	HANDSHAKE,
	{ '>', 1, "DATA", BAD_VTAG, ESTABLISHED, 1, 210 },
	{ '<', 3, "DATA", BAD_VTAG, ESTABLISHED, 1, 210 },
	{ '<', 3, "SD",   BAD_VTAG, ESTABLISHED, 1, 210 },
} },
{ "a cookie with another tag is invalid", {
	{ '>', 0, "INIT=1",    OK, CLOSED, 0, 10 },
	{ '<', 1, "INITACK=2", OK, COOKIE_WAIT, 0, 3 },
	{ '>', 9, "CE",        BAD_VTAG, COOKIE_WAIT, 0, 3 },
} },
{ "an INIT has no tag", {
	{ '>', 1, "INIT=1", BAD_VTAG, NONE, 0, 0 },
	{ '>', 0, "INIT=1", OK, CLOSED, 0, 10 },
	{ '>', 7, "INIT=1", BAD_VTAG, CLOSED, 0, 10 },
} },
{ "an INIT ACK must answer", {
	{ '>', 0, "INIT=1",    OK, CLOSED, 0, 10 },
	{ '<', 9, "INITACK=2", BAD_VTAG, CLOSED, 0, 10 },
	{ '<', 1, "INITACK=2", OK, COOKIE_WAIT, 0, 3 },
} },
{ "SHUTDOWN ACK is not held to its tag", {
	HANDSHAKE,
	{ '>', 2, "SD",    OK, SHUTDOWN_SENT, 1, 3 },
	{ '<', 9, "SDACK", OK, SHUTDOWN_ACK_SENT, 1, 3 },
} },

/* opening */
{ "an INIT sent again does not keep the flow", {
	{ '>', 0, "INIT=1", OK, CLOSED, 0, 10 },
	{ '+', 4000, "",    OK, CLOSED, 0, 6 },
	{ '>', 0, "INIT=1", IGNORE, CLOSED, 0, 6 },
	{ '>', 0, "INIT=5", IGNORE, CLOSED, 0, 6 },
	{ '<', 5, "INITACK=2", OK, COOKIE_WAIT, 0, 3 },
} },
{ "what is cut off the INIT makes it invalid", {
	{ '>', 0, "SHORT", BAD_CHUNKS, NONE, 0, 0 },
	{ '>', 0, "INIT=1", OK, CLOSED, 0, 10 },
	{ '>', 0, "SHORT", BAD_CHUNKS, CLOSED, 0, 10 },
} },
{ "data opens nothing", {
	{ '>', 2, "DATA", BAD_OPEN, NONE, 0, 0 },
	{ '>', 2, "SACK", BAD_OPEN, NONE, 0, 0 },
	{ '>', 2, "HB DATA", BAD_OPEN, NONE, 0, 0 },
} },
{ "nor does what ends an association", {
	{ '>', 2, "ABORT", BAD_OPEN, NONE, 0, 0 },
	{ '>', 2, "SDC",   BAD_OPEN, NONE, 0, 0 },
	{ '>', 2, "CA",    BAD_OPEN, NONE, 0, 0 },
} },
{ "nor does what needs a tag that is not known", {
	{ '>', 2, "INITACK=1", BAD_VTAG, NONE, 0, 0 },
	{ '>', 2, "CE",        BAD_VTAG, NONE, 0, 0 },
	{ '>', 2, "SD",        BAD_VTAG, NONE, 0, 0 },
	{ '>', 2, "ERROR",     BAD_VTAG, NONE, 0, 0 },
} },
{ "a SHUTDOWN ACK of an unknown association may be answered", {
	{ '>', 2, "SDACK", OK, SHUTDOWN_ACK_SENT, 0, 3 },
	{ '<', 2, "SDC",   OK, CLOSED, 0, 10 },
} },
{ "a cookie opens a flow where a heartbeat tells its tag", {
	{ '>', 2, "CE HB", OK, CLOSED, 0, 10 },
	{ '<', 0, "CE",    OK, CLOSED, 0, 10 },
} },

/* both ends at once, and again */
{ "INITs may cross", {
	{ '>', 0, "INIT=1",    OK, CLOSED, 0, 10 },
	{ '<', 0, "INIT=2",    IGNORE, CLOSED, 0, 10 },
	{ '<', 1, "INITACK=2", OK, COOKIE_WAIT, 0, 3 },
	{ '>', 2, "INITACK=1", OK, COOKIE_WAIT, 0, 3 },
	{ '<', 1, "CE",        OK, COOKIE_ECHOED, 0, 3 },
	{ '>', 2, "CA",        OK, ESTABLISHED, 1, 210 },
} },
{ "where INITs cross, an INIT ACK with a new tag is of another try", {
	{ '>', 0, "INIT=1",    OK, CLOSED, 0, 10 },
	{ '<', 0, "INIT=2",    IGNORE, CLOSED, 0, 10 },
	{ '<', 1, "INITACK=2", OK, COOKIE_WAIT, 0, 3 },
	{ '>', 2, "INITACK=7", BAD_VTAG, COOKIE_WAIT, 0, 3 },
	{ '<', 1, "CE",        OK, COOKIE_ECHOED, 0, 3 },
} },
{ "another INIT after that is a new try of one end", {
	{ '>', 0, "INIT=1",    OK, CLOSED, 0, 10 },
	{ '<', 0, "INIT=2",    IGNORE, CLOSED, 0, 10 },
	{ '>', 0, "INIT=8",    IGNORE, CLOSED, 0, 10 },
	{ '<', 8, "INITACK=9", OK, COOKIE_WAIT, 0, 3 },
} },
{ "an INIT ACK that comes too late is invalid", {
	HANDSHAKE,
	{ '<', 1, "INITACK=9", BAD_VTAG, ESTABLISHED, 1, 210 },
	{ '<', 1, "INITACK=2", OK, ESTABLISHED, 1, 210 },
} },
{ "an INIT that comes too late lets no INIT ACK in", {
	HANDSHAKE,
	{ '>', 0, "INIT=1",    OK, ESTABLISHED, 1, 210 },
	{ '<', 1, "INITACK=9", BAD_VTAG, ESTABLISHED, 1, 210 },
} },
{ "a new INIT on an open flow does, and brings new tags", {
	HANDSHAKE,
	{ '>', 0, "INIT=8",    OK, ESTABLISHED, 1, 210 },
	{ '<', 8, "INITACK=9", OK, ESTABLISHED, 1, 210 },
	{ '>', 9, "CE",        OK, ESTABLISHED, 1, 210 },
	{ '<', 8, "CA",        OK, ESTABLISHED, 1, 210 },
	{ '<', 1, "DATA",      BAD_VTAG, ESTABLISHED, 1, 210 },
	{ '<', 8, "DATA",      OK, ESTABLISHED, 1, 210 },
} },
{ "a closed flow opens again and stays ASSURED", {
	HANDSHAKE,
	{ '<', 1, "ABORT",     OK, CLOSED, 1, 10 },
	{ '>', 0, "INIT=8",    IGNORE, CLOSED, 1, 10 },
	{ '<', 8, "INITACK=9", OK, COOKIE_WAIT, 1, 3 },
	{ '>', 9, "CE",        OK, COOKIE_ECHOED, 1, 3 },
	{ '<', 8, "CA",        OK, ESTABLISHED, 1, 210 },
} },
{ "an INIT while the other end waits for SHUTDOWN ACK begins anew", {
	HANDSHAKE,
	{ '>', 2, "SD",     OK, SHUTDOWN_SENT, 1, 3 },
	{ '>', 0, "INIT=8", OK, CLOSED, 1, 10 },
} },

/* heartbeats: further paths */
{ "a heartbeat opens a path, its answer makes it ESTABLISHED", {
	{ '>', 2, "HB",    OK, HEARTBEAT_SENT, 0, 30 },
	{ '>', 2, "HB",    OK, HEARTBEAT_SENT, 0, 30 },
	{ '<', 1, "HBACK", OK, ESTABLISHED, 1, 210 },
	{ '>', 2, "DATA",  OK, ESTABLISHED, 1, 210 },
	{ '<', 1, "DATA",  OK, ESTABLISHED, 1, 210 },
} },
{ "a probed path answers nothing else", {
	{ '>', 2, "HB",    OK, HEARTBEAT_SENT, 0, 30 },
	{ '<', 0, "ERROR", BAD_STATE, HEARTBEAT_SENT, 0, 30 },
	{ '<', 0, "ABORT", BAD_STATE, HEARTBEAT_SENT, 0, 30 },
	{ '<', 0, "SD",    BAD_STATE, HEARTBEAT_SENT, 0, 30 },
} },
{ "a heartbeat with another tag passes; its answer brings new tags", {
	HANDSHAKE,
	{ '+', 1000, "",   OK, ESTABLISHED, 1, 209 },
	{ '>', 7, "HB",    IGNORE, ESTABLISHED, 1, 209 },
	{ '<', 8, "HBACK", OK, ESTABLISHED, 1, 210 },
	{ '<', 1, "DATA",  BAD_VTAG, ESTABLISHED, 1, 210 },
	{ '<', 8, "DATA",  OK, ESTABLISHED, 1, 210 },
	{ '>', 7, "HB",    OK, ESTABLISHED, 1, 210 },
	{ '>', 7, "DATA",  OK, ESTABLISHED, 1, 210 },
} },
{ "but not with data, and not twice", {
	HANDSHAKE,
	{ '>', 7, "HB DATA", BAD_VTAG, ESTABLISHED, 1, 210 },
	{ '>', 7, "HB HB",   BAD_VTAG, ESTABLISHED, 1, 210 },
} },
{ "an answer that nobody has asked for brings none", {
	HANDSHAKE,
	{ '<', 8, "HBACK", BAD_VTAG, ESTABLISHED, 1, 210 },
	{ '>', 7, "HB",    IGNORE, ESTABLISHED, 1, 210 },
	{ '>', 7, "HBACK", BAD_VTAG, ESTABLISHED, 1, 210 },
	{ '>', 2, "HB",    OK, ESTABLISHED, 1, 210 },
	{ '<', 8, "HBACK", BAD_VTAG, ESTABLISHED, 1, 210 },
} },

/* lists of chunks */
{ "INIT, INIT ACK and SHUTDOWN COMPLETE stand alone", {
	HANDSHAKE,
	{ '>', 0, "INIT=1 DATA",    BAD_CHUNKS, ESTABLISHED, 1, 210 },
	{ '>', 2, "DATA INITACK=1", BAD_CHUNKS, ESTABLISHED, 1, 210 },
	{ '>', 2, "SDC DATA",       BAD_CHUNKS, ESTABLISHED, 1, 210 },
} },
{ "cookies come first", {
	HANDSHAKE,
	{ '>', 2, "DATA CE", BAD_CHUNKS, ESTABLISHED, 1, 210 },
	{ '<', 1, "DATA CA", BAD_CHUNKS, ESTABLISHED, 1, 210 },
} },
{ "a packet without chunks, or with one of no length, is invalid", {
	HANDSHAKE,
	{ '>', 2, "",           BAD_CHUNKS, ESTABLISHED, 1, 210 },
	{ '>', 2, "EMPTY",      BAD_CHUNKS, ESTABLISHED, 1, 210 },
	{ '>', 2, "DATA EMPTY", BAD_CHUNKS, ESTABLISHED, 1, 210 },
} },
{ "what came before an impossible chunk has been seen", {
	HANDSHAKE,
	{ '>', 2, "SD ABORT/t", BAD_VTAG, SHUTDOWN_SENT, 1, 210 },
} },
};

/*
 * The state after one chunk, with the tag that it needs, in a flow that is
 * confirmed; "-": invalid. In the order INIT, INITACK, CE, CA, HB, HBACK, SD,
 * SDACK, SDC, ABORT, ERROR, DATA.
 */
static const char *const sctp_transitions[] = {
	"CLOSED >            CL CL CL CL CL CL CL CL CL CL CL CL",
	"CLOSED <            CL CW CL CL CL CL CL CL CL CL CL CL",
	"COOKIE_WAIT >       CW CW CE CW CW CW CW CW CW CL CW CW",
	"COOKIE_WAIT <       CW CW CE CW CW CW CW CW CW CL CW CW",
	"COOKIE_ECHOED >     CE CE CE ES CE CE CE CE CE CL CE CE",
	"COOKIE_ECHOED <     CE CE CE ES CE CE CE CE CE CL CL CE",
	"ESTABLISHED >       ES ES ES ES ES ES SS ES ES CL ES ES",
	"ESTABLISHED <       ES ES ES ES ES ES SR ES ES CL ES ES",
	"SHUTDOWN_SENT >     CL SS SS SS SS SS SS SA SS CL SS SS",
	"SHUTDOWN_SENT <     SS SS SS SS SS SS SS SA SS CL SS SS",
	"SHUTDOWN_RECD >     CL SR SR SR SR SR SR SA SR CL SR SR",
	"SHUTDOWN_RECD <     SR SR SR SR SR SR SR SA SR CL SR SR",
	"SHUTDOWN_ACK_SENT > SA SA SA SA SA SA SA SA CL CL SA SA",
	"SHUTDOWN_ACK_SENT < SA SA SA SA SA SA SA SA CL CL SA SA",
	"HEARTBEAT_SENT >    CW CL CL CL HS HS CL SA CL CL CL HS",
	"HEARTBEAT_SENT <    -  -  -  -  HS ES -  -  -  -  -  HS",
};
#undef HANDSHAKE
/* clang-format on */
