/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rules.yaml as a whole: loading, the top level, settings.
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

void xct_settings_default(struct xct_settings *settings)
{
	*settings = (struct xct_settings){
		.table_size = 262144,
		.accounting = true,
		.queue_length = 16384,
		.busy_poll_us = 20,
		.mark_mask = 0x30000000,
		.hooks = XCT_HOOKS_AUTO,
	};
	xct_l4_config_default(&settings->l4);
}

/* ---- settings ---- */

/* A key of settings:, and where in struct xct_settings its value goes. */
struct field {
	const char *name;
	bool (*read)(struct xct_reader *r, const struct field *f,
		     const struct xct_node *node, void *value);
	size_t offset;
	uint32_t min;
	uint32_t max;
	const struct field *sub; /* of a map */
	size_t n_sub;
};

static bool read_u32(struct xct_reader *r, const struct field *f,
		     const struct xct_node *node, void *value)
{
	return xct_value_uint(r->diag, node, f->name, f->min, f->max, value);
}

static bool read_u16(struct xct_reader *r, const struct field *f,
		     const struct xct_node *node, void *value)
{
	uint32_t n = 0;

	if (!xct_value_uint(r->diag, node, f->name, f->min, f->max, &n))
		return false;
	*(uint16_t *)value = (uint16_t)n;
	return true;
}

static bool read_u8(struct xct_reader *r, const struct field *f,
		    const struct xct_node *node, void *value)
{
	uint32_t n = 0;

	if (!xct_value_uint(r->diag, node, f->name, f->min, f->max, &n))
		return false;
	*(uint8_t *)value = (uint8_t)n;
	return true;
}

static bool read_bool(struct xct_reader *r, const struct field *f,
		      const struct xct_node *node, void *value)
{
	return xct_value_bool(r->diag, node, f->name, value);
}

static bool read_seconds(struct xct_reader *r, const struct field *f,
			 const struct xct_node *node, void *value)
{
	return xct_value_seconds(r->diag, node, f->name, value);
}

static bool read_workers(struct xct_reader *r, const struct field *f,
			 const struct xct_node *node, void *value)
{
	if (node->kind == XCT_NODE_SCALAR && strcmp(node->text, "auto") == 0) {
		*(uint16_t *)value = 0;
		return true;
	}
	if (node->kind == XCT_NODE_SCALAR && node->text[0] != '\0' &&
	    (node->text[0] < '0' || node->text[0] > '9'))
		return xct_diag_error(r->diag, node->at,
				      "%s is \"%s\"; expected auto or a number "
				      "from %u to %u",
				      f->name, xct_excerpt(node->text).s,
				      f->min, f->max);
	return read_u16(r, f, node, value);
}

static bool read_on_failure(struct xct_reader *r, const struct field *f,
			    const struct xct_node *node, void *value)
{
	static const char *const words[] = { "drop", "accept" };
	unsigned int i;

	if (!xct_value_word(r->diag, node, f->name, words,
			    XCT_ARRAY_SIZE(words), &i))
		return false;
	*(bool *)value = i;
	return true;
}

static bool read_mark_mask(struct xct_reader *r, const struct field *f,
			   const struct xct_node *node, void *value)
{
	uint32_t mask = 0;

	if (!xct_value_bits(r->diag, node, f->name, &mask))
		return false;
	/* Divided by its lowest bit, such a mask is binary 11. */
	if (mask == 0 || mask / (mask & -mask) != 3)
		return xct_diag_error(r->diag, node->at,
				      "%s is \"%s\"; expected exactly two "
				      "adjacent bits, such as 0x30000000",
				      f->name, xct_excerpt(node->text).s);
	*(uint32_t *)value = mask;
	return true;
}

static bool read_group(struct xct_reader *r, const struct field *f,
		       const struct xct_node *node, void *value)
{
	const size_t max = sizeof(((struct xct_settings *)0)->control_group);
	const char *text;

	if (!xct_value_text(r->diag, node, f->name, &text))
		return false;
	if (strlen(text) >= max || strpbrk(text, " :,/"))
		return xct_diag_error(r->diag, node->at,
				      "%s is \"%s\"; expected the name of a "
				      "group of users, at most %zu bytes",
				      f->name, xct_excerpt(text).s, max - 1);
	memcpy(value, text, strlen(text) + 1);
	return true;
}

static bool read_file_name(struct xct_reader *r, const struct field *f,
			   const struct xct_node *node, void *value)
{
	const size_t max = sizeof(((struct xct_settings *)0)->snapshot);
	const char *text;

	if (!xct_value_text(r->diag, node, f->name, &text))
		return false;
	if (strlen(text) >= max || text[0] != '/')
		return xct_diag_error(r->diag, node->at,
				      "%s is \"%s\"; expected an absolute path "
				      "of at most %zu bytes",
				      f->name, xct_excerpt(text).s, max - 1);
	memcpy(value, text, strlen(text) + 1);
	return true;
}

static bool read_fields(struct xct_reader *r, const struct field *f,
			const struct xct_node *node, void *value);

static bool read_queue(struct xct_reader *r, const struct field *f,
		       const struct xct_node *node, void *value)
{
	const struct xct_settings *settings = &r->config->settings;

	if (!read_fields(r, f, node, value))
		return false;
	if (settings->queue_first + settings->workers > UINT16_MAX + 1)
		return xct_diag_error(r->diag, node->at,
				      "%u queues from number %u on; expected "
				      "the last to be at most %u",
				      settings->workers, settings->queue_first,
				      UINT16_MAX);
	return true;
}

#define AT(member) offsetof(struct xct_settings, member)
#define TCP_TIMEOUT(name, index)                                     \
	{                                                            \
		name, read_seconds, AT(l4.tcp[index]), 0, 0, NULL, 0 \
	}
#define SCTP_TIMEOUT(name, index)                                     \
	{                                                             \
		name, read_seconds, AT(l4.sctp[index]), 0, 0, NULL, 0 \
	}
#define SUB(fields) 0, 0, 0, fields, XCT_ARRAY_SIZE(fields)

/* clang-format off */
static const struct field tcp_timeouts[] = {
	TCP_TIMEOUT("syn-sent", XCT_TCP_SYN_SENT),
	TCP_TIMEOUT("syn-recv", XCT_TCP_SYN_RECV),
	TCP_TIMEOUT("established", XCT_TCP_ESTABLISHED),
	TCP_TIMEOUT("fin-wait", XCT_TCP_FIN_WAIT),
	TCP_TIMEOUT("close-wait", XCT_TCP_CLOSE_WAIT),
	TCP_TIMEOUT("last-ack", XCT_TCP_LAST_ACK),
	TCP_TIMEOUT("time-wait", XCT_TCP_TIME_WAIT),
	TCP_TIMEOUT("close", XCT_TCP_CLOSE),
	TCP_TIMEOUT("syn-sent2", XCT_TCP_SYN_SENT2),
	TCP_TIMEOUT("max-retrans", XCT_TCP_TIMEOUT_RETRANS),
	TCP_TIMEOUT("unacknowledged", XCT_TCP_TIMEOUT_UNACK),
};

static const struct field udp_timeouts[] = {
	{ "unreplied", read_seconds, AT(l4.udp_unreplied), 0, 0, NULL, 0 },
	{ "stream", read_seconds, AT(l4.udp_stream), 0, 0, NULL, 0 },
};

static const struct field sctp_timeouts[] = {
	SCTP_TIMEOUT("closed", XCT_SCTP_CLOSED),
	SCTP_TIMEOUT("cookie-wait", XCT_SCTP_COOKIE_WAIT),
	SCTP_TIMEOUT("cookie-echoed", XCT_SCTP_COOKIE_ECHOED),
	SCTP_TIMEOUT("established", XCT_SCTP_ESTABLISHED),
	SCTP_TIMEOUT("shutdown-sent", XCT_SCTP_SHUTDOWN_SENT),
	SCTP_TIMEOUT("shutdown-recd", XCT_SCTP_SHUTDOWN_RECD),
	SCTP_TIMEOUT("shutdown-ack-sent", XCT_SCTP_SHUTDOWN_ACK_SENT),
	SCTP_TIMEOUT("heartbeat-sent", XCT_SCTP_HEARTBEAT_SENT),
};

static const struct field gre_timeouts[] = {
	{ "unreplied", read_seconds, AT(l4.gre_unreplied), 0, 0, NULL, 0 },
	{ "stream", read_seconds, AT(l4.gre_stream), 0, 0, NULL, 0 },
};

static const struct field timeouts[] = {
	{ "tcp", read_fields, SUB(tcp_timeouts) },
	{ "udp", read_fields, SUB(udp_timeouts) },
	{ "sctp", read_fields, SUB(sctp_timeouts) },
	{ "gre", read_fields, SUB(gre_timeouts) },
	{ "icmp", read_seconds, AT(l4.icmp), 0, 0, NULL, 0 },
	{ "icmpv6", read_seconds, AT(l4.icmpv6), 0, 0, NULL, 0 },
	{ "generic", read_seconds, AT(l4.generic), 0, 0, NULL, 0 },
};

static const struct field tcp_fields[] = {
	{ "loose", read_bool, AT(l4.tcp_loose), 0, 0, NULL, 0 },
	{ "liberal", read_bool, AT(l4.tcp_liberal), 0, 0, NULL, 0 },
	{ "max-retrans", read_u8, AT(l4.tcp_max_retrans), 0, UINT8_MAX,
	  NULL, 0 },
	{ "ignore-invalid-rst", read_bool, AT(l4.tcp_ignore_invalid_rst), 0, 0,
	  NULL, 0 },
};

static const struct field queue_fields[] = {
	{ "first", read_u16, AT(queue_first), 0, UINT16_MAX, NULL, 0 },
	{ "workers", read_workers, AT(workers), 1, 256, NULL, 0 },
	{ "length", read_u32, AT(queue_length), 16, 1048576, NULL, 0 },
	{ "busy-poll", read_u32, AT(busy_poll_us), 0, 1000, NULL, 0 },
	{ "on-failure", read_on_failure, AT(fail_open), 0, 0, NULL, 0 },
};

static const struct field control_fields[] = {
	{ "group", read_group, AT(control_group), 0, 0, NULL, 0 },
};

static const struct field settings_fields[] = {
	{ "table-size", read_u32, AT(table_size), 64, 67108864, NULL, 0 },
	{ "accounting", read_bool, AT(accounting), 0, 0, NULL, 0 },
	{ "timestamps", read_bool, AT(timestamps), 0, 0, NULL, 0 },
	{ "checksum", read_bool, AT(l4.checksum), 0, 0, NULL, 0 },
	{ "tcp", read_fields, SUB(tcp_fields) },
	{ "timeouts", read_fields, SUB(timeouts) },
	{ "queue", read_queue, SUB(queue_fields) },
	{ "mark-mask", read_mark_mask, AT(mark_mask), 0, 0, NULL, 0 },
	{ "control", read_fields, SUB(control_fields) },
	{ "snapshot", read_file_name, AT(snapshot), 0, 0, NULL, 0 },
};

static const struct field settings_field = {
	"settings", read_fields, SUB(settings_fields)
};
/* clang-format on */

static const struct field *find_field(const struct field *map, const char *name)
{
	for (size_t i = 0; i < map->n_sub; i++)
		if (strcmp(map->sub[i].name, name) == 0)
			return &map->sub[i];
	return NULL;
}

static void unknown_field(struct xct_reader *r, const struct field *map,
			  const struct xct_node *key)
{
	const char *names[XCT_ARRAY_SIZE(tcp_timeouts)]; /* the largest map */

	for (size_t i = 0; i < map->n_sub; i++)
		names[i] = map->sub[i].name;
	xct_read_unknown_key(r, key, map->name, names, map->n_sub);
}

/* A map; offsets of what is in it count from the settings as a whole. */
static bool read_fields(struct xct_reader *r, const struct field *f,
			const struct xct_node *node, void *value)
{
	struct xct_settings *settings = &r->config->settings;

	(void)value;
	if (!xct_read_is(r, node, XCT_NODE_MAP, f->name))
		return false;
	for (const struct xct_node *v = node->first; v; v = v->next) {
		const struct field *sub = find_field(f, v->key->text);

		if (sub)
			(void)sub->read(r, sub, v,
					(char *)settings + sub->offset);
		else
			unknown_field(r, f, v->key);
	}
	return true;
}

/* ---- the top level ---- */

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

static void read_hooks(struct xct_reader *r, const struct xct_node *node)
{
	static const char *const words[] = {
		[XCT_HOOKS_AUTO] = "auto",
		[XCT_HOOKS_MANUAL] = "manual",
	};
	unsigned int i;

	if (xct_value_word(r->diag, node, "hooks", words, XCT_ARRAY_SIZE(words),
			   &i))
		r->config->settings.hooks = (enum xct_hooks_mode)i;
}

/* ---- zones ---- */

enum zone_key { ZONE_IN, ZONE_SRC, ZONE_MARK, ZONE_ZONE, ZONE_KEYS };

static void read_zone_key(struct xct_reader *r, const struct xct_node *v,
			  enum zone_key key, struct xct_zone *zone)
{
	uint8_t families;
	uint32_t number;

	switch (key) {
	case ZONE_IN:
		(void)xct_read_ifset(r, v, "in", &zone->in);
		break;
	case ZONE_SRC:
		(void)xct_read_addrset(r, v, "src", &zone->src, &families);
		r->config->ruleset.has_packet_zones = true;
		break;
	case ZONE_MARK:
		(void)xct_value_mark(r->diag, v, "mark", &zone->mark,
				     &zone->mark_mask);
		r->config->ruleset.has_packet_zones = true;
		break;
	case ZONE_ZONE:
		if (xct_value_uint(r->diag, v, "zone", 0, UINT16_MAX, &number))
			zone->zone = (uint16_t)number;
		break;
	case ZONE_KEYS:
		break;
	}
}

static void read_zone(struct xct_reader *r, const struct xct_node *node,
		      struct xct_zone *zone)
{
	static const char *const names[ZONE_KEYS] = { "in", "src", "mark",
						      "zone" };
	unsigned int key, given = 0;

	if (!xct_read_is(r, node, XCT_NODE_MAP, "the zone"))
		return;
	*zone = (struct xct_zone){ .in = XCT_ANY, .src = XCT_ANY };
	for (const struct xct_node *v = node->first; v; v = v->next) {
		for (key = 0; key < ZONE_KEYS; key++)
			if (strcmp(v->key->text, names[key]) == 0)
				break;
		if (key == ZONE_KEYS)
			xct_read_unknown_key(r, v->key, "zones", names,
					     XCT_ARRAY_SIZE(names));
		else
			read_zone_key(r, v, (enum zone_key)key, zone);
		given |= 1u << key;
	}
	if (!(given & 1u << ZONE_ZONE) ||
	    !(given & (1u << ZONE_IN | 1u << ZONE_SRC | 1u << ZONE_MARK)))
		(void)xct_diag_error(r->diag, node->at,
				     "the zone has no \"%s\"; expected "
				     "{in: INTERFACES, zone: NUMBER}, with src "
				     "or mark beside in or instead of it",
				     given & 1u << ZONE_ZONE ? "in" : "zone");
}

static void read_zones(struct xct_reader *r, const struct xct_node *node)
{
	struct xct_zone *zones;
	uint32_t n = 0;

	if (!xct_read_is(r, node, XCT_NODE_LIST, "zones"))
		return;
	for (const struct xct_node *v = node->first; v; v = v->next)
		n++;
	zones = xct_arena_alloc(r->arena, n * sizeof(*zones));
	if (!zones) {
		(void)xct_diag_no_memory(r->diag);
		return;
	}
	r->config->ruleset.zones = zones;
	r->config->ruleset.n_zones = n;
	for (const struct xct_node *v = node->first; v; v = v->next)
		read_zone(r, v, zones++);
}

/* The file is in order. Bits that tell the hooks from each other are hidden from
 * zones. */
static void warn_hidden_marks(struct xct_reader *r, const struct xct_node *node)
{
	const struct xct_zone *zone = r->config->ruleset.zones;
	uint32_t mask = r->config->settings.mark_mask;

	for (const struct xct_node *each = node->first; each;
	     each = each->next, zone++)
		for (const struct xct_node *v = each->first; v; v = v->next)
			if (strcmp(v->key->text, "mark") == 0 &&
			    zone->mark & zone->mark_mask & mask)
				xct_diag_warning(
					r->diag, v->at,
					"no packet has this mark: bits of "
					"mark-mask, 0x%x, are xctd's own; use "
					"others, or change mark-mask",
					mask);
}

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
		read_zones(r, top[TOP_ZONES]);
	if (top[TOP_NAT])
		xct_read_nat(r, top[TOP_NAT]);
	xct_read_filter(r, top[TOP_FILTER]);
	if (top[TOP_SETTINGS])
		(void)read_fields(r, &settings_field, top[TOP_SETTINGS],
				  &r->config->settings);
	if (top[TOP_HOOKS])
		read_hooks(r, top[TOP_HOOKS]);
	/* The user of a name may be what could not be read. */
	if (r->diag->errors > 0)
		return;
	xct_read_warn_unused(r);
	if (r->config->ruleset.n_zones) /* "zones:" alone is no list */
		warn_hidden_marks(r, top[TOP_ZONES]);
}

void xct_reader_init(struct xct_reader *r, struct xct_diag *diag,
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

void xct_reader_fini(struct xct_reader *r)
{
	free(r->patterns.items);
	free(r->addrs.items);
	free(r->ports.items);
	xct_label_names_free(&r->labels);
}

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

	xct_reader_init(&r, diag, config, arena);
	read_root(&r, root);
	if (xct_compile_finish(&r.compiler) < 0)
		(void)xct_diag_no_memory(diag);
	xct_reader_fini(&r);
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
