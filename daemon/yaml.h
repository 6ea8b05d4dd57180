/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * YAML text as a tree of nodes that know where they stand in the file.
 *
 * Only what a configuration needs: one document of maps, lists and scalars.
 * Anchors, aliases and tags are refused, so the tree is never larger than the
 * text. Scalars are text; what they mean is decided by who reads them.
 */
#ifndef XCT_DAEMON_YAML_H
#define XCT_DAEMON_YAML_H

#include "daemon/diag.h"

#define XCT_YAML_SIZE_MAX  (16u * 1024 * 1024) /* bytes of text */
#define XCT_YAML_NODES_MAX (4u * 1024 * 1024)
#define XCT_YAML_DEPTH_MAX 16u

enum xct_node_kind {
	XCT_NODE_SCALAR,
	XCT_NODE_LIST,
	XCT_NODE_MAP,
	XCT_NODE_BAD, /* already complained about: to be passed over */
};

struct xct_node {
	struct xct_pos at;
	uint32_t n;   /* items of a list, values of a map */
	uint8_t kind; /* enum xct_node_kind */
	bool is_null; /* a scalar that was left out, or "~", or "null" */
	union {
		const char *text;	/* scalar: UTF-8, no control bytes */
		struct xct_node *first; /* list, map */
	};
	struct xct_node *next; /* in the list or map it is part of */
	struct xct_node *key;  /* value in a map: its key, a scalar */
};

/* Read @text. @root is NULL for an empty document. False: it is no YAML, or
 * not all of it could be read; duplicate keys, tags and the like are errors
 * in @diag, but the rest of the tree is there. Everything lives in
 * @diag->arena. */
bool xct_yaml_parse(struct xct_diag *diag, const char *text, size_t len,
		    struct xct_node **root);

#endif
