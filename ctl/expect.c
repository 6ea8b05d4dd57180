/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Expectations: as conntrack prints them, and the commands about them. */
#include "ctl/expect.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cursor.h"
#include "common/names.h"
#include "ctl/json.h"
#include "ctl/line.h"
#include "ctl/out.h"
#include "ctl/request.h"

/* Of what is expected only the source port may be any. */
static const struct xct_addr all_ones = {
	.u64 = { UINT64_MAX, UINT64_MAX },
};
#define MASK_SPORT 0
#define MASK_DPORT UINT16_MAX

static const char *helper_of(const struct xct_expect_info *info)
{
	const char *name = xct_helper_name(info->helper);

	return name ? name : "unknown";
}

/* ---- one expectation ---- */

static char *put_number(char *p, const char *key, uint64_t value)
{
	return xct_put_uint(xct_put_str(p, key), value);
}

static char *put_addrs(char *p, const char *prefix, uint8_t family,
		       const struct xct_addr *src, const struct xct_addr *dst)
{
	*p++ = ' ';
	p = xct_put_str(p, prefix);
	p = xct_put_str(p, "src=");
	p = xct_put_addr(p, family, src);
	*p++ = ' ';
	p = xct_put_str(p, prefix);
	p = xct_put_str(p, "dst=");
	return xct_put_addr(p, family, dst);
}

static char *put_ports(char *p, uint16_t sport, uint16_t dport)
{
	p = put_number(p, " sport=", sport);
	return put_number(p, " dport=", dport);
}

char *xct_expect_put_line(char *p, const struct xct_expect_info *info)
{
	const struct xct_tuple *t = &info->tuple, *m = &info->master;

	p = xct_put_uint(p, info->timeout_s);
	p = put_number(p, " proto=", t->proto);
	p = put_addrs(p, "", t->family, &t->src, &t->dst);
	p = put_ports(p, 0, xct_ntoh16(t->dport));
	p = put_addrs(p, "mask-", t->family, &all_ones, &all_ones);
	p = put_ports(p, MASK_SPORT, MASK_DPORT);
	p = put_addrs(p, "master-", m->family, &m->src, &m->dst);
	p = put_ports(p, xct_ntoh16(m->sport), xct_ntoh16(m->dport));
	p = xct_put_str(p, " class=0 helper=");
	p = xct_put_str(p, helper_of(info));
	*p++ = '\n';
	return p;
}

static char *put_open(char *p, const char *name)
{
	*p++ = '<';
	p = xct_put_str(p, name);
	*p++ = '>';
	return p;
}

static char *put_close(char *p, const char *name)
{
	p = xct_put_str(p, "</");
	p = xct_put_str(p, name);
	*p++ = '>';
	return p;
}

static char *put_xml_addrs(char *p, const char *name, uint8_t family,
			   const struct xct_addr *src,
			   const struct xct_addr *dst)
{
	p = put_open(put_open(p, name), "src");
	p = put_close(xct_put_addr(p, family, src), "src");
	p = put_open(p, "dst");
	p = put_close(xct_put_addr(p, family, dst), "dst");
	return put_close(p, name);
}

static char *put_xml_ports(char *p, const char *name, uint16_t sport,
			   uint16_t dport)
{
	p = put_open(put_open(p, name), "sport");
	p = put_close(xct_put_uint(p, sport), "sport");
	p = put_open(p, "dport");
	p = put_close(xct_put_uint(p, dport), "dport");
	return put_close(p, name);
}

/* <layer3 protonum="2" protoname="ipv4"> */
static char *put_layer(char *p, const char *layer, unsigned int number,
		       const char *name)
{
	*p++ = '<';
	p = xct_put_str(p, layer);
	p = put_number(p, " protonum=\"", number);
	p = xct_put_str(p, "\" protoname=\"");
	p = xct_put_str(p, name);
	return xct_put_str(p, "\">");
}

char *xct_expect_put_xml(char *p, const struct xct_expect_info *info,
			 const char *type)
{
	const struct xct_tuple *t = &info->tuple, *m = &info->master;

	p = xct_put_str(p, "<flow");
	if (type) {
		p = xct_put_str(p, " type=\"");
		p = xct_put_str(p, type);
		*p++ = '"';
	}
	*p++ = '>';
	p = put_layer(p, "layer3", t->family,
		      t->family == AF_INET ? "ipv4" : "ipv6");
	p = put_xml_addrs(p, "expected", t->family, &t->src, &t->dst);
	p = put_xml_addrs(p, "mask", t->family, &all_ones, &all_ones);
	p = put_xml_addrs(p, "master", m->family, &m->src, &m->dst);
	p = put_close(p, "layer3");
	p = put_layer(p, "layer4", t->proto, xct_line_proto(t->proto));
	p = put_xml_ports(p, "expected", 0, xct_ntoh16(t->dport));
	p = put_xml_ports(p, "mask", MASK_SPORT, MASK_DPORT);
	p = put_xml_ports(p, "master", xct_ntoh16(m->sport),
			  xct_ntoh16(m->dport));
	p = put_close(p, "layer4");
	p = put_open(put_open(p, "meta"), "helper-name");
	p = put_close(xct_put_str(p, helper_of(info)), "helper-name");
	p = put_open(p, "timeout");
	p = put_close(xct_put_uint(p, info->timeout_s), "timeout");
	return xct_put_str(p, "<class>0</class></meta></flow>\n");
}

static char *put_json_addrs(char *p, const struct xct_tuple *t)
{
	p = xct_put_str(p, "\"src\":\"");
	p = xct_put_addr(p, t->family, &t->src);
	p = xct_put_str(p, "\",\"dst\":\"");
	p = xct_put_addr(p, t->family, &t->dst);
	*p++ = '"';
	return p;
}

char *xct_expect_put_json(char *p, const struct xct_expect_info *info)
{
	const struct xct_tuple *t = &info->tuple, *m = &info->master;

	p = xct_put_str(p, "{\"family\":\"");
	p = xct_put_str(p, t->family == AF_INET ? "ipv4" : "ipv6");
	p = xct_put_str(p, "\",\"proto\":\"");
	p = xct_put_str(p, xct_line_proto(t->proto));
	p = put_number(p, "\",\"proto_num\":", t->proto);
	p = put_number(p, ",\"timeout\":", info->timeout_s);
	*p++ = ',';
	p = put_json_addrs(p, t);
	p = put_number(p, ",\"dport\":", xct_ntoh16(t->dport));
	p = put_number(p, ",\"zone\":", t->zone);
	p = xct_put_str(p, ",\"master\":{");
	p = put_json_addrs(p, m);
	p = put_number(p, ",\"sport\":", xct_ntoh16(m->sport));
	p = put_number(p, ",\"dport\":", xct_ntoh16(m->dport));
	p = xct_put_str(p, "},\"helper\":\"");
	p = xct_put_str(p, helper_of(info));
	return xct_put_str(p, "\"}");
}

/* ---- the commands ---- */

/* Prints expectations as they arrive. */
struct printer {
	const struct xct_query *query;
	bool is_get; /* only the one that was asked for */
	uint64_t shown;
	struct xct_out out;
};

static bool is_asked_for(const struct printer *printer,
			 const struct xct_expect_info *info)
{
	const struct xct_flow_filter *f = &printer->query->filter;
	const struct xct_tuple *t = &info->tuple;

	if (f->fields & XCT_FILTER_FAMILY && f->family != t->family)
		return false;
	return !printer->is_get ||
	       (f->proto == t->proto && f->orig_dport == t->dport &&
		xct_addr_equal(&f->orig_src.first, &t->src) &&
		xct_addr_equal(&f->orig_dst.first, &t->dst));
}

static void print_one(struct printer *printer,
		      const struct xct_expect_info *info)
{
	uint16_t outputs = printer->query->outputs;
	char *p = xct_out_reserve(&printer->out, XCT_EXPECT_MAX_LEN);

	if (outputs & XCT_OUTPUT_XML) {
		if (!printer->shown)
			p = xct_put_str(p, XCT_EXPECT_XML_BEGIN);
		p = xct_expect_put_xml(p, info, NULL);
	} else if (outputs & (XCT_OUTPUT_JSON | XCT_OUTPUT_NDJSON)) {
		if (outputs & XCT_OUTPUT_JSON && printer->shown)
			p = xct_put_str(p, ",\n");
		p = xct_expect_put_json(p, info);
		if (outputs & XCT_OUTPUT_NDJSON)
			*p++ = '\n';
	} else {
		p = xct_expect_put_line(p, info);
	}
	xct_out_commit(&printer->out, p);
	printer->shown++;
}

static bool print_frame(void *ctx, uint16_t type, const void *payload,
			uint32_t len)
{
	struct printer *printer = ctx;
	const struct xct_expect_info *info = payload;

	if (type != XCT_RSP_EXPECTS)
		return true;
	for (size_t i = 0; i < len / sizeof(*info); i++)
		if (is_asked_for(printer, &info[i]))
			print_one(printer, &info[i]);
	xct_out_flush(&printer->out);
	return !printer->out.error;
}

static void print_text(struct printer *printer, const char *text)
{
	char *p = xct_out_reserve(&printer->out, strlen(text));

	xct_out_commit(&printer->out, xct_put_str(p, text));
}

static enum xct_exit print_all(const struct xct_ctl *ctl,
			       struct printer *printer)
{
	uint16_t outputs = ctl->query.outputs;
	enum xct_exit ret;

	printer->query = &ctl->query;
	printer->shown = 0;
	xct_out_init(&printer->out, STDOUT_FILENO);
	if (outputs & XCT_OUTPUT_JSON)
		print_text(printer, "{\"version\":1,\"expectations\":[\n");
	ret = xct_request(ctl->socket, XCT_REQ_EXPECTS, NULL, 0, print_frame,
			  printer);
	if (ret == XCT_EXIT_OK && outputs & XCT_OUTPUT_JSON)
		print_text(printer, printer->shown ? "\n]}\n" : "]}\n");
	if (ret == XCT_EXIT_OK && outputs & XCT_OUTPUT_XML && printer->shown)
		print_text(printer, XCT_EXPECT_XML_END);
	xct_out_flush(&printer->out);
	/* Whoever closed the pipe has seen enough ("| head"). */
	if (ret == XCT_EXIT_OK && printer->out.error &&
	    printer->out.error != EPIPE) {
		xct_ctl_say("cannot write the output: %s",
			    strerror(printer->out.error));
		return XCT_EXIT_FAILED;
	}
	return ret;
}

enum xct_exit xct_ctl_expect_list(const struct xct_ctl *ctl)
{
	struct printer printer = { .is_get = false };
	enum xct_exit ret = print_all(ctl, &printer);

	if (ret == XCT_EXIT_OK && !printer.out.error)
		xct_ctl_say("%" PRIu64 " expectations have been shown.",
			    printer.shown);
	return ret;
}

static enum xct_exit say_missing(void)
{
	xct_ctl_say("Operation failed: No such file or directory");
	return XCT_EXIT_FAILED;
}

enum xct_exit xct_ctl_expect_get(const struct xct_ctl *ctl)
{
	struct printer printer = { .is_get = true };
	enum xct_exit ret = print_all(ctl, &printer);

	return ret == XCT_EXIT_OK && !printer.shown ? say_missing() : ret;
}

/* End what is expected: @tuple, or with family 0 anything. *@count: how much. */
static enum xct_exit unexpect(const struct xct_ctl *ctl,
			      const struct xct_tuple *tuple, uint64_t *count)
{
	enum xct_exit ret;
	int error;

	ret = xct_request_change(ctl->socket, XCT_REQ_UNEXPECT, tuple,
				 sizeof(*tuple), NULL, NULL, count, &error);
	if (error) {
		xct_ctl_say("Operation failed: %s", strerror(error));
		return XCT_EXIT_FAILED;
	}
	return ret;
}

/* conntrack says nothing of what it deletes, and fails at that. */
enum xct_exit xct_ctl_expect_delete(const struct xct_ctl *ctl)
{
	const struct xct_flow_filter *f = &ctl->query.filter;
	const struct xct_tuple tuple = { .src = f->orig_src.first,
					 .dst = f->orig_dst.first,
					 .dport = f->orig_dport,
					 .proto = f->proto,
					 .family = f->family };
	uint64_t count = 0;
	enum xct_exit ret = unexpect(ctl, &tuple, &count);

	if (ret != XCT_EXIT_OK)
		return ret;
	if (!count)
		return say_missing();
	xct_ctl_say("%" PRIu64 " expectations have been deleted.", count);
	return XCT_EXIT_OK;
}

enum xct_exit xct_ctl_expect_flush(const struct xct_ctl *ctl)
{
	const struct xct_tuple any = { .family = 0 };
	uint64_t count = 0;
	enum xct_exit ret = unexpect(ctl, &any, &count);

	if (ret == XCT_EXIT_OK)
		xct_ctl_say("expectation table has been emptied.");
	return ret;
}

enum xct_exit xct_ctl_expect_count(const struct xct_ctl *ctl)
{
	enum xct_exit ret;
	uint64_t count;

	ret = xct_request_count(ctl->socket, XCT_REQ_EXPECTS, &count);
	if (ret == XCT_EXIT_OK)
		printf("%" PRIu64 "\n", count);
	return ret;
}
