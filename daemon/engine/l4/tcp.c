/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TCP (RFC 9293), followed from the middle of the path.
 *
 * Theory of operation
 *
 * What is known of a connection is guessed from the segments that pass, which
 * may still get lost behind us, and of which others may never have passed. So
 * a segment is judged twice: can it occur in this state (next_state), and does
 * it lie in the window (judge_window)? A segment that fails is INVALID; it is
 * for the rules to drop it.
 *
 * Some segments cannot be judged: the flow may be out of step with both ends,
 * and only the answer tells. They are IGNOREd: they pass, nothing changes, but
 * what the answer will be compared with is remembered (remember()):
 *
 * - A SYN on a flow that is open. Answered by a SYN-ACK of exactly this SYN,
 *   the ends are starting anew, and the flow starts with them (resync()).
 *   Answered by a RST of it, the flow closes. Answered by a challenge ACK
 *   (RFC 5961 4.2), the ends are still in the old connection.
 * - An ACK that answers a SYN: the server holds a half-open connection. The
 *   client's RST of that ACK closes the flow.
 *
 * The window (Guido van Rooij, "Real Stateful TCP Packet Filtering in IP
 * Filter", 2000): each end has the limits
 *
 *   end	highest sequence number it has sent
 *   maxend	highest one that the peer's window allows it to send
 *   maxwin	largest window it has offered
 *   maxack	highest ACK it has sent (a RST below it is an old one)
 *
 * and a segment seq..end with acknowledgement ack (the highest SACK block
 * counts as one) is in the window if
 *
 *   I	 seq is at most its sender's maxend
 *   II	 end is at least its sender's end less the receiver's maxwin
 *   III ack is at most the receiver's end
 *   IV	 ack is at least the receiver's end less the sender's maxwin, but less
 *	 66000 where the window is smaller
 *
 * A flow picked up in its middle has unknown window scales: its ends are
 * liberal, what is outside their window passes and moves no limit.
 *
 * The timer is that of the new state, shortened where data stays unanswered.
 */
#include <netinet/in.h>

#include "daemon/engine/l4.h"
#include "daemon/engine/l4/ports.h"

#define HEADER_MIN 20
#define CSUM_OFF   16

#define ACK_DISTANCE_MIN   66000  /* rule IV: the least that is tolerated */
#define WSCALE_MAX	   14	  /* RFC 7323 2.3 */
#define LOWER_TIMEOUT_FROM 120000 /* milliseconds; see lower_timeout() */

enum {
	FLAG_FIN = 0x01,
	FLAG_SYN = 0x02,
	FLAG_RST = 0x04,
	FLAG_PSH = 0x08,
	FLAG_ACK = 0x10,
	FLAG_URG = 0x20,
	FLAG_ECE = 0x40,
	FLAG_CWR = 0x80,
};

enum {
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_WSCALE = 3,
	OPT_SACK_PERMITTED = 4,
	OPT_SACK = 5,
};

/* What is known of an end of the connection, or in last_flags: of the SYN that
 * was last ignored. */
enum xct_tcp_end_flags {
	END_WSCALE = 1 << 0,	   /* sent the window scale option */
	END_SACK = 1 << 1,	   /* sent SACK-permitted */
	END_CLOSED_FIRST = 1 << 2, /* sent the first FIN */
	END_LIBERAL = 1 << 3,	   /* its window is not known well */
	END_UNACKED = 1 << 4,	   /* has data under way */
	END_HAS_MAXACK = 1 << 5,

	/* only in last_flags */
	LAST_CHALLENGE = 1 << 6,    /* a challenge ACK may be the answer */
	LAST_SIMULTANEOUS = 1 << 7, /* both ends have sent a SYN */
};

#define END_OPTIONS (END_WSCALE | END_SACK)

/* Columns of next_state. */
enum kind {
	KIND_NONE = XCT_TCP_PACKET_NONE, /* also: no segment yet */
	KIND_SYN = XCT_TCP_PACKET_SYN,
	KIND_SYNACK = XCT_TCP_PACKET_SYNACK,
	KIND_FIN = XCT_TCP_PACKET_FIN,
	KIND_ACK = XCT_TCP_PACKET_ACK,
	KIND_RST = XCT_TCP_PACKET_RST,
	KINDS = XCT_TCP_PACKETS,
};

/* A segment's header, in host byte order. */
struct segment {
	enum kind kind;
	uint32_t seq;
	uint32_t ack;
	uint32_t end; /* the sequence number after it; SYN and FIN count */
	uint16_t win; /* unscaled */
	bool has_ack;
	bool is_syn; /* with or without ACK */
	const uint8_t *options;
	uint32_t options_len;
};

/* What next_state says besides states. */
enum { NEXT_INVALID = XCT_TCP_STATES, NEXT_IGNORE };

/*
 * The state that a segment leads to. One line for each state the connection is
 * in; left for a segment of the end that opened it, right for one of the other
 * end. What leads to no state is impossible (XX) or is let through until its
 * answer tells more (IG).
 */
/* clang-format off */
#define NO XCT_TCP_NONE
#define SS XCT_TCP_SYN_SENT
#define SR XCT_TCP_SYN_RECV
#define ES XCT_TCP_ESTABLISHED
#define FW XCT_TCP_FIN_WAIT
#define CW XCT_TCP_CLOSE_WAIT
#define LA XCT_TCP_LAST_ACK
#define TW XCT_TCP_TIME_WAIT
#define CL XCT_TCP_CLOSE
#define S2 XCT_TCP_SYN_SENT2
#define XX NEXT_INVALID
#define IG NEXT_IGNORE
static const uint8_t next_state[XCT_TCP_STATES][XCT_DIRS][KINDS] = {
	/*	opener sends			  other end sends
	 *	none SYN SYNACK FIN ACK RST	  none SYN SYNACK FIN ACK RST */

	/* Nothing seen. A SYN opens; an ACK is taken for the middle of a
	 * connection; anything else would close what is not there. */
	[NO] = { { XX, SS, XX, XX, ES, XX },	{ XX, XX, XX, XX, XX, XX } },

	/* SYN seen. It may come again. The other end accepts (SYN-ACK), opens
	 * at the same time (SYN), or has a half-open connection (ACK). */
	[SS] = { { XX, SS, XX, XX, XX, CL },	{ XX, S2, SR, XX, IG, CL } },

	/* SYN-ACK seen. The opener's ACK makes the connection; its SYN may be
	 * a new try, its SYN-ACK is of a simultaneous open. The other end's
	 * ACK may answer a SYN that came late. */
	[SR] = { { XX, IG, SR, FW, ES, CL },	{ XX, XX, IG, FW, SR, CL } },

	/* Open. A SYN is wrong, or we are: the other end will tell. */
	[ES] = { { XX, IG, XX, FW, ES, CL },	{ XX, XX, IG, FW, ES, CL } },

	/* One FIN seen; which end sent it does not matter. A second FIN, which
	 * may be the first again, waits for the last ACK. */
	[FW] = { { XX, IG, XX, LA, CW, CL },	{ XX, XX, IG, LA, CW, CL } },

	/* That FIN was followed by an ACK. */
	[CW] = { { XX, IG, XX, LA, CW, CL },	{ XX, XX, IG, LA, CW, CL } },

	/* Both FINs seen: this ACK is the last, unless it is a challenge. */
	[LA] = { { XX, IG, XX, LA, TW, CL },	{ XX, XX, IG, LA, TW, CL } },

	/* All seen. A SYN of either end opens a new connection (RFC 1122
	 * 4.2.2.13), the rest is late. */
	[TW] = { { XX, SS, XX, TW, TW, CL },	{ XX, SS, IG, TW, TW, CL } },

	/* Reset seen. The opener may try again, the rest is late. */
	[CL] = { { XX, SS, XX, CL, CL, CL },	{ XX, XX, IG, CL, CL, CL } },

	/* A SYN of each end seen: both now answer with SYN-ACK. */
	[S2] = { { XX, S2, SR, XX, XX, CL },	{ XX, S2, SR, XX, IG, CL } },
};
#undef NO
#undef SS
#undef SR
#undef ES
#undef FW
#undef CW
#undef LA
#undef TW
#undef CL
#undef S2
#undef XX
#undef IG
/* clang-format on */

/* Order of sequence numbers, which wrap. */
static inline bool is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool is_after(uint32_t a, uint32_t b)
{
	return is_before(b, a);
}

static enum kind kind_of(uint8_t flags)
{
	if (flags & FLAG_RST)
		return KIND_RST;
	if (flags & FLAG_SYN)
		return flags & FLAG_ACK ? KIND_SYNACK : KIND_SYN;
	if (flags & FLAG_FIN)
		return KIND_FIN;
	return flags & FLAG_ACK ? KIND_ACK : KIND_NONE;
}

static uint32_t header_len(const uint8_t *l4)
{
	return (uint32_t)(l4[12] >> 4) * 4;
}

/* tcp_check() has seen that the header is all there. */
static void read_segment(const struct xct_pkt *pkt, struct segment *seg)
{
	uint32_t len = header_len(pkt->l4);
	uint8_t flags = pkt->l4[13];

	seg->kind = kind_of(flags);
	seg->seq = xct_get_be32(pkt->l4 + 4);
	seg->ack = xct_get_be32(pkt->l4 + 8);
	seg->win = xct_get_be16(pkt->l4 + 14);
	seg->has_ack = flags & FLAG_ACK;
	seg->is_syn = flags & FLAG_SYN;
	seg->end = seg->seq + (pkt->l4_len - len) + (flags & FLAG_SYN ? 1 : 0) +
		   (flags & FLAG_FIN ? 1 : 0);
	seg->options = pkt->l4 + HEADER_MIN;
	seg->options_len = len - HEADER_MIN;
}

struct option {
	uint8_t kind;
	const uint8_t *value;
	uint32_t len; /* of the value */
};

/* Take the next option that has a length from the *@left bytes at *@at. False
 * at the end of the list, and where it makes no sense. */
static bool next_option(const uint8_t **at, uint32_t *left, struct option *opt)
{
	uint32_t size;

	while (*left && **at == OPT_NOP) {
		(*at)++;
		(*left)--;
	}
	if (*left < 2 || **at == OPT_END)
		return false;
	size = (*at)[1];
	if (size < 2 || size > *left)
		return false;

	*opt = (struct option){ **at, *at + 2, size - 2 };
	*at += size;
	*left -= size;
	return true;
}

/* Take window scale and SACK-permitted from a SYN. A SYN without any option
 * changes nothing. */
static void read_syn_options(const struct segment *seg, struct xct_tcp_end *end)
{
	const uint8_t *at = seg->options;
	uint32_t left = seg->options_len;
	struct option opt;

	if (!left)
		return;

	end->scale = 0;
	end->flags &= END_LIBERAL;
	while (next_option(&at, &left, &opt)) {
		if (opt.kind == OPT_SACK_PERMITTED && opt.len == 0) {
			end->flags |= END_SACK;
		} else if (opt.kind == OPT_WSCALE && opt.len == 1) {
			end->flags |= END_WSCALE;
			end->scale = opt.value[0] < WSCALE_MAX ? opt.value[0]
							       : WSCALE_MAX;
		}
	}
}

/* The highest sequence number acknowledged, selectively (RFC 2018) or not. */
static uint32_t highest_ack(const struct segment *seg)
{
	const uint8_t *at = seg->options;
	uint32_t i, left = seg->options_len;
	uint32_t highest = seg->ack;
	struct option opt;

	while (next_option(&at, &left, &opt)) {
		if (opt.kind != OPT_SACK || opt.len == 0 || opt.len % 8)
			continue;
		for (i = 0; i < opt.len; i += 8) {
			uint32_t right_edge = xct_get_be32(opt.value + i + 4);

			if (is_after(right_edge, highest))
				highest = right_edge;
		}
		break;
	}
	return highest;
}

static uint32_t at_least_one(uint32_t win)
{
	return win ? win : 1;
}

static bool is_closing(const struct xct_flow *flow)
{
	switch (flow->track.tcp.state) {
	case XCT_TCP_FIN_WAIT:
	case XCT_TCP_CLOSE_WAIT:
	case XCT_TCP_LAST_ACK:
	case XCT_TCP_TIME_WAIT:
	case XCT_TCP_CLOSE:
		return true;
	default:
		return false;
	}
}

/* Open, and seen to be from both sides. */
static bool is_established(const struct xct_flow *flow)
{
	return flow->track.tcp.state == XCT_TCP_ESTABLISHED &&
	       flow->status & XCT_STATUS_ASSURED;
}

/*
 * The window.
 */

/* What becomes of a segment. */
enum judgement {
	JUDGE_ACCEPT, /* it moves the connection to its next state */
	JUDGE_WINDOW, /* .. if it lies in the window */
	JUDGE_IGNORE,
	JUDGE_INVALID,
	JUDGE_REOPEN,
};

/* The segment being judged, and both ends seen from it. */
struct scene {
	struct xct_l4_ctx *ctx;
	struct xct_flow *flow;
	struct xct_tcp_track *track;
	struct xct_tcp_end *sender;
	struct xct_tcp_end *receiver;
	struct segment seg;
	uint8_t from; /* state */
	uint8_t to;
};

/* The first SYN or SYN-ACK of an end, or a new one in its place. */
static void start_end(const struct scene *s)
{
	s->sender->end = s->seg.end;
	s->sender->maxend = s->seg.end;
	s->sender->maxwin = at_least_one(s->seg.win);
	read_syn_options(&s->seg, s->sender);

	/* Windows are scaled only if both ends have offered it (RFC 7323 2.2),
	 * which is known once the other end has spoken. */
	if (s->ctx->dir == XCT_DIR_REPLY &&
	    !(s->sender->flags & s->receiver->flags & END_WSCALE)) {
		s->sender->scale = 0;
		s->receiver->scale = 0;
	}
}

/* The first segment of an end whose SYN has not been seen. */
static void adopt_end(const struct scene *s, uint32_t sack)
{
	s->sender->end = s->seg.end;
	s->sender->maxwin =
		at_least_one((uint32_t)s->seg.win << s->sender->scale);
	s->sender->maxend = s->seg.end + s->sender->maxwin;

	if (s->receiver->maxwin == 0) {
		/* The other end has not spoken yet: believe what this one says
		 * it has received. */
		s->receiver->end = sack;
		s->receiver->maxend = sack;
	} else if (sack == s->receiver->end + 1) {
		/* The answer to a keep-alive, which repeats the last byte. */
		s->receiver->end++;
	}
}

/* Outside of the window, but to be ignored only, unless nobody minds. */
static enum judgement ignore(const struct scene *s)
{
	if (s->ctx->cfg->tcp_liberal || s->sender->flags & END_LIBERAL)
		return JUDGE_ACCEPT;
	return JUDGE_IGNORE;
}

/* Outside by @excess bytes: INVALID for @reason, unless nobody minds. */
static enum judgement refuse(const struct scene *s, enum xct_reason reason,
			     uint32_t excess)
{
	enum judgement judgement = ignore(s);

	if (judgement == JUDGE_ACCEPT)
		return judgement;
	s->ctx->reason = reason;
	s->ctx->excess = excess;
	return JUDGE_INVALID;
}

static enum judgement judge_limits(const struct scene *s, uint32_t seq,
				   uint32_t end, uint32_t sack)
{
	struct xct_tcp_end *sender = s->sender;
	const struct xct_tcp_end *receiver = s->receiver;
	uint32_t distance = sender->maxwin > ACK_DISTANCE_MIN
				    ? sender->maxwin
				    : ACK_DISTANCE_MIN;
	uint32_t overshot = end - sender->maxend + 1;
	bool is_data_new, is_ack_known, is_ack_recent;

	is_data_new = is_after(end, sender->end - receiver->maxwin - 1);
	is_ack_known = is_before(sack, receiver->end + 1);
	is_ack_recent = is_after(sack, receiver->end - distance - 1);

	if (!is_before(seq, sender->maxend + 1)) {
		if (!receiver->maxwin || !is_data_new || !is_ack_known ||
		    !is_ack_recent || overshot > receiver->maxwin)
			return refuse(s, XCT_REASON_TCP_WINDOW_SEQ,
				      end - sender->maxend);
		/* Nothing wrong but more bytes than the window allows. Some
		 * stacks do that, and their peers acknowledge it: remember the
		 * end, or all that follows would break rule III. */
		sender->end = end;
		sender->flags |= END_UNACKED;
		return ignore(s);
	}
	if (!is_ack_known)
		return refuse(s, XCT_REASON_TCP_WINDOW_ACK,
			      sack - receiver->end);
	if ((receiver->maxwin && !is_data_new) || !is_ack_recent)
		return ignore(s);
	return JUDGE_WINDOW;
}

/* Move the limits by a segment in the window. */
static void move_limits(const struct scene *s, uint32_t end, uint32_t ack,
			uint32_t sack)
{
	struct xct_tcp_end *sender = s->sender;
	struct xct_tcp_end *receiver = s->receiver;
	uint32_t win = s->seg.win;

	if (!s->seg.is_syn)
		win <<= sender->scale;

	if (sender->maxwin < win + (sack - ack))
		sender->maxwin = win + (sack - ack);
	if (is_after(end, sender->end)) {
		sender->end = end;
		sender->flags |= END_UNACKED;
	}
	if (s->seg.has_ack && (!(sender->flags & END_HAS_MAXACK) ||
			       is_after(ack, sender->maxack))) {
		sender->maxack = ack;
		sender->flags |= END_HAS_MAXACK;
	}

	if (receiver->maxwin && is_after(end, sender->maxend))
		receiver->maxwin += end - sender->maxend;
	if (is_after(sack + win, receiver->maxend - 1))
		receiver->maxend = sack + at_least_one(win);
	if (ack == receiver->end)
		receiver->flags &= (uint8_t)~END_UNACKED;
}

/* Count how often the same segment has come without anything in between. */
static void count_retrans(const struct scene *s, uint32_t seq, uint32_t end,
			  uint32_t ack)
{
	struct xct_tcp_track *t = s->track;

	if (s->seg.kind != KIND_ACK)
		return;
	if (t->last_dir == s->ctx->dir && t->last_seq == seq &&
	    t->last_ack == ack && t->last_end == end &&
	    t->last_win == s->seg.win) {
		t->retrans++;
		return;
	}
	t->last_dir = (uint8_t)s->ctx->dir;
	t->last_seq = seq;
	t->last_ack = ack;
	t->last_end = end;
	t->last_win = s->seg.win;
	t->retrans = 0;
}

/* JUDGE_ACCEPT, _IGNORE or _INVALID. */
static enum judgement judge_window(const struct scene *s)
{
	const struct segment *seg = &s->seg;
	uint32_t seq = seg->seq, end = seg->end;
	uint32_t ack = seg->ack, sack = seg->ack;
	enum judgement judgement;

	if (s->receiver->flags & END_SACK)
		sack = highest_ack(seg);

	if (s->sender->maxwin == 0 && !seg->is_syn) {
		adopt_end(s, sack);
	} else if (s->sender->maxwin == 0 ||
		   (seg->is_syn && is_after(end, s->sender->end) &&
		    (s->track->state == XCT_TCP_SYN_SENT ||
		     s->track->state == XCT_TCP_SYN_RECV))) {
		bool is_first = s->sender->maxwin == 0;

		/* A later SYN or SYN-ACK with a higher number replaces the one
		 * before: a new try of the same end. */
		start_end(s);
		if (!seg->has_ack && (is_first || s->ctx->dir == XCT_DIR_REPLY))
			return JUDGE_ACCEPT; /* simultaneous open */
	}

	/* Without an ACK, and with the zero that some stacks put into a RST,
	 * assume the right one. */
	if (!seg->has_ack || (seg->kind == KIND_RST && ack == 0))
		ack = sack = s->receiver->end;
	/* A RST that answers a SYN has no number to go by. */
	if (seg->kind == KIND_RST && seq == 0 &&
	    s->track->state == XCT_TCP_SYN_SENT)
		seq = end = s->sender->end;

	judgement = judge_limits(s, seq, end, sack);
	if (judgement != JUDGE_WINDOW)
		return judgement;
	move_limits(s, end, ack, sack);
	count_retrans(s, seq, end, ack);
	return JUDGE_ACCEPT;
}

/*
 * What the state table alone cannot tell.
 */

/* Does this SYN-ACK answer exactly the SYN that was ignored before? */
static bool answers_ignored_syn(const struct scene *s)
{
	return s->seg.kind == KIND_SYNACK && s->track->last_index == KIND_SYN &&
	       s->track->last_dir != s->ctx->dir &&
	       s->seg.ack == s->track->last_end;
}

/* The ends have begun a new connection: begin with them, from the SYN that was
 * remembered and from this SYN-ACK. */
static void resync(struct scene *s)
{
	struct xct_tcp_track *t = s->track;

	t->last_flags &= (uint8_t)~LAST_CHALLENGE;
	*s->receiver = (struct xct_tcp_end){
		.end = t->last_end,
		.maxend = t->last_end,
		.maxwin = at_least_one(t->last_win),
		.scale = t->last_wscale,
		.flags = t->last_flags,
	};
	*s->sender = (struct xct_tcp_end){
		.flags = s->sender->flags & END_LIBERAL,
	};
	s->from = XCT_TCP_SYN_SENT;
	s->to = XCT_TCP_SYN_RECV;
}

/* Let a segment through and note what its answer will refer to. */
static void remember(const struct scene *s)
{
	struct xct_tcp_track *t = s->track;
	struct xct_tcp_end syn = { .flags = 0 };

	t->last_index = (uint8_t)s->seg.kind;
	t->last_dir = (uint8_t)s->ctx->dir;
	t->last_seq = s->seg.seq;
	t->last_end = s->seg.end;
	t->last_win = s->seg.win;

	if (s->seg.kind == KIND_SYN && s->ctx->dir == XCT_DIR_ORIG) {
		read_syn_options(&s->seg, &syn);
		t->last_flags = syn.flags & END_OPTIONS;
		t->last_wscale = syn.scale;
		/* Here a challenge ACK would look like the last ACK. */
		if (s->from == XCT_TCP_LAST_ACK)
			t->last_flags |= LAST_CHALLENGE;
	}
	if (s->from == XCT_TCP_SYN_SENT && s->seg.kind == KIND_ACK)
		t->last_ack = s->seg.ack;
}

static enum judgement judge_ignored(struct scene *s)
{
	if (answers_ignored_syn(s)) {
		resync(s);
		return JUDGE_WINDOW;
	}
	remember(s);
	return JUDGE_IGNORE;
}

/* A SYN in TIME_WAIT or CLOSE: a new connection, if the old one is known to be
 * over: it was closed in order, or this end has reset it. */
static enum judgement judge_reopening(struct scene *s)
{
	const struct xct_tcp_track *t = s->track;

	if ((s->sender->flags | s->receiver->flags) & END_CLOSED_FIRST ||
	    (t->last_index == KIND_RST && t->last_dir == s->ctx->dir))
		return JUDGE_REOPEN;
	return judge_ignored(s);
}

/* Is this ACK a challenge: "the SYN you sent is not of our connection"? */
static bool is_challenge_ack(const struct scene *s)
{
	return s->from == XCT_TCP_LAST_ACK && s->seg.kind == KIND_ACK &&
	       s->track->last_index == KIND_SYN &&
	       s->track->last_dir != s->ctx->dir &&
	       s->track->last_flags & LAST_CHALLENGE;
}

/*
 * Does the RST answer what was ignored before? Then the flow is over, whatever
 * the window, since the window does not know of the ignored segment:
 * - a SYN on an open connection, or an ACK of a half-open one, is refused;
 * - a client resets what a challenge ACK told it of.
 */
static bool is_rst_of_ignored(const struct scene *s)
{
	const struct xct_tcp_track *t = s->track;
	uint32_t status = s->flow->status;

	if (s->seg.ack == t->last_end &&
	    ((t->last_index == KIND_SYN && t->last_dir != s->ctx->dir &&
	      status & XCT_STATUS_SEEN_REPLY) ||
	     (t->last_index == KIND_ACK && !(status & XCT_STATUS_ASSURED))))
		return true;
	return s->from == XCT_TCP_SYN_SENT && t->last_index == KIND_ACK &&
	       t->last_dir == XCT_DIR_REPLY && s->seg.seq == t->last_ack;
}

/* Does the RST directly follow the last segment of its sender? */
static bool is_rst_of_train(const struct scene *s)
{
	return s->track->last_index == KIND_ACK &&
	       s->track->last_dir == s->ctx->dir &&
	       s->seg.seq == s->track->last_end;
}

static enum judgement judge_rst(struct scene *s)
{
	uint32_t seq = s->seg.seq, maxack = s->receiver->maxack;

	/* The end is near anyway, and the ports may be in use again already:
	 * what is remembered may be of the connection before. */
	if (is_closing(s->flow))
		return JUDGE_ACCEPT;

	/* After a SYN that was let through, maxack says nothing. */
	if (s->receiver->flags & END_HAS_MAXACK &&
	    s->track->last_index != KIND_SYN) {
		if (seq == 0 && !is_established(s->flow))
			return JUDGE_WINDOW;
		if (is_before(seq, maxack) &&
		    !s->ctx->cfg->tcp_ignore_invalid_rst) {
			s->ctx->reason = XCT_REASON_TCP_RST;
			s->ctx->excess = maxack - seq;
			return JUDGE_INVALID;
		}
		if (!is_established(s->flow) || seq == maxack ||
		    is_rst_of_train(s))
			return JUDGE_WINDOW;
		/* In the window but not exact: its receiver will challenge it
		 * (RFC 5961 3.2), so the connection may well live on. */
		s->to = s->from;
	}
	return is_rst_of_ignored(s) ? JUDGE_ACCEPT : JUDGE_WINDOW;
}

/* May it happen in this state, and which state is next (@s->to)? */
static enum judgement judge_transition(struct scene *s)
{
	switch (s->to) {
	case NEXT_INVALID:
		s->ctx->reason = XCT_REASON_TCP_STATE;
		return JUDGE_INVALID;
	case NEXT_IGNORE:
		return judge_ignored(s);
	case XCT_TCP_SYN_SENT:
		if (s->from == XCT_TCP_TIME_WAIT || s->from == XCT_TCP_CLOSE)
			return judge_reopening(s);
		break;
	case XCT_TCP_SYN_SENT2:
		s->track->last_flags |= LAST_SIMULTANEOUS;
		break;
	case XCT_TCP_SYN_RECV:
		/* Of a simultaneous open either end's ACK completes it. */
		if (s->ctx->dir == XCT_DIR_REPLY && s->seg.kind == KIND_ACK &&
		    s->track->last_flags & LAST_SIMULTANEOUS)
			s->to = XCT_TCP_ESTABLISHED;
		break;
	case XCT_TCP_TIME_WAIT:
		if (is_challenge_ack(s)) {
			s->track->last_flags &= (uint8_t)~LAST_CHALLENGE;
			return JUDGE_IGNORE;
		}
		break;
	case XCT_TCP_CLOSE:
		if (s->seg.kind == KIND_RST)
			return judge_rst(s);
		break;
	}
	return JUDGE_WINDOW;
}

/*
 * Timeouts.
 */

/* Seconds until the flow expires if nothing more comes. */
static uint32_t choose_timeout(const struct scene *s)
{
	const struct xct_l4_config *cfg = s->ctx->cfg;
	const struct xct_tcp_track *t = s->track;
	uint32_t timeout = cfg->tcp[s->to];
	uint32_t retrans = cfg->tcp[XCT_TCP_TIMEOUT_RETRANS];
	uint32_t unack = cfg->tcp[XCT_TCP_TIMEOUT_UNACK];
	bool is_unacked = (t->seen[0].flags | t->seen[1].flags) & END_UNACKED;

	if (t->retrans >= cfg->tcp_max_retrans && timeout > retrans)
		timeout = retrans;
	else if (s->seg.kind == KIND_RST)
		timeout = cfg->tcp[XCT_TCP_CLOSE];
	else if (is_unacked && timeout > unack)
		timeout = unack;
	else if (t->last_win == 0 && timeout > retrans)
		timeout = retrans;

	/* Picked up and not answered yet: it may be long dead. */
	if (!(s->flow->status & XCT_STATUS_SEEN_REPLY) &&
	    s->to == XCT_TCP_ESTABLISHED && timeout > unack)
		timeout = unack;
	return timeout;
}

/*
 * Both ends have sent a FIN or RST outside of the window: they have closed a
 * connection that the flow is out of step with. Do not keep it for days.
 */
static void lower_timeout(const struct scene *s)
{
	struct xct_tcp_track *t = s->track;
	xct_msec now = s->ctx->now, expires_at = s->flow->expires_at;
	uint32_t unack = s->ctx->cfg->tcp[XCT_TCP_TIMEOUT_UNACK];

	if (!(s->flow->status & XCT_STATUS_ASSURED) ||
	    s->flow->status & XCT_STATUS_FIXED_TIMEOUT ||
	    (s->seg.kind != KIND_RST && s->seg.kind != KIND_FIN))
		return;

	if (t->last_dir == s->ctx->dir ||
	    (t->last_index != KIND_FIN && t->last_index != KIND_RST)) {
		t->last_index = (uint8_t)s->seg.kind;
		t->last_dir = (uint8_t)s->ctx->dir;
	} else if (expires_at >= now + LOWER_TIMEOUT_FROM &&
		   expires_at > now + (xct_msec)unack * 1000) {
		xct_l4_refresh(s->ctx, s->flow, unack);
	}
}

/*
 * The operations.
 */

static enum xct_reason tcp_check(const struct xct_pkt *pkt)
{
	uint32_t len;

	if (pkt->l4_have < HEADER_MIN)
		return XCT_REASON_L4_SHORT;
	len = header_len(pkt->l4);
	if (len < HEADER_MIN || len > pkt->l4_have || len > pkt->l4_len)
		return XCT_REASON_L4_SHORT;

	switch (pkt->l4[13] & ~(FLAG_PSH | FLAG_ECE | FLAG_CWR)) {
	case FLAG_SYN:
	case FLAG_SYN | FLAG_URG:
	case FLAG_SYN | FLAG_ACK:
	case FLAG_RST:
	case FLAG_RST | FLAG_ACK:
	case FLAG_FIN | FLAG_ACK:
	case FLAG_FIN | FLAG_ACK | FLAG_URG:
	case FLAG_ACK:
	case FLAG_ACK | FLAG_URG:
		return XCT_REASON_NONE;
	default:
		return XCT_REASON_TCP_FLAGS;
	}
}

static void set_cell(struct xct_l4_ctx *ctx, uint8_t state, enum kind kind)
{
	ctx->cell = (struct xct_cell){
		.proto = IPPROTO_TCP,
		.state = state,
		.dir = (uint8_t)ctx->dir,
		.packet = (uint8_t)kind,
	};
}

static enum xct_l4_verdict tcp_open(struct xct_l4_ctx *ctx,
				    struct xct_flow *flow)
{
	struct xct_tcp_end *opener = &flow->track.tcp.seen[XCT_DIR_ORIG];
	struct xct_tcp_end *other = &flow->track.tcp.seen[XCT_DIR_REPLY];
	struct segment seg;

	read_segment(ctx->pkt, &seg);
	if (seg.kind != KIND_SYN &&
	    !(seg.kind == KIND_ACK && ctx->cfg->tcp_loose)) {
		ctx->reason = XCT_REASON_TCP_NOT_OPEN;
		set_cell(ctx, XCT_TCP_NONE, seg.kind);
		return XCT_L4_INVALID;
	}

	opener->end = seg.end;
	opener->maxend = seg.end;
	opener->maxwin = at_least_one(seg.win);
	if (seg.kind == KIND_SYN) {
		read_syn_options(&seg, opener);
	} else {
		opener->maxend += opener->maxwin;
		opener->flags = other->flags = END_SACK | END_LIBERAL;
	}
	return XCT_L4_OK;
}

/* As if it were picked up in its middle: its window scales are unknown. What
 * is still to be answered will tell them. */
static void tcp_join(union xct_track *track)
{
	struct xct_tcp_end *seen = track->tcp.seen;

	if (track->tcp.state > XCT_TCP_SYN_SENT)
		seen[XCT_DIR_ORIG].flags = seen[XCT_DIR_REPLY].flags =
			END_SACK | END_LIBERAL;
}

/* The segment is valid: the connection moves on. */
static enum xct_l4_verdict advance(const struct scene *s)
{
	struct xct_tcp_track *t = s->track;
	struct xct_flow *flow = s->flow;

	t->last_index = (uint8_t)s->seg.kind;
	t->last_dir = (uint8_t)s->ctx->dir;
	t->state = s->to;
	s->ctx->is_moved = s->from != s->to;
	if (s->to == XCT_TCP_FIN_WAIT && s->from != XCT_TCP_FIN_WAIT)
		s->sender->flags |= END_CLOSED_FIRST;

	if (!(flow->status & XCT_STATUS_SEEN_REPLY)) {
		/* Refused at once: there never was a connection. */
		if (s->seg.kind == KIND_RST)
			return XCT_L4_CLOSE;
		/* A SYN sent again and again must not keep the flow, and its
		 * translation, for ever. */
		if (s->seg.kind == KIND_SYN && s->from == XCT_TCP_SYN_SENT)
			return XCT_L4_IGNORE;
	} else if (s->to == XCT_TCP_ESTABLISHED) {
		/* The handshake is complete, or what was picked up has been
		 * answered. */
		flow->status |= XCT_STATUS_ASSURED;
	}
	xct_l4_refresh(s->ctx, flow, choose_timeout(s));
	return XCT_L4_OK;
}

static enum xct_l4_verdict tcp_update(struct xct_l4_ctx *ctx,
				      struct xct_flow *flow)
{
	struct xct_tcp_track *t = &flow->track.tcp;
	enum judgement judgement;
	struct scene s = {
		.ctx = ctx,
		.flow = flow,
		.track = t,
		.sender = &t->seen[ctx->dir],
		.receiver = &t->seen[!ctx->dir],
		.from = t->state,
	};

	read_segment(ctx->pkt, &s.seg);
	s.to = next_state[t->state][ctx->dir][s.seg.kind];

	judgement = judge_transition(&s);
	if (judgement == JUDGE_WINDOW) {
		judgement = judge_window(&s);
		if (judgement == JUDGE_INVALID)
			lower_timeout(&s);
	}

	switch (judgement) {
	case JUDGE_REOPEN:
		return XCT_L4_REOPEN;
	case JUDGE_INVALID:
		set_cell(ctx, s.from, s.seg.kind);
		return XCT_L4_INVALID;
	case JUDGE_IGNORE:
		return XCT_L4_IGNORE;
	default:
		return advance(&s);
	}
}

/* Numbers that something is indexed or shifted by. */
static bool tcp_restore(union xct_track *track, xct_msec now)
{
	const struct xct_tcp_track *t = &track->tcp;

	(void)now;
	return t->state < XCT_TCP_STATES && t->last_index < KINDS &&
	       t->last_dir < XCT_DIRS && t->last_wscale <= WSCALE_MAX &&
	       t->seen[XCT_DIR_ORIG].scale <= WSCALE_MAX &&
	       t->seen[XCT_DIR_REPLY].scale <= WSCALE_MAX;
}

const struct xct_l4_ops xct_l4_tcp = {
	.name = "tcp",
	.check = tcp_check,
	.key = xct_ports_key,
	.invert = xct_ports_invert,
	.open = tcp_open,
	.update = tcp_update,
	.rewrite = xct_ports_rewrite,
	.join = tcp_join,
	.restore = tcp_restore,
	.can_evict = is_closing,
	.csum = XCT_CSUM_PSEUDO,
	.csum_reason = XCT_REASON_CSUM_TCP,
	.csum_off = CSUM_OFF,
	.has_ports = true,
	.has_states = true,
};
