/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing from one configuration to the next while packets flow.
 *
 * Theory of operation
 *
 * Whatever can fail comes first: reading the file, then the hooks, which are
 * changed in one transaction and keep what live flows need. Only then are the
 * rules swapped, under the engine's lock, and nothing can fail any more. So
 * there is one configuration in force at any time, whole, and after a failure
 * it is the old one.
 *
 * Rules that are the same in both keep their hit counters: same chain, same
 * name, same text.
 */
#include "daemon/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/clock.h"
#include "daemon/daemon.h"
#include "daemon/host.h"
#include "daemon/describe.h"
#include "daemon/log.h"
#include "daemon/sd.h"

/* ---------------------------------------------------------- hit counters */

/* A counter and what must be the same for it to be carried over. */
struct counter {
	char *key;
	uint32_t id;
};

struct counters {
	struct counter *items;
	size_t n;
};

static bool counters_add(struct counters *counters, char *text,
			 const char *chain, const char *name, uint32_t id)
{
	char *key;

	if (!text || asprintf(&key, "%s\n%s\n%s", chain, name, text) < 0)
		return false;
	counters->items[counters->n++] = (struct counter){ key, id };
	return true;
}

/* A name made from the line says nothing: the rule may have moved. */
static const char *given_name(const struct xct_rule *rule)
{
	const char *colon = strrchr(rule->name, ':');
	char line[16];

	snprintf(line, sizeof(line), "%u", rule->line);
	return colon && strcmp(colon + 1, line) == 0 ? "" : rule->name;
}

static bool counters_add_rules(struct counters *counters,
			       const struct xct_ruleset *rs, const char *chain,
			       const struct xct_rule *rules, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		char *text = xct_describe_rule(rs, &rules[i]);
		bool is_added =
			counters_add(counters, text, chain,
				     given_name(&rules[i]), rules[i].id);

		free(text);
		if (!is_added)
			return false;
	}
	return true;
}

static int compare_counters(const void *a, const void *b)
{
	const struct counter *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static void counters_fini(struct counters *counters)
{
	for (size_t i = 0; i < counters->n; i++)
		free(counters->items[i].key);
	free(counters->items);
}

/* All counters of @rs, sorted by key. False: no memory. */
static bool counters_init(struct counters *counters,
			  const struct xct_ruleset *rs)
{
	size_t room = (size_t)rs->n_dnat + rs->n_snat + XCT_CHAINS;
	bool is_ok;

	for (int i = 0; i < XCT_CHAINS; i++)
		room += rs->chain[i].n;
	counters->n = 0;
	counters->items = calloc(room, sizeof(*counters->items));
	if (!counters->items)
		return false;
	is_ok = counters_add_rules(counters, rs, "dnat", rs->dnat,
				   rs->n_dnat) &&
		counters_add_rules(counters, rs, "snat", rs->snat, rs->n_snat);
	for (int i = 0; is_ok && i < XCT_CHAINS; i++) {
		const struct xct_chain *chain = &rs->chain[i];
		const char *name = xct_describe_chain((enum xct_chain_id)i);
		char text[] = "policy";

		is_ok = counters_add_rules(counters, rs, name, chain->rules,
					   chain->n) &&
			counters_add(counters, text, name,
				     xct_describe_policy(chain),
				     chain->policy_id);
	}
	qsort(counters->items, counters->n, sizeof(*counters->items),
	      compare_counters);
	return is_ok;
}

/*
 * For each counter of @to the one of @from to go on with, or UINT32_MAX. Caller
 * frees. NULL: no memory; then counters start again, which is no reason to
 * refuse new rules.
 */
static uint32_t *map_counters(const struct xct_ruleset *from,
			      const struct xct_ruleset *to)
{
	struct counters olds = { 0 }, news = { 0 };
	uint32_t *map = NULL;
	size_t i = 0, j = 0;

	if (!counters_init(&olds, from) || !counters_init(&news, to))
		goto out;
	map = malloc((to->n_hits + 1) * sizeof(*map));
	if (!map)
		goto out;
	memset(map, 0xff, to->n_hits * sizeof(*map));
	while (i < olds.n && j < news.n) {
		int order = strcmp(olds.items[i].key, news.items[j].key);

		if (order == 0)
			map[news.items[j].id] = olds.items[i].id;
		i += order <= 0;
		j += order >= 0;
	}
out:
	counters_fini(&olds);
	counters_fini(&news);
	return map;
}

/* ------------------------------------------------------------ the change */

/* What cannot change while xctd runs goes on as it is; say so in @out. */
static void keep_settings(const struct xct_settings *running,
			  struct xct_settings *next, FILE *out)
{
#define KEEP(field, key)                                             \
	do {                                                         \
		if (next->field != running->field)                   \
			fprintf(out,                                 \
				"warning: %s has changed: it takes " \
				"effect when xctd is restarted\n",   \
				key);                                \
		next->field = running->field;                        \
	} while (0)

	KEEP(table_size, "settings: table-size");
	KEEP(queue_first, "settings: queue: first");
	KEEP(workers, "settings: queue: workers");
	KEEP(mark_mask, "settings: mark-mask");
	KEEP(hooks, "hooks");
#undef KEEP
	if (strcmp(next->control_group, running->control_group) != 0) {
		fprintf(out, "warning: settings: control: group has changed: "
			     "it takes effect when xctd is restarted\n");
		memcpy(next->control_group, running->control_group,
		       sizeof(next->control_group));
	}
}

static void swap(struct xct_daemon *d, struct xct_config *next,
		 const uint32_t *map)
{
	struct xct_config *old = d->config;
	struct xct_engine_config cfg;

	xct_host_engine_config(d, next, &cfg);
	xct_lock_take(&d->lock);
	for (uint32_t i = 0; map && i < next->ruleset.n_hits; i++)
		if (map[i] != UINT32_MAX)
			next->ruleset.hits[i] = old->ruleset.hits[map[i]];
	xct_engine_set_ruleset(d->engine, &next->ruleset);
	xct_engine_configure(d->engine, &cfg);
	d->config = next;
	xct_lock_give(&d->lock);
	xct_config_free(old);

	for (unsigned int i = 0; i < d->n_workers; i++)
		/* The queue is ours: what can fail was there at the start. */
		(void)xct_nfq_configure(xct_worker_nfq(d->workers[i]),
					next->settings.queue_length,
					next->settings.fail_open);
	d->env.busy_poll_us = next->settings.busy_poll_us;
	d->generation++;
	d->is_config_kept = false;
	if (d->options.is_kept)
		xct_kept_put_rules(d->config);
	d->loaded_at = time(NULL);
	d->loaded_ms = xct_clock_now();
}

/* As xct_reload(), with what is to be said written to @out. */
static bool change(struct xct_daemon *d, FILE *out)
{
	struct xct_messages messages = { 0 };
	struct xct_config *next;
	char *error = NULL;
	struct stat st;
	uint32_t *map;
	int ret = 0;

	/* A pipe could keep the daemon waiting for ever. */
	if (stat(d->options.config_path, &st) == 0 && !S_ISREG(st.st_mode)) {
		fprintf(out, "%s: not a regular file\n",
			d->options.config_path);
		return false;
	}
	next = xct_daemon_load(&d->options, &messages);
	if (messages.text)
		fputs(messages.text, out);
	xct_messages_fini(&messages);
	if (!next)
		return false;
	keep_settings(&d->config->settings, &next->settings, out);
	if (next->settings.hooks == XCT_HOOKS_AUTO)
		ret = xct_masq_install_hooks(d, next, &error);
	if (ret != 0) {
		fprintf(out, "hooks: %s\n", error ? error : strerror(-ret));
		free(error);
		xct_config_free(next);
		return false;
	}
	if (next->settings.hooks == XCT_HOOKS_AUTO && d->options.is_kept)
		xct_kept_put_hooks(d->hooks);
	map = map_counters(&d->config->ruleset, &next->ruleset);
	swap(d, next, map);
	free(map);
	return true;
}

bool xct_reload(struct xct_daemon *d, char **text)
{
	bool is_changed = false;
	size_t len;
	FILE *out;

	xct_sd_reloading();
	*text = NULL;
	out = open_memstream(text, &len);
	if (out) {
		is_changed = change(d, out);
		if (is_changed)
			fprintf(out, "%s: loaded, generation %u\n",
				d->options.config_path, d->generation);
		else
			fprintf(out, "%s: not loaded, the old rules stay\n",
				d->options.config_path);
		if (fclose(out) != 0) {
			free(*text);
			*text = NULL;
		}
	}
	if (*text)
		xct_log_lines(is_changed ? LOG_INFO : LOG_ERR, *text);
	else
		xct_log(LOG_ERR, "no memory to say how reloading went");
	xct_sd_ready();
	return is_changed;
}
