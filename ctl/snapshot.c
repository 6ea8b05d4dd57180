/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands about snapshots: save, load. */
#include "common/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/request.h"

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static enum xct_exit say_no_file(const char *command)
{
	xct_ctl_say("%s: a file is needed, or `-'", command);
	return XCT_EXIT_USAGE;
}

/* ---- save ---- */

static struct xct_snapshot_writer writer;

/* Interrupted: leave nothing behind, and end as if nobody had caught it. */
static void give_up(int signo)
{
	if (writer.temp[0])
		(void)unlink(writer.temp); /* there is no more to do */
	(void)signal(signo, SIG_DFL);
	(void)raise(signo);
}

struct save {
	const char *path;
	bool is_open; /* the writer */
	int error;
};

/* Not before xctd has answered: where it does not there is nothing to write,
 * and nothing else to complain of. */
static bool begin(struct save *save)
{
	if (!save->is_open)
		save->error = xct_snapshot_open(&writer, save->path, now_ms());
	save->is_open = true;
	return save->error == 0;
}

static bool write_frame(void *ctx, uint16_t type, const void *payload,
			uint32_t len)
{
	struct save *save = ctx;

	if (type == XCT_RSP_SAVED && begin(save))
		save->error = xct_snapshot_put(
			&writer, payload, len / sizeof(struct xct_saved_flow));
	return save->error == 0;
}

/* xctd counts what became of its flows. That it cannot be told is no reason to
 * call a good file bad. */
static void tell_written(const char *socket, int error)
{
	const struct xct_frame_written written = { .n = writer.n,
						   .error = (uint32_t)-error };

	(void)xct_request(socket, XCT_REQ_WRITTEN, &written, sizeof(written),
			  NULL, NULL);
}

enum xct_exit xct_ctl_save(const struct xct_ctl *ctl)
{
	struct save save = { .path = ctl->argc ? ctl->argv[0] : NULL };
	enum xct_exit ret;

	if (!save.path)
		return say_no_file("save");
	(void)signal(SIGINT, give_up);
	(void)signal(SIGTERM, give_up);
	(void)signal(SIGHUP, give_up);
	ret = xct_request(ctl->socket, XCT_REQ_SAVE, NULL, 0, write_frame,
			  &save);
	if (ret == XCT_EXIT_OK && begin(&save))
		save.error = xct_snapshot_close(&writer);
	if (save.error || ret != XCT_EXIT_OK)
		xct_snapshot_abort(&writer);
	if (ret != XCT_EXIT_OK)
		return ret;
	tell_written(ctl->socket, save.error);
	if (save.error) {
		xct_ctl_say("cannot save to %s: %s", save.path,
			    save.error == -ENOTSUP ? "it is no regular file"
						   : strerror(-save.error));
		return XCT_EXIT_FAILED;
	}
	xct_ctl_say("%" PRIu64 " flow entries have been saved.", writer.n);
	return XCT_EXIT_OK;
}

/* ---- load ---- */

/* The fates of flows, added up. */
static bool add_results(void *ctx, uint16_t type, const void *payload,
			uint32_t len)
{
	uint64_t *results = ctx;
	uint32_t some[XCT_RESTORED_COUNT];

	if (type != XCT_RSP_RESTORED || len != sizeof(some))
		return false;
	memcpy(some, payload, sizeof(some));
	for (int i = 0; i < XCT_RESTORED_COUNT; i++)
		results[i] += some[i];
	return true;
}

static enum xct_exit send_flows(const char *socket,
				const struct xct_snapshot *s, uint64_t *results)
{
	struct xct_client client;
	enum xct_exit ret = xct_request_connect(&client, socket);
	size_t i = 0, n;

	if (ret != XCT_EXIT_OK)
		return ret;
	do {
		n = s->n - i;
		if (n > XCT_RESTORE_MAX)
			n = XCT_RESTORE_MAX;
		ret = xct_request_on(&client, XCT_REQ_RESTORE, &s->flows[i],
				     (uint32_t)(n * sizeof(*s->flows)),
				     add_results, results);
		i += n;
	} while (ret == XCT_EXIT_OK && i < s->n);
	xct_client_close(&client);
	return ret;
}

static void say_results(const uint64_t *results)
{
	static const char *const texts[] = {
#define X(sym, name, text) text,
		XCT_RESTORED_RESULTS(X)
#undef X
	};

	xct_ctl_say("%" PRIu64 " flow entries have been loaded.",
		    results[XCT_RESTORED_LOADED]);
	for (int i = 0; i < XCT_RESTORED_COUNT; i++) {
		if (i != XCT_RESTORED_LOADED && results[i])
			xct_ctl_say("not loaded: %" PRIu64 " %s", results[i],
				    texts[i]);
	}
}

enum xct_exit xct_ctl_load(const struct xct_ctl *ctl)
{
	const char *path = ctl->argc ? ctl->argv[0] : NULL, *why;
	uint64_t results[XCT_RESTORED_COUNT] = { 0 };
	struct xct_snapshot snapshot;
	enum xct_exit ret;
	int error;

	if (!path)
		return say_no_file("load");
	if (!xct_snapshot_read(&snapshot, path, &why, &error)) {
		xct_ctl_say("cannot load %s: %s", path, why);
		return XCT_EXIT_FAILED;
	}
	if (now_ms() < snapshot.saved_ms)
		xct_ctl_say("%s: the clock is behind the time it was saved: "
			    "its flows have the time left that they had",
			    path);
	results[XCT_RESTORED_EXPIRED] =
		xct_snapshot_advance(&snapshot, now_ms());
	ret = send_flows(ctl->socket, &snapshot, results);
	xct_snapshot_free(&snapshot);
	if (ret != XCT_EXIT_OK)
		return ret;
	say_results(results);
	return results[XCT_RESTORED_REFUSED] || results[XCT_RESTORED_FULL]
		       ? XCT_EXIT_FAILED
		       : XCT_EXIT_OK;
}
