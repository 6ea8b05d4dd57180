/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a packet says of itself: headers, tuple, whether its checksum is right,
 * hash. Looks at nothing that another thread may change, so that workers do it
 * side by side.
 */
#include "daemon/engine/edit.h"
#include "daemon/engine/visit.h"

/* The connection an ICMP error is about: the inverse of the tuple it quotes. */
static XCT_APART enum xct_reason read_quoted(struct xct_visit *v, uint32_t off)
{
	struct xct_tuple inner = { .proto = 0 };
	const struct xct_l4_ops *l4;

	if (xct_pkt_parse(&v->quoted, v->pkt.l4 + off, v->pkt.l4_have - off,
			  true) != XCT_REASON_NONE ||
	    v->quoted.family != v->pkt.family)
		return XCT_REASON_ICMP_QUOTE;
	l4 = xct_l4(v->quoted.proto);
	inner.family = v->quoted.family;
	inner.proto = v->quoted.proto;
	xct_pkt_addrs(&v->quoted, &inner.src, &inner.dst);
	if (!l4->key(&v->quoted, &inner) ||
	    !xct_tuple_invert(&inner, &v->tuple))
		return XCT_REASON_ICMP_QUOTE;
	v->is_error = true;
	return XCT_REASON_NONE;
}

/* Fill the tuple. Returns why the packet cannot have one. */
static enum xct_reason read_tuple(const struct xct_engine *eng,
				  struct xct_visit *v)
{
	enum xct_reason reason;
	uint32_t quote_off;

	v->l4 = xct_l4(v->pkt.proto);
	v->tuple.family = v->pkt.family;
	v->tuple.proto = v->pkt.proto;
	xct_pkt_addrs(&v->pkt, &v->tuple.src, &v->tuple.dst);
	if (v->l4->check) {
		reason = v->l4->check(&v->pkt);
		if (reason != XCT_REASON_NONE)
			return v->pkt.is_ext_cut ? XCT_REASON_EXT_HEADER
						 : reason;
	}
	if (atomic_load_explicit(&eng->verifies, memory_order_relaxed) &&
	    xct_visit_is_damaged(v))
		return v->l4->csum_reason;
	if (!v->l4->key(&v->pkt, &v->tuple))
		return XCT_REASON_L4_SHORT;
	if (!xct_pkt_is_icmp(&v->pkt))
		return XCT_REASON_NONE;
	quote_off = xct_icmp_quote_off(&v->pkt);
	if (quote_off)
		return read_quoted(v, quote_off);
	v->is_untracked =
		xct_icmp_is_untracked(v->pkt.family, v->tuple.icmp_type);
	return XCT_REASON_NONE;
}

void xct_engine_read(const struct xct_engine *eng, uint8_t *data, uint32_t len,
		     const struct xct_meta *meta, struct xct_visit *v)
{
	v->meta = meta;
	v->l4 = NULL;
	v->hash = 0;
	v->is_error = false;
	v->is_untracked = false;
	memset(&v->tuple, 0, sizeof(v->tuple));
	v->reason = xct_pkt_parse(&v->pkt, data, len, false);
	if (v->reason == XCT_REASON_NONE)
		v->reason = read_tuple(eng, v);
	if (v->reason == XCT_REASON_NONE)
		v->hash = xct_table_hash(&eng->table, &v->tuple);
}

/* A packet is in the zone of the interface it came in by; what this host makes
 * is in that of the interface that it leaves by. An ICMP error is looked for
 * where the answers of what it quotes would be. */
static uint16_t zone_of(struct xct_engine *eng, const struct xct_visit *v)
{
	const struct xct_meta *meta = v->meta;

	return xct_zone_of(eng, meta->in_if ? meta->in_if : meta->out_if,
			   v->tuple.family, &v->tuple.src, meta->mark);
}

void xct_engine_prepare(struct xct_engine *eng, struct xct_visit *visits,
			unsigned int n)
{
	const struct xct_visit *end = visits + n;
	bool has_zones = eng->rs && eng->rs->n_zones;

	for (struct xct_visit *v = visits; v < end; v++) {
		if (has_zones) {
			v->tuple.zone = zone_of(eng, v);
			v->hash = xct_table_hash_zone(v->hash, v->tuple.zone);
		}
		xct_table_prefetch_slot(&eng->table, v->hash);
	}
	/* A packet alone would wait for the one as for the other. */
	if (n == 1) {
		visits->seen = NULL;
		return;
	}
	for (struct xct_visit *v = visits; v < end; v++) {
		/* Packets of a flow come one after another. */
		if (v > visits && v->hash == v[-1].hash)
			v->seen = v[-1].seen;
		else
			v->seen = xct_table_prefetch_flow(&eng->table, v->hash,
							  v->tuple.proto);
	}
}
