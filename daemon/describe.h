/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A compiled rule written back as one line of YAML, with the keys of
 * rules.yaml(5) and the groups it named spelt out.
 */
#ifndef XCT_DAEMON_DESCRIBE_H
#define XCT_DAEMON_DESCRIBE_H

#include "daemon/engine/rule.h"

/* "in: eth0, proto: tcp, dport: [80, 443], dnat: 10.0.0.10". Caller frees;
 * NULL: no memory. */
char *xct_describe_rule(const struct xct_ruleset *rs,
			const struct xct_rule *rule);

/* "accept", "drop", "reject": what a chain does with the rest. */
const char *xct_describe_policy(const struct xct_chain *chain);

/* "forward", "input", "output". */
const char *xct_describe_chain(enum xct_chain_id id);

#endif
