/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads files of commands. */
#include "ctl/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 128 /* a whole command has some fifty */

/* Split @line in place: words between blanks; quotes keep blanks together.
 * Returns the number of words, or -1: too many, or a quote without an end. */
static int split(char *line, char **argv)
{
	char *from = line, *to = line;
	int argc = 1;

	for (;;) {
		from += strspn(from, " \t\r\n");
		if (!*from)
			return argc;
		if (argc == WORDS_MAX)
			return -1;
		argv[argc++] = to;
		while (*from && !strchr(" \t\r\n", *from)) {
			if (*from != '"') {
				*to++ = *from++;
				continue;
			}
			for (from++; *from != '"'; from++) {
				if (!*from)
					return -1;
				*to++ = *from;
			}
			from++;
		}
		/* The word's end may be where the next one is read from. */
		if (*from)
			from++;
		*to++ = '\0';
	}
}

static enum xct_exit run_line(char *line, xct_load_fn run, void *ctx)
{
	char *argv[WORDS_MAX + 1] = { NULL };
	int argc;

	if (line[strspn(line, " \t\r\n")] == '#')
		return XCT_EXIT_OK;
	argc = split(line, argv);
	if (argc < 0) {
		xct_ctl_say("too many words, or a quote without an end");
		return XCT_EXIT_USAGE;
	}
	argv[0] = argv[argc] = NULL;
	if (argc > 1 && (strcmp(argv[1], "conntrack") == 0 ||
			 strcmp(argv[1], "xctctl") == 0)) {
		memmove(&argv[1], &argv[2],
			(size_t)argc * sizeof(*argv) - sizeof(*argv));
		argc--;
	}
	return argc > 1 ? run(ctx, argc, argv) : XCT_EXIT_OK;
}

enum xct_exit xct_load_file(const char *path, xct_load_fn run, void *ctx)
{
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(path, "re");
	enum xct_exit ret = XCT_EXIT_OK;
	unsigned int number = 0;
	char *line = NULL;
	size_t size = 0;

	if (!file) {
		xct_ctl_say("Failed to open file %s for reading: %s", path,
			    strerror(errno));
		return XCT_EXIT_USAGE;
	}
	while (ret == XCT_EXIT_OK && getline(&line, &size, file) >= 0) {
		xct_ctl_say_line(++number);
		ret = run_line(line, run, ctx);
	}
	xct_ctl_say_line(0);
	if (ferror(file)) {
		xct_ctl_say("cannot read %s: %s", path, strerror(errno));
		ret = XCT_EXIT_FAILED;
	}
	free(line);
	if (!is_stdin)
		(void)fclose(file); /* only read from */
	return ret;
}
