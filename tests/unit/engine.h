/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tests of the engine have in common: its memory, and rules as text. */
#ifndef XCT_TESTS_ENGINE_H
#define XCT_TESTS_ENGINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/config.h"
#include "daemon/engine/engine.h"

/* Zeroed, and aligned as the engine wants its region and its memory. */
static inline void *engine_room(size_t size)
{
	size_t whole = (size + 63) & ~(size_t)63;
	void *memory = aligned_alloc(64, whole);

	assert_non_null(memory);
	memset(memory, 0, whole);
	return memory;
}

static inline void engine_defaults(struct xct_engine_config *cfg)
{
	*cfg = (struct xct_engine_config){ .seed = { { 1, 2 } },
					   .accounting = true };
	xct_l4_config_default(&cfg->l4);
}

/* Of struct xct_host_ops: interface 3 is wan0, all others are lan0, and each
 * has the same addresses. */
static inline bool engine_ifname(void *ctx, uint32_t ifindex,
				 char name[static XCT_IFNAMSIZ])
{
	(void)ctx;
	strcpy(name, ifindex == 3 ? "wan0" : "lan0");
	return true;
}

static inline bool engine_ifaddr(void *ctx, uint32_t ifindex, uint8_t family,
				 const struct xct_addr *dst,
				 struct xct_addr *addr)
{
	uint8_t found;

	(void)ctx;
	(void)ifindex;
	(void)dst;
	return xct_addr_parse(family == AF_INET ? "203.0.113.1" : "2001:db8::1",
			      &found, addr);
}

static inline struct xct_config *engine_rules(const char *yaml)
{
	struct xct_messages messages = { 0 };
	struct xct_config *config =
		xct_config_parse("rules", yaml, strlen(yaml), &messages);

	if (!config)
		fail_msg("%s", messages.text);
	xct_messages_fini(&messages);
	return config;
}

/* @eng has these rules from now on, in place of *@config. */
static inline void engine_use_rules(struct xct_engine *eng,
				    struct xct_config **config,
				    const char *yaml)
{
	xct_config_free(*config);
	*config = engine_rules(yaml);
	xct_engine_set_ruleset(eng, &(*config)->ruleset);
}

#endif
