/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ICMP (RFC 792) and ICMPv6 (RFC 4443): queries and their answers.
 *
 * A query type and its answer's type make the two tuples of a flow, with one
 * id for both ways. Only a query opens a flow; every packet of it starts the
 * timer anew. Errors and redirects never get here: they belong to the flow of
 * the packet they quote. Neither does the rest of neighbour discovery, which is
 * not tracked at all.
 */
#include "daemon/engine/l4.h"

#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <stddef.h>
#include <sys/socket.h>

#include "daemon/engine/csum.h"

#define HEADER_LEN 8
#define TYPE_OFF   0
#define CODE_OFF   1
#define CSUM_OFF   2
#define ID_OFF	   4

#define HOP_LIMIT_OFF offsetof(struct ip6_hdr, ip6_hlim)

/* Node information (RFC 4620), listener reports of MLDv2 (RFC 9777) and
 * multicast router discovery (RFC 4286), which libc has no names for. */
#define NI_QUERY     139
#define NI_REPLY     140
#define MLD2_REPORT  143
#define MRDISC_ADV   151
#define MRDISC_SOLIC 152

struct query {
	uint8_t query;
	uint8_t answer;
};

static const struct query queries_v4[] = {
	{ ICMP_ECHO, ICMP_ECHOREPLY },
	{ ICMP_TIMESTAMP, ICMP_TIMESTAMPREPLY },
	{ ICMP_INFO_REQUEST, ICMP_INFO_REPLY },
	{ ICMP_ADDRESS, ICMP_ADDRESSREPLY },
};

static const struct query queries_v6[] = {
	{ ICMP6_ECHO_REQUEST, ICMP6_ECHO_REPLY },
	{ NI_QUERY, NI_REPLY },
};

/* The pair that @type is one of; NULL: it is neither query nor answer. */
static const struct query *find_query(bool is_v6, uint8_t type)
{
	const struct query *queries = is_v6 ? queries_v6 : queries_v4;
	size_t i, n = is_v6 ? XCT_ARRAY_SIZE(queries_v6)
			    : XCT_ARRAY_SIZE(queries_v4);

	for (i = 0; i < n; i++) {
		if (queries[i].query == type || queries[i].answer == type)
			return &queries[i];
	}
	return NULL;
}

bool xct_icmp_is_error(uint8_t family, uint8_t type)
{
	if (family == AF_INET6)
		return !(type & ICMP6_INFOMSG_MASK);

	switch (type) {
	case ICMP_DEST_UNREACH:
	case ICMP_SOURCE_QUENCH:
	case ICMP_REDIRECT:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB:
		return true;
	default:
		return false;
	}
}

bool xct_icmp_is_untracked(uint8_t family, uint8_t type)
{
	if (family != AF_INET6)
		return false;

	switch (type) {
	case MLD_LISTENER_QUERY:
	case MLD_LISTENER_REPORT:
	case MLD_LISTENER_REDUCTION:
	case ND_ROUTER_SOLICIT:
	case ND_ROUTER_ADVERT:
	case ND_NEIGHBOR_SOLICIT:
	case ND_NEIGHBOR_ADVERT:
	case MLD2_REPORT:
	case MRDISC_ADV:
	case MRDISC_SOLIC:
		return true;
	default:
		return false;
	}
}

bool xct_icmp_is_redirect(uint8_t family, uint8_t type)
{
	return type == (family == AF_INET6 ? ND_REDIRECT : ICMP_REDIRECT);
}

/* Of a redirect as RFC 4861 (section 8.1) wants it: from a neighbour, with the
 * packet as its first option. */
static uint32_t redirected_off(const struct xct_pkt *pkt)
{
	const uint32_t option = sizeof(struct nd_redirect);
	const uint8_t *src = pkt->c.data + offsetof(struct ip6_hdr, ip6_src);

	if (pkt->l4[CODE_OFF] || pkt->c.data[HOP_LIMIT_OFF] != 255 ||
	    src[0] != 0xfe || (src[1] & 0xc0) != 0x80)
		return 0;
	if (pkt->l4_have < option + sizeof(struct nd_opt_rd_hdr) ||
	    pkt->l4[option] != ND_OPT_REDIRECTED_HEADER ||
	    pkt->l4[option + 1] == 0)
		return 0;
	return option + sizeof(struct nd_opt_rd_hdr);
}

uint32_t xct_icmp_quote_off(const struct xct_pkt *pkt)
{
	if (xct_icmp_is_error(pkt->family, pkt->l4[TYPE_OFF]))
		return HEADER_LEN;
	if (pkt->family == AF_INET6 && pkt->l4[TYPE_OFF] == ND_REDIRECT)
		return redirected_off(pkt);
	return 0;
}

static enum xct_reason icmp_check(const struct xct_pkt *pkt)
{
	if (pkt->l4_have < HEADER_LEN)
		return XCT_REASON_L4_SHORT;
	if (pkt->family != AF_INET || pkt->l4[TYPE_OFF] > NR_ICMP_TYPES)
		return XCT_REASON_ICMP_TYPE;
	return XCT_REASON_NONE;
}

static enum xct_reason icmpv6_check(const struct xct_pkt *pkt)
{
	if (pkt->l4_have < HEADER_LEN)
		return XCT_REASON_L4_SHORT;
	if (pkt->family != AF_INET6)
		return XCT_REASON_ICMP_TYPE;
	return XCT_REASON_NONE;
}

static bool icmp_key(const struct xct_pkt *pkt, struct xct_tuple *t)
{
	if (pkt->l4_have < HEADER_LEN)
		return false;
	memcpy(&t->icmp_id, pkt->l4 + ID_OFF, sizeof(t->icmp_id));
	t->icmp_type = pkt->l4[TYPE_OFF];
	t->icmp_code = pkt->l4[CODE_OFF];
	return true;
}

static bool invert(bool is_v6, const struct xct_tuple *t,
		   struct xct_tuple *inverse)
{
	const struct query *query = find_query(is_v6, t->icmp_type);

	if (!query)
		return false;
	inverse->icmp_id = t->icmp_id;
	inverse->icmp_type =
		t->icmp_type == query->query ? query->answer : query->query;
	inverse->icmp_code = t->icmp_code;
	return true;
}

static bool icmp_invert(const struct xct_tuple *t, struct xct_tuple *inverse)
{
	return invert(false, t, inverse);
}

static bool icmpv6_invert(const struct xct_tuple *t, struct xct_tuple *inverse)
{
	return invert(true, t, inverse);
}

static enum xct_l4_verdict icmp_open(struct xct_l4_ctx *ctx,
				     struct xct_flow *flow)
{
	const struct xct_tuple *t = &flow->side[XCT_DIR_ORIG].tuple;
	const struct query *query =
		find_query(t->proto == IPPROTO_ICMPV6, t->icmp_type);

	if (!query || t->icmp_type != query->query) {
		ctx->reason = XCT_REASON_ICMP_TYPE;
		return XCT_L4_INVALID;
	}
	return XCT_L4_OK;
}

static enum xct_l4_verdict icmp_update(struct xct_l4_ctx *ctx,
				       struct xct_flow *flow)
{
	bool is_v6 = flow->side[XCT_DIR_ORIG].tuple.proto == IPPROTO_ICMPV6;

	xct_l4_refresh(ctx, flow, is_v6 ? ctx->cfg->icmpv6 : ctx->cfg->icmp);
	return XCT_L4_OK;
}

/* One id serves both ways, so it is written with either half of the tuple. */
static uint64_t rewrite_id(uint8_t *l4, const struct xct_tuple *t)
{
	xct_be16 from;

	memcpy(&from, l4 + ID_OFF, sizeof(from));
	memcpy(l4 + ID_OFF, &t->icmp_id, sizeof(t->icmp_id));
	return xct_csum_diff16(from, t->icmp_id);
}

static uint64_t icmp_rewrite(uint8_t *l4, const struct xct_tuple *t,
			     bool is_source)
{
	(void)is_source;
	return find_query(false, l4[TYPE_OFF]) ? rewrite_id(l4, t) : 0;
}

/* As the kernel: the id of an echo alone. That of a node information query
 * stays, whatever the tuples of its flow say, so of two that differ in nothing
 * else the first has all the answers. */
static uint64_t icmpv6_rewrite(uint8_t *l4, const struct xct_tuple *t,
			       bool is_source)
{
	(void)is_source;
	if (l4[TYPE_OFF] != ICMP6_ECHO_REQUEST &&
	    l4[TYPE_OFF] != ICMP6_ECHO_REPLY)
		return 0;
	return rewrite_id(l4, t);
}

const struct xct_l4_ops xct_l4_icmp = {
	.name = "icmp",
	.check = icmp_check,
	.key = icmp_key,
	.invert = icmp_invert,
	.open = icmp_open,
	.update = icmp_update,
	.rewrite = icmp_rewrite,
	.csum = XCT_CSUM_PLAIN,
	.csum_reason = XCT_REASON_CSUM_ICMP,
	.csum_off = CSUM_OFF,
};

const struct xct_l4_ops xct_l4_icmpv6 = {
	.name = "icmpv6",
	.check = icmpv6_check,
	.key = icmp_key,
	.invert = icmpv6_invert,
	.open = icmp_open,
	.update = icmp_update,
	.rewrite = icmpv6_rewrite,
	.csum = XCT_CSUM_PSEUDO,
	.csum_reason = XCT_REASON_CSUM_ICMPV6,
	.csum_off = CSUM_OFF,
};
