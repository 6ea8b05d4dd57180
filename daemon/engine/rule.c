/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Matching a connection against the rules of a compiled policy.
 *
 * Pure and without allocation. A rule costs a few comparisons; a set of
 * addresses or ports costs a binary search, whatever its size.
 */
#include <netinet/in.h>
#include <string.h>

#include "common/cursor.h"
#include "daemon/engine/rule.h"

bool xct_ifname_match(const char *pattern, const char *name)
{
	size_t len = strnlen(pattern, XCT_IFNAMSIZ);

	if (len > 0 && pattern[len - 1] == '*')
		return strncmp(pattern, name, len - 1) == 0;
	return strcmp(pattern, name) == 0;
}

static bool ifset_has(const struct xct_ifset *set, const char *name)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (xct_ifname_match(set->patterns[i], name))
			return true;
	return false;
}

void xct_ifsets_of(const struct xct_ruleset *rs, const char *name,
		   uint64_t bits[static XCT_IFSETS_MAX / 64])
{
	memset(bits, 0, XCT_IFSETS_MAX / 8);
	if (!name)
		return;

	for (uint32_t i = 0; i < rs->n_ifsets; i++)
		if (ifset_has(&rs->ifsets[i], name))
			bits[i / 64] |= UINT64_C(1) << (i % 64);
}

/* Does @range begin after @addr, in the order of an address set? */
static bool range_is_after(const struct xct_addr_range *range, uint8_t family,
			   const struct xct_addr *addr)
{
	if (range->family != family)
		return range->family > family;
	return xct_addr_cmp(family, &range->first, addr) > 0;
}

bool xct_addrset_has(const struct xct_addrset *set, uint8_t family,
		     const struct xct_addr *addr)
{
	uint32_t low = 0, high = set->n;

	/* Only the last range that begins at or before addr can hold it. */
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (range_is_after(&set->ranges[mid], family, addr))
			high = mid;
		else
			low = mid + 1;
	}
	return low > 0 &&
	       xct_range_contains(&set->ranges[low - 1], family, addr);
}

bool xct_portset_has(const struct xct_portset *set, uint16_t port)
{
	uint32_t low = 0, high = set->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (set->ranges[mid].first > port)
			high = mid;
		else
			low = mid + 1;
	}
	return low > 0 && set->ranges[low - 1].last >= port;
}

static bool bit_is_set(const uint64_t *bits, uint32_t index)
{
	return bits[index / 64] >> (index % 64) & 1;
}

static bool interfaces_match(const struct xct_match *m,
			     const struct xct_subject *subject)
{
	return (m->in == XCT_ANY || bit_is_set(subject->in, m->in)) &&
	       (m->out == XCT_ANY || bit_is_set(subject->out, m->out));
}

static bool addresses_match(const struct xct_ruleset *rs,
			    const struct xct_match *m,
			    const struct xct_tuple *t)
{
	return (m->src == XCT_ANY ||
		xct_addrset_has(&rs->addrsets[m->src], t->family, &t->src)) &&
	       (m->dst == XCT_ANY ||
		xct_addrset_has(&rs->addrsets[m->dst], t->family, &t->dst));
}

static bool icmp_matches(const struct xct_icmpset *set,
			 const struct xct_tuple *t)
{
	bool is_v6 = t->proto == IPPROTO_ICMPV6;

	return xct_byteset_has(&set->type[is_v6], t->icmp_type) &&
	       (set->code < 0 || set->code == t->icmp_code);
}

/* Ports and ICMP types share a place in the tuple. That is no danger: a rule
 * with either always has a condition on the protocol as well. */
static bool transport_matches(const struct xct_ruleset *rs,
			      const struct xct_match *m,
			      const struct xct_tuple *t)
{
	return (m->proto == XCT_ANY ||
		xct_byteset_has(&rs->protosets[m->proto], t->proto)) &&
	       (m->sport == XCT_ANY || xct_portset_has(&rs->portsets[m->sport],
						       xct_ntoh16(t->sport))) &&
	       (m->dport == XCT_ANY || xct_portset_has(&rs->portsets[m->dport],
						       xct_ntoh16(t->dport))) &&
	       (m->icmp == XCT_ANY || icmp_matches(&rs->icmpsets[m->icmp], t));
}

static bool translation_matches(uint8_t translated, uint32_t status)
{
	return translated == 0 ||
	       ((translated & 1) && (status & XCT_STATUS_SRC_NAT)) ||
	       ((translated & 2) && (status & XCT_STATUS_DST_NAT));
}

/* Destination rules are either for what this host sends or for what arrives;
 * every other rule is for both. */
static bool origin_matches(const struct xct_rule *rule,
			   const struct xct_subject *subject)
{
	if (rule->action != XCT_ACT_DNAT && rule->action != XCT_ACT_REDIRECT)
		return true;
	return rule->is_local == subject->is_local;
}

bool xct_rule_match(const struct xct_ruleset *rs, const struct xct_rule *rule,
		    const struct xct_subject *subject)
{
	const struct xct_match *m = &rule->match;
	const struct xct_tuple *t = subject->tuple;

	return (m->classes >> subject->cls & 1) &&
	       (m->family == 0 || m->family == t->family) &&
	       interfaces_match(m, subject) &&
	       translation_matches(m->translated, subject->status) &&
	       origin_matches(rule, subject) && transport_matches(rs, m, t) &&
	       addresses_match(rs, m, t);
}

uint16_t xct_zone_match(const struct xct_ruleset *rs, const uint64_t *in,
			uint8_t family, const struct xct_addr *src,
			uint32_t mark)
{
	for (uint32_t i = 0; i < rs->n_zones; i++) {
		const struct xct_zone *z = &rs->zones[i];

		if ((z->in == XCT_ANY || bit_is_set(in, z->in)) &&
		    (z->src == XCT_ANY ||
		     xct_addrset_has(&rs->addrsets[z->src], family, src)) &&
		    (mark & z->mark_mask) == z->mark)
			return z->zone;
	}
	return 0;
}
