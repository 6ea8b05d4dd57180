/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which helpers there are. */
#include "daemon/engine/helper.h"

static const struct xct_helper_ops *const helpers[XCT_HELPERS] = {
	[XCT_HELPER_FTP] = &xct_helper_ftp,
};

const struct xct_helper_ops *xct_helper(uint8_t id)
{
	return id < XCT_HELPERS ? helpers[id] : NULL;
}
