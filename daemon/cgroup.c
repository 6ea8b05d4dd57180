/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The limits of cgroups, of version 1 and 2.
 *
 * Theory of operation: /proc/self/cgroup has a line for each hierarchy, with
 * the place of this process in it; /proc/self/mountinfo says where hierarchies,
 * or parts of them, are mounted. A limit holds for all below it, so every
 * directory on the way up is looked at. Nothing of this need be there, or
 * visible: then no limit is known.
 */
#include "daemon/cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A hierarchy that may limit memory, and this process's place in it. */
struct place {
	bool is_v2;
	char path[PATH_MAX];
};

/* Is @word one of those in @list, which commas separate? */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (; *list; list += strspn(list, ",")) {
		size_t n = strcspn(list, ",");

		if (n == len && memcmp(list, word, len) == 0)
			return true;
		list += n;
	}
	return false;
}

/* "0::/path", or "4:memory:/path". */
static bool parse_place(char *line, struct place *place)
{
	char *names = strchr(line, ':'), *path;

	path = names ? strchr(++names, ':') : NULL;
	if (!path)
		return false;
	*path++ = '\0';
	place->is_v2 = !*names;
	if ((!place->is_v2 && !has_word(names, "memory")) ||
	    strlen(path) >= sizeof(place->path))
		return false;
	/* Outside of this cgroup namespace: its root is all there is. */
	strcpy(place->path, strncmp(path, "/..", 3) == 0 ? "/" : path);
	return true;
}

/* What follows the mount's @root in @path, "" for itself; NULL: none does. */
static const char *below(const char *path, const char *root)
{
	size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(path, root, len) != 0 ||
	    (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return strcmp(path + len, "/") == 0 ? "" : path + len;
}

/* "36 35 0:30 ROOT POINT rw,... shared:1 - TYPE SOURCE rw,memory": put the
 * directory of @place there into @dir. The length of the mount point in it, or
 * 0: it is a mount of something else. */
static size_t parse_mount(char *line, const struct place *place, char *dir)
{
	char *save, *root, *point, *rest, *type, *options;
	const char *path;
	int len;

	rest = strstr(line, " - ");
	if (!rest)
		return 0;
	*rest = '\0';
	for (int i = 0; i < 3; i++)
		(void)strtok_r(i ? NULL : line, " ", &save);
	root = strtok_r(NULL, " ", &save);
	point = strtok_r(NULL, " ", &save);
	type = strtok_r(rest + 3, " ", &save);
	(void)strtok_r(NULL, " ", &save);
	options = strtok_r(NULL, " ", &save);
	if (!point || !options ||
	    strcmp(type, place->is_v2 ? "cgroup2" : "cgroup") != 0 ||
	    (!place->is_v2 && !has_word(options, "memory")))
		return 0;
	path = below(place->path, root);
	if (!path)
		return 0;
	len = snprintf(dir, PATH_MAX, "%s%s", point, path);
	return len < PATH_MAX ? strlen(point) : 0;
}

/* A number of bytes; "max", and what is not there, are no limit. */
static uint64_t read_number(const char *path)
{
	unsigned long long n;
	FILE *f = fopen(path, "re");

	if (!f)
		return UINT64_MAX;
	if (fscanf(f, "%llu", &n) != 1)
		n = UINT64_MAX;
	(void)fclose(f); /* only read */
	return n;
}

/* Look into @dir, and in those above it up to the mount point. */
static void look_up(struct xct_cgroup_limit *limit, char *dir, size_t point,
		    bool is_v2)
{
	const char *name = is_v2 ? "memory.max" : "memory.limit_in_bytes";
	char path[PATH_MAX];

	for (;;) {
		size_t end = strlen(dir);
		uint64_t bytes;

		if (snprintf(path, sizeof(path), "%s/%s", dir, name) <
		    (int)sizeof(path)) {
			bytes = read_number(path);
			if (bytes < limit->bytes) {
				limit->bytes = bytes;
				strcpy(limit->file, path);
			}
		}
		if (end <= point)
			return;
		while (end > point && dir[end] != '/')
			end--;
		dir[end] = '\0';
	}
}

static void look_at_place(struct xct_cgroup_limit *limit,
			  const struct place *place, const char *mountinfo)
{
	FILE *f = fopen(mountinfo, "re");
	char *line = NULL, dir[PATH_MAX];
	size_t size = 0, point;

	if (!f)
		return;
	while (getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		point = parse_mount(line, place, dir);
		if (point)
			look_up(limit, dir, point, place->is_v2);
	}
	free(line);
	(void)fclose(f); /* only read */
}

void xct_cgroup_memory_limit(struct xct_cgroup_limit *limit, const char *cgroup,
			     const char *mountinfo)
{
	FILE *f = fopen(cgroup, "re");
	struct place place;
	char *line = NULL;
	size_t size = 0;

	*limit = (struct xct_cgroup_limit){ .bytes = UINT64_MAX };
	if (!f)
		return;
	while (getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (parse_place(line, &place))
			look_at_place(limit, &place, mountinfo);
	}
	free(line);
	(void)fclose(f); /* only read */
}
