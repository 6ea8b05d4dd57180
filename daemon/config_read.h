/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the readers of rules.yaml share. config.c reads the file as a whole,
 * config_settings.c settings: and hooks:, config_sets.c what has a name and
 * where names are used, config_zones.c zones:, config_filter.c nat: and
 * filter:, config_rules.c the rules in them, config_proto.c protocols, ICMP
 * types and labels.
 */
#ifndef XCT_DAEMON_CONFIG_READ_H
#define XCT_DAEMON_CONFIG_READ_H

#include "daemon/compile.h"
#include "daemon/config.h"
#include "daemon/values.h"

/* Ranges and patterns that all rules together may spell out. */
#define XCT_CONFIG_BUDGET (4u * 1024 * 1024)

/* Comparisons of names for the sake of hints: some tenths of a second. */
#define XCT_CONFIG_GUESSES 2000000u

/* Families of addresses as bits, to be intersected. */
enum {
	XCT_FAMILY_V4 = 1,
	XCT_FAMILY_V6 = 2,
	XCT_FAMILY_ANY = XCT_FAMILY_V4 | XCT_FAMILY_V6,
};

/* A growing array that is used again for every list. */
struct xct_vec {
	void *items;
	uint32_t n;
	uint32_t size;
};

struct xct_reader {
	struct xct_diag *diag;
	struct xct_arena *arena;   /* of the configuration */
	struct xct_arena *scratch; /* until loading is over */
	struct xct_config *config;
	struct xct_compiler compiler;

	struct xct_dict groups; /* of interfaces, by name */
	struct xct_dict sets;	/* of addresses or ports, by name */
	struct xct_named *first_named;
	struct xct_named **named_tail;
	struct xct_dict interfaces; /* names used that are no groups */

	struct xct_vec patterns; /* char [XCT_IFNAMSIZ] */
	struct xct_vec addrs;	 /* struct xct_addr_range */
	struct xct_vec ports;	 /* struct xct_port_range */
	uint32_t budget;	 /* what is left of it */
	bool is_over;		 /* a limit was met, and was complained of */
	uint32_t guesses;	 /* comparisons of names left for hints */

	struct xct_dict rule_names;

	struct xct_label_names labels; /* read when a rule needs one */
	int labels_error;	       /* 0, or why there are none: -errno */
};

/* Is @node a map (or a list)? Says so if not. Null is an empty one: @node is
 * then to be passed over, and false is returned without a word. */
bool xct_read_is(struct xct_reader *r, const struct xct_node *node,
		 enum xct_node_kind kind, const char *what);

/* A key that is none of @names: an error with a guess. */
void xct_read_unknown_key(struct xct_reader *r, const struct xct_node *key,
			  const char *where, const char *const *names,
			  size_t n);

/* interfaces: and sets:, before anything that uses them. */
void xct_read_interfaces(struct xct_reader *r, const struct xct_node *node);
void xct_read_sets(struct xct_reader *r, const struct xct_node *node);

/* zones:; and a warning, once the file is in order, of those whose mark no
 * packet has. */
void xct_read_zones(struct xct_reader *r, const struct xct_node *node);
void xct_read_warn_hidden_marks(struct xct_reader *r,
				const struct xct_node *node);

void xct_read_settings(struct xct_reader *r, const struct xct_node *node);
void xct_read_hooks(struct xct_reader *r, const struct xct_node *node);

/* Conditions; *@index is XCT_ANY if the value is "any". */
bool xct_read_ifset(struct xct_reader *r, const struct xct_node *node,
		    const char *what, xct_set_id *index);
bool xct_read_addrset(struct xct_reader *r, const struct xct_node *node,
		      const char *what, xct_set_id *index, uint8_t *families);
bool xct_read_portset(struct xct_reader *r, const struct xct_node *node,
		      const char *what, xct_set_id *index);
bool xct_is_any(const struct xct_node *node);

/* What became of a set: its number, or an error. */
bool xct_read_compiled(struct xct_reader *r, const struct xct_node *node,
		       const char *what, int index, xct_set_id *number);

/* Warn of what was defined and never used. */
void xct_read_warn_unused(struct xct_reader *r);

/* Where a rule stands; a chain's section has the chain's number. */
enum xct_section {
	XCT_SECTION_FORWARD = XCT_CHAIN_FORWARD,
	XCT_SECTION_INPUT = XCT_CHAIN_INPUT,
	XCT_SECTION_OUTPUT = XCT_CHAIN_OUTPUT,
	XCT_SECTION_NAT,
};

extern const char *const xct_section_names[];

/* @node may be NULL in xct_read_filter(): every chain is there, and accepts. */
void xct_read_nat(struct xct_reader *r, const struct xct_node *node);
void xct_read_filter(struct xct_reader *r, const struct xct_node *node);

/* Read the list @node into an array of the configuration's arena. */
bool xct_read_rules(struct xct_reader *r, enum xct_section section,
		    const struct xct_node *node, struct xct_rule **rules,
		    uint32_t *n);

/* Protocols, in any mixture; and types of those of @protos, which are ICMP or
 * ICMPv6 or both. */
bool xct_read_protos(struct xct_reader *r, const struct xct_node *node,
		     const char *what, struct xct_byteset *protos);
bool xct_read_icmp_types(struct xct_reader *r, const struct xct_node *node,
			 const struct xct_byteset *protos,
			 struct xct_icmpset *set);

/* Connection labels, by number or by name. */
bool xct_read_labels(struct xct_reader *r, const struct xct_node *node,
		     const char *what, struct xct_labels *labels);

#endif
