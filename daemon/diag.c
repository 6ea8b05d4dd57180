/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Diagnostics of one configuration file, sorted by position at the end. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/diag.h"

/* Errors, and warnings, that are kept; what comes beyond is only counted. */
#define KEPT_MAX 1000u

struct xct_diag_line {
	struct xct_pos at;
	uint32_t seq; /* order of arrival, among those of one position */
	bool is_error;
	const char *text;
};

static bool grow(struct xct_diag *diag)
{
	uint32_t size = diag->size ? diag->size * 2 : 32;
	struct xct_diag_line *lines;

	lines = xct_arena_array(diag->arena, size, sizeof(*lines));
	if (!lines)
		return xct_diag_no_memory(diag);

	if (diag->n)
		memcpy(lines, diag->lines, diag->n * sizeof(*lines));
	diag->lines = lines;
	diag->size = size;
	return true;
}

__attribute__((format(printf, 4, 0))) static void
add(struct xct_diag *diag, struct xct_pos at, bool is_error, const char *format,
    va_list args)
{
	struct xct_diag_line *line;
	char text[512];
	const char *copy;

	if ((is_error ? diag->errors++ : diag->warnings++) >= KEPT_MAX)
		return;
	if (diag->n == diag->size && !grow(diag))
		return;

	/* What does not fit is cut: every part that can be long is cut before
	 * by xct_excerpt(). */
	(void)vsnprintf(text, sizeof(text), format, args);
	copy = xct_arena_text(diag->arena, text, strlen(text));
	if (!copy) {
		(void)xct_diag_no_memory(diag);
		return;
	}
	line = &diag->lines[diag->n];
	line->at = at;
	line->seq = diag->n++;
	line->is_error = is_error;
	line->text = copy;
}

bool xct_diag_error(struct xct_diag *diag, struct xct_pos at,
		    const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(diag, at, true, format, args);
	va_end(args);
	return false;
}

void xct_diag_warning(struct xct_diag *diag, struct xct_pos at,
		      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(diag, at, false, format, args);
	va_end(args);
}

bool xct_diag_no_memory(struct xct_diag *diag)
{
	if (!diag->no_memory)
		diag->errors++;
	diag->no_memory = true;
	return false;
}

static int compare_numbers(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

static int compare_lines(const void *va, const void *vb)
{
	const struct xct_diag_line *a = va, *b = vb;
	int order = compare_numbers(a->at.line, b->at.line);

	if (order == 0)
		order = compare_numbers(a->at.col, b->at.col);
	return order ? order : compare_numbers(a->seq, b->seq);
}

static void print_line(FILE *out, const char *file,
		       const struct xct_diag_line *line)
{
	fputs(file, out);
	if (line->at.line)
		fprintf(out, ":%u:%u", line->at.line, line->at.col);
	fprintf(out, ": %s: %s\n", line->is_error ? "error" : "warning",
		line->text);
}

static void print_all(FILE *out, const struct xct_diag *diag)
{
	uint32_t left_out = diag->errors + diag->warnings - diag->n;

	for (uint32_t i = 0; i < diag->n; i++)
		print_line(out, diag->file, &diag->lines[i]);
	if (diag->no_memory)
		fprintf(out, "%s: error: out of memory\n", diag->file);
	else if (left_out)
		fprintf(out, "%s: %s: and %u messages more\n", diag->file,
			diag->errors ? "error" : "warning", left_out);
}

void xct_diag_finish(struct xct_diag *diag, struct xct_messages *messages)
{
	FILE *out;

	memset(messages, 0, sizeof(*messages));
	messages->errors = diag->errors;
	messages->warnings = diag->warnings;
	if (diag->errors + diag->warnings == 0)
		return;

	if (diag->n > 0)
		qsort(diag->lines, diag->n, sizeof(*diag->lines),
		      compare_lines);
	out = open_memstream(&messages->text, &messages->len);
	if (!out)
		return;
	print_all(out, diag);
	/* Without memory for the text the counts still tell. */
	if (fclose(out) != 0) {
		free(messages->text);
		messages->text = NULL;
		messages->len = 0;
	}
}

struct xct_excerpt xct_excerpt(const char *text)
{
	const size_t max = sizeof(((struct xct_excerpt *)0)->s) - 4;
	struct xct_excerpt e;
	size_t len = strlen(text);

	if (len > max) {
		len = max;
		/* 10xxxxxx continues a UTF-8 character. */
		while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80)
			len--;
		memcpy(e.s, text, len);
		memcpy(e.s + len, "...", 4);
	} else {
		memcpy(e.s, text, len + 1);
	}
	return e;
}
