/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket's server. One thread (the main loop) serves all clients;
 * a dump is produced in slices as the client reads, so neither a slow reader
 * nor a large table delays packets. Protocol: common/frame.h.
 */
#ifndef XCT_DAEMON_CONTROL_H
#define XCT_DAEMON_CONTROL_H

#include "common/frame.h"
#include "daemon/engine/engine.h"
#include "daemon/feed.h"

/* What becomes of the flows that a walk finds. */
enum xct_walk { XCT_WALK_SHOW, XCT_WALK_DELETE, XCT_WALK_UPDATE };

/* What the server asks of the daemon. Each is called from the main loop; the
 * engine calls take the engine's lock themselves, for one slice. */
struct xct_control_ops {
	/* Wait a moment for packets that are in the queues. */
	void (*settle)(void *ctx);
	/* As xct_engine_walk(), xct_engine_delete() or xct_engine_update();
	 * the first two look at no more of @update than its filter. */
	bool (*walk)(void *ctx, enum xct_walk walk, uint32_t *cursor,
		     const struct xct_flow_update *update, uint32_t max,
		     bool (*fn)(void *arg, const struct xct_flow_info *info),
		     void *arg);
	/* As xct_engine_create(). */
	int (*create)(void *ctx, const struct xct_flow_create *req);
	/* As xct_engine_expects() and xct_engine_unexpect(). */
	bool (*expects)(void *ctx, uint32_t *cursor, uint32_t max,
			bool (*fn)(void *arg,
				   const struct xct_expect_info *info),
			void *arg);
	bool (*unexpect)(void *ctx, uint32_t *cursor,
			 const struct xct_tuple *tuple, uint32_t max,
			 uint64_t *count);
	/* As xct_engine_save(); and each of @flows as xct_engine_restore(),
	 * adding its fate to @results. */
	bool (*save)(void *ctx, uint32_t *cursor, uint32_t max,
		     bool (*fn)(void *arg, const struct xct_saved_flow *saved),
		     void *arg);
	void (*restore)(void *ctx, const struct xct_saved_flow *flows, size_t n,
			uint32_t results[static XCT_RESTORED_COUNT]);
	/* A client has written a snapshot, or failed to. */
	void (*written)(void *ctx, const struct xct_frame_written *written);
	uint32_t (*count)(void *ctx);
	/* JSON or text, NUL terminated; caller frees; NULL: no memory. */
	char *(*stats)(void *ctx);
	char *(*rules)(void *ctx);
	char *(*status)(void *ctx);
	char *(*hooks)(void *ctx);
	/* Load the configuration again; @text (caller frees) says how it went.
	 * True if the new one is in force. */
	bool (*reload)(void *ctx, char **text);
	/* Name every descriptor that a successor needs (xct_takeover_begin());
	 * they stay the daemon's. 0, -EBUSY (somebody else sees to
	 * that), or -ENOMEM. */
	int (*takeover)(void *ctx,
			bool (*fn)(void *arg, const char *name, int fd),
			void *arg);
	/* Touch none of them any more, and exit soon. */
	void (*leave)(void *ctx);
	struct xct_feed *feed; /* for those who follow events; NULL: none */
	void *ctx;
};

struct xct_control; /* opaque */

struct xct_control_counters {
	uint64_t dropped; /* clients that took no answers, or made room */
	uint64_t refused; /* clients there was no room for */
};

/*
 * Serve on @listen_fd (non-blocking, listening; the caller's, not closed here),
 * registering descriptors with the epoll instance @epoll_fd. Each descriptor's
 * epoll data.ptr is a struct xct_poll (loop.h).
 */
struct xct_control *xct_control_new(int epoll_fd, int listen_fd,
				    const struct xct_control_ops *ops);
void xct_control_free(struct xct_control *ctl); /* NULL accepted */

const struct xct_control_counters *
xct_control_counters(const struct xct_control *ctl);

/* Make, or take over from a dead xctd, the socket at @path: mode 0660, group
 * @group ("" for none). Returns the descriptor, or -EADDRINUSE if an xctd
 * answers there, or another -errno. */
int xct_control_listen(const char *path, const char *group);

#endif
