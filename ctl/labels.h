/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names of connection labels, as xctctl's options and outputs need them. */
#ifndef XCT_CTL_LABELS_H
#define XCT_CTL_LABELS_H

#include "common/label.h"
#include "ctl/filter.h"

/* The names, read once; NULL, after saying why, if there are none. */
const struct xct_label_names *xct_ctl_label_names(void);

/* The same for output: of the labels that the lines for @query show. NULL: they
 * show none. JSON shows all, and those without a name by their numbers. */
const struct xct_label_names *xct_ctl_shown_labels(const struct xct_query *q);

/* What the labels of a flow take in any output, however many it has. */
static inline size_t xct_ctl_labels_room(const struct xct_label_names *names)
{
	return XCT_LABEL_BITS * 16 + (names ? names->len : 0);
}

#endif
