/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages on stderr. */
#include <stdarg.h>
#include <stdio.h>

#include "ctl/ctl.h"

void xct_ctl_say(const char *format, ...)
{
	va_list args;

	fputs("xctctl v" XCT_VERSION " (xct): ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}
