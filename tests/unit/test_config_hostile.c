/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Large and hostile rules.yaml, which may be refused but does no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "daemon/config.h"

/* ---- size ---- */

struct text {
	char *s;
	size_t len;
	FILE *out;
};

static FILE *text_begin(struct text *text)
{
	text->out = open_memstream(&text->s, &text->len);
	assert_non_null(text->out);
	return text->out;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Load and free; generous with time, for sanitizers and slow machines. */
static struct xct_messages text_load(struct text *text)
{
	struct xct_messages messages;
	double begin = now();

	fclose(text->out);
	xct_config_free(xct_config_parse("f", text->s, text->len, &messages));
	assert_true(now() - begin < 20);
	free(text->s);
	return messages;
}

static void a_hundred_thousand_rules(void **state)
{
	struct xct_messages messages;
	struct text text;
	FILE *out = text_begin(&text);

	(void)state;
	fputs("interfaces: {wan: eth0}\nfilter:\n  forward:\n    rules:\n",
	      out);
	for (unsigned int i = 0; i < 100000; i++)
		fprintf(out,
			"      - {name: r%u, in: wan, src: 10.%u.%u.%u, proto: "
			"tcp, dport: %u, accept: yes}\n",
			i, i % 50000 >> 16, i >> 8 & 255, i % 7, i % 60000);
	messages = text_load(&text);
	assert_int_equal(messages.errors + messages.warnings, 0);
	assert_null(messages.text);
}

static void a_hundred_thousand_errors(void **state)
{
	struct xct_messages messages;
	struct text text;
	FILE *out = text_begin(&text);
	unsigned int lines = 0;

	(void)state;
	fputs("sets:\n", out);
	for (unsigned int i = 0; i < 100000; i++)
		fprintf(out, "  set%u: 10.0.0.1\n", i);
	fputs("nat:\n", out);
	for (unsigned int i = 0; i < 100000; i++)
		fprintf(out, "  - {src: tse%u, exempt: yes}\n", i);
	messages = text_load(&text);
	assert_int_equal(messages.errors, 100000);
	for (const char *p = messages.text; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, 1001);
	assert_non_null(strstr(messages.text, "\nf: error: and 99000 messages "
					      "more\n"));
	xct_messages_fini(&messages);
}

static void a_hundred_thousand_keys_twice(void **state)
{
	struct xct_messages messages;
	struct text text;
	FILE *out = text_begin(&text);

	(void)state;
	fputs("sets:\n", out);
	for (unsigned int i = 0; i < 200000; i++)
		fprintf(out, "  s%u: 80\n", i % 100000);
	messages = text_load(&text);
	assert_int_equal(messages.errors, 100000);
	xct_messages_fini(&messages);
}

/* Small text that would be large when spelt out: said once. */
static void sets_used_too_often(void **state)
{
	struct xct_messages messages;
	struct text text;
	FILE *out = text_begin(&text);

	(void)state;
	fputs("sets:\n  s: [", out);
	for (unsigned int i = 0; i < 10000; i++)
		fprintf(out, "10.%u.%u.1, ", i >> 8, i & 255);
	fputs("]\nnat:\n", out);
	for (unsigned int i = 0; i < 10000; i++)
		fprintf(out, "  - {src: [s, s], exempt: yes}\n");
	messages = text_load(&text);
	assert_int_equal(messages.errors, 1);
	assert_non_null(strstr(messages.text, "too much; expected lists"));
	xct_messages_fini(&messages);
}

static void too_many_sets_of_interfaces(void **state)
{
	for (unsigned int n = 256; n <= 257; n++) {
		struct xct_messages messages;
		struct text text;
		FILE *out = text_begin(&text);

		(void)state;
		fputs("nat:\n", out);
		for (unsigned int i = 0; i < n; i++)
			fprintf(out, "  - {in: eth%u, exempt: yes}\n", i);
		messages = text_load(&text);
		if (n == 256)
			assert_null(messages.text);
		else
			assert_string_equal(messages.text,
					    "f:258:10: error: too many "
					    "different values of in; expected "
					    "at most 256 in one file\n");
		xct_messages_fini(&messages);
	}
}

static void too_large_a_file(void **state)
{
	struct xct_messages messages;
	struct text text;
	FILE *out = text_begin(&text);

	(void)state;
	for (unsigned int i = 0; i < 16 * 1024 * 1024 / 64 + 1; i++)
		fprintf(out, "%063d\n", 0);
	messages = text_load(&text);
	assert_string_equal(messages.text, "f: error: too large; expected at "
					   "most 16777216 bytes\n");
	xct_messages_fini(&messages);
}

static void a_billion_laughs(void **state)
{
	struct xct_messages messages;
	struct text text;
	FILE *out = text_begin(&text);

	(void)state;
	fputs("a0: &a0 [ha]\n", out);
	for (unsigned int i = 1; i < 40; i++)
		fprintf(out, "a%u: &a%u [*a%u, *a%u, *a%u, *a%u]\n", i, i,
			i - 1, i - 1, i - 1, i - 1);
	messages = text_load(&text);
	assert_int_equal(messages.errors, 40 + 40 + 39 * 4);
	xct_messages_fini(&messages);
}

static void brackets_without_end(void **state)
{
	static const char *const openings[] = { "[",  "{",  "{a: ",   "- ",
						"? ", "[?", "!a &b [" };

	(void)state;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(openings); i++) {
		struct xct_messages messages;
		struct text text;
		FILE *out = text_begin(&text);

		for (unsigned int n = 0; n < 200000; n++)
			fputs(openings[i], out);
		messages = text_load(&text);
		assert_true(messages.errors > 0);
		xct_messages_fini(&messages);
	}
}

/* ---- hostility ---- */

static char *read_file(const char *path, size_t *len)
{
	FILE *in = fopen(path, "r");
	char *text = malloc(16384);

	assert_non_null(in);
	assert_non_null(text);
	*len = fread(text, 1, 16384, in);
	assert_in_range(*len, 1, 16383);
	fclose(in);
	return text;
}

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Change a byte, cut a piece out, double one, or put in what has a meaning. */
static size_t mutate(char *text, size_t len, size_t size, uint32_t *seed)
{
	static const char *const tokens[] = {
		"*",	"&a ", "!",    "{",	      "}",	  "[",
		"]",	": ",  "\n",   "- ",	      "\"",	  "'",
		"any",	"0",   "-1",   "99999999999", "\t",	  "? ",
		"|\n",	"<<",  "#",    "\xff",	      "\xc3\xa4", "---\n",
		"::/0", "/33", "null", "yes",	      "%",	  "accept: yes",
	};
	const char *token = tokens[random_next(seed) % XCT_ARRAY_SIZE(tokens)];
	size_t at = random_next(seed) % len, n = strlen(token);
	size_t piece = 1 + random_next(seed) % 40;

	if (piece > len - at)
		piece = len - at;
	switch (random_next(seed) % 4) {
	case 0:
		text[at] = (char)random_next(seed);
		return len;
	case 1:
		if (piece == len)
			return len;
		memmove(text + at, text + at + piece, len - at - piece);
		return len - piece;
	case 2:
		if (len + piece > size)
			return len;
		memmove(text + at + piece, text + at, len - at);
		return len + piece;
	default:
		if (len + n > size)
			return len;
		memmove(text + at + n, text + at, len - at);
		memcpy(text + at, token, n);
		return len + n;
	}
}

/* Every message is one line, with the file's name before and text behind. */
static void check_messages(const struct xct_messages *messages)
{
	unsigned int lines = 0;
	const char *p = messages->text;

	while (p && *p) {
		assert_int_equal(strncmp(p, "f:", 2), 0);
		p = strchr(p, '\n');
		assert_non_null(p);
		p++;
		lines++;
	}
	assert_int_equal(lines, messages->errors + messages->warnings);
}

static void mutated(const char *path, unsigned int times, uint32_t seed)
{
	char text[20000];
	size_t len;
	char *original = read_file(path, &len);

	for (unsigned int i = 0; i < times; i++) {
		unsigned int changes = 1 + random_next(&seed) % 8;
		struct xct_messages messages;
		struct xct_config *config;
		size_t n = len;

		memcpy(text, original, len);
		while (changes--)
			n = mutate(text, n, sizeof(text), &seed);
		config = xct_config_parse("f", text, n, &messages);
		assert_int_equal(config != NULL, messages.errors == 0);
		check_messages(&messages);
		xct_messages_fini(&messages);
		xct_config_free(config);
	}
	free(original);
}

static void mutations_of_the_examples(void **state)
{
	(void)state;
	mutated("conf/rules.yaml", 1000, 1);
	mutated("conf/examples/gateway.yaml", 2000, 2);
	mutated("conf/examples/host-firewall.yaml", 2000, 3);
	mutated("conf/examples/port-forward.yaml", 2000, 4);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hundred_thousand_rules),
		cmocka_unit_test(a_hundred_thousand_errors),
		cmocka_unit_test(a_hundred_thousand_keys_twice),
		cmocka_unit_test(sets_used_too_often),
		cmocka_unit_test(too_many_sets_of_interfaces),
		cmocka_unit_test(too_large_a_file),
		cmocka_unit_test(a_billion_laughs),
		cmocka_unit_test(brackets_without_end),
		cmocka_unit_test(mutations_of_the_examples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
