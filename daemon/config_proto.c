/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names of protocols, ICMP types and connection labels in rules.yaml. */
#include <netinet/in.h>
#include <string.h>

#include "daemon/config_read.h"

/* Protocols that are filtered by name, though they are tracked, and listed, as
 * those without a name. */
static const struct {
	const char *name;
	uint8_t number;
} more_protos[] = {
	{ "igmp", IPPROTO_IGMP }, { "ipip", IPPROTO_IPIP },
	{ "ipv6", IPPROTO_IPV6 }, { "esp", IPPROTO_ESP },
	{ "ah", IPPROTO_AH },	  { "ospf", 89 },
	{ "vrrp", 112 },	  { "l2tp", 115 },
};

static int proto_from_text(const char *text)
{
	uint32_t number = 0;

	if (xct_parse_number(text, UINT8_MAX, &number))
		return (int)number;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(more_protos); i++)
		if (strcmp(text, more_protos[i].name) == 0)
			return more_protos[i].number;
	return xct_proto_from_name(text);
}

static struct xct_hint proto_hint(const char *text)
{
	struct xct_guess guess;

	xct_guess_begin(&guess, text);
	for (unsigned int i = 0; i <= UINT8_MAX; i++)
		if (xct_proto_name((uint8_t)i))
			xct_guess_offer(&guess, xct_proto_name((uint8_t)i));
	for (size_t i = 0; i < XCT_ARRAY_SIZE(more_protos); i++)
		xct_guess_offer(&guess, more_protos[i].name);
	return xct_hint(&guess, "a name such as tcp, udp, icmp, icmpv6 or esp, "
				"or a number from 0 to 255");
}

static bool add_proto(struct xct_reader *r, const struct xct_node *item,
		      const char *what, struct xct_byteset *protos)
{
	const char *text;
	int proto;

	if (!xct_value_text(r->diag, item, what, &text))
		return false;
	proto = proto_from_text(text);
	if (proto < 0)
		return xct_diag_error(r->diag, item->at,
				      "%s: \"%s\" is not a protocol%s", what,
				      xct_excerpt(text).s, proto_hint(text).s);
	xct_byteset_add(protos, (uint8_t)proto);
	return true;
}

bool xct_read_protos(struct xct_reader *r, const struct xct_node *node,
		     const char *what, struct xct_byteset *protos)
{
	const struct xct_node *item;
	bool is_ok = true;

	if (node->kind == XCT_NODE_LIST && node->n == 0)
		return xct_diag_error(r->diag, node->at,
				      "%s is an empty list; expected protocols",
				      what);
	for (item = xct_item_first(node); item;
	     item = xct_item_next(node, item))
		is_ok &= add_proto(r, item, what, protos);
	return is_ok;
}

/* Names of ICMP types in both versions; -1: there is none. */
static const struct {
	const char *name;
	int16_t type[2];
} icmp_types[] = {
	{ "echo-request", { 8, 128 } },
	{ "echo-reply", { 0, 129 } },
	{ "destination-unreachable", { 3, 1 } },
	{ "packet-too-big", { -1, 2 } },
	{ "time-exceeded", { 11, 3 } },
	{ "parameter-problem", { 12, 4 } },
	{ "source-quench", { 4, -1 } },
	{ "redirect", { 5, 137 } },
	{ "router-solicitation", { 10, 133 } },
	{ "router-advertisement", { 9, 134 } },
	{ "neighbour-solicitation", { -1, 135 } },
	{ "neighbour-advertisement", { -1, 136 } },
	{ "timestamp-request", { 13, -1 } },
	{ "timestamp-reply", { 14, -1 } },
	{ "information-request", { 15, -1 } },
	{ "information-reply", { 16, -1 } },
	{ "address-mask-request", { 17, -1 } },
	{ "address-mask-reply", { 18, -1 } },
	{ "listener-query", { -1, 130 } },
	{ "listener-report", { -1, 131 } },
	{ "listener-done", { -1, 132 } },
	{ "listener-report-v2", { -1, 143 } },
};

/* Versions of ICMP that the rule is about: bit 0 ICMP, bit 1 ICMPv6. */
static unsigned int icmp_versions(const struct xct_byteset *protos)
{
	return (unsigned int)xct_byteset_has(protos, IPPROTO_ICMP) |
	       (unsigned int)xct_byteset_has(protos, IPPROTO_ICMPV6) << 1;
}

/* A number stands for different things in the two versions. */
static bool add_icmp_number(struct xct_reader *r, const struct xct_node *item,
			    unsigned int versions, uint8_t type,
			    struct xct_icmpset *set)
{
	if (versions == 3)
		return xct_diag_error(r->diag, item->at,
				      "icmp-type: %u means one thing in icmp "
				      "and another in icmpv6; expected a name, "
				      "or two rules",
				      type);
	xct_byteset_add(&set->type[versions >> 1], type);
	return true;
}

static bool add_icmp_name(unsigned int versions, const char *text,
			  struct xct_icmpset *set, struct xct_guess *guess)
{
	bool is_found = false;

	for (size_t i = 0; i < XCT_ARRAY_SIZE(icmp_types); i++) {
		bool is_valid = false;

		for (unsigned int v = 0; v < 2; v++) {
			int16_t type = icmp_types[i].type[v];

			if (type < 0 || !(versions >> v & 1))
				continue;
			is_valid = true;
			if (strcmp(text, icmp_types[i].name) == 0) {
				xct_byteset_add(&set->type[v], (uint8_t)type);
				is_found = true;
			}
		}
		if (is_valid)
			xct_guess_offer(guess, icmp_types[i].name);
	}
	return is_found;
}

static bool add_icmp_type(struct xct_reader *r, const struct xct_node *item,
			  unsigned int versions, struct xct_icmpset *set)
{
	static const char *const names[] = { "", "icmp", "icmpv6",
					     "icmp or icmpv6" };
	struct xct_guess guess;
	uint32_t number = 0;
	const char *text;

	if (!xct_value_text(r->diag, item, "icmp-type", &text))
		return false;
	if (xct_parse_number(text, UINT8_MAX, &number))
		return add_icmp_number(r, item, versions, (uint8_t)number, set);

	xct_guess_begin(&guess, text);
	if (add_icmp_name(versions, text, set, &guess))
		return true;
	return xct_diag_error(r->diag, item->at,
			      "icmp-type: \"%s\" is no type of %s%s",
			      xct_excerpt(text).s, names[versions],
			      xct_hint(&guess, "a name such as echo-request, "
					       "or a number from 0 to 255")
				      .s);
}

bool xct_read_icmp_types(struct xct_reader *r, const struct xct_node *node,
			 const struct xct_byteset *protos,
			 struct xct_icmpset *set)
{
	unsigned int versions = icmp_versions(protos);
	const struct xct_node *item;
	bool is_ok = true;

	if (node->kind == XCT_NODE_LIST && node->n == 0)
		return xct_diag_error(r->diag, node->at,
				      "icmp-type is an empty list; expected "
				      "types");
	for (item = xct_item_first(node); item;
	     item = xct_item_next(node, item))
		is_ok &= add_icmp_type(r, item, versions, set);
	return is_ok;
}

static struct xct_hint label_hint(const struct xct_reader *r, const char *text)
{
	struct xct_guess guess;

	xct_guess_begin(&guess, text);
	for (size_t i = 0; i < XCT_LABEL_BITS; i++)
		if (r->labels.names[i])
			xct_guess_offer(&guess, r->labels.names[i]);
	return xct_hint(&guess, "a number from 0 to 127, or a name that "
				"stands in " XCT_LABELS_PATH);
}

static bool add_label(struct xct_reader *r, const struct xct_node *item,
		      const char *what, struct xct_labels *labels)
{
	uint32_t number = 0;
	const char *text;
	int bit;

	if (!xct_value_text(r->diag, item, what, &text))
		return false;
	if (xct_parse_number(text, XCT_LABEL_BITS - 1, &number)) {
		xct_labels_set(labels, number);
		return true;
	}
	if (!r->labels.text && !r->labels_error)
		r->labels_error =
			xct_label_names_read(&r->labels, XCT_LABELS_PATH);
	bit = xct_label_find(&r->labels, text, strlen(text));
	if (bit >= 0 && bit < XCT_LABEL_BITS) {
		xct_labels_set(labels, (unsigned int)bit);
		return true;
	}
	if (r->labels_error)
		return xct_diag_error(
			r->diag, item->at,
			"%s: \"%s\" may be a name, but %s cannot "
			"be read: %s; expected a number from 0 to "
			"127",
			what, xct_excerpt(text).s, XCT_LABELS_PATH,
			strerror(-r->labels_error));
	return xct_diag_error(r->diag, item->at, "%s: \"%s\" is not a label%s",
			      what, xct_excerpt(text).s, label_hint(r, text).s);
}

bool xct_read_labels(struct xct_reader *r, const struct xct_node *node,
		     const char *what, struct xct_labels *labels)
{
	const struct xct_node *item;
	bool is_ok = true;

	if (node->kind == XCT_NODE_LIST && node->n == 0)
		return xct_diag_error(r->diag, node->at,
				      "%s is an empty list; expected labels",
				      what);
	for (item = xct_item_first(node); item;
	     item = xct_item_next(node, item))
		is_ok &= add_label(r, item, what, labels);
	return is_ok;
}
