/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as packets: the input is cut into packets, each with two bytes in
 * front that choose length, hook and what is said about it. Flows that some
 * make are met by others, translated; time goes on in between.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/fuzz/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char policy[] =
	"nat:\n"
	"  - {dport: 80, proto: tcp, dnat: '10.0.0.9:81'}\n"
	"  - {src: 10.0.0.0/8, snat: '192.0.2.1:1024-1027'}\n"
	"filter:\n"
	"  invalid: drop\n"
	"  forward:\n"
	"    default: accept\n"
	"    rules:\n"
	"      - {proto: tcp, dport: 21, accept: yes, helper: ftp}\n"
	"      - {proto: udp, dport: 9, reject: yes}\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t hooks[] = { XCT_HOOK_PREROUTING, XCT_HOOK_INPUT,
					 XCT_HOOK_OUTPUT,
					 XCT_HOOK_POSTROUTING };
	static struct xct_result result;
	struct xct_engine_config cfg = { 0 };
	struct xct_attach_report report;
	struct xct_engine *eng;
	xct_msec now = 1000;

	if (!config)
		setup(policy);
	cfg.l4 = config->settings.l4;
	cfg.l4.checksum = false; /* else little gets past it */
	memset(region, 0, xct_region_size(FLOWS));
	if (xct_engine_attach(&eng, region, work, FLOWS, &cfg, now, &report))
		abort();
	xct_engine_set_ruleset(eng, &config->ruleset);

	while (size > 2) {
		struct xct_meta meta = { .in_if = 1, .out_if = 2, .room = 64 };
		size_t len = data[0];
		uint8_t *packet;

		meta.hook = hooks[data[1] & 3];
		meta.stage = data[1] >> 2 & 3;
		meta.csum_partial = data[1] & 0x10;
		meta.is_gso = data[1] & 0x20;
		now += (data[1] & 0xc0) * 200u;
		data += 2;
		size -= 2;
		if (len > size)
			len = size;
		/* Of its own, so that a read beyond its end is seen. */
		packet = malloc(len + meta.room);
		if (!packet)
			abort();
		memcpy(packet, data, len);
		xct_engine_packet(eng, packet, (uint32_t)len, &meta, now,
				  &result);
		free(packet);
		data += len;
		size -= len;
		(void)xct_engine_tick(eng, now, 8); /* the rest another time */
	}
	return 0;
}
