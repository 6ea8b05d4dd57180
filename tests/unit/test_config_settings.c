/* SPDX-License-Identifier: GPL-2.0-or-later */
/* settings: of rules.yaml, and the files that are shipped. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/config.h"

/* ---- settings ---- */

static void assert_settings_equal(const struct xct_settings *a,
				  const struct xct_settings *b)
{
	assert_memory_equal(a->l4.tcp, b->l4.tcp, sizeof(a->l4.tcp));
	assert_int_equal(a->l4.udp_unreplied, b->l4.udp_unreplied);
	assert_int_equal(a->l4.udp_stream, b->l4.udp_stream);
	assert_int_equal(a->l4.icmp, b->l4.icmp);
	assert_int_equal(a->l4.icmpv6, b->l4.icmpv6);
	assert_int_equal(a->l4.generic, b->l4.generic);
	assert_int_equal(a->l4.tcp_max_retrans, b->l4.tcp_max_retrans);
	assert_int_equal(a->l4.tcp_loose, b->l4.tcp_loose);
	assert_int_equal(a->l4.tcp_liberal, b->l4.tcp_liberal);
	assert_int_equal(a->l4.tcp_ignore_invalid_rst,
			 b->l4.tcp_ignore_invalid_rst);
	assert_int_equal(a->l4.checksum, b->l4.checksum);
	assert_int_equal(a->table_size, b->table_size);
	assert_int_equal(a->accounting, b->accounting);
	assert_int_equal(a->queue_first, b->queue_first);
	assert_int_equal(a->workers, b->workers);
	assert_int_equal(a->queue_length, b->queue_length);
	assert_int_equal(a->busy_poll_us, b->busy_poll_us);
	assert_int_equal(a->fail_open, b->fail_open);
	assert_int_equal(a->mark_mask, b->mark_mask);
	assert_int_equal(a->hooks, b->hooks);
	assert_string_equal(a->control_group, b->control_group);
	assert_string_equal(a->snapshot, b->snapshot);
}

static void defaults_are_those_of_nf_conntrack(void **state)
{
	static const uint32_t tcp[XCT_TCP_TIMEOUTS] = {
		[XCT_TCP_SYN_SENT] = 120,	[XCT_TCP_SYN_RECV] = 60,
		[XCT_TCP_ESTABLISHED] = 432000, [XCT_TCP_FIN_WAIT] = 120,
		[XCT_TCP_CLOSE_WAIT] = 60,	[XCT_TCP_LAST_ACK] = 30,
		[XCT_TCP_TIME_WAIT] = 120,	[XCT_TCP_CLOSE] = 10,
		[XCT_TCP_SYN_SENT2] = 120,	[XCT_TCP_TIMEOUT_RETRANS] = 300,
		[XCT_TCP_TIMEOUT_UNACK] = 300,
	};
	struct xct_config *config = load("settings:\n");
	const struct xct_settings *s = &config->settings;

	(void)state;
	assert_memory_equal(s->l4.tcp, tcp, sizeof(tcp));
	assert_int_equal(s->l4.udp_unreplied, 30);
	assert_int_equal(s->l4.udp_stream, 120);
	assert_int_equal(s->l4.icmp, 30);
	assert_int_equal(s->l4.icmpv6, 30);
	assert_int_equal(s->l4.generic, 600);
	assert_int_equal(s->l4.tcp_max_retrans, 3);
	assert_true(s->l4.tcp_loose);
	assert_false(s->l4.tcp_liberal);
	assert_false(s->l4.tcp_ignore_invalid_rst);
	assert_true(s->l4.checksum);
	assert_int_equal(s->table_size, 262144);
	assert_true(s->accounting);
	assert_false(s->timestamps);
	assert_int_equal(s->queue_first, 0);
	assert_int_equal(s->workers, 0);
	assert_int_equal(s->queue_length, 16384);
	assert_int_equal(s->busy_poll_us, 50);
	assert_false(s->fail_open);
	assert_int_equal(s->mark_mask, 0x30000000);
	assert_int_equal(s->hooks, XCT_HOOKS_AUTO);
	assert_string_equal(s->control_group, "");
	assert_string_equal(s->snapshot, "");
	xct_config_free(config);
}

static void every_setting_can_be_set(void **state)
{
	static const uint32_t tcp[XCT_TCP_TIMEOUTS] = {
		[XCT_TCP_SYN_SENT] = 1,	      [XCT_TCP_SYN_RECV] = 2,
		[XCT_TCP_ESTABLISHED] = 3,    [XCT_TCP_FIN_WAIT] = 4,
		[XCT_TCP_CLOSE_WAIT] = 5,     [XCT_TCP_LAST_ACK] = 6,
		[XCT_TCP_TIME_WAIT] = 7,      [XCT_TCP_CLOSE] = 8,
		[XCT_TCP_SYN_SENT2] = 9,      [XCT_TCP_TIMEOUT_RETRANS] = 10,
		[XCT_TCP_TIMEOUT_UNACK] = 11,
	};
	struct xct_config *config =
		load("hooks: manual\n"
		     "settings:\n"
		     "  table-size: 1000\n"
		     "  accounting: no\n"
		     "  timestamps: yes\n"
		     "  checksum: off\n"
		     "  tcp: {loose: false, liberal: yes, max-retrans: 9,\n"
		     "        ignore-invalid-rst: ON}\n"
		     "  timeouts:\n"
		     "    tcp: {syn-sent: 1, syn-recv: 2s, established: 3,\n"
		     "          fin-wait: 4, close-wait: 5, last-ack: 6,\n"
		     "          time-wait: 7, close: 8, syn-sent2: 9,\n"
		     "          max-retrans: 10, unacknowledged: 11}\n"
		     "    udp: {unreplied: 1m, stream: 1h30m}\n"
		     "    sctp: {closed: 1, cookie-wait: 2, cookie-echoed: 3,\n"
		     "           established: 4, shutdown-sent: 5,\n"
		     "           shutdown-recd: 6, shutdown-ack-sent: 7,\n"
		     "           heartbeat-sent: 8}\n"
		     "    gre: {unreplied: 11, stream: 12}\n"
		     "    icmp: 1d\n"
		     "    icmpv6: 1d2h3m4s\n"
		     "    generic: 1000d\n"
		     "  queue: {first: 7, workers: 4, length: 100,\n"
		     "          busy-poll: 70, on-failure: accept}\n"
		     "  mark-mask: 0xC0\n"
		     "  control: {group: adm}\n"
		     "  snapshot: /var/lib/xct/flows\n");
	const struct xct_settings *s = &config->settings;

	(void)state;
	assert_memory_equal(s->l4.tcp, tcp, sizeof(tcp));
	assert_int_equal(s->l4.udp_unreplied, 60);
	assert_int_equal(s->l4.udp_stream, 5400);
	for (uint32_t i = XCT_SCTP_CLOSED; i < XCT_SCTP_STATES; i++)
		assert_int_equal(s->l4.sctp[i], i);
	assert_int_equal(s->l4.gre_unreplied, 11);
	assert_int_equal(s->l4.gre_stream, 12);
	assert_int_equal(s->l4.icmp, 86400);
	assert_int_equal(s->l4.icmpv6, 93784);
	assert_int_equal(s->l4.generic, 86400000);
	assert_int_equal(s->l4.tcp_max_retrans, 9);
	assert_false(s->l4.tcp_loose);
	assert_true(s->l4.tcp_liberal);
	assert_true(s->l4.tcp_ignore_invalid_rst);
	assert_false(s->l4.checksum);
	assert_int_equal(s->table_size, 1000);
	assert_false(s->accounting);
	assert_true(s->timestamps);
	assert_int_equal(s->queue_first, 7);
	assert_int_equal(s->workers, 4);
	assert_int_equal(s->queue_length, 100);
	assert_int_equal(s->busy_poll_us, 70);
	assert_true(s->fail_open);
	assert_int_equal(s->mark_mask, 0xc0);
	assert_int_equal(s->hooks, XCT_HOOKS_MANUAL);
	assert_string_equal(s->control_group, "adm");
	assert_string_equal(s->snapshot, "/var/lib/xct/flows");
	xct_config_free(config);
}

/* ---- files ---- */

static char *read_text(const char *path)
{
	char *text = calloc(1, 65536);
	FILE *in = fopen(path, "r");

	assert_non_null(text);
	assert_non_null(in);
	assert_in_range(fread(text, 1, 65535, in), 1, 65534);
	fclose(in);
	return text;
}

/* What rules.yaml(5) calls a default is one: set, it changes nothing. */
static void the_manual_tells_the_defaults(void **state)
{
	static const struct {
		const char *manual;
		const char *setting;
	} rows[] = {
		{ "Default 262144.", "table-size: 262144" },
		{ ".Cm syn-sent\n2m", "timeouts: {tcp: {syn-sent: 2m}}" },
		{ ".Cm syn-recv\n1m", "timeouts: {tcp: {syn-recv: 1m}}" },
		{ ".Cm established\n5d", "timeouts: {tcp: {established: 5d}}" },
		{ ".Cm fin-wait\n2m", "timeouts: {tcp: {fin-wait: 2m}}" },
		{ ".Cm close-wait\n1m", "timeouts: {tcp: {close-wait: 1m}}" },
		{ ".Cm last-ack\n30s", "timeouts: {tcp: {last-ack: 30s}}" },
		{ ".Cm time-wait\n2m", "timeouts: {tcp: {time-wait: 2m}}" },
		{ ".Cm close\n10s", "timeouts: {tcp: {close: 10s}}" },
		{ ".Cm syn-sent2\n2m", "timeouts: {tcp: {syn-sent2: 2m}}" },
		{ ".Cm max-retrans\n5m", "timeouts: {tcp: {max-retrans: 5m}}" },
		{ ".Cm unacknowledged\n5m",
		  "timeouts: {tcp: {unacknowledged: 5m}}" },
		{ ".Cm unreplied\n30s", "timeouts: {udp: {unreplied: 30s}}" },
		{ ".Cm stream\n2m", "timeouts: {udp: {stream: 2m}}" },
		{ ".Cm closed\n10s", "timeouts: {sctp: {closed: 10s}}" },
		{ ".Cm cookie-wait\n3s",
		  "timeouts: {sctp: {cookie-wait: 3s}}" },
		{ ".Cm cookie-echoed\n3s",
		  "timeouts: {sctp: {cookie-echoed: 3s}}" },
		{ ".Cm established\n210s",
		  "timeouts: {sctp: {established: 210s}}" },
		{ ".Cm shutdown-sent\n3s",
		  "timeouts: {sctp: {shutdown-sent: 3s}}" },
		{ ".Cm shutdown-recd\n3s",
		  "timeouts: {sctp: {shutdown-recd: 3s}}" },
		{ ".Cm shutdown-ack-sent\n3s",
		  "timeouts: {sctp: {shutdown-ack-sent: 3s}}" },
		{ ".Cm heartbeat-sent\n30s",
		  "timeouts: {sctp: {heartbeat-sent: 30s}}" },
		{ ".Cm stream\n3m", "timeouts: {gre: {stream: 3m}}" },
		{ ".It Cm icmp\n30s", "timeouts: {icmp: 30s}" },
		{ ".It Cm icmpv6\n30s", "timeouts: {icmpv6: 30s}" },
		{ ".It Cm generic\n10m", "timeouts: {generic: 10m}" },
		{ "Default 3.", "tcp: {max-retrans: 3}" },
		{ "Default 0.", "queue: {first: 0}" },
		{ "Default 16384.", "queue: {length: 16384}" },
		{ "Default 50.", "queue: {busy-poll: 50}" },
		{ "Default 0x30000000.", "mark-mask: 0x30000000" },
	};
	char *manual = read_text("docs/rules.yaml.5");
	struct xct_settings defaults;

	(void)state;
	xct_settings_default(&defaults);
	for (size_t i = 0; i < XCT_ARRAY_SIZE(rows); i++) {
		struct xct_config *config;
		char text[128];

		if (!strstr(manual, rows[i].manual))
			fail_msg("rules.yaml(5) lacks \"%s\"", rows[i].manual);
		snprintf(text, sizeof(text), "settings: {%s}\n",
			 rows[i].setting);
		config = load(text);
		assert_settings_equal(&config->settings, &defaults);
		xct_config_free(config);
	}
	free(manual);
}

static void shipped_files_load_without_a_warning(void **state)
{
	static const char *const paths[] = {
		"conf/rules.yaml",
		"conf/examples/gateway.yaml",
		"conf/examples/host-firewall.yaml",
		"conf/examples/port-forward.yaml",
	};

	(void)state;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(paths); i++)
		xct_config_free(load_file(paths[i]));
}

static void the_installed_file_changes_nothing(void **state)
{
	struct xct_config *config = load_file("conf/rules.yaml");
	struct xct_settings defaults;

	(void)state;
	xct_settings_default(&defaults);
	assert_settings_equal(&config->settings, &defaults);
	assert_int_equal(config->ruleset.invalid, XCT_ACT_ACCEPT);
	assert_int_equal(config->ruleset.n_hits, XCT_CHAINS);
	for (int i = 0; i < XCT_CHAINS; i++)
		assert_int_equal(config->ruleset.chain[i].policy,
				 XCT_ACT_ACCEPT);
	xct_config_free(config);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_nf_conntrack),
		cmocka_unit_test(every_setting_can_be_set),
		cmocka_unit_test(the_manual_tells_the_defaults),
		cmocka_unit_test(shipped_files_load_without_a_warning),
		cmocka_unit_test(the_installed_file_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
