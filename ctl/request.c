/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests with all that may go wrong, as exit codes and messages. */
#include "ctl/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Receives an answer: flows are passed on, text is collected. */
struct receiver {
	xct_client_fn fn; /* NULL: no flows are expected */
	void *ctx;
	char *text; /* owned, NUL terminated; NULL: none came */
	size_t len;
	const struct xct_stop *stop; /* NULL: the answer has an end */
	int error; /* errno by which a change failed; 0: none */
	bool is_out_of_memory;
};

static bool receive(void *ctx, uint16_t type, const void *payload, uint32_t len)
{
	struct receiver *receiver = ctx;
	char *grown;

	if (type != XCT_RSP_TEXT && type != XCT_RSP_JSON)
		return !receiver->fn ||
		       receiver->fn(receiver->ctx, type, payload, len);

	grown = realloc(receiver->text, receiver->len + len + 1);
	if (!grown) {
		receiver->is_out_of_memory = true;
		return false;
	}
	memcpy(grown + receiver->len, payload, len);
	receiver->text = grown;
	receiver->len += len;
	receiver->text[receiver->len] = '\0';
	return true;
}

static void say_unreachable(const char *path, int error)
{
	const char *advice = "";

	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		advice = ": is xctd running?";
		break;
	case EACCES:
	case EPERM:
		advice = ": be root, or of the group that may read";
		break;
	}
	xct_ctl_say("cannot reach xctd at %s: %s%s", path, strerror(error),
		    advice);
	/* The one trap in renaming conntrack to xctctl. */
	if (error == ENOENT && !strchr(path, '/'))
		xct_ctl_say("before the command, -s is the socket; the source "
			    "address goes after it");
}

static enum xct_exit say_broken(const struct receiver *receiver, int error)
{
	if (receiver->is_out_of_memory) {
		xct_ctl_say("out of memory");
		return XCT_EXIT_FAILED;
	}
	if (receiver->stop && *receiver->stop->is_wanted)
		return XCT_EXIT_OK;
	switch (error) {
	case -ECANCELED:
		return XCT_EXIT_OK;
	case -ECONNRESET:
		xct_ctl_say(receiver->stop
				    ? "xctd has gone, and its events with it: "
				      "start again when it is back"
				    : "xctd closed the connection");
		return XCT_EXIT_UNREACHABLE;
	case -EPROTO:
		xct_ctl_say("the answer is not understood: are xctd and xctctl "
			    "of one version?");
		return XCT_EXIT_UNREACHABLE;
	default:
		xct_ctl_say("the connection to xctd broke: %s",
			    strerror(-error));
		return XCT_EXIT_UNREACHABLE;
	}
}

/* Print what xctd had to say about a failure, as lines of their own. */
static void print_reason(const struct receiver *receiver)
{
	if (!receiver->len)
		return;
	fprintf(stderr, "%s%s", receiver->text,
		receiver->text[receiver->len - 1] == '\n' ? "" : "\n");
}

static enum xct_exit say_end(const struct receiver *receiver,
			     const struct xct_frame_end *end)
{
	switch (end->status) {
	case XCT_END_OK:
		return XCT_EXIT_OK;
	case XCT_END_DENIED:
		print_reason(receiver);
		xct_ctl_say("Operation failed: permission denied: reading is "
			    "for root and xctd's group, changing for root");
		return XCT_EXIT_FAILED;
	case XCT_END_CONFIG:
		print_reason(receiver);
		xct_ctl_say("the new configuration is wrong: the old rules "
			    "stay in force");
		return XCT_EXIT_CONFIG;
	case XCT_END_BAD_REQUEST:
		xct_ctl_say("xctd did not understand the request: are xctd and "
			    "xctctl of one version?");
		return XCT_EXIT_FAILED;
	default:
		print_reason(receiver);
		xct_ctl_say("Operation failed");
		return XCT_EXIT_FAILED;
	}
}

static enum xct_exit ask(struct xct_client *client, uint16_t type,
			 const void *payload, uint32_t len,
			 struct receiver *receiver, uint64_t *count)
{
	struct xct_frame_end end;
	enum xct_exit exit_code;
	int ret;

	ret = xct_client_request(client, type, payload, len, receive, receiver,
				 &end);
	if (ret) {
		exit_code = say_broken(receiver, ret);
	} else if (end.status == XCT_END_FAILED && end.error) {
		receiver->error = (int)end.error;
		exit_code = XCT_EXIT_FAILED;
	} else {
		exit_code = say_end(receiver, &end);
		*count = end.count;
	}
	if (exit_code != XCT_EXIT_OK) {
		free(receiver->text);
		receiver->text = NULL;
	}
	return exit_code;
}

enum xct_exit xct_request_connect(struct xct_client *client, const char *socket)
{
	int ret = xct_client_open(client, socket);

	if (ret) {
		say_unreachable(socket, -ret);
		return XCT_EXIT_UNREACHABLE;
	}
	return XCT_EXIT_OK;
}

enum xct_exit xct_request_on(struct xct_client *client, uint16_t type,
			     const void *payload, uint32_t len,
			     xct_client_fn fn, void *ctx)
{
	struct receiver receiver = { .fn = fn, .ctx = ctx };
	enum xct_exit exit_code;
	uint64_t count;

	exit_code = ask(client, type, payload, len, &receiver, &count);
	free(receiver.text);
	return exit_code;
}

static enum xct_exit connect_and_ask(const char *socket, uint16_t type,
				     const void *payload, uint32_t len,
				     struct receiver *receiver, uint64_t *count)
{
	struct xct_client client;
	enum xct_exit exit_code;

	exit_code = xct_request_connect(&client, socket);
	if (exit_code != XCT_EXIT_OK)
		return exit_code;
	if (receiver->stop)
		receiver->stop->connected(receiver->ctx, client.fd);
	exit_code = ask(&client, type, payload, len, receiver, count);
	xct_client_close(&client);
	return exit_code;
}

enum xct_exit xct_request(const char *socket, uint16_t type,
			  const void *payload, uint32_t len, xct_client_fn fn,
			  void *ctx)
{
	struct receiver receiver = { .fn = fn, .ctx = ctx };
	enum xct_exit exit_code;
	uint64_t count;

	exit_code =
		connect_and_ask(socket, type, payload, len, &receiver, &count);
	free(receiver.text);
	return exit_code;
}

enum xct_exit xct_request_change(const char *socket, uint16_t type,
				 const void *payload, uint32_t len,
				 xct_client_fn fn, void *ctx, uint64_t *count,
				 int *error)
{
	struct receiver receiver = { .fn = fn, .ctx = ctx };
	enum xct_exit exit_code;

	exit_code =
		connect_and_ask(socket, type, payload, len, &receiver, count);
	free(receiver.text);
	*error = receiver.error;
	return exit_code;
}

enum xct_exit xct_request_endless(const char *socket, uint16_t type,
				  const void *payload, uint32_t len,
				  xct_client_fn fn, void *ctx,
				  const struct xct_stop *stop, int *error)
{
	struct receiver receiver = { .fn = fn, .ctx = ctx, .stop = stop };
	enum xct_exit exit_code;
	uint64_t count;

	exit_code =
		connect_and_ask(socket, type, payload, len, &receiver, &count);
	free(receiver.text);
	*error = receiver.error;
	return exit_code;
}

enum xct_exit xct_request_count(const char *socket, uint16_t type,
				uint64_t *count)
{
	struct receiver receiver = { .text = NULL };
	enum xct_exit exit_code;

	exit_code = connect_and_ask(socket, type, NULL, 0, &receiver, count);
	free(receiver.text);
	return exit_code;
}

/* An answer without text is an empty one. */
static enum xct_exit take_text(struct receiver *receiver, char **text)
{
	*text = receiver->text ? receiver->text : strdup("");
	if (!*text) {
		xct_ctl_say("out of memory");
		return XCT_EXIT_FAILED;
	}
	return XCT_EXIT_OK;
}

enum xct_exit xct_request_text(const char *socket, uint16_t type, char **text)
{
	struct receiver receiver = { .text = NULL };
	enum xct_exit exit_code;
	uint64_t count;

	exit_code = connect_and_ask(socket, type, NULL, 0, &receiver, &count);
	return exit_code == XCT_EXIT_OK ? take_text(&receiver, text)
					: exit_code;
}

enum xct_exit xct_request_probe(const char *socket, uint16_t type, char **text,
				int *error)
{
	struct receiver receiver = { .text = NULL };
	struct xct_client client;
	enum xct_exit exit_code;
	uint64_t count;

	*error = -xct_client_open(&client, socket);
	if (*error)
		return XCT_EXIT_OK;
	exit_code = ask(&client, type, NULL, 0, &receiver, &count);
	xct_client_close(&client);
	return exit_code == XCT_EXIT_OK ? take_text(&receiver, text)
					: exit_code;
}
