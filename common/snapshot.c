/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot files: written whole or not at all, read whole or not at all.
 *
 * Theory of operation: what is written goes to a new file beside the one that
 * is meant, and has reached the disk before it takes that one's name. So at any
 * moment, also after a crash or with the disk full, there is either the old
 * snapshot or the new one under that name. The new file has no name until then,
 * so nothing is left of it if its writer is killed; it has one where the file
 * system has no files without.
 */
#include "common/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crc32c.h"

#define READ_SIZE      (1024u * 1024)
#define VERSION_LABELS 3 /* the first that had them */
#define VERSION_OLDEST 2

/* ------------------------------------------------------------------ writing */

static int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len) {
		n = write(fd, p, len);
		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

/* Write @data, and add it to the checksum. */
static int put(struct xct_snapshot_writer *w, const void *data, size_t len)
{
	w->crc = xct_crc32c(w->crc, data, len);
	return write_all(w->fd, data, len);
}

/* The directory that @path is in. */
static void name_parent(char dir[static PATH_MAX], const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		strcpy(dir, ".");
	else if (slash == path)
		strcpy(dir, "/");
	else
		snprintf(dir, PATH_MAX, "%.*s", (int)(slash - path), path);
}

/* Open a new file beside @path, readable by its owner alone. */
static int open_new(struct xct_snapshot_writer *w, const char *path)
{
	char dir[PATH_MAX];
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return -ENOTSUP;
	if (strlen(path) + sizeof(".XXXXXX") > sizeof(w->temp))
		return -ENAMETOOLONG;
	strcpy(w->path, path);
	name_parent(dir, path);
	w->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (w->fd < 0 && errno == EOPNOTSUPP) {
		sprintf(w->temp, "%s.XXXXXX", path);
		w->fd = mkostemp(w->temp, O_CLOEXEC);
		if (w->fd < 0)
			w->temp[0] = '\0';
	}
	return w->fd < 0 ? -errno : 0;
}

/* Give the new file a name beside the one that is meant, since a link replaces
 * nothing. Only one that was killed here, of this number, can have left it. */
static int link_new(struct xct_snapshot_writer *w)
{
	char self[sizeof("/proc/self/fd/") + 11];

	sprintf(self, "/proc/self/fd/%d", w->fd);
	if (snprintf(w->temp, sizeof(w->temp), "%s.%d", w->path,
		     (int)getpid()) >= (int)sizeof(w->temp))
		return -ENAMETOOLONG;
	if (unlink(w->temp) < 0 && errno != ENOENT)
		return -errno;
	return linkat(AT_FDCWD, self, AT_FDCWD, w->temp, AT_SYMLINK_FOLLOW) < 0
		       ? -errno
		       : 0;
}

int xct_snapshot_open(struct xct_snapshot_writer *w, const char *path,
		      uint64_t now_ms)
{
	const struct xct_snapshot_head head = {
		.magic = XCT_SNAPSHOT_MAGIC,
		.version = XCT_SNAPSHOT_VERSION,
		.flow_size = sizeof(struct xct_saved_flow),
		.saved_ms = now_ms,
	};
	int ret;

	w->fd = STDOUT_FILENO;
	w->crc = XCT_CRC32C_INIT;
	w->n = 0;
	w->path[0] = w->temp[0] = '\0';
	if (strcmp(path, "-") != 0) {
		ret = open_new(w, path);
		if (ret)
			return ret;
	}
	return put(w, &head, sizeof(head));
}

int xct_snapshot_put(struct xct_snapshot_writer *w,
		     const struct xct_saved_flow *flows, size_t n)
{
	w->n += n;
	return put(w, flows, n * sizeof(*flows));
}

/* Make the new name in the directory last. */
static int sync_directory(const char *path)
{
	char dir[PATH_MAX];
	int fd, ret;

	name_parent(dir, path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = fsync(fd) < 0 ? -errno : 0;
	(void)close(fd); /* nothing was written through it */
	return ret;
}

int xct_snapshot_close(struct xct_snapshot_writer *w)
{
	struct xct_snapshot_tail tail = { .n = w->n };
	int ret;

	ret = put(w, &tail, offsetof(struct xct_snapshot_tail, crc));
	tail.crc = ~w->crc;
	if (!ret)
		ret = write_all(w->fd, &tail.crc, sizeof(tail.crc));
	if (ret || !w->path[0])
		return ret;
	/* Some file systems have no room only now. */
	if (fsync(w->fd) < 0)
		return -errno;
	ret = w->temp[0] ? 0 : link_new(w);
	if (ret)
		return ret;
	ret = close(w->fd) < 0 ? -errno : 0;
	w->fd = -1;
	if (ret)
		return ret;
	if (rename(w->temp, w->path) < 0)
		return -errno;
	w->temp[0] = '\0';
	return sync_directory(w->path);
}

void xct_snapshot_abort(struct xct_snapshot_writer *w)
{
	if (w->temp[0])
		(void)unlink(w->temp); /* if it fails, there is no more to do */
	if (w->path[0] && w->fd >= 0)
		(void)close(w->fd); /* what is in it is not wanted */
	w->temp[0] = '\0';
	w->fd = -1;
}

/* ------------------------------------------------------------------ reading */

/* Read all of @fd into s->data. 0 or an errno. */
static int read_all(struct xct_snapshot *s, int fd)
{
	size_t size = 0;
	char *grown;
	ssize_t n;

	for (;;) {
		if (s->len == size) {
			size = size ? 2 * size : READ_SIZE;
			grown = realloc(s->data, size);
			if (!grown)
				return ENOMEM;
			s->data = grown;
		}
		n = read(fd, (char *)s->data + s->len, size - s->len);
		if (n == 0)
			return 0;
		if (n > 0)
			s->len += (size_t)n;
		else if (errno != EINTR)
			return errno;
	}
}

/* The length of a flow in a snapshot of @version; 0: it is not known. */
static size_t flow_size(uint32_t version)
{
	switch (version) {
	case XCT_SNAPSHOT_VERSION:
		return sizeof(struct xct_saved_flow);
	case VERSION_LABELS:
		return offsetof(struct xct_saved_flow, help);
	case VERSION_OLDEST:
		return offsetof(struct xct_saved_flow, labels);
	default:
		return 0;
	}
}

/* Give the flows of an old snapshot, @size long each, the length of today. */
static const char *widen(struct xct_snapshot *s, size_t size)
{
	const size_t start = sizeof(struct xct_snapshot_head);
	char *data = realloc(s->data, start + s->n * sizeof(*s->flows));

	if (!data)
		return "there is no memory for it";
	s->data = data;
	s->flows = (void *)(data + start);
	for (size_t i = s->n; i-- > 0;) {
		memmove(&s->flows[i], data + start + i * size, size);
		memset((char *)&s->flows[i] + size, 0,
		       sizeof(*s->flows) - size);
	}
	return NULL;
}

const char *xct_snapshot_verify(struct xct_snapshot *s)
{
	struct xct_snapshot_head head;
	struct xct_snapshot_tail tail;
	const char *data = s->data;
	size_t len, size;

	if (s->len < sizeof(head.magic) ||
	    memcmp(data, &(uint64_t){ XCT_SNAPSHOT_MAGIC }, sizeof(uint64_t)))
		return "it is no snapshot of a host like this one";
	if (s->len < sizeof(head) + sizeof(tail))
		return "it is cut off";
	memcpy(&head, data, sizeof(head));
	memcpy(&tail, data + s->len - sizeof(tail), sizeof(tail));
	size = flow_size(head.version);
	if (!size || head.flow_size != size)
		return "it is of another version of xct";
	len = s->len - sizeof(head) - sizeof(tail);
	if (tail.reserved != 0 || len % size != 0 || tail.n != len / size)
		return "it is cut off or damaged: its length is not what it "
		       "says";
	if (tail.crc != (uint32_t)~xct_crc32c(XCT_CRC32C_INIT, s->data,
					      s->len - sizeof(tail.crc)))
		return "it is damaged: its checksum is wrong";
	s->flows = (void *)((char *)s->data + sizeof(head));
	s->n = tail.n;
	s->saved_ms = head.saved_ms;
	return size == sizeof(*s->flows) ? NULL : widen(s, size);
}

bool xct_snapshot_read(struct xct_snapshot *s, const char *path,
		       const char **why, int *error)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

	memset(s, 0, sizeof(*s));
	*error = fd < 0 ? errno : read_all(s, fd);
	if (fd >= 0 && !is_stdin)
		(void)close(fd); /* only read from */
	*why = *error ? strerror(*error) : xct_snapshot_verify(s);
	if (!*why)
		return true;
	xct_snapshot_free(s);
	return false;
}

void xct_snapshot_free(struct xct_snapshot *s)
{
	free(s->data);
	memset(s, 0, sizeof(*s));
}

static int compare_ids(const void *a, const void *b)
{
	const struct xct_saved_flow *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

size_t xct_snapshot_advance(struct xct_snapshot *s, uint64_t now_ms)
{
	uint64_t passed = now_ms > s->saved_ms ? now_ms - s->saved_ms : 0;
	size_t n = 0, before = s->n;

	for (size_t i = 0; i < before; i++) {
		if (s->flows[i].left_ms <= passed)
			continue;
		s->flows[n] = s->flows[i];
		s->flows[n].left_ms -= passed;
		s->flows[n++].age_ms += passed;
	}
	s->n = n;
	s->saved_ms += passed;
	qsort(s->flows, n, sizeof(*s->flows), compare_ids);
	return before - n;
}
