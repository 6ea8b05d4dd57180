/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots: a table of flows as it was, in a file.
 *
 * A snapshot is a head, any number of flows, and a tail that says how many they
 * are and has the CRC32c of all bytes before its own. Numbers are in the byte
 * order of the host that wrote it: on another one the head is not known.
 *
 * Times in it are relative, since the clock that flows live by ends with the
 * host: only the head has a time of day.
 */
#ifndef XCT_COMMON_SNAPSHOT_H
#define XCT_COMMON_SNAPSHOT_H

#include <limits.h>

#include "common/label.h"
#include "common/tuple.h"

#define XCT_SNAPSHOT_MAGIC   UINT64_C(0x0a70616e73746378) /* "xctsnap\n" */
#define XCT_SNAPSHOT_VERSION 4
#define XCT_SAVED_TRACK	     56

/* What a helper knows of its flow, but for what it expects. */
struct xct_saved_help {
	uint8_t helper; /* enum xct_helper_id; NONE: the rest is 0 */
	uint8_t n_lines[XCT_DIRS];
	uint8_t reserved; /* 0 */
	uint32_t line[XCT_DIRS][2];
	struct {
		uint32_t pos;
		int32_t before;
		int32_t after;
	} adjust[XCT_DIRS];
	uint32_t pad; /* 0 */
};

/* All that makes a flow; whoever reads one trusts none of it. A change of this
 * layout, or of what trackers keep, changes XCT_SNAPSHOT_VERSION. Version 3 is
 * read as well, which had no help, and 2, which had no labels either. */
struct xct_saved_flow {
	struct xct_tuple tuple[XCT_DIRS];
	uint64_t id;
	uint64_t left_ms; /* until it expires */
	uint64_t age_ms;  /* since its first packet */
	uint64_t packets[XCT_DIRS];
	uint64_t bytes[XCT_DIRS];
	uint8_t track[XCT_SAVED_TRACK]; /* the tracker's own affair */
	uint32_t status;		/* enum xct_flow_status */
	uint32_t mark;
	char masq_if[XCT_IFNAMSIZ]; /* that masquerades it; "": none */
	struct xct_labels labels;
	struct xct_saved_help help;
};

_Static_assert(sizeof(struct xct_saved_flow) == 280, "no padding in files");

/* What became of a flow that was to be restored. X(enumerator, name, text) */
#define XCT_RESTORED_RESULTS(X)                                   \
	X(LOADED, "loaded", "loaded")                             \
	X(EXPIRED, "expired", "whose time was over")              \
	X(EXISTS, "exists", "whose tuples a flow has already")    \
	X(GONE, "gone", "masqueraded to an address that is gone") \
	X(FULL, "full", "for which the table had no room")        \
	X(REFUSED, "refused", "that cannot be")

enum xct_restored {
#define X(sym, name, text) XCT_RESTORED_##sym,
	XCT_RESTORED_RESULTS(X)
#undef X
		XCT_RESTORED_COUNT
};

struct xct_snapshot_head {
	uint64_t magic;
	uint32_t version;
	uint32_t flow_size;
	uint64_t saved_ms; /* since 1970 */
};

struct xct_snapshot_tail {
	uint64_t n;
	uint32_t reserved; /* 0 */
	uint32_t crc;	   /* of all before it */
};

/*
 * Writing: open, put as often as needed, then close or abort. A regular file
 * appears, or is replaced, when close() has returned 0, and not before; after
 * any error it is as it was and nothing else is left. "-" is standard output.
 */
struct xct_snapshot_writer {
	int fd;
	uint32_t crc;
	uint64_t n;
	char path[PATH_MAX]; /* "": standard output */
	char temp[PATH_MAX]; /* the new file's name; "": it has none */
};

/* Each returns 0 or -errno, and after an error nothing but abort() may follow.
 * -ENOTSUP: there is something at @path that is no regular file. */
int xct_snapshot_open(struct xct_snapshot_writer *w, const char *path,
		      uint64_t now_ms);
int xct_snapshot_put(struct xct_snapshot_writer *w,
		     const struct xct_saved_flow *flows, size_t n);
int xct_snapshot_close(struct xct_snapshot_writer *w);
void xct_snapshot_abort(struct xct_snapshot_writer *w);

/* One that has been read. */
struct xct_snapshot {
	void *data; /* owned */
	size_t len;
	struct xct_saved_flow *flows; /* in it */
	size_t n;
	uint64_t saved_ms;
};

/* Read and verify @path ("-": standard input). False: *@why says what is wrong
 * with it, and *@error is an errno, or 0 if it could be read but is damaged. */
bool xct_snapshot_read(struct xct_snapshot *s, const char *path,
		       const char **why, int *error);
void xct_snapshot_free(struct xct_snapshot *s); /* one that was read, or {0} */

/* Verify s->data, s->len, and fill in the rest. NULL, or what is wrong. */
const char *xct_snapshot_verify(struct xct_snapshot *s);

/*
 * Make it one of @now_ms, a time of day: flows are older, and have less time
 * left, by what has passed since; those that have none are taken out. A clock
 * that is behind the snapshot's says nothing of what has passed: then none has.
 * Flows are in the order of their ids afterwards. Returns how many were taken
 * out.
 */
size_t xct_snapshot_advance(struct xct_snapshot *s, uint64_t now_ms);

#endif
