/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what a file says to a struct xct_ruleset: equal sets become one, ranges
 * are sorted and merged, rules get their counters, NAT rules are sorted out by
 * the end of the connection that they change.
 */
#ifndef XCT_DAEMON_COMPILE_H
#define XCT_DAEMON_COMPILE_H

#include "daemon/dict.h"
#include "daemon/engine/rule.h"

/* The number of a set, as wide as rules keep it. */
typedef __typeof__(((struct xct_match *)0)->in) xct_set_id;

/* Distinct sets of one kind: all numbers but XCT_ANY. */
#define XCT_SETS_MAX XCT_ANY

/* Sets of one kind, numbered as they come, each kept once. */
struct xct_pool {
	struct xct_dict index;
	struct xct_pool_set *first; /* in order */
	struct xct_pool_set **tail;
	uint32_t n;
};

struct xct_compiler {
	struct xct_arena *arena;   /* of the configuration; borrowed */
	struct xct_arena *scratch; /* until the compiler is done; borrowed */
	struct xct_ruleset *rs;	   /* being built; borrowed */
	struct xct_pool ifsets;
	struct xct_pool addrsets;
	struct xct_pool portsets;
	struct xct_pool protosets;
	struct xct_pool icmpsets;
};

void xct_compiler_init(struct xct_compiler *c, struct xct_arena *arena,
		       struct xct_arena *scratch, struct xct_ruleset *rs);

/* The number of a set. What is passed is put in order, and copied. Returns
 * -ENOSPC if there are too many distinct sets, -ENOMEM. */
int xct_compile_ifset(struct xct_compiler *c, char (*patterns)[XCT_IFNAMSIZ],
		      uint32_t n);
int xct_compile_addrset(struct xct_compiler *c, struct xct_addr_range *ranges,
			uint32_t n);
int xct_compile_portset(struct xct_compiler *c, struct xct_port_range *ranges,
			uint32_t n);
int xct_compile_protoset(struct xct_compiler *c,
			 const struct xct_byteset *protos);
int xct_compile_icmpset(struct xct_compiler *c, const struct xct_icmpset *set);

/* Take over @rules, which live in the configuration's arena. */
void xct_compile_chain(struct xct_compiler *c, enum xct_chain_id id,
		       struct xct_rule *rules, uint32_t n,
		       enum xct_action policy);

/* Sort out the rules of nat:. 0 or -ENOMEM. */
int xct_compile_nat(struct xct_compiler *c, struct xct_rule *rules, uint32_t n);

/* Write sets and counters into the ruleset. 0 or -ENOMEM. */
int xct_compile_finish(struct xct_compiler *c);

#endif
