/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the control socket tells about the daemon. */
#include "daemon/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "daemon/clock.h"
#include "daemon/daemon.h"
#include "daemon/describe.h"
#include "daemon/nfq_info.h"
#include "daemon/reassembly.h"
#include "daemon/sd.h"
#include "daemon/service.h"

/* jansson's _new functions take what is given, also when they fail, and accept
 * NULL for it: a failure shows where the text is made. */
static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void set(json_t *object, const char *key, json_t *value)
{
	/* Fails only without memory: then a member is missing. */
	(void)json_object_set_new(object, key, value);
}

static void append(json_t *array, json_t *value)
{
	(void)json_array_append_new(array, value); /* as above */
}

static char *dump(json_t *root)
{
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return text;
}

static json_t *queue_stats(const struct xct_worker *worker)
{
	const struct xct_nfq *nfq = xct_worker_nfq(worker);
	const struct xct_nfq_counters *c = xct_nfq_counters(nfq);
	struct xct_nfq_info info = { 0 };
	json_t *queue = json_object();

	/* Without it the kernel's own counters are shown as 0. */
	(void)xct_nfq_info(xct_nfq_number(nfq), &info);
	set(queue, "queue", number(xct_nfq_number(nfq)));
	set(queue, "received", number(c->received));
	set(queue, "verdicts", number(c->verdicts));
	set(queue, "mangled", number(c->mangled));
	set(queue, "dropped_kernel", number(info.dropped));
	set(queue, "dropped_user", number(info.user_dropped));
	set(queue, "vanished", number(c->vanished));
	set(queue, "overruns", number(c->overruns));
	set(queue, "errors", number(c->errors));
	return queue;
}

static json_t *reassembly_stats(const struct xct_fragwatch *watch)
{
	const struct xct_fragment_counts *counts = &watch->counts;
	struct xct_reassembly numbers;
	json_t *object = json_object();

	xct_reassembly_read(&numbers);
	set(object, "fragments", number(numbers.fragments));
	set(object, "whole", number(numbers.whole));
	set(object, "failed", number(numbers.failed));
	set(object, "memory", number(numbers.memory));
	set(object, "failed_ipv6", number(numbers.failed_ipv6));
	if (!watch->has_begun)
		return object;
	set(object, "fragments_ipv6", number(counts->fragments));
	set(object, "whole_ipv6", number(counts->whole));
	set(object, "overlapping_ipv6", number(counts->overlapping));
	set(object, "malformed_ipv6", number(counts->malformed));
	set(object, "unknown_ipv6", number(counts->unknown));
	return object;
}

/* The cells of the state tables that made packets INVALID. */
static json_t *cell_stats(const struct xct_engine_stats *stats)
{
	json_t *cells = json_array();

	for (unsigned int i = 0; i < XCT_CELLS; i++) {
		struct xct_cell cell = xct_cell_at(i);
		json_t *object;

		if (!stats->cell_packets[i])
			continue;
		object = json_object();
		set(object, "proto", json_string(xct_proto_name(cell.proto)));
		set(object, "packet",
		    json_string(xct_packet_name(cell.proto, cell.packet)));
		set(object, "state",
		    json_string(xct_state_name(cell.proto, cell.state)));
		set(object, "direction", json_string(xct_dir_name(cell.dir)));
		set(object, "packets", number(stats->cell_packets[i]));
		append(cells, object);
	}
	return cells;
}

static json_t *snapshot_stats(const struct xct_restore_counts *counts)
{
	json_t *object = json_object();

	set(object, "written", number(counts->written));
	set(object, "failed", number(counts->failed));
	set(object, "damaged", number(counts->damaged));
	set(object, "clock_behind", number(counts->clock_behind));
#define X(sym, name, text) \
	set(object, name, number(counts->flows[XCT_RESTORED_##sym]));
	XCT_RESTORED_RESULTS(X)
#undef X
	return object;
}

char *xct_report_stats(struct xct_daemon *d)
{
	json_t *root = json_object(), *classes = json_object();
	json_t *reasons = json_object(), *queues = json_array();
	const struct xct_control_counters *clients =
		xct_control_counters(d->control);
	struct xct_engine_stats stats;

	xct_lock_take(&d->lock);
	xct_engine_stats(d->engine, &stats);
	xct_lock_give(&d->lock);

#define X(field, text) set(root, #field, number(stats.field));
	XCT_ENGINE_COUNTERS(X)
#undef X
	set(root, "flows", number(stats.flows));
	set(root, "peak_flows", number(stats.peak_flows));
	set(root, "max_flows", number(stats.max_flows));
	set(root, "hooks_restored", number(d->hookwatch.n_restored));
	set(root, "clock_jumps", number(d->clock.jumps));
	set(root, "clock_back_ms", number(d->clock.back_ms));
	set(root, "clients_dropped", number(clients->dropped));
	set(root, "clients_refused", number(clients->refused));
	for (int i = 0; i < XCT_CLASSES; i++)
		set(classes, xct_class_name((enum xct_class)i),
		    number(stats.class_packets[i]));
	set(root, "class", classes);
	for (int i = 0; i < XCT_REASON_COUNT; i++)
		if (stats.reason_packets[i] != 0)
			set(reasons, xct_reason_name((enum xct_reason)i),
			    number(stats.reason_packets[i]));
	set(root, "reasons", reasons);
	set(root, "cells", cell_stats(&stats));
	for (unsigned int i = 0; i < d->n_workers; i++)
		append(queues, queue_stats(d->workers[i]));
	set(root, "queues", queues);
	set(root, "reassembly", reassembly_stats(&d->fragwatch));
	set(root, "snapshots", snapshot_stats(&d->restore));
	return dump(root);
}

static void append_rule(json_t *rules, const struct xct_ruleset *rs,
			const char *chain, const struct xct_rule *rule,
			const uint64_t *hits)
{
	char *text = xct_describe_rule(rs, rule);
	json_t *object = json_object();

	set(object, "chain", json_string(chain));
	set(object, "name", json_string(rule->name));
	set(object, "line", number(rule->line));
	set(object, "text", json_string(text ? text : ""));
	set(object, "hits", number(hits[rule->id]));
	append(rules, object);
	free(text);
}

/* The rules of both NAT lists as the file has them; one that is in both, once.
 * Each list is in the order of the file. */
static void append_nat(json_t *rules, const struct xct_ruleset *rs,
		       const uint64_t *hits)
{
	const struct xct_rule *d = rs->dnat, *s = rs->snat;
	const struct xct_rule *d_end = d + rs->n_dnat, *s_end = s + rs->n_snat;

	while (d != d_end || s != s_end) {
		bool is_dnat = s == s_end || (d != d_end && d->id <= s->id);
		const struct xct_rule *rule = is_dnat ? d : s;

		append_rule(rules, rs, "nat", rule, hits);
		if (d != d_end && d->id == rule->id)
			d++;
		if (s != s_end && s->id == rule->id)
			s++;
	}
}

char *xct_report_rules(struct xct_daemon *d)
{
	const struct xct_ruleset *rs = &d->config->ruleset;
	json_t *root, *rules, *policies;
	size_t size = rs->n_hits * sizeof(*rs->hits);
	uint64_t *hits = malloc(size ? size : 1);

	if (!hits)
		return NULL;
	xct_lock_take(&d->lock);
	if (size > 0)
		memcpy(hits, rs->hits, size);
	xct_lock_give(&d->lock);

	root = json_object();
	rules = json_array();
	policies = json_array();
	append_nat(rules, rs, hits);
	for (int i = 0; i < XCT_CHAINS; i++) {
		const struct xct_chain *chain = &rs->chain[i];
		const char *name = xct_describe_chain((enum xct_chain_id)i);
		json_t *policy = json_object();

		for (uint32_t j = 0; j < chain->n; j++)
			append_rule(rules, rs, name, &chain->rules[j], hits);
		set(policy, "chain", json_string(name));
		set(policy, "policy", json_string(xct_describe_policy(chain)));
		set(policy, "hits", number(hits[chain->policy_id]));
		append(policies, policy);
	}
	set(root, "generation", number(d->generation));
	set(root, "file", json_string(d->options.config_path));
	set(root, "rules", rules);
	set(root, "policies", policies);
	free(hits);
	return dump(root);
}

/* Of the service: how often it has started since its last stop, and how it
 * ended last. */
static void set_lives(json_t *root)
{
	struct xct_lives lives;

	xct_lives_read(&lives);
	set(root, "starts", number(lives.starts));
	set(root, "last_end", json_string(lives.end[0] ? lives.end : "none"));
}

char *xct_report_status(struct xct_daemon *d)
{
	const struct xct_settings *settings = &d->config->settings;
	json_t *root = json_object(), *queues = json_array();
	struct xct_engine_stats stats;
	struct xct_feed_stats feed;
	char loaded[40];
	struct tm tm;

	xct_lock_take(&d->lock);
	xct_engine_stats(d->engine, &stats);
	xct_lock_give(&d->lock);
	if (!gmtime_r(&d->loaded_at, &tm) ||
	    strftime(loaded, sizeof(loaded), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		loaded[0] = '\0';
	for (unsigned int i = 0; i < d->n_workers; i++)
		append(queues,
		       number(xct_nfq_number(xct_worker_nfq(d->workers[i]))));

	set(root, "version", json_string(XCT_VERSION));
	set(root, "pid", number((uint64_t)getpid()));
	set(root, "uptime_s", number((xct_clock_now() - d->started_ms) / 1000));
	set(root, "config", json_string(d->options.config_path));
	set(root, "config_kept", json_boolean(d->is_config_kept));
	set(root, "generation", number(d->generation));
	set(root, "loaded_at", json_string(loaded));
	set(root, "flows", number(stats.flows));
	set(root, "peak_flows", number(stats.peak_flows));
	set(root, "max_flows", number(stats.max_flows));
	set(root, "nearly_full", json_boolean(d->fill.is_nearly_full));
	set(root, "workers", number(d->n_workers));
	set(root, "queues", queues);
	set(root, "hooks",
	    json_string(settings->hooks == XCT_HOOKS_AUTO ? "auto" : "manual"));
	xct_feed_stats(d->feed, &feed);
	set(root, "event_readers", number(feed.readers));
	set(root, "events", number(feed.events));
	set(root, "events_missed", number(feed.missed));
	set(root, "fail_open", json_boolean(settings->fail_open));
	set(root, "systemd", json_boolean(xct_sd_is_notified()));
	if (d->options.is_kept)
		set_lives(root);
	return dump(root);
}

char *xct_report_hooks(struct xct_daemon *d)
{
	char *v4, *v6, *text = NULL;

	v4 = xct_hooks_render(d->hooks, d->config, d->n_workers, AF_INET);
	v6 = xct_hooks_render(d->hooks, d->config, d->n_workers, AF_INET6);
	if (v4 && v6 &&
	    asprintf(&text,
		     "# iptables-restore --noflush\n%s"
		     "# ip6tables-restore --noflush\n%s",
		     v4, v6) < 0)
		text = NULL;
	free(v4);
	free(v6);
	return text;
}
