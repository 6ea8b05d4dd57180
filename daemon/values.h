/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading single values of rules.yaml: switches, numbers, durations, ports,
 * words, targets of a translation. Each reader says itself what is wrong and
 * returns false; @what names the value in messages. Readers are silent about
 * nodes of kind XCT_NODE_BAD, which have been complained about.
 */
#ifndef XCT_DAEMON_VALUES_H
#define XCT_DAEMON_VALUES_H

#include "daemon/engine/rule.h"
#include "daemon/yaml.h"

/* A scalar that is there and not empty; if not, *@text is "". */
bool xct_value_text(struct xct_diag *diag, const struct xct_node *node,
		    const char *what, const char **text);

/* yes, no, true, false, on, off. */
bool xct_value_bool(struct xct_diag *diag, const struct xct_node *node,
		    const char *what, bool *value);

/* @min to @max, in decimal. */
bool xct_value_uint(struct xct_diag *diag, const struct xct_node *node,
		    const char *what, uint32_t min, uint32_t max,
		    uint32_t *value);

/* Any 32 bits, in decimal or, after 0x, hexadecimal. */
bool xct_value_bits(struct xct_diag *diag, const struct xct_node *node,
		    const char *what, uint32_t *value);

/* Bits of a mark: 16, 0x10, 0x10/0xf0. Bits of *@value are bits of *@mask. */
bool xct_value_mark(struct xct_diag *diag, const struct xct_node *node,
		    const char *what, uint32_t *value, uint32_t *mask);

/* "5d", "1h30m", "120s", 120: a second to 1000 days. */
bool xct_value_seconds(struct xct_diag *diag, const struct xct_node *node,
		       const char *what, uint32_t *seconds);

/* One of @n words, as its index. */
bool xct_value_word(struct xct_diag *diag, const struct xct_node *node,
		    const char *what, const char *const *words, size_t n,
		    unsigned int *index);

/* Ports to translate to: "8080", "20000-29999". */
bool xct_value_nat_ports(struct xct_diag *diag, const struct xct_node *node,
			 const char *what, struct xct_nat_range *nat);

/* Address to translate to: "192.0.2.1", "192.0.2.1-192.0.2.9:1024-2047",
 * "2001:db8::1", "[2001:db8::1]:80". */
bool xct_value_nat_target(struct xct_diag *diag, const struct xct_node *node,
			  const char *what, struct xct_nat_range *nat);

/* "80" or "1000-2000", all of @text. */
bool xct_parse_ports(const char *text, struct xct_port_range *range);

/* A decimal number without sign or leading zero, all of @text. */
bool xct_parse_number(const char *text, uint32_t max, uint32_t *value);

/* Walk a list, or a lone scalar as a list of one. */
const struct xct_node *xct_item_first(const struct xct_node *node);
const struct xct_node *xct_item_next(const struct xct_node *node,
				     const struct xct_node *item);

/*
 * "Did you mean": the candidate with the smallest edit distance to @word, if
 * one is close enough to be a slip. xct_hint() gives the end of a message:
 * what was meant, or else "; expected " and @expected.
 */
struct xct_guess {
	const char *word;
	const char *best; /* NULL: nothing is close */
	unsigned int distance;
};

struct xct_hint {
	char s[320];
};

void xct_guess_begin(struct xct_guess *guess, const char *word);
void xct_guess_offer(struct xct_guess *guess, const char *candidate);
struct xct_hint xct_hint(const struct xct_guess *guess, const char *expected);

/* Insertions, deletions, replacements and swaps of neighbours between @a and
 * @b; anything above @limit is given as @limit + 1. */
unsigned int xct_edit_distance(const char *a, const char *b,
			       unsigned int limit);

#endif
