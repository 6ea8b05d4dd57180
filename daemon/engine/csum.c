/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Internet checksum in full. */
#include "daemon/engine/csum.h"

/* Two 64-bit numbers, which every machine that has vectors adds at once. */
typedef uint64_t v2u64 __attribute__((vector_size(16)));

/* Of whole blocks of 32 bytes. */
static uint64_t sum_blocks(const uint8_t *data, uint32_t len)
{
	const v2u64 low = { 0xffffffff, 0xffffffff };
	v2u64 sum = { 0 }, sum_high = { 0 }, a, b;

	for (; len; data += 32, len -= 32) {
		memcpy(&a, data, 16);
		memcpy(&b, data + 16, 16);
		sum += (a & low) + (b & low);
		sum_high += (a >> 32) + (b >> 32);
	}
	sum += sum_high;
	return sum[0] + sum[1];
}

uint64_t xct_csum_sum(const uint8_t *data, uint32_t len)
{
	uint64_t sum = 0, word;
	uint32_t half, blocks;
	uint16_t last = 0;

	/* 32 bits at a time into 64: no carry is lost below 16 GiB. */
	if (len >= 128) {
		blocks = len & ~31u;
		sum = sum_blocks(data, blocks);
		data += blocks;
		len -= blocks;
	}
	/* 64 bits at a time: each carry is added at the other end. */
	for (; len >= 8; data += 8, len -= 8) {
		memcpy(&word, data, 8);
		sum += word;
		sum += sum < word;
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	if (len & 4) {
		memcpy(&half, data, 4);
		sum += half;
		data += 4;
	}
	if (len & 2) {
		memcpy(&last, data, 2);
		sum += last;
		data += 2;
	}
	if (len & 1) {
		last = 0;
		memcpy(&last, data, 1); /* padded with a zero byte */
		sum += last;
	}
	return sum;
}
