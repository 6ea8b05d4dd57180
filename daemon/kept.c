/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking what a predecessor has left into use. */
#include "daemon/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/nfq_info.h"
#include "daemon/sd.h"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* others hold it too */
	*fd = -1;
}

/* systemd's socket is not; for accept() to wait would stop everything. */
static void set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		xct_log(LOG_WARNING, "control socket: %s", strerror(errno));
}

void xct_kept_init(struct xct_kept *kept)
{
	*kept = (struct xct_kept){ .listen_fd = -1,
				   .memory_fd = -1,
				   .rules_fd = -1,
				   .hooks_fd = -1,
				   .fragments_fd = -1,
				   .raw = { -1, -1 } };
}

/* There are two if a predecessor has died while it put one in the other's
 * place, before it took a packet: the flows in both are the same. */
static void note_memory(struct xct_kept *kept, const char *name, int fd)
{
	bool is_other = strcmp(name, XCT_KEPT_OTHER) == 0;

	if (kept->memory_fd >= 0) {
		xct_sd_forget(name);
		close_fd(&fd);
		return;
	}
	kept->memory_fd = fd;
	kept->memory_name = is_other ? XCT_KEPT_OTHER : XCT_KEPT_MEMORY;
}

void xct_kept_note(void *ctx, const char *name, int fd)
{
	struct xct_kept *kept = ctx;
	size_t prefix = strlen(XCT_KEPT_QUEUE);

	if (strcmp(name, XCT_KEPT_MEMORY) == 0 ||
	    strcmp(name, XCT_KEPT_OTHER) == 0) {
		note_memory(kept, name, fd);
	} else if (strcmp(name, XCT_KEPT_RULES) == 0 && kept->rules_fd < 0) {
		kept->rules_fd = fd;
	} else if (strcmp(name, XCT_KEPT_HOOKS) == 0 && kept->hooks_fd < 0) {
		kept->hooks_fd = fd;
	} else if (strncmp(name, XCT_KEPT_QUEUE, prefix) == 0 &&
		   kept->n_queues < XCT_QUEUES_MAX) {
		kept->queue[kept->n_queues].number =
			(uint16_t)strtoul(name + prefix, NULL, 10);
		kept->queue[kept->n_queues++].fd = fd;
	} else if (strcmp(name, XCT_KEPT_RAW4) == 0 && kept->raw.fd4 < 0) {
		kept->raw.fd4 = fd;
	} else if (strcmp(name, XCT_KEPT_RAW6) == 0 && kept->raw.fd6 < 0) {
		kept->raw.fd6 = fd;
	} else if (strcmp(name, XCT_KEPT_FRAGS) == 0 &&
		   kept->fragments_fd < 0) {
		kept->fragments_fd = fd;
	} else if (strcmp(name, XCT_KEPT_INFO) == 0) {
		xct_nfq_use_info(fd);
	} else if (xct_sd_is_listening(fd) && kept->listen_fd < 0) {
		kept->listen_fd = fd;
		set_nonblocking(fd);
	} else {
		xct_log(LOG_WARNING, "handed over and of no use here: \"%s\"",
			name);
		close_fd(&fd);
	}
}

/* The flows of @old go into new memory, of another size or layout. */
static int convert(const struct xct_memory *old, uint32_t max_flows,
		   struct xct_memory *memory)
{
	int ret = xct_memory_new(memory, max_flows);
	uint32_t lost;

	if (ret < 0)
		return ret;
	lost = xct_region_copy(memory->region, max_flows, old->region,
			       old->max_flows);
	if (lost > 0)
		xct_log(LOG_WARNING,
			"table-size is %u now: %u of the flows do not fit",
			max_flows, lost);
	*memory->clock = *old->clock;
	memcpy(memory->pending, old->pending,
	       XCT_QUEUES_MAX * sizeof(*old->pending));
	memcpy(memory->names, old->names,
	       XCT_AWAITED_MAX * sizeof(*old->names));
	return 0;
}

/* Map the memory behind @fd, which is taken in any case. Returns the layout of
 * the flows in it; 0: it is of no use, and nothing is mapped. */
static uint32_t adopt(int fd, struct xct_memory *memory)
{
	uint32_t layout;

	if (fd < 0 || xct_memory_adopt(memory, fd) < 0)
		return 0;
	layout = xct_region_layout(memory->region, memory->region_size,
				   memory->max_flows);
	if (!layout)
		xct_memory_free(memory);
	return layout;
}

bool xct_kept_is_usable(const struct xct_kept *kept)
{
	struct xct_memory memory;

	if (kept->memory_fd < 0)
		return true;
	if (!adopt(fcntl(kept->memory_fd, F_DUPFD_CLOEXEC, 0), &memory))
		return false;
	xct_memory_free(&memory);
	return true;
}

int xct_kept_memory(struct xct_kept *kept, uint32_t max_flows,
		    struct xct_memory *memory, bool *is_new)
{
	struct xct_memory old;
	int fd = kept->memory_fd, ret;

	kept->memory_fd = -1;
	*is_new = true;
	if (fd < 0)
		return xct_memory_new(memory, max_flows);
	kept->layout = adopt(fd, &old);
	if (!kept->layout) {
		xct_log(LOG_WARNING,
			"the flows of an earlier xctd cannot be taken over, "
			"they are of a layout that this one does not know, or "
			"damaged: starting without");
		return xct_memory_new(memory, max_flows);
	}
	if (kept->layout == XCT_REGION_VERSION && old.max_flows == max_flows) {
		*memory = old;
		*is_new = false;
		return 0;
	}
	ret = convert(&old, max_flows, memory);
	xct_memory_free(&old);
	return ret;
}

void xct_kept_put_memory(struct xct_kept *kept, const struct xct_memory *memory)
{
	const char *old = kept->memory_name;

	kept->memory_name = old && strcmp(old, XCT_KEPT_MEMORY) == 0
				    ? XCT_KEPT_OTHER
				    : XCT_KEPT_MEMORY;
	xct_sd_keep(kept->memory_name, memory->fd);
	if (old)
		xct_sd_forget(old);
}

/* A file in memory with @text, or -1. */
static int new_file(const char *name, const char *text, size_t len)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd >= 0 && write(fd, text, len) != (ssize_t)len)
		close_fd(&fd);
	return fd;
}

/* All of @fd, and a NUL; caller frees. NULL: there is none, or no memory. */
static char *read_file(int fd, size_t *len)
{
	struct stat st;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	*len = (size_t)st.st_size;
	text = malloc(*len + 1);
	if (!text)
		return NULL;
	if (pread(fd, text, *len, 0) != (ssize_t)*len) {
		free(text);
		return NULL;
	}
	text[*len] = '\0';
	return text;
}

/* Have systemd keep @fd as @name, in place of an older one, and close it. */
static void put_file(const char *name, int fd)
{
	if (fd < 0)
		xct_log(LOG_WARNING, "cannot have %s kept: %s", name,
			strerror(errno));
	xct_sd_forget(name); /* older ones would be worse than none */
	if (fd >= 0)
		xct_sd_keep(name, fd);
	close_fd(&fd);
}

void xct_kept_put_rules(const struct xct_config *config)
{
	put_file(XCT_KEPT_RULES,
		 new_file(XCT_KEPT_RULES, config->text, config->len));
}

struct xct_config *xct_kept_rules(struct xct_kept *kept, const char *name,
				  struct xct_messages *messages)
{
	struct xct_config *config = NULL;
	size_t len;
	char *text = read_file(kept->rules_fd, &len);

	if (text)
		config = xct_config_parse(name, text, len, messages);
	free(text);
	return config;
}

int xct_kept_hooks_file(const struct xct_hooks *hooks)
{
	char *text = xct_hooks_selected(hooks);
	int fd = text ? new_file(XCT_KEPT_HOOKS, text, strlen(text)) : -1;

	free(text);
	return fd;
}

void xct_kept_put_hooks(const struct xct_hooks *hooks)
{
	put_file(XCT_KEPT_HOOKS, xct_kept_hooks_file(hooks));
}

int xct_kept_hooks(struct xct_kept *kept, struct xct_hooks *hooks)
{
	size_t len;
	char *text = read_file(kept->hooks_fd, &len);
	int err = text ? xct_hooks_retain(hooks, text) : 0;
	bool is_there = text;

	free(text);
	return err ? err : is_there;
}

int xct_kept_raw(struct xct_kept *kept, struct xct_rawsend *raw)
{
	if (kept->raw.fd4 < 0)
		return xct_rawsend_open(raw);
	*raw = kept->raw;
	kept->raw = (struct xct_rawsend){ -1, -1 };
	return 0;
}

/* The predecessor's socket of queue @number, or -1. */
static int take_queue_fd(struct xct_kept *kept, uint16_t number)
{
	int fd;

	for (unsigned int i = 0; i < kept->n_queues; i++) {
		if (kept->queue[i].number != number)
			continue;
		fd = kept->queue[i].fd;
		kept->queue[i] = kept->queue[--kept->n_queues];
		return fd;
	}
	return -1;
}

void xct_kept_forget_queue(uint16_t number)
{
	char name[32];

	snprintf(name, sizeof(name), XCT_KEPT_QUEUE "%u", number);
	xct_sd_forget(name);
}

int xct_kept_queue(struct xct_kept *kept, uint16_t number, uint32_t max_len,
		   bool fail_open, struct xct_nfq **nfq)
{
	int fd = take_queue_fd(kept, number), ret;

	if (fd < 0)
		return -ENOENT;
	ret = xct_nfq_adopt(nfq, fd, number, max_len, fail_open);
	if (ret < 0) {
		xct_log(LOG_WARNING,
			"queue %u: its kept socket is of no use (%s)", number,
			strerror(-ret));
		/* While systemd has it nobody else can bind the queue. */
		xct_kept_forget_queue(number);
	}
	return ret;
}

void xct_kept_forget(struct xct_kept *kept, const struct xct_settings *settings)
{
	while (kept->n_queues > 0) {
		uint16_t number = kept->queue[0].number;
		struct xct_nfq *nfq;

		if (xct_kept_queue(kept, number, settings->queue_length,
				   settings->fail_open, &nfq) < 0)
			continue; /* that has forgotten it */
		if (xct_nfq_repeat_all(nfq) < 0)
			xct_log(LOG_WARNING,
				"queue %u: what waits in it is dropped",
				number);
		xct_kept_forget_queue(number);
		xct_nfq_close(nfq);
	}
	if (kept->fragments_fd >= 0)
		xct_sd_forget(XCT_KEPT_FRAGS);
	xct_kept_close(kept);
}

void xct_kept_close(struct xct_kept *kept)
{
	while (kept->n_queues > 0)
		close_fd(&kept->queue[--kept->n_queues].fd);
	xct_rawsend_close(&kept->raw);
	close_fd(&kept->memory_fd);
	close_fd(&kept->rules_fd);
	close_fd(&kept->hooks_fd);
	close_fd(&kept->fragments_fd);
	close_fd(&kept->listen_fd);
}
