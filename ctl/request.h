/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One request to xctd, from connecting to the exit code. What goes wrong is
 * reported on stderr with what to do about it.
 */
#ifndef XCT_CTL_REQUEST_H
#define XCT_CTL_REQUEST_H

#include <signal.h>

#include "ctl/client.h"
#include "ctl/ctl.h"

/* Flows go to @fn as they arrive; any other answer is dropped. @fn may have
 * enough: that is OK too. */
enum xct_exit xct_request(const char *socket, uint16_t type,
			  const void *payload, uint32_t len, xct_client_fn fn,
			  void *ctx);

/* The same, many times over one connection, which the caller closes. */
enum xct_exit xct_request_connect(struct xct_client *client,
				  const char *socket);
enum xct_exit xct_request_on(struct xct_client *client, uint16_t type,
			     const void *payload, uint32_t len,
			     xct_client_fn fn, void *ctx);

/* A request that makes or changes flows: *@count of them. If xctd could not,
 * the result is FAILED and *@error an errno, of which nothing has been said. */
enum xct_exit xct_request_change(const char *socket, uint16_t type,
				 const void *payload, uint32_t len,
				 xct_client_fn fn, void *ctx, uint64_t *count,
				 int *error);

/* How an answer without an end is ended. */
struct xct_stop {
	void (*connected)(void *ctx, int fd);	/* whose shutdown ends it */
	const volatile sig_atomic_t *is_wanted; /* it is: that is no error */
};

/* As xct_request(), of an answer that xctd does not end. *@error as above. */
enum xct_exit xct_request_endless(const char *socket, uint16_t type,
				  const void *payload, uint32_t len,
				  xct_client_fn fn, void *ctx,
				  const struct xct_stop *stop, int *error);

/* A request that is answered by a number. */
enum xct_exit xct_request_count(const char *socket, uint16_t type,
				uint64_t *count);

/* A request that is answered by text or JSON, NUL terminated; caller frees. */
enum xct_exit xct_request_text(const char *socket, uint16_t type, char **text);

/* As xct_request_text(), but an xctd out of reach is no more than *@error, an
 * errno; 0: there was an answer. */
enum xct_exit xct_request_probe(const char *socket, uint16_t type, char **text,
				int *error);

#endif
