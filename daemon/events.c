/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events on their way from the engine to the log: two buffers, one that is
 * filled under the engine's lock and one that is being logged without it.
 */
#include "daemon/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"

/* Each type has its own room: a flood of one hides no other. */
#define ROOM_EACH 128

/* An event and copies of what it points to. */
struct entry {
	struct xct_event event;
	struct xct_rule rule;
	struct xct_meta meta;
	struct xct_tuple tuple;
	char rule_name[64];
	char in_name[XCT_IFNAMSIZ];
	char out_name[XCT_IFNAMSIZ];
};

struct buffer {
	struct entry entries[ROOM_EACH * XCT_EVENT_TYPES];
	unsigned int n;
	unsigned int n_of[XCT_EVENT_TYPES];
	uint64_t left_out[XCT_EVENT_TYPES];
};

struct xct_events {
	struct buffer *filling; /* under the engine's lock */
	struct buffer *logging; /* the main loop's */
	struct buffer buffers[2];
};

struct xct_events *xct_events_new(void)
{
	struct xct_events *events = calloc(1, sizeof(*events));

	if (events) {
		events->filling = &events->buffers[0];
		events->logging = &events->buffers[1];
	}
	return events;
}

void xct_events_free(struct xct_events *events)
{
	free(events);
}

void xct_events_put(struct xct_events *events, const struct xct_event *event)
{
	struct buffer *b = events->filling;
	struct entry *e;

	if (b->n_of[event->type] == ROOM_EACH) {
		b->left_out[event->type]++;
		return;
	}
	b->n_of[event->type]++;
	e = &b->entries[b->n++];
	e->event = *event;
	if (event->rule) {
		snprintf(e->rule_name, sizeof(e->rule_name), "%s",
			 event->rule->name);
		e->rule = *event->rule;
		e->rule.name = e->rule_name;
		e->event.rule = &e->rule;
	}
	e->meta = *event->meta;
	e->event.meta = &e->meta;
	if (event->tuple) {
		e->tuple = *event->tuple;
		e->event.tuple = &e->tuple;
	}
}

void xct_events_log(struct xct_events *events, struct xct_lock *lock,
		    bool (*ifname)(void *ctx, uint32_t ifindex,
				   char name[static XCT_IFNAMSIZ]),
		    void *ctx, xct_msec now)
{
	struct buffer *b;

	xct_lock_take(lock);
	b = events->filling;
	events->filling = events->logging;
	events->logging = b;
	for (unsigned int i = 0; i < b->n; i++) {
		struct entry *e = &b->entries[i];

		/* There may be none, or it has gone meanwhile: no name. */
		if (!e->meta.in_if || !ifname(ctx, e->meta.in_if, e->in_name))
			e->in_name[0] = '\0';
		if (!e->meta.out_if ||
		    !ifname(ctx, e->meta.out_if, e->out_name))
			e->out_name[0] = '\0';
	}
	xct_lock_give(lock);

	for (unsigned int i = 0; i < b->n; i++)
		xct_log_event(&b->entries[i].event, b->entries[i].in_name,
			      b->entries[i].out_name, now);
	xct_log_left_out(b->left_out, now);
	b->n = 0;
	memset(b->n_of, 0, sizeof(b->n_of));
	memset(b->left_out, 0, sizeof(b->left_out));
}
