/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interfaces: and sets:, and the lists of interfaces, addresses and ports that
 * rules have, in which those names may stand.
 *
 * A list is spelt out into one of the reader's vectors, then compiled. A lone
 * name is compiled once and remembered, so that a thousand rules may use a set
 * of many thousand addresses; lists that mix draw on the reader's budget.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/config_read.h"

#define NAME_LEN_MAX 63u

enum named_kind {
	NAMED_NOTHING, /* an empty set fits everywhere */
	NAMED_INTERFACES,
	NAMED_ADDRS,
	NAMED_PORTS,
};

struct xct_named {
	struct xct_named *next;
	const struct xct_node *key;
	enum named_kind kind;
	void *items; /* patterns or ranges, by kind */
	uint32_t n;
	uint8_t families;
	bool is_group;
	bool is_used;
	xct_set_id index; /* of the compiled set, once it was used alone */
};

static const size_t item_sizes[] = {
	[NAMED_NOTHING] = 1,
	[NAMED_INTERFACES] = XCT_IFNAMSIZ,
	[NAMED_ADDRS] = sizeof(struct xct_addr_range),
	[NAMED_PORTS] = sizeof(struct xct_port_range),
};

/* One error about a limit is enough: is this the first? */
static bool is_first_excess(struct xct_reader *r)
{
	bool is_first = !r->is_over;

	r->is_over = true;
	return is_first;
}

/* Make room for @n items more at the end of @vec. NULL: an error was said. */
static void *vec_grow(struct xct_reader *r, struct xct_vec *vec, size_t size,
		      uint32_t n, struct xct_pos at)
{
	uint32_t needed = vec->n + n;
	void *items;

	if (n > r->budget) {
		if (is_first_excess(r))
			(void)xct_diag_error(
				r->diag, at,
				"too much; expected lists that hold at most "
				"%u entries when sets are spelt out",
				XCT_CONFIG_BUDGET);
		return NULL;
	}
	r->budget -= n;
	if (needed > vec->size) {
		uint32_t new_size = needed < 64 ? 64 : needed * 2;

		items = realloc(vec->items, new_size * size);
		if (!items) {
			(void)xct_diag_no_memory(r->diag);
			return NULL;
		}
		vec->items = items;
		vec->size = new_size;
	}
	items = (char *)vec->items + vec->n * size;
	vec->n = needed;
	return items;
}

static bool vec_add(struct xct_reader *r, struct xct_vec *vec, size_t size,
		    const void *item, struct xct_pos at)
{
	void *slot = vec_grow(r, vec, size, 1, at);

	if (!slot)
		return false;
	memcpy(slot, item, size);
	return true;
}

static bool vec_add_named(struct xct_reader *r, struct xct_vec *vec,
			  const struct xct_named *named, struct xct_pos at)
{
	size_t size = item_sizes[named->kind];
	void *slot;

	if (named->n == 0)
		return true;
	slot = vec_grow(r, vec, size, named->n, at);
	if (!slot)
		return false;
	memcpy(slot, named->items, named->n * size);
	return true;
}

static struct xct_named *find(const struct xct_dict *dict, const char *name)
{
	return xct_dict_get(dict, name, strlen(name));
}

/* May names be compared once more? Beyond a limit no hint is worth it. */
static bool may_guess(struct xct_reader *r)
{
	if (r->guesses == 0)
		return false;
	r->guesses--;
	return true;
}

/* The set's name that is most like @word. */
static struct xct_hint set_hint(struct xct_reader *r, const char *word,
				const char *expected)
{
	struct xct_guess guess;

	xct_guess_begin(&guess, word);
	for (struct xct_named *d = r->first_named; d && may_guess(r);
	     d = d->next)
		if (!d->is_group)
			xct_guess_offer(&guess, d->key->text);
	return xct_hint(&guess, expected);
}

bool xct_is_any(const struct xct_node *node)
{
	return node->kind == XCT_NODE_SCALAR && strcmp(node->text, "any") == 0;
}

static const char *negation_hint(const char *text)
{
	return text[0] == '!' ? " (\"not\" is said by a rule before this one)"
			      : "";
}

/* ---- interfaces ---- */

/* As the kernel's rule for names, less what would be mistaken for more. */
static bool is_ifname_char(char c)
{
	return (uint8_t)c > ' ' && c != 0x7f && !strchr("/:*!+,", c);
}

static bool is_pattern(const char *text)
{
	size_t len = strlen(text);
	size_t name_len = len && text[len - 1] == '*' ? len - 1 : len;

	if (len == 0 || len >= XCT_IFNAMSIZ)
		return false;
	if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return false;
	for (size_t i = 0; i < name_len; i++)
		if (!is_ifname_char(text[i]))
			return false;
	return true;
}

static bool add_pattern(struct xct_reader *r, const struct xct_node *item,
			const char *text)
{
	char pattern[XCT_IFNAMSIZ] = "";
	size_t len = strlen(text);

	if (!is_pattern(text))
		return xct_diag_error(r->diag, item->at,
				      "\"%s\" is not the name of an interface; "
				      "expected at most %d characters, \"*\" "
				      "only at the end%s",
				      xct_excerpt(text).s, XCT_IFNAMSIZ - 1,
				      negation_hint(text));
	memcpy(pattern, text, len);
	return vec_add(r, &r->patterns, sizeof(pattern), pattern, item->at);
}

static bool define_pattern(struct xct_reader *r, struct xct_named *group,
			   const struct xct_node *item)
{
	const struct xct_named *other;
	const char *text;

	if (!xct_value_text(r->diag, item, group->key->text, &text))
		return false;
	other = find(&r->groups, text);
	if (other && other != group)
		return xct_diag_error(r->diag, item->at,
				      "\"%s\" is a group itself; expected the "
				      "names of its interfaces",
				      xct_excerpt(text).s);
	group->kind = NAMED_INTERFACES;
	return add_pattern(r, item, text);
}

/* eth1 and eth2, lan and lan0 are names of different things. */
static bool differs_in_number_only(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);

	while (la > 0 && isdigit((unsigned char)a[la - 1]))
		la--;
	while (lb > 0 && isdigit((unsigned char)b[lb - 1]))
		lb--;
	return la == lb && strncmp(a, b, la) == 0;
}

/* A name that is no group is taken for an interface: warn, once, of one that
 * looks like a group misspelt. */
static bool note_interface(struct xct_reader *r, const struct xct_node *item)
{
	const char *text = item->text;
	size_t len = strlen(text);

	/* In names of two characters everything is like everything. */
	if (len < 3 || xct_dict_get(&r->interfaces, text, len))
		return true;
	if (xct_dict_add(&r->interfaces, text, len, r) < 0)
		return xct_diag_no_memory(r->diag);

	for (struct xct_named *d = r->first_named; d && may_guess(r);
	     d = d->next) {
		const char *name = d->key->text;

		if (!d->is_group || xct_edit_distance(text, name, 1) > 1 ||
		    differs_in_number_only(text, name))
			continue;
		xct_diag_warning(r->diag, item->at,
				 "\"%s\" is taken for an interface; did you "
				 "mean the group \"%s\"?",
				 xct_excerpt(text).s, xct_excerpt(name).s);
		break;
	}
	return true;
}

static bool add_interface(struct xct_reader *r, const struct xct_node *item,
			  const char *what)
{
	struct xct_named *group;
	const char *text;

	if (!xct_value_text(r->diag, item, what, &text))
		return false;
	group = find(&r->groups, text);
	if (group) {
		group->is_used = true;
		return vec_add_named(r, &r->patterns, group, item->at);
	}
	return add_pattern(r, item, text) && note_interface(r, item);
}

/* ---- lists in rules ---- */

bool xct_read_compiled(struct xct_reader *r, const struct xct_node *node,
		       const char *what, int index, xct_set_id *number)
{
	bool is_interface = !strcmp(what, "in") || !strcmp(what, "out");

	if (index == -ENOSPC && is_first_excess(r))
		(void)xct_diag_error(
			r->diag, node->at,
			"too many different values of %s; expected at most %u "
			"in one file",
			what, is_interface ? XCT_IFSETS_MAX : XCT_SETS_MAX);
	if (index == -ENOSPC)
		return false;
	if (index < 0)
		return xct_diag_no_memory(r->diag);
	*number = (xct_set_id)index;
	return true;
}

static bool is_empty_list(struct xct_reader *r, const struct xct_node *node,
			  const char *what)
{
	if (node->kind != XCT_NODE_LIST || node->n > 0)
		return false;
	(void)xct_diag_error(r->diag, node->at,
			     "%s is an empty list, which nothing matches; "
			     "expected values, or no such key",
			     what);
	return true;
}

/* The definition that @node names all alone, or NULL. */
static struct xct_named *lone_name(const struct xct_dict *dict,
				   const struct xct_node *node)
{
	return node->kind == XCT_NODE_SCALAR ? find(dict, node->text) : NULL;
}

bool xct_read_ifset(struct xct_reader *r, const struct xct_node *node,
		    const char *what, xct_set_id *index)
{
	struct xct_named *group = lone_name(&r->groups, node);
	const struct xct_node *item;
	bool is_ok = true;

	if (group && group->index != XCT_ANY) {
		*index = group->index;
		return true;
	}
	if (xct_is_any(node) || is_empty_list(r, node, what))
		return xct_is_any(node);

	r->patterns.n = 0;
	for (item = xct_item_first(node); item;
	     item = xct_item_next(node, item))
		is_ok &= add_interface(r, item, what);
	if (!is_ok || !xct_read_compiled(r, node, what,
					 xct_compile_ifset(&r->compiler,
							   r->patterns.items,
							   r->patterns.n),
					 index))
		return false;
	if (group)
		group->index = *index;
	return true;
}

static const char *kind_name(enum named_kind kind)
{
	return kind == NAMED_ADDRS ? "addresses" : "ports";
}

static void unknown_set(struct xct_reader *r, const struct xct_node *item,
			const char *what, enum named_kind kind)
{
	const char *expected = kind == NAMED_ADDRS
				       ? "an address, a prefix, a range "
					 "FIRST-LAST or the name of a set"
				       : "a number, a range FIRST-LAST or the "
					 "name of a set";

	(void)xct_diag_error(r->diag, item->at,
			     "%s: \"%s\" is no %s, and no set of that name%s%s",
			     what, xct_excerpt(item->text).s,
			     kind == NAMED_ADDRS ? "address" : "port",
			     set_hint(r, item->text, expected).s,
			     negation_hint(item->text));
}

/* The set that @item names, for a condition on what is @kind. */
static struct xct_named *use_set(struct xct_reader *r,
				 const struct xct_node *item, const char *what,
				 enum named_kind kind)
{
	struct xct_named *set = find(&r->sets, item->text);

	if (!set) {
		unknown_set(r, item, what, kind);
		return NULL;
	}
	set->is_used = true;
	if (set->kind != kind && set->kind != NAMED_NOTHING) {
		(void)xct_diag_error(r->diag, item->at,
				     "%s: the set \"%s\" holds %s; expected %s",
				     what, xct_excerpt(item->text).s,
				     kind_name(set->kind), kind_name(kind));
		return NULL;
	}
	return set;
}

/* A prefix whose address has bits behind the prefix is often a slip. */
static void warn_host_bits(struct xct_reader *r, const struct xct_node *item,
			   const struct xct_addr_range *range)
{
	size_t len = strcspn(item->text, "/");
	char text[XCT_ADDRSTRLEN];
	struct xct_addr addr;
	uint8_t family;

	if (item->text[len] != '/' || len >= sizeof(text))
		return;
	memcpy(text, item->text, len);
	text[len] = '\0';
	if (xct_addr_parse(text, &family, &addr) &&
	    !xct_addr_equal(&addr, &range->first))
		xct_diag_warning(r->diag, item->at,
				 "\"%s\" has bits set behind the prefix; taken "
				 "as the network %s%s",
				 xct_excerpt(item->text).s,
				 xct_addr_format(family, &range->first, text),
				 item->text + len);
}

static uint8_t family_bit(uint8_t family)
{
	return family == AF_INET ? XCT_FAMILY_V4 : XCT_FAMILY_V6;
}

/* Add @item to the vector if it is an address, prefix or range. */
static bool try_addr(struct xct_reader *r, const struct xct_node *item,
		     bool *is_ok, uint8_t *families)
{
	struct xct_addr_range range;

	if (!xct_range_parse(item->text, &range))
		return false;
	warn_host_bits(r, item, &range);
	*families |= family_bit(range.family);
	*is_ok = vec_add(r, &r->addrs, sizeof(range), &range, item->at);
	return true;
}

static bool add_addr(struct xct_reader *r, const struct xct_node *item,
		     const char *what, uint8_t *families)
{
	const struct xct_named *set;
	const char *text;
	bool is_ok;

	if (!xct_value_text(r->diag, item, what, &text))
		return false;
	if (try_addr(r, item, &is_ok, families))
		return is_ok;
	set = use_set(r, item, what, NAMED_ADDRS);
	if (!set)
		return false;
	*families |= set->families;
	return vec_add_named(r, &r->addrs, set, item->at);
}

bool xct_read_addrset(struct xct_reader *r, const struct xct_node *node,
		      const char *what, xct_set_id *index, uint8_t *families)
{
	struct xct_named *set = lone_name(&r->sets, node);
	const struct xct_node *item;
	bool is_ok = true;

	*families = XCT_FAMILY_ANY;
	if (set && set->index != XCT_ANY && set->kind == NAMED_ADDRS) {
		*index = set->index;
		*families = set->families;
		return true;
	}
	if (xct_is_any(node) || is_empty_list(r, node, what))
		return xct_is_any(node);

	r->addrs.n = 0;
	*families = 0;
	for (item = xct_item_first(node); item;
	     item = xct_item_next(node, item))
		is_ok &= add_addr(r, item, what, families);
	/* What an empty set matches, nothing, contradicts no family. */
	if (*families == 0)
		*families = XCT_FAMILY_ANY;
	if (!is_ok ||
	    !xct_read_compiled(r, node, what,
			       xct_compile_addrset(&r->compiler, r->addrs.items,
						   r->addrs.n),
			       index))
		return false;
	if (set)
		set->index = *index;
	return true;
}

static bool try_port(struct xct_reader *r, const struct xct_node *item,
		     bool *is_ok)
{
	struct xct_port_range range;

	if (!xct_parse_ports(item->text, &range))
		return false;
	*is_ok = vec_add(r, &r->ports, sizeof(range), &range, item->at);
	return true;
}

static bool add_port(struct xct_reader *r, const struct xct_node *item,
		     const char *what)
{
	const struct xct_named *set;
	const char *text;
	bool is_ok;

	if (!xct_value_text(r->diag, item, what, &text))
		return false;
	if (try_port(r, item, &is_ok))
		return is_ok;
	if (text[0] >= '0' && text[0] <= '9')
		return xct_diag_error(r->diag, item->at,
				      "%s is \"%s\"; expected a port from 0 to "
				      "65535 or a range FIRST-LAST, without "
				      "leading zeros",
				      what, xct_excerpt(text).s);
	set = use_set(r, item, what, NAMED_PORTS);
	return set && vec_add_named(r, &r->ports, set, item->at);
}

bool xct_read_portset(struct xct_reader *r, const struct xct_node *node,
		      const char *what, xct_set_id *index)
{
	struct xct_named *set = lone_name(&r->sets, node);
	const struct xct_node *item;
	bool is_ok = true;

	if (set && set->index != XCT_ANY && set->kind == NAMED_PORTS) {
		*index = set->index;
		return true;
	}
	if (xct_is_any(node) || is_empty_list(r, node, what))
		return xct_is_any(node);

	r->ports.n = 0;
	for (item = xct_item_first(node); item;
	     item = xct_item_next(node, item))
		is_ok &= add_port(r, item, what);
	if (!is_ok ||
	    !xct_read_compiled(r, node, what,
			       xct_compile_portset(&r->compiler, r->ports.items,
						   r->ports.n),
			       index))
		return false;
	if (set)
		set->index = *index;
	return true;
}

/* ---- definitions ---- */

static bool is_name(const char *text)
{
	size_t len = strlen(text);

	if (len > NAME_LEN_MAX ||
	    !(isalpha((unsigned char)text[0]) || text[0] == '_'))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("_-.", text[i]))
			return false;
	return strcmp(text, "any") != 0;
}

/* Enter each key of the map @node into @dict, so that definitions know of each
 * other before the first is read. */
static bool define_names(struct xct_reader *r, const struct xct_node *node,
			 struct xct_dict *dict, bool is_group)
{
	for (const struct xct_node *v = node->first; v; v = v->next) {
		struct xct_named *named;

		if (!is_name(v->key->text))
			(void)xct_diag_error(
				r->diag, v->key->at,
				"\"%s\" cannot be a name; expected "
				"a letter, then letters, digits, "
				"\"-\", \"_\" or \".\", and not "
				"\"any\"",
				xct_excerpt(v->key->text).s);
		named = xct_arena_alloc(r->scratch, sizeof(*named));
		if (!named || xct_dict_add(dict, v->key->text,
					   strlen(v->key->text), named) < 0)
			return xct_diag_no_memory(r->diag);
		named->key = v->key;
		named->is_group = is_group;
		named->index = XCT_ANY;
		*r->named_tail = named;
		r->named_tail = &named->next;
	}
	return true;
}

/* Keep what was collected in @vec as the items of @named. */
static bool keep_items(struct xct_reader *r, struct xct_named *named,
		       const struct xct_vec *vec)
{
	size_t size = item_sizes[named->kind];

	if (vec->n == 0)
		return true;
	named->items = xct_arena_array(r->scratch, vec->n, size);
	if (!named->items)
		return xct_diag_no_memory(r->diag);
	memcpy(named->items, vec->items, vec->n * size);
	named->n = vec->n;
	return true;
}

void xct_read_interfaces(struct xct_reader *r, const struct xct_node *node)
{
	if (!xct_read_is(r, node, XCT_NODE_MAP, "interfaces") ||
	    !define_names(r, node, &r->groups, true))
		return;

	for (const struct xct_node *v = node->first; v; v = v->next) {
		struct xct_named *group = find(&r->groups, v->key->text);
		const struct xct_node *item;

		if (is_empty_list(r, v, v->key->text))
			continue;
		r->patterns.n = 0;
		for (item = xct_item_first(v); item;
		     item = xct_item_next(v, item))
			(void)define_pattern(r, group, item);
		(void)keep_items(r, group, &r->patterns);
	}
}

/* One entry of a set: its first entry says what kind of set it is. */
static void define_entry(struct xct_reader *r, struct xct_named *set,
			 const struct xct_node *item)
{
	const char *text;
	enum named_kind kind;
	bool is_ok;

	if (!xct_value_text(r->diag, item, set->key->text, &text))
		return;
	if (try_addr(r, item, &is_ok, &set->families)) {
		kind = NAMED_ADDRS;
	} else if (try_port(r, item, &is_ok)) {
		kind = NAMED_PORTS;
	} else {
		(void)xct_diag_error(
			r->diag, item->at,
			"\"%s\" is %s; expected an address, a prefix, a range "
			"FIRST-LAST or a port%s",
			xct_excerpt(text).s,
			find(&r->sets, text) ? "a set, which cannot be in a set"
					     : "neither address nor port",
			negation_hint(text));
		return;
	}
	if (set->kind == NAMED_NOTHING)
		set->kind = kind;
	if (set->kind != kind)
		(void)xct_diag_error(r->diag, item->at,
				     "\"%s\" is in a set that began with %s; "
				     "expected %s only",
				     xct_excerpt(text).s, kind_name(set->kind),
				     kind_name(set->kind));
}

void xct_read_sets(struct xct_reader *r, const struct xct_node *node)
{
	if (!xct_read_is(r, node, XCT_NODE_MAP, "sets") ||
	    !define_names(r, node, &r->sets, false))
		return;

	for (const struct xct_node *v = node->first; v; v = v->next) {
		struct xct_named *set = find(&r->sets, v->key->text);
		const struct xct_node *item;

		r->addrs.n = 0;
		r->ports.n = 0;
		if (v->kind == XCT_NODE_LIST && v->n == 0)
			xct_diag_warning(r->diag, v->at,
					 "the set \"%s\" is empty: no "
					 "connection matches it",
					 xct_excerpt(v->key->text).s);
		for (item = xct_item_first(v); item;
		     item = xct_item_next(v, item))
			define_entry(r, set, item);
		(void)keep_items(r, set,
				 set->kind == NAMED_PORTS ? &r->ports
							  : &r->addrs);
	}
}

void xct_read_warn_unused(struct xct_reader *r)
{
	for (const struct xct_named *d = r->first_named; d; d = d->next)
		if (!d->is_used)
			xct_diag_warning(r->diag, d->key->at,
					 "the %s \"%s\" is never used",
					 d->is_group ? "group" : "set",
					 xct_excerpt(d->key->text).s);
}
