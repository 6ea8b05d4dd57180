/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC32c in software, eight bytes a step.
 *
 * Theory of operation: table[k][b] is what byte b adds to the checksum when k
 * more bytes follow it. A CRC is linear, so an entry is the sum (XOR) of those
 * of its bits; and bit 7 of a byte with k bytes behind it is the polynomial
 * shifted k * 8 times. So each table grows, while compiling, out of eight
 * numbers of one sequence: the polynomial, and it shifted once more each time.
 */
#include "common/crc32c.h"

/* clang-format off */
#define BIT(n, bit, value) ((n) >> (bit) & 1 ? (value) : 0u)
#define E1(n, a, b, c, d, e, f, g, h)                                         \
	BIT(n, 7, a) ^ BIT(n, 6, b) ^ BIT(n, 5, c) ^ BIT(n, 4, d) ^           \
	BIT(n, 3, e) ^ BIT(n, 2, f) ^ BIT(n, 1, g) ^ BIT(n, 0, h)
#define E4(n, ...)  E1(n, __VA_ARGS__), E1((n) + 1, __VA_ARGS__),             \
		    E1((n) + 2, __VA_ARGS__), E1((n) + 3, __VA_ARGS__)
#define E16(n, ...) E4(n, __VA_ARGS__), E4((n) + 4, __VA_ARGS__),             \
		    E4((n) + 8, __VA_ARGS__), E4((n) + 12, __VA_ARGS__)
#define E64(n, ...) E16(n, __VA_ARGS__), E16((n) + 16, __VA_ARGS__),          \
		    E16((n) + 32, __VA_ARGS__), E16((n) + 48, __VA_ARGS__)
#define ROW(...)                                                              \
	{ E64(0, __VA_ARGS__), E64(64, __VA_ARGS__),                          \
	  E64(128, __VA_ARGS__), E64(192, __VA_ARGS__) }

static const uint32_t table[8][256] = {
	ROW(0x82f63b78, 0x417b1dbc, 0x20bd8ede, 0x105ec76f,
	    0x8ad958cf, 0xc79a971f, 0xe13b70f7, 0xf26b8303),
	ROW(0xfbc3faf9, 0xff17c604, 0x7f8be302, 0x3fc5f181,
	    0x9d14c3b8, 0x4e8a61dc, 0x274530ee, 0x13a29877),
	ROW(0x8b277743, 0xc76580d9, 0xe144fb14, 0x70a27d8a,
	    0x38513ec5, 0x9edea41a, 0x4f6f520d, 0xa541927e),
	ROW(0x52a0c93f, 0xaba65fe7, 0xd725148b, 0xe964b13d,
	    0xf64463e6, 0x7b2231f3, 0xbf672381, 0xdd45aab8),
	ROW(0x6ea2d55c, 0x37516aae, 0x1ba8b557, 0x8f2261d3,
	    0xc5670b91, 0xe045beb0, 0x7022df58, 0x38116fac),
	ROW(0x1c08b7d6, 0x0e045beb, 0x85f4168d, 0xc00c303e,
	    0x6006181f, 0xb2f53777, 0xdb8ca0c3, 0xef306b19),
	ROW(0xf56e0ef4, 0x7ab7077a, 0x3d5b83bd, 0x9c5bfaa6,
	    0x4e2dfd53, 0xa5e0c5d1, 0xd0065990, 0x68032cc8),
	ROW(0x34019664, 0x1a00cb32, 0x0d006599, 0x847609b4,
	    0x423b04da, 0x211d826d, 0x9278fa4e, 0x493c7d27),
};
/* clang-format on */

static inline uint32_t get_le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

uint32_t xct_crc32c(uint32_t crc, const uint8_t *data, size_t len)
{
	uint32_t low, high;

	for (; len >= 8; data += 8, len -= 8) {
		low = crc ^ get_le32(data);
		high = get_le32(data + 4);
		crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^
		      table[5][low >> 16 & 0xff] ^ table[4][low >> 24] ^
		      table[3][high & 0xff] ^ table[2][high >> 8 & 0xff] ^
		      table[1][high >> 16 & 0xff] ^ table[0][high >> 24];
	}
	for (; len; data++, len--)
		crc = crc >> 8 ^ table[0][(crc ^ *data) & 0xff];
	return crc;
}
