/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command events: flows as they begin, change and end, as conntrack -E
 * shows them, until a signal comes or xctd goes away.
 *
 * Theory of operation: a signal shuts the connection down, so that the end of
 * the stream is seen wherever the program just is; what has arrived before is
 * still printed.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/expect.h"
#include "ctl/json.h"
#include "ctl/labels.h"
#include "ctl/line.h"
#include "ctl/out.h"
#include "ctl/request.h"

#define EVENT_MAX (XCT_LINE_MAX + 256) /* no event is longer, but for labels */

_Static_assert(EVENT_MAX >= XCT_JSON_FLOW_MAX + 256, "JSON has room too");

static const struct type {
	const char *tag; /* right-aligned, as conntrack has it */
	const char *name;
	char command; /* that does the same by hand */
} types[XCT_FLOW_EVENTS] = {
	[XCT_FLOW_NEW] = { "    [NEW] ", "new", 'A' },
	[XCT_FLOW_UPDATE] = { " [UPDATE] ", "update", 'U' },
	[XCT_FLOW_DESTROY] = { "[DESTROY] ", "destroy", 'D' },
	[XCT_FLOW_MISSED] = { " [MISSED] ", "missed", 0 },
	[XCT_EXPECT_NEW] = { "    [NEW] ", "new", 0 },
	[XCT_EXPECT_DESTROY] = { "[DESTROY] ", "destroy", 0 },
};

static bool is_expectation(const struct xct_flow_event *event)
{
	return 1u << event->type & XCT_EXPECT_EVENTS;
}

static volatile sig_atomic_t is_stopped;
static volatile sig_atomic_t stream_fd;

static void stop(int number)
{
	int saved = errno;

	(void)number;
	is_stopped = 1;
	/* Fails only if the other end is gone, which is the same. */
	(void)shutdown(stream_fd, SHUT_RDWR);
	errno = saved;
}

static void connected(void *ctx, int fd)
{
	const struct sigaction action = { .sa_handler = stop };

	(void)ctx;
	stream_fd = fd;
	/* These signals exist: it cannot fail. */
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
}

/* What the kernel tells conntrack with such an event. */
static unsigned int parts_of(const struct xct_flow_event *event)
{
	unsigned int parts = 0;

	if (event->type == XCT_FLOW_DESTROY)
		parts = XCT_LINE_COUNTERS | XCT_LINE_AGE | XCT_LINE_STOP;
	else
		parts = XCT_LINE_HELPER;
	if (event->type != XCT_FLOW_DESTROY || event->flow.timeout_s)
		parts |= XCT_LINE_TIMEOUT;
	if (event->parts & XCT_FLOW_PART_STATE)
		parts |= XCT_LINE_STATE;
	if (event->parts & XCT_FLOW_PART_MARK || event->flow.mark)
		parts |= XCT_LINE_MARK;
	return parts;
}

static char *put_number(char *p, const char *key, uint64_t value)
{
	p = xct_put_str(p, key);
	return xct_put_uint(p, value);
}

static char *put_json(char *p, const struct xct_flow_event *event,
		      const struct xct_label_names *names)
{
	char *flow;

	p = xct_put_str(p, "{\"event\":\"");
	p = xct_put_str(p, types[event->type].name);
	p = put_number(p, "\",\"seq\":", event->seq);
	p = put_number(p, ",\"time_ms\":", event->time_ms);
	if (event->type == XCT_FLOW_MISSED) {
		p = put_number(p, ",\"count\":", event->missed);
		return xct_put_str(p, "}\n");
	}
	if (event->portid)
		p = put_number(p, ",\"portid\":", event->portid);
	flow = p;
	p = is_expectation(event) ? xct_expect_put_json(p, &event->expect)
				  : xct_json_put_flow(p, &event->flow, names);
	*flow = ','; /* one object of the two */
	*p++ = '\n';
	return p;
}

/* "[1795404707.878000]\t", as conntrack lays it out. */
static char *put_timestamp(char *p, uint64_t ms)
{
	char text[64];

	snprintf(text, sizeof(text), "[%" PRIu64 ".%06" PRIu64 "]\t", ms / 1000,
		 ms % 1000 * 1000);
	return xct_put_str(p, text);
}

static char *put_text(char *p, const struct xct_flow_event *event,
		      uint16_t outputs, const struct xct_label_names *names)
{
	if (outputs & XCT_OUTPUT_TIMESTAMP)
		p = put_timestamp(p, event->time_ms);
	p = xct_put_str(p, types[event->type].tag);
	if (event->type == XCT_FLOW_MISSED)
		p = put_number(p, "count=", event->missed);
	else if (is_expectation(event))
		p = xct_expect_put_line(p, &event->expect) - 1;
	else
		p = xct_line_put(p, &event->flow, outputs, parts_of(event),
				 names) -
		    1;
	if (outputs & XCT_OUTPUT_SEQ)
		p = put_number(p, " seq=", event->seq);
	/* conntrack does not say it of expectations. */
	if (event->portid && !is_expectation(event))
		p = put_number(p, " [USERSPACE] portid=", event->portid);
	*p++ = '\n';
	return p;
}

static char *put_xml(char *p, const struct xct_flow_event *event,
		     uint16_t outputs, const struct xct_label_names *names)
{
	if (event->type == XCT_FLOW_MISSED) {
		p = put_number(p, "<missed count=\"", event->missed);
		return xct_put_str(p, "\"/>\n");
	}
	if (is_expectation(event))
		return xct_expect_put_xml(p, &event->expect,
					  types[event->type].name);
	return xct_xml_put(p, &event->flow, types[event->type].name,
			   outputs & XCT_OUTPUT_TIMESTAMP ? &event->time_ms
							  : NULL,
			   parts_of(event), names);
}

static char *put_saved(char *p, const struct xct_flow_event *event)
{
	if (event->type == XCT_FLOW_MISSED) {
		p = put_number(p, "# missed: ", event->missed);
		return xct_put_str(p, "\n");
	}
	return xct_save_put(p, &event->flow, types[event->type].command,
			    parts_of(event));
}

/* Prints events as they arrive. */
struct follower {
	uint64_t shown;
	uint16_t outputs;		     /* enum xct_output */
	const struct xct_label_names *names; /* of labels; NULL: not shown */
	bool is_begun;
	bool is_expect; /* of expectations, not of flows */
	struct xct_out out;
};

static void print_event(struct follower *follower,
			const struct xct_flow_event *event)
{
	uint16_t outputs = follower->outputs;
	const struct xct_label_names *names = follower->names;
	char *p = xct_out_reserve(&follower->out,
				  EVENT_MAX + xct_ctl_labels_room(names));

	if (outputs & XCT_OUTPUT_XML && !follower->is_begun)
		p = xct_put_str(p, follower->is_expect ? XCT_EXPECT_XML_BEGIN
						       : XCT_XML_BEGIN);
	follower->is_begun = true;
	if (outputs & (XCT_OUTPUT_JSON | XCT_OUTPUT_NDJSON))
		p = put_json(p, event, names);
	else if (outputs & XCT_OUTPUT_XML)
		p = put_xml(p, event, outputs, names);
	else if (outputs & XCT_OUTPUT_SAVE && !follower->is_expect)
		p = put_saved(p, event);
	else
		p = put_text(p, event, outputs, names);
	xct_out_commit(&follower->out, p);
	follower->shown += event->type != XCT_FLOW_MISSED;
}

static bool print_frame(void *ctx, uint16_t type, const void *payload,
			uint32_t len)
{
	struct follower *follower = ctx;
	const struct xct_flow_event *events = payload;

	if (type != XCT_RSP_EVENTS)
		return true;
	for (size_t i = 0; i < len / sizeof(*events); i++)
		if (events[i].type < XCT_FLOW_EVENTS)
			print_event(follower, &events[i]);
	xct_out_flush(&follower->out);
	return !follower->out.error;
}

static enum xct_exit end_output(struct follower *follower)
{
	struct xct_out *out = &follower->out;

	if (follower->outputs & XCT_OUTPUT_XML && follower->is_begun)
		xct_out_commit(out, xct_put_str(xct_out_reserve(out, 64),
						follower->is_expect
							? XCT_EXPECT_XML_END
							: XCT_XML_END));
	xct_out_flush(out);
	xct_ctl_say("%" PRIu64 " %s events have been shown.", follower->shown,
		    follower->is_expect ? "expectation" : "flow");
	/* Whoever closed the pipe has seen enough ("| head"). */
	if (!out->error || out->error == EPIPE)
		return XCT_EXIT_OK;
	xct_ctl_say("cannot write the output: %s", strerror(out->error));
	return XCT_EXIT_FAILED;
}

/* Follow events of @types (enum xct_flow_event_type). */
static enum xct_exit follow(const struct xct_ctl *ctl, uint32_t types_wanted)
{
	const struct xct_stop until = { connected, &is_stopped };
	const struct xct_flow_follow request = {
		.types = types_wanted,
		.filter = ctl->query.filter,
	};
	struct follower follower = {
		.outputs = ctl->query.outputs,
		.names = xct_ctl_shown_labels(&ctl->query),
		.is_expect = types_wanted == XCT_EXPECT_EVENTS,
	};
	enum xct_exit ret, end;
	int error;

	xct_out_init(&follower.out, STDOUT_FILENO);
	ret = xct_request_endless(ctl->socket, XCT_REQ_EVENTS, &request,
				  sizeof(request), print_frame, &follower,
				  &until, &error);
	if (error) {
		xct_ctl_say("cannot follow events: %s",
			    error == EUSERS
				    ? "as many do so already as xctd has room "
				      "for; end one of them first"
				    : strerror(error));
		return XCT_EXIT_FAILED;
	}
	end = end_output(&follower);
	return ret == XCT_EXIT_OK ? end : ret;
}

enum xct_exit xct_ctl_events(const struct xct_ctl *ctl)
{
	return follow(ctl,
		      ctl->query.events ? ctl->query.events : XCT_FLOW_ALL);
}

enum xct_exit xct_ctl_expect_events(const struct xct_ctl *ctl)
{
	return follow(ctl, XCT_EXPECT_EVENTS);
}
