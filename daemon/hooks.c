/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plans, installs and removes the iptables rules that queue packets.
 *
 * Theory of operation
 *
 * A packet should cross the queue once. Its source is translated, and its
 * connection filtered, at a late hook (INPUT, POSTROUTING), which sees every
 * packet; its destination must be translated at an early hook (PREROUTING,
 * OUTPUT), before it is routed. So the late hooks queue everything that is not
 * marked as done, and the early ones only what may need its destination changed
 * there: what is addressed to this host, if something is masqueraded, to an
 * address that snat hands out, or to what a dnat or redirect rule asks for
 * (hooks_plan.c). This host's addresses are named one by one (masq.h).
 *
 * Two bits of the packet mark tell a late hook what an early one did. They are
 * cleared at the end of the packet's way (XCT-DONE), so that a packet put into
 * or taken out of a tunnel, which inherits its mark, is looked at afresh.
 *
 * Some rules need what not all kernels have, and xct can do without: that is
 * tried out first, once.
 *
 * Deleting a base chain, in any table, makes the kernel drop what waits in
 * every queue. So base chains and the jumps in them are only ever added, once;
 * a reload refills the chains jumped to, atomically. A selector, once
 * installed, stays while flows may live that were translated because of it:
 * until xct_hooks_forget(). An xctd that adopts flows is told what its
 * predecessor had selected, since its own configuration may be another.
 *
 * iptables-save tells what is there already, also after an xctd that was
 * killed.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/hooks.h"
#include "daemon/hooks_text.h"
#include "daemon/iptables.h"

enum family { V4, V6, FAMILIES };

/*
 * Where a rule with one of these is, though nothing leads there, the kernel
 * puts fragments together before all hooks. The first that works is used: the
 * last one also makes the kernel look at each packet for a connection, though
 * it is told to track none.
 */
static const char *const defrags[] = {
	"-m socket -j RETURN",
	"-p udp -j TPROXY --on-port 1",
	"-m conntrack --ctstate UNTRACKED -j RETURN",
};
#define TRACKING 2 /* of them */

struct installed {
	struct xct_ifaddr_set own; /* this host's addresses */
	struct xct_hookplan kept;  /* all that was selected since forget() */
	size_t newest_n;	   /* selectors of the newest configuration */
	bool newest_out;	   /* .. and its has_out */
	char *text; /* contents of the chains, NULL: not installed */
	struct xct_hookabilities able;
};

struct xct_hooks {
	struct installed families[FAMILIES];
};

static int af_of(enum family f)
{
	return f == V4 ? AF_INET : AF_INET6;
}

static int survey_take(struct xct_hooksurvey *survey, enum family f,
		       char **error)
{
	int rc = 0;

	memset(survey, 0, sizeof(*survey));
	for (int t = 0; t < XCT_HOOKTABLES && !rc; t++) {
		char *text;

		rc = xct_iptables_save(af_of(f), xct_hooktables[t], &text,
				       error);
		if (!rc)
			xct_hooksurvey_note(survey, t, text);
		free(text);
	}
	return rc;
}

/* A host without IPv6 needs no hooks for it. Through self: where only processes
 * are shown in /proc, it is there. */
static bool has_family(enum family f)
{
	return f == V4 || access("/proc/self/net/if_inet6", F_OK) == 0;
}

/* Does this kernel take @rule in the mangle table? */
static bool can(enum family f, const char *rule)
{
	char *why = NULL, *text;
	bool is_taken;

	if (asprintf(&text,
		     "*mangle\n:XCT-PROBE - [0:0]\n-A XCT-PROBE %s\n"
		     "-F XCT-PROBE\n-X XCT-PROBE\nCOMMIT\n",
		     rule) < 0)
		return false;
	is_taken = xct_iptables_restore(af_of(f), text, &why) == 0;
	free(text);
	free(why);
	return is_taken;
}

static void probe(struct xct_hookabilities *able, enum family f)
{
	*able = (struct xct_hookabilities){ .defrag = NULL };
	for (size_t i = 0; i < XCT_ARRAY_SIZE(defrags) && !able->defrag; i++)
		if (can(f, defrags[i]))
			able->defrag = defrags[i];
	able->is_tracking = able->defrag == defrags[TRACKING];
	if (can(f, xct_hooks_dying[f]))
		able->dying = xct_hooks_dying[f];
}

/* -------------------------------------------------------------- removing */

static int remove_at_once(enum family f, const struct xct_hooksurvey *survey,
			  char **error)
{
	char *text = xct_hooktext_remove_chains(survey);
	int rc;

	if (!text)
		return -ENOMEM;
	rc = xct_iptables_restore(af_of(f), text, error);
	free(text);
	return rc;
}

/* Delete the chains, which are empty and not jumped to by us. Somebody else's
 * rule may still name one: that must not keep the rest. */
static int remove_chains(enum family f, const struct xct_hooksurvey *survey,
			 char **error)
{
	struct xct_hooksurvey left;
	char *why = NULL;
	int rc = remove_at_once(f, survey, &why);

	free(why);
	if (!rc)
		return 0;
	rc = survey_take(&left, f, error);
	if (rc)
		return rc;
	for (size_t i = 0; i < XCT_HOOKCHAINS; i++) {
		struct xct_hooksurvey one = { 0 };
		int err;

		if (!left.chains[i])
			continue;
		one.chains[i] = true;
		why = NULL;
		err = remove_at_once(f, &one, &why);
		if (err && !rc) {
			rc = err;
			*error = why;
			why = NULL;
		}
		free(why);
	}
	return rc;
}

static int remove_family(enum family f, char **error)
{
	struct xct_hooksurvey survey;
	char *text;
	int rc;

	rc = survey_take(&survey, f, error);
	if (rc || xct_hooksurvey_is_empty(&survey))
		return rc;
	text = xct_hooktext_remove(&survey, af_of(f));
	if (!text)
		return -ENOMEM;
	rc = xct_iptables_restore(af_of(f), text, error);
	free(text);
	return rc ? rc : remove_chains(f, &survey, error);
}

/* An abstract socket's name is unique in a network namespace, as hooks are. */
int xct_hooks_lock(void)
{
	static const char name[] = "\0xctd-hooks";
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len =
		offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	memcpy(addr.sun_path, name, sizeof(name) - 1);
	if (bind(fd, (const struct sockaddr *)&addr, len) == 0)
		return fd;
	err = -errno;
	(void)close(fd);
	return err;
}

int xct_hooks_remove(struct xct_hooks *hooks, char **error)
{
	int rc = 0;

	*error = NULL;
	for (int f = 0; f < FAMILIES; f++) {
		struct installed *in = &hooks->families[f];
		char *why = NULL;
		int err = 0;

		if (has_family((enum family)f))
			err = remove_family((enum family)f, &why);
		if (err && !rc) {
			rc = err;
			*error = why;
			why = NULL;
		}
		free(why);
		xct_hookplan_fini(&in->kept);
		free(in->text);
		*in = (struct installed){ .own = { .is_short = true } };
	}
	return rc;
}

/* ------------------------------------------------------------ installing */

/* One family on its way from planned to installed. */
struct change {
	struct xct_hookplan plan; /* the new one and what is kept */
	size_t newest_n;
	bool newest_out;
	struct xct_hooksurvey before;
	char *text; /* contents of the chains, without jumps */
	bool is_applied;
};

static int change_prepare(struct change *change, const struct installed *in,
			  const struct xct_config *config, unsigned int workers,
			  enum family f, char **error)
{
	struct xct_hooksurvey all;
	int err;

	err = xct_hookplan_build(&change->plan, &config->ruleset, af_of(f),
				 &in->own);
	if (err)
		return err;
	change->newest_n = change->plan.pre.n;
	change->newest_out = change->plan.has_out;
	err = xct_hookplan_merge(&change->plan, &in->kept);
	if (err)
		return err;
	memset(&all, 1, sizeof(all)); /* every jump is there: write none */
	change->text = xct_hooktext_install(&change->plan, &config->settings,
					    workers, &all, &in->able);
	if (!change->text)
		return -ENOMEM;
	return survey_take(&change->before, f, error);
}

static int change_apply(struct change *change, const struct installed *in,
			const struct xct_config *config, unsigned int workers,
			enum family f, char **error)
{
	char *text = xct_hooktext_install(&change->plan, &config->settings,
					  workers, &change->before, &in->able);
	int err;

	if (!text)
		return -ENOMEM;
	change->is_applied = true; /* perhaps one of the two tables */
	err = xct_iptables_restore(af_of(f), text, error);
	free(text);
	return err;
}

/* Go back to what was there. That is best effort: the first failure, which
 * has been reported, matters more than a second one. */
static void change_undo(struct change *change, const struct installed *in,
			enum family f)
{
	char *why = NULL;

	if (!change->is_applied)
		return;
	if (in->text)
		(void)xct_iptables_restore(af_of(f), in->text, &why);
	else if (xct_hooksurvey_is_empty(&change->before))
		(void)remove_family(f, &why);
	free(why);
}

static void change_commit(struct change *change, struct installed *in)
{
	xct_hookplan_fini(&in->kept);
	free(in->text);
	in->kept = change->plan;
	in->newest_n = change->newest_n;
	in->newest_out = change->newest_out;
	in->text = change->text;
	change->plan = (struct xct_hookplan){ .has_out = false };
	change->text = NULL;
}

int xct_hooks_install(struct xct_hooks *hooks, const struct xct_config *config,
		      unsigned int workers, char **error)
{
	struct change changes[FAMILIES] = { 0 };
	bool has[FAMILIES];
	int err = 0;

	*error = NULL;
	for (int f = 0; f < FAMILIES && !err; f++) {
		has[f] = has_family((enum family)f);
		if (has[f] && !hooks->families[f].text)
			probe(&hooks->families[f].able, (enum family)f);
		if (has[f])
			err = change_prepare(&changes[f], &hooks->families[f],
					     config, workers, (enum family)f,
					     error);
	}
	for (int f = 0; f < FAMILIES && !err; f++)
		if (has[f])
			err = change_apply(&changes[f], &hooks->families[f],
					   config, workers, (enum family)f,
					   error);
	for (int f = 0; f < FAMILIES; f++) {
		if (err)
			change_undo(&changes[f], &hooks->families[f],
				    (enum family)f);
		else if (has[f])
			change_commit(&changes[f], &hooks->families[f]);
		xct_hookplan_fini(&changes[f].plan);
		free(changes[f].text);
	}
	if (err == -ENOMEM && !*error)
		*error = strdup("no memory to plan the hooks");
	return err;
}

/* -------------------------------------------------------------- checking */

int xct_hooks_check(const struct xct_hooks *hooks, char **error)
{
	struct xct_hooksurvey survey;
	int ret;

	*error = NULL;
	for (int f = 0; f < FAMILIES; f++) {
		const struct installed *in = &hooks->families[f];

		if (!in->text)
			continue;
		ret = survey_take(&survey, (enum family)f, error);
		if (ret)
			return ret < 0 ? ret : -EIO;
		if (!xct_hooksurvey_has(&survey, in->text, &in->able))
			return 0;
	}
	return 1;
}

/* -------------------------------------------------------- the small ones */

char *xct_hooks_render(const struct xct_hooks *hooks,
		       const struct xct_config *config, unsigned int workers,
		       uint8_t family)
{
	enum family f = family == AF_INET ? V4 : V6;
	struct xct_hookabilities able = { defrags[0], false,
					  xct_hooks_dying[f] };
	struct xct_hookplan plan = { .has_out = false };
	char *text = NULL;
	int err;

	err = xct_hookplan_build(&plan, &config->ruleset, family,
				 hooks ? &hooks->families[f].own : NULL);
	if (!err && hooks)
		err = xct_hookplan_merge(&plan, &hooks->families[f].kept);
	if (hooks && hooks->families[f].text)
		able = hooks->families[f].able;
	if (!err)
		text = xct_hooktext_install(&plan, &config->settings, workers,
					    NULL, &able);
	xct_hookplan_fini(&plan);
	return text;
}

struct xct_hooks *xct_hooks_new(void)
{
	struct xct_hooks *hooks = calloc(1, sizeof(*hooks));

	for (int f = 0; hooks && f < FAMILIES; f++)
		hooks->families[f].own.is_short = true;
	return hooks;
}

void xct_hooks_free(struct xct_hooks *hooks)
{
	if (!hooks)
		return;
	for (int f = 0; f < FAMILIES; f++) {
		xct_hookplan_fini(&hooks->families[f].kept);
		free(hooks->families[f].text);
	}
	free(hooks);
}

void xct_hooks_set_own(struct xct_hooks *hooks, uint8_t family,
		       const struct xct_ifaddr_set *own)
{
	hooks->families[family == AF_INET ? V4 : V6].own = *own;
}

const struct xct_ifaddr_set *xct_hooks_own(const struct xct_hooks *hooks,
					   uint8_t family)
{
	const struct installed *in =
		&hooks->families[family == AF_INET ? V4 : V6];

	return in->kept.masq.n > 0 && !xct_hookplan_has_local(&in->kept)
		       ? &in->own
		       : NULL;
}

int xct_hooks_widen(struct xct_hooks *hooks)
{
	int ret = 0;

	for (int f = 0; f < FAMILIES; f++) {
		struct installed *in = &hooks->families[f];

		if (xct_hookplan_add_local(&in->kept) < 0)
			return -ENOMEM;
		if (in->text && !strstr(in->text, XCT_HOOKPLAN_LOCAL))
			ret = 1;
	}
	return ret;
}

bool xct_hooks_can_defrag(const struct xct_hooks *hooks)
{
	for (int f = 0; f < FAMILIES; f++)
		if (hooks->families[f].text && !hooks->families[f].able.defrag)
			return false;
	return true;
}

bool xct_hooks_has_retained(const struct xct_hooks *hooks)
{
	for (int f = 0; f < FAMILIES; f++) {
		const struct installed *in = &hooks->families[f];

		if (in->kept.pre.n > in->newest_n ||
		    in->kept.has_out != in->newest_out)
			return true;
	}
	return false;
}

/* "4 -d 192.0.2.1 ", "6 out" */
#define OUT "out"

static void print_selectors(FILE *file, enum family f,
			    const struct xct_strset *selectors)
{
	for (size_t i = 0; i < selectors->n; i++)
		fprintf(file, "%c %s\n", f == V4 ? '4' : '6', selectors->v[i]);
}

char *xct_hooks_selected(const struct xct_hooks *hooks)
{
	char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);

	if (!file)
		return NULL;
	for (int f = 0; f < FAMILIES; f++) {
		const struct xct_hookplan *plan = &hooks->families[f].kept;

		print_selectors(file, (enum family)f, &plan->masq);
		print_selectors(file, (enum family)f, &plan->pre);
		if (plan->has_out)
			fprintf(file, "%c " OUT "\n", f == V4 ? '4' : '6');
	}
	if (fclose(file) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

int xct_hooks_retain(struct xct_hooks *hooks, const char *text)
{
	char *copy = strdup(text), *line, *save;
	int err = copy ? 0 : -ENOMEM;

	for (line = copy ? strtok_r(copy, "\n", &save) : NULL; line && !err;
	     line = strtok_r(NULL, "\n", &save)) {
		enum family f = line[0] == '4' ? V4 : V6;
		struct xct_hookplan *plan = &hooks->families[f].kept;

		if (line[0] == '\0' || line[1] != ' ')
			continue; /* none that was written above */
		if (strcmp(line + 2, OUT) == 0)
			plan->has_out = true;
		else
			err = xct_hookplan_add(plan, line + 2);
	}
	free(copy);
	return err;
}

void xct_hooks_forget(struct xct_hooks *hooks)
{
	for (int f = 0; f < FAMILIES; f++) {
		xct_hookplan_fini(&hooks->families[f].kept);
		hooks->families[f].newest_n = 0;
		hooks->families[f].newest_out = false;
	}
}
