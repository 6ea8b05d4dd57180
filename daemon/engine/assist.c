/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What follows from what helpers read: connections that are expected, and text
 * that NAT rewrites.
 *
 * A helper looks at a packet at the hook that tracks it, after its addresses are
 * translated, and not again at another hook. What dies between the hooks is not
 * looked at: it reaches nobody.
 */
#include <sys/socket.h>

#include "daemon/engine/helper.h"
#include "daemon/engine/path.h"
#include "daemon/engine/seqadj.h"

#define PORT_TRIES     128 /* until one is found that nobody expects */
#define TCP_HEADER_MIN 20

static struct xct_help *help_of(const struct xct_visit *v)
{
	return xct_table_help(&v->eng->table, v->flow);
}

static bool is_translated(const struct xct_flow *flow)
{
	return flow->status & (XCT_STATUS_SRC_NAT | XCT_STATUS_DST_NAT);
}

void xct_flow_set_helper(struct xct_engine *eng, struct xct_flow *flow,
			 uint8_t id)
{
	struct xct_help *help = xct_table_help(&eng->table, flow);

	if (flow->status & XCT_STATUS_HELPED)
		return;
	*help = (struct xct_help){ .helper = id };
	atomic_signal_fence(memory_order_release);
	flow->status |= XCT_STATUS_HELPED;
}

/* ---- expectations ---- */

void xct_expect_describe(const struct xct_engine *eng,
			 const struct xct_flow *master, xct_msec now,
			 struct xct_expect_info *info)
{
	const struct xct_help *help = xct_table_help(&eng->table, master);

	memset(info, 0, sizeof(*info));
	xct_expect_tuple(&eng->table, master, &info->tuple);
	info->master = master->side[XCT_DIR_ORIG].tuple;
	info->helper = help->helper;
	if (help->expires_at > now)
		info->timeout_s = (uint32_t)((help->expires_at - now) / 1000);
}

static void tell(struct xct_engine *eng, const struct xct_flow *master,
		 enum xct_flow_event_type type)
{
	struct xct_flow_event *event;

	if (!eng->next_event)
		return;
	event = eng->next_event(eng->event_ctx);
	event->type = (uint8_t)type;
	event->parts = 0;
	event->time_ms = eng->now;
	xct_expect_describe(eng, master, eng->now, &event->expect);
}

void xct_flow_unexpect(struct xct_engine *eng, struct xct_flow *master)
{
	tell(eng, master, XCT_EXPECT_DESTROY);
	xct_expect_remove(&eng->expects, master);
	eng->stats.expect_delete++;
}

/* The next flow, before @end, that expects something, or NULL. */
static struct xct_flow *next_master(struct xct_engine *eng, uint32_t *cursor,
				    uint32_t end, xct_msec now)
{
	struct xct_flow *flow;

	while ((flow = xct_flow_next(eng, cursor, end, now)))
		if (flow->status & XCT_STATUS_HELPED &&
		    xct_table_help(&eng->table, flow)->expects)
			return flow;
	return NULL;
}

bool xct_engine_expects(
	struct xct_engine *eng, uint32_t *cursor, xct_msec now, uint32_t max,
	bool (*fn)(void *ctx, const struct xct_expect_info *info), void *ctx)
{
	uint32_t end = xct_flow_slice(eng, *cursor, max);
	struct xct_expect_info info;
	struct xct_flow *master;
	bool go_on = true;

	while (go_on && (master = next_master(eng, cursor, end, now))) {
		xct_expect_describe(eng, master, now, &info);
		go_on = fn(ctx, &info);
	}
	return *cursor < eng->table.header->n_used;
}

/* But for the source port, which is any, and the zone. */
static bool is_about(const struct xct_expect_info *info,
		     const struct xct_tuple *t)
{
	return info->tuple.family == t->family &&
	       info->tuple.proto == t->proto && info->tuple.dport == t->dport &&
	       xct_addr_equal(&info->tuple.src, &t->src) &&
	       xct_addr_equal(&info->tuple.dst, &t->dst);
}

bool xct_engine_unexpect(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
			 const struct xct_tuple *tuple, uint32_t max,
			 uint64_t *count)
{
	uint32_t end = xct_flow_slice(eng, *cursor, max);
	struct xct_expect_info info;
	struct xct_flow *master;

	eng->now = now;
	while ((master = next_master(eng, cursor, end, now))) {
		xct_expect_describe(eng, master, now, &info);
		if (tuple->family && !is_about(&info, tuple))
			continue;
		xct_flow_unexpect(eng, master);
		++*count;
	}
	return *cursor < eng->table.header->n_used;
}

/* v->flow, which has announced @said, expects a connection to @port, in place of
 * what it expected before. False: there is no room, or another flow expects the
 * same. */
static bool expect(struct xct_visit *v, const struct xct_helper_ops *ops,
		   xct_be16 said, xct_be16 port)
{
	struct xct_tuple t = v->flow->side[!v->dir].tuple;
	struct xct_engine *eng = v->eng;
	struct xct_help *help = help_of(v);

	t.sport = 0;
	t.dport = port;
	if (xct_expect_find(&eng->expects, &t, v->flow, v->now))
		return false;
	if (help->expects)
		xct_flow_unexpect(eng, v->flow);
	help->port = port;
	help->port_said = said;
	help->expires_at = v->now + (xct_msec)ops->timeout_s * 1000;
	atomic_signal_fence(memory_order_release);
	if (!xct_expect_add(&eng->expects, v->flow, v->dir))
		return false;
	eng->stats.expect_create++;
	tell(eng, v->flow, XCT_EXPECT_NEW);
	return true;
}

/* The same, to the port that is announced or, if that cannot be, to one above
 * it. What is announced again, since it was lost, is so by the same port. */
static bool expect_near(struct xct_visit *v, const struct xct_helper_ops *ops,
			xct_be16 said)
{
	struct xct_help *help = help_of(v);
	uint32_t first = xct_ntoh16(said), tries = UINT16_MAX - first, range;
	xct_be16 port =
		help->port_said == said && help->port ? help->port : said;

	range = tries;
	if (tries > PORT_TRIES)
		tries = PORT_TRIES;
	while (!expect(v, ops, said, port)) {
		if (!tries--)
			return false;
		port = xct_hton16(
			(uint16_t)(first +
				   xct_random_next(&v->eng->random) % range));
	}
	/* As the kernel: it cannot be said, but is expected. */
	return port != 0;
}

struct xct_flow *xct_path_expected(const struct xct_visit *v)
{
	struct xct_flow *master;

	if (!v->eng->expects.n || v->is_error)
		return NULL;
	master = xct_expect_find(&v->eng->expects, &v->tuple, NULL, v->now);
	if (!master || !(master->status & XCT_STATUS_CONFIRMED) ||
	    master->status & XCT_STATUS_DYING || master->expires_at <= v->now)
		return NULL; /* it is over, or has not begun yet */
	return master;
}

bool xct_path_follow(const struct xct_visit *v, const struct xct_flow *master,
		     struct xct_tuple *leaving)
{
	const struct xct_help *help = xct_table_help(&v->eng->table, master);
	const struct xct_tuple *announced =
		&master->side[xct_expect_dir(help)].tuple;

	if (!is_translated(master))
		return false;
	leaving->src = announced->dst;
	leaving->dst = announced->src;
	leaving->dport = help->port_said;
	return true;
}

void xct_path_fulfil(struct xct_visit *v, struct xct_flow *master)
{
	xct_table_note_help(&v->eng->table, master);
	v->eng->stats.expect_new++;
	xct_flow_unexpect(v->eng, master);
}

/* ---- packets ---- */

static bool refuse(struct xct_visit *v, enum xct_reason reason)
{
	xct_visit_drop(v, reason);
	return false;
}

static uint32_t header_len(const struct xct_pkt *pkt)
{
	return (uint32_t)(pkt->l4[12] >> 4) * 4;
}

/* Announce @a as NAT has changed it; what is expected is so by now. */
static bool rewrite(struct xct_visit *v, const struct xct_helper_ops *ops,
		    const struct xct_announcement *a, uint32_t seq)
{
	struct xct_announcement now = *a;
	struct xct_help *help = help_of(v);
	char text[XCT_HELPER_TEXT_MAX];
	uint32_t len;

	now.addr = v->flow->side[!v->dir].tuple.dst;
	now.port = help->port;
	len = ops->write(&now, text);
	if (len == a->len &&
	    !memcmp(text, v->pkt.l4 + header_len(&v->pkt) + a->off, len))
		return true;
	if (!xct_edit_splice(&v->pkt, v->meta, header_len(&v->pkt) + a->off,
			     a->len, text, len)) {
		xct_flow_unexpect(v->eng, v->flow);
		return refuse(v, XCT_REASON_TRUNCATED);
	}
	xct_seqadj_add(&help->adjust[v->dir], seq, (int32_t)(len - a->len));
	v->res->is_edited = true;
	v->eng->stats.announced++;
	xct_visit_report(
		v, &(struct xct_event){ .type = XCT_EVENT_ANNOUNCED,
					.helper = help->helper,
					.announced = { a->addr, now.addr },
					.port = { a->port, now.port } });
	return true;
}

/* What v's packet announces is expected, and reads as the other end must read
 * it. */
static bool announce(struct xct_visit *v, const struct xct_helper_ops *ops,
		     const struct xct_announcement *a,
		     const struct xct_speech *speech)
{
	/* Somebody else's address is none of ours to open a way to. */
	if (!xct_addr_equal(&a->addr, &speech->sender))
		return true;
	if (is_translated(v->flow))
		return expect_near(v, ops, a->port)
			       ? rewrite(v, ops, a, speech->seq)
			       : refuse(v, XCT_REASON_EXPECT);
	return expect(v, ops, a->port, a->port) || refuse(v, XCT_REASON_EXPECT);
}

static bool read_payload(struct xct_visit *v)
{
	const struct xct_helper_ops *ops = xct_helper(help_of(v)->helper);
	uint32_t header = header_len(&v->pkt);
	const struct xct_speech speech = {
		.data = v->pkt.l4 + header,
		.len = v->pkt.l4_len - header,
		.seq = xct_get_be32(v->pkt.l4 + 4),
		.family = v->pkt.family,
		.dir = v->dir,
		.sender = v->flow->side[v->dir].tuple.src,
	};
	struct xct_announcement a;
	enum xct_read found;

	if (!speech.len || v->res->cls != XCT_CLASS_ESTABLISHED)
		return true;
	found = ops->read(help_of(v), &speech, &a);
	if (found == XCT_READ_PARTIAL)
		return refuse(v, XCT_REASON_HELPER);
	/* Before it is rewritten: it reads as it was sent. */
	ops->passed(help_of(v), &speech);
	return found == XCT_READ_NOTHING || announce(v, ops, &a, &speech);
}

void xct_path_assist_quoted(struct xct_visit *v)
{
	const struct xct_seqadj *adjust = &help_of(v)->adjust[!v->dir];

	if (!xct_seqadj_is_any(adjust))
		return;
	memcpy(v->eng->heard, v->pkt.l4, header_len(&v->pkt));
	v->pkt.l4 = v->eng->heard;
	v->pkt.is_truncated = true; /* there is no more of it there */
	xct_seqadj_acks(adjust, &v->pkt);
}

void xct_path_assist_begin(struct xct_visit *v)
{
	const struct xct_seqadj *adjust = &help_of(v)->adjust[!v->dir];
	uint16_t before;

	if (v->is_error || !xct_seqadj_is_any(adjust) || v->pkt.is_truncated)
		return;
	before = xct_edit_sum(&v->pkt);
	memcpy(v->eng->heard, v->pkt.l4, header_len(&v->pkt));
	xct_seqadj_acks(adjust, &v->pkt);
	xct_edit_mend(&v->pkt, v->meta, before, v->pkt.l4_len);
}

/* It will reach nobody: the error about it quotes it as it came. */
static void take_back(struct xct_visit *v)
{
	const struct xct_seqadj *adjust = &help_of(v)->adjust[!v->dir];
	uint16_t before;

	if (!xct_seqadj_is_any(adjust) || v->pkt.is_truncated)
		return;
	before = xct_edit_sum(&v->pkt);
	memcpy(v->pkt.l4 + 8, v->eng->heard + 8, 4);
	memcpy(v->pkt.l4 + TCP_HEADER_MIN, v->eng->heard + TCP_HEADER_MIN,
	       header_len(&v->pkt) - TCP_HEADER_MIN);
	xct_edit_mend(&v->pkt, v->meta, before, v->pkt.l4_len);
}

bool xct_path_assist(struct xct_visit *v)
{
	const struct xct_help *help = help_of(v);
	uint32_t len = v->pkt.l4_len;
	bool was_edited = v->res->is_edited;
	uint16_t before;

	if (v->is_error)
		return true;
	if (v->is_dying) {
		take_back(v);
		return true;
	}
	if (v->pkt.is_truncated)
		return refuse(v, XCT_REASON_TRUNCATED);
	xct_table_note_help(&v->eng->table, v->flow);
	before = xct_edit_sum(&v->pkt);
	if (!read_payload(v))
		return false;
	xct_seqadj_seq(&help->adjust[v->dir], &v->pkt);
	if (xct_seqadj_is_any(&help->adjust[0]) ||
	    xct_seqadj_is_any(&help->adjust[1]))
		v->res->is_edited = true;
	if (!v->res->is_edited)
		return true;
	xct_edit_mend(&v->pkt, v->meta, before, len);
	if (!was_edited)
		v->eng->stats.edited++;
	return true;
}
