/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Masqueraded flows, and the addresses that they live and die with. */
#include "daemon/masq.h"

#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/clock.h"
#include "daemon/daemon.h"
#include "daemon/log.h"

#define WALK_BUDGET    4096   /* records looked at under one hold of the lock */
#define SETTLE_MS      5000   /* between two looks at flows that wait ... */
#define SETTLE_FOR_MS  600000 /* ... as long as the host may be booting */
#define SETTLE_LATE_MS 60000  /* and after that */
#define FOLLOW_MS      250    /* between two changes of hooks for addresses */
#define RETRY_MS       5000   /* .. of which the first has failed */

/* ------------------------------------------------- addresses that go away */

static struct xct_flow_filter gone_filter(const struct xct_gone *gone)
{
	return (struct xct_flow_filter){
		.fields = XCT_FILTER_FAMILY | XCT_FILTER_MASQ_IF |
			  XCT_FILTER_REPLY_DST,
		.family = gone->family,
		.masq_if = gone->ifindex,
		.reply_dst = { .first = gone->addr,
			       .last = gone->addr,
			       .family = gone->family },
	};
}

/* With the lock held: only noted, for xct_masq_purge(). If very many come at
 * once the table is swept here and now. */
void xct_masq_addr_gone(void *ctx, uint32_t ifindex, uint8_t family,
			const struct xct_addr *addr)
{
	struct xct_daemon *d = ctx;
	struct xct_gone gone = { *addr, ifindex, family };
	struct xct_flow_filter filter = gone_filter(&gone);
	xct_msec now = xct_clock_now();
	uint32_t cursor = 0;

	if (d->masq.n_gone < XCT_GONE_MAX) {
		d->masq.gone[d->masq.n_gone++] = gone;
		return;
	}
	while (xct_engine_delete(d->engine, &cursor, now, &filter, WALK_BUDGET,
				 NULL, NULL))
		;
}

/* Take one of the addresses that are gone. */
static bool take_gone(struct xct_daemon *d, struct xct_gone *gone)
{
	bool is_any;

	xct_lock_take(&d->lock);
	is_any = d->masq.n_gone > 0;
	if (is_any)
		*gone = d->masq.gone[--d->masq.n_gone];
	xct_lock_give(&d->lock);
	return is_any;
}

void xct_masq_purge(struct xct_daemon *d)
{
	struct xct_gone gone;

	while (take_gone(d, &gone)) {
		struct xct_flow_filter filter = gone_filter(&gone);
		xct_msec now = xct_clock_now();
		uint32_t cursor = 0;
		bool is_more;

		do {
			xct_lock_take(&d->lock);
			is_more = xct_engine_delete(d->engine, &cursor, now,
						    &filter, WALK_BUDGET, NULL,
						    NULL);
			xct_lock_give_way(&d->lock);
		} while (is_more);
	}
}

/* ------------------------------------------- addresses that the hooks name */

static const uint8_t families[] = { AF_INET, AF_INET6 };

/* Are there any that they do not? With the lock held. If not, also since they
 * are gone again, no packet has to wait. */
static bool has_early(struct xct_daemon *d)
{
	if (xct_netdev_has_early(d->netdev))
		return true;
	d->env.behind_until = 0;
	return false;
}

int xct_masq_install_hooks(struct xct_daemon *d,
			   const struct xct_config *config, char **error)
{
	struct xct_ifaddr_set own[XCT_ARRAY_SIZE(families)];
	int ret;

	for (size_t i = 0; i < XCT_ARRAY_SIZE(families); i++) {
		xct_lock_take(&d->lock);
		xct_netdev_collect(d->netdev, families[i], &own[i]);
		xct_lock_give(&d->lock);
		xct_hooks_set_own(d->hooks, families[i], &own[i]);
	}
	ret = xct_hooks_install(d->hooks, config, d->n_workers, error);
	xct_lock_take(&d->lock);
	d->masq.has_failed = ret < 0 && (has_early(d) || d->masq.has_failed);
	/* After a failure as well: packets do not wait for the next attempt. */
	for (size_t i = 0; i < XCT_ARRAY_SIZE(families); i++)
		xct_netdev_select(
			d->netdev, families[i],
			ret < 0 ? &own[i]
				: xct_hooks_own(d->hooks, families[i]));
	(void)has_early(d);
	xct_lock_give(&d->lock);
	return ret;
}

void xct_masq_follow(struct xct_daemon *d, xct_msec now)
{
	xct_msec since = now - d->masq.followed_ms;
	char *error = NULL;
	bool is_behind;
	int ret;

	xct_lock_take(&d->lock);
	is_behind = has_early(d);
	xct_lock_give(&d->lock);
	if (!(is_behind && since >= FOLLOW_MS) &&
	    !(d->masq.has_failed && since >= RETRY_MS))
		return;
	ret = xct_masq_install_hooks(d, d->config, &error);
	if (ret < 0)
		xct_log(LOG_WARNING,
			"cannot name a new address in the hooks: answers to "
			"what is masqueraded to it are dropped: %s",
			error ? error : strerror(-ret));
	else if (d->options.is_kept)
		xct_kept_put_hooks(d->hooks);
	free(error);
	d->masq.followed_ms = xct_clock_now();
}

/* ------------------------------------------------- addresses yet to come */

void xct_masq_begin(struct xct_daemon *d)
{
	unsigned int n = 0;

	while (n < XCT_AWAITED_MAX && d->memory.names[n][0])
		n++;
	d->masq.n_names = n;
	xct_masq_look(d);
	if (n)
		xct_masq_restored(d, xct_clock_now());
}

void xct_masq_look(struct xct_daemon *d)
{
	for (unsigned int i = 0; i < d->masq.n_names; i++)
		d->masq.ifindex[i] = if_nametoindex(d->memory.names[i]);
}

uint32_t xct_masq_ifindex(void *ctx, const char name[static XCT_IFNAMSIZ])
{
	struct xct_daemon *d = ctx;
	unsigned int i = 0;

	while (i < d->masq.n_names && strcmp(d->memory.names[i], name) != 0)
		i++;
	if (i == XCT_AWAITED_MAX)
		return if_nametoindex(name);
	if (i == d->masq.n_names) {
		strcpy(d->memory.names[i], name);
		d->masq.ifindex[i] = if_nametoindex(name);
		d->masq.n_names++;
	}
	return XCT_IF_AWAITED | i;
}

bool xct_masq_awaited_name(const struct xct_daemon *d, uint32_t ifindex,
			   char name[static XCT_IFNAMSIZ])
{
	uint32_t i = ifindex & ~XCT_IF_AWAITED;

	if (!(ifindex & XCT_IF_AWAITED) || i >= d->masq.n_names)
		return false;
	memcpy(name, d->memory.names[i], XCT_IFNAMSIZ);
	return true;
}

enum xct_masq xct_masq_judge(void *ctx, uint32_t *ifindex, uint8_t family,
			     const struct xct_addr *addr)
{
	struct xct_daemon *d = ctx;
	uint32_t i = *ifindex & ~XCT_IF_AWAITED;
	enum xct_masq masq;

	/* It was there once: gone in whatever way, it takes its flows along. */
	if (!(*ifindex & XCT_IF_AWAITED))
		return xct_netdev_masq(d->netdev, *ifindex, family, addr) ==
				       XCT_MASQ_THERE
			       ? XCT_MASQ_THERE
			       : XCT_MASQ_GONE;
	if (i >= d->masq.n_names)
		return XCT_MASQ_GONE;
	if (!d->masq.ifindex[i])
		return XCT_MASQ_AWAITED;
	masq = xct_netdev_masq(d->netdev, d->masq.ifindex[i], family, addr);
	if (masq == XCT_MASQ_THERE)
		*ifindex = d->masq.ifindex[i];
	return masq;
}

/* Nobody waits: names make room for others. */
static void forget_names(struct xct_daemon *d)
{
	xct_lock_take(&d->lock);
	d->masq.n_names = 0;
	memset(d->memory.names, 0, XCT_AWAITED_MAX * sizeof(*d->memory.names));
	xct_lock_give(&d->lock);
}

void xct_masq_restored(struct xct_daemon *d, xct_msec now)
{
	d->masq.restored_ms = d->masq.settled_ms = now;
}

void xct_masq_settle(struct xct_daemon *d, xct_msec now)
{
	xct_msec since = now - d->masq.restored_ms;
	uint32_t cursor = 0, n_awaited = 0;
	bool is_more;

	if (!d->masq.restored_ms ||
	    now - d->masq.settled_ms <
		    (since < SETTLE_FOR_MS ? SETTLE_MS : SETTLE_LATE_MS))
		return;
	do {
		xct_lock_take(&d->lock);
		if (cursor == 0) {
			xct_netdev_catch(d->netdev);
			xct_masq_look(d);
		}
		is_more = xct_engine_settle(d->engine, &cursor, now,
					    WALK_BUDGET, &n_awaited);
		xct_lock_give_way(&d->lock);
	} while (is_more);
	d->masq.settled_ms = now;
	if (n_awaited)
		return;
	d->masq.restored_ms = 0;
	forget_names(d);
	xct_log(LOG_INFO, "no restored flow waits for its address any more");
}
