/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xctctl: asks xctd for its flows, rules and counters, and tells it to change.
 *
 * A command is a word, or one of conntrack's own options (-L, --dump, ...),
 * which may stand anywhere among the others as conntrack's may. The table
 * below has both.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/frame.h"
#include "ctl/ctl.h"
#include "ctl/load.h"
#include "ctl/tables.h"

#define OPTIONS_GRE                                        \
	(XCT_OPTION_BIT(SRCKEY) | XCT_OPTION_BIT(DSTKEY) | \
	 XCT_OPTION_BIT(REPLY_SRCKEY) | XCT_OPTION_BIT(REPLY_DSTKEY))
#define OPTIONS_ZONE (XCT_OPTION_BIT(ORIG_ZONE) | XCT_OPTION_BIT(REPLY_ZONE))
#define OPTIONS_GET                                                           \
	(XCT_OPTION_BIT(STATE) | XCT_OPTION_BIT(LABEL) |                      \
	 XCT_OPTION_BIT(ORIG_SRC) | XCT_OPTION_BIT(ORIG_DST) |                \
	 XCT_OPTION_BIT(REPLY_SRC) | XCT_OPTION_BIT(REPLY_DST) |              \
	 XCT_OPTION_BIT(PROTO) | XCT_OPTION_BIT(FAMILY) |                     \
	 XCT_OPTION_BIT(OUTPUT) | XCT_OPTION_BIT(ZONE) | XCT_OPTION_BIT(ID) | \
	 XCT_OPTION_BIT(ORIG_SPORT) | XCT_OPTION_BIT(ORIG_DPORT) |            \
	 XCT_OPTION_BIT(REPLY_SPORT) | XCT_OPTION_BIT(REPLY_DPORT) |          \
	 XCT_OPTION_BIT(ICMP_TYPE) | XCT_OPTION_BIT(ICMP_CODE) |              \
	 XCT_OPTION_BIT(ICMP_ID) | XCT_OPTION_BIT(ICMPV6_TYPE) |              \
	 XCT_OPTION_BIT(ICMPV6_CODE) | XCT_OPTION_BIT(ICMPV6_ID) |            \
	 OPTIONS_GRE | OPTIONS_ZONE | OPTIONS_VTAG)
/* These say what a flow becomes, or are refused with a better message. */
#define OPTIONS_VTAG  (XCT_OPTION_BIT(ORIG_VTAG) | XCT_OPTION_BIT(REPLY_VTAG))
#define OPTIONS_LABEL (XCT_OPTION_BIT(LABEL_ADD) | XCT_OPTION_BIT(LABEL_DEL))
#define OPTIONS_TUPLE (XCT_OPTION_BIT(TUPLE_SRC) | XCT_OPTION_BIT(TUPLE_DST))
#define OPTIONS_EVENT (XCT_OPTION_BIT(EVENT_MASK) | XCT_OPTION_BIT(BUFFER_SIZE))
#define OPTIONS_FLOW  (XCT_OPTION_BITS_ALL & ~OPTIONS_EVENT)
#define OPTIONS_LIST                                                       \
	(OPTIONS_FLOW & ~XCT_OPTION_BIT(TIMEOUT) & ~XCT_OPTION_BIT(ROLE) & \
	 ~OPTIONS_VTAG & ~OPTIONS_LABEL & ~OPTIONS_TUPLE)
#define OPTIONS_DELETE                                                         \
	((OPTIONS_LIST | XCT_OPTION_BIT(TIMEOUT)) & ~XCT_OPTION_BIT(SECMARK) & \
	 ~XCT_OPTION_BIT(ZERO))
#define OPTIONS_CREATE                                                       \
	(OPTIONS_FLOW & ~XCT_OPTION_BIT(FAMILY) & ~XCT_OPTION_BIT(ANY_NAT) & \
	 ~XCT_OPTION_BIT(OUTPUT) & ~XCT_OPTION_BIT(ID) &                     \
	 ~XCT_OPTION_BIT(MASK_SRC) & ~XCT_OPTION_BIT(MASK_DST) &             \
	 ~XCT_OPTION_BIT(SECMARK) & ~XCT_OPTION_BIT(ZERO) &                  \
	 ~XCT_OPTION_BIT(LABEL) & ~XCT_OPTION_BIT(LABEL_DEL) & ~OPTIONS_TUPLE)
#define OPTIONS_UPDATE                                                     \
	(OPTIONS_FLOW & ~XCT_OPTION_BIT(SECMARK) & ~XCT_OPTION_BIT(ZERO) & \
	 ~XCT_OPTION_BIT(ROLE) & ~OPTIONS_TUPLE)
#define OUTPUTS_EVENT UINT16_MAX
#define OUTPUTS_FLOW  (OUTPUTS_EVENT & ~(unsigned int)XCT_OUTPUT_SEQ)
#define RULES_REPORT                                                          \
	{                                                                     \
		.options = XCT_OPTION_BIT(OUTPUT), .outputs = XCT_OUTPUT_JSON \
	}

static enum xct_exit show_help(const struct xct_ctl *ctl);
static enum xct_exit show_old_version(const struct xct_ctl *ctl);
static enum xct_exit load_entries(const struct xct_ctl *ctl);

/* clang-format off */
static const struct xct_command commands[] = {
	{ "list", "dump", 'L', 0,
	  { OPTIONS_LIST, OUTPUTS_FLOW, XCT_QUERY_FILTER }, xct_ctl_list,
	  "list [FILTER]      show flows, as conntrack -L does" },
	{ "get", "get", 'G', 0,
	  { OPTIONS_GET, OUTPUTS_FLOW, XCT_QUERY_GET }, xct_ctl_get,
	  "get TUPLE          show the flow of that original tuple, or --id" },
	{ "count", "count", 'C', 0, { 0 }, xct_ctl_count,
	  "count              print the number of flows" },
	{ "delete", "delete", 'D', 0,
	  { OPTIONS_DELETE, OUTPUTS_FLOW, XCT_QUERY_FILTER }, xct_ctl_delete,
	  "delete [FILTER]    end flows, and show them" },
	{ "create", "create", 'I', 0,
	  { OPTIONS_CREATE, 0, XCT_QUERY_CREATE }, xct_ctl_create,
	  "create FLOW        make a flow by hand: TUPLE -t SECONDS ..." },
	{ "add", "add", 'A', 0,
	  { OPTIONS_CREATE, 0, XCT_QUERY_CREATE }, xct_ctl_add,
	  "add FLOW           the same, unless it is there already" },
	{ "update", "update", 'U', 0,
	  { OPTIONS_UPDATE, OUTPUTS_FLOW, XCT_QUERY_UPDATE },
	  xct_ctl_update,
	  "update [FILTER] [-t SECONDS] [-m MARK] [-u STATUS] [--state STATE]\n"
	  "         [--label-add LABEL[,...] | --label-del [LABEL[,...]]]\n"
	  "                     change flows, and show them" },
	{ "events", "event", 'E', 0,
	  { (OPTIONS_LIST & ~XCT_OPTION_BIT(ZERO)) | OPTIONS_EVENT, OUTPUTS_EVENT,
	    XCT_QUERY_FILTER },
	  xct_ctl_events,
	  "events [-e TYPE[,...]] [FILTER]\n"
	  "                     follow flows as they begin, change and end" },
	{ "load-entries", "load-file", 'R', 1, { 0 }, load_entries,
	  "load-entries FILE|- run the lines that list -o save has written" },
	{ "save", NULL, 0, 1, { 0 }, xct_ctl_save,
	  "save FILE|-        write all flows to a snapshot" },
	{ "load", NULL, 0, 1, { 0 }, xct_ctl_load,
	  "load FILE|-        make the flows of a snapshot again" },
	{ "flush", "flush", 'F', 0, { 0 }, xct_ctl_flush,
	  "flush              end all flows" },
	{ "stats", NULL, 0, 0, RULES_REPORT, xct_ctl_stats,
	  "stats              counters: packets, flows, reasons, queues" },
	{ "rules", NULL, 0, 0, RULES_REPORT, xct_ctl_rules,
	  "rules              rules and how many connections each decided" },
	{ "check", NULL, 0, 1, { 0 }, xct_ctl_check,
	  "check [FILE|-]     look for errors in a configuration" },
	{ "reload", NULL, 0, 0, { 0 }, xct_ctl_reload,
	  "reload             load the configuration again" },
	{ "hooks", NULL, 0, 1, { 0 }, xct_ctl_hooks,
	  "hooks [ipv4|ipv6]  what xctd gives to iptables-restore" },
	{ "status", NULL, 0, 0, RULES_REPORT, xct_ctl_status,
	  "status             state of the daemon" },
	{ "version", NULL, 0, 0, { 0 }, xct_ctl_version,
	  "version            versions of xctctl and xctd" },
	{ "help", "help", 'h', 0, { 0 }, show_help,
	  "help               this text" },
	/* No words for these: conntrack's own output. */
	{ "", "stats", 'S', 0, RULES_REPORT, xct_ctl_cpu_stats, NULL },
	{ "", "version", 'V', 0, { 0 }, show_old_version, NULL },
	{ "", "counter", 'C', 0, { 0 }, xct_ctl_count, NULL },
};
/* clang-format on */

static void print_usage(FILE *stream)
{
	size_t i;

	fputs("Usage: xctctl [-s SOCKET] COMMAND [OPTIONS]\n"
	      "       xctctl -L|-G|-I|-A|-U|-D|-E|-F|-C|-R|-S [conntrack's "
	      "options]\n\n"
	      "Commands:\n",
	      stream);
	for (i = 0; i < XCT_ARRAY_SIZE(commands); i++) {
		if (commands[i].help)
			fprintf(stream, "  %s\n", commands[i].help);
	}
	fputs("\nFilters:\n"
	      "  -s, --src ADDR[/LEN]       -d, --dst ADDR[/LEN]\n"
	      "  -r, --reply-src ADDR[/LEN] -q, --reply-dst ADDR[/LEN]\n"
	      "  -p, --proto NAME|NUMBER    -f, --family ipv4|ipv6\n"
	      "  --sport, --dport, --reply-port-src, --reply-port-dst PORT\n"
	      "  --state STATE              -u, --status STATUS[,...]\n"
	      "  -n, --src-nat [ADDR[:PORT]] -g, --dst-nat [ADDR[:PORT]]\n"
	      "  -j, --any-nat [ADDR[:PORT]] -m, --mark VALUE[/MASK]\n"
	      "  --icmp-type, --icmp-code, --icmp-id NUMBER (or --icmpv6-..)\n"
	      "  --srckey, --dstkey, --reply-key-src, --reply-key-dst KEY\n"
	      "  -w, --zone, --orig-zone, --reply-zone ZONE\n"
	      "  -i, --id ID                --mask-src, --mask-dst MASK\n"
	      "  -l, --label LABEL[,...]    -z, --zero (list: and zero counters)\n"
	      "Tables: list, get, delete, flush, count, events are about flows,\n"
	      "  with \"expect\" as next word about connections that are expected\n"
	      "Output: -o plain|extended|id|ktimestamp|labels|save|xml|json|ndjson[,...]\n"
	      "  events: also timestamp|seq; -e ALL|NEW|UPDATES|DESTROY[,...]\n"
	      "Socket: -s SOCKET before the command, --socket SOCKET anywhere,\n"
	      "  $XCT_SOCKET, or " XCT_SOCKET_PATH "\n\n"
	      "Examples:\n"
	      "  xctctl list -p tcp --dport 443 --state ESTABLISHED\n"
	      "  xctctl list --src-nat -o json | jq '.flows[].reply.dst'\n"
	      "  xctctl delete -s 10.0.0.7\n"
	      "  xctctl check /etc/xct/rules.yaml && xctctl reload\n",
	      stream);
}

static enum xct_exit show_help(const struct xct_ctl *ctl)
{
	(void)ctl;
	print_usage(stdout);
	return XCT_EXIT_OK;
}

static enum xct_exit show_old_version(const struct xct_ctl *ctl)
{
	(void)ctl;
	puts("xctctl v" XCT_VERSION " (xct)");
	return XCT_EXIT_OK;
}

static enum xct_exit say_usage(void)
{
	fputs("Try `xctctl -h' or 'xctctl --help' for more information.\n",
	      stderr);
	return XCT_EXIT_USAGE;
}

/* Take @n words at @argv[@at] away. */
static void remove_words(int *argc, char **argv, int at, int n)
{
	memmove(&argv[at], &argv[at + n],
		(size_t)(*argc - at - n + 1) * sizeof(*argv));
	*argc -= n;
}

/* Take "--socket PATH" out, wherever it is, and "-s PATH" if it comes first. */
static bool take_socket(struct xct_ctl *ctl, int *argc, char **argv)
{
	bool is_first;
	int i = 1;

	while (i < *argc) {
		is_first = i == 1 && strcmp(argv[i], "-s") == 0;
		if (is_first || strcmp(argv[i], "--socket") == 0) {
			if (i + 1 == *argc) {
				xct_ctl_say("option `%s' requires an argument",
					    argv[i]);
				return false;
			}
			ctl->socket = argv[i + 1];
			remove_words(argc, argv, i, 2);
		} else if (strncmp(argv[i], "--socket=", 9) == 0) {
			ctl->socket = argv[i] + 9;
			remove_words(argc, argv, i, 1);
		} else {
			i++;
		}
	}
	return true;
}

static bool is_old_name(const struct xct_command *command, const char *word)
{
	if (word[0] != '-')
		return false;
	if (word[1] == '-')
		return command->old_name &&
		       strcmp(word + 2, command->old_name) == 0;
	return command->letter && word[1] == command->letter && !word[2];
}

/* The command that @word is, as a word or as conntrack's option. */
static const struct xct_command *find_command(const char *word, bool is_option)
{
	const struct xct_command *command;
	size_t i;

	for (i = 0; i < XCT_ARRAY_SIZE(commands); i++) {
		command = &commands[i];
		if (is_option ? is_old_name(command, word)
			      : *word && strcmp(word, command->name) == 0)
			return command;
	}
	return NULL;
}

/* The name of a table may follow conntrack's option. */
static bool take_table(int *argc, char **argv, int at,
		       enum xct_ctl_table *table)
{
	const char *word = at < *argc ? argv[at] : "-";

	*table = XCT_TABLE_CONNTRACK;
	if (*word == '-')
		return true;
	*table = xct_table_find(word);
	if (*table == XCT_TABLES) {
		xct_ctl_say("unknown type `%s'", word);
		return false;
	}
	remove_words(argc, argv, at, 1);
	return true;
}

/* Find conntrack's command among the options and take it out. */
static const struct xct_command *take_old_command(int *argc, char **argv)
{
	const struct xct_command *command = NULL, *found;
	enum xct_ctl_table table = XCT_TABLE_CONNTRACK;
	int i = 1;

	while (i < *argc) {
		found = find_command(argv[i], true);
		if (!found) {
			i++;
			continue;
		}
		if (command) {
			xct_ctl_say("Invalid commands combination");
			return NULL;
		}
		command = found;
		remove_words(argc, argv, i, 1);
		if (command->run != load_entries &&
		    !take_table(argc, argv, i, &table))
			return NULL;
	}
	if (!command) {
		xct_ctl_say("no command");
		return NULL;
	}
	return xct_table_command(table, command);
}

static bool wants_help(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-h") == 0 ||
		    strcmp(argv[i], "--help") == 0)
			return true;
	}
	return false;
}

static const struct xct_command *take_command(int *argc, char **argv)
{
	enum xct_ctl_table table;
	const struct xct_command *command;

	if (argv[1][0] == '-')
		return take_old_command(argc, argv);
	command = find_command(argv[1], false);
	if (!command)
		xct_ctl_say("unknown command `%s'", argv[1]);
	else if (wants_help(*argc, argv))
		command = find_command("help", false);
	remove_words(argc, argv, 1, 1);
	if (!command || !command->letter || command->max_args)
		return command;
	return take_table(argc, argv, 1, &table)
		       ? xct_table_command(table, command)
		       : NULL;
}

static enum xct_exit run(struct xct_ctl *ctl, const struct xct_command *command,
			 int argc, char **argv)
{
	int words;

	if (command->run == show_help)
		return show_help(ctl);
	words = xct_query_parse(&ctl->query, &command->rules, argc, argv);
	if (words < 0) {
		xct_ctl_say("%s", ctl->query.error);
		return words == -EINVAL ? say_usage() : XCT_EXIT_FAILED;
	}
	ctl->argc = argc - words;
	ctl->argv = argv + words;
	if (ctl->argc > command->max_args) {
		xct_ctl_say("unexpected argument `%s'",
			    ctl->argv[command->max_args]);
		return say_usage();
	}
	return command->run(ctl);
}

/* A line of a file, through the same doors as the command line. */
static enum xct_exit run_loaded(void *arg, int argc, char **argv)
{
	static enum xct_exit (*const allowed[])(const struct xct_ctl *) = {
		xct_ctl_create, xct_ctl_add,   xct_ctl_update,
		xct_ctl_delete, xct_ctl_flush,
	};
	const struct xct_ctl *parent = arg;
	struct xct_ctl ctl = { .socket = parent->socket, .is_load = true };
	const struct xct_command *command = NULL;
	char *word = argv[1];
	size_t i = 0;
	int at;

	for (at = 1; at < argc && !command; at++)
		command = find_command(argv[at], argv[at][0] == '-');
	while (command && i < XCT_ARRAY_SIZE(allowed) &&
	       command->run != allowed[i])
		i++;
	if (!command || i == XCT_ARRAY_SIZE(allowed)) {
		xct_ctl_say("Cannot use command `%s' with --load-file",
			    command ? argv[at - 1] : word);
		return say_usage();
	}
	command = take_command(&argc, argv);
	return command ? run(&ctl, command, argc, argv) : say_usage();
}

static enum xct_exit load_entries(const struct xct_ctl *ctl)
{
	if (!ctl->argc) {
		xct_ctl_say("a file to load is needed, or `-'");
		return say_usage();
	}
	return xct_load_file(ctl->argv[0], run_loaded,
			     &(struct xct_ctl){ .socket = ctl->socket });
}

/* A descriptor that is closed would be the next one opened: the socket would
 * be standard output. What is written here instead fails. */
static void hold_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd); /* it was opened for nothing */
}

int main(int argc, char **argv)
{
	struct xct_ctl ctl = { .socket = getenv("XCT_SOCKET") };
	const struct xct_command *command;
	enum xct_exit ret;

	if (!ctl.socket || !*ctl.socket)
		ctl.socket = XCT_SOCKET_PATH;
	hold_standard_fds();
	/* A closed pipe is seen as EPIPE, so that "delete | head" goes on. */
	(void)signal(SIGPIPE, SIG_IGN);

	if (!take_socket(&ctl, &argc, argv))
		return say_usage();
	if (argc < 2) {
		print_usage(stderr);
		return XCT_EXIT_USAGE;
	}
	command = take_command(&argc, argv);
	if (!command)
		return say_usage();
	ret = run(&ctl, command, argc, argv);
	if (fflush(stdout) != 0 && errno != EPIPE && ret == XCT_EXIT_OK) {
		xct_ctl_say("cannot write the output: %s", strerror(errno));
		ret = XCT_EXIT_FAILED;
	}
	return ret;
}
