/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When connlabel.conf is read, and what is said if that cannot be. */
#include "ctl/labels.h"

#include <string.h>

#include "ctl/ctl.h"

/* 0, or why there are no names: an errno. */
static int read_names(const struct xct_label_names **names)
{
	static struct xct_label_names read_once; /* until the program ends */
	static bool is_read;
	static int error;

	if (!is_read)
		error = -xct_label_names_read(&read_once, XCT_LABELS_PATH);
	is_read = true;
	*names = error ? NULL : &read_once;
	return error;
}

const struct xct_label_names *xct_ctl_label_names(void)
{
	const struct xct_label_names *names;
	static bool is_said;
	int error = read_names(&names);

	if (error && !is_said)
		xct_ctl_say("no labels have names: cannot read "
			    "%s: %s",
			    XCT_LABELS_PATH, strerror(error));
	is_said |= error;
	return names;
}

const struct xct_label_names *xct_ctl_shown_labels(const struct xct_query *q)
{
	const uint64_t with_labels = XCT_OPTION_BIT(LABEL) |
				     XCT_OPTION_BIT(LABEL_ADD) |
				     XCT_OPTION_BIT(LABEL_DEL);
	const struct xct_label_names *names = NULL;

	if (q->outputs & (XCT_OUTPUT_JSON | XCT_OUTPUT_NDJSON))
		(void)read_names(&names); /* numbers will do */
	else if (q->outputs & XCT_OUTPUT_LABELS || q->options & with_labels)
		names = xct_ctl_label_names();
	return names;
}
