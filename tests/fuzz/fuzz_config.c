/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any text as rules.yaml: it is accepted, or every error has a message. */
#include <stdlib.h>

#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xct_messages messages = { 0 };
	struct xct_config *config;

	config = xct_config_parse("fuzz", (const char *)data, size, &messages);
	if (!config && messages.errors == 0)
		abort();
	if (config && messages.errors > 0)
		abort();
	xct_config_free(config);
	xct_messages_fini(&messages);
	return 0;
}
