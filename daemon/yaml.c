/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * YAML text as a tree of nodes, through the events of libyaml.
 *
 * The maps and lists that are open form a stack of bounded depth; a node is
 * hung into the innermost one when it begins. In a map, every other node is a
 * key, which waits in the frame for its value.
 */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "daemon/yaml.h"

struct frame {
	struct xct_node *node;
	struct xct_node **tail; /* where its next child goes */
	struct xct_node *key;	/* of a map: still without value */
};

struct builder {
	struct xct_diag *diag;
	const char *input;
	size_t input_len;
	struct frame stack[XCT_YAML_DEPTH_MAX];
	unsigned int depth;
	uint32_t n_nodes;
	unsigned int n_documents;
	struct xct_node *root;
};

static struct xct_pos pos_of(const yaml_mark_t *mark)
{
	return (struct xct_pos){ (uint32_t)mark->line + 1,
				 (uint32_t)mark->column + 1 };
}

/* Where the byte at @off stands. Its line is whole up to there, and UTF-8. */
static struct xct_pos pos_of_offset(const struct builder *b, size_t off)
{
	struct xct_pos at = { 1, 1 };

	for (size_t i = 0; i < off && i < b->input_len; i++) {
		if (b->input[i] == '\n') {
			at.line++;
			at.col = 1;
		} else if (((uint8_t)b->input[i] & 0xc0) != 0x80) {
			at.col++;
		}
	}
	return at;
}

/* The byte that @mark points at, 0 at the end. libyaml counts characters. */
static char byte_at(const struct builder *b, const yaml_mark_t *mark)
{
	const char *end = b->input + b->input_len;
	const char *p = b->input;

	for (size_t i = 0; i < mark->line && p < end; i++) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));

		p = eol ? eol + 1 : end;
	}
	for (size_t i = 0; i < mark->column && p < end; i++) {
		p++;
		while (p < end && ((uint8_t)*p & 0xc0) == 0x80)
			p++;
	}
	return p < end ? *p : '\0';
}

/* What people stumble over most. */
static const char *syntax_hint(const struct builder *b,
			       const yaml_parser_t *parser)
{
	char byte = byte_at(b, &parser->problem_mark);

	if (parser->context && strstr(parser->context, "alias"))
		return "; a \"*\" must stand in quotes";
	if (byte == '\t')
		return "; indent with blanks, not tabs";
	if (byte == '%' || byte == '@' || byte == '`')
		return "; such text must stand in quotes";
	return "";
}

static bool syntax_error(struct builder *b, const yaml_parser_t *parser)
{
	const char *problem = parser->problem ? parser->problem : "not YAML";

	if (parser->error == YAML_MEMORY_ERROR)
		return xct_diag_no_memory(b->diag);
	if (parser->error == YAML_READER_ERROR)
		return xct_diag_error(b->diag,
				      pos_of_offset(b, parser->problem_offset),
				      "%s; expected UTF-8 text", problem);
	if (!parser->context)
		return xct_diag_error(b->diag, pos_of(&parser->problem_mark),
				      "%s%s", problem, syntax_hint(b, parser));
	return xct_diag_error(b->diag, pos_of(&parser->problem_mark),
			      "%s, %s that began in line %zu%s", problem,
			      parser->context, parser->context_mark.line + 1,
			      syntax_hint(b, parser));
}

/* Hang @node into the innermost map or list. */
static void attach(struct builder *b, struct xct_node *node)
{
	struct frame *top = b->depth ? &b->stack[b->depth - 1] : NULL;

	if (!top) {
		b->root = node;
		return;
	}
	if (top->node->kind == XCT_NODE_MAP) {
		if (!top->key) {
			top->key = node;
			return;
		}
		node->key = top->key;
		top->key = NULL;
		if (node->key->kind != XCT_NODE_SCALAR)
			return;
	}
	*top->tail = node;
	top->tail = &node->next;
	top->node->n++;
}

static bool is_key(const struct builder *b)
{
	return b->depth && b->stack[b->depth - 1].node->kind == XCT_NODE_MAP &&
	       !b->stack[b->depth - 1].key;
}

static struct xct_node *add_node(struct builder *b, const yaml_event_t *event,
				 enum xct_node_kind kind)
{
	struct xct_pos at = pos_of(&event->start_mark);
	struct xct_node *node;

	if (++b->n_nodes > XCT_YAML_NODES_MAX) {
		(void)xct_diag_error(b->diag, at,
				     "too large; expected at most %u values",
				     XCT_YAML_NODES_MAX);
		return NULL;
	}
	node = xct_arena_alloc(b->diag->arena, sizeof(*node));
	if (!node) {
		(void)xct_diag_no_memory(b->diag);
		return NULL;
	}
	node->at = at;
	node->kind = (uint8_t)kind;
	if (is_key(b) && kind != XCT_NODE_SCALAR && kind != XCT_NODE_BAD)
		(void)xct_diag_error(b->diag, at,
				     "a key must be a word, not a list or map");
	attach(b, node);
	return node;
}

static void refuse_decoration(struct builder *b, const yaml_event_t *event,
			      const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (tag)
		(void)xct_diag_error(b->diag, pos_of(&event->start_mark),
				     "YAML tags are not supported; a \"!\" at "
				     "the beginning must stand in quotes");
	if (anchor)
		(void)xct_diag_error(b->diag, pos_of(&event->start_mark),
				     "YAML anchors are not supported; name "
				     "things under interfaces: or sets:");
}

static bool has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
			return true;
	return false;
}

static bool is_null_word(const char *text)
{
	return text[0] == '\0' || strcmp(text, "~") == 0 ||
	       strcmp(text, "null") == 0;
}

static bool add_scalar(struct builder *b, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	struct xct_node *node = add_node(b, event, XCT_NODE_SCALAR);

	if (!node)
		return false;

	refuse_decoration(b, event, event->data.scalar.anchor,
			  event->data.scalar.tag);
	if (has_control(text, len)) {
		(void)xct_diag_error(b->diag, node->at,
				     "control character in a value; expected "
				     "text in one line");
		node->kind = XCT_NODE_BAD;
		return true;
	}
	node->text = xct_arena_text(b->diag->arena, text, len);
	if (!node->text)
		return xct_diag_no_memory(b->diag);
	node->is_null = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
			is_null_word(text);
	return true;
}

static bool add_alias(struct builder *b, const yaml_event_t *event)
{
	(void)xct_diag_error(b->diag, pos_of(&event->start_mark),
			     "YAML aliases are not supported; a \"*\" must "
			     "stand in quotes");
	return add_node(b, event, XCT_NODE_BAD) != NULL;
}

static bool open_frame(struct builder *b, const yaml_event_t *event,
		       enum xct_node_kind kind)
{
	struct xct_node *node;

	if (b->depth == XCT_YAML_DEPTH_MAX)
		return xct_diag_error(b->diag, pos_of(&event->start_mark),
				      "nested too deeply; expected at most %u "
				      "levels",
				      XCT_YAML_DEPTH_MAX);
	node = add_node(b, event, kind);
	if (!node)
		return false;

	b->stack[b->depth++] = (struct frame){ node, &node->first, NULL };
	return true;
}

static int compare_keys(const void *va, const void *vb)
{
	const struct xct_node *a = (*(struct xct_node *const *)va)->key;
	const struct xct_node *b = (*(struct xct_node *const *)vb)->key;
	int order = strcmp(a->text, b->text);

	if (order)
		return order;
	if (a->at.line != b->at.line)
		return a->at.line < b->at.line ? -1 : 1;
	return (a->at.col > b->at.col) - (a->at.col < b->at.col);
}

static void unlink_bad(struct xct_node *map)
{
	for (struct xct_node **p = &map->first; *p;) {
		if ((*p)->key->kind == XCT_NODE_BAD) {
			*p = (*p)->next;
			map->n--;
		} else {
			p = &(*p)->next;
		}
	}
}

/* A key given twice is an error; the first stays. Sorting finds them, so that
 * a map of many thousand keys is no trouble. */
static bool refuse_duplicates(struct builder *b, struct xct_node *map)
{
	struct xct_node **values;
	const struct xct_node *first;
	bool is_bad = false;
	uint32_t i = 0;

	if (map->n < 2)
		return true;
	values = xct_arena_array(b->diag->arena, map->n, sizeof(*values));
	if (!values)
		return xct_diag_no_memory(b->diag);

	for (struct xct_node *v = map->first; v; v = v->next)
		values[i++] = v;
	qsort(values, map->n, sizeof(*values), compare_keys);

	first = values[0]->key;
	for (i = 1; i < map->n; i++) {
		struct xct_node *key = values[i]->key;

		if (strcmp(first->text, key->text) != 0) {
			first = key;
			continue;
		}
		(void)xct_diag_error(b->diag, key->at,
				     "key \"%s\" given twice; first in line %u",
				     xct_excerpt(key->text).s, first->at.line);
		key->kind = XCT_NODE_BAD;
		is_bad = true;
	}
	if (is_bad)
		unlink_bad(map);
	return true;
}

static bool close_frame(struct builder *b)
{
	struct xct_node *node = b->stack[--b->depth].node;

	return node->kind != XCT_NODE_MAP || refuse_duplicates(b, node);
}

static bool handle(struct builder *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (b->n_documents++ == 0)
			return true;
		return xct_diag_error(b->diag, pos_of(&event->start_mark),
				      "a second YAML document begins; expected "
				      "one only");
	case YAML_SCALAR_EVENT:
		return add_scalar(b, event);
	case YAML_ALIAS_EVENT:
		return add_alias(b, event);
	case YAML_SEQUENCE_START_EVENT:
		refuse_decoration(b, event, event->data.sequence_start.anchor,
				  event->data.sequence_start.tag);
		return open_frame(b, event, XCT_NODE_LIST);
	case YAML_MAPPING_START_EVENT:
		refuse_decoration(b, event, event->data.mapping_start.anchor,
				  event->data.mapping_start.tag);
		return open_frame(b, event, XCT_NODE_MAP);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_frame(b);
	default:
		return true;
	}
}

static bool run(struct builder *b, yaml_parser_t *parser)
{
	bool is_ok = true, is_over = false;
	yaml_event_t event;

	while (is_ok && !is_over) {
		if (!yaml_parser_parse(parser, &event))
			return syntax_error(b, parser);
		is_over = event.type == YAML_STREAM_END_EVENT;
		is_ok = handle(b, &event);
		yaml_event_delete(&event);
	}
	return is_ok;
}

bool xct_yaml_parse(struct xct_diag *diag, const char *text, size_t len,
		    struct xct_node **root)
{
	struct builder b = { .diag = diag, .input = text, .input_len = len };
	yaml_parser_t parser;
	bool is_ok;

	if (len > XCT_YAML_SIZE_MAX)
		return xct_diag_error(diag, (struct xct_pos){ 0, 0 },
				      "too large; expected at most %u bytes",
				      XCT_YAML_SIZE_MAX);
	if (!yaml_parser_initialize(&parser))
		return xct_diag_no_memory(diag);

	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	is_ok = run(&b, &parser);
	yaml_parser_delete(&parser);

	*root = b.root;
	if (b.root && b.root->is_null)
		*root = NULL;
	return is_ok;
}
