/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands that show what xctd reports: stats, rules, status, ... */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/names.h"
#include "ctl/ctl.h"
#include "ctl/json.h"
#include "ctl/request.h"

/* Ask for a report: *@json is the caller's to json_decref(), NULL if it was
 * printed as it came, for -o json. */
static enum xct_exit get_report(const struct xct_ctl *ctl, uint16_t type,
				json_t **json)
{
	enum xct_exit ret;
	json_error_t error;
	char *text;

	*json = NULL;
	ret = xct_request_text(ctl->socket, type, &text);
	if (ret != XCT_EXIT_OK)
		return ret;
	if (ctl->query.outputs & XCT_OUTPUT_JSON) {
		puts(text);
	} else {
		*json = json_loads(text, 0, &error);
		if (!json_is_object(*json)) {
			xct_ctl_say("xctd sent no JSON object: %s",
				    *json ? "something else" : error.text);
			json_decref(*json);
			*json = NULL;
			ret = XCT_EXIT_FAILED;
		}
	}
	free(text);
	return ret;
}

/* Print all numbers in @object, one a line. */
static void print_numbers(const char *indent, json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value) {
		if (json_is_integer(value))
			printf("%s%-*s %15" JSON_INTEGER_FORMAT "\n", indent,
			       16 - (int)strlen(indent), key,
			       json_integer_value(value));
	}
}

static const char *reason_text(const char *name)
{
	enum xct_reason reason;

	for (reason = 0; reason < XCT_REASON_COUNT; reason++) {
		if (strcmp(xct_reason_name(reason), name) == 0)
			return xct_reason_text(reason);
	}
	return "";
}

static void print_reasons(json_t *reasons)
{
	const char *key;
	json_t *value;

	if (!json_object_size(reasons))
		return;
	puts("reasons");
	json_object_foreach(reasons, key, value)
		printf("  %-16s %15" JSON_INTEGER_FORMAT "  %s\n", key,
		       json_integer_value(value), reason_text(key));
}

static void print_cells(json_t *cells)
{
	json_t *cell;
	size_t i;

	if (!json_array_size(cells))
		return;
	puts("packets that are impossible in a state");
	json_array_foreach(cells, i, cell)
		printf("  %-16s %15" PRIu64 "  %s in %s, %s direction\n",
		       xct_json_text(cell, "proto"),
		       xct_json_number(cell, "packets"),
		       xct_json_text(cell, "packet"),
		       xct_json_text(cell, "state"),
		       xct_json_text(cell, "direction"));
}

/* A table of objects that have the same keys. */
static void print_queues(json_t *queues)
{
	json_t *queue, *value;
	const char *key;
	size_t i;

	json_object_foreach(json_array_get(queues, 0), key, value)
		printf(" %14s", key);
	if (json_array_size(queues))
		putchar('\n');
	json_array_foreach(queues, i, queue) {
		json_object_foreach(queue, key, value)
			printf(" %14" JSON_INTEGER_FORMAT,
			       json_integer_value(value));
		putchar('\n');
	}
}

enum xct_exit xct_ctl_stats(const struct xct_ctl *ctl)
{
	enum xct_exit ret;
	json_t *json;

	ret = get_report(ctl, XCT_REQ_STATS, &json);
	if (!json)
		return ret;
	print_numbers("", json);
	puts("packets by class");
	print_numbers("  ", json_object_get(json, "class"));
	print_reasons(json_object_get(json, "reasons"));
	print_cells(json_object_get(json, "cells"));
	print_queues(json_object_get(json, "queues"));
	puts("fragments, put together by the kernel");
	print_numbers("  ", json_object_get(json, "reassembly"));
	puts("snapshots, and the flows that were read from them");
	print_numbers("  ", json_object_get(json, "snapshots"));
	json_decref(json);
	return XCT_EXIT_OK;
}

static uint64_t class_packets(json_t *classes, enum xct_class cls)
{
	return xct_json_number(classes, xct_class_name(cls));
}

/*
 * The counters that conntrack -S shows. xctd keeps one set for all CPUs; what
 * the kernel calls drop, a packet lost for want of a flow, is table-full. An
 * error, a search begun again and a chain too long cannot happen here.
 */
enum xct_exit xct_ctl_cpu_stats(const struct xct_ctl *ctl)
{
	const json_t *reasons;
	enum xct_exit ret;
	json_t *json;

	ret = get_report(ctl, XCT_REQ_STATS, &json);
	if (!json)
		return ret;
	reasons = json_object_get(json, "reasons");
	printf("cpu=%-4u\tfound=%" PRIu64 " invalid=%" PRIu64 " insert=%" PRIu64
	       " insert_failed=%" PRIu64 " drop=%" PRIu64 " early_drop=%" PRIu64
	       " error=0 search_restart=0 clash_resolve=%" PRIu64
	       " chaintoolong=0 \n",
	       0u, xct_json_number(json, "found"),
	       class_packets(json_object_get(json, "class"), XCT_CLASS_INVALID),
	       xct_json_number(json, "created"),
	       xct_json_number(json, "insert_failed"),
	       xct_json_number(reasons, "table-full"),
	       xct_json_number(json, "early_drop"),
	       xct_json_number(json, "clash_resolve"));
	json_decref(json);
	return XCT_EXIT_OK;
}

enum xct_exit xct_ctl_expect_stats(const struct xct_ctl *ctl)
{
	enum xct_exit ret;
	json_t *json;

	ret = get_report(ctl, XCT_REQ_STATS, &json);
	if (!json)
		return ret;
	printf("cpu=%-4u\texpect_new=%" PRIu64 " expect_create=%" PRIu64
	       " expect_delete=%" PRIu64 " \n",
	       0u, xct_json_number(json, "expect_new"),
	       xct_json_number(json, "expect_create"),
	       xct_json_number(json, "expect_delete"));
	json_decref(json);
	return XCT_EXIT_OK;
}

static int max_int(int a, int b)
{
	return a > b ? a : b;
}

static void print_rules(const json_t *rules, const json_t *policies)
{
	const json_t *row;
	int name_width = (int)strlen("NAME");
	size_t i;

	json_array_foreach(rules, i, row)
		name_width = max_int(name_width,
				     (int)strlen(xct_json_text(row, "name")));

	printf("%12s  %-8s %5s  %-*s  %s\n", "CONNECTIONS", "CHAIN", "LINE",
	       name_width, "NAME", "RULE");
	json_array_foreach(rules, i, row)
		printf("%12" PRIu64 "  %-8s %5" PRIu64 "  %-*s  %s\n",
		       xct_json_number(row, "hits"),
		       xct_json_text(row, "chain"),
		       xct_json_number(row, "line"), name_width,
		       xct_json_text(row, "name"), xct_json_text(row, "text"));
	json_array_foreach(policies, i, row)
		printf("%12" PRIu64 "  %-8s %5s  %-*s  default: %s\n",
		       xct_json_number(row, "hits"),
		       xct_json_text(row, "chain"), "", name_width, "",
		       xct_json_text(row, "policy"));
}

enum xct_exit xct_ctl_rules(const struct xct_ctl *ctl)
{
	enum xct_exit ret;
	json_t *json;

	ret = get_report(ctl, XCT_REQ_RULES, &json);
	if (!json)
		return ret;
	printf("%s, generation %" PRIu64 "\n", xct_json_text(json, "file"),
	       xct_json_number(json, "generation"));
	print_rules(json_object_get(json, "rules"),
		    json_object_get(json, "policies"));
	json_decref(json);
	return XCT_EXIT_OK;
}

static void print_value(const json_t *value)
{
	const json_t *item;
	size_t i;

	switch (json_typeof(value)) {
	case JSON_STRING:
		printf("%s", json_string_value(value));
		break;
	case JSON_INTEGER:
		printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_TRUE:
		printf("yes");
		break;
	case JSON_FALSE:
		printf("no");
		break;
	case JSON_ARRAY:
		json_array_foreach(value, i, item) {
			if (i)
				printf(", ");
			print_value(item);
		}
		break;
	case JSON_OBJECT:
	case JSON_REAL:
	case JSON_NULL:
		printf("-");
		break;
	}
}

static void print_duration(uint64_t s)
{
	printf("%" PRIu64 "d %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 86400,
	       s / 3600 % 24, s / 60 % 60, s % 60);
}

enum xct_exit xct_ctl_status(const struct xct_ctl *ctl)
{
	enum xct_exit ret;
	json_t *json, *value;
	const char *key;

	ret = get_report(ctl, XCT_REQ_STATUS, &json);
	if (!json)
		return ret;
	json_object_foreach(json, key, value) {
		if (strcmp(key, "uptime_s") == 0) {
			printf("uptime: ");
			print_duration(xct_json_number(json, key));
		} else {
			printf("%s: ", key);
			print_value(value);
		}
		putchar('\n');
	}
	json_decref(json);
	return XCT_EXIT_OK;
}

/* The daemon sends both families' parts, IPv4 first, each under this line. */
#define HOOKS_V6 "# ip6tables-restore --noflush\n"

enum xct_exit xct_ctl_hooks(const struct xct_ctl *ctl)
{
	const char *family = ctl->argc ? ctl->argv[0] : "";
	enum xct_exit ret;
	char *text, *v6;

	if (*family && strcmp(family, "ipv4") && strcmp(family, "ipv6")) {
		xct_ctl_say("hooks: \"%s\" is no family; expected ipv4 or ipv6",
			    family);
		return XCT_EXIT_USAGE;
	}
	ret = xct_request_text(ctl->socket, XCT_REQ_HOOKS, &text);
	if (ret != XCT_EXIT_OK)
		return ret;
	v6 = strstr(text, HOOKS_V6);
	if (v6 && strcmp(family, "ipv6") == 0)
		fputs(v6, stdout);
	else if (v6 && *family)
		fwrite(text, 1, (size_t)(v6 - text), stdout);
	else
		fputs(text, stdout);
	free(text);
	return XCT_EXIT_OK;
}

enum xct_exit xct_ctl_version(const struct xct_ctl *ctl)
{
	enum xct_exit ret;
	json_t *json;
	char *text;
	int error;

	puts("xctctl " XCT_VERSION);
	ret = xct_request_probe(ctl->socket, XCT_REQ_STATUS, &text, &error);
	if (ret != XCT_EXIT_OK)
		return ret;
	if (error) {
		printf("xctd not reachable at %s: %s\n", ctl->socket,
		       strerror(error));
		return XCT_EXIT_OK;
	}
	json = json_loads(text, 0, NULL);
	printf("xctd %s\n", xct_json_text(json, "version"));
	json_decref(json);
	free(text);
	return XCT_EXIT_OK;
}
