/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading the kernel's reassembly counters from /proc. */
#include "daemon/reassembly.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Through self: where only processes are shown in /proc, it is there. */
#define PROC_NET "/proc/self/net/"

static void keep(struct xct_reassembly *numbers, const char *name,
		 uint64_t value)
{
	if (strcmp(name, "ReasmReqds") == 0)
		numbers->fragments = value;
	else if (strcmp(name, "ReasmOKs") == 0)
		numbers->whole = value;
	else if (strcmp(name, "ReasmFails") == 0)
		numbers->failed = value;
}

/* Two lines "Ip: NAME..." and "Ip: VALUE...". */
static void read_snmp(FILE *f, struct xct_reassembly *numbers)
{
	char names[1024], values[1024], *n, *v, *name_at, *value_at;
	uint64_t value;

	if (!fgets(names, sizeof(names), f) ||
	    !fgets(values, sizeof(values), f))
		return;
	n = strtok_r(names, " \n", &name_at);
	v = strtok_r(values, " \n", &value_at);
	while (n && v) {
		if (sscanf(v, "%" SCNu64, &value) == 1)
			keep(numbers, n, value);
		n = strtok_r(NULL, " \n", &name_at);
		v = strtok_r(NULL, " \n", &value_at);
	}
}

/* "FRAG: inuse N memory N" among other lines. */
static void read_sockstat(FILE *f, struct xct_reassembly *numbers)
{
	char line[256];

	while (fgets(line, sizeof(line), f))
		/* Other lines leave it as it is. */
		(void)sscanf(line, "FRAG: inuse %*u memory %" SCNu64,
			     &numbers->memory);
}

/* Lines "Ip6NAME VALUE". */
static void read_snmp6(FILE *f, struct xct_reassembly *numbers)
{
	char line[256];

	while (fgets(line, sizeof(line), f))
		/* Other lines leave it as it is. */
		(void)sscanf(line, "Ip6ReasmFails %" SCNu64,
			     &numbers->failed_ipv6);
}

static void read_file(const char *path,
		      void (*fn)(FILE *f, struct xct_reassembly *numbers),
		      struct xct_reassembly *numbers)
{
	FILE *f = fopen(path, "re");

	if (!f)
		return;
	fn(f, numbers);
	(void)fclose(f); /* only read */
}

void xct_reassembly_read(struct xct_reassembly *numbers)
{
	memset(numbers, 0, sizeof(*numbers));
	read_file(PROC_NET "snmp", read_snmp, numbers);
	read_file(PROC_NET "sockstat", read_sockstat, numbers);
	read_file(PROC_NET "snmp6", read_snmp6, numbers);
}
