/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the daemon.
 *
 * xct_log() may be called from any thread: a message is one write. Events come
 * from the main loop only, which is what owns the state of their limit.
 */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "daemon/log.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-journal.h>

#include "common/cursor.h"

/* Events of a type that are logged at once, and then for each second. */
#define EVENTS_BURST  200
#define EVENTS_RATE   50
#define LEFT_OUT_EACH 10000 /* milliseconds from one report to the next */

static struct {
	int max_priority;
	bool is_journal; /* stderr is the journal: talk to it natively */
} output = { .max_priority = LOG_INFO };

/* Each type has its own: a flood of one hides no other. */
static struct limit {
	xct_msec refilled_at;
	xct_msec said_at; /* when what was left out was last said */
	uint32_t tokens;
	uint64_t left_out;
	const char *what;
} limits[XCT_EVENT_TYPES] = {
	[XCT_EVENT_LOG] = { .tokens = EVENTS_BURST,
			    .what = "connections that rules log" },
	[XCT_EVENT_INVALID] = { .tokens = EVENTS_BURST,
				.what = "invalid packets" },
	[XCT_EVENT_TABLE_FULL] = { .tokens = EVENTS_BURST,
				   .what = "connections that found the table "
					   "full" },
	[XCT_EVENT_ANNOUNCED] = { .tokens = EVENTS_BURST,
				  .what = "announcements that were rewritten" },
};

/* For the journal's catalog and for alerts: see xctd(8). */
static const char *const event_ids[] = {
	[XCT_EVENT_LOG] = "MESSAGE_ID=5db543eb10ee4a9f88aab0afb4d46cc9",
	[XCT_EVENT_INVALID] = "MESSAGE_ID=dd2833ae68ae4a50af1d67d31cbf4648",
	[XCT_EVENT_TABLE_FULL] = "MESSAGE_ID=7a38484e5ee34a859af07d662e8c1dfb",
	[XCT_EVENT_ANNOUNCED] = "MESSAGE_ID=b0d1f6c95c8e4a0fa7a3c8e9d25f4e16",
};

static bool is_stderr_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
	       st.st_ino == ino;
}

void xct_log_init(int max_priority)
{
	output.max_priority = max_priority;
	output.is_journal = is_stderr_journal();
}

/* How a line that is not for the journal begins. */
static const char *prefix_of(int priority)
{
	switch (priority) {
	case LOG_WARNING:
		return "xctd: warning: ";
	case LOG_DEBUG:
		return "xctd: debug: ";
	case LOG_INFO:
	case LOG_NOTICE:
		return "xctd: ";
	default:
		return "xctd: error: ";
	}
}

/* One write, so that lines of several threads do not mix. */
static void write_line(const char *prefix, const char *message)
{
	char line[1200];
	int len;

	len = snprintf(line, sizeof(line), "%s%s\n", prefix, message);
	if (len >= (int)sizeof(line)) {
		len = (int)sizeof(line) - 1;
		line[len - 1] = '\n';
	}
	/* There is nobody left to tell. */
	(void)!write(STDERR_FILENO, line, (size_t)len);
}

/* @id: "MESSAGE_ID=...", or NULL. */
static void log_message(int priority, const char *prefix, const char *id,
			const char *message)
{
	/* The arguments end with the first NULL. */
	if (!output.is_journal ||
	    sd_journal_send("MESSAGE=%s", message, "PRIORITY=%d", priority,
			    "SYSLOG_IDENTIFIER=xctd", id, NULL) < 0)
		write_line(prefix, message);
}

void xct_log(int priority, const char *format, ...)
{
	char message[1024];
	va_list ap;

	if (priority > output.max_priority)
		return;
	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	log_message(priority, prefix_of(priority), NULL, message);
}

void xct_log_alarm(const char *format, ...)
{
	char message[1024];
	va_list ap;

	if (LOG_WARNING > output.max_priority)
		return;
	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	log_message(LOG_WARNING, prefix_of(LOG_WARNING),
		    "MESSAGE_ID=3d673af030944e78a9a6964c9374087b", message);
}

void xct_log_lines(int priority, const char *text)
{
	char message[1024];

	if (priority > output.max_priority)
		return;
	while (*text != '\0') {
		int len = (int)strcspn(text, "\n");

		snprintf(message, sizeof(message), "%.*s", len, text);
		if (len > 0)
			/* Such text says for itself what it is about. */
			log_message(priority, "", NULL, message);
		text += len;
		text += *text == '\n';
	}
}

/* May one more event be logged? If not, it is counted. */
static bool is_within(struct limit *limit, xct_msec now)
{
	uint64_t earned = (now - limit->refilled_at) * EVENTS_RATE / 1000;

	if (earned > 0) {
		limit->refilled_at = now;
		limit->tokens = earned > EVENTS_BURST - limit->tokens
					? EVENTS_BURST
					: limit->tokens + (uint32_t)earned;
	}
	if (limit->tokens == 0) {
		limit->left_out++;
		return false;
	}
	limit->tokens--;
	return true;
}

void xct_log_left_out(const uint64_t more[static XCT_EVENT_TYPES], xct_msec now)
{
	for (int i = 0; i < XCT_EVENT_TYPES; i++) {
		struct limit *limit = &limits[i];

		limit->left_out += more[i];
		if (limit->left_out == 0 ||
		    (limit->said_at && now - limit->said_at < LEFT_OUT_EACH))
			continue;
		xct_log(LOG_WARNING,
			"%" PRIu64 " %s were not logged: there were too many",
			limit->left_out, limit->what);
		limit->left_out = 0;
		limit->said_at = now;
	}
}

/* "SRC=... DST=... PROTO=tcp SPT=... DPT=...", as netfilter logs write it. */
static void format_tuple(const struct xct_tuple *t, char *buf, size_t size)
{
	char src[XCT_ADDRSTRLEN], dst[XCT_ADDRSTRLEN];
	const char *proto = xct_proto_name(t->proto);
	int len;

	len = snprintf(buf, size, " SRC=%s DST=%s",
		       xct_addr_format(t->family, &t->src, src),
		       xct_addr_format(t->family, &t->dst, dst));
	if (proto)
		len += snprintf(buf + len, size - (size_t)len, " PROTO=%s",
				proto);
	else
		len += snprintf(buf + len, size - (size_t)len, " PROTO=%u",
				t->proto);
	if (t->proto == IPPROTO_ICMP || t->proto == IPPROTO_ICMPV6)
		snprintf(buf + len, size - (size_t)len,
			 " TYPE=%u CODE=%u ID=%u", t->icmp_type, t->icmp_code,
			 xct_ntoh16(t->icmp_id));
	else if (t->sport != 0 || t->dport != 0)
		snprintf(buf + len, size - (size_t)len, " SPT=%u DPT=%u",
			 xct_ntoh16(t->sport), xct_ntoh16(t->dport));
}

/* ": SYN-ACK in SYN_SENT, original direction, by 12 bytes" */
static void format_details(const struct xct_event *event, char *buf,
			   size_t size)
{
	const struct xct_cell *cell = &event->cell;
	const char *packet = xct_packet_name(cell->proto, cell->packet);
	int len;

	buf[0] = '\0';
	if (!packet)
		return;
	len = snprintf(buf, size, ": %s in %s, %s direction", packet,
		       xct_state_name(cell->proto, cell->state),
		       xct_dir_name(cell->dir));
	if (event->excess)
		snprintf(buf + len, size - (size_t)len, ", by %u bytes",
			 event->excess);
}

/* "ftp: announced 10.0.0.2 port 51210 as 192.0.2.1 port 51210" */
static void format_announced(const struct xct_event *event, char *buf,
			     size_t size)
{
	char addr[2][XCT_ADDRSTRLEN];

	for (int i = 0; i < 2; i++)
		xct_addr_format(event->tuple->family, &event->announced[i],
				addr[i]);
	snprintf(buf, size, "%s: announced %s port %u as %s port %u",
		 xct_helper_name(event->helper), addr[0],
		 xct_ntoh16(event->port[0]), addr[1],
		 xct_ntoh16(event->port[1]));
}

static void format_cause(const struct xct_event *event, char *buf, size_t size)
{
	const char *text = xct_reason_text(event->reason);
	char details[96];

	switch (event->type) {
	case XCT_EVENT_LOG:
		snprintf(buf, size, "rule %s", event->rule->name);
		break;
	case XCT_EVENT_INVALID:
		format_details(event, details, sizeof(details));
		snprintf(buf, size, "invalid: %s%s", text ? text : "", details);
		break;
	case XCT_EVENT_ANNOUNCED:
		format_announced(event, buf, size);
		break;
	case XCT_EVENT_TABLE_FULL:
	case XCT_EVENT_TYPES:
		snprintf(buf, size, "flow table full, connection refused");
		break;
	}
}

void xct_log_event(const struct xct_event *event, const char *in_name,
		   const char *out_name, xct_msec now)
{
	const char *reason = xct_reason_name(event->reason);
	int priority =
		event->type == XCT_EVENT_TABLE_FULL ? LOG_WARNING : LOG_INFO;
	char cause[224], tuple[192] = "", message[512];

	if (priority > output.max_priority ||
	    !is_within(&limits[event->type], now))
		return;
	format_cause(event, cause, sizeof(cause));
	if (event->tuple->family != 0) /* else there was no IP header */
		format_tuple(event->tuple, tuple, sizeof(tuple));
	snprintf(message, sizeof(message), "%s: IN=%s OUT=%s%s LEN=%u", cause,
		 in_name, out_name, tuple, event->bytes);
	if (!output.is_journal ||
	    sd_journal_send("MESSAGE=%s", message, "PRIORITY=%d", priority,
			    "SYSLOG_IDENTIFIER=xctd", "XCT_REASON=%s",
			    reason ? reason : "", "XCT_RULE=%s",
			    event->rule ? event->rule->name : "",
			    event_ids[event->type], NULL) < 0)
		write_line(prefix_of(priority), message);
}
