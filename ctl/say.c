/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages on stderr, in conntrack's style. */
#include <stdarg.h>
#include <stdio.h>

#include "ctl/ctl.h"

static unsigned int line; /* of a file that is being loaded; 0: none */

void xct_ctl_say_line(unsigned int number)
{
	line = number;
}

void xct_ctl_say(const char *format, ...)
{
	va_list args;

	fputs("xctctl v" XCT_VERSION " (xct): ", stderr);
	if (line)
		fprintf(stderr, "line %u: ", line);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}
