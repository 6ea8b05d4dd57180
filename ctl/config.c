/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands about the configuration: check and reload. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/request.h"

/* Path of an executable @name in @dir, or false. */
static bool find_in(const char *dir, size_t dir_len, const char *name,
		    char path[static PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%.*s/%s", (int)dir_len, dir, name);

	return n > 0 && n < PATH_MAX && access(path, X_OK) == 0;
}

/* xctd is looked for beside xctctl, in ../sbin of that, and in PATH. */
static bool find_xctd(char path[static PATH_MAX])
{
	static const char more[] = "/usr/local/sbin:/usr/sbin";
	const char *search[] = { getenv("PATH"), more };
	char self[PATH_MAX], sbin[PATH_MAX + 16];
	const char *dir;
	ssize_t len;
	size_t i, n;

	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len > 0) {
		self[len] = '\0';
		*strrchr(self, '/') = '\0';
		(void)snprintf(sbin, sizeof(sbin), "%s/../sbin", self);
		if (find_in(self, strlen(self), "xctd", path) ||
		    find_in(sbin, strlen(sbin), "xctd", path))
			return true;
	}
	for (i = 0; i < XCT_ARRAY_SIZE(search); i++) {
		for (dir = search[i]; dir; dir = dir[n] ? dir + n + 1 : NULL) {
			n = strcspn(dir, ":");
			if (n && find_in(dir, n, "xctd", path))
				return true;
		}
	}
	return false;
}

/* xctd itself judges; its output and exit code become those of xctctl. */
enum xct_exit xct_ctl_check(const struct xct_ctl *ctl)
{
	char path[PATH_MAX];

	if (!find_xctd(path)) {
		xct_ctl_say("cannot find xctd, which checks configurations");
		return XCT_EXIT_FAILED;
	}
	if (ctl->argc)
		(void)execl(path, "xctd", "--check", "-c", ctl->argv[0],
			    (char *)NULL);
	else
		(void)execl(path, "xctd", "--check", (char *)NULL);
	xct_ctl_say("cannot run %s: %s", path, strerror(errno));
	return XCT_EXIT_FAILED;
}

enum xct_exit xct_ctl_reload(const struct xct_ctl *ctl)
{
	enum xct_exit ret;
	char *text;

	ret = xct_request_text(ctl->socket, XCT_REQ_RELOAD, &text);
	if (ret != XCT_EXIT_OK)
		return ret;
	fputs(text, stdout);
	if (*text && text[strlen(text) - 1] != '\n')
		putchar('\n');
	free(text);
	return XCT_EXIT_OK;
}
