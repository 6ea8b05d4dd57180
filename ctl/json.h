/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON: a flow as an object, written; xctd's reports, read. */
#ifndef XCT_CTL_JSON_H
#define XCT_CTL_JSON_H

#include <jansson.h>

#include "common/flow_info.h"

#define XCT_JSON_FLOW_MAX 1024 /* no object is longer, but for labels */

/* Write @info as one object at @p, without newline or NUL; returns the end.
 * @names: of labels, NULL if they have none; xct_ctl_labels_room() more. */
char *xct_json_put_flow(char *p, const struct xct_flow_info *info,
			const struct xct_label_names *names);

/* The number @key of @object as uint64; 0 if it is not there. */
uint64_t xct_json_number(const json_t *object, const char *key);

/* The string @key of @object; "" if it is not there. */
const char *xct_json_text(const json_t *object, const char *key);

#endif
