/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integers that carry a meaning: byte order and unit are part of the name. */
#ifndef XCT_COMMON_TYPES_H
#define XCT_COMMON_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint16_t xct_be16; /* network byte order */
typedef uint32_t xct_be32; /* network byte order */
typedef uint64_t xct_msec; /* milliseconds, of the clock the caller chose */

#define XCT_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Of a function that few packets come to: what it needs, a stack guard above
 * all, is not the others' to pay for. */
#define XCT_APART __attribute__((noinline))

/* The two directions of a connection (conntrack's ORIGINAL and REPLY). */
enum xct_dir { XCT_DIR_ORIG = 0, XCT_DIR_REPLY = 1, XCT_DIRS = 2 };

#endif
