/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rules.yaml as a whole: loading, and the top level.
 *
 * Two arenas: that of the configuration, which is kept, and one for the nodes,
 * the names and the messages, which is gone when loading is over.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config_read.h"

#define READ_SIZE (64u * 1024)

/* ---- what all readers need ---- */

bool xct_read_is(struct xct_reader *r, const struct xct_node *node,
		 enum xct_node_kind kind, const char *what)
{
	if (node->kind == kind)
		return true;
	if (node->kind == XCT_NODE_BAD ||
	    (node->kind == XCT_NODE_SCALAR && node->is_null))
		return false;
	return xct_diag_error(r->diag, node->at, "%s is not %s; expected %s",
			      what, kind == XCT_NODE_MAP ? "a map" : "a list",
			      kind == XCT_NODE_MAP
				      ? "lines of the form \"key: value\""
				      : "lines that begin with \"- \"");
}

void xct_read_unknown_key(struct xct_reader *r, const struct xct_node *key,
			  const char *where, const char *const *names, size_t n)
{
	struct xct_guess guess;
	char expected[256];
	size_t len = 0;

	xct_guess_begin(&guess, key->text);
	expected[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		xct_guess_offer(&guess, names[i]);
		if (len < sizeof(expected))
			len += (size_t)snprintf(expected + len,
						sizeof(expected) - len, "%s%s",
						i ? ", " : "", names[i]);
	}
	(void)xct_diag_error(r->diag, key->at, "unknown key \"%s\" in %s%s",
			     xct_excerpt(key->text).s, where,
			     xct_hint(&guess, expected).s);
}

/* ---- the top level ---- */

enum top {
	TOP_INTERFACES,
	TOP_SETS,
	TOP_ZONES,
	TOP_NAT,
	TOP_FILTER,
	TOP_SETTINGS,
	TOP_HOOKS,
	TOPS
};

static const char *const top_names[TOPS] = {
	[TOP_INTERFACES] = "interfaces", [TOP_SETS] = "sets",
	[TOP_ZONES] = "zones",		 [TOP_NAT] = "nat",
	[TOP_FILTER] = "filter",	 [TOP_SETTINGS] = "settings",
	[TOP_HOOKS] = "hooks",
};

static void find_tops(struct xct_reader *r, const struct xct_node *root,
		      const struct xct_node *top[static TOPS])
{
	for (const struct xct_node *v = root->first; v; v = v->next) {
		size_t i = 0;

		while (i < TOPS && strcmp(v->key->text, top_names[i]) != 0)
			i++;
		if (i < TOPS)
			top[i] = v;
		else
			xct_read_unknown_key(r, v->key, "the file", top_names,
					     TOPS);
	}
}

/* Definitions come first, wherever in the file they stand. */
static void read_root(struct xct_reader *r, const struct xct_node *root)
{
	const struct xct_node *top[TOPS] = { NULL };

	if (!root)
		xct_diag_warning(r->diag, (struct xct_pos){ 0, 0 },
				 "nothing in it: everything is accepted and "
				 "tracked");
	else if (xct_read_is(r, root, XCT_NODE_MAP, "the file"))
		find_tops(r, root, top);

	if (top[TOP_INTERFACES])
		xct_read_interfaces(r, top[TOP_INTERFACES]);
	if (top[TOP_SETS])
		xct_read_sets(r, top[TOP_SETS]);
	if (top[TOP_ZONES])
		xct_read_zones(r, top[TOP_ZONES]);
	if (top[TOP_NAT])
		xct_read_nat(r, top[TOP_NAT]);
	xct_read_filter(r, top[TOP_FILTER]);
	if (top[TOP_SETTINGS])
		xct_read_settings(r, top[TOP_SETTINGS]);
	if (top[TOP_HOOKS])
		xct_read_hooks(r, top[TOP_HOOKS]);
	/* The user of a name may be what could not be read. */
	if (r->diag->errors > 0)
		return;
	xct_read_warn_unused(r);
	if (r->config->ruleset.n_zones) /* "zones:" alone is no list */
		xct_read_warn_hidden_marks(r, top[TOP_ZONES]);
}

static void reader_init(struct xct_reader *r, struct xct_diag *diag,
			struct xct_config *config, struct xct_arena *arena)
{
	*r = (struct xct_reader){
		.diag = diag,
		.arena = arena,
		.scratch = diag->arena,
		.config = config,
		.budget = XCT_CONFIG_BUDGET,
		.guesses = XCT_CONFIG_GUESSES,
	};
	xct_compiler_init(&r->compiler, arena, diag->arena, &config->ruleset);
	r->groups.arena = diag->arena;
	r->sets.arena = diag->arena;
	r->interfaces.arena = diag->arena;
	r->rule_names.arena = diag->arena;
	r->named_tail = &r->first_named;
}

static void reader_fini(struct xct_reader *r)
{
	free(r->patterns.items);
	free(r->addrs.items);
	free(r->ports.items);
	xct_label_names_free(&r->labels);
}

/* ---- loading ---- */

/* Read everything into a configuration of its own arena. NULL: no memory. */
static struct xct_config *read_config(struct xct_diag *diag,
				      const struct xct_node *root)
{
	struct xct_arena *arena = xct_arena_new();
	struct xct_config *config;
	struct xct_reader r;

	if (!arena)
		return NULL;
	config = xct_arena_alloc(arena, sizeof(*config));
	if (!config) {
		xct_arena_free(arena);
		return NULL;
	}
	config->arena = arena;
	xct_settings_default(&config->settings);

	reader_init(&r, diag, config, arena);
	read_root(&r, root);
	if (xct_compile_finish(&r.compiler) < 0)
		(void)xct_diag_no_memory(diag);
	reader_fini(&r);
	return config;
}

static struct xct_config *parse(struct xct_diag *diag, const char *text,
				size_t len)
{
	struct xct_config *config;
	struct xct_node *root = NULL;

	if (!xct_yaml_parse(diag, text, len, &root))
		return NULL;
	config = read_config(diag, root);
	if (!config)
		(void)xct_diag_no_memory(diag);
	if (diag->errors == 0)
		return config;
	xct_config_free(config);
	return NULL;
}

static void diag_init(struct xct_diag *diag, const char *name)
{
	*diag = (struct xct_diag){ .file = name, .arena = xct_arena_new() };
	if (!diag->arena)
		(void)xct_diag_no_memory(diag);
}

static void diag_fini(struct xct_diag *diag, struct xct_messages *messages)
{
	xct_diag_finish(diag, messages);
	xct_arena_free(diag->arena);
}

struct xct_config *xct_config_parse(const char *name, const char *text,
				    size_t len, struct xct_messages *messages)
{
	struct xct_config *config = NULL;
	struct xct_diag diag;

	diag_init(&diag, name);
	if (diag.arena)
		config = parse(&diag, text, len);
	diag_fini(&diag, messages);
	return config;
}

/* All of @fd, or as much as shows that it is too large. 0 or -errno. */
static int read_all(int fd, char **text, size_t *len)
{
	size_t size = 0;
	ssize_t n;

	*text = NULL;
	*len = 0;
	while (*len <= XCT_YAML_SIZE_MAX) {
		if (size - *len < READ_SIZE) {
			char *bigger = realloc(*text, size * 2 + READ_SIZE);

			if (!bigger)
				return -ENOMEM;
			*text = bigger;
			size = size * 2 + READ_SIZE;
		}
		n = read(fd, *text + *len, size - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		*len += (size_t)n;
	}
	return 0;
}

static int read_path(const char *path, char **text, size_t *len)
{
	int fd, err;

	if (strcmp(path, "-") == 0)
		return read_all(STDIN_FILENO, text, len);

	*text = NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = read_all(fd, text, len);
	close(fd);
	return err;
}

/* What to do about it, if it is a matter of rights. */
static void error_read(struct xct_diag *diag, int err)
{
	const struct passwd *pw = err == -EACCES ? getpwuid(geteuid()) : NULL;
	const struct xct_pos nowhere = { 0, 0 };

	if (pw)
		(void)xct_diag_error(diag, nowhere,
				     "cannot read: %s: this is user %s, which "
				     "must be allowed to (chgrp %s, chmod 640)",
				     strerror(-err), pw->pw_name, pw->pw_name);
	else
		(void)xct_diag_error(diag, nowhere, "cannot read: %s",
				     strerror(-err));
}

struct xct_config *xct_config_load(const char *path,
				   struct xct_messages *messages)
{
	const char *name = strcmp(path, "-") == 0 ? "<stdin>" : path;
	struct xct_config *config = NULL;
	size_t len = 0;
	char *text;
	int err = read_path(path, &text, &len);

	if (err < 0) {
		struct xct_diag diag;

		diag_init(&diag, name);
		if (diag.arena)
			error_read(&diag, err);
		diag_fini(&diag, messages);
	} else {
		config = xct_config_parse(name, text, len, messages);
	}
	if (!config) {
		free(text);
		return NULL;
	}
	config->text = text;
	config->len = len;
	return config;
}

void xct_config_free(struct xct_config *config)
{
	if (!config)
		return;
	free(config->text);
	xct_arena_free(config->arena);
}

void xct_messages_fini(struct xct_messages *messages)
{
	free(messages->text);
	*messages = (struct xct_messages){ 0 };
}
