/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connection labels: 128 bits that a flow may have, as the kernel's connlabel
 * match sets them. Those that have a name have it from a file of lines such as
 * "7 web", which iptables, conntrack and nft read too.
 */
#ifndef XCT_COMMON_LABEL_H
#define XCT_COMMON_LABEL_H

#include "common/types.h"

#define XCT_LABEL_BITS	  128
#define XCT_LABEL_NUMBERS 1024 /* that the file may name; none can be had */
#define XCT_LABELS_PATH	  "/etc/xtables/connlabel.conf"

struct xct_labels {
	uint64_t bits[XCT_LABEL_BITS / 64];
};

static inline bool xct_labels_any(const struct xct_labels *labels)
{
	return labels->bits[0] | labels->bits[1];
}

/* Has @labels all of @wanted? */
static inline bool xct_labels_have(const struct xct_labels *labels,
				   const struct xct_labels *wanted)
{
	return !(wanted->bits[0] & ~labels->bits[0]) &&
	       !(wanted->bits[1] & ~labels->bits[1]);
}

static inline bool xct_labels_has(const struct xct_labels *labels,
				  unsigned int bit)
{
	return labels->bits[bit / 64] >> bit % 64 & 1;
}

static inline void xct_labels_set(struct xct_labels *labels, unsigned int bit)
{
	labels->bits[bit / 64] |= UINT64_C(1) << bit % 64;
}

static inline void xct_labels_add(struct xct_labels *labels,
				  const struct xct_labels *more)
{
	labels->bits[0] |= more->bits[0];
	labels->bits[1] |= more->bits[1];
}

static inline void xct_labels_remove(struct xct_labels *labels,
				     const struct xct_labels *less)
{
	labels->bits[0] &= ~less->bits[0];
	labels->bits[1] &= ~less->bits[1];
}

/* Names are of letters, digits, blanks within, and '-': nothing needs quoting
 * wherever they are printed. */
struct xct_label_names {
	char *text;			      /* owned; what names point into */
	const char *names[XCT_LABEL_NUMBERS]; /* NULL: this one has none */
	size_t len; /* of the names of labels that can be had, together */
};

/* Read @path. 0 or -errno; a file that names nothing is none (-ENODATA). */
int xct_label_names_read(struct xct_label_names *names, const char *path);
void xct_label_names_free(struct xct_label_names *names);

/* The number of the label of that name, @len long; -1: there is none. */
int xct_label_find(const struct xct_label_names *names, const char *name,
		   size_t len);

#endif
