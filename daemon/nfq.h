/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One NFQUEUE and the netlink socket that owns it: packets are received and
 * answered in batches, in memory that is allocated once.
 *
 * One thread receives and answers; xct_nfq_configure(), xct_nfq_wake() and the
 * counters may be used by another.
 */
#ifndef XCT_DAEMON_NFQ_H
#define XCT_DAEMON_NFQ_H

#include <stdatomic.h>

#include "daemon/engine/engine.h"

#define XCT_NFQ_BATCH 32

struct xct_nfq; /* opaque */

struct xct_nfq_packet {
	/* Set by xct_nfq_receive(). */
	uint8_t *data; /* in the receive buffer; NULL: nothing to look at */
	uint32_t len;
	uint32_t id;
	uint32_t mark;
	struct xct_meta meta; /* all but .stage */

	/* Set by the caller; a received packet starts as one to drop. */
	uint32_t new_mark;
	bool is_accepted;
	bool is_edited; /* return the bytes at @data: @len by now */
};

struct xct_nfq_counters {
	_Atomic uint64_t received; /* packets */
	_Atomic uint64_t verdicts; /* answers given */
	_Atomic uint64_t mangled;  /* answers that carried the packet */
	_Atomic uint64_t vanished; /* gone before they were answered */
	_Atomic uint64_t overruns; /* packets the socket had no room for */
	_Atomic uint64_t errors;   /* unreadable messages, refused answers */
};

/*
 * Bind queue @number and ask for whole packets, GSO ones included. 0, -EBUSY
 * (another socket has the queue), -EPROTONOSUPPORT (the kernel has no NFQUEUE),
 * or another -errno.
 */
int xct_nfq_open(struct xct_nfq **nfq, uint16_t number, uint32_t max_len,
		 bool fail_open);

/*
 * Go on with the queue that the socket @fd, which is taken in any case, has
 * bound: a predecessor's. 0, -ESTALE (@fd does not have that queue), or another
 * -errno.
 */
int xct_nfq_adopt(struct xct_nfq **nfq, int fd, uint16_t number,
		  uint32_t max_len, bool fail_open);
bool xct_nfq_is_adopted(const struct xct_nfq *nfq);

/*
 * Have every packet that the predecessor has read but not answered offered
 * again, with a new id: those before the first that is still to be read, or up
 * to @last_id if there is none. 0 or -errno.
 */
int xct_nfq_repeat(struct xct_nfq *nfq, uint32_t last_id);

/* Have all packets that wait go through the hooks again, which may lead them to
 * another queue. 0 or -errno. */
int xct_nfq_repeat_all(struct xct_nfq *nfq);

void xct_nfq_close(struct xct_nfq *nfq); /* NULL accepted */

/* Change what may change while it runs; a refusal is counted as an error. */
int xct_nfq_configure(struct xct_nfq *nfq, uint32_t max_len, bool fail_open);

int xct_nfq_fd(const struct xct_nfq *nfq);
uint16_t xct_nfq_number(const struct xct_nfq *nfq);
const struct xct_nfq_counters *xct_nfq_counters(const struct xct_nfq *nfq);

/* How long xct_nfq_receive() waits for a packet; 0: for ever. 0 or -errno. */
int xct_nfq_set_patience(struct xct_nfq *nfq, unsigned int ms);

/* Have an xct_nfq_receive() that waits, or the next one, return at once. */
void xct_nfq_wake(struct xct_nfq *nfq);

/* Receive what is there; if there is nothing, and @may_wait, wait. The number
 * of packets, or -errno. The packets are valid until the next call. @is_idle:
 * nothing came. */
int xct_nfq_receive(struct xct_nfq *nfq,
		    struct xct_nfq_packet packets[static XCT_NFQ_BATCH],
		    bool may_wait, bool *is_idle);

/* Give the verdicts of a batch, in the order in which it was received. */
void xct_nfq_answer(struct xct_nfq *nfq, const struct xct_nfq_packet *packets,
		    unsigned int n);

#endif
