/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands about flows: list, get, create, add, update, delete, flush,
 * count. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/json.h"
#include "ctl/labels.h"
#include "ctl/line.h"
#include "ctl/out.h"
#include "ctl/request.h"

/* Prints flows as they arrive. */
struct flow_printer {
	uint64_t shown;
	uint64_t limit;	       /* stop after so many */
	bool is_output_needed; /* no point in going on when it is closed */
	bool is_document;      /* XML: with what is around the flows */
	bool is_delete;	       /* save: commands that delete them again */
	bool is_timeout_asked; /* update: for them to have another one */
	uint16_t outputs;      /* enum xct_output */
	const struct xct_label_names *names; /* of labels; NULL: not shown */
	size_t line_max;
	struct xct_out out;
};

static void printer_init(struct flow_printer *printer,
			 const struct xct_query *query)
{
	printer->shown = 0;
	printer->limit = UINT64_MAX;
	printer->is_output_needed = true;
	printer->is_document = true;
	printer->is_delete = false;
	printer->is_timeout_asked = false;
	printer->outputs = query->outputs;
	printer->names = xct_ctl_shown_labels(query);
	printer->line_max = XCT_LINE_MAX + xct_ctl_labels_room(printer->names);
	xct_out_init(&printer->out, STDOUT_FILENO);
}

static void print_text(struct flow_printer *printer, const char *text)
{
	char *p = xct_out_reserve(&printer->out, strlen(text));

	xct_out_commit(&printer->out, xct_put_str(p, text));
}

static void print_flow(struct flow_printer *printer,
		       const struct xct_flow_info *info)
{
	const struct xct_label_names *names = printer->names;
	struct xct_out *out = &printer->out;
	char *p = xct_out_reserve(out, printer->line_max);

	if (printer->is_timeout_asked &&
	    info->status & XCT_STATUS_FIXED_TIMEOUT)
		xct_ctl_say("Operation failed: a fixed timeout is not "
			    "changed");
	if (printer->outputs & XCT_OUTPUT_SAVE) {
		p = xct_save_put(p, info, printer->is_delete ? 'D' : 'A',
				 XCT_LINE_ENTRY);
	} else if (printer->outputs & XCT_OUTPUT_XML) {
		if (printer->is_document && !printer->shown)
			p = xct_put_str(p, XCT_XML_BEGIN);
		p = xct_xml_put(p, info, NULL, NULL, XCT_LINE_ENTRY, names);
	} else if (printer->outputs & (XCT_OUTPUT_JSON | XCT_OUTPUT_NDJSON)) {
		if ((printer->outputs & XCT_OUTPUT_JSON) && printer->shown)
			p = xct_put_str(p, ",\n");
		p = xct_json_put_flow(p, info, names);
		if (printer->outputs & XCT_OUTPUT_NDJSON)
			*p++ = '\n';
	} else {
		p = xct_line_put(p, info, printer->outputs, XCT_LINE_ENTRY,
				 names);
	}
	xct_out_commit(out, p);
	printer->shown++;
}

static bool print_frame(void *ctx, uint16_t type, const void *payload,
			uint32_t len)
{
	struct flow_printer *printer = ctx;
	const struct xct_flow_info *info = payload;
	size_t n = len / sizeof(*info), i;

	if (type != XCT_RSP_FLOWS)
		return true;
	for (i = 0; i < n && printer->shown < printer->limit; i++)
		print_flow(printer, &info[i]);
	xct_out_flush(&printer->out);
	if (printer->shown == printer->limit)
		return false;
	return !(printer->is_output_needed && printer->out.error);
}

/* What stands before the flows, and, once they are all there, behind them. */
static void begin_output(struct flow_printer *printer)
{
	if (printer->outputs & XCT_OUTPUT_JSON)
		print_text(printer, "{\"version\":1,\"flows\":[\n");
}

static enum xct_exit end_output(struct flow_printer *printer)
{
	if (printer->outputs & XCT_OUTPUT_JSON)
		print_text(printer, printer->shown ? "\n]}\n" : "]}\n");
	if (printer->outputs & XCT_OUTPUT_XML && printer->is_document &&
	    printer->shown)
		print_text(printer, XCT_XML_END);
	xct_out_flush(&printer->out);

	/* Whoever closed the pipe has seen enough ("| head"). */
	if (printer->out.error && printer->out.error != EPIPE) {
		xct_ctl_say("cannot write the output: %s",
			    strerror(printer->out.error));
		return XCT_EXIT_FAILED;
	}
	return XCT_EXIT_OK;
}

/* Ask for flows and print them. FAILED is only for what was reported. */
static enum xct_exit print_flows(const struct xct_ctl *ctl, uint16_t type,
				 struct flow_printer *printer)
{
	const struct xct_flow_filter *filter = &ctl->query.filter;
	enum xct_exit ret;

	begin_output(printer);
	ret = xct_request(ctl->socket, type, filter, sizeof(*filter),
			  print_frame, printer);
	if (ret != XCT_EXIT_OK) {
		xct_out_flush(&printer->out);
		return ret;
	}
	return end_output(printer);
}

static void say_done(const struct xct_ctl *ctl, uint64_t count,
		     const char *what)
{
	if (!ctl->is_load)
		xct_ctl_say("%" PRIu64 " flow entries have been %s.", count,
			    what);
}

static bool note_flow(void *ctx, uint16_t type, const void *payload,
		      uint32_t len)
{
	bool *is_there = ctx;

	(void)payload;
	*is_there |= type == XCT_RSP_FLOWS && len > 0;
	return !*is_there;
}

/* Nothing was shown: as conntrack, which asks for a tuple and then looks at
 * what it was given, tell a flow that is another from none. */
static enum xct_exit say_missing(const struct xct_ctl *ctl)
{
	struct xct_flow_filter filter = ctl->query.filter;
	bool is_there = false;
	enum xct_exit ret;

	filter.fields &= ~(XCT_FILTER_STATE | XCT_FILTER_LABELS |
			   XCT_FILTER_REPLY_SRC | XCT_FILTER_REPLY_DST);
	if (filter.fields != ctl->query.filter.fields) {
		ret = xct_request(ctl->socket, XCT_REQ_LIST, &filter,
				  sizeof(filter), note_flow, &is_there);
		if (ret != XCT_EXIT_OK)
			return ret;
	}
	xct_ctl_say("%s",
		    is_there
			    ? "0 flow entries have been shown."
			    : "Operation failed: such conntrack doesn't exist");
	return XCT_EXIT_FAILED;
}

enum xct_exit xct_ctl_get(const struct xct_ctl *ctl)
{
	struct flow_printer printer;
	enum xct_exit ret;

	printer_init(&printer, &ctl->query);
	printer.limit = 1;
	ret = print_flows(ctl, XCT_REQ_LIST, &printer);
	if (ret != XCT_EXIT_OK)
		return ret;
	if (!printer.shown)
		return say_missing(ctl);
	xct_ctl_say("1 flow entries have been shown.");
	return XCT_EXIT_OK;
}

enum xct_exit xct_ctl_delete(const struct xct_ctl *ctl)
{
	struct flow_printer printer;
	enum xct_exit ret;

	printer_init(&printer, &ctl->query);
	printer.is_output_needed = false; /* delete the rest all the same */
	printer.is_document = false;
	printer.is_delete = true;
	if (!(printer.outputs & (XCT_OUTPUT_JSON | XCT_OUTPUT_NDJSON)))
		printer.names = NULL; /* conntrack does not show them here */
	ret = print_flows(ctl, XCT_REQ_DELETE, &printer);
	if (ret != XCT_EXIT_OK)
		return ret;
	say_done(ctl, printer.shown, "deleted");
	return printer.shown ? XCT_EXIT_OK : XCT_EXIT_FAILED;
}

enum xct_exit xct_ctl_flush(const struct xct_ctl *ctl)
{
	enum xct_exit ret;
	uint64_t count;

	ret = xct_request_count(ctl->socket, XCT_REQ_FLUSH, &count);
	if (ret == XCT_EXIT_OK)
		xct_ctl_say("connection tracking table has been emptied.");
	return ret;
}

enum xct_exit xct_ctl_count(const struct xct_ctl *ctl)
{
	enum xct_exit ret;
	uint64_t count;

	ret = xct_request_count(ctl->socket, XCT_REQ_COUNT, &count);
	if (ret == XCT_EXIT_OK)
		printf("%" PRIu64 "\n", count);
	return ret;
}

/* conntrack has words of its own, but not for what -A meets. */
static enum xct_exit say_failed(int error, bool is_add)
{
	const char *why = strerror(error);

	switch (is_add ? 0 : error) {
	case EEXIST:
		why = "Such conntrack exists, try -U to update";
		break;
	case EINVAL:
		why = "invalid parameters";
		break;
	case ENOMEM:
		why = "not enough memory";
		break;
	}
	xct_ctl_say("Operation failed: %s", why);
	return XCT_EXIT_FAILED;
}

/* Ask for a change and print what it was made to: *@count flows. */
static enum xct_exit print_changed(const struct xct_ctl *ctl,
				   const struct xct_flow_change *change,
				   struct flow_printer *printer,
				   uint64_t *count)
{
	const struct xct_flow_update request = {
		.filter = ctl->query.filter,
		.change = *change,
	};
	enum xct_exit ret;
	int error;

	printer->is_output_needed = false; /* change the rest all the same */
	begin_output(printer);
	ret = xct_request_change(ctl->socket, XCT_REQ_UPDATE, &request,
				 sizeof(request), print_frame, printer, count,
				 &error);
	if (error)
		return say_failed(error, false);
	return ret == XCT_EXIT_OK ? end_output(printer) : ret;
}

enum xct_exit xct_ctl_list(const struct xct_ctl *ctl)
{
	const struct xct_flow_change zero = { .fields = XCT_CHANGE_ZERO };
	struct flow_printer printer;
	enum xct_exit ret;
	uint64_t count;

	printer_init(&printer, &ctl->query);
	if (ctl->query.options & XCT_OPTION_BIT(ZERO))
		ret = print_changed(ctl, &zero, &printer, &count);
	else
		ret = print_flows(ctl, XCT_REQ_LIST, &printer);
	if (ret == XCT_EXIT_OK && !printer.out.error)
		xct_ctl_say("%" PRIu64 " flow entries have been shown.",
			    printer.shown);
	return ret;
}

/* @is_add: it is no failure that the flow is there already. */
static enum xct_exit create(const struct xct_ctl *ctl, bool is_add)
{
	const struct xct_flow_create *request = &ctl->query.create;
	enum xct_exit ret = XCT_EXIT_OK;
	uint64_t count = 0;
	int error = EINVAL;

	if (!ctl->query.is_reply_partial)
		ret = xct_request_change(ctl->socket, XCT_REQ_CREATE, request,
					 sizeof(*request), NULL, NULL, &count,
					 &error);
	if (error && !(is_add && error == EEXIST))
		return say_failed(error, is_add);
	if (ret != XCT_EXIT_OK && !error)
		return ret;
	say_done(ctl, count, is_add ? "added" : "created");
	return XCT_EXIT_OK;
}

enum xct_exit xct_ctl_create(const struct xct_ctl *ctl)
{
	return create(ctl, false);
}

enum xct_exit xct_ctl_add(const struct xct_ctl *ctl)
{
	return create(ctl, true);
}

enum xct_exit xct_ctl_update(const struct xct_ctl *ctl)
{
	const struct xct_flow_change *change = &ctl->query.change;
	struct flow_printer printer;
	uint64_t count = 0;
	enum xct_exit ret;

	printer_init(&printer, &ctl->query);
	printer.is_document = false;
	printer.is_timeout_asked = change->fields & XCT_CHANGE_TIMEOUT &&
				   !(change->status & XCT_STATUS_FIXED_TIMEOUT);
	ret = print_changed(ctl, change, &printer, &count);
	if (ret != XCT_EXIT_OK)
		return ret;
	say_done(ctl, count, "updated");
	return count ? XCT_EXIT_OK : XCT_EXIT_FAILED;
}
