/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xctd: options, then the daemon, then its exit code. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/frame.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "daemon/run.h"
#include "daemon/service.h"

#define CONFIG_PATH "/etc/xct/rules.yaml"

enum {
	OPT_CHECK = 256,
	OPT_QUEUE,
	OPT_WORKERS,
	OPT_KEEP,
	OPT_TAKEOVER,
	OPT_UNHOOK,
	OPT_PRE_START,
	OPT_PRE_STOP,
	OPT_POST_STOP
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "socket", required_argument, NULL, 's' },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "queue", required_argument, NULL, OPT_QUEUE },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "keep", no_argument, NULL, OPT_KEEP },
	{ "takeover", no_argument, NULL, OPT_TAKEOVER },
	{ "unhook", no_argument, NULL, OPT_UNHOOK },
	{ "pre-start", no_argument, NULL, OPT_PRE_START },
	{ "pre-stop", no_argument, NULL, OPT_PRE_STOP },
	{ "post-stop", no_argument, NULL, OPT_POST_STOP },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void print_usage(FILE *out)
{
	fprintf(out,
		"Usage: xctd [-c FILE] [-s SOCKET] [--check] [--queue N] "
		"[--workers N] [-v]\n"
		"A stateful firewall and NAT for what iptables sends to "
		"NFQUEUE.\n"
		"\n"
		"  -c, --config FILE    rules and settings (" CONFIG_PATH
		"; - is stdin)\n"
		"  -s, --socket SOCKET  where xctctl talks to it "
		"(" XCT_SOCKET_PATH ")\n"
		"      --check          only check the configuration: exit 0 "
		"or 4\n"
		"      --queue N        number of the first queue\n"
		"      --workers N      number of queues, each with a thread "
		"(0: one a processor)\n"
		"      --keep           leave flows, queues and hooks to a "
		"successor when stopped\n"
		"                       (systemd keeps them; it runs xctd so)\n"
		"      --takeover       take flows and queues over from the "
		"xctd that runs\n"
		"      --unhook         only take away the hooks that an xctd "
		"has left\n"
		"      --pre-start      what systemd runs before xctd, with all "
		"rights\n"
		"      --pre-stop       what systemd runs before it stops it\n"
		"      --post-stop      what systemd runs after it has ended\n"
		"  -v, --verbose        log more\n"
		"  -V, --version        print the version\n"
		"  -h, --help           print this\n");
}

/* The number in the option's argument, or -1 with a message. */
static int parse_number(const char *option, const char *arg, int max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(arg, &end, 10);
	if (errno || !isdigit((unsigned char)*arg) || *end != '\0' || n < 0 ||
	    n > max) {
		fprintf(stderr,
			"xctd: %s: \"%s\" is not a number from 0 to "
			"%d\n",
			option, arg, max);
		return -1;
	}
	return (int)n;
}

/* What was printed is of use only if it arrived. */
static enum xct_exit flush_output(void)
{
	if (fflush(stdout) == 0)
		return XCT_EXIT_OK;
	fprintf(stderr, "xctd: cannot write the output: %s\n", strerror(errno));
	return XCT_EXIT_FAILED;
}

static enum xct_exit check(const struct xct_options *options)
{
	struct xct_messages messages = { 0 };
	struct xct_config *config = xct_daemon_load(options, &messages);
	bool is_ok = config != NULL;

	if (messages.text)
		xct_log_lines(is_ok ? LOG_WARNING : LOG_ERR, messages.text);
	if (is_ok)
		printf("%s: ok\n", options->config_path);
	xct_messages_fini(&messages);
	xct_config_free(config);
	if (!is_ok)
		return XCT_EXIT_CONFIG;
	return flush_output();
}

static enum xct_exit serve(const struct xct_options *options)
{
	static struct xct_daemon daemon;
	enum xct_exit result = xct_daemon_start(&daemon, options);

	if (result != XCT_EXIT_OK)
		return result;
	result = xct_run(&daemon);
	if (!xct_daemon_stop(&daemon) && result == XCT_EXIT_OK)
		result = XCT_EXIT_FAILED;
	return result;
}

static enum xct_exit pre_start(const struct xct_options *options)
{
	(void)options; /* nothing of the configuration is needed */
	return xct_service_pre_start();
}

static enum xct_exit pre_stop(const struct xct_options *options)
{
	(void)options; /* the same */
	return xct_service_pre_stop();
}

static enum xct_exit show_version(const struct xct_options *options)
{
	(void)options;
	printf("xctd " XCT_VERSION "\n");
	return flush_output();
}

static enum xct_exit show_help(const struct xct_options *options)
{
	(void)options;
	print_usage(stdout);
	return flush_output();
}

/* What is asked for. */
struct command_line {
	struct xct_options options;
	int max_priority; /* of messages */
	enum xct_exit (*run)(const struct xct_options *options);
};

/* Take one option. False: its argument is wrong, or it is none. */
static bool take_option(struct command_line *line, int option, const char *arg)
{
	struct xct_options *options = &line->options;

	switch (option) {
	case 'c':
		options->config_path = arg;
		return true;
	case 's':
		options->socket_path = arg;
		return true;
	case OPT_QUEUE:
		options->queue = parse_number("--queue", arg, UINT16_MAX);
		return options->queue >= 0;
	case OPT_WORKERS:
		options->workers =
			parse_number("--workers", arg, XCT_WORKERS_MAX);
		return options->workers >= 0;
	case OPT_KEEP:
		options->is_kept = true;
		return true;
	case OPT_TAKEOVER:
		options->is_takeover = true;
		return true;
	case 'v':
		line->max_priority = LOG_DEBUG;
		return true;
	case OPT_CHECK:
		line->run = check;
		return true;
	case OPT_UNHOOK:
		line->run = xct_service_unhook;
		return true;
	case OPT_PRE_START:
		line->run = pre_start;
		return true;
	case OPT_PRE_STOP:
		line->run = pre_stop;
		return true;
	case OPT_POST_STOP:
		line->run = xct_service_post_stop;
		return true;
	case 'V':
		line->run = show_version;
		return true;
	case 'h':
		line->run = show_help;
		return true;
	default:
		print_usage(stderr);
		return false;
	}
}

/* False: the command line is wrong, which has been said. */
static bool read_command_line(struct command_line *line, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "c:s:vVh", long_options,
				     NULL)) != -1) {
		if (!take_option(line, option, optarg))
			return false;
		if (option == 'V' || option == 'h')
			return true; /* whatever else there is */
	}
	if (optind == argc)
		return true;
	fprintf(stderr, "xctd: unexpected argument \"%s\"\n", argv[optind]);
	print_usage(stderr);
	return false;
}

int main(int argc, char **argv)
{
	struct command_line line = {
		.options = { .config_path = CONFIG_PATH,
			     .socket_path = XCT_SOCKET_PATH,
			     .queue = -1,
			     .workers = -1 },
		.max_priority = LOG_INFO,
		.run = serve,
	};

	if (!read_command_line(&line, argc, argv))
		return XCT_EXIT_USAGE;
	xct_log_init(line.max_priority);
	return line.run(&line.options);
}
