/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CRC32c (Castagnoli): the checksum of SCTP (RFC 9260 appendix A), and that of
 * snapshots. */
#ifndef XCT_COMMON_CRC32C_H
#define XCT_COMMON_CRC32C_H

#include "common/types.h"

#define XCT_CRC32C_INIT UINT32_MAX

/* @crc after @len more bytes. The checksum is the complement of what comes out
 * for all bytes, from XCT_CRC32C_INIT on. */
uint32_t xct_crc32c(uint32_t crc, const uint8_t *data, size_t len);

#endif
