/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What xctd says to iptables-restore, and what iptables-save says of it.
 */
#include "daemon/hooks_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum table { RAW, MANGLE };

const char *const xct_hooktables[XCT_HOOKTABLES] = { "raw", "mangle" };

static const struct {
	enum table table;
	const char *name;
} chains[] = {
	{ RAW, "XCT-RAW" },	 { MANGLE, "XCT-PRE" },
	{ MANGLE, "XCT-EARLY" }, { MANGLE, "XCT-IN" },
	{ MANGLE, "XCT-OUT" },	 { MANGLE, "XCT-POST" },
	{ MANGLE, "XCT-DONE" },	 { MANGLE, "XCT-DEFRAG" },
};

static const struct {
	enum table table;
	const char *base;
	const char *chain;
} jumps[] = {
	{ RAW, "PREROUTING", "XCT-RAW" },
	{ RAW, "OUTPUT", "XCT-RAW" },
	{ MANGLE, "PREROUTING", "XCT-PRE" },
	{ MANGLE, "INPUT", "XCT-IN" },
	{ MANGLE, "OUTPUT", "XCT-OUT" },
	{ MANGLE, "POSTROUTING", "XCT-POST" },
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

/* The jumps that @survey (NULL: nothing is there) does not show. */
static void write_jumps(FILE *f, enum table table,
			const struct xct_hooksurvey *survey)
{
	for (size_t i = 0; i < XCT_HOOKJUMPS; i++)
		if (jumps[i].table == table && !(survey && survey->jumps[i]))
			fprintf(f, "-A %s -j %s\n", jumps[i].base,
				jumps[i].chain);
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

static void write_mangle(FILE *f, const struct xct_hookplan *plan,
			 const struct xct_settings *settings,
			 unsigned int workers,
			 const struct xct_hookabilities *able)
{
	uint32_t mask = settings->mark_mask;
	uint32_t done = XCT_STAGE_DONE * (mask & -mask);
	char queue[80];

	format_queue(queue, sizeof(queue), settings, workers);

	for (size_t i = 0; i < plan->pre.n; i++)
		fprintf(f, "-A XCT-PRE %s-g XCT-EARLY\n", plan->pre.v[i]);
	if (able->dying)
		fprintf(f, "-A XCT-PRE %s-g XCT-EARLY\n", able->dying);
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
		if (t == RAW)
			fprintf(f, "-A XCT-RAW -j CT --notrack\n");
		else
			write_mangle(f, plan, settings, workers, able);
		write_jumps(f, (enum table)t, survey);
		fprintf(f, "COMMIT\n");
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ------------------------------------------------------------ taking away */

char *xct_hooktext_remove(const struct xct_hooksurvey *survey)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (int t = 0; t < XCT_HOOKTABLES; t++) {
		fprintf(out, "*%s\n", xct_hooktables[t]);
		for (size_t i = 0; i < XCT_HOOKJUMPS; i++)
			for (unsigned int n = survey->jumps[i];
			     n > 0 && (int)jumps[i].table == t; n--)
				fprintf(out, "-D %s -j %s\n", jumps[i].base,
					jumps[i].chain);
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

bool xct_hooktext_remove_chain(const struct xct_hooksurvey *survey, size_t i,
			       char *text, size_t size)
{
	if (!survey->chains[i])
		return false;
	snprintf(text, size, "*%s\n-X %s\nCOMMIT\n",
		 xct_hooktables[chains[i].table], chains[i].name);
	return true;
}

/* ---------------------------------------------------------- looking it up */

static bool is_rule_of(const char *line, const char *chain)
{
	size_t n = strlen(chain);

	return strncmp(line, "-A ", 3) == 0 &&
	       strncmp(line + 3, chain, n) == 0 && line[3 + n] == ' ';
}

/* Note in @survey what one line of iptables-save shows. */
static void survey_line(struct xct_hooksurvey *survey, enum table table,
			const char *line)
{
	char want[64];

	for (size_t i = 0; i < XCT_HOOKJUMPS; i++) {
		snprintf(want, sizeof(want), "-A %s -j %s", jumps[i].base,
			 jumps[i].chain);
		if (jumps[i].table == table && strcmp(line, want) == 0)
			survey->jumps[i]++;
	}
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

bool xct_hooksurvey_has(const struct xct_hooksurvey *survey, const char *text)
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
		if (survey->jumps[i] == 0)
			return false;
	return memcmp(want, survey->rules, sizeof(want)) == 0;
}

bool xct_hooks_are_in(const char *table, const char *chain)
{
	bool is_table = false;

	for (size_t i = 0; i < XCT_HOOKJUMPS; i++) {
		if (strcmp(table, xct_hooktables[jumps[i].table]) != 0)
			continue;
		is_table = true;
		if (chain && strcmp(chain, jumps[i].base) == 0)
			return true;
	}
	return is_table && (!chain || strncmp(chain, "XCT-", 4) == 0);
}
