/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits of cgroups, as files below a directory that is made for it. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/types.h"
#include "daemon/cgroup.h"

#define NONE UINT64_MAX

/* Limits in a hierarchy mounted at v1/ or v2/; "": the mount point itself. */
struct file {
	const char *dir; /* below the temporary one */
	const char *limit;
};

static const struct file files[] = {
	{ "v2", NULL },
	{ "v2/system.slice", "300000000\n" },
	{ "v2/system.slice/xctd.service", "max\n" },
	{ "v2/small.slice", "300000000\n" },
	{ "v2/small.slice/xctd.service", "200000000\n" },
	{ "v1", "9223372036854771712\n" },
	{ "v1/a", "400000000\n" },
	{ "v1/a/b", "500000000\n" },
};

static char top[] = "/tmp/xct-cgroup-XXXXXX";

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void name_limit(char path[static 128], const struct file *file)
{
	snprintf(path, 128, "%s/%s/%s", top, file->dir,
		 file->dir[1] == '2' ? "memory.max" : "memory.limit_in_bytes");
}

static int make(void **state)
{
	char path[128];

	(void)state;
	assert_non_null(mkdtemp(top));
	for (size_t i = 0; i < XCT_ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", top, files[i].dir);
		assert_int_equal(mkdir(path, 0700), 0);
		name_limit(path, &files[i]);
		if (files[i].limit)
			put_file(path, files[i].limit);
	}
	return 0;
}

static int take_away(void **state)
{
	char path[128];

	(void)state;
	for (size_t i = XCT_ARRAY_SIZE(files); i-- > 0;) {
		name_limit(path, &files[i]);
		(void)unlink(path);
		snprintf(path, sizeof(path), "%s/%s", top, files[i].dir);
		assert_int_equal(rmdir(path), 0);
	}
	snprintf(path, sizeof(path), "%s/cgroup", top);
	(void)unlink(path);
	snprintf(path, sizeof(path), "%s/mountinfo", top);
	(void)unlink(path);
	return rmdir(top);
}

/* @mounts has the temporary directory as "%s". */
static void check(const char *cgroup, const char *mounts, uint64_t bytes,
		  const char *file)
{
	struct xct_cgroup_limit limit;
	char text[1024], path[128], info[128];

	snprintf(path, sizeof(path), "%s/cgroup", top);
	put_file(path, cgroup);
	snprintf(info, sizeof(info), "%s/mountinfo", top);
	text[0] = '\0';
	for (const char *p = mounts; *p; p++) {
		size_t len = strlen(text);

		if (*p == '@')
			snprintf(text + len, sizeof(text) - len, "%s", top);
		else
			snprintf(text + len, sizeof(text) - len, "%c", *p);
	}
	put_file(info, text);
	xct_cgroup_memory_limit(&limit, path, info);
	assert_int_equal(limit.bytes, bytes);
	snprintf(path, sizeof(path), "%s/%s", top, file ? file : "");
	assert_string_equal(limit.file, file ? path : "");
}

#define ROOT_FS "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
#define V2 \
	"30 22 0:26 / @/v2 rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1                                                               \
	"31 22 0:27 / @/v0 rw shared:5 - cgroup cgroup rw,cpu,cpuacct\n" \
	"32 22 0:28 / @/v1 rw shared:6 - cgroup cgroup rw,foo,memory\n"
#define V1_PART "32 22 0:28 /docker/x @/v1 rw - cgroup cgroup rw,memory\n"

static void the_lowest_on_the_way_up_counts(void **state)
{
	static const char v1[] = "5:cpu,cpuacct:/z\n4:foo,memory:/a/b\n0::/\n";

	(void)state;
	check("0::/system.slice/xctd.service\n", ROOT_FS V2, 300000000,
	      "v2/system.slice/memory.max");
	check("0::/small.slice/xctd.service\n", ROOT_FS V2, 200000000,
	      "v2/small.slice/xctd.service/memory.max");
	check(v1, ROOT_FS V1, 400000000, "v1/a/memory.limit_in_bytes");
	check(v1, ROOT_FS V2 V1, 400000000, "v1/a/memory.limit_in_bytes");
	check("4:memory:/\n", V1, UINT64_C(9223372036854771712),
	      "v1/memory.limit_in_bytes");
}

static void a_part_of_a_hierarchy_is_mounted(void **state)
{
	(void)state;
	check("4:memory:/docker/x/a\n", V1_PART, 400000000,
	      "v1/a/memory.limit_in_bytes");
	check("4:memory:/docker/x\n", V1_PART, UINT64_C(9223372036854771712),
	      "v1/memory.limit_in_bytes");
	check("4:memory:/docker/xa\n", V1_PART, NONE, NULL);
	check("0::/../other\n", ROOT_FS V2, NONE, NULL);
}

static void what_is_not_there_is_no_limit(void **state)
{
	struct xct_cgroup_limit limit;

	(void)state;
	check("", ROOT_FS V2, NONE, NULL);
	check("0::/system.slice\n", ROOT_FS, NONE, NULL);
	check("0::/gone\n", V2, NONE, NULL);
	check("4:cpu,memoryless:/a\n", V1, NONE, NULL);
	check("garbage\n4:memory\n::\n", "garbage\n - \n1 2 3 - a b\n", NONE,
	      NULL);
	xct_cgroup_memory_limit(&limit, "/nonexistent", "/nonexistent");
	assert_int_equal(limit.bytes, NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_on_the_way_up_counts),
		cmocka_unit_test(a_part_of_a_hierarchy_is_mounted),
		cmocka_unit_test(what_is_not_there_is_no_limit),
	};

	return cmocka_run_group_tests(tests, make, take_away);
}
