/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SCTP (RFC 9260), followed from the middle of the path.
 *
 * Theory of operation. A packet is a list of chunks; those that control the
 * association each lead to a next state (next_state), one after the other. A
 * chunk that fails makes the whole packet INVALID, but what the chunks before
 * it have led to stays.
 *
 * Each end has a verification tag, which it chooses in its INIT or INIT ACK and
 * which the peer puts into all it sends. A packet with another tag belongs to
 * another association, or is forged; 8.5.1 says which chunks have which tag.
 * track->vtag[dir] is the tag that packets of that direction carry.
 *
 * Both ends may begin at the same time (5.2.1), and an INIT may come late: what
 * an INIT ACK says is believed only if it can be the answer to an INIT that is
 * outstanding (track->init). An INIT with the tag that is known already is no
 * new one.
 *
 * An association may have several addresses: a path that is not the first one
 * begins with a HEARTBEAT and is a flow of its own. Since its tags are taken
 * from what passes, they may be wrong. So a HEARTBEAT with another tag passes,
 * and if the peer answers it the tags are learned anew.
 */
#include <netinet/in.h>

#include "daemon/engine/l4.h"
#include "daemon/engine/l4/ports.h"

#define HEADER_LEN	 12
#define VTAG_OFF	 4
#define CSUM_OFF	 8
#define CHUNK_HEADER_LEN 4
#define INIT_BODY_LEN	 16 /* tag, window, streams out and in, first TSN */

#define CHUNK_FLAG_T 0x01 /* the tag is the peer's own: it knows no other */

enum chunk_type {
	CHUNK_DATA = 0,
	CHUNK_INIT = 1,
	CHUNK_INIT_ACK = 2,
	CHUNK_HEARTBEAT = 4,
	CHUNK_HEARTBEAT_ACK = 5,
	CHUNK_ABORT = 6,
	CHUNK_SHUTDOWN = 7,
	CHUNK_SHUTDOWN_ACK = 8,
	CHUNK_ERROR = 9,
	CHUNK_COOKIE_ECHO = 10,
	CHUNK_COOKIE_ACK = 11,
	CHUNK_SHUTDOWN_COMPLETE = 14,
	CHUNK_TYPES, /* what is beyond changes nothing */
};

#define TYPE_BIT(name) (1u << CHUNK_##name)

/* Columns of next_state. */
enum kind {
	KIND_INIT = XCT_SCTP_PACKET_INIT,
	KIND_INIT_ACK = XCT_SCTP_PACKET_INIT_ACK,
	KIND_COOKIE_ECHO = XCT_SCTP_PACKET_COOKIE_ECHO,
	KIND_COOKIE_ACK = XCT_SCTP_PACKET_COOKIE_ACK,
	KIND_HEARTBEAT = XCT_SCTP_PACKET_HEARTBEAT,
	KIND_HEARTBEAT_ACK = XCT_SCTP_PACKET_HEARTBEAT_ACK,
	KIND_SHUTDOWN = XCT_SCTP_PACKET_SHUTDOWN,
	KIND_SHUTDOWN_ACK = XCT_SCTP_PACKET_SHUTDOWN_ACK,
	KIND_SHUTDOWN_COMPLETE = XCT_SCTP_PACKET_SHUTDOWN_COMPLETE,
	KIND_ABORT = XCT_SCTP_PACKET_ABORT,
	KIND_ERROR = XCT_SCTP_PACKET_ERROR,
	KINDS,
	KIND_NONE = XCT_SCTP_PACKET_DATA, /* data and the like */
};

_Static_assert((int)KINDS == (int)KIND_NONE, "what is no column comes last");

/* In track->flags. */
enum {
	/* A HEARTBEAT with an unknown tag has passed, from track->last_dir. */
	FLAG_HEARTBEAT_PENDING = 1 << 0,
};

/*
 * The state that a chunk leads to. First a line for the chunks of the end that
 * opened the flow, then one for those of the other.
 */
/* clang-format off */
#define NO XCT_SCTP_NONE
#define CL XCT_SCTP_CLOSED
#define CW XCT_SCTP_COOKIE_WAIT
#define CE XCT_SCTP_COOKIE_ECHOED
#define ES XCT_SCTP_ESTABLISHED
#define SS XCT_SCTP_SHUTDOWN_SENT
#define SR XCT_SCTP_SHUTDOWN_RECD
#define SA XCT_SCTP_SHUTDOWN_ACK_SENT
#define HS XCT_SCTP_HEARTBEAT_SENT
#define XX XCT_SCTP_STATES /* impossible */
static const uint8_t next_state[XCT_SCTP_STATES][XCT_DIRS][KINDS] = {
	/* INIT   COOKIE HEART  SHUTDOWN    ABORT
	 *    ACK ECHO ACK   ACK    ACK COMPL.  ERROR */

	/* Nothing seen. */
	[NO] = { { CL, CL, CL, CL, HS, CL, CL, SA, CL, CL, CL },
		 { XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX } },

	/* An INIT seen, or the end. Only an INIT ACK leads on. */
	[CL] = { { CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL },
		 { CL, CW, CL, CL, CL, CL, CL, CL, CL, CL, CL } },

	/* INIT ACK seen. Either end may send its cookie back: both do, where
	 * their INITs have crossed. */
	[CW] = { { CW, CW, CE, CW, CW, CW, CW, CW, CW, CL, CW },
		 { CW, CW, CE, CW, CW, CW, CW, CW, CW, CL, CW } },

	/* COOKIE ECHO seen. An ERROR says that the cookie is too old. */
	[CE] = { { CE, CE, CE, ES, CE, CE, CE, CE, CE, CL, CE },
		 { CE, CE, CE, ES, CE, CE, CE, CE, CE, CL, CL } },

	/* Open. */
	[ES] = { { ES, ES, ES, ES, ES, ES, SS, ES, ES, CL, ES },
		 { ES, ES, ES, ES, ES, ES, SR, ES, ES, CL, ES } },

	/* SHUTDOWN of the opener seen; its INIT is a new beginning. */
	[SS] = { { CL, SS, SS, SS, SS, SS, SS, SA, SS, CL, SS },
		 { SS, SS, SS, SS, SS, SS, SS, SA, SS, CL, SS } },

	/* SHUTDOWN of the other end seen. */
	[SR] = { { CL, SR, SR, SR, SR, SR, SR, SA, SR, CL, SR },
		 { SR, SR, SR, SR, SR, SR, SR, SA, SR, CL, SR } },

	/* SHUTDOWN ACK seen. */
	[SA] = { { SA, SA, SA, SA, SA, SA, SA, SA, CL, CL, SA },
		 { SA, SA, SA, SA, SA, SA, SA, SA, CL, CL, SA } },

	/* A path that is being probed: open when the other end answers. */
	[HS] = { { CW, CL, CL, CL, HS, HS, CL, SA, CL, CL, CL },
		 { XX, XX, XX, XX, HS, ES, XX, XX, XX, XX, XX } },
};
#undef NO
#undef CL
#undef CW
#undef CE
#undef ES
#undef SS
#undef SR
#undef SA
#undef HS
#undef XX
/* clang-format on */

struct chunk {
	uint8_t type;
	uint8_t flags;
	uint16_t len; /* as it says itself, header included */
	const uint8_t *body;
	uint32_t body_have; /* from there to the packet's end */
};

/* Take the chunk at *@off. False at the end, and if no chunk's header fits in
 * what is left. Padding of the last chunk may be missing. */
static bool next_chunk(const struct xct_pkt *pkt, uint32_t *off,
		       struct chunk *chunk)
{
	const uint8_t *at = pkt->l4 + *off;

	if (*off > pkt->l4_have || pkt->l4_have - *off < CHUNK_HEADER_LEN)
		return false;
	chunk->type = at[0];
	chunk->flags = at[1];
	chunk->len = xct_get_be16(at + 2);
	chunk->body = at + CHUNK_HEADER_LEN;
	chunk->body_have = pkt->l4_have - *off - CHUNK_HEADER_LEN;
	*off += (chunk->len + 3u) & ~3u;
	return true;
}

/* The tag that an INIT or INIT ACK chooses. False if it is cut short. */
static bool init_tag(const struct chunk *chunk, uint32_t *tag)
{
	if (chunk->body_have < INIT_BODY_LEN)
		return false;
	*tag = xct_get_be32(chunk->body);
	return true;
}

static enum kind kind_of(const struct chunk *chunk)
{
	switch (chunk->type) {
	case CHUNK_INIT:
		return KIND_INIT;
	case CHUNK_INIT_ACK:
		return KIND_INIT_ACK;
	case CHUNK_HEARTBEAT:
		return KIND_HEARTBEAT;
	case CHUNK_HEARTBEAT_ACK:
		return KIND_HEARTBEAT_ACK;
	case CHUNK_ABORT:
		return KIND_ABORT;
	case CHUNK_SHUTDOWN:
		return KIND_SHUTDOWN;
	case CHUNK_SHUTDOWN_ACK:
		return KIND_SHUTDOWN_ACK;
	case CHUNK_ERROR:
		return KIND_ERROR;
	case CHUNK_COOKIE_ECHO:
		return KIND_COOKIE_ECHO;
	case CHUNK_COOKIE_ACK:
		return KIND_COOKIE_ACK;
	case CHUNK_SHUTDOWN_COMPLETE:
		return KIND_SHUTDOWN_COMPLETE;
	default:
		return KIND_NONE;
	}
}

static uint8_t state_after(uint8_t state, enum xct_dir dir,
			   const struct chunk *chunk)
{
	enum kind kind = kind_of(chunk);

	return kind == KIND_NONE ? state : next_state[state][dir][kind];
}

/* Is @type a chunk that stands alone (6.10)? */
static bool is_lonely(uint8_t type)
{
	return type == CHUNK_INIT || type == CHUNK_INIT_ACK ||
	       type == CHUNK_SHUTDOWN_COMPLETE;
}

static enum xct_reason sctp_check(const struct xct_pkt *pkt)
{
	uint32_t off = HEADER_LEN;
	bool is_first = true, was_lonely = false;
	struct chunk chunk;

	if (pkt->l4_have < HEADER_LEN)
		return XCT_REASON_L4_SHORT;

	while (next_chunk(pkt, &off, &chunk)) {
		bool must_be_first = was_lonely || is_lonely(chunk.type) ||
				     chunk.type == CHUNK_COOKIE_ECHO ||
				     chunk.type == CHUNK_COOKIE_ACK;

		if (chunk.len == 0 || (must_be_first && !is_first))
			return XCT_REASON_SCTP_CHUNKS;
		was_lonely = is_lonely(chunk.type);
		is_first = false;
	}
	return is_first ? XCT_REASON_SCTP_CHUNKS : XCT_REASON_NONE;
}

/* TYPE_BIT()s of the chunks in the packet. */
static uint32_t types_in(const struct xct_pkt *pkt)
{
	uint32_t types = 0, off = HEADER_LEN;
	struct chunk chunk;

	while (next_chunk(pkt, &off, &chunk)) {
		if (chunk.type < CHUNK_TYPES)
			types |= 1u << chunk.type;
	}
	return types;
}

static enum xct_l4_verdict invalid(struct xct_l4_ctx *ctx,
				   enum xct_reason reason)
{
	ctx->reason = reason;
	return XCT_L4_INVALID;
}

/* Note which chunk it is about, should it be INVALID. */
static void set_cell(struct xct_l4_ctx *ctx, uint8_t state, enum kind kind)
{
	ctx->cell = (struct xct_cell){
		.proto = IPPROTO_SCTP,
		.state = state,
		.dir = (uint8_t)ctx->dir,
		.packet = (uint8_t)kind,
	};
}

/* Does the chunk end an association, or the beginning of one (8.4)? */
static bool is_end(enum kind kind)
{
	return kind == KIND_ABORT || kind == KIND_COOKIE_ACK ||
	       kind == KIND_SHUTDOWN_COMPLETE;
}

/* What the first packet's chunks tell of the tags. */
static enum xct_l4_verdict sctp_open(struct xct_l4_ctx *ctx,
				     struct xct_flow *flow)
{
	struct xct_sctp_track *track = &flow->track.sctp;
	uint32_t vtag = xct_get_be32(ctx->pkt->l4 + VTAG_OFF);
	uint32_t off = HEADER_LEN;
	struct chunk chunk;

	/* Wherever it is, before any other is believed. */
	while (next_chunk(ctx->pkt, &off, &chunk)) {
		set_cell(ctx, XCT_SCTP_NONE, kind_of(&chunk));
		if (is_end(kind_of(&chunk)))
			return invalid(ctx, XCT_REASON_SCTP_NOT_OPEN);
	}
	off = HEADER_LEN;
	while (next_chunk(ctx->pkt, &off, &chunk)) {
		set_cell(ctx, XCT_SCTP_NONE, kind_of(&chunk));
		switch (kind_of(&chunk)) {
		case KIND_NONE:
			return invalid(ctx, XCT_REASON_SCTP_NOT_OPEN);
		case KIND_INIT:
			if (vtag != 0)
				return invalid(ctx, XCT_REASON_SCTP_VTAG);
			if (!init_tag(&chunk, &track->vtag[XCT_DIR_REPLY]))
				return invalid(ctx, XCT_REASON_SCTP_CHUNKS);
			break;
		case KIND_HEARTBEAT:
			track->vtag[XCT_DIR_ORIG] = vtag;
			break;
		case KIND_SHUTDOWN_ACK:
			/* The answer to one that nobody knows has its tag. */
			track->vtag[XCT_DIR_REPLY] = vtag;
			break;
		default:
			break;
		}
	}
	return XCT_L4_OK;
}

/* The packet whose chunks are looked at, one by one. */
struct scene {
	struct xct_l4_ctx *ctx;
	struct xct_flow *flow;
	struct xct_sctp_track *track;
	uint32_t vtag;
	uint32_t types;
	bool is_ignored; /* it passes, but the timer stays */
};

enum judgement {
	JUDGE_ADVANCE, /* the chunk leads to the next state */
	JUDGE_SKIP,    /* .. does not, and makes the packet an ignored one */
	JUDGE_INVALID, /* ctx->reason says why */
};

static enum judgement refuse(const struct scene *s, enum xct_reason reason)
{
	s->ctx->reason = reason;
	return JUDGE_INVALID;
}

/* ABORT and SHUTDOWN COMPLETE reflect the tag if they know no other (8.5.1). */
static bool has_closing_tag(const struct scene *s, const struct chunk *chunk)
{
	enum xct_dir dir = s->ctx->dir;

	if (chunk->flags & CHUNK_FLAG_T)
		dir = dir == XCT_DIR_ORIG ? XCT_DIR_REPLY : XCT_DIR_ORIG;
	return s->vtag == s->track->vtag[dir];
}

/* A heartbeat whose tag is not the known one says nothing about a packet with
 * data, nor twice in a packet. */
static bool may_differ(const struct scene *s)
{
	return !(s->types & TYPE_BIT(DATA)) && !s->is_ignored;
}

static enum judgement judge_heartbeat(struct scene *s)
{
	struct xct_sctp_track *t = s->track;
	enum xct_dir dir = s->ctx->dir;

	if (t->vtag[dir] == 0) {
		t->vtag[dir] = s->vtag;
	} else if (t->vtag[dir] == s->vtag) {
		t->flags &= (uint8_t)~FLAG_HEARTBEAT_PENDING;
	} else if (!may_differ(s)) {
		return refuse(s, XCT_REASON_SCTP_VTAG);
	} else {
		t->flags |= FLAG_HEARTBEAT_PENDING;
		t->last_dir = (uint8_t)dir;
		s->is_ignored = true;
		return JUDGE_SKIP;
	}
	return JUDGE_ADVANCE;
}

static enum judgement judge_heartbeat_ack(struct scene *s)
{
	struct xct_sctp_track *t = s->track;
	enum xct_dir dir = s->ctx->dir;

	if (t->vtag[dir] == 0) {
		t->vtag[dir] = s->vtag;
	} else if (t->vtag[dir] == s->vtag) {
		t->flags &= (uint8_t)~FLAG_HEARTBEAT_PENDING;
	} else if (!may_differ(s) || !(t->flags & FLAG_HEARTBEAT_PENDING) ||
		   t->last_dir == dir) {
		return refuse(s, XCT_REASON_SCTP_VTAG);
	} else {
		t->flags &= (uint8_t)~FLAG_HEARTBEAT_PENDING;
		t->vtag[dir] = s->vtag;
		t->vtag[!dir] = 0; /* learned from the next heartbeat */
	}
	return JUDGE_ADVANCE;
}

/* Has the packet the tag that this chunk asks for? */
static enum judgement judge_tag(struct scene *s, const struct chunk *chunk)
{
	bool is_right = true;

	switch (kind_of(chunk)) {
	case KIND_INIT:
		is_right = s->vtag == 0;
		break;
	case KIND_ABORT:
	case KIND_SHUTDOWN_COMPLETE:
		is_right = has_closing_tag(s, chunk);
		break;
	case KIND_COOKIE_ECHO:
		is_right = s->vtag == s->track->vtag[s->ctx->dir];
		break;
	case KIND_COOKIE_ACK:
		/* The INITs have served. */
		s->track->init[XCT_DIR_ORIG] = false;
		s->track->init[XCT_DIR_REPLY] = false;
		break;
	case KIND_HEARTBEAT:
		return judge_heartbeat(s);
	case KIND_HEARTBEAT_ACK:
		return judge_heartbeat_ack(s);
	default:
		break;
	}
	return is_right ? JUDGE_ADVANCE : refuse(s, XCT_REASON_SCTP_VTAG);
}

/* An INIT chooses the tag of what comes back. */
static enum judgement take_init(struct scene *s, const struct chunk *chunk,
				uint8_t next)
{
	struct xct_sctp_track *t = s->track;
	enum xct_dir dir = s->ctx->dir;
	uint32_t tag;

	if (!init_tag(chunk, &tag))
		return refuse(s, XCT_REASON_SCTP_CHUNKS);

	/* One sent again, or late, begins nothing. */
	if (t->state == XCT_SCTP_NONE || t->vtag[!dir] != tag) {
		if (t->init[dir])
			t->init[!dir] = false;
		t->init[dir] = true;
	}
	t->vtag[!dir] = tag;

	/* Sent again and again, it must not keep the flow, and its
	 * translation, for ever. */
	if (t->state == XCT_SCTP_CLOSED && next == XCT_SCTP_CLOSED)
		s->is_ignored = true;
	return JUDGE_ADVANCE;
}

/* So does an INIT ACK, unless it cannot be the answer to the last INIT. */
static enum judgement take_init_ack(struct scene *s, const struct chunk *chunk)
{
	struct xct_sctp_track *t = s->track;
	enum xct_dir dir = s->ctx->dir;
	uint32_t tag, known = t->vtag[!dir];

	if (!init_tag(chunk, &tag))
		return refuse(s, XCT_REASON_SCTP_CHUNKS);
	if (known != tag &&
	    ((!t->init[!dir] && known) || (t->init[dir] && t->init[!dir])))
		return refuse(s, XCT_REASON_SCTP_VTAG);
	t->vtag[!dir] = tag;
	return JUDGE_ADVANCE;
}

static enum judgement advance(struct scene *s, const struct chunk *chunk)
{
	struct xct_sctp_track *t = s->track;
	uint8_t next = state_after(t->state, s->ctx->dir, chunk);
	enum judgement judgement = JUDGE_ADVANCE;

	if (next == XCT_SCTP_STATES)
		return refuse(s, XCT_REASON_SCTP_STATE);
	if (chunk->type == CHUNK_INIT)
		judgement = take_init(s, chunk, next);
	else if (chunk->type == CHUNK_INIT_ACK)
		judgement = take_init_ack(s, chunk);
	if (judgement == JUDGE_INVALID)
		return judgement;

	if (next == XCT_SCTP_ESTABLISHED && t->state != next)
		s->flow->status |= XCT_STATUS_ASSURED;
	s->ctx->is_moved |= t->state != next;
	t->state = next;
	return JUDGE_ADVANCE;
}

/* Chunks that have a rule of their own about the tag. */
#define OWN_TAG_RULE                                                      \
	(TYPE_BIT(INIT) | TYPE_BIT(ABORT) | TYPE_BIT(SHUTDOWN_COMPLETE) | \
	 TYPE_BIT(SHUTDOWN_ACK) | TYPE_BIT(COOKIE_ECHO) |                 \
	 TYPE_BIT(HEARTBEAT) | TYPE_BIT(HEARTBEAT_ACK))

static enum xct_l4_verdict sctp_update(struct xct_l4_ctx *ctx,
				       struct xct_flow *flow)
{
	struct xct_sctp_track *track = &flow->track.sctp;
	uint32_t off = HEADER_LEN;
	struct chunk chunk;
	struct scene s = {
		.ctx = ctx,
		.flow = flow,
		.track = track,
		.vtag = xct_get_be32(ctx->pkt->l4 + VTAG_OFF),
		.types = types_in(ctx->pkt),
	};

	if (!(s.types & OWN_TAG_RULE) && s.vtag != track->vtag[ctx->dir])
		return invalid(ctx, XCT_REASON_SCTP_VTAG);

	while (next_chunk(ctx->pkt, &off, &chunk)) {
		enum judgement judgement;

		set_cell(ctx, track->state, kind_of(&chunk));
		judgement = judge_tag(&s, &chunk);
		if (judgement == JUDGE_ADVANCE)
			judgement = advance(&s, &chunk);
		if (judgement == JUDGE_INVALID)
			return XCT_L4_INVALID;
	}
	if (s.is_ignored)
		return XCT_L4_IGNORE;
	xct_l4_refresh(ctx, flow, ctx->cfg->sctp[track->state]);
	return XCT_L4_OK;
}

static bool sctp_can_evict(const struct xct_flow *flow)
{
	switch (flow->track.sctp.state) {
	case XCT_SCTP_SHUTDOWN_SENT:
	case XCT_SCTP_SHUTDOWN_RECD:
	case XCT_SCTP_SHUTDOWN_ACK_SENT:
		return true;
	default:
		return false;
	}
}

static bool sctp_restore(union xct_track *track, xct_msec now)
{
	const struct xct_sctp_track *t = &track->sctp;
	uint8_t init[XCT_DIRS];

	(void)now;
	memcpy(init, t->init, sizeof(init)); /* they may be no booleans */
	return t->state < XCT_SCTP_STATES && t->last_dir < XCT_DIRS &&
	       init[XCT_DIR_ORIG] <= 1 && init[XCT_DIR_REPLY] <= 1;
}

const struct xct_l4_ops xct_l4_sctp = {
	.name = "sctp",
	.check = sctp_check,
	.key = xct_ports_key,
	.invert = xct_ports_invert,
	.open = sctp_open,
	.update = sctp_update,
	.rewrite = xct_ports_rewrite,
	.restore = sctp_restore,
	.can_evict = sctp_can_evict,
	.csum = XCT_CSUM_CRC32C,
	.csum_reason = XCT_REASON_CSUM_SCTP,
	.csum_off = CSUM_OFF,
	.has_ports = true,
	.has_states = true,
};
