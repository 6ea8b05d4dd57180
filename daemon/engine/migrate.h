/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Regions of another size or of an older layout. What is not known is never
 * read: whether a region can be used follows from xct_migrate_layout() alone.
 */
#ifndef XCT_ENGINE_MIGRATE_H
#define XCT_ENGINE_MIGRATE_H

#include "common/types.h"

/* As xct_region_layout() and xct_region_copy() (engine.h). */
uint32_t xct_migrate_layout(const void *region, size_t size,
			    uint32_t max_flows);
uint32_t xct_migrate_copy(void *to, uint32_t to_max, const void *from,
			  uint32_t from_max);

#endif
