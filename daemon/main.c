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

int main(int argc, char **argv)
{
	struct xct_options options = { .config_path = CONFIG_PATH,
				       .socket_path = XCT_SOCKET_PATH,
				       .queue = -1,
				       .workers = -1 };
	int opt, priority = LOG_INFO;
	bool is_check = false, is_unhook = false, is_before = false,
	     is_stop = false, is_after = false;

	while ((opt = getopt_long(argc, argv, "c:s:vVh", long_options, NULL)) !=
	       -1) {
		switch (opt) {
		case 'c':
			options.config_path = optarg;
			break;
		case 's':
			options.socket_path = optarg;
			break;
		case OPT_CHECK:
			is_check = true;
			break;
		case OPT_QUEUE:
			options.queue =
				parse_number("--queue", optarg, UINT16_MAX);
			if (options.queue < 0)
				return XCT_EXIT_USAGE;
			break;
		case OPT_WORKERS:
			options.workers = parse_number("--workers", optarg,
						       XCT_WORKERS_MAX);
			if (options.workers < 0)
				return XCT_EXIT_USAGE;
			break;
		case OPT_KEEP:
			options.is_kept = true;
			break;
		case OPT_TAKEOVER:
			options.is_takeover = true;
			break;
		case OPT_UNHOOK:
			is_unhook = true;
			break;
		case OPT_PRE_START:
			is_before = true;
			break;
		case OPT_PRE_STOP:
			is_stop = true;
			break;
		case OPT_POST_STOP:
			is_after = true;
			break;
		case 'v':
			priority = LOG_DEBUG;
			break;
		case 'V':
			printf("xctd " XCT_VERSION "\n");
			return flush_output();
		case 'h':
			print_usage(stdout);
			return flush_output();
		default:
			print_usage(stderr);
			return XCT_EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "xctd: unexpected argument \"%s\"\n",
			argv[optind]);
		print_usage(stderr);
		return XCT_EXIT_USAGE;
	}
	xct_log_init(priority);
	if (is_unhook)
		return xct_service_unhook(&options);
	if (is_before)
		return xct_service_pre_start();
	if (is_stop)
		return xct_service_pre_stop();
	if (is_after)
		return xct_service_post_stop(&options);
	return is_check ? check(&options) : serve(&options);
}
