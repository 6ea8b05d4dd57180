/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A policy in force and memory for an engine, which each input begins anew. */
#ifndef XCT_TESTS_FUZZ_WORLD_H
#define XCT_TESTS_FUZZ_WORLD_H

#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"

#define FLOWS 64

static struct xct_config *config;
static void *region, *work;

static void setup(const char *policy)
{
	struct xct_messages messages = { 0 };

	config = xct_config_parse("policy", policy, strlen(policy), &messages);
	region = aligned_alloc(64, (xct_region_size(FLOWS) + 63) & ~63ul);
	work = aligned_alloc(64, (xct_engine_work_size(FLOWS) + 63) & ~63ul);
	if (!config || !region || !work)
		abort();
	xct_messages_fini(&messages);
}

#endif
