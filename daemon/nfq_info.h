/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel says of queues, whoever has them. For the main thread. */
#ifndef XCT_DAEMON_NFQ_INFO_H
#define XCT_DAEMON_NFQ_INFO_H

#include <stdbool.h>
#include <stdint.h>

struct xct_nfq_info {
	uint32_t portid;       /* of the owning socket, often its process id */
	uint32_t waiting;      /* packets not answered yet */
	uint32_t last_id;      /* of the newest packet */
	uint64_t dropped;      /* the queue was full */
	uint64_t user_dropped; /* the socket was full */
};

/* False if nobody has bound the queue. */
bool xct_nfq_info(uint16_t number, struct xct_nfq_info *info);

/* Call @fn for every queue that somebody, anybody, has bound. */
void xct_nfq_each(void (*fn)(void *arg, uint16_t number,
			     const struct xct_nfq_info *info),
		  void *arg);

/* The file that says it only root may open, but whoever has it open may read:
 * a descriptor or -errno; and one to be used from now on, which is taken. */
int xct_nfq_open_info(void);
void xct_nfq_use_info(int fd);

#endif
