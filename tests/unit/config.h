/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tests of rules.yaml have in common: loading one without fault. */
#ifndef XCT_TESTS_CONFIG_H
#define XCT_TESTS_CONFIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/config.h"

static inline struct xct_config *load(const char *text)
{
	struct xct_messages messages;
	struct xct_config *config;

	config = xct_config_parse("test", text, strlen(text), &messages);
	if (messages.text)
		print_error("%s", messages.text);
	assert_int_equal(messages.warnings, 0);
	assert_non_null(config);
	xct_messages_fini(&messages);
	return config;
}

static inline struct xct_config *load_file(const char *path)
{
	struct xct_messages messages;
	struct xct_config *config = xct_config_load(path, &messages);

	if (messages.text)
		print_error("%s", messages.text);
	assert_non_null(config);
	assert_int_equal(messages.warnings, 0);
	assert_null(messages.text);
	return config;
}

#endif
