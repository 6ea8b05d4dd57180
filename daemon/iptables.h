/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs iptables-restore and iptables-save, or with @af AF_INET6 those of
 * ip6tables. All return 0, or -errno with @error (caller frees) saying what
 * failed and what to do.
 */
#ifndef XCT_DAEMON_IPTABLES_H
#define XCT_DAEMON_IPTABLES_H

/* With --noflush. */
int xct_iptables_restore(int af, const char *text, char **error);

/* Caller frees @text in any case. */
int xct_iptables_save(int af, const char *table, char **text, char **error);

#endif
