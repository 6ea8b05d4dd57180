/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hooks in the language of iptables-restore and iptables-save. */
#ifndef XCT_DAEMON_HOOKS_TEXT_H
#define XCT_DAEMON_HOOKS_TEXT_H

#include "daemon/hooks_plan.h"

#define XCT_HOOKCHAINS 8 /* of our own */
#define XCT_HOOKJUMPS  7 /* to them */
#define XCT_HOOKTABLES 2

extern const char *const xct_hooktables[XCT_HOOKTABLES];

/* What this kernel is able to do, in the words of iptables. */
struct xct_hookabilities {
	const char *defrag; /* see defrags[]; NULL: none of them */
	bool is_tracking;   /* and it has the kernel track connections */
	const char *dying;  /* see xct_hooks_dying; NULL: cannot */
};

/* Of IPv4 and of IPv6: no hop is left, and it is not for this host nor for
 * many, so it was to be forwarded. */
extern const char *const xct_hooks_dying[2];

/* What iptables-save shows of ours. */
struct xct_hooksurvey {
	unsigned int jumps[XCT_HOOKJUMPS]; /* how often each is there */
	bool chains[XCT_HOOKCHAINS];
	unsigned int rules[XCT_HOOKCHAINS]; /* how many are in each */
};

/*
 * What puts @plan in place, as input of iptables-restore --noflush: the
 * contents of the chains, and the jumps that @survey (NULL: nothing is there)
 * does not show. Caller frees; NULL: no memory.
 */
char *xct_hooktext_install(const struct xct_hookplan *plan,
			   const struct xct_settings *settings,
			   unsigned int workers,
			   const struct xct_hooksurvey *survey,
			   const struct xct_hookabilities *able);

/* What takes the jumps away that @survey, of family @af, shows, and empties the
 * chains. Caller frees; NULL: no memory. */
char *xct_hooktext_remove(const struct xct_hooksurvey *survey, int af);

/* Then the chains that @survey shows may be deleted. As above. */
char *xct_hooktext_remove_chains(const struct xct_hooksurvey *survey);

/* Note in @survey, zeroed at first, what iptables-save shows of @table. @saved
 * is taken apart. */
void xct_hooksurvey_note(struct xct_hooksurvey *survey, int table, char *saved);

bool xct_hooksurvey_is_empty(const struct xct_hooksurvey *survey);

/* Does @survey show as many rules in each chain as @text, which was installed
 * with @able, and the jumps to them? Who removes hooks flushes or deletes. */
bool xct_hooksurvey_has(const struct xct_hooksurvey *survey, const char *text,
			const struct xct_hookabilities *able);

/* Are any hooks in this chain of this table (iptables' names)? @chain NULL:
 * in any chain of it. */
bool xct_hooks_are_in(const char *table, const char *chain);

#endif
