/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the early hooks have to queue, as the policy wants it. */
#ifndef XCT_DAEMON_HOOKS_PLAN_H
#define XCT_DAEMON_HOOKS_PLAN_H

#include "daemon/config.h"

/* Different strings, in the order they came. */
struct xct_strset {
	char **v;
	size_t n;
};

struct xct_hookplan {
	struct xct_strset pre; /* selectors, each "" or with a final space */
	bool has_out;	       /* connections of this host may be redirected */
};

/* What is addressed to this host. */
#define XCT_HOOKPLAN_LOCAL "-m addrtype --dst-type LOCAL "

/* Of one family, from a zeroed @plan. 0 or -ENOMEM; then @plan holds a part,
 * and is to be ended too. */
int xct_hookplan_build(struct xct_hookplan *plan, const struct xct_ruleset *rs,
		       int af);

/* Have @plan queue what @other does, too. As above. */
int xct_hookplan_merge(struct xct_hookplan *plan,
		       const struct xct_hookplan *other);

/* Have @plan queue what is addressed to this host, whatever the policy wants.
 * As above. */
int xct_hookplan_add_local(struct xct_hookplan *plan);

/* Have it queue what @selector says. As above. */
int xct_hookplan_add(struct xct_hookplan *plan, const char *selector);

void xct_hookplan_fini(struct xct_hookplan *plan);

#endif
