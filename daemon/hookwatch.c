/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watches over the hooks.
 *
 * Theory of operation: nf_tables tells whoever listens what is deleted. If that
 * may have been ours (not every rule in these tables: others change theirs all
 * the time) the hooks are looked at, at most four times a second, and installed
 * again where something is missing. The old iptables tells nobody, so they are
 * looked at every half minute in any case. What xctd itself changes is told as
 * well; then a look finds everything in its place.
 */
#include "daemon/hookwatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "daemon/hooks_text.h"
#include "daemon/log.h"

#define DOUBT_MS   250	 /* between two looks where there is doubt */
#define ROUTINE_MS 30000 /* .. and where there is none */

void xct_hookwatch_open(struct xct_hookwatch *watch)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int group = NFNLGRP_NFTABLES;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_NETFILTER);

	*watch = (struct xct_hookwatch){ .fd = fd };
	if (fd >= 0 &&
	    bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	    setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
		       sizeof(group)) == 0)
		return;
	xct_log(LOG_DEBUG, "no notifications of nf_tables: %s",
		strerror(errno));
	xct_hookwatch_close(watch);
}

void xct_hookwatch_close(struct xct_hookwatch *watch)
{
	if (watch->fd >= 0)
		(void)close(watch->fd); /* nothing to lose */
	watch->fd = -1;
}

/* The string in attribute @type of @nlh, or "". */
static const char *text_of(const struct nlmsghdr *nlh, uint16_t type)
{
	struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == type &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0)
			return mnl_attr_get_str(attr);
	}
	return "";
}

/* May this deletion have been of something of ours? */
static bool is_about_hooks(const struct nlmsghdr *nlh)
{
	const char *table = "", *chain = "";

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nfgenmsg))
		return false;
	switch (nlh->nlmsg_type) {
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE:
		return xct_hooks_are_in(text_of(nlh, NFTA_TABLE_NAME), NULL);
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELCHAIN:
		table = text_of(nlh, NFTA_CHAIN_TABLE);
		chain = text_of(nlh, NFTA_CHAIN_NAME);
		return xct_hooks_are_in(table, chain);
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELRULE:
		table = text_of(nlh, NFTA_RULE_TABLE);
		chain = text_of(nlh, NFTA_RULE_CHAIN);
		return xct_hooks_are_in(table, chain);
	default:
		return false;
	}
}

void xct_hookwatch_read(struct xct_hookwatch *watch)
{
	_Alignas(struct nlmsghdr) char buf[16384];
	const struct nlmsghdr *nlh;
	ssize_t got;
	int len;

	for (;;) {
		got = recv(watch->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno != ENOBUFS)
			return;
		if (got < 0)
			watch->is_doubtful = true; /* some were lost */
		nlh = (const void *)buf;
		len = (int)got;
		for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
			watch->is_doubtful |= is_about_hooks(nlh);
	}
}

void xct_hookwatch_look(struct xct_hookwatch *watch, struct xct_hooks *hooks,
			const struct xct_config *config, unsigned int workers,
			xct_msec now)
{
	xct_msec pause = watch->is_doubtful ? DOUBT_MS : ROUTINE_MS;
	char *error = NULL;
	int ret;

	if (config->settings.hooks != XCT_HOOKS_AUTO ||
	    now - watch->looked_at < pause)
		return;
	watch->looked_at = now;
	watch->is_doubtful = false;
	ret = xct_hooks_check(hooks, &error);
	if (ret > 0)
		return;
	if (ret == 0) {
		xct_log(LOG_WARNING,
			"another program has removed hooks: packets have "
			"passed unseen; putting them back");
		ret = xct_hooks_install(hooks, config, workers, &error);
		if (ret == 0)
			watch->n_restored++;
	}
	if (ret < 0) {
		xct_log(LOG_ERR, "cannot keep the hooks in place: %s",
			error ? error : strerror(-ret));
		watch->is_doubtful = true; /* try again */
	}
	free(error);
}
