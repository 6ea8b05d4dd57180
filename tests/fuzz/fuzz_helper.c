/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as what two ends say in an FTP connection that is masqueraded: the
 * input is cut into segments, each with three bytes in front that choose who
 * says it, its length, and how its numbers differ from the right ones. Whatever
 * goes on is a sound packet.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/fuzz/world.h"
#include "tests/unit/packets.h"

#define CLIENT	 "10.0.0.2"
#define OUTSIDE	 "192.0.2.1"
#define SERVER	 "198.51.100.9"
#define CLIENT6	 "fd00::2"
#define OUTSIDE6 "2001:db8::1"
#define SERVER6	 "2001:db8:9::9"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char policy[] =
	"nat:\n"
	"  - {src: 10.0.0.0/8, snat: 192.0.2.1}\n"
	"  - {src: 'fd00::/8', snat: '2001:db8::1'}\n"
	"filter:\n"
	"  forward:\n"
	"    default: drop\n"
	"    rules:\n"
	"      - {proto: tcp, dport: 21, accept: yes, helper: ftp}\n";

struct talk {
	struct xct_engine *eng;
	bool is_v6;
	uint32_t seq[XCT_DIRS]; /* next, as sent */
	uint32_t got[XCT_DIRS]; /* of what each sends, as the other has it */
};

/* A packet through the engine, from a memory with no room but what it may
 * need. */
static void pass(struct talk *talk, struct packet *p, enum xct_dir dir)
{
	static struct xct_result result;
	struct xct_meta meta = { .in_if = dir == XCT_DIR_ORIG ? 1 : 2,
				 .hook = dir == XCT_DIR_ORIG
						 ? XCT_HOOK_POSTROUTING
						 : XCT_HOOK_PREROUTING,
				 .out_if = dir == XCT_DIR_ORIG ? 2 : 0,
				 .room = 64 };
	uint8_t *copy = malloc(p->len + meta.room);
	struct xct_pkt pkt;

	if (!copy)
		abort();
	memcpy(copy, p->data, p->len);
	xct_engine_packet(talk->eng, copy, p->len, &meta, 1000, &result);
	if (result.verdict == XCT_VERDICT_ACCEPT &&
	    xct_pkt_parse(&pkt, copy, p->len + meta.room, false) ==
		    XCT_REASON_NONE) {
		memcpy(p->data, copy, pkt.l3_len);
		p->len = pkt.l3_len;
		if (!packet_is_sound(p))
			abort();
		talk->got[dir] = xct_get_be32(pkt.l4 + 4) + pkt.l4_len -
				 (uint32_t)(pkt.l4[12] >> 4) * 4 +
				 !!(pkt.l4[13] & TCP_SYN);
	}
	free(copy);
}

static void say(struct talk *talk, enum xct_dir dir, uint8_t flags,
		const uint8_t *text, uint32_t len, int8_t off)
{
	uint8_t tcp[20 + 256] = { [12] = 5 << 4, [13] = flags };
	const char *client = talk->is_v6 ? CLIENT6 : CLIENT;
	const char *server = talk->is_v6 ? SERVER6 : SERVER;
	struct packet p;

	xct_put_be16(tcp, dir == XCT_DIR_ORIG ? 4000 : 21);
	xct_put_be16(tcp + 2, dir == XCT_DIR_ORIG ? 21 : 4000);
	xct_put_be32(tcp + 4, talk->seq[dir] + (uint32_t)off);
	xct_put_be32(tcp + 8, talk->got[!dir]);
	xct_put_be16(tcp + 14, 65000);
	if (len)
		memcpy(tcp + 20, text, len);
	if (dir == XCT_DIR_REPLY)
		client = talk->is_v6 ? OUTSIDE6 : OUTSIDE;
	packet_ip(&p, dir == XCT_DIR_ORIG ? client : server,
		  dir == XCT_DIR_ORIG ? server : client, IPPROTO_TCP, tcp,
		  20 + len);
	pass(talk, &p, dir);
	talk->seq[dir] += len + !!(flags & TCP_SYN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xct_engine_config cfg = { 0 };
	struct xct_attach_report report;
	struct talk talk = { .seq = { 1000, 9000 } };

	if (!config)
		setup(policy);
	cfg.l4 = config->settings.l4;
	memset(region, 0, xct_region_size(FLOWS));
	if (xct_engine_attach(&talk.eng, region, work, FLOWS, &cfg, 1000,
			      &report))
		abort();
	xct_engine_set_ruleset(talk.eng, &config->ruleset);
	talk.is_v6 = size && data[0] & 1;
	say(&talk, XCT_DIR_ORIG, TCP_SYN, NULL, 0, 0);
	say(&talk, XCT_DIR_REPLY, TCP_SYN | TCP_ACK, NULL, 0, 0);
	say(&talk, XCT_DIR_ORIG, TCP_ACK, NULL, 0, 0);
	say(&talk, XCT_DIR_REPLY, TCP_ACK, (const uint8_t *)"220\r\n", 5, 0);
	say(&talk, XCT_DIR_ORIG, TCP_ACK, (const uint8_t *)"USER\r\n", 6, 0);
	while (size > 3) {
		uint32_t len = data[1];

		if (len > size - 3)
			len = (uint32_t)size - 3;
		say(&talk, data[0] >> 1 & 1, TCP_ACK, data + 3, len,
		    data[0] & 4 ? (int8_t)data[2] : 0);
		data += 3 + len;
		size -= 3 + len;
	}
	return 0;
}
