/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interfaces and their addresses, followed through rtnetlink.
 *
 * Theory of operation
 *
 * Three sockets. libnfnetlink's interface table has its own, and gives names.
 * The event socket only listens to changes of addresses and links, and never
 * blocks. The query socket asks: the dumps of addresses and links, once at
 * the start and again when events were lost, and single routes. The kernel
 * answers a query while it is being sent, so waiting for it cannot take long.
 *
 * The table of addresses keeps the kernel's order, since the first that fits
 * is chosen: for IPv4 a new address comes last, for IPv6 first. A dump marks
 * what it shows; what it does not show is gone. Queries and events race, but
 * only towards repeating an event that the dump has shown already.
 *
 * What ends masqueraded flows is also what ends them in the kernel: an address
 * that is removed, and an interface that goes down, even though it keeps its
 * IPv4 addresses.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <libnfnetlink/libnfnetlink.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "daemon/netdev.h"

#define RECEIVE_SIZE  32768	    /* what the kernel fills in a dump */
#define EVENT_BUFFER  (1024 * 1024) /* of the event socket, bytes */
#define DUMP_ATTEMPTS 5		    /* while tables change under the dump */
#define QUERY_TIMEOUT 1		    /* seconds; a safeguard */

/* What the hooks select. */
struct named {
	bool has_all; /* whatever address there is */
	struct xct_ifaddr_set set;
};

struct xct_netdev {
	struct xct_netdev_ops ops;
	struct nlif_handle *nlif;
	struct mnl_socket *events;
	struct mnl_socket *query;
	unsigned int seq;
	struct xct_ifaddr *addrs;
	size_t n, size;
	struct named named[2]; /* of IPv4, of IPv6 */
	unsigned int n_early;  /* addresses that are not in it */
	uint32_t *up;	       /* interfaces that are up */
	size_t n_up, size_up;
	bool is_dumping;
};

/* ---------------------------------------------------------- the addresses */

static void report_gone(const struct xct_netdev *nd, uint32_t ifindex,
			const struct xct_ifaddr *a)
{
	if (nd->ops.addr_gone)
		nd->ops.addr_gone(nd->ops.ctx, ifindex, a->family, &a->local);
}

static struct xct_ifaddr *find_address(struct xct_netdev *nd,
				       const struct xct_ifaddr *like)
{
	for (size_t i = 0; i < nd->n; i++) {
		struct xct_ifaddr *a = &nd->addrs[i];

		if (a->ifindex == like->ifindex && a->family == like->family &&
		    a->prefix_len == like->prefix_len &&
		    xct_addr_equal(&a->local, &like->local) &&
		    xct_addr_equal(&a->net, &like->net))
			return a;
	}
	return NULL;
}

static bool is_early(const struct xct_netdev *nd, const struct xct_ifaddr *a)
{
	const struct named *named = &nd->named[a->family == AF_INET ? 0 : 1];

	return !named->has_all && xct_ifaddr_is_reachable(a) &&
	       !xct_ifaddr_set_has(&named->set, &a->local);
}

/* Without memory the address is not known: masquerading will not use it. */
static void put_address(struct xct_netdev *nd, const struct xct_ifaddr *new)
{
	struct xct_ifaddr *a = find_address(nd, new);
	size_t at = nd->n;

	if (a) {
		*a = *new;
		return;
	}
	if (nd->n == nd->size) {
		size_t size = nd->size ? 2 * nd->size : 16;

		a = reallocarray(nd->addrs, size, sizeof(*a));
		if (!a)
			return;
		nd->addrs = a;
		nd->size = size;
	}
	if (new->family == AF_INET6 && !nd->is_dumping)
		at = 0;
	memmove(&nd->addrs[at + 1], &nd->addrs[at],
		(nd->n - at) * sizeof(*nd->addrs));
	nd->addrs[at] = *new;
	nd->n_early += is_early(nd, new);
	nd->n++;
}

static void drop_address(struct xct_netdev *nd, struct xct_ifaddr *a)
{
	struct xct_ifaddr gone = *a;

	nd->n_early -= is_early(nd, &gone);
	nd->n--;
	memmove(a, a + 1, (size_t)(&nd->addrs[nd->n] - a) * sizeof(*nd->addrs));
	report_gone(nd, gone.ifindex, &gone);
}

void xct_netdev_collect(const struct xct_netdev *nd, uint8_t family,
			struct xct_ifaddr_set *set)
{
	xct_ifaddr_collect(nd->addrs, nd->n, family, set);
}

void xct_netdev_select(struct xct_netdev *nd, uint8_t family,
		       const struct xct_ifaddr_set *set)
{
	struct named *named = &nd->named[family == AF_INET ? 0 : 1];

	named->has_all = !set;
	if (set)
		named->set = *set;
	nd->n_early = 0;
	for (size_t i = 0; i < nd->n; i++)
		nd->n_early += is_early(nd, &nd->addrs[i]);
}

bool xct_netdev_is_early(const struct xct_netdev *nd, uint8_t family,
			 const struct xct_addr *addr)
{
	for (size_t i = 0; i < nd->n && nd->n_early; i++)
		if (nd->addrs[i].family == family &&
		    xct_addr_equal(&nd->addrs[i].local, addr))
			return is_early(nd, &nd->addrs[i]);
	return false;
}

bool xct_netdev_has_early(const struct xct_netdev *nd)
{
	return nd->n_early > 0;
}

/* ---------------------------------------------------------- the interfaces */

static uint32_t *find_up(struct xct_netdev *nd, uint32_t ifindex)
{
	for (size_t i = 0; i < nd->n_up; i++)
		if (nd->up[i] == ifindex)
			return &nd->up[i];
	return NULL;
}

/* Without memory its going down will not be noticed: flows time out. */
static void link_up(struct xct_netdev *nd, uint32_t ifindex)
{
	if (find_up(nd, ifindex))
		return;
	if (nd->n_up == nd->size_up) {
		size_t size = nd->size_up ? 2 * nd->size_up : 16;
		uint32_t *up = reallocarray(nd->up, size, sizeof(*up));

		if (!up)
			return;
		nd->up = up;
		nd->size_up = size;
	}
	nd->up[nd->n_up++] = ifindex;
}

/* Flows that left through an interface that goes down are over. They carry its
 * addresses or, where it has none of its own, those of others. */
static void link_down(struct xct_netdev *nd, uint32_t ifindex)
{
	uint32_t *up = find_up(nd, ifindex);
	bool has_own4 = false, has_own6 = false;

	if (!up)
		return;
	*up = nd->up[--nd->n_up];
	for (size_t i = 0; i < nd->n; i++) {
		const struct xct_ifaddr *a = &nd->addrs[i];

		if (a->ifindex == ifindex && xct_ifaddr_is_global(a)) {
			has_own4 |= a->family == AF_INET;
			has_own6 |= a->family == AF_INET6;
		}
	}
	for (size_t i = 0; i < nd->n; i++) {
		const struct xct_ifaddr *a = &nd->addrs[i];
		bool has_own = a->family == AF_INET ? has_own4 : has_own6;

		if (a->ifindex == ifindex ||
		    (!has_own && xct_ifaddr_is_global(a)))
			report_gone(nd, ifindex, a);
	}
}

static void link_removed(struct xct_netdev *nd, uint32_t ifindex)
{
	size_t i = 0;

	link_down(nd, ifindex);
	while (i < nd->n) {
		if (nd->addrs[i].ifindex == ifindex)
			drop_address(nd, &nd->addrs[i]);
		else
			i++;
	}
}

/* --------------------------------------------------------------- messages */

static bool read_addr(const struct nlattr *attr, uint8_t family,
		      struct xct_addr *addr)
{
	size_t len = xct_addr_len(family);

	if (mnl_attr_get_payload_len(attr) != len)
		return false;
	memset(addr, 0, sizeof(*addr));
	memcpy(addr->b, mnl_attr_get_payload(attr), len);
	return true;
}

static void on_address(struct xct_netdev *nd, const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct xct_ifaddr a = { .is_seen = true };
	bool has_local = false, has_net = false;
	struct xct_ifaddr *old;
	struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifa) ||
	    (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6))
		return;
	a.ifindex = ifa->ifa_index;
	a.family = ifa->ifa_family;
	a.prefix_len = ifa->ifa_prefixlen;
	a.scope = ifa->ifa_scope;
	a.flags = ifa->ifa_flags;
	mnl_attr_for_each(attr, nlh, sizeof(*ifa)) {
		switch (mnl_attr_get_type(attr)) {
		case IFA_LOCAL:
			has_local = read_addr(attr, a.family, &a.local);
			break;
		case IFA_ADDRESS:
			has_net = read_addr(attr, a.family, &a.net);
			break;
		case IFA_FLAGS:
			if (mnl_attr_get_payload_len(attr) == sizeof(uint32_t))
				a.flags = mnl_attr_get_u32(attr);
			break;
		}
	}
	/* IPv6 has IFA_LOCAL only where there is a peer. */
	if (!has_local && !has_net)
		return;
	if (!has_local)
		a.local = a.net;
	if (!has_net)
		a.net = a.local;

	if (nlh->nlmsg_type == RTM_NEWADDR) {
		put_address(nd, &a);
		return;
	}
	old = find_address(nd, &a);
	if (old)
		drop_address(nd, old);
}

static void on_link(struct xct_netdev *nd, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);

	/* A port that leaves its bridge says "removed", of family AF_BRIDGE. */
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifi) ||
	    ifi->ifi_family != AF_UNSPEC)
		return;
	if (nlh->nlmsg_type == RTM_DELLINK)
		link_removed(nd, (uint32_t)ifi->ifi_index);
	else if (ifi->ifi_flags & IFF_UP)
		link_up(nd, (uint32_t)ifi->ifi_index);
	else
		link_down(nd, (uint32_t)ifi->ifi_index);
}

static int on_message(const struct nlmsghdr *nlh, void *data)
{
	struct xct_netdev *nd = data;

	switch (nlh->nlmsg_type) {
	case RTM_NEWADDR:
	case RTM_DELADDR:
		on_address(nd, nlh);
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link(nd, nlh);
		break;
	}
	return MNL_CB_OK;
}

/* ---------------------------------------------------------------- queries */

/* Read answers to the query numbered nd->seq until @cb or the kernel says that
 * was all. 0 or -errno; -EINTR if the table changed under a dump, which may
 * then have holes. */
static int read_answers(struct xct_netdev *nd, mnl_cb_t cb, void *data)
{
	char buf[RECEIVE_SIZE] __attribute__((aligned(8)));
	bool is_torn = false;

	for (;;) {
		ssize_t got = mnl_socket_recvfrom(nd->query, buf, sizeof(buf));
		const struct nlmsghdr *nlh = (const void *)buf;
		int len = (int)got;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		for (; mnl_nlmsg_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			if (nlh->nlmsg_seq != nd->seq)
				continue; /* of a query that timed out */
			is_torn |= nlh->nlmsg_flags & NLM_F_DUMP_INTR;
			if (nlh->nlmsg_type == NLMSG_DONE)
				return is_torn ? -EINTR : 0;
			if (nlh->nlmsg_type == NLMSG_ERROR)
				return e->error;
			if (cb(nlh, data) == MNL_CB_STOP)
				return 0;
		}
	}
}

static int dump(struct xct_netdev *nd, uint16_t type)
{
	char buf[256] __attribute__((aligned(8)));
	int err = -EINTR;

	for (int i = 0; i < DUMP_ATTEMPTS && err == -EINTR; i++) {
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

		nlh->nlmsg_type = type;
		nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		nlh->nlmsg_seq = ++nd->seq;
		if (type == RTM_GETADDR)
			mnl_nlmsg_put_extra_header(nlh,
						   sizeof(struct ifaddrmsg));
		else
			mnl_nlmsg_put_extra_header(nlh,
						   sizeof(struct ifinfomsg));
		if (mnl_socket_sendto(nd->query, nlh, nlh->nlmsg_len) < 0)
			return -errno;
		err = read_answers(nd, on_message, nd);
	}
	return err;
}

/* Read all again, telling what is gone. */
static int resync(struct xct_netdev *nd)
{
	size_t i = 0;
	int err;

	for (size_t j = 0; j < nd->n; j++)
		nd->addrs[j].is_seen = false;
	nd->is_dumping = true;
	err = dump(nd, RTM_GETADDR);
	nd->is_dumping = false;
	if (err)
		return err;
	while (i < nd->n) {
		if (nd->addrs[i].is_seen)
			i++;
		else
			drop_address(nd, &nd->addrs[i]);
	}
	return dump(nd, RTM_GETLINK);
}

static int on_route(const struct nlmsghdr *nlh, void *data)
{
	struct xct_addr *hop = data;
	struct nlattr *attr;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_STOP;
	mnl_attr_for_each(attr, nlh, sizeof(struct rtmsg)) {
		if (mnl_attr_get_type(attr) == RTA_GATEWAY)
			(void)read_addr(attr, AF_INET, hop); /* else: @dst */
	}
	return MNL_CB_STOP;
}

/* Where a packet to @dst that leaves through @ifindex goes first: a gateway,
 * or @dst itself, also if the kernel does not say. Its lookup takes no lock. */
static struct xct_addr next_hop4(void *ctx, uint32_t ifindex,
				 const struct xct_addr *dst)
{
	struct xct_netdev *nd = ctx;
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct xct_addr hop = *dst;
	struct rtmsg *rtm;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = ++nd->seq;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = AF_INET;
	rtm->rtm_dst_len = 32;
	mnl_attr_put(nlh, RTA_DST, 4, dst->b);
	mnl_attr_put_u32(nlh, RTA_OIF, ifindex);
	if (mnl_socket_sendto(nd->query, nlh, nlh->nlmsg_len) >= 0)
		(void)read_answers(nd, on_route, &hop); /* else: @dst */
	return hop;
}

/* ------------------------------------------------ what the engine asks for */

bool xct_netdev_ifaddr(void *ctx, uint32_t ifindex, uint8_t family,
		       const struct xct_addr *dst, struct xct_addr *addr)
{
	struct xct_netdev *nd = ctx;
	const struct xct_ifaddr *a;

	if (family == AF_INET)
		a = xct_ifaddr_choose4(nd->addrs, nd->n, ifindex, dst,
				       next_hop4, nd);
	else
		a = xct_ifaddr_choose6(nd->addrs, nd->n, ifindex, dst);

	if (!a)
		return false;
	*addr = a->local;
	return true;
}

bool xct_netdev_is_local(void *ctx, uint8_t family, const struct xct_addr *addr)
{
	const struct xct_netdev *nd = ctx;

	for (size_t i = 0; i < nd->n; i++)
		if (nd->addrs[i].family == family &&
		    xct_addr_equal(&nd->addrs[i].local, addr))
			return true;
	return false;
}

enum xct_masq xct_netdev_masq(struct xct_netdev *nd, uint32_t ifindex,
			      uint8_t family, const struct xct_addr *addr)
{
	bool has_other = false;

	if (!find_up(nd, ifindex))
		return XCT_MASQ_AWAITED;
	if (xct_netdev_is_local(nd, family, addr))
		return XCT_MASQ_THERE;
	for (size_t i = 0; i < nd->n; i++)
		has_other |= nd->addrs[i].ifindex == ifindex &&
			     nd->addrs[i].family == family &&
			     xct_ifaddr_is_global(&nd->addrs[i]);
	return has_other ? XCT_MASQ_GONE : XCT_MASQ_AWAITED;
}

/* ------------------------------------------------------------------ names */

/* Read what the interface table's socket has; after an overrun, all again. */
static void catch_links(struct xct_netdev *nd)
{
	bool has_changed = false;

	errno = 0;
	while (nlif_catch(nd->nlif) >= 0)
		has_changed = true;
	if (errno == ENOBUFS) {
		(void)nlif_query(nd->nlif); /* else names come one by one */
		has_changed = true;
	}
	if (has_changed && nd->ops.links_changed)
		nd->ops.links_changed(nd->ops.ctx);
}

bool xct_netdev_ifname(void *ctx, uint32_t ifindex,
		       char name[static XCT_IFNAMSIZ])
{
	struct xct_netdev *nd = ctx;

	if (nlif_index2name(nd->nlif, ifindex, name) >= 0)
		return true;
	catch_links(nd);
	if (nlif_index2name(nd->nlif, ifindex, name) >= 0)
		return true;
	return if_indextoname(ifindex, name) != NULL;
}

/* ------------------------------------------------------------- life cycle */

void xct_netdev_catch(struct xct_netdev *nd)
{
	char buf[RECEIVE_SIZE] __attribute__((aligned(8)));
	bool has_lost = false;
	ssize_t len;

	catch_links(nd);
	for (;;) {
		len = mnl_socket_recvfrom(nd->events, buf, sizeof(buf));
		if (len >= 0)
			(void)mnl_cb_run(buf, (size_t)len, 0, 0, on_message,
					 nd); /* malformed: skipped */
		else if (errno == ENOBUFS)
			has_lost = true;
		else if (errno != EINTR)
			break;
	}
	/* If this fails the next change tries again. */
	if (has_lost)
		(void)resync(nd);
}

static int open_names(struct xct_netdev *nd)
{
	int fd;

	errno = 0;
	nd->nlif = nlif_open();
	if (!nd->nlif)
		return errno ? -errno : -ENOMEM;
	fd = nlif_fd(nd->nlif);
	if (nlif_query(nd->nlif) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

static int open_events(struct xct_netdev *nd)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
				      RTNLGRP_IPV6_IFADDR };
	int size = EVENT_BUFFER;

	nd->events =
		mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!nd->events ||
	    mnl_socket_bind(nd->events, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* Refused without CAP_NET_ADMIN: then overruns come sooner. */
	(void)setsockopt(mnl_socket_get_fd(nd->events), SOL_SOCKET,
			 SO_RCVBUFFORCE, &size, sizeof(size));
	for (size_t i = 0; i < XCT_ARRAY_SIZE(groups); i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(nd->events, NETLINK_ADD_MEMBERSHIP,
					  &group, sizeof(group)) < 0)
			return -errno;
	}
	return 0;
}

static int open_query(struct xct_netdev *nd)
{
	struct timeval timeout = { .tv_sec = QUERY_TIMEOUT };

	nd->query = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nd->query ||
	    mnl_socket_bind(nd->query, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(nd->query), SOL_SOCKET, SO_RCVTIMEO,
		       &timeout, sizeof(timeout)) < 0)
		return -errno;
	return 0;
}

int xct_netdev_new(struct xct_netdev **ndp, const struct xct_netdev_ops *ops)
{
	struct xct_netdev *nd = calloc(1, sizeof(*nd));
	int err;

	if (!nd)
		return -ENOMEM;
	nd->named[0].has_all = nd->named[1].has_all = true;
	err = open_names(nd);
	if (!err)
		err = open_events(nd); /* before the dump: nothing is missed */
	if (!err)
		err = open_query(nd);
	if (!err)
		err = resync(nd);
	if (err) {
		xct_netdev_free(nd);
		return err;
	}
	nd->ops = *ops; /* only now: nobody masqueraded to what was down */
	*ndp = nd;
	return 0;
}

void xct_netdev_free(struct xct_netdev *nd)
{
	if (!nd)
		return;
	if (nd->query)
		mnl_socket_close(nd->query);
	if (nd->events)
		mnl_socket_close(nd->events);
	if (nd->nlif)
		nlif_close(nd->nlif);
	free(nd->addrs);
	free(nd->up);
	free(nd);
}

int xct_netdev_link_fd(const struct xct_netdev *nd)
{
	return nlif_fd(nd->nlif);
}

int xct_netdev_addr_fd(const struct xct_netdev *nd)
{
	return mnl_socket_get_fd(nd->events);
}
