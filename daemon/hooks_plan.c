/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells from the policy what the early hooks have to queue.
 *
 * Theory of operation: this is a list of "selectors", the text of iptables
 * matches. One may be wider than the rule that it is for but never narrower; it
 * is where a helper reads in the connections that the rule is for.
 */
#include "daemon/hooks_plan.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* More selectors than this from one rule are widened into fewer. */
#define SELECTORS_MAX 64
/* What -m multiport takes; a range counts twice. */
#define MULTIPORT_MAX 15

static void strset_fini(struct xct_strset *set)
{
	for (size_t i = 0; i < set->n; i++)
		free(set->v[i]);
	free(set->v);
	*set = (struct xct_strset){ NULL, 0 };
}

static bool strset_has(const struct xct_strset *set, const char *s)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->v[i], s) == 0)
			return true;
	return false;
}

/* 0 or -ENOMEM. */
static int strset_add(struct xct_strset *set, const char *s)
{
	char **v;

	if (strset_has(set, s))
		return 0;
	v = reallocarray(set->v, set->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	set->v = v;
	v[set->n] = strdup(s);
	if (!v[set->n])
		return -ENOMEM;
	set->n++;
	return 0;
}

/* "-d A " or "-m iprange --dst-range A-B ". */
static int add_range(struct xct_strset *set, const struct xct_addr_range *r)
{
	char first[XCT_ADDRSTRLEN], last[XCT_ADDRSTRLEN];
	char s[2 * XCT_ADDRSTRLEN + 32];

	xct_addr_format(r->family, &r->first, first);
	xct_addr_format(r->family, &r->last, last);
	if (xct_addr_equal(&r->first, &r->last))
		snprintf(s, sizeof(s), "-d %s ", first);
	else
		snprintf(s, sizeof(s), "-m iprange --dst-range %s-%s ", first,
			 last);
	return strset_add(set, s);
}

/* Input interfaces. A pattern that is only "*" says nothing: then no selector
 * remains, as if the condition were absent. */
static int add_interfaces(struct xct_strset *set, const struct xct_ifset *ifs)
{
	char s[XCT_IFNAMSIZ + 8];
	int err = 0;

	for (uint32_t i = 0; i < ifs->n && !err; i++) {
		const char *pattern = ifs->patterns[i];
		size_t len = strlen(pattern);
		bool is_wild = len && pattern[len - 1] == '*';

		if (is_wild && len == 1) {
			strset_fini(set);
			return 0;
		}
		snprintf(s, sizeof(s), "-i %.*s%s ", (int)(len - is_wild),
			 pattern, is_wild ? "+" : "");
		err = strset_add(set, s);
	}
	return err;
}

static bool has_multiport(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP ||
	       proto == IPPROTO_SCTP || proto == IPPROTO_DCCP ||
	       proto == IPPROTO_UDPLITE;
}

/* One protocol; with @ports, as many selectors as -m multiport needs. */
static int add_protocol(struct xct_strset *set, uint8_t proto,
			const struct xct_portset *ports)
{
	char list[MULTIPORT_MAX * sizeof("65535,")];
	char s[sizeof(list) + 48];
	uint32_t i = 0;
	int err = 0;

	if (!ports || !has_multiport(proto)) {
		snprintf(s, sizeof(s), "-p %u ", proto);
		return strset_add(set, s);
	}
	while (i < ports->n && !err) {
		unsigned int room = MULTIPORT_MAX;
		size_t len = 0;

		for (; i < ports->n; i++) {
			const struct xct_port_range *r = &ports->ranges[i];
			unsigned int need = r->first == r->last ? 1 : 2;

			if (need > room)
				break;
			room -= need;
			len += (size_t)snprintf(list + len, sizeof(list) - len,
						need == 1 ? "%s%u" : "%s%u:%u",
						len ? "," : "", r->first,
						r->last);
		}
		snprintf(s, sizeof(s), "-p %u -m multiport --dports %s ", proto,
			 list);
		err = strset_add(set, s);
	}
	return err;
}

static bool speaks_of(const struct xct_rule *rule, int af)
{
	return (!rule->match.family || rule->match.family == af) &&
	       (!rule->nat.addr.family || rule->nat.addr.family == af);
}

enum dimension { IN, DST, PROTO, DIMENSIONS };

static size_t combinations(const struct xct_strset dims[static DIMENSIONS])
{
	size_t n = 1;

	for (int d = 0; d < DIMENSIONS; d++)
		n *= dims[d].n ? dims[d].n : 1;
	return n;
}

/* Every combination of one string of each dimension; where there are too many
 * the dimension with the most is left out: wider, and fewer. */
static int add_product(struct xct_strset *set,
		       struct xct_strset dims[static DIMENSIONS])
{
	static const char none[] = "";
	char s[512];
	size_t total;
	int err = 0;

	while ((total = combinations(dims)) > SELECTORS_MAX) {
		int most = IN;

		for (int d = DST; d < DIMENSIONS; d++)
			if (dims[d].n > dims[most].n)
				most = d;
		strset_fini(&dims[most]);
	}
	for (size_t i = 0; i < total && !err; i++) {
		const char *part[DIMENSIONS];
		size_t rest = i;

		for (int d = 0; d < DIMENSIONS; d++) {
			part[d] = none;
			if (dims[d].n) {
				part[d] = dims[d].v[rest % dims[d].n];
				rest /= dims[d].n;
			}
		}
		snprintf(s, sizeof(s), "%s%s%s", part[IN], part[DST],
			 part[PROTO]);
		err = strset_add(set, s);
	}
	return err;
}

static bool is_port_in(const struct xct_portset *set, uint32_t first,
		       uint32_t last)
{
	for (uint32_t i = 0; i < set->n; i++)
		if (set->ranges[i].first <= last &&
		    set->ranges[i].last >= first)
			return true;
	return false;
}

/* May @helped, a filter rule, be about a connection that @dnat translates? */
static bool may_meet(const struct xct_ruleset *rs,
		     const struct xct_rule *helped, const struct xct_rule *dnat)
{
	const struct xct_portset *to, *from;

	if (helped->match.dport == XCT_ANY)
		return true;
	to = &rs->portsets[helped->match.dport];
	if (dnat->nat.port_first)
		return is_port_in(to, dnat->nat.port_first,
				  dnat->nat.port_last);
	if (dnat->match.dport == XCT_ANY)
		return true;
	from = &rs->portsets[dnat->match.dport];
	for (uint32_t i = 0; i < from->n; i++)
		if (is_port_in(to, from->ranges[i].first, from->ranges[i].last))
			return true;
	return false;
}

/*
 * A connection that has a helper leads to others, by ports that nobody knows
 * beforehand. Where its destination is translated, so is theirs.
 */
static bool has_helper(const struct xct_ruleset *rs,
		       const struct xct_rule *dnat)
{
	for (int c = 0; c < XCT_CHAINS; c++) {
		const struct xct_chain *chain = &rs->chain[c];

		for (uint32_t i = 0; i < chain->n; i++)
			if (chain->rules[i].helper &&
			    may_meet(rs, &chain->rules[i], dnat))
				return true;
	}
	return false;
}

/* What a dnat or redirect rule may translate, of one family. */
static int add_dnat_rule(struct xct_strset *set, const struct xct_ruleset *rs,
			 const struct xct_rule *rule, int af)
{
	const struct xct_match *m = &rule->match;
	struct xct_strset dims[DIMENSIONS] = { { NULL, 0 } };
	int err = 0;

	if (m->in != XCT_ANY)
		err = add_interfaces(&dims[IN], &rs->ifsets[m->in]);
	if (m->dst != XCT_ANY) {
		const struct xct_addrset *as = &rs->addrsets[m->dst];

		for (uint32_t i = 0; i < as->n && !err; i++)
			if (as->ranges[i].family == af)
				err = add_range(&dims[DST], &as->ranges[i]);
		if (!err && !dims[DST].n)
			goto out; /* no address of this family */
	}
	if (m->proto != XCT_ANY) {
		const struct xct_portset *ports =
			m->dport == XCT_ANY ? NULL : &rs->portsets[m->dport];
		bool is_helped = ports && has_helper(rs, rule);

		for (unsigned int p = 0; p < 256 && !err; p++)
			if (xct_byteset_has(&rs->protosets[m->proto],
					    (uint8_t)p))
				err = add_protocol(&dims[PROTO], (uint8_t)p,
						   is_helped && p == IPPROTO_TCP
							   ? NULL
							   : ports);
	}
	if (!err)
		err = add_product(set, dims);
out:
	for (int d = 0; d < DIMENSIONS; d++)
		strset_fini(&dims[d]);
	return err;
}

void xct_hookplan_fini(struct xct_hookplan *plan)
{
	strset_fini(&plan->masq);
	strset_fini(&plan->pre);
	plan->has_out = false;
}

static int add_icmp_errors(struct xct_strset *set, int af)
{
	int err = 0;

	for (unsigned int type = 0; type < 256 && !err; type++) {
		char s[48];

		if (af == AF_INET6 && type > 4)
			break; /* the rest of its errors is not assigned */
		if (!type || !xct_icmp_is_error((uint8_t)af, (uint8_t)type))
			continue;
		snprintf(s, sizeof(s),
			 af == AF_INET ? "-p icmp --icmp-type %u "
				       : "-p ipv6-icmp --icmpv6-type %u ",
			 type);
		err = strset_add(set, s);
	}
	return err;
}

int xct_hookplan_add_local(struct xct_hookplan *plan)
{
	return strset_add(&plan->pre, XCT_HOOKPLAN_LOCAL);
}

static bool has_masquerade(const struct xct_ruleset *rs, int af)
{
	uint32_t i = 0;

	while (i < rs->n_snat && (rs->snat[i].action != XCT_ACT_MASQUERADE ||
				  !speaks_of(&rs->snat[i], af)))
		i++;
	return i < rs->n_snat;
}

/*
 * What may be an answer to a masqueraded connection. Asking for addresses one
 * by one takes a fraction of the time that it takes to ask whether there is
 * such an address, and every packet is asked.
 */
static int add_masquerade(struct xct_hookplan *plan, int af,
			  const struct xct_ifaddr_set *own)
{
	int err = 0;

	if (!own || own->is_short)
		return xct_hookplan_add_local(plan);
	for (size_t i = 0; i < own->n && !err; i++) {
		struct xct_addr_range r = { .first = own->addrs[i],
					    .last = own->addrs[i],
					    .family = (uint8_t)af };

		err = add_range(&plan->masq, &r);
	}
	/* Many interfaces have one that is known on their link only: none of
	 * those is in @own. */
	if (!err)
		err = strset_add(&plan->masq, af == AF_INET
						      ? "-d 169.254.0.0/16 "
						      : "-d fe80::/10 ");
	return err;
}

int xct_hookplan_build(struct xct_hookplan *plan, const struct xct_ruleset *rs,
		       int af, const struct xct_ifaddr_set *own)
{
	size_t n_snat;
	int err = 0;

	if (has_masquerade(rs, af))
		err = add_masquerade(plan, af, own);
	for (uint32_t i = 0; i < rs->n_snat && !err; i++) {
		const struct xct_rule *rule = &rs->snat[i];

		if (rule->action == XCT_ACT_SNAT &&
		    rule->nat.addr.family == af && speaks_of(rule, af))
			err = add_range(&plan->pre, &rule->nat.addr);
	}
	n_snat = plan->pre.n;
	for (uint32_t i = 0; i < rs->n_dnat && !err; i++) {
		const struct xct_rule *rule = &rs->dnat[i];

		if (rule->action == XCT_ACT_EXEMPT || !speaks_of(rule, af))
			continue;
		if (rule->is_local)
			plan->has_out = true;
		else
			err = add_dnat_rule(&plan->pre, rs, rule, af);
	}
	/* Errors about translated flows come for whatever they quote. */
	if (!err && plan->pre.n > n_snat)
		err = add_icmp_errors(&plan->pre, af);
	return err;
}

int xct_hookplan_add(struct xct_hookplan *plan, const char *selector)
{
	return strset_add(&plan->pre, selector);
}

int xct_hookplan_merge(struct xct_hookplan *plan,
		       const struct xct_hookplan *other)
{
	bool is_known = plan->masq.n > 0 || xct_hookplan_has_local(plan);
	int err = 0;

	plan->has_out |= other->has_out;
	for (size_t i = 0; i < other->masq.n && !is_known && !err; i++)
		err = strset_add(&plan->pre, other->masq.v[i]);
	for (size_t i = 0; i < other->pre.n && !err; i++)
		if (!strset_has(&plan->masq, other->pre.v[i]))
			err = strset_add(&plan->pre, other->pre.v[i]);
	return err;
}

bool xct_hookplan_has_local(const struct xct_hookplan *plan)
{
	return strset_has(&plan->pre, XCT_HOOKPLAN_LOCAL);
}
