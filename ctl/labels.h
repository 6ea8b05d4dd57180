/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of connection labels, which flows here never have. */
#ifndef XCT_CTL_LABELS_H
#define XCT_CTL_LABELS_H

#include <stdbool.h>
#include <stddef.h>

#define XCT_LABELS_PATH "/etc/xtables/connlabel.conf"

/* Does the file of iptables' connlabel match name a label so? @len of @name. */
bool xct_label_is_known(const char *name, size_t len);

#endif
