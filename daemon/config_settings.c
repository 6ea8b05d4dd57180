/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settings: and hooks:, which say how xctd works, not what becomes of packets.
 * Each key is a line of a table.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/config_read.h"

void xct_settings_default(struct xct_settings *settings)
{
	*settings = (struct xct_settings){
		.table_size = 262144,
		.accounting = true,
		.queue_length = 16384,
		.busy_poll_us = 50,
		.mark_mask = 0x30000000,
		.hooks = XCT_HOOKS_AUTO,
	};
	xct_l4_config_default(&settings->l4);
}

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

void xct_read_settings(struct xct_reader *r, const struct xct_node *node)
{
	(void)read_fields(r, &settings_field, node, NULL);
}

void xct_read_hooks(struct xct_reader *r, const struct xct_node *node)
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
