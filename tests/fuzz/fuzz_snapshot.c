/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the flows of a snapshot, whose head and tail are right: what the
 * file can hold, and a client of the control socket can send. The input is what
 * differs from flows that are right, else few would be looked at. They are
 * restored, saved again, met by a packet that their tuple describes, and
 * adopted by a successor, which must find nothing that contradicts itself.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/crc32c.h"
#include "daemon/engine/engine.h"

#define FLOWS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *region, *work;
static struct xct_engine *engine;
static xct_msec now;

static uint32_t host_ifindex(void *ctx, const char name[static XCT_IFNAMSIZ])
{
	(void)ctx;
	return (uint32_t)strlen(name);
}

static bool host_ifname(void *ctx, uint32_t ifindex,
			char name[static XCT_IFNAMSIZ])
{
	(void)ctx;
	memset(name, 0, XCT_IFNAMSIZ);
	memset(name, 'a', ifindex);
	return true;
}

static enum xct_masq host_masq(void *ctx, uint32_t *ifindex, uint8_t family,
			       const struct xct_addr *addr)
{
	(void)ctx;
	(void)family;
	(void)addr;
	return *ifindex == 1   ? XCT_MASQ_AWAITED
	       : *ifindex == 2 ? XCT_MASQ_GONE
			       : XCT_MASQ_THERE;
}

static void attach(struct xct_attach_report *report)
{
	struct xct_engine_config cfg = { .host = { .ifindex = host_ifindex,
						   .ifname = host_ifname,
						   .masq = host_masq } };

	xct_l4_config_default(&cfg.l4);
	cfg.l4.checksum = false;
	if (xct_engine_attach(&engine, region, work, FLOWS, &cfg, now, report))
		abort();
}

/* A connection as it may be: TCP or, if @i is odd, UDP with a translated
 * source. */
static struct xct_saved_flow right_flow(size_t i)
{
	const bool is_udp = i & 1;
	const struct xct_tuple orig = {
		.src.b = { 10, 0, 0, (uint8_t)i },
		.dst.b = { 192, 0, 2, 9 },
		.sport = 1000,
		.dport = 53,
		.family = AF_INET,
		.proto = is_udp ? IPPROTO_UDP : IPPROTO_TCP,
	};
	struct xct_saved_flow flow = { .id = i + 1,
				       .left_ms = 60000,
				       .tuple = { orig, orig } };
	struct xct_tuple *reply = &flow.tuple[XCT_DIR_REPLY];

	reply->src = orig.dst;
	reply->dst = orig.src;
	reply->sport = orig.dport;
	reply->dport = orig.sport;
	if (is_udp)
		reply->dst.b[3] ^= 0x80;
	return flow;
}

/* @n flows as a file that is whole. */
static void *make_file(const uint8_t *flows, size_t n, size_t *len)
{
	const struct xct_snapshot_head head = {
		.magic = XCT_SNAPSHOT_MAGIC,
		.version = XCT_SNAPSHOT_VERSION,
		.flow_size = sizeof(struct xct_saved_flow),
		.saved_ms = 1000,
	};
	struct xct_snapshot_tail tail = { .n = n };
	size_t bytes = n * sizeof(struct xct_saved_flow);
	uint8_t *file = malloc(sizeof(head) + bytes + sizeof(tail));

	if (!file)
		abort();
	*len = sizeof(head) + bytes + sizeof(tail);
	memcpy(file, &head, sizeof(head));
	for (size_t i = 0; i < n; i++) {
		const struct xct_saved_flow right = right_flow(i);

		memcpy(file + sizeof(head) + i * sizeof(right), &right,
		       sizeof(right));
	}
	for (size_t i = 0; i < bytes; i++)
		file[sizeof(head) + i] ^= flows[i];
	memcpy(file + sizeof(head) + bytes, &tail, sizeof(tail));
	tail.crc = ~xct_crc32c(XCT_CRC32C_INIT, file, *len - sizeof(tail.crc));
	memcpy(file + *len - sizeof(tail.crc), &tail.crc, sizeof(tail.crc));
	return file;
}

/* A packet of the flow's original direction, as far as its tuple says. */
static void meet(const struct xct_tuple *t, uint8_t flags)
{
	static struct xct_result result;
	const struct xct_meta meta = { .in_if = 1,
				       .out_if = 2,
				       .hook = flags & 1
						       ? XCT_HOOK_PREROUTING
						       : XCT_HOOK_POSTROUTING };
	uint8_t packet[60] = { 0x45, 0, 0, 60, 0, 0, 0, 0, 64, t->proto };

	if (t->family != AF_INET)
		return;
	memcpy(packet + 12, t->src.b, 4);
	memcpy(packet + 16, t->dst.b, 4);
	memcpy(packet + 20, &t->sport, 2);
	memcpy(packet + 22, &t->dport, 2);
	packet[20 + 12] = 0x50; /* TCP: the header's length, and flags */
	packet[20 + 13] = flags;
	xct_engine_packet(engine, packet, sizeof(packet), &meta, now, &result);
}

static bool restore_again(void *ctx, const struct xct_saved_flow *saved)
{
	unsigned int *n = ctx;

	/* What is saved is a flow: it is refused by nobody. */
	if (xct_engine_restore(engine, saved, now) == XCT_RESTORED_REFUSED)
		abort();
	meet(&saved->tuple[*n & 1], (uint8_t)(saved->mark >> (*n & 7)));
	++*n;
	return true;
}

static void restore_all(const struct xct_snapshot *s)
{
	struct xct_attach_report report;
	uint32_t cursor = 0, n_awaited = 0;
	unsigned int n = 0;

	memset(region, 0, xct_region_size(FLOWS));
	now = 5000;
	attach(&report);
	for (size_t i = 0; i < s->n; i++)
		(void)xct_engine_restore(engine, &s->flows[i], now);
	while (xct_engine_save(engine, &cursor, now, 7, restore_again, &n))
		;
	now += 30000;
	while (xct_engine_tick(engine, now, 5))
		;
	cursor = 0;
	while (xct_engine_settle(engine, &cursor, now, 7, &n_awaited))
		;
	attach(&report);
	if (report.torn)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xct_snapshot s = { .len = size };

	if (!region) {
		region = aligned_alloc(64,
				       (xct_region_size(FLOWS) + 63) & ~63ul);
		work = aligned_alloc(64, (xct_engine_work_size(FLOWS) + 63) &
						 ~63ul);
		if (!region || !work)
			abort();
	}
	/* As a file that nobody has mended. */
	s.data = malloc(size ? size : 1);
	if (!s.data)
		abort();
	memcpy(s.data, data, size);
	(void)xct_snapshot_verify(&s);
	xct_snapshot_free(&s);

	s.data = make_file(data, size / sizeof(struct xct_saved_flow), &s.len);
	if (xct_snapshot_verify(&s))
		abort();
	(void)xct_snapshot_advance(&s, 2000);
	restore_all(&s);
	xct_snapshot_free(&s);
	return 0;
}
