/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory that outlives the process: a memfd with the flows, and with what
 * the engine has seen but the kernel has not been answered yet.
 */
#ifndef XCT_DAEMON_MEMORY_H
#define XCT_DAEMON_MEMORY_H

#include "daemon/engine/engine.h"
#include "daemon/nfq.h"

#define XCT_QUEUES_MAX 256

#define XCT_REPEATS_MAX 256

#define XCT_AWAITED_MAX 128

/*
 * Packets of one queue that are in the engine's hands. A worker that dies with
 * them leaves them unanswered: its successor gets them again, and knows those
 * that the engine has finished by their fingerprint. They have new ids then,
 * behind what was queued before; until they are seen their fingerprints stay
 * here, since the successor may die as well. Written by one worker.
 */
struct xct_pending {
	uint32_t number; /* of the queue */
	uint32_t n_done; /* packets the engine is through with */
	uint64_t fingerprint[XCT_NFQ_BATCH];
	uint32_t n_repeats;    /* packets that a predecessor was through with */
	uint32_t repeat_after; /* they come with higher ids than this */
	uint64_t repeat[XCT_REPEATS_MAX];
};

struct xct_memory {
	int fd; /* -1: none */
	void *base;
	size_t size;
	uint32_t max_flows;
	xct_msec *clock;	     /* when the owner last looked at it */
	struct xct_pending *pending; /* [XCT_QUEUES_MAX] */
	/* [XCT_AWAITED_MAX]: of interfaces that flows wait for; "": free */
	char (*names)[XCT_IFNAMSIZ];
	void *region;	    /* for xct_engine_attach() .. */
	size_t region_size; /* .. if xct_region_layout() knows it */
};

/* New, blank memory for @max_flows. 0 or -errno. */
int xct_memory_new(struct xct_memory *memory, uint32_t max_flows);

/* The memory behind @fd, which is taken in any case. 0, -EINVAL (none of ours,
 * or damaged: nothing was changed), or another -errno. Whether its region is of
 * use is not looked at. */
int xct_memory_adopt(struct xct_memory *memory, int fd);

/* Unmap it, and close the descriptor. An empty one (fd -1) is accepted. */
void xct_memory_free(struct xct_memory *memory);

#endif
