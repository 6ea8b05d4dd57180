/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operations of every protocol whose header begins with two ports. */
#ifndef XCT_ENGINE_L4_PORTS_H
#define XCT_ENGINE_L4_PORTS_H

#include "daemon/engine/l4.h"

/* As the operations of the same names in struct xct_l4_ops. */
bool xct_ports_key(const struct xct_pkt *pkt, struct xct_tuple *t);
bool xct_ports_invert(const struct xct_tuple *t, struct xct_tuple *inverse);
uint64_t xct_ports_rewrite(uint8_t *l4, const struct xct_tuple *t,
			   bool is_source);

#endif
