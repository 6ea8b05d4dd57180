/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nat: and filter: as sections: chains, their defaults, invalid packets. */
#include <string.h>

#include "daemon/config_read.h"

void xct_read_nat(struct xct_reader *r, const struct xct_node *node)
{
	struct xct_rule *rules;
	uint32_t n;

	if (xct_read_rules(r, XCT_SECTION_NAT, node, &rules, &n) &&
	    xct_compile_nat(&r->compiler, rules, n) < 0)
		(void)xct_diag_no_memory(r->diag);
}

static const char *const policy_words[] = { "accept", "drop", "reject" };
static const enum xct_action policies[] = { XCT_ACT_ACCEPT, XCT_ACT_DROP,
					    XCT_ACT_REJECT };

static void read_chain(struct xct_reader *r, enum xct_section section,
		       const struct xct_node *node)
{
	static const char *const names[] = { "default", "rules" };
	enum xct_action policy = XCT_ACT_ACCEPT;
	struct xct_rule *rules = NULL;
	const struct xct_node *v = NULL;
	uint32_t n = 0;

	if (node &&
	    xct_read_is(r, node, XCT_NODE_MAP, xct_section_names[section]))
		v = node->first;
	for (; v; v = v->next) {
		unsigned int i;

		if (strcmp(v->key->text, "rules") == 0)
			(void)xct_read_rules(r, section, v, &rules, &n);
		else if (strcmp(v->key->text, "default") != 0)
			xct_read_unknown_key(r, v->key,
					     xct_section_names[section], names,
					     XCT_ARRAY_SIZE(names));
		else if (xct_value_word(r->diag, v, "default", policy_words,
					XCT_ARRAY_SIZE(policy_words), &i))
			policy = policies[i];
	}
	xct_compile_chain(&r->compiler, (enum xct_chain_id)section, rules, n,
			  policy);
}

static void read_invalid(struct xct_reader *r, const struct xct_node *node)
{
	static const char *const words[] = { "accept", "drop", "log" };
	struct xct_ruleset *rs = &r->config->ruleset;
	unsigned int i;

	if (!xct_value_word(r->diag, node, "invalid", words,
			    XCT_ARRAY_SIZE(words), &i))
		return;
	rs->invalid = i == 0 ? XCT_ACT_ACCEPT : XCT_ACT_DROP;
	rs->log_invalid = i == 2;
}

void xct_read_filter(struct xct_reader *r, const struct xct_node *node)
{
	static const char *const names[] = { "forward", "input", "output",
					     "invalid" };
	const struct xct_node *chains[XCT_CHAINS] = { NULL };
	const struct xct_node *v = NULL;

	r->config->ruleset.invalid = XCT_ACT_ACCEPT;
	if (node && xct_read_is(r, node, XCT_NODE_MAP, "filter"))
		v = node->first;
	for (; v; v = v->next) {
		unsigned int i = 0;

		while (i < XCT_CHAINS && strcmp(v->key->text, names[i]) != 0)
			i++;
		if (i < XCT_CHAINS)
			chains[i] = v;
		else if (strcmp(v->key->text, "invalid") == 0)
			read_invalid(r, v);
		else
			xct_read_unknown_key(r, v->key, "filter", names,
					     XCT_ARRAY_SIZE(names));
	}
	for (unsigned int i = 0; i < XCT_CHAINS; i++)
		read_chain(r, (enum xct_section)i, chains[i]);
}
