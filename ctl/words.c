/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values that are words with commas between: status, output, events, labels. */
#include "ctl/words.h"

#include <string.h>
#include <strings.h>

#include "ctl/labels.h"

const struct xct_word xct_status_names[XCT_STATUS_NAMES] = {
	{ "EXPECTED", XCT_STATUS_EXPECTED },
	{ "SEEN_REPLY", XCT_STATUS_SEEN_REPLY },
	{ "ASSURED", XCT_STATUS_ASSURED },
	{ "CONFIRMED", XCT_STATUS_CONFIRMED },
	{ "SRC_NAT", XCT_STATUS_SRC_NAT },
	{ "DST_NAT", XCT_STATUS_DST_NAT },
	{ "DYING", XCT_STATUS_DYING },
	{ "FIXED_TIMEOUT", XCT_STATUS_FIXED_TIMEOUT },
	{ "OFFLOAD", XCT_STATUS_OFFLOAD },
	{ "HW_OFFLOAD", XCT_STATUS_HW_OFFLOAD },
};

static const struct xct_word unreplied[] = {
	{ "UNSET", XCT_STATUS_SEEN_REPLY },
	{ "UNREPLIED", XCT_STATUS_SEEN_REPLY },
};

static const struct xct_word outputs[] = {
	{ "plain", 0 },
	{ "extended", XCT_OUTPUT_EXTENDED },
	{ "id", XCT_OUTPUT_ID },
	{ "json", XCT_OUTPUT_JSON },
	{ "ndjson", XCT_OUTPUT_NDJSON },
	{ "xml", XCT_OUTPUT_XML },
	{ "save", XCT_OUTPUT_SAVE },
	{ "ktimestamp", XCT_OUTPUT_KTIMESTAMP },
	{ "timestamp", XCT_OUTPUT_TIMESTAMP },
	{ "seq", XCT_OUTPUT_SEQ },
	{ "labels", XCT_OUTPUT_LABELS },
	{ "userspace", XCT_OUTPUT_OTHER },
};

static const struct xct_word events[] = {
	{ "ALL", XCT_FLOW_ALL },
	{ "NEW", 1u << XCT_FLOW_NEW },
	{ "UPDATES", 1u << XCT_FLOW_UPDATE },
	{ "DESTROY", 1u << XCT_FLOW_DESTROY },
};

/* Add the bits of @text, @len of it, if it is one of the @n @words. */
static bool add_word(const struct xct_word *words, size_t n, const char *text,
		     size_t len, uint32_t *bits)
{
	for (size_t i = 0; i < n; i++) {
		if (strlen(words[i].name) == len &&
		    strncasecmp(text, words[i].name, len) == 0) {
			*bits |= words[i].bits;
			return true;
		}
	}
	return false;
}

/* The same of all that @arg lists. NULL, or from where on it is none. */
static const char *add_words(const struct xct_word *words, size_t n,
			     const char *arg, uint32_t *bits)
{
	size_t len;

	for (;; arg += len + 1) {
		len = strcspn(arg, ",");
		if (!add_word(words, n, arg, len, bits))
			return arg;
		if (!arg[len])
			return NULL;
	}
}

/* One word of -u, @len long. */
static bool add_status(struct xct_flow_filter *f, const char *word, size_t len)
{
	bool is_negated = *word == '!';

	if (add_word(unreplied, XCT_ARRAY_SIZE(unreplied), word, len,
		     &f->status_unset)) {
		f->fields |= XCT_FILTER_UNSET;
		return true;
	}
	f->fields |= is_negated ? XCT_FILTER_UNSET : XCT_FILTER_STATUS;
	return add_word(xct_status_names, XCT_STATUS_NAMES, word + is_negated,
			len - is_negated,
			is_negated ? &f->status_unset : &f->status);
}

bool xct_words_status(struct xct_query *query, const struct xct_option_row *row,
		      const char *arg)
{
	size_t len;

	(void)row; /* which field it is depends on the word */
	for (;; arg += len + 1) {
		len = strcspn(arg, ",");
		if (!add_status(&query->filter, arg, len))
			return xct_query_fail(query, "Bad parameter `%s'", arg);
		if (!arg[len])
			return true;
	}
}

bool xct_words_output(struct xct_query *query, const struct xct_option_row *row,
		      const char *arg)
{
	uint16_t *field = xct_option_field(query, row);
	uint32_t bits = *field;
	const char *bad =
		add_words(outputs, XCT_ARRAY_SIZE(outputs), arg, &bits);

	*field = (uint16_t)bits;
	return !bad || xct_query_fail(query,
				      "Bad parameter `%s': the output is "
				      "plain, extended, id, ktimestamp, "
				      "timestamp, seq, labels, save, xml, json "
				      "or ndjson",
				      bad);
}

bool xct_words_events(struct xct_query *query, const struct xct_option_row *row,
		      const char *arg)
{
	const char *bad = add_words(events, XCT_ARRAY_SIZE(events), arg,
				    xct_option_field(query, row));

	return !bad || xct_query_fail(query,
				      "Bad parameter `%s': events are "
				      "ALL, NEW, UPDATES or DESTROY",
				      bad);
}

bool xct_words_labels(struct xct_query *query, const struct xct_option_row *row,
		      const char *arg)
{
	static const struct xct_label_names none;
	const struct xct_label_names *names = xct_ctl_label_names();
	struct xct_labels *field = xct_option_field(query, row);
	const char *word;
	size_t len;
	int bit;

	if (!arg)
		*field = (struct xct_labels){ { UINT64_MAX, UINT64_MAX } };
	for (word = arg; word; word = word[len] ? word + len + 1 : NULL) {
		len = strcspn(word, ",");
		bit = xct_label_find(names ? names : &none, word, len);
		if (bit < 0)
			return xct_query_fail(query, "unknown label '%.*s'",
					      (int)len, word);
		if (bit < XCT_LABEL_BITS)
			xct_labels_set(field, (unsigned int)bit);
		else
			query->beyond |= UINT64_C(1) << (row - xct_option_rows);
	}
	return true;
}
