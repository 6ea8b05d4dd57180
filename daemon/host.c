/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the engine asks of the process it is in. With the lock held. */
#include "daemon/host.h"

#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/daemon.h"

#define BEHIND_MS 1000 /* hooks may be, while packets wait */

/* Wake the main thread up. */
static void tell_main(struct xct_daemon *d)
{
	uint64_t one = 1;

	/* Fails before it is there: then the timer does. */
	(void)!write(d->noticed.fd, &one, sizeof(one));
}

/* A NEW connection is judged by what interfaces are now, not by what they were
 * when the main loop last looked: the first one of a batch catches up. */
static void catch_up(struct xct_daemon *d)
{
	if (d->has_begun) {
		xct_netdev_catch(d->netdev);
		if (xct_netdev_has_early(d->netdev))
			tell_main(d);
	}
	d->has_begun = false;
}

bool xct_host_ifname(void *ctx, uint32_t ifindex,
		     char name[static XCT_IFNAMSIZ])
{
	struct xct_daemon *d = ctx;

	if (ifindex & XCT_IF_AWAITED)
		return xct_masq_awaited_name(d, ifindex, name);
	catch_up(d);
	return xct_netdev_ifname(d->netdev, ifindex, name);
}

static bool ifaddr(void *ctx, uint32_t ifindex, uint8_t family,
		   const struct xct_addr *dst, struct xct_addr *addr)
{
	struct xct_daemon *d = ctx;

	catch_up(d);
	if (!xct_netdev_ifaddr(d->netdev, ifindex, family, dst, addr))
		return false;
	if (!xct_netdev_is_early(d->netdev, family, addr))
		return true;
	d->is_early = true;
	/* If iptables hangs, packets are not late one after the other. */
	if (!d->env.behind_until)
		d->env.behind_until = xct_clock_now() + BEHIND_MS;
	return true;
}

static bool is_local(void *ctx, uint8_t family, const struct xct_addr *addr)
{
	struct xct_daemon *d = ctx;

	catch_up(d);
	return xct_netdev_is_local(d->netdev, family, addr);
}

static void event(void *ctx, const struct xct_event *event)
{
	struct xct_daemon *d = ctx;

	xct_events_put(d->events, event);
}

static void nearly_full(void *ctx, uint32_t used)
{
	struct xct_daemon *d = ctx;

	if (xct_fill_note(&d->fill, used))
		tell_main(d);
}

void xct_host_engine_config(struct xct_daemon *d,
			    const struct xct_config *config,
			    struct xct_engine_config *cfg)
{
	*cfg = (struct xct_engine_config){
		.l4 = config->settings.l4,
		.host = { .ifname = xct_host_ifname,
			  .ifaddr = ifaddr,
			  .is_local = is_local,
			  .ifindex = xct_masq_ifindex,
			  .masq = xct_masq_judge,
			  .event = event,
			  .nearly_full = nearly_full,
			  .ctx = d },
		.seed = d->seed,
		.accounting = config->settings.accounting,
		.timestamps = config->settings.timestamps,
	};
}
