/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads /etc/xtables/connlabel.conf: lines of a bit's number and its name. */
#include "ctl/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_MAX 127 /* the kernel keeps 128 bits */

/* The name in @line, if there is one; *@len: how long it is. */
static const char *find_name(char *line, size_t *len)
{
	char *end;
	unsigned long bit = strtoul(line, &end, 0);

	*len = 0;
	if (end == line || bit > LABEL_MAX)
		return line;
	end += strspn(end, " \t");
	*len = strcspn(end, " \t\n#");
	return end;
}

bool xct_label_is_known(const char *name, size_t len)
{
	FILE *file = fopen(XCT_LABELS_PATH, "re");
	bool is_known = false;
	char line[256];
	const char *found;
	size_t found_len;

	if (!file)
		return false;
	while (!is_known && fgets(line, sizeof(line), file)) {
		found = find_name(line, &found_len);
		is_known = found_len && found_len == len &&
			   memcmp(found, name, len) == 0;
	}
	fclose(file);
	return is_known;
}
