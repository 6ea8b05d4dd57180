/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules in iptables and ip6tables that send packets to xctd: planned from
 * the policy, installed by iptables-restore in one transaction a table, in
 * chains of their own.
 */
#ifndef XCT_DAEMON_HOOKS_H
#define XCT_DAEMON_HOOKS_H

#include "daemon/config.h"
#include "daemon/ifaddr.h"

struct xct_hooks; /* opaque: what is installed, and what must not be narrowed */

struct xct_hooks *xct_hooks_new(void);
void xct_hooks_free(struct xct_hooks *hooks); /* NULL accepted */

/*
 * What would be installed for @config, as input of iptables-restore --noflush
 * (@family AF_INET) or ip6tables-restore (AF_INET6). @workers is the number of
 * queues. @hooks may be NULL: then nothing is kept from earlier plans. Caller
 * frees. NULL: no memory.
 */
char *xct_hooks_render(const struct xct_hooks *hooks,
		       const struct xct_config *config, unsigned int workers,
		       uint8_t family);

/*
 * Install, or change to, the plan for @config. What earlier plans selected for
 * translation stays selected until xct_hooks_forget(). 0, or -errno with
 * @error (caller frees) saying what failed and what to do. A failure leaves
 * what was installed before.
 */
int xct_hooks_install(struct xct_hooks *hooks, const struct xct_config *config,
		      unsigned int workers, char **error);

/*
 * This host's addresses of @family: what is masqueraded is answered to one of
 * them, and install() has these selected by name. Until this is called, and
 * where there are too many, all that is addressed to this host is selected.
 */
void xct_hooks_set_own(struct xct_hooks *hooks, uint8_t family,
		       const struct xct_ifaddr_set *own);

/* Which of them the hooks that are installed select. NULL: whatever there
 * is, or nothing is masqueraded. */
const struct xct_ifaddr_set *xct_hooks_own(const struct xct_hooks *hooks,
					   uint8_t family);

/* Is everything still there that install() has put there? 1: yes; 0: no, call
 * it again; or -errno with @error as above. */
int xct_hooks_check(const struct xct_hooks *hooks, char **error);

/*
 * Flows may be translated that no rule asks for, such as one entered by hand:
 * select what is addressed to this host, until xct_hooks_forget(). 1: call
 * install() next; 0: that is installed already; or -ENOMEM.
 */
int xct_hooks_widen(struct xct_hooks *hooks);

/* Do the installed hooks make the kernel put fragments together? */
bool xct_hooks_can_defrag(const struct xct_hooks *hooks);

/* Does the installed plan hold more than the newest configuration needs? */
bool xct_hooks_has_retained(const struct xct_hooks *hooks);

/*
 * What is selected for translation, a line each, for a successor: caller frees;
 * NULL: no memory. It goes on with that by retain(), before its first
 * install(). 0 or -ENOMEM.
 */
char *xct_hooks_selected(const struct xct_hooks *hooks);
int xct_hooks_retain(struct xct_hooks *hooks, const char *text);

/* Forget earlier plans: no live flow needs them. Call install() next. */
void xct_hooks_forget(struct xct_hooks *hooks);

/*
 * Two daemons would change, and at last remove, each other's hooks: who manages
 * those of this network namespace holds a lock, which goes with the process.
 * Its descriptor, -EADDRINUSE where another xctd has it, or another -errno.
 */
int xct_hooks_lock(void);

/* Take everything away: jumps, chains. Base chains stay. 0 or -errno. */
int xct_hooks_remove(struct xct_hooks *hooks, char **error);

#endif
