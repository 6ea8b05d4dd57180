/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory that outlives the process.
 *
 * Theory of operation: one memfd, so that one descriptor is all that must be
 * kept. It begins with a header that says what follows; then the pending
 * packets of all queues; then names of interfaces, in what used to be left of a
 * page; then, on a page of its own, the engine's region, whose layout is the
 * engine's affair. Nothing in it is a pointer.
 */
#include "daemon/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_MAGIC   UINT64_C(0x0a6d656d2d746378) /* "xct-mem\n" */
#define MEMORY_VERSION 2
#define PAGE	       4096u

struct header {
	uint64_t magic;
	uint32_t version;
	uint32_t max_flows;
	xct_msec clock;
	uint8_t pad[40];
	struct xct_pending pending[XCT_QUEUES_MAX];
	char names[XCT_AWAITED_MAX][XCT_IFNAMSIZ];
};

#define REGION_OFFSET ((sizeof(struct header) + PAGE - 1) & ~(size_t)(PAGE - 1))

_Static_assert(REGION_OFFSET == 146 * PAGE, "as in memory without names");

/* What is filled from the start; behind it memory comes as it is needed. */
static size_t dense_size(uint32_t max_flows)
{
	return REGION_OFFSET + xct_region_dense_size(max_flows);
}

static int map(struct xct_memory *m, size_t size, uint32_t max_flows)
{
	struct header *header;

	m->size = size;
	m->base = mmap(NULL, m->size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_NORESERVE, m->fd, 0);
	if (m->base == MAP_FAILED) {
		m->base = NULL;
		return -errno;
	}
	/* Huge pages are a matter of speed only: they may be refused. */
	(void)madvise(m->base,
		      size < dense_size(max_flows) ? size
						   : dense_size(max_flows),
		      MADV_HUGEPAGE);
	/* Nor does a crash have to wait until all flows are in a core file. */
	(void)madvise(m->base, m->size, MADV_DONTDUMP);
	header = m->base;
	m->max_flows = max_flows;
	m->clock = &header->clock;
	m->pending = header->pending;
	m->names = header->names;
	m->region = (uint8_t *)m->base + REGION_OFFSET;
	m->region_size = size - REGION_OFFSET;
	return 0;
}

int xct_memory_new(struct xct_memory *m, uint32_t max_flows)
{
	size_t size = REGION_OFFSET + xct_region_size(max_flows);
	struct header *header;
	int err;

	*m = (struct xct_memory){ .fd = memfd_create("xct-flows",
						     MFD_CLOEXEC) };
	if (m->fd < 0)
		return -errno;
	err = ftruncate(m->fd, (off_t)size) < 0 ? -errno
						: map(m, size, max_flows);
	if (err) {
		xct_memory_free(m);
		return err;
	}
	/* All of it now, but for what few flows need: when flows come in masses
	 * is no time to look for memory. Where the kernel cannot (before 5.14),
	 * it comes then. */
	(void)madvise(m->base, dense_size(max_flows), MADV_POPULATE_WRITE);
	header = m->base;
	header->max_flows = max_flows;
	header->version = MEMORY_VERSION;
	header->magic = MEMORY_MAGIC;
	return 0;
}

int xct_memory_adopt(struct xct_memory *m, int fd)
{
	struct header header;
	struct stat st;
	int err;

	*m = (struct xct_memory){ .fd = fd };
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    fstat(fd, &st) < 0 || header.magic != MEMORY_MAGIC ||
	    header.version != MEMORY_VERSION ||
	    (uint64_t)st.st_size <= REGION_OFFSET)
		err = -EINVAL;
	else
		err = map(m, (size_t)st.st_size, header.max_flows);
	if (err)
		xct_memory_free(m);
	return err;
}

void xct_memory_free(struct xct_memory *m)
{
	if (m->base)
		munmap(m->base, m->size);
	if (m->fd >= 0)
		(void)close(m->fd); /* nothing is written through it */
	*m = (struct xct_memory){ .fd = -1 };
}
