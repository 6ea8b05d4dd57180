/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading single values of rules.yaml, and guessing what was meant. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/engine/l4.h"
#include "daemon/values.h"

#define WORD_MAX 64u

const struct xct_node *xct_item_first(const struct xct_node *node)
{
	return node->kind == XCT_NODE_LIST ? node->first : node;
}

const struct xct_node *xct_item_next(const struct xct_node *node,
				     const struct xct_node *item)
{
	return item == node ? NULL : item->next;
}

bool xct_value_text(struct xct_diag *diag, const struct xct_node *node,
		    const char *what, const char **text)
{
	static const char *const kinds[] = {
		[XCT_NODE_LIST] = "a list",
		[XCT_NODE_MAP] = "a map",
	};

	*text = "";
	if (node->kind == XCT_NODE_BAD)
		return false;
	if (node->kind != XCT_NODE_SCALAR)
		return xct_diag_error(diag, node->at,
				      "%s is %s; expected a single value here",
				      what, kinds[node->kind]);
	if (node->is_null || node->text[0] == '\0')
		return xct_diag_error(diag, node->at,
				      "%s is empty; expected a value", what);
	*text = node->text;
	return true;
}

bool xct_value_bool(struct xct_diag *diag, const struct xct_node *node,
		    const char *what, bool *value)
{
	static const char *const words[] = { "no",   "yes", "false",
					     "true", "off", "on" };
	const char *text;

	if (!xct_value_text(diag, node, what, &text))
		return false;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*value = i % 2;
			return true;
		}
	}
	return xct_diag_error(diag, node->at,
			      "%s is \"%s\"; expected yes or no", what,
			      xct_excerpt(text).s);
}

static bool has_leading_zero(const char *text)
{
	return text[0] == '0' && text[1] >= '0' && text[1] <= '9';
}

/* Digits of @text as a number, at most @max. Returns what follows them, NULL
 * if there is none, it begins with a needless zero, or is too large. */
static const char *parse_digits(const char *text, uint32_t max, uint32_t *value)
{
	const char *p = text;
	uint64_t n = 0;

	if (has_leading_zero(text))
		return NULL;
	for (; *p >= '0' && *p <= '9'; p++) {
		n = n * 10 + (uint64_t)(*p - '0');
		if (n > max)
			return NULL;
	}
	if (p == text)
		return NULL;
	*value = (uint32_t)n;
	return p;
}

bool xct_parse_number(const char *text, uint32_t max, uint32_t *value)
{
	const char *end = parse_digits(text, max, value);

	return end && *end == '\0';
}

bool xct_value_uint(struct xct_diag *diag, const struct xct_node *node,
		    const char *what, uint32_t min, uint32_t max,
		    uint32_t *value)
{
	const char *text;
	uint32_t n = 0;

	if (!xct_value_text(diag, node, what, &text))
		return false;
	if (!xct_parse_number(text, max, &n) || n < min)
		return xct_diag_error(diag, node->at,
				      "%s is \"%s\"; expected a number from %u "
				      "to %u%s",
				      what, xct_excerpt(text).s, min, max,
				      has_leading_zero(text)
					      ? " without leading zeros, which "
						"make it octal in YAML"
					      : "");
	*value = n;
	return true;
}

static bool parse_hex(const char *text, uint32_t *value)
{
	static const char digits[] = "0123456789abcdef";
	uint32_t n = 0;
	size_t len = strlen(text);

	if (len == 0 || len > 8)
		return false;
	for (; *text; text++) {
		const char *digit = strchr(digits, *text | 0x20);

		if (!digit)
			return false;
		n = n << 4 | (uint32_t)(digit - digits);
	}
	*value = n;
	return true;
}

static bool parse_bits(const char *text, uint32_t *value)
{
	return strncasecmp(text, "0x", 2) == 0
		       ? parse_hex(text + 2, value)
		       : xct_parse_number(text, UINT32_MAX, value);
}

bool xct_value_bits(struct xct_diag *diag, const struct xct_node *node,
		    const char *what, uint32_t *value)
{
	const char *text;

	if (!xct_value_text(diag, node, what, &text))
		return false;
	if (parse_bits(text, value))
		return true;
	return xct_diag_error(diag, node->at,
			      "%s is \"%s\"; expected a number of 32 bits such "
			      "as 16 or 0x10",
			      what, xct_excerpt(text).s);
}

bool xct_value_mark(struct xct_diag *diag, const struct xct_node *node,
		    const char *what, uint32_t *value, uint32_t *mask)
{
	const char *text, *slash;
	char number[16] = "";

	if (!xct_value_text(diag, node, what, &text))
		return false;
	*mask = UINT32_MAX;
	slash = strchrnul(text, '/');
	if ((size_t)(slash - text) < sizeof(number))
		memcpy(number, text, (size_t)(slash - text));
	if (!parse_bits(number, value) ||
	    (*slash && !parse_bits(slash + 1, mask)))
		return xct_diag_error(diag, node->at,
				      "%s is \"%s\"; expected 32 bits and "
				      "perhaps which of them count, such as "
				      "0x10 or 0x10/0xf0",
				      what, xct_excerpt(text).s);
	if (*value & ~*mask)
		return xct_diag_error(diag, node->at,
				      "%s is \"%s\", which no packet can have; "
				      "expected no bit that the mask has not",
				      what, xct_excerpt(text).s);
	return true;
}

/* Parts of a duration, largest first, each at most once. */
static bool parse_duration(const char *text, uint64_t *seconds)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = { { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };
	size_t next = 0;
	uint32_t n = 0;

	*seconds = 0;
	if (xct_parse_number(text, UINT32_MAX, &n)) {
		*seconds = n;
		return true;
	}
	while (*text) {
		text = parse_digits(text, UINT32_MAX, &n);
		if (!text)
			return false;
		while (next < XCT_ARRAY_SIZE(units) &&
		       units[next].unit != *text)
			next++;
		if (next == XCT_ARRAY_SIZE(units))
			return false;
		*seconds += (uint64_t)n * units[next++].seconds;
		text++;
	}
	return true;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

bool xct_value_seconds(struct xct_diag *diag, const struct xct_node *node,
		       const char *what, uint32_t *seconds)
{
	uint64_t value = 0;
	const char *text;

	if (!xct_value_text(diag, node, what, &text))
		return false;
	if (!parse_duration(text, &value))
		return xct_diag_error(diag, node->at,
				      "%s is \"%s\"; expected a duration such "
				      "as 30s, 2m, 1h30m or 5d%s",
				      what, xct_excerpt(text).s,
				      ends_with(text, "ms")
					      ? ": timeouts are whole seconds"
					      : "");
	if (value < 1 || value > XCT_L4_TIMEOUT_MAX)
		return xct_diag_error(diag, node->at,
				      "%s is \"%s\"; expected a duration from "
				      "1s to 1000d",
				      what, xct_excerpt(text).s);
	*seconds = (uint32_t)value;
	return true;
}

/* "a, b or c". */
static void join_words(char *buf, size_t size, const char *const *words,
		       size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n && len < size; i++) {
		const char *between = i == 0 ? "" : i + 1 == n ? " or " : ", ";

		len += (size_t)snprintf(buf + len, size - len, "%s%s", between,
					words[i]);
	}
}

bool xct_value_word(struct xct_diag *diag, const struct xct_node *node,
		    const char *what, const char *const *words, size_t n,
		    unsigned int *index)
{
	char expected[256] = "";
	struct xct_guess guess;
	const char *text;

	if (!xct_value_text(diag, node, what, &text))
		return false;
	xct_guess_begin(&guess, text);
	for (unsigned int i = 0; i < n; i++) {
		if (strcmp(text, words[i]) == 0) {
			*index = i;
			return true;
		}
		xct_guess_offer(&guess, words[i]);
	}
	join_words(expected, sizeof(expected), words, n);
	return xct_diag_error(diag, node->at, "%s is \"%s\"%s", what,
			      xct_excerpt(text).s,
			      xct_hint(&guess, expected).s);
}

bool xct_parse_ports(const char *text, struct xct_port_range *range)
{
	uint32_t first = 0, last = 0;
	const char *p = parse_digits(text, UINT16_MAX, &first);

	if (!p)
		return false;
	last = first;
	if (*p == '-') {
		p = parse_digits(p + 1, UINT16_MAX, &last);
		if (!p)
			return false;
	}
	if (*p != '\0' || first > last)
		return false;
	range->first = (uint16_t)first;
	range->last = (uint16_t)last;
	return true;
}

static bool parse_nat_ports(const char *text, struct xct_nat_range *nat)
{
	struct xct_port_range range;

	if (!xct_parse_ports(text, &range) || range.first == 0)
		return false;
	nat->port_first = range.first;
	nat->port_last = range.last;
	return true;
}

bool xct_value_nat_ports(struct xct_diag *diag, const struct xct_node *node,
			 const char *what, struct xct_nat_range *nat)
{
	const char *text;

	if (!xct_value_text(diag, node, what, &text))
		return false;
	if (!parse_nat_ports(text, nat))
		return xct_diag_error(diag, node->at,
				      "%s is \"%s\"; expected a port or a "
				      "range of ports, from 1 to 65535",
				      what, xct_excerpt(text).s);
	return true;
}

/* "[A]:80" and "[A]-[B]:80" as "A" or "A-B" in @addr; @ports points behind the
 * colon, or is NULL. */
static bool split_brackets(char *addr, const char **ports)
{
	char *end = strrchr(addr, ']');
	char *middle = strstr(addr, "]-[");

	if (!end || (end[1] != '\0' && end[1] != ':'))
		return false;
	*ports = end[1] == ':' ? end + 2 : NULL;
	*end = '\0';
	if (middle) {
		middle[0] = '-';
		memmove(middle + 1, middle + 3, strlen(middle + 3) + 1);
	}
	memmove(addr, addr + 1, strlen(addr + 1) + 1);
	return true;
}

/* Tell address and ports apart: only an IPv4 address may be followed by a
 * colon without standing in brackets. Cuts @addr at its end. */
static bool split_target(char *addr, const char **ports)
{
	char *colon;

	*ports = NULL;
	if (addr[0] == '[')
		return split_brackets(addr, ports);
	if (!strchr(addr, '.') || strstr(addr, "::"))
		return true;
	colon = strrchr(addr, ':');
	if (colon && strchr(addr, ':') == colon) {
		*colon = '\0';
		*ports = colon + 1;
	}
	return true;
}

bool xct_value_nat_target(struct xct_diag *diag, const struct xct_node *node,
			  const char *what, struct xct_nat_range *nat)
{
	char buf[4 * XCT_ADDRSTRLEN];
	const char *ports = NULL;
	const char *text;

	if (!xct_value_text(diag, node, what, &text))
		return false;
	if (strlen(text) >= sizeof(buf) || strchr(text, '/'))
		goto bad;
	memcpy(buf, text, strlen(text) + 1);
	if (!split_target(buf, &ports) || !xct_range_parse(buf, &nat->addr) ||
	    xct_addr_is_zero(&nat->addr.first))
		goto bad;
	if (ports && !parse_nat_ports(ports, nat))
		goto bad;
	return true;

bad:
	return xct_diag_error(diag, node->at,
			      "%s is \"%s\"; expected ADDRESS[-ADDRESS]"
			      "[:PORT[-PORT]], an IPv6 address before a port "
			      "in brackets",
			      what, xct_excerpt(text).s);
}

unsigned int xct_edit_distance(const char *a, const char *b, unsigned int limit)
{
	size_t la = strlen(a), lb = strlen(b);
	/* Rows i-2, i-1 and i of the table of distances of prefixes. */
	unsigned int rows[3][WORD_MAX + 1];

	if (la > WORD_MAX || lb > WORD_MAX ||
	    (la > lb ? la - lb : lb - la) > limit)
		return limit + 1;

	for (unsigned int j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (unsigned int i = 1; i <= la; i++) {
		unsigned int *row = rows[i % 3], *up = rows[(i + 2) % 3];
		const unsigned int *up2 = rows[(i + 1) % 3];

		row[0] = i;
		for (unsigned int j = 1; j <= lb; j++) {
			unsigned int best = up[j - 1] + (a[i - 1] != b[j - 1]);

			if (up[j] + 1 < best)
				best = up[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && up2[j - 2] + 1 < best)
				best = up2[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[la % 3][lb] > limit ? limit + 1 : rows[la % 3][lb];
}

void xct_guess_begin(struct xct_guess *guess, const char *word)
{
	size_t len = strlen(word);

	guess->word = word;
	guess->best = NULL;
	/* One more than a slip in a word of this length may be. */
	guess->distance = len < 4 ? 2 : len < 8 ? 3 : 4;
}

void xct_guess_offer(struct xct_guess *guess, const char *candidate)
{
	unsigned int distance =
		xct_edit_distance(guess->word, candidate, guess->distance - 1);

	if (distance < guess->distance) {
		guess->distance = distance;
		guess->best = candidate;
	}
}

struct xct_hint xct_hint(const struct xct_guess *guess, const char *expected)
{
	struct xct_hint hint;

	if (guess->best)
		(void)snprintf(hint.s, sizeof(hint.s), "; did you mean \"%s\"?",
			       xct_excerpt(guess->best).s);
	else
		(void)snprintf(hint.s, sizeof(hint.s), "; expected %s",
			       expected);
	return hint;
}
