/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of nat: and filter:, one by one.
 *
 * A rule is a flat map. Its keys are looked up in one table first; then their
 * values are read in the order of the table, so that a condition can rely on
 * those before it (a port on the protocol); at last the rule is checked as a
 * whole. Every step goes on after an error, to find the others.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config_read.h"
#include "daemon/engine/l4.h"

#define RULE_NAME_MAX 63u

const char *const xct_section_names[] = {
	[XCT_SECTION_FORWARD] = "forward",
	[XCT_SECTION_INPUT] = "input",
	[XCT_SECTION_OUTPUT] = "output",
	[XCT_SECTION_NAT] = "nat",
};

/* In the order in which their values are read. */
enum key {
	KEY_NAME,
	KEY_FAMILY,
	KEY_PROTO,
	KEY_IN,
	KEY_OUT,
	KEY_SRC,
	KEY_DST,
	KEY_SPORT,
	KEY_DPORT,
	KEY_ICMP_TYPE,
	KEY_ICMP_CODE,
	KEY_STATE,
	KEY_TRANSLATED,
	KEY_LOG,
	KEY_MARK,
	KEY_LABEL,
	KEY_HELPER,
	KEY_ACCEPT,
	KEY_DROP,
	KEY_REJECT,
	KEY_MASQUERADE,
	KEY_SNAT,
	KEY_DNAT,
	KEY_REDIRECT,
	KEY_EXEMPT,
	KEY_RANDOM,
	KEY_PERSISTENT,
	KEY_LOCAL,
	KEYS,
};

/* A rule being read. */
struct draft {
	struct xct_reader *r;
	enum xct_section section;
	const struct xct_node *map;
	const struct xct_node *value[KEYS]; /* NULL: the rule has no such key */
	struct xct_rule *rule;
	struct xct_byteset protos; /* if value[KEY_PROTO] */
	uint8_t families;	   /* those that all conditions allow */
	bool has_proto;
	bool is_ok;
};

typedef bool read_fn(struct draft *d, const struct xct_node *value,
		     const char *what);

static bool has_key(const struct draft *d, enum key key)
{
	return d->value[key] != NULL;
}

/* Narrow the families by one condition more. */
static bool narrow(struct draft *d, const struct xct_node *value,
		   const char *what, uint8_t families)
{
	if ((d->families & families) == 0)
		return xct_diag_error(
			d->r->diag, value->at,
			"%s is for %s, the rest of the rule for "
			"%s; expected one family",
			what, families == XCT_FAMILY_V4 ? "IPv4" : "IPv6",
			families == XCT_FAMILY_V4 ? "IPv6" : "IPv4");
	d->families &= families;
	return true;
}

/* A key whose presence says all: "no" would say nothing. */
static bool read_yes(struct draft *d, const struct xct_node *value,
		     const char *what)
{
	bool yes = false;

	if (!xct_value_bool(d->r->diag, value, what, &yes))
		return false;
	if (!yes)
		return xct_diag_error(d->r->diag, value->at,
				      "%s is \"%s\", which says nothing; "
				      "expected yes, or no such key",
				      what, value->text);
	return true;
}

static bool is_proto_subset(const struct draft *d, const struct xct_byteset *of)
{
	for (size_t i = 0; i < XCT_ARRAY_SIZE(of->bits); i++)
		if (d->protos.bits[i] & ~of->bits[i])
			return false;
	return d->has_proto;
}

/* Have all protocols of the rule ports that are tracked? */
static bool has_ports(const struct draft *d)
{
	for (unsigned int i = 0; i <= UINT8_MAX; i++)
		if (xct_byteset_has(&d->protos, (uint8_t)i) &&
		    !xct_l4((uint8_t)i)->has_ports)
			return false;
	return d->has_proto;
}

static bool needs_ports(struct draft *d, const struct xct_node *value,
			const char *what)
{
	/* Of a protocol that could not be read nothing is known. */
	if (has_ports(d) || (has_key(d, KEY_PROTO) && !d->has_proto &&
			     !xct_is_any(d->value[KEY_PROTO])))
		return true;
	return xct_diag_error(d->r->diag, value->at,
			      "%s needs a protocol with ports; expected proto: "
			      "tcp, udp, udplite, sctp or a list of these in "
			      "this rule",
			      what);
}

/* ---- conditions ---- */

static bool read_name(struct draft *d, const struct xct_node *value,
		      const char *what)
{
	struct xct_reader *r = d->r;
	struct xct_pos *first;
	const char *text;
	size_t len;

	if (!xct_value_text(r->diag, value, what, &text))
		return false;
	len = strlen(text);
	if (len > RULE_NAME_MAX)
		return xct_diag_error(r->diag, value->at,
				      "%s is too long; expected at most %u "
				      "bytes",
				      what, RULE_NAME_MAX);
	first = xct_dict_get(&r->rule_names, text, len);
	if (first)
		return xct_diag_error(
			r->diag, value->at,
			"a rule named \"%s\" is there already, in "
			"line %u; expected another name",
			text, first->line);
	first = xct_arena_alloc(r->scratch, sizeof(*first));
	d->rule->name = xct_arena_text(r->arena, text, len);
	if (!first || !d->rule->name ||
	    xct_dict_add(&r->rule_names, text, len, first) < 0)
		return xct_diag_no_memory(r->diag);
	*first = value->at;
	return true;
}

static bool read_family(struct draft *d, const struct xct_node *value,
			const char *what)
{
	static const char *const words[] = { "ipv4", "ipv6", "any" };
	static const uint8_t families[] = { XCT_FAMILY_V4, XCT_FAMILY_V6,
					    XCT_FAMILY_ANY };
	unsigned int i;

	if (!xct_value_word(d->r->diag, value, what, words,
			    XCT_ARRAY_SIZE(words), &i))
		return false;
	d->families = families[i];
	return true;
}

/* ICMP is of one family: so is a rule about nothing else. */
static uint8_t families_of_protos(const struct draft *d)
{
	struct xct_byteset icmp = { { 0 } }, icmpv6 = { { 0 } };

	xct_byteset_add(&icmp, IPPROTO_ICMP);
	xct_byteset_add(&icmpv6, IPPROTO_ICMPV6);
	if (is_proto_subset(d, &icmp))
		return XCT_FAMILY_V4;
	if (is_proto_subset(d, &icmpv6))
		return XCT_FAMILY_V6;
	return XCT_FAMILY_ANY;
}

static bool read_proto(struct draft *d, const struct xct_node *value,
		       const char *what)
{
	struct xct_byteset protos = { { 0 } };

	if (xct_is_any(value))
		return true;
	if (!xct_read_protos(d->r, value, what, &protos))
		return false;

	d->protos = protos;
	d->has_proto = true;
	return narrow(d, value, what, families_of_protos(d)) &&
	       xct_read_compiled(d->r, value, what,
				 xct_compile_protoset(&d->r->compiler, &protos),
				 &d->rule->match.proto);
}

static bool read_in(struct draft *d, const struct xct_node *value,
		    const char *what)
{
	bool is_ok = true;

	if (d->section == XCT_SECTION_OUTPUT)
		is_ok = xct_diag_error(d->r->diag, value->at,
				       "what this host sends has no input "
				       "interface; expected no in: under "
				       "output");
	return xct_read_ifset(d->r, value, what, &d->rule->match.in) && is_ok;
}

static bool read_out(struct draft *d, const struct xct_node *value,
		     const char *what)
{
	bool is_ok = true;

	if (d->section == XCT_SECTION_INPUT)
		is_ok = xct_diag_error(d->r->diag, value->at,
				       "what is for this host has no output "
				       "interface; expected no out: under "
				       "input");
	if (has_key(d, KEY_DNAT) || has_key(d, KEY_REDIRECT))
		is_ok = xct_diag_error(d->r->diag, value->at,
				       "the output interface is not known yet "
				       "when the destination is translated; "
				       "expected no out: beside %s",
				       has_key(d, KEY_DNAT) ? "dnat"
							    : "redirect");
	return xct_read_ifset(d->r, value, what, &d->rule->match.out) && is_ok;
}

static bool read_src(struct draft *d, const struct xct_node *value,
		     const char *what)
{
	uint8_t families;

	return xct_read_addrset(d->r, value, what, &d->rule->match.src,
				&families) &&
	       narrow(d, value, what, families);
}

static bool read_dst(struct draft *d, const struct xct_node *value,
		     const char *what)
{
	uint8_t families;

	return xct_read_addrset(d->r, value, what, &d->rule->match.dst,
				&families) &&
	       narrow(d, value, what, families);
}

static bool read_sport(struct draft *d, const struct xct_node *value,
		       const char *what)
{
	bool is_ok = needs_ports(d, value, what);

	return xct_read_portset(d->r, value, what, &d->rule->match.sport) &&
	       is_ok;
}

static bool read_dport(struct draft *d, const struct xct_node *value,
		       const char *what)
{
	bool is_ok = needs_ports(d, value, what);

	return xct_read_portset(d->r, value, what, &d->rule->match.dport) &&
	       is_ok;
}

static bool read_icmp_type(struct draft *d, const struct xct_node *value,
			   const char *what)
{
	struct xct_icmpset set = { .code = -1 };
	struct xct_byteset icmp = { { 0 } };
	uint32_t code = 0;
	bool is_ok;

	xct_byteset_add(&icmp, IPPROTO_ICMP);
	xct_byteset_add(&icmp, IPPROTO_ICMPV6);
	if (!is_proto_subset(d, &icmp))
		return xct_diag_error(d->r->diag, value->at,
				      "%s needs a rule about ICMP; expected "
				      "proto: icmp, icmpv6 or [icmp, icmpv6]",
				      what);
	is_ok = xct_read_icmp_types(d->r, value, &d->protos, &set);
	if (has_key(d, KEY_ICMP_CODE)) {
		is_ok &= xct_value_uint(d->r->diag, d->value[KEY_ICMP_CODE],
					"icmp-code", 0, UINT8_MAX, &code);
		set.code = (int16_t)code;
	}
	return is_ok &&
	       xct_read_compiled(d->r, value, what,
				 xct_compile_icmpset(&d->r->compiler, &set),
				 &d->rule->match.icmp);
}

/* The code was read together with the type, without which it means nothing. */
static bool read_icmp_code(struct draft *d, const struct xct_node *value,
			   const char *what)
{
	if (has_key(d, KEY_ICMP_TYPE))
		return true;
	return xct_diag_error(d->r->diag, value->at,
			      "%s needs a type; expected icmp-type in this "
			      "rule",
			      what);
}

/* Rules are not asked about what belongs to a connection. */
static bool check_established(struct draft *d, const struct xct_node *item)
{
	if (has_key(d, KEY_ACCEPT)) {
		xct_diag_warning(d->r->diag, item->at,
				 "state: established has no effect: packets of "
				 "a connection that was let in always pass");
		return true;
	}
	return xct_diag_error(d->r->diag, item->at,
			      "packets of an established connection always "
			      "pass, rules decide when it begins; expected "
			      "new, related or invalid");
}

static bool read_state(struct draft *d, const struct xct_node *value,
		       const char *what)
{
	static const char *const words[] = { "new", "related", "invalid",
					     "established" };
	static const uint8_t classes[] = { 1 << XCT_CLASS_NEW,
					   1 << XCT_CLASS_RELATED,
					   1 << XCT_CLASS_INVALID, 0 };
	const struct xct_node *item;
	bool is_ok = true;

	if (value->kind == XCT_NODE_LIST && value->n == 0)
		return xct_diag_error(d->r->diag, value->at,
				      "%s is an empty list; expected new, "
				      "related or invalid",
				      what);
	d->rule->match.classes = 0;
	for (item = xct_item_first(value); item;
	     item = xct_item_next(value, item)) {
		unsigned int i;

		if (!xct_value_word(d->r->diag, item, what, words,
				    XCT_ARRAY_SIZE(words), &i)) {
			is_ok = false;
			continue;
		}
		d->rule->match.classes |= classes[i];
		if (classes[i] == 0)
			is_ok &= check_established(d, item);
	}
	return is_ok;
}

static bool read_translated(struct draft *d, const struct xct_node *value,
			    const char *what)
{
	static const char *const words[] = { "snat", "dnat", "any" };
	unsigned int i;

	if (!xct_value_word(d->r->diag, value, what, words,
			    XCT_ARRAY_SIZE(words), &i))
		return false;
	d->rule->match.translated = (uint8_t)(i + 1);
	if (has_key(d, KEY_DNAT) || has_key(d, KEY_REDIRECT))
		return xct_diag_error(d->r->diag, value->at,
				      "nothing is translated yet when the "
				      "destination is; expected no translated: "
				      "beside %s",
				      has_key(d, KEY_DNAT) ? "dnat"
							   : "redirect");
	/* Sources are translated last. */
	if (i == 0 && !(d->rule->match.classes & 1 << XCT_CLASS_RELATED))
		return xct_diag_error(d->r->diag, value->at,
				      "no new connection has its source "
				      "translated yet when rules are asked; "
				      "expected dnat, or state: related");
	return true;
}

/* ---- modifiers and actions ---- */

static bool read_log(struct draft *d, const struct xct_node *value,
		     const char *what)
{
	return xct_value_bool(d->r->diag, value, what, &d->rule->log);
}

static bool read_mark(struct draft *d, const struct xct_node *value,
		      const char *what)
{
	d->rule->has_mark = true;
	return xct_value_bits(d->r->diag, value, what, &d->rule->mark);
}

static bool read_label(struct draft *d, const struct xct_node *value,
		       const char *what)
{
	return xct_read_labels(d->r, value, what, &d->rule->labels);
}

static bool read_accept(struct draft *d, const struct xct_node *value,
			const char *what)
{
	d->rule->action = XCT_ACT_ACCEPT;
	return read_yes(d, value, what);
}

static bool read_drop(struct draft *d, const struct xct_node *value,
		      const char *what)
{
	d->rule->action = XCT_ACT_DROP;
	return read_yes(d, value, what);
}

static bool is_tcp_only(const struct draft *d)
{
	struct xct_byteset tcp = { { 0 } };

	xct_byteset_add(&tcp, IPPROTO_TCP);
	return is_proto_subset(d, &tcp);
}

/* What reads in a connection is given to it when it begins. */
static bool read_helper(struct draft *d, const struct xct_node *value,
			const char *what)
{
	const char *names[XCT_HELPERS - 1];
	unsigned int i;

	for (i = 1; i < XCT_HELPERS; i++)
		names[i - 1] = xct_helper_name((uint8_t)i);
	if (!xct_value_word(d->r->diag, value, what, names, XCT_HELPERS - 1,
			    &i))
		return false;
	d->rule->helper = (uint8_t)(i + 1);
	if (!is_tcp_only(d))
		return xct_diag_error(d->r->diag, value->at,
				      "%s: %s is for TCP; expected proto: tcp "
				      "in this rule",
				      what, names[i]);
	if (!(d->rule->match.classes & 1 << XCT_CLASS_NEW))
		return xct_diag_error(d->r->diag, value->at,
				      "a connection gets its %s when it "
				      "begins; expected new in state, or no "
				      "state, in this rule",
				      what);
	if (has_key(d, KEY_DROP) || has_key(d, KEY_REJECT))
		return xct_diag_error(d->r->diag, value->at,
				      "a connection that is refused needs no "
				      "%s; expected accept, or no action, in "
				      "this rule",
				      what);
	return true;
}

static bool read_reject(struct draft *d, const struct xct_node *value,
			const char *what)
{
	static const char *const words[] = {
		[XCT_REJECT_AUTO] = "yes",
		[XCT_REJECT_TCP_RESET] = "tcp-reset",
		[XCT_REJECT_PORT] = "port-unreachable",
		[XCT_REJECT_HOST] = "host-unreachable",
		[XCT_REJECT_NET] = "net-unreachable",
		[XCT_REJECT_ADMIN] = "admin-prohibited",
		[XCT_REJECT_PROTO] = "proto-unreachable",
	};
	unsigned int i;

	d->rule->action = XCT_ACT_REJECT;
	if (value->kind == XCT_NODE_SCALAR &&
	    (strcmp(value->text, "true") == 0 ||
	     strcmp(value->text, "on") == 0))
		return true;
	if (!xct_value_word(d->r->diag, value, what, words,
			    XCT_ARRAY_SIZE(words), &i))
		return false;
	d->rule->reject = (uint8_t)i;
	if (i == XCT_REJECT_TCP_RESET && !is_tcp_only(d))
		return xct_diag_error(d->r->diag, value->at,
				      "only TCP can be reset; expected proto: "
				      "tcp in this rule, or reject: yes");
	return true;
}

static bool read_masquerade(struct draft *d, const struct xct_node *value,
			    const char *what)
{
	d->rule->action = XCT_ACT_MASQUERADE;
	if (value->kind == XCT_NODE_SCALAR && value->text[0] >= '0' &&
	    value->text[0] <= '9')
		return xct_value_nat_ports(d->r->diag, value, what,
					   &d->rule->nat);
	return read_yes(d, value, what);
}

/*
 * The address to translate to, of the family that the rule is for. Source
 * ports are chosen where a protocol has any, so such a rule may be about all
 * of them; a destination port means one service.
 */
static bool read_target(struct draft *d, const struct xct_node *value,
			const char *what)
{
	struct xct_nat_range *nat = &d->rule->nat;

	if (!xct_value_nat_target(d->r->diag, value, what, nat))
		return false;
	if (nat->port_first && d->rule->action == XCT_ACT_DNAT &&
	    !needs_ports(d, value, "a port"))
		return false;
	return narrow(d, value, what,
		      nat->addr.family == AF_INET ? XCT_FAMILY_V4
						  : XCT_FAMILY_V6);
}

static bool read_snat(struct draft *d, const struct xct_node *value,
		      const char *what)
{
	d->rule->action = XCT_ACT_SNAT;
	return read_target(d, value, what);
}

static bool read_dnat(struct draft *d, const struct xct_node *value,
		      const char *what)
{
	d->rule->action = XCT_ACT_DNAT;
	return read_target(d, value, what);
}

static bool read_redirect(struct draft *d, const struct xct_node *value,
			  const char *what)
{
	bool is_ok;

	d->rule->action = XCT_ACT_REDIRECT;
	is_ok = needs_ports(d, value, what);
	return xct_value_nat_ports(d->r->diag, value, what, &d->rule->nat) &&
	       is_ok;
}

static bool read_exempt(struct draft *d, const struct xct_node *value,
			const char *what)
{
	d->rule->action = XCT_ACT_EXEMPT;
	return read_yes(d, value, what);
}

static bool read_random(struct draft *d, const struct xct_node *value,
			const char *what)
{
	if (has_key(d, KEY_EXEMPT))
		return xct_diag_error(d->r->diag, value->at,
				      "%s says how to translate; expected no "
				      "such key beside exempt",
				      what);
	return xct_value_bool(d->r->diag, value, what, &d->rule->nat.is_random);
}

static bool read_persistent(struct draft *d, const struct xct_node *value,
			    const char *what)
{
	if (!has_key(d, KEY_SNAT) && !has_key(d, KEY_DNAT))
		return xct_diag_error(d->r->diag, value->at,
				      "%s chooses within a range of addresses; "
				      "expected it beside snat or dnat",
				      what);
	return xct_value_bool(d->r->diag, value, what,
			      &d->rule->nat.is_persistent);
}

static bool read_local(struct draft *d, const struct xct_node *value,
		       const char *what)
{
	if (!has_key(d, KEY_DNAT) && !has_key(d, KEY_REDIRECT))
		return xct_diag_error(d->r->diag, value->at,
				      "%s makes dnat or redirect apply to what "
				      "this host sends; expected it beside one "
				      "of them",
				      what);
	if (!xct_value_bool(d->r->diag, value, what, &d->rule->is_local))
		return false;
	if (d->rule->is_local && has_key(d, KEY_IN))
		return xct_diag_error(d->r->diag, d->value[KEY_IN]->at,
				      "what this host sends has no input "
				      "interface; expected no in: beside "
				      "local");
	return true;
}

/* ---- rules ---- */

enum key_flags {
	IN_FILTER = 1,
	IN_NAT = 2,
	ACTION = 4, /* exactly one of them */
};

static const struct {
	const char *name;
	read_fn *read;
	unsigned int flags;
} keys[KEYS] = {
	[KEY_NAME] = { "name", read_name, IN_FILTER | IN_NAT },
	[KEY_FAMILY] = { "family", read_family, IN_FILTER | IN_NAT },
	[KEY_PROTO] = { "proto", read_proto, IN_FILTER | IN_NAT },
	[KEY_IN] = { "in", read_in, IN_FILTER | IN_NAT },
	[KEY_OUT] = { "out", read_out, IN_FILTER | IN_NAT },
	[KEY_SRC] = { "src", read_src, IN_FILTER | IN_NAT },
	[KEY_DST] = { "dst", read_dst, IN_FILTER | IN_NAT },
	[KEY_SPORT] = { "sport", read_sport, IN_FILTER | IN_NAT },
	[KEY_DPORT] = { "dport", read_dport, IN_FILTER | IN_NAT },
	[KEY_ICMP_TYPE] = { "icmp-type", read_icmp_type, IN_FILTER | IN_NAT },
	[KEY_ICMP_CODE] = { "icmp-code", read_icmp_code, IN_FILTER | IN_NAT },
	[KEY_STATE] = { "state", read_state, IN_FILTER },
	[KEY_TRANSLATED] = { "translated", read_translated,
			     IN_FILTER | IN_NAT },
	[KEY_LOG] = { "log", read_log, IN_FILTER | IN_NAT },
	[KEY_MARK] = { "mark", read_mark, IN_FILTER | IN_NAT },
	[KEY_LABEL] = { "label", read_label, IN_FILTER | IN_NAT },
	[KEY_HELPER] = { "helper", read_helper, IN_FILTER },
	[KEY_ACCEPT] = { "accept", read_accept, IN_FILTER | ACTION },
	[KEY_DROP] = { "drop", read_drop, IN_FILTER | ACTION },
	[KEY_REJECT] = { "reject", read_reject, IN_FILTER | ACTION },
	[KEY_MASQUERADE] = { "masquerade", read_masquerade, IN_NAT | ACTION },
	[KEY_SNAT] = { "snat", read_snat, IN_NAT | ACTION },
	[KEY_DNAT] = { "dnat", read_dnat, IN_NAT | ACTION },
	[KEY_REDIRECT] = { "redirect", read_redirect, IN_NAT | ACTION },
	[KEY_EXEMPT] = { "exempt", read_exempt, IN_NAT | ACTION },
	[KEY_RANDOM] = { "random", read_random, IN_NAT },
	[KEY_PERSISTENT] = { "persistent", read_persistent, IN_NAT },
	[KEY_LOCAL] = { "local", read_local, IN_NAT },
};

static void unknown_key(struct draft *d, const struct xct_node *key,
			unsigned int here)
{
	const char *names[KEYS];
	size_t n = 0;

	for (size_t i = 0; i < KEYS; i++)
		if (keys[i].flags & here)
			names[n++] = keys[i].name;
	xct_read_unknown_key(d->r, key, "a rule", names, n);
}

/* Sort the entries of the map by what they are. */
static void find_keys(struct draft *d)
{
	unsigned int here = d->section == XCT_SECTION_NAT ? IN_NAT : IN_FILTER;

	for (const struct xct_node *v = d->map->first; v; v = v->next) {
		enum key k = 0;

		while (k < KEYS && strcmp(v->key->text, keys[k].name) != 0)
			k++;
		if (k == KEYS) {
			unknown_key(d, v->key, here);
			d->is_ok = false;
		} else if (keys[k].flags & here) {
			d->value[k] = v;
		} else {
			d->is_ok = xct_diag_error(
				d->r->diag, v->key->at,
				k == KEY_STATE
					? "nat rules are asked about new "
					  "connections only; expected no "
					  "\"%s\" here"
					: "\"%s\" does not belong here; "
					  "expected it in a rule of %s",
				keys[k].name,
				here == IN_NAT ? "filter" : "nat");
		}
	}
}

/* Exactly one action, or in a filter none, but something else to do. */
static void check_action(struct draft *d)
{
	const char *first = NULL;

	for (enum key k = 0; k < KEYS; k++) {
		if (!(keys[k].flags & ACTION) || !has_key(d, k))
			continue;
		if (first)
			d->is_ok = xct_diag_error(
				d->r->diag, d->value[k]->key->at,
				"both %s and %s; expected one action in a rule",
				first, keys[k].name);
		else
			first = keys[k].name;
	}
	/* What was refused may have been meant to be the action. */
	if (first || !d->is_ok)
		return;
	if (d->section == XCT_SECTION_NAT)
		d->is_ok = xct_diag_error(
			d->r->diag, d->map->at,
			"the rule has no action; expected masquerade, snat, "
			"dnat, redirect or exempt");
	else if (!has_key(d, KEY_LOG) && !has_key(d, KEY_MARK) &&
		 !has_key(d, KEY_LABEL) && !has_key(d, KEY_HELPER))
		d->is_ok = xct_diag_error(
			d->r->diag, d->map->at,
			"the rule has no action; expected accept, drop or "
			"reject, or log, mark, label or helper to go on with "
			"the next rule");
}

static bool set_default_name(struct draft *d)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "%s:%u",
		       xct_section_names[d->section], d->rule->line);
	d->rule->name = xct_arena_text(d->r->arena, name, strlen(name));
	return d->rule->name || xct_diag_no_memory(d->r->diag);
}

static uint8_t family_of(uint8_t families)
{
	if (families == XCT_FAMILY_V4)
		return AF_INET;
	return families == XCT_FAMILY_V6 ? AF_INET6 : 0;
}

static bool read_rule(struct xct_reader *r, enum xct_section section,
		      const struct xct_node *node, struct xct_rule *rule)
{
	struct draft d = {
		.r = r,
		.section = section,
		.map = node,
		.rule = rule,
		.families = XCT_FAMILY_ANY,
		.is_ok = true,
	};

	if (node->kind != XCT_NODE_MAP) {
		if (node->kind != XCT_NODE_BAD)
			(void)xct_diag_error(r->diag, node->at,
					     "not a rule; expected a map such "
					     "as {in: eth0, ...}");
		return false;
	}
	*rule = (struct xct_rule){
		.match = { .in = XCT_ANY,
			   .out = XCT_ANY,
			   .src = XCT_ANY,
			   .dst = XCT_ANY,
			   .sport = XCT_ANY,
			   .dport = XCT_ANY,
			   .proto = XCT_ANY,
			   .icmp = XCT_ANY,
			   .classes = 1 << XCT_CLASS_NEW },
		.action = XCT_ACT_LOG,
		.line = node->at.line,
	};
	find_keys(&d);
	check_action(&d);
	for (enum key k = 0; k < KEYS; k++)
		if (has_key(&d, k))
			d.is_ok &= keys[k].read(&d, d.value[k], keys[k].name);
	rule->match.family = family_of(d.families);
	return d.is_ok && (rule->name || set_default_name(&d));
}

bool xct_read_rules(struct xct_reader *r, enum xct_section section,
		    const struct xct_node *node, struct xct_rule **rules,
		    uint32_t *n)
{
	*rules = NULL;
	*n = 0;
	if (!xct_read_is(r, node, XCT_NODE_LIST,
			 section == XCT_SECTION_NAT ? "nat" : "rules"))
		return false;
	*rules = xct_arena_array(r->arena, node->n, sizeof(**rules));
	if (!*rules)
		return xct_diag_no_memory(r->diag);
	for (const struct xct_node *v = node->first; v; v = v->next)
		if (read_rule(r, section, v, &(*rules)[*n]))
			(*n)++;
	return true;
}
