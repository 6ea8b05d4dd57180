/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots in their file, which is whole or refused whole. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/crc32c.h"
#include "common/snapshot.h"

#define SAVED_AT UINT64_C(1700000000000)

static char dir[] = "/tmp/xct-snapshot-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/flows", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(dir); /* fails if anything else is left in it */
}

static void write_flows(const struct xct_saved_flow *flows, size_t n)
{
	struct xct_snapshot_writer w;

	assert_int_equal(xct_snapshot_open(&w, path, SAVED_AT), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(xct_snapshot_put(&w, &flows[i], 1), 0);
	assert_int_equal(xct_snapshot_close(&w), 0);
	assert_int_equal(w.n, n);
}

static void fill(struct xct_saved_flow *flows, size_t n)
{
	memset(flows, 0, n * sizeof(*flows));
	for (size_t i = 0; i < n; i++) {
		flows[i].id = n - i;
		flows[i].left_ms = 1000 * (i + 1);
		flows[i].age_ms = 5;
		flows[i].mark = (uint32_t)i;
		flows[i].labels.bits[i & 1] = i;
		flows[i].help.helper = i & 1;
	}
}

static void what_is_written_is_read(void **state)
{
	struct xct_saved_flow flows[100];
	struct xct_snapshot s;
	const char *why;
	struct stat st;
	int error;

	(void)state;
	fill(flows, 100);
	write_flows(flows, 100);
	assert_true(xct_snapshot_read(&s, path, &why, &error));
	assert_int_equal(s.n, 100);
	assert_int_equal(s.saved_ms, SAVED_AT);
	assert_memory_equal(s.flows, flows, sizeof(flows));
	xct_snapshot_free(&s);
	/* Sequence numbers are nobody else's affair. */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* An empty one, in its place. */
	write_flows(flows, 0);
	assert_true(xct_snapshot_read(&s, path, &why, &error));
	assert_int_equal(s.n, 0);
	assert_int_equal(xct_snapshot_advance(&s, SAVED_AT), 0);
	xct_snapshot_free(&s);
}

static struct xct_snapshot read_raw(void)
{
	struct xct_snapshot s = { .len = 0 };
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_int_equal(fstat(fd, &st), 0);
	s.len = (size_t)st.st_size;
	s.data = malloc(s.len);
	assert_int_equal(read(fd, s.data, s.len), s.len);
	close(fd);
	return s;
}

/* Under ASan, in memory that ends where the file does. */
static void every_truncation_is_refused(void **state)
{
	struct xct_saved_flow flows[4];
	struct xct_snapshot whole;

	(void)state;
	fill(flows, 4);
	write_flows(flows, 4);
	whole = read_raw();
	assert_null(xct_snapshot_verify(&whole));
	for (size_t len = 0; len < whole.len; len++) {
		struct xct_snapshot s = { .data = malloc(len ? len : 1),
					  .len = len };

		memcpy(s.data, whole.data, len);
		assert_non_null(xct_snapshot_verify(&s));
		assert_null(s.flows);
		free(s.data);
	}
	free(whole.data);
}

static void every_flipped_bit_is_refused(void **state)
{
	struct xct_saved_flow flows[4];
	struct xct_snapshot s;
	uint8_t *data;

	(void)state;
	fill(flows, 4);
	write_flows(flows, 4);
	s = read_raw();
	data = s.data;
	for (size_t i = 0; i < s.len * 8; i++) {
		data[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_non_null(xct_snapshot_verify(&s));
		data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t i = 0; i < s.len; i++) {
		data[i] = (uint8_t)~data[i];
		assert_non_null(xct_snapshot_verify(&s));
		data[i] = (uint8_t)~data[i];
	}
	assert_null(xct_snapshot_verify(&s));
	free(data);
}

/* Give what has been changed the checksum that goes with it. */
static void seal(struct xct_snapshot *s)
{
	uint32_t crc =
		~xct_crc32c(XCT_CRC32C_INIT, s->data, s->len - sizeof(crc));

	memcpy((char *)s->data + s->len - sizeof(crc), &crc, sizeof(crc));
}

/* A checksum keeps nobody from lying. */
static void a_number_of_flows_that_is_not_there_is_refused(void **state)
{
	static const uint64_t lies[] = {
		0, 1, 3, UINT64_MAX,
		UINT64_MAX / sizeof(struct xct_saved_flow) + 2
	};
	struct xct_snapshot_tail tail;
	struct xct_saved_flow flows[2];
	struct xct_snapshot s;

	(void)state;
	fill(flows, 2);
	write_flows(flows, 2);
	s = read_raw();
	for (size_t i = 0; i < XCT_ARRAY_SIZE(lies); i++) {
		tail = (struct xct_snapshot_tail){ .n = lies[i] };
		memcpy((char *)s.data + s.len - sizeof(tail), &tail,
		       sizeof(tail));
		seal(&s);
		assert_non_null(xct_snapshot_verify(&s));
	}
	tail.n = 2;
	memcpy((char *)s.data + s.len - sizeof(tail), &tail, sizeof(tail));
	seal(&s);
	assert_null(xct_snapshot_verify(&s));
	free(s.data);
}

/* Its checksum is right: only its layout is another. */
static void another_version_is_named(void **state)
{
	struct xct_snapshot_head head;
	struct xct_saved_flow flow;
	struct xct_snapshot s;

	(void)state;
	fill(&flow, 1);
	write_flows(&flow, 1);
	s = read_raw();
	memcpy(&head, s.data, sizeof(head));
	head.version++;
	memcpy(s.data, &head, sizeof(head));
	seal(&s);
	assert_string_equal(xct_snapshot_verify(&s),
			    "it is of another version of xct");
	free(s.data);
}

/* @size of a flow in it is less than today. */
static void read_old(uint32_t version, uint32_t size)
{
	const struct xct_snapshot_head head = {
		.magic = XCT_SNAPSHOT_MAGIC,
		.version = version,
		.flow_size = size,
		.saved_ms = SAVED_AT,
	};
	const struct xct_snapshot_tail tail = { .n = 3 };
	struct xct_saved_flow flows[3];
	struct xct_snapshot s = { .len = sizeof(head) + sizeof(tail) };
	char *at;

	fill(flows, 3);
	s.len += 3 * head.flow_size;
	s.data = at = malloc(s.len);
	memcpy(at, &head, sizeof(head));
	at += sizeof(head);
	for (int i = 0; i < 3; i++, at += head.flow_size) {
		memcpy(at, &flows[i], head.flow_size);
		memset((char *)&flows[i] + size, 0, sizeof(flows[i]) - size);
	}
	memcpy(at, &tail, sizeof(tail));
	seal(&s);
	assert_null(xct_snapshot_verify(&s));
	assert_int_equal(s.n, 3);
	assert_memory_equal(s.flows, flows, sizeof(flows));
	xct_snapshot_free(&s);
}

/* Version 2 had no labels, version 3 no helpers. */
static void an_old_snapshot_is_read(void **state)
{
	(void)state;
	read_old(2, 216);
	read_old(3, 232);
}

static void a_failed_save_leaves_the_old_file(void **state)
{
	struct xct_saved_flow flow;
	struct xct_snapshot_writer w;
	struct xct_snapshot s;
	const char *why;
	int error;

	(void)state;
	fill(&flow, 1);
	write_flows(&flow, 1);
	assert_int_equal(xct_snapshot_open(&w, path, SAVED_AT), 0);
	assert_int_equal(xct_snapshot_put(&w, &flow, 1), 0);
	xct_snapshot_abort(&w);
	assert_int_equal(access(w.path, F_OK), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0); /* nothing else was in it */
	assert_int_equal(mkdir(dir, 0700), 0);
	write_flows(&flow, 1);
	assert_true(xct_snapshot_read(&s, path, &why, &error));
	assert_int_equal(s.n, 1);
	xct_snapshot_free(&s);

	assert_int_equal(xct_snapshot_open(&w, dir, SAVED_AT), -ENOTSUP);
	xct_snapshot_abort(&w);
	assert_int_equal(xct_snapshot_open(&w, "/dev/null", SAVED_AT),
			 -ENOTSUP);
	xct_snapshot_abort(&w);
	assert_int_equal(xct_snapshot_open(&w, "/nowhere/flows", SAVED_AT),
			 -ENOENT);
	xct_snapshot_abort(&w);
	assert_false(xct_snapshot_read(&s, "/nowhere/flows", &why, &error));
	assert_int_equal(error, ENOENT);
}

static void time_goes_on_while_the_host_is_off(void **state)
{
	struct xct_saved_flow flows[4];
	struct xct_snapshot s = { .flows = flows, .n = 4 };

	(void)state;
	fill(flows, 4); /* ids 4 to 1, with 1 to 4 seconds left */
	s.saved_ms = SAVED_AT;
	assert_int_equal(xct_snapshot_advance(&s, SAVED_AT + 2000), 2);
	assert_int_equal(s.n, 2);
	assert_int_equal(flows[0].id, 1);
	assert_int_equal(flows[0].left_ms, 2000);
	assert_int_equal(flows[0].age_ms, 2005);
	assert_int_equal(flows[1].id, 2);
	assert_int_equal(flows[1].left_ms, 1000);
	/* A clock that was set back says nothing. */
	assert_int_equal(xct_snapshot_advance(&s, 5), 0);
	assert_int_equal(flows[1].left_ms, 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_is_read),
		TEST(every_truncation_is_refused),
		TEST(every_flipped_bit_is_refused),
		TEST(another_version_is_named),
		TEST(an_old_snapshot_is_read),
		TEST(a_number_of_flows_that_is_not_there_is_refused),
		TEST(a_failed_save_leaves_the_old_file),
		cmocka_unit_test(time_goes_on_while_the_host_is_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
