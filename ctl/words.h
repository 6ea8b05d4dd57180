/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside filter.c's job: options whose value is a list of words (words.c). */
#ifndef XCT_CTL_WORDS_H
#define XCT_CTL_WORDS_H

#include "ctl/options.h"

bool xct_words_status(struct xct_query *query, const struct xct_option_row *row,
		      const char *arg);
bool xct_words_output(struct xct_query *query, const struct xct_option_row *row,
		      const char *arg);
bool xct_words_events(struct xct_query *query, const struct xct_option_row *row,
		      const char *arg);

/* Without @arg: all labels. */
bool xct_words_labels(struct xct_query *query, const struct xct_option_row *row,
		      const char *arg);

#endif
