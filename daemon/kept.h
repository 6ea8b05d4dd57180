/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a predecessor has left: descriptors of the flows' memory, of queues, of
 * raw sockets and of the control socket, handed over by systemd or by the xctd
 * itself.
 */
#ifndef XCT_DAEMON_KEPT_H
#define XCT_DAEMON_KEPT_H

#include "daemon/config.h"
#include "daemon/hooks.h"
#include "daemon/memory.h"
#include "daemon/nfq.h"
#include "daemon/rawsend.h"

/* Names under which they are kept. */
#define XCT_KEPT_MEMORY "xct-flows" /* or, when that is taken: */
#define XCT_KEPT_OTHER	"xct-flows-2"
#define XCT_KEPT_SOCKET "xct-socket"
#define XCT_KEPT_QUEUE	"xct-queue-" /* and its number */
#define XCT_KEPT_RULES	"xct-rules"
#define XCT_KEPT_HOOKS	"xct-hooks"
#define XCT_KEPT_RAW4	"xct-raw4"
#define XCT_KEPT_RAW6	"xct-raw6"
#define XCT_KEPT_INFO	"xct-info" /* see xct_nfq_use_info() */
#define XCT_KEPT_FRAGS	"xct-fragments"

/* What has not been taken into use yet; -1: none. */
struct xct_kept {
	int listen_fd;
	int memory_fd;
	const char *memory_name; /* systemd's for it; NULL: it has none */
	int rules_fd;
	int hooks_fd;
	uint32_t layout;  /* of the flows, once they are taken */
	int fragments_fd; /* see fragwatch.h */
	struct xct_rawsend raw;
	struct {
		uint16_t number;
		int fd;
	} queue[XCT_QUEUES_MAX];
	unsigned int n_queues;
};

void xct_kept_init(struct xct_kept *kept);

/* Note a descriptor by its name; @ctx is the struct xct_kept, which has it from
 * then on. For xct_sd_take_fds() and xct_takeover_begin(). */
void xct_kept_note(void *ctx, const char *name, int fd);

/* Memory for @max_flows: the predecessor's, or new (@is_new), with its flows if
 * xct_kept_is_usable(). 0 or -errno. */
int xct_kept_memory(struct xct_kept *kept, uint32_t max_flows,
		    struct xct_memory *memory, bool *is_new);

/* Have systemd keep @memory, with all flows, in place of what it has: there is
 * no moment in which it has neither. */
void xct_kept_put_memory(struct xct_kept *kept,
			 const struct xct_memory *memory);

/* Can this xctd use the flows of the predecessor (or has there been none)? */
bool xct_kept_is_usable(const struct xct_kept *kept);

/*
 * The text of the configuration in force, for when xctd dies while the file is
 * not in order: have systemd keep it, or parse what it has kept (NULL: there is
 * none, or it is wrong).
 */
void xct_kept_put_rules(const struct xct_config *config);
struct xct_config *xct_kept_rules(struct xct_kept *kept, const char *name,
				  struct xct_messages *messages);

/*
 * What the hooks select, for flows that the configuration of a successor does
 * not know: as a file in memory (the caller's; -1: none could be made), given
 * to systemd to keep, or read into hooks of which none is installed yet (1, or
 * 0: there was none, or -ENOMEM).
 */
int xct_kept_hooks_file(const struct xct_hooks *hooks);
void xct_kept_put_hooks(const struct xct_hooks *hooks);
int xct_kept_hooks(struct xct_kept *kept, struct xct_hooks *hooks);

/* The raw sockets that were handed over, or newly opened ones. 0 or -errno. */
int xct_kept_raw(struct xct_kept *kept, struct xct_rawsend *raw);

/* The predecessor's queue @number; what waits in it is not lost. 0, -ENOENT, or
 * another -errno: it is of no use, and forgotten. */
int xct_kept_queue(struct xct_kept *kept, uint16_t number, uint32_t max_len,
		   bool fail_open, struct xct_nfq **nfq);

/* systemd need not keep queue @number, nor what waits in it. */
void xct_kept_forget_queue(uint16_t number);

/* All is running, and hooks lead to the queues in use: what was not needed,
 * systemd need not keep any longer. What waits in such queues goes through the
 * hooks again. */
void xct_kept_forget(struct xct_kept *kept,
		     const struct xct_settings *settings);

/* Close what is left, which systemd goes on keeping. */
void xct_kept_close(struct xct_kept *kept);

#endif
