/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the engine alone costs, in nanoseconds a packet (`make bench-engine`).
 *
 * Packets are UDP of 64 bytes with a checksum that has to be verified, at
 * POSTROUTING, in batches as a worker has them. Each batch is written into the
 * same few buffers before the clock is started, as the kernel does, so the
 * packets are in the cache and the flows, chosen at random, are where they are.
 * Memory is the daemon's: a memfd and private memory, both with huge pages
 * where the system allows it.
 *
 * A round fills a table, sends packets of its flows and lets all of them
 * expire; rounds of all sizes are interleaved. The table of results and its
 * JSON give the median, the least and the most of the rounds. Of hits they also
 * give the 10th percentile of batches (the median of the rounds'): what the
 * packets cost while nothing else has the processor or its caches.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>

#include "daemon/engine/csum.h"
#include "daemon/engine/engine.h"
#include "daemon/memory.h"

#define BATCH	   XCT_NFQ_BATCH
#define PACKET_LEN 64
#define PAYLOAD	   (PACKET_LEN - 28)
#define ROUNDS_MAX 99
#define HITS	   (1u << 19) /* packets a case and round */
#define LAN	   2
#define WAN	   3
#define BEGIN_MS   1000000

enum bench_case {
	CASE_HOT,
	CASE_HIT,
	CASE_NAT,
	CASE_MISS,
	CASE_INSERT,
	CASE_INSERT_NAT,
	CASE_EXPIRE,
	CASES,
};

static const char *const case_names[CASES] = {
	[CASE_HOT] = "hit, one hot flow",
	[CASE_HIT] = "hit, random order",
	[CASE_NAT] = "NATed hit, random order",
	[CASE_MISS] = "miss, judged by all rules",
	[CASE_INSERT] = "insert",
	[CASE_INSERT_NAT] = "insert, NATed",
	[CASE_EXPIRE] = "expire",
};

struct series {
	enum bench_case which;
	uint32_t size; /* flows; of CASE_MISS: rules */
	double ns[ROUNDS_MAX];
	double p10[ROUNDS_MAX]; /* of batches; 0: not a case of equal ones */
	int n;
};

struct bench {
	struct xct_engine *eng;
	struct xct_memory memory;
	void *work;
	size_t work_size;
	uint32_t n_flows;
	xct_msec now;
	uint64_t random;
	struct xct_ruleset rules;
	uint8_t data[BATCH][2048];
	struct xct_meta meta;
	struct xct_visit visits[BATCH];
	struct xct_result res[BATCH];
};

static struct series all[64];
static int n_series;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void note(enum bench_case which, uint32_t size, uint64_t ns, uint64_t n,
		 double p10)
{
	struct series *s = all;

	while (s < all + n_series && (s->which != which || s->size != size))
		s++;
	if (s == all + n_series) {
		*s = (struct series){ .which = which, .size = size };
		n_series++;
	}
	s->p10[s->n] = p10;
	s->ns[s->n++] = (double)ns / (double)n;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static uint64_t next_random(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random;
}

/* ---- packets ---- */

/* Packet of flow @i: odd ones come from 10.128.0.0/9, which is translated. */
static void write_packet(uint8_t *p, uint32_t i)
{
	struct xct_addr src = { .b = { 10 } }, dst = { .b = { 198, 51, 100 } };
	xct_be16 check;

	xct_put_be32(src.b, 0x0a000000u | (i & 1) << 23 | (i >> 1) / 32768);
	dst.b[3] = (uint8_t)(i >> 1);
	memset(p, 0, 28);
	p[0] = 0x45;
	p[3] = PACKET_LEN;
	p[8] = 64;
	p[9] = IPPROTO_UDP;
	memcpy(p + 12, src.b, 4);
	memcpy(p + 16, dst.b, 4);
	check = (xct_be16)~xct_csum_fold(xct_csum_sum(p, 20));
	memcpy(p + 10, &check, 2);
	xct_put_be16(p + 20, (uint16_t)(1024 + (i >> 1) % 32768));
	xct_put_be16(p + 22, 53);
	xct_put_be16(p + 24, PACKET_LEN - 20);
	memset(p + 28, 'x', PAYLOAD);
	check = (xct_be16)~xct_csum_fold(
		xct_csum_pseudo(AF_INET, p + 12, IPPROTO_UDP, PACKET_LEN - 20) +
		xct_csum_sum(p + 20, PACKET_LEN - 20));
	memcpy(p + 26, &check, 2);
}

/* The packets of the batch through the engine. Returns how long it took. */
static uint64_t run_batch(struct bench *b, unsigned int n)
{
	uint64_t begin = now_ns();

	for (unsigned int i = 0; i < n; i++)
		xct_engine_read(b->eng, b->data[i], PACKET_LEN, &b->meta,
				&b->visits[i]);
	xct_engine_prepare(b->eng, b->visits, n);
	for (unsigned int i = 0; i < n; i++)
		xct_engine_handle(b->eng, &b->visits[i], b->now, &b->res[i]);
	return now_ns() - begin;
}

static void check_batch(const struct bench *b, unsigned int n,
			enum xct_verdict verdict, bool is_edited)
{
	for (unsigned int i = 0; i < n; i++) {
		if (b->res[i].verdict == verdict &&
		    b->res[i].is_edited == is_edited)
			continue;
		fprintf(stderr, "bench: packet %u: verdict %d, reason %d\n", i,
			(int)b->res[i].verdict, (int)b->res[i].reason);
		exit(1);
	}
}

/* ---- the engine ---- */

/* The address that masqueraded flows leave with. 64512 ports a destination are
 * enough for 256 destinations. */
static bool host_ifaddr(void *ctx, uint32_t ifindex, uint8_t family,
			const struct xct_addr *dst, struct xct_addr *addr)
{
	(void)ctx;
	(void)ifindex;
	(void)dst;
	*addr = (struct xct_addr){ .b = { 203, 0, 113, 1 } };
	return family == AF_INET;
}

/* Masquerade what comes from 10.128.0.0/9; accept everything. */
static void set_nat_rules(struct bench *b)
{
	static const struct xct_addr_range range = {
		.first = { .b = { 10, 128 } },
		.last = { .b = { 10, 255, 255, 255 } },
		.family = AF_INET,
	};
	static const struct xct_addrset set = { &range, 1 };
	static const struct xct_rule rule = {
		.match = { .in = XCT_ANY,
			   .out = XCT_ANY,
			   .src = 0,
			   .dst = XCT_ANY,
			   .sport = XCT_ANY,
			   .dport = XCT_ANY,
			   .proto = XCT_ANY,
			   .icmp = XCT_ANY,
			   .classes = 1 << XCT_CLASS_NEW },
		.action = XCT_ACT_MASQUERADE,
	};
	static uint64_t hits[1 + XCT_CHAINS];

	b->rules = (struct xct_ruleset){ .snat = &rule,
					 .n_snat = 1,
					 .addrsets = &set,
					 .n_addrsets = 1,
					 .hits = hits,
					 .n_hits = 1 + XCT_CHAINS };
	xct_engine_set_ruleset(b->eng, &b->rules);
}

static void start_engine(struct bench *b, uint32_t n_flows)
{
	struct xct_engine_config cfg = { .accounting = true };
	struct xct_attach_report report;

	memset(b, 0, sizeof(*b));
	b->random = 88172645463325252u;
	b->n_flows = n_flows;
	b->now = BEGIN_MS;
	b->meta = (struct xct_meta){ .hook = XCT_HOOK_POSTROUTING,
				     .in_if = LAN,
				     .out_if = WAN,
				     .csum_unverified = true };
	if (xct_memory_new(&b->memory, n_flows) < 0)
		die("memory for the flows");
	b->work_size = xct_engine_work_size(n_flows);
	b->work = mmap(NULL, b->work_size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (b->work == MAP_FAILED)
		die("memory for the engine");
	(void)madvise(b->work, b->work_size, MADV_HUGEPAGE);
	xct_l4_config_default(&cfg.l4);
	cfg.l4.udp_unreplied = 600;
	cfg.host.ifaddr = host_ifaddr;
	cfg.seed = (struct xct_siphash_key){ { 1, 2 } };
	if (xct_engine_attach(&b->eng, b->memory.region, b->work, n_flows, &cfg,
			      b->now, &report) < 0)
		die("starting the engine");
	set_nat_rules(b);
}

static void stop_engine(struct bench *b)
{
	munmap(b->work, b->work_size);
	xct_memory_free(&b->memory);
}

/* ---- cases ---- */

/* Flow after flow, each with its first packet. */
static void bench_insert(struct bench *b, bool is_nat)
{
	uint32_t half = b->n_flows / 2;
	uint64_t ns = 0;

	for (uint32_t i = 0; i < half;) {
		unsigned int n = half - i < BATCH ? half - i : BATCH;

		for (unsigned int k = 0; k < n; k++, i++)
			write_packet(b->data[k], 2 * i + is_nat);
		ns += run_batch(b, n);
		check_batch(b, n, XCT_VERDICT_ACCEPT, is_nat);
	}
	note(is_nat ? CASE_INSERT_NAT : CASE_INSERT, b->n_flows, ns, half, 0);
}

static void bench_hit(struct bench *b, enum bench_case which)
{
	uint32_t half = b->n_flows / 2;
	bool is_nat = which == CASE_NAT;
	static double batch_ns[HITS / BATCH];
	uint64_t ns = 0, took;

	for (size_t at = 0; at < XCT_ARRAY_SIZE(batch_ns); at++) {
		for (unsigned int k = 0; k < BATCH; k++) {
			uint32_t i = (uint32_t)(next_random(b) % half);

			if (which == CASE_HOT)
				i = 7;
			write_packet(b->data[k], 2 * i + is_nat);
		}
		took = run_batch(b, BATCH);
		check_batch(b, BATCH, XCT_VERDICT_ACCEPT, is_nat);
		batch_ns[at] = (double)took / BATCH;
		ns += took;
	}
	qsort(batch_ns, XCT_ARRAY_SIZE(batch_ns), sizeof(batch_ns[0]), compare);
	note(which, b->n_flows, ns, HITS,
	     batch_ns[XCT_ARRAY_SIZE(batch_ns) / 10]);
}

static void bench_expire(struct bench *b)
{
	struct xct_engine_stats stats;
	uint64_t begin;

	b->now += 601 * 1000;
	begin = now_ns();
	while (xct_engine_tick(b->eng, b->now, 4096))
		;
	note(CASE_EXPIRE, b->n_flows, now_ns() - begin, b->n_flows, 0);
	xct_engine_stats(b->eng, &stats);
	if (stats.flows != 0) {
		fprintf(stderr, "bench: %u flows are left\n", stats.flows);
		exit(1);
	}
}

static void bench_flows(uint32_t n_flows)
{
	static struct bench b;

	start_engine(&b, n_flows);
	bench_insert(&b, false);
	bench_insert(&b, true);
	bench_hit(&b, CASE_HOT);
	bench_hit(&b, CASE_HIT);
	bench_hit(&b, CASE_NAT);
	bench_expire(&b);
	stop_engine(&b);
}

/* Rules as people write them by the thousand: from one network, to one port.
 * None of them is about the packets that come. */
static void bench_miss(uint32_t n_rules)
{
	static struct bench b;
	struct xct_rule *rules = calloc(n_rules, sizeof(*rules));
	struct xct_addr_range *ranges = calloc(n_rules, sizeof(*ranges));
	struct xct_addrset *sets = calloc(n_rules, sizeof(*sets));
	uint64_t *hits = calloc((size_t)n_rules + XCT_CHAINS, sizeof(*hits));
	static const struct xct_port_range port = { 443, 443 };
	static const struct xct_portset portset = { &port, 1 };
	struct xct_byteset proto = { { 0 } };
	uint64_t ns = 0, total = 0;
	uint64_t want = 50000000 / (n_rules + 100); /* looks at rules */

	if (!rules || !ranges || !sets || !hits)
		die("memory for the rules");
	start_engine(&b, 1024);
	xct_byteset_add(&proto, IPPROTO_UDP);
	for (uint32_t i = 0; i < n_rules; i++) {
		struct xct_addr net = { .b = { 0 } };

		xct_put_be32(net.b, 0xac000000u + (i << 8));
		(void)xct_range_from_prefix(AF_INET, &net, 24, &ranges[i]);
		sets[i] = (struct xct_addrset){ &ranges[i], 1 };
		rules[i].match = (struct xct_match){
			.in = XCT_ANY,
			.out = XCT_ANY,
			.src = i,
			.dst = XCT_ANY,
			.sport = XCT_ANY,
			.dport = i % 2 ? 0 : XCT_ANY,
			.proto = 0,
			.icmp = XCT_ANY,
			.family = AF_INET,
			.classes = 1 << XCT_CLASS_NEW,
		};
		rules[i].action = XCT_ACT_ACCEPT;
		rules[i].id = i;
	}
	b.rules = (struct xct_ruleset){
		.addrsets = sets,
		.n_addrsets = n_rules,
		.portsets = &portset,
		.n_portsets = 1,
		.protosets = &proto,
		.n_protosets = 1,
		.hits = hits,
		.n_hits = n_rules + XCT_CHAINS,
	};
	b.rules.chain[XCT_CHAIN_FORWARD] = (struct xct_chain){
		.rules = rules,
		.n = n_rules,
		.policy = XCT_ACT_DROP,
		.classes = 1 << XCT_CLASS_NEW,
		.policy_id = n_rules,
	};
	xct_engine_set_ruleset(b.eng, &b.rules);
	while (total < want) {
		for (unsigned int k = 0; k < BATCH; k++)
			write_packet(b.data[k],
				     (uint32_t)(next_random(&b) & 0xfffffe));
		ns += run_batch(&b, BATCH);
		check_batch(&b, BATCH, XCT_VERDICT_DROP, false);
		total += BATCH;
	}
	note(CASE_MISS, n_rules, ns, total, 0);
	stop_engine(&b);
	free(rules);
	free(ranges);
	free(sets);
	free(hits);
}

/* ---- results ---- */

static double bytes_a_flow(uint32_t n_flows)
{
	return (double)(xct_region_dense_size(n_flows) +
			xct_engine_work_size(n_flows)) /
	       n_flows;
}

static void print_results(FILE *json, const char *commit)
{
	static const uint32_t sizes[] = { 10000, 262144, 1000000, 4000000 };
	struct utsname host = { .nodename = "" };

	(void)uname(&host);
	fprintf(json,
		"{\"version\":1,\"commit\":\"%s\",\"machine\":\"%s %s\","
		"\"bytes_a_flow\":{",
		commit, host.release, host.machine);
	for (size_t i = 0; i < XCT_ARRAY_SIZE(sizes); i++)
		fprintf(json, "%s\"%u\":%.1f", i ? "," : "", sizes[i],
			bytes_a_flow(sizes[i]));
	fprintf(json, "},\"ns\":[");
	printf("%-28s %10s %8s %8s %8s %8s\n", "ns a packet (or flow)", "size",
	       "median", "least", "most", "p10");
	for (int i = 0; i < n_series; i++) {
		struct series *s = &all[i];

		qsort(s->ns, (size_t)s->n, sizeof(s->ns[0]), compare);
		qsort(s->p10, (size_t)s->n, sizeof(s->p10[0]), compare);
		printf("%-28s %10u %8.1f %8.1f %8.1f", case_names[s->which],
		       s->size, s->ns[s->n / 2], s->ns[0], s->ns[s->n - 1]);
		if (s->p10[0] > 0)
			printf(" %8.1f", s->p10[s->n / 2]);
		printf("\n");
		fprintf(json,
			"%s\n{\"case\":\"%s\",\"size\":%u,\"median\":%.2f,"
			"\"least\":%.2f,\"most\":%.2f,\"p10\":%.2f,"
			"\"rounds\":%d}",
			i ? "," : "", case_names[s->which], s->size,
			s->ns[s->n / 2], s->ns[0], s->ns[s->n - 1],
			s->p10[s->n / 2], s->n);
	}
	fprintf(json, "\n]}\n");
	printf("bytes a flow:");
	for (size_t i = 0; i < XCT_ARRAY_SIZE(sizes); i++)
		printf("%s %.1f with %u", i ? "," : "", bytes_a_flow(sizes[i]),
		       sizes[i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	static const uint32_t flows[] = { 1000, 1000000, 4000000 };
	static const uint32_t rules[] = { 10, 1000, 100000 };
	int rounds = argc > 3 ? atoi(argv[3]) : 5;
	uint32_t only = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
	FILE *json;

	if (argc < 3 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr,
			"usage: %s RESULT.json COMMIT [ROUNDS [FLOWS]]\n",
			argv[0]);
		return 2;
	}
	for (int i = 0; i < rounds && only; i++)
		bench_flows(only);
	for (int i = 0; i < rounds && !only; i++) {
		for (size_t k = 0; k < XCT_ARRAY_SIZE(flows); k++)
			bench_flows(flows[k]);
		for (size_t k = 0; k < XCT_ARRAY_SIZE(rules); k++)
			bench_miss(rules[k]);
	}
	json = fopen(argv[1], "w");
	if (!json)
		die(argv[1]);
	print_results(json, argv[2]);
	if (fclose(json) != 0)
		die(argv[1]);
	return 0;
}
