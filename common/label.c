/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads connlabel.conf, line by line as libnetfilter_conntrack does: what it
 * does not take for a label's name is none here either.
 */
#include "common/label.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 255 /* all of them together fit into a line of output */
#define BLANKS	     " \f\r\t\v"

/* All of @path, with a NUL. */
static int read_text(const char *path, char **text)
{
	FILE *file = fopen(path, "re");
	size_t size = 0;
	int err = 0;

	if (!file)
		return -errno;
	*text = NULL;
	errno = 0;
	/* There is no NUL in it: all is one delimited piece. */
	if (getdelim(text, &size, '\0', file) < 0) {
		err = ferror(file) && errno ? -errno : -ENODATA;
		free(*text);
		*text = NULL;
	}
	(void)fclose(file); /* only read from */
	return err;
}

static bool is_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789 -");

	return len && !name[len] && len <= NAME_MAX_LEN;
}

/* Take the label that @line names. The first to name a bit, or to use a name,
 * is right. */
static void take_line(struct xct_label_names *names, char *line)
{
	char *name, *end;
	unsigned long bit = strtoul(line, &name, 0);

	if (*line == '#' || name == line || bit >= XCT_LABEL_NUMBERS ||
	    names->names[bit])
		return;
	name += strspn(name, BLANKS);
	end = name + strlen(name);
	while (end > name && strchr(BLANKS, end[-1]))
		end--;
	*end = '\0';
	if (!is_name(name) || xct_label_find(names, name, strlen(name)) >= 0)
		return;
	names->names[bit] = name;
	if (bit < XCT_LABEL_BITS)
		names->len += strlen(name);
}

int xct_label_names_read(struct xct_label_names *names, const char *path)
{
	char *line, *next;
	int err;

	memset(names, 0, sizeof(*names));
	err = read_text(path, &names->text);
	if (err)
		return err;
	for (next = names->text; (line = strsep(&next, "\n"));)
		take_line(names, line);
	for (size_t i = 0; i < XCT_LABEL_NUMBERS; i++)
		if (names->names[i])
			return 0;
	xct_label_names_free(names);
	return -ENODATA;
}

void xct_label_names_free(struct xct_label_names *names)
{
	free(names->text);
	memset(names, 0, sizeof(*names));
}

int xct_label_find(const struct xct_label_names *names, const char *name,
		   size_t len)
{
	for (int i = 0; i < XCT_LABEL_NUMBERS; i++)
		if (names->names[i] &&
		    strncmp(names->names[i], name, len) == 0 &&
		    !names->names[i][len])
			return i;
	return -1;
}
