/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What xctd says to iptables-restore, and what iptables-save says of it.
 */
#include "daemon/hooks_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/*
 * Theory of operation. Chains of our own are refilled as a whole; what leads to
 * them, in chains that others use as well, stays as it was added. A packet pays
 * 40 to 50 ns for each jump, so the one to selectors is there only if there are
 * some, and what has no hop left is told apart before it.
 */
enum table { RAW, MANGLE };

enum chain { C_RAW, C_PRE, C_EARLY, C_IN, C_OUT, C_POST, C_DONE, C_DEFRAG };

const char *const xct_hooktables[XCT_HOOKTABLES] = { "raw", "mangle" };

static const struct {
	enum table table;
	const char *name;
} chains[] = {
	[C_RAW] = { RAW, "XCT-RAW" },
	[C_PRE] = { MANGLE, "XCT-PRE" },
	[C_EARLY] = { MANGLE, "XCT-EARLY" },
	[C_IN] = { MANGLE, "XCT-IN" },
	[C_OUT] = { MANGLE, "XCT-OUT" },
	[C_POST] = { MANGLE, "XCT-POST" },
	[C_DONE] = { MANGLE, "XCT-DONE" },
	[C_DEFRAG] = { MANGLE, "XCT-DEFRAG" },
};

/* That to XCT-EARLY is for what dies here. */
static const struct {
	const char *base;
	enum chain chain;
} jumps[] = {
	{ "PREROUTING", C_RAW },   { "OUTPUT", C_RAW }, { "PREROUTING", C_PRE },
	{ "PREROUTING", C_EARLY }, { "INPUT", C_IN },	{ "OUTPUT", C_OUT },
	{ "POSTROUTING", C_POST },
};

const char *const xct_hooks_dying[2] = {
	"-m ttl --ttl-lt 2 -m addrtype --dst-type UNICAST ",
	"-m hl --hl-lt 2 -m addrtype --dst-type UNICAST ",
};

_Static_assert(XCT_ARRAY_SIZE(chains) == XCT_HOOKCHAINS &&
		       XCT_ARRAY_SIZE(jumps) == XCT_HOOKJUMPS,
	       "a survey has room for all");

static void write_chains(FILE *f, enum table table)
{
	for (size_t i = 0; i < XCT_HOOKCHAINS; i++)
		if (chains[i].table == table)
			fprintf(f, ":%s - [0:0]\n", chains[i].name);
}

/* All of this host's addresses are asked for, or some. */
static size_t n_selectors(const struct xct_hookplan *plan)
{
	return plan->pre.n + (xct_hookplan_has_local(plan) ? 0 : plan->masq.n);
}

/*
 * Must the kernel track nothing? With no rules in XCT-PRE and in XCT-OUT nothing
 * is translated, and it may track for others what is tracked here; for us alone
 * it shall not.
 */
static bool is_exclusive(size_t n_pre, size_t n_out,
			 const struct xct_hookabilities *able)
{
	return n_pre > 0 || n_out > 0 || able->is_tracking;
}

static bool is_wanted(size_t jump, size_t n_pre, size_t n_out,
		      const struct xct_hookabilities *able)
{
	switch (jumps[jump].chain) {
	case C_RAW:
		return is_exclusive(n_pre, n_out, able);
	case C_PRE:
		return n_pre > 0;
	case C_EARLY:
		return able->dying;
	default:
		return true;
	}
}

/* @dying: of xct_hooks_dying. */
static void format_jump(char *s, size_t size, char command, size_t jump,
			const char *dying)
{
	snprintf(s, size, "-%c %s %s-j %s", command, jumps[jump].base,
		 jumps[jump].chain == C_EARLY ? dying : "",
		 chains[jumps[jump].chain].name);
}

static void write_jump(FILE *f, char command, size_t jump, const char *dying)
{
	char s[128];

	format_jump(s, sizeof(s), command, jump, dying);
	fprintf(f, "%s\n", s);
}

/* Those that are wanted and that @survey (NULL: nothing is there) does not
 * show. */
static void write_jumps(FILE *f, enum table table,
			const struct xct_hookplan *plan,
			const struct xct_hooksurvey *survey,
			const struct xct_hookabilities *able)
{
	for (size_t i = 0; i < XCT_HOOKJUMPS; i++)
		if (chains[jumps[i].chain].table == table &&
		    is_wanted(i, n_selectors(plan), plan->has_out, able) &&
		    !(survey && survey->jumps[i]))
			write_jump(f, 'A', i, able->dying);
}

static void format_queue(char *s, size_t size,
			 const struct xct_settings *settings,
			 unsigned int workers)
{
	unsigned int first = settings->queue_first;
	const char *bypass = settings->fail_open ? " --queue-bypass" : "";

	if (workers > 1)
		snprintf(s, size, "-j NFQUEUE --queue-balance %u:%u%s", first,
			 first + workers - 1, bypass);
	else
		snprintf(s, size, "-j NFQUEUE --queue-num %u%s", first, bypass);
}

static void write_selectors(FILE *f, const struct xct_strset *selectors)
{
	for (size_t i = 0; i < selectors->n; i++)
		fprintf(f, "-A XCT-PRE %s-g XCT-EARLY\n", selectors->v[i]);
}

static void write_mangle(FILE *f, const struct xct_hookplan *plan,
			 const struct xct_settings *settings,
			 unsigned int workers,
			 const struct xct_hookabilities *able)
{
	uint32_t mask = settings->mark_mask;
	uint32_t done = XCT_STAGE_DONE * (mask & -mask);
	char queue[80];

	format_queue(queue, sizeof(queue), settings, workers);

	/* Most packets that are queued early match one of these. */
	if (!xct_hookplan_has_local(plan))
		write_selectors(f, &plan->masq);
	write_selectors(f, &plan->pre);
	/* Names are dear to compare in nf_tables: of the packets that only pass
	 * through, none is asked whether it came in by "lo". */
	fprintf(f, "-A XCT-EARLY ! -i lo %s\n", queue);

	fprintf(f, "-A XCT-IN -i lo -j RETURN\n");
	fprintf(f, "-A XCT-IN -m mark --mark 0x%x/0x%x -g XCT-DONE\n", done,
		mask);
	fprintf(f, "-A XCT-IN %s\n", queue);

	if (plan->has_out) {
		fprintf(f, "-A XCT-OUT -m mark --mark 0x%x/0x%x -j RETURN\n",
			done, mask);
		fprintf(f, "-A XCT-OUT %s\n", queue);
	}

	fprintf(f, "-A XCT-POST -m mark --mark 0x%x/0x%x -g XCT-DONE\n", done,
		mask);
	fprintf(f, "-A XCT-POST %s\n", queue);

	fprintf(f, "-A XCT-DONE -j MARK --set-xmark 0x0/0x%x\n", mask);

	/* Nothing jumps there: it is enough that there is the rule. */
	if (able->defrag)
		fprintf(f, "-A XCT-DEFRAG %s\n", able->defrag);
}

char *xct_hooktext_install(const struct xct_hookplan *plan,
			   const struct xct_settings *settings,
			   unsigned int workers,
			   const struct xct_hooksurvey *survey,
			   const struct xct_hookabilities *able)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (int t = 0; t < XCT_HOOKTABLES; t++) {
		fprintf(f, "*%s\n", xct_hooktables[t]);
		write_chains(f, (enum table)t);
		if (t == MANGLE)
			write_mangle(f, plan, settings, workers, able);
		else if (is_exclusive(n_selectors(plan), plan->has_out, able))
			fprintf(f, "-A XCT-RAW -j CT --notrack\n");
		write_jumps(f, (enum table)t, plan, survey, able);
		fprintf(f, "COMMIT\n");
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ------------------------------------------------------------ taking away */

char *xct_hooktext_remove(const struct xct_hooksurvey *survey, int af)
{
	const char *dying = xct_hooks_dying[af == AF_INET ? 0 : 1];
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (int t = 0; t < XCT_HOOKTABLES; t++) {
		fprintf(out, "*%s\n", xct_hooktables[t]);
		for (size_t i = 0; i < XCT_HOOKJUMPS; i++)
			for (unsigned int n = survey->jumps[i];
			     n > 0 && (int)chains[jumps[i].chain].table == t;
			     n--)
				write_jump(out, 'D', i, dying);
		for (size_t i = 0; i < XCT_HOOKCHAINS; i++)
			if (survey->chains[i] && (int)chains[i].table == t)
				fprintf(out, "-F %s\n", chains[i].name);
		fprintf(out, "COMMIT\n");
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

char *xct_hooktext_remove_chains(const struct xct_hooksurvey *survey)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (int t = 0; t < XCT_HOOKTABLES; t++) {
		fprintf(f, "*%s\n", xct_hooktables[t]);
		for (size_t i = 0; i < XCT_ARRAY_SIZE(chains); i++)
			if (survey->chains[i] && (int)chains[i].table == t)
				fprintf(f, "-X %s\n", chains[i].name);
		fprintf(f, "COMMIT\n");
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---------------------------------------------------------- looking it up */

static bool is_rule_of(const char *line, const char *chain)
{
	size_t n = strlen(chain);

	return strncmp(line, "-A ", 3) == 0 &&
	       strncmp(line + 3, chain, n) == 0 && line[3 + n] == ' ';
}

/* In the words that it was written in, of either family. */
static bool is_jump(const char *line, size_t jump)
{
	bool is_there = false;
	char want[128];

	for (size_t f = 0; f < XCT_ARRAY_SIZE(xct_hooks_dying); f++) {
		format_jump(want, sizeof(want), 'A', jump, xct_hooks_dying[f]);
		is_there |= strcmp(line, want) == 0;
	}
	return is_there;
}

/* Note in @survey what one line of iptables-save shows. */
static void survey_line(struct xct_hooksurvey *survey, enum table table,
			const char *line)
{
	char want[64];

	for (size_t i = 0; i < XCT_HOOKJUMPS; i++)
		if (chains[jumps[i].chain].table == table && is_jump(line, i))
			survey->jumps[i]++;
	for (size_t i = 0; i < XCT_HOOKCHAINS; i++) {
		size_t n = (size_t)snprintf(want, sizeof(want), ":%s ",
					    chains[i].name);

		if (chains[i].table != table)
			continue;
		if (strncmp(line, want, n) == 0)
			survey->chains[i] = true;
		else if (is_rule_of(line, chains[i].name))
			survey->rules[i]++;
	}
}

void xct_hooksurvey_note(struct xct_hooksurvey *survey, int table, char *saved)
{
	char *save;

	for (char *line = strtok_r(saved, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		survey_line(survey, (enum table)table, line);
}

bool xct_hooksurvey_is_empty(const struct xct_hooksurvey *survey)
{
	static const struct xct_hooksurvey empty;

	return memcmp(survey, &empty, sizeof(empty)) == 0;
}

bool xct_hooksurvey_has(const struct xct_hooksurvey *survey, const char *text,
			const struct xct_hookabilities *able)
{
	unsigned int want[XCT_HOOKCHAINS] = { 0 };
	const char *line = text;

	while (*line) {
		for (size_t i = 0; i < XCT_HOOKCHAINS; i++)
			want[i] += is_rule_of(line, chains[i].name);
		line = strchrnul(line, '\n');
		line += *line != '\0';
	}
	for (size_t i = 0; i < XCT_HOOKJUMPS; i++)
		if (survey->jumps[i] == 0 &&
		    is_wanted(i, want[C_PRE], want[C_OUT], able))
			return false;
	return memcmp(want, survey->rules, sizeof(want)) == 0;
}

bool xct_hooks_are_in(const char *table, const char *chain)
{
	bool is_table = false;

	for (size_t i = 0; i < XCT_HOOKJUMPS; i++) {
		if (strcmp(table,
			   xct_hooktables[chains[jumps[i].chain].table]) != 0)
			continue;
		is_table = true;
		if (chain && strcmp(chain, jumps[i].base) == 0)
			return true;
	}
	return is_table && (!chain || strncmp(chain, "XCT-", 4) == 0);
}
