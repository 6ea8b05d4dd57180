/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the early hooks have to queue, as the policy wants it. */
#ifndef XCT_DAEMON_HOOKS_PLAN_H
#define XCT_DAEMON_HOOKS_PLAN_H

#include "daemon/config.h"
#include "daemon/ifaddr.h"

/* Different strings, in the order they came. */
struct xct_strset {
	char **v;
	size_t n;
};

struct xct_hookplan {
	/* Selectors, each "" or with a final space: */
	struct xct_strset masq; /* addresses that are masqueraded to */
	struct xct_strset pre;	/* all else */
	bool has_out;		/* connections of this host may be redirected */
};

/* What is addressed to this host. */
#define XCT_HOOKPLAN_LOCAL "-m addrtype --dst-type LOCAL "

/* Of one family, from a zeroed @plan. @own: this host's addresses; NULL, or
 * short: whatever they are. 0 or -ENOMEM; then @plan holds a part, and is to be
 * ended too. */
int xct_hookplan_build(struct xct_hookplan *plan, const struct xct_ruleset *rs,
		       int af, const struct xct_ifaddr_set *own);

/* Have @plan queue what @other does, too; but flows end with the address that
 * they are masqueraded to, so where both masquerade @plan knows better what
 * addresses there are. As above. */
int xct_hookplan_merge(struct xct_hookplan *plan,
		       const struct xct_hookplan *other);

/* Have @plan queue what is addressed to this host, whatever the policy wants.
 * As above. */
int xct_hookplan_add_local(struct xct_hookplan *plan);

/* Have it queue what @selector says. As above. */
int xct_hookplan_add(struct xct_hookplan *plan, const char *selector);

/* Does it queue all that is addressed to this host? */
bool xct_hookplan_has_local(const struct xct_hookplan *plan);

void xct_hookplan_fini(struct xct_hookplan *plan);

#endif
