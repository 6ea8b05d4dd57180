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
#include <linux/mman.h> /* the C library has not all */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_MAGIC   UINT64_C(0x0a6d656d2d746378) /* "xct-mem\n" */
#define MEMORY_VERSION 2
#define PAGE	       4096u
#define HUGE_PAGE      (2u << 20)

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

/* Where huge pages of the file are huge pages of the process too. */
static void *map_aligned(int fd, size_t size)
{
	size_t room = size + HUGE_PAGE;
	uintptr_t start, end;
	char *at;

	at = mmap(NULL, room, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return MAP_FAILED;
	start = ((uintptr_t)at + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
	end = start + ((size + PAGE - 1) & ~(size_t)(PAGE - 1));
	/* These cannot fail: they are parts of what has just been mapped. */
	if (start > (uintptr_t)at)
		(void)munmap(at, start - (uintptr_t)at);
	(void)munmap((void *)end, (uintptr_t)at + room - end);
	return mmap((void *)start, size, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
}

static int map(struct xct_memory *m, size_t size, uint32_t max_flows)
{
	struct header *header;

	m->size = size;
	m->base = map_aligned(m->fd, size);
	if (m->base == MAP_FAILED) {
		m->base = NULL;
		return -errno;
	}
	/* A crash need not wait until all flows are in a core file. */
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

/*
 * All of it now, but for what few flows need: when flows come in masses is no
 * time to look for memory. Where the kernel cannot (before 5.14), it comes
 * then. In huge pages as far as there are any (from 6.1 on), whatever is the
 * system's habit with shared memory: to find a flow's page costs as much as to
 * read it. One page of each has to be there before.
 */
static void populate(char *base, size_t size)
{
	size_t whole = size & ~(size_t)(HUGE_PAGE - 1);

	for (size_t at = 0; at < whole; at += HUGE_PAGE)
		((volatile char *)base)[at] = 0;
	(void)madvise(base, whole, MADV_COLLAPSE);
	(void)madvise(base, size, MADV_POPULATE_WRITE);
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
	populate(m->base, dense_size(max_flows));
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
