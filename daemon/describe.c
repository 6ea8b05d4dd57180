/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A compiled rule written back as one line of YAML. */
#include "daemon/describe.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line being written. */
struct line {
	FILE *out;
	const struct xct_ruleset *rs;
	bool has_keys;
	unsigned int n; /* items of the list that is being written */
};

static void key(struct line *line, const char *name)
{
	fprintf(line->out, "%s%s: ", line->has_keys ? ", " : "", name);
	line->has_keys = true;
}

/* A list of @n items that follow, each announced by item(); brackets only where
 * it is not just one. */
static void list_begin(struct line *line, const char *name, uint32_t n)
{
	key(line, name);
	if (n != 1)
		fputc('[', line->out);
	line->n = 0;
}

static FILE *item(struct line *line)
{
	if (line->n++ > 0)
		fputs(", ", line->out);
	return line->out;
}

static void list_end(struct line *line)
{
	if (line->n != 1)
		fputc(']', line->out);
}

static void write_ifset(struct line *line, const char *name, uint32_t index)
{
	const struct xct_ifset *set;

	if (index == XCT_ANY)
		return;
	set = &line->rs->ifsets[index];
	list_begin(line, name, set->n);
	for (uint32_t i = 0; i < set->n; i++) {
		const char *pattern = set->patterns[i];
		const char *quote = strpbrk(pattern, "*:") ? "\"" : "";

		fprintf(item(line), "%s%s%s", quote, pattern, quote);
	}
	list_end(line);
}

/* Length of the prefix that is exactly @range, or -1. */
static int prefix_len(const struct xct_addr_range *range)
{
	int max = (int)xct_addr_len(range->family) * 8;
	struct xct_addr_range prefix;

	for (int len = 0; len <= max; len++)
		if (xct_range_from_prefix(range->family, &range->first,
					  (unsigned int)len, &prefix) &&
		    xct_addr_equal(&prefix.first, &range->first) &&
		    xct_addr_equal(&prefix.last, &range->last))
			return len;
	return -1;
}

static void write_addr(FILE *out, uint8_t family, const struct xct_addr *addr)
{
	char buf[XCT_ADDRSTRLEN];

	fputs(xct_addr_format(family, addr, buf), out);
}

/* "10.0.0.1" or "10.0.0.1-10.0.0.9". */
static void write_range(FILE *out, const struct xct_addr_range *range)
{
	write_addr(out, range->family, &range->first);
	if (!xct_addr_equal(&range->first, &range->last)) {
		fputc('-', out);
		write_addr(out, range->family, &range->last);
	}
}

/* The same, or "10.0.0.0/8". */
static void write_prefix(FILE *out, const struct xct_addr_range *range)
{
	int len = prefix_len(range);

	if (len < 0 || len == (int)xct_addr_len(range->family) * 8) {
		write_range(out, range);
		return;
	}
	write_addr(out, range->family, &range->first);
	fprintf(out, "/%d", len);
}

static void write_addrset(struct line *line, const char *name, uint32_t index)
{
	const struct xct_addrset *set;

	if (index == XCT_ANY)
		return;
	set = &line->rs->addrsets[index];
	list_begin(line, name, set->n);
	for (uint32_t i = 0; i < set->n; i++) {
		const struct xct_addr_range *range = &set->ranges[i];
		const char *quote = range->family == AF_INET6 ? "\"" : "";

		fputs(quote, item(line));
		write_prefix(line->out, range);
		fputs(quote, line->out);
	}
	list_end(line);
}

static void write_portset(struct line *line, const char *name, uint32_t index)
{
	const struct xct_portset *set;

	if (index == XCT_ANY)
		return;
	set = &line->rs->portsets[index];
	list_begin(line, name, set->n);
	for (uint32_t i = 0; i < set->n; i++) {
		const struct xct_port_range *range = &set->ranges[i];

		fprintf(item(line), "%u", range->first);
		if (range->last != range->first)
			fprintf(line->out, "-%u", range->last);
	}
	list_end(line);
}

static unsigned int count_bytes(const struct xct_byteset *set)
{
	unsigned int n = 0;

	for (size_t i = 0; i < XCT_ARRAY_SIZE(set->bits); i++)
		n += (unsigned int)__builtin_popcountll(set->bits[i]);
	return n;
}

static void write_protoset(struct line *line, uint32_t index)
{
	const struct xct_byteset *set;

	if (index == XCT_ANY)
		return;
	set = &line->rs->protosets[index];
	list_begin(line, "proto", count_bytes(set));
	for (unsigned int i = 0; i < 256; i++) {
		const char *name = xct_proto_name((uint8_t)i);

		if (!xct_byteset_has(set, (uint8_t)i))
			continue;
		if (name)
			fputs(name, item(line));
		else
			fprintf(item(line), "%u", i);
	}
	list_end(line);
}

/* As numbers: those of ICMP, then those of ICMPv6. */
static void write_icmpset(struct line *line, uint32_t index)
{
	const struct xct_icmpset *set;

	if (index == XCT_ANY)
		return;
	set = &line->rs->icmpsets[index];
	list_begin(line, "icmp-type",
		   count_bytes(&set->type[0]) + count_bytes(&set->type[1]));
	for (unsigned int i = 0; i < 2 * 256; i++)
		if (xct_byteset_has(&set->type[i >> 8], (uint8_t)i))
			fprintf(item(line), "%u", i & 255);
	list_end(line);
	if (set->code >= 0) {
		key(line, "icmp-code");
		fprintf(line->out, "%d", set->code);
	}
}

static void write_classes(struct line *line, uint8_t classes)
{
	if (classes == 1u << XCT_CLASS_NEW) /* goes without saying */
		return;
	list_begin(line, "state", (uint32_t)__builtin_popcount(classes));
	for (int i = 0; i < XCT_CLASSES; i++)
		if (classes >> i & 1)
			fputs(xct_class_name((enum xct_class)i), item(line));
	list_end(line);
}

static bool is_one_family(const struct line *line, uint32_t index)
{
	const struct xct_addrset *set;

	if (index == XCT_ANY)
		return false;
	set = &line->rs->addrsets[index];
	return set->n > 0 &&
	       set->ranges[0].family == set->ranges[set->n - 1].family;
}

static bool is_one_icmp(const struct line *line, uint32_t index)
{
	const struct xct_byteset *set;

	if (index == XCT_ANY)
		return false;
	set = &line->rs->protosets[index];
	return count_bytes(set) == 1 && (xct_byteset_has(set, IPPROTO_ICMP) ||
					 xct_byteset_has(set, IPPROTO_ICMPV6));
}

/* Does the rest of the rule say already which family it is for? */
static bool is_family_clear(const struct line *line,
			    const struct xct_rule *rule)
{
	const struct xct_match *match = &rule->match;

	return match->family == 0 || rule->nat.addr.family != 0 ||
	       is_one_family(line, match->src) ||
	       is_one_family(line, match->dst) ||
	       is_one_icmp(line, match->proto);
}

static void write_match(struct line *line, const struct xct_rule *rule)
{
	const struct xct_match *match = &rule->match;
	static const char *const translated[] = { "", "snat", "dnat", "any" };

	write_ifset(line, "in", match->in);
	write_ifset(line, "out", match->out);
	if (!is_family_clear(line, rule)) {
		key(line, "family");
		fputs(match->family == AF_INET ? "ipv4" : "ipv6", line->out);
	}
	write_protoset(line, match->proto);
	write_addrset(line, "src", match->src);
	write_portset(line, "sport", match->sport);
	write_addrset(line, "dst", match->dst);
	write_portset(line, "dport", match->dport);
	write_icmpset(line, match->icmp);
	write_classes(line, match->classes);
	if (match->translated != 0) {
		key(line, "translated");
		fputs(translated[match->translated & 3], line->out);
	}
}

/* "10.0.0.10", "10.0.0.10:22", "[fd00::1]:22", "203.0.113.7:20000-29999". */
static void write_target(struct line *line, const char *name,
			 const struct xct_nat_range *nat)
{
	bool is_v6 = nat->addr.family == AF_INET6;
	FILE *out = line->out;

	key(line, name);
	fputs(is_v6 ? "\"" : "", out);
	if (nat->addr.family != 0) {
		fputs(is_v6 && nat->port_first ? "[" : "", out);
		write_range(out, &nat->addr);
		fputs(is_v6 && nat->port_first ? "]" : "", out);
		fputs(nat->port_first ? ":" : "", out);
	}
	if (nat->port_first != 0)
		fprintf(out, "%u", nat->port_first);
	if (nat->port_last > nat->port_first)
		fprintf(out, "-%u", nat->port_last);
	if (nat->addr.family == 0 && nat->port_first == 0)
		fputs("yes", out);
	fputs(is_v6 ? "\"" : "", out);
}

static const char *reject_name(uint8_t reject)
{
	switch ((enum xct_reject)reject) {
	case XCT_REJECT_TCP_RESET:
		return "tcp-reset";
	case XCT_REJECT_PORT:
		return "port-unreachable";
	case XCT_REJECT_HOST:
		return "host-unreachable";
	case XCT_REJECT_NET:
		return "net-unreachable";
	case XCT_REJECT_ADMIN:
		return "admin-prohibited";
	case XCT_REJECT_PROTO:
		return "proto-unreachable";
	case XCT_REJECT_AUTO:
		break;
	}
	return "yes";
}

static void write_flag(struct line *line, const char *name)
{
	key(line, name);
	fputs("yes", line->out);
}

static void write_action(struct line *line, const struct xct_rule *rule)
{
	switch ((enum xct_action)rule->action) {
	case XCT_ACT_ACCEPT:
		write_flag(line, "accept");
		break;
	case XCT_ACT_DROP:
		write_flag(line, "drop");
		break;
	case XCT_ACT_REJECT:
		key(line, "reject");
		fputs(reject_name(rule->reject), line->out);
		break;
	case XCT_ACT_LOG: /* written with the options */
		break;
	case XCT_ACT_MASQUERADE:
		write_target(line, "masquerade", &rule->nat);
		break;
	case XCT_ACT_SNAT:
		write_target(line, "snat", &rule->nat);
		break;
	case XCT_ACT_DNAT:
		write_target(line, "dnat", &rule->nat);
		break;
	case XCT_ACT_REDIRECT:
		write_target(line, "redirect", &rule->nat);
		break;
	case XCT_ACT_EXEMPT:
		write_flag(line, "exempt");
		break;
	}
}

static void write_labels(struct line *line, const struct xct_labels *labels)
{
	list_begin(line, "label",
		   (uint32_t)(__builtin_popcountll(labels->bits[0]) +
			      __builtin_popcountll(labels->bits[1])));
	for (unsigned int bit = 0; bit < XCT_LABEL_BITS; bit++) {
		if (xct_labels_has(labels, bit))
			fprintf(item(line), "%u", bit);
	}
	list_end(line);
}

char *xct_describe_rule(const struct xct_ruleset *rs,
			const struct xct_rule *rule)
{
	struct line line = { .rs = rs };
	char *text = NULL;
	size_t len;

	line.out = open_memstream(&text, &len);
	if (!line.out)
		return NULL;
	write_match(&line, rule);
	write_action(&line, rule);
	if (rule->has_mark) {
		key(&line, "mark");
		fprintf(line.out, "0x%x", rule->mark);
	}
	if (xct_labels_any(&rule->labels))
		write_labels(&line, &rule->labels);
	if (rule->helper) {
		key(&line, "helper");
		fputs(xct_helper_name(rule->helper), line.out);
	}
	if (rule->log)
		write_flag(&line, "log");
	if (rule->is_local)
		write_flag(&line, "local");
	if (rule->nat.is_random)
		write_flag(&line, "random");
	if (rule->nat.is_persistent)
		write_flag(&line, "persistent");
	if (fclose(line.out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

const char *xct_describe_policy(const struct xct_chain *chain)
{
	switch (chain->policy) {
	case XCT_ACT_DROP:
		return "drop";
	case XCT_ACT_REJECT:
		return "reject";
	default:
		return "accept";
	}
}

const char *xct_describe_chain(enum xct_chain_id id)
{
	static const char *const names[XCT_CHAINS] = {
		[XCT_CHAIN_FORWARD] = "forward",
		[XCT_CHAIN_INPUT] = "input",
		[XCT_CHAIN_OUTPUT] = "output",
	};

	return names[id];
}
