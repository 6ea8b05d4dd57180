/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plans, installs and removes the iptables rules that queue packets.
 *
 * Theory of operation
 *
 * A packet should cross the queue once. Its source is translated, and its
 * connection filtered, at a late hook (INPUT, POSTROUTING), which sees every
 * packet; its destination must be translated at an early hook (PREROUTING,
 * OUTPUT), before it is routed. So the late hooks queue everything that is not
 * marked as done, and the early ones only what may need its destination
 * changed there: what is addressed to this host, to an address that snat hands
 * out, or to what a dnat or redirect rule asks for. This last selection (a
 * list of "selectors", the text of iptables matches) may be wider than the
 * rule but never narrower.
 *
 * Two bits of the packet mark tell a late hook what an early one did. They are
 * cleared at the end of the packet's way (XCT-DONE), so that a packet put into
 * or taken out of a tunnel, which inherits its mark, is looked at afresh.
 *
 * Some rules need what not all kernels have, and xct can do without: that is
 * tried out first, once.
 *
 * Deleting a base chain, in any table, makes the kernel drop what waits in
 * every queue. So base chains and the jumps in them are only ever added, once;
 * a reload refills the chains jumped to, atomically. A selector, once
 * installed, stays while flows may live that were translated because of it:
 * until xct_hooks_forget().
 *
 * iptables-save tells what is there already, also after an xctd that was
 * killed. No shell is involved, and nothing is written to the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/hooks.h"

/* More selectors than this from one rule are widened into fewer. */
#define SELECTORS_MAX 64
/* What -m multiport takes; a range counts twice. */
#define MULTIPORT_MAX 15
/* Seconds to wait for another user of iptables. */
#define LOCK_WAIT "10"

enum family { V4, V6, FAMILIES };

enum table { RAW, MANGLE, TABLES };

static const char *const table_names[TABLES] = { "raw", "mangle" };

static const struct {
	enum table table;
	const char *name;
} chains[] = {
	{ RAW, "XCT-RAW" },	 { MANGLE, "XCT-PRE" },
	{ MANGLE, "XCT-EARLY" }, { MANGLE, "XCT-IN" },
	{ MANGLE, "XCT-OUT" },	 { MANGLE, "XCT-POST" },
	{ MANGLE, "XCT-DONE" },	 { MANGLE, "XCT-DEFRAG" },
};

#define N_CHAINS XCT_ARRAY_SIZE(chains)

static const struct {
	enum table table;
	const char *base;
	const char *chain;
} jumps[] = {
	{ RAW, "PREROUTING", "XCT-RAW" },
	{ RAW, "OUTPUT", "XCT-RAW" },
	{ MANGLE, "PREROUTING", "XCT-PRE" },
	{ MANGLE, "INPUT", "XCT-IN" },
	{ MANGLE, "OUTPUT", "XCT-OUT" },
	{ MANGLE, "POSTROUTING", "XCT-POST" },
};

#define N_JUMPS XCT_ARRAY_SIZE(jumps)

/* Different strings, in the order they came. */
struct strset {
	char **v;
	size_t n;
};

/* What the early hooks queue. */
struct plan {
	struct strset pre; /* selectors, each "" or with a final space */
	bool has_out;	   /* connections of this host may be redirected */
};

/* What this kernel is able to do, in the words of iptables. */
struct abilities {
	const char *defrag; /* see defrags[]; NULL: none of them */
	const char *dying;  /* matches a TTL that is over; NULL: cannot */
};

/*
 * Where a rule with one of these is, though nothing leads there, the kernel puts
 * fragments together before all hooks. The first that works is used: the last
 * one also makes the kernel look at each packet for a connection, though it is
 * told to track none.
 */
static const char *const defrags[] = {
	"-m socket -j RETURN",
	"-p udp -j TPROXY --on-port 1",
	"-m conntrack --ctstate UNTRACKED -j RETURN",
};

/* Not for this host nor for many: to be forwarded. */
static const char *const dying[FAMILIES] = {
	"-m ttl --ttl-lt 2 -m addrtype --dst-type UNICAST ",
	"-m hl --hl-lt 2 -m addrtype --dst-type UNICAST ",
};

/* What iptables-save shows of ours. */
struct survey {
	unsigned int jumps[N_JUMPS]; /* how often each is there */
	bool chains[N_CHAINS];
	unsigned int rules[N_CHAINS]; /* how many are in each */
};

struct installed {
	struct plan kept; /* all that was selected since forget() */
	size_t newest_n;  /* selectors of the newest configuration */
	bool newest_out;  /* .. and its has_out */
	char *text;	  /* contents of the chains, NULL: not installed */
	struct abilities able;
};

struct xct_hooks {
	struct installed families[FAMILIES];
};

static void strset_fini(struct strset *set)
{
	for (size_t i = 0; i < set->n; i++)
		free(set->v[i]);
	free(set->v);
	*set = (struct strset){ NULL, 0 };
}

/* 0 or -ENOMEM. */
static int strset_add(struct strset *set, const char *s)
{
	char **v;

	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->v[i], s) == 0)
			return 0;
	v = reallocarray(set->v, set->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	set->v = v;
	v[set->n] = strdup(s);
	if (!v[set->n])
		return -ENOMEM;
	set->n++;
	return 0;
}

static int af_of(enum family f)
{
	return f == V4 ? AF_INET : AF_INET6;
}

/* ------------------------------------------------------------- the plan */

/* "-d A " or "-m iprange --dst-range A-B ". */
static int add_range(struct strset *set, const struct xct_addr_range *r)
{
	char first[XCT_ADDRSTRLEN], last[XCT_ADDRSTRLEN];
	char s[2 * XCT_ADDRSTRLEN + 32];

	xct_addr_format(r->family, &r->first, first);
	xct_addr_format(r->family, &r->last, last);
	if (xct_addr_equal(&r->first, &r->last))
		snprintf(s, sizeof(s), "-d %s ", first);
	else
		snprintf(s, sizeof(s), "-m iprange --dst-range %s-%s ", first,
			 last);
	return strset_add(set, s);
}

/* Input interfaces. A pattern that is only "*" says nothing: then no selector
 * remains, as if the condition were absent. */
static int add_interfaces(struct strset *set, const struct xct_ifset *ifs)
{
	char s[XCT_IFNAMSIZ + 8];
	int err = 0;

	for (uint32_t i = 0; i < ifs->n && !err; i++) {
		const char *pattern = ifs->patterns[i];
		size_t len = strlen(pattern);
		bool is_wild = len && pattern[len - 1] == '*';

		if (is_wild && len == 1) {
			strset_fini(set);
			return 0;
		}
		snprintf(s, sizeof(s), "-i %.*s%s ", (int)(len - is_wild),
			 pattern, is_wild ? "+" : "");
		err = strset_add(set, s);
	}
	return err;
}

static bool has_multiport(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP ||
	       proto == IPPROTO_SCTP || proto == IPPROTO_DCCP ||
	       proto == IPPROTO_UDPLITE;
}

/* One protocol; with @ports, as many selectors as -m multiport needs. */
static int add_protocol(struct strset *set, uint8_t proto,
			const struct xct_portset *ports)
{
	char list[MULTIPORT_MAX * sizeof("65535,")];
	char s[sizeof(list) + 48];
	uint32_t i = 0;
	int err = 0;

	if (!ports || !has_multiport(proto)) {
		snprintf(s, sizeof(s), "-p %u ", proto);
		return strset_add(set, s);
	}
	while (i < ports->n && !err) {
		unsigned int room = MULTIPORT_MAX;
		size_t len = 0;

		for (; i < ports->n; i++) {
			const struct xct_port_range *r = &ports->ranges[i];
			unsigned int need = r->first == r->last ? 1 : 2;

			if (need > room)
				break;
			room -= need;
			len += (size_t)snprintf(list + len, sizeof(list) - len,
						need == 1 ? "%s%u" : "%s%u:%u",
						len ? "," : "", r->first,
						r->last);
		}
		snprintf(s, sizeof(s), "-p %u -m multiport --dports %s ", proto,
			 list);
		err = strset_add(set, s);
	}
	return err;
}

static bool speaks_of(const struct xct_rule *rule, int af)
{
	return (!rule->match.family || rule->match.family == af) &&
	       (!rule->nat.addr.family || rule->nat.addr.family == af);
}

enum dimension { IN, DST, PROTO, DIMENSIONS };

static size_t combinations(const struct strset dims[static DIMENSIONS])
{
	size_t n = 1;

	for (int d = 0; d < DIMENSIONS; d++)
		n *= dims[d].n ? dims[d].n : 1;
	return n;
}

/* Every combination of one string of each dimension; where there are too many
 * the dimension with the most is left out: wider, and fewer. */
static int add_product(struct strset *set,
		       struct strset dims[static DIMENSIONS])
{
	static const char none[] = "";
	char s[512];
	size_t total;
	int err = 0;

	while ((total = combinations(dims)) > SELECTORS_MAX) {
		int most = IN;

		for (int d = DST; d < DIMENSIONS; d++)
			if (dims[d].n > dims[most].n)
				most = d;
		strset_fini(&dims[most]);
	}
	for (size_t i = 0; i < total && !err; i++) {
		const char *part[DIMENSIONS];
		size_t rest = i;

		for (int d = 0; d < DIMENSIONS; d++) {
			part[d] = none;
			if (dims[d].n) {
				part[d] = dims[d].v[rest % dims[d].n];
				rest /= dims[d].n;
			}
		}
		snprintf(s, sizeof(s), "%s%s%s", part[IN], part[DST],
			 part[PROTO]);
		err = strset_add(set, s);
	}
	return err;
}

/* What a dnat or redirect rule may translate, of one family. */
static int add_dnat_rule(struct strset *set, const struct xct_ruleset *rs,
			 const struct xct_rule *rule, int af)
{
	const struct xct_match *m = &rule->match;
	struct strset dims[DIMENSIONS] = { { NULL, 0 } };
	int err = 0;

	if (m->in != XCT_ANY)
		err = add_interfaces(&dims[IN], &rs->ifsets[m->in]);
	if (m->dst != XCT_ANY) {
		const struct xct_addrset *as = &rs->addrsets[m->dst];

		for (uint32_t i = 0; i < as->n && !err; i++)
			if (as->ranges[i].family == af)
				err = add_range(&dims[DST], &as->ranges[i]);
		if (!err && !dims[DST].n)
			goto out; /* no address of this family */
	}
	if (m->proto != XCT_ANY) {
		const struct xct_portset *ports =
			m->dport == XCT_ANY ? NULL : &rs->portsets[m->dport];

		for (unsigned int p = 0; p < 256 && !err; p++)
			if (xct_byteset_has(&rs->protosets[m->proto],
					    (uint8_t)p))
				err = add_protocol(&dims[PROTO], (uint8_t)p,
						   ports);
	}
	if (!err)
		err = add_product(set, dims);
out:
	for (int d = 0; d < DIMENSIONS; d++)
		strset_fini(&dims[d]);
	return err;
}

static void plan_fini(struct plan *plan)
{
	strset_fini(&plan->pre);
	plan->has_out = false;
}

static int add_icmp_errors(struct strset *set, int af)
{
	int err = 0;

	for (unsigned int type = 0; type < 256 && !err; type++) {
		char s[48];

		if (af == AF_INET6 && type > 4)
			break; /* the rest of its errors is not assigned */
		if (!type || !xct_icmp_is_error((uint8_t)af, (uint8_t)type))
			continue;
		snprintf(s, sizeof(s),
			 af == AF_INET ? "-p icmp --icmp-type %u "
				       : "-p ipv6-icmp --icmpv6-type %u ",
			 type);
		err = strset_add(set, s);
	}
	return err;
}

/* 0 or -ENOMEM; on error @plan holds a part and is to be ended too. */
static int plan_build(struct plan *plan, const struct xct_ruleset *rs, int af)
{
	size_t n_snat;
	int err = 0;

	for (uint32_t i = 0; i < rs->n_snat && !err; i++) {
		const struct xct_rule *rule = &rs->snat[i];

		if (rule->action == XCT_ACT_SNAT &&
		    rule->nat.addr.family == af && speaks_of(rule, af))
			err = add_range(&plan->pre, &rule->nat.addr);
	}
	n_snat = plan->pre.n;
	for (uint32_t i = 0; i < rs->n_dnat && !err; i++) {
		const struct xct_rule *rule = &rs->dnat[i];

		if (rule->action == XCT_ACT_EXEMPT || !speaks_of(rule, af))
			continue;
		if (rule->is_local)
			plan->has_out = true;
		else
			err = add_dnat_rule(&plan->pre, rs, rule, af);
	}
	/* Errors about translated flows come for whatever they quote. */
	if (!err && plan->pre.n > n_snat)
		err = add_icmp_errors(&plan->pre, af);
	return err;
}

static int plan_merge(struct plan *plan, const struct plan *other)
{
	int err = 0;

	plan->has_out |= other->has_out;
	for (size_t i = 0; i < other->pre.n && !err; i++)
		err = strset_add(&plan->pre, other->pre.v[i]);
	return err;
}

/* ---------------------------------------------------- iptables' language */

static void write_chains(FILE *f, enum table table)
{
	for (size_t i = 0; i < N_CHAINS; i++)
		if (chains[i].table == table)
			fprintf(f, ":%s - [0:0]\n", chains[i].name);
}

/* The jumps that @survey (NULL: nothing is there) does not show. */
static void write_jumps(FILE *f, enum table table, const struct survey *survey)
{
	for (size_t i = 0; i < N_JUMPS; i++)
		if (jumps[i].table == table && !(survey && survey->jumps[i]))
			fprintf(f, "-A %s -j %s\n", jumps[i].base,
				jumps[i].chain);
}

static void format_queue(char *s, size_t size,
			 const struct xct_settings *settings,
			 unsigned int workers)
{
	unsigned int first = settings->queue_first;
	const char *bypass = settings->fail_open ? " --queue-bypass" : "";

	if (workers > 1)
		snprintf(s, size, "-j NFQUEUE --queue-balance %u:%u%s", first,
			 first + workers - 1, bypass);
	else
		snprintf(s, size, "-j NFQUEUE --queue-num %u%s", first, bypass);
}

static void write_mangle(FILE *f, const struct plan *plan,
			 const struct xct_settings *settings,
			 unsigned int workers, const struct abilities *able)
{
	uint32_t mask = settings->mark_mask;
	uint32_t done = XCT_STAGE_DONE * (mask & -mask);
	char queue[80];

	format_queue(queue, sizeof(queue), settings, workers);

	fprintf(f, "-A XCT-PRE -m addrtype --dst-type LOCAL -g XCT-EARLY\n");
	if (able->dying)
		fprintf(f, "-A XCT-PRE %s-g XCT-EARLY\n", able->dying);
	for (size_t i = 0; i < plan->pre.n; i++)
		fprintf(f, "-A XCT-PRE %s-g XCT-EARLY\n", plan->pre.v[i]);
	/* Names are dear to compare in nf_tables: of the packets that only pass
	 * through, none is asked whether it came in by "lo". */
	fprintf(f, "-A XCT-EARLY ! -i lo %s\n", queue);

	fprintf(f, "-A XCT-IN -i lo -j RETURN\n");
	fprintf(f, "-A XCT-IN -m mark --mark 0x%x/0x%x -g XCT-DONE\n", done,
		mask);
	fprintf(f, "-A XCT-IN %s\n", queue);

	if (plan->has_out) {
		fprintf(f, "-A XCT-OUT -m mark --mark 0x%x/0x%x -j RETURN\n",
			done, mask);
		fprintf(f, "-A XCT-OUT %s\n", queue);
	}

	fprintf(f, "-A XCT-POST -m mark --mark 0x%x/0x%x -g XCT-DONE\n", done,
		mask);
	fprintf(f, "-A XCT-POST %s\n", queue);

	fprintf(f, "-A XCT-DONE -j MARK --set-xmark 0x0/0x%x\n", mask);

	/* Nothing jumps there: it is enough that there is the rule. */
	if (able->defrag)
		fprintf(f, "-A XCT-DEFRAG %s\n", able->defrag);
}

/* Input for iptables-restore; caller frees; NULL: no memory. */
static char *format_plan(const struct plan *plan,
			 const struct xct_settings *settings,
			 unsigned int workers, const struct survey *survey,
			 const struct abilities *able)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (int t = 0; t < TABLES; t++) {
		fprintf(f, "*%s\n", table_names[t]);
		write_chains(f, (enum table)t);
		if (t == RAW)
			fprintf(f, "-A XCT-RAW -j CT --notrack\n");
		else
			write_mangle(f, plan, settings, workers, able);
		write_jumps(f, (enum table)t, survey);
		fprintf(f, "COMMIT\n");
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ------------------------------------------------------ running iptables */

/* Find @name in PATH or where administrators' programs are. */
static bool find_program(const char *name, char *path, size_t size)
{
	const char *dirs = getenv("PATH");
	char all[4096];
	char *save, *dir;

	snprintf(all, sizeof(all), "%s:/usr/sbin:/sbin", dirs ? dirs : "");
	for (dir = strtok_r(all, ":", &save); dir;
	     dir = strtok_r(NULL, ":", &save)) {
		int n = snprintf(path, size, "%s/%s", dir, name);

		if (n > 0 && (size_t)n < size && access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* A file in memory holding @text ("": empty), at its start; or -errno. */
static int memory_file(const char *text)
{
	size_t len = strlen(text);
	int fd = memfd_create("xct-iptables", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int err = -errno;

			close(fd);
			return err;
		}
		text += n;
		len -= (size_t)n;
	}
	(void)lseek(fd, 0, SEEK_SET); /* memory files seek */
	return fd;
}

/* All of @fd as text; caller frees; NULL: no memory. */
static char *read_all(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = size < 0 ? NULL : malloc((size_t)size + 1);
	ssize_t n;

	if (!text)
		return NULL;
	n = pread(fd, text, (size_t)size, 0);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

/* Start @argv with @fds as its stdin, stdout and stderr; its exit status, or
 * -errno. The child gets default signals: the daemon's blocked ones are not
 * for it. */
static int spawn_and_wait(const char *path, char *const argv[],
			  const int fds[static 3])
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, pipe_signal;
	int err, status;
	pid_t pid;

	sigemptyset(&none);
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	err = posix_spawn_file_actions_init(&actions);
	if (err)
		return -err;
	err = posix_spawnattr_init(&attr);
	if (err)
		goto err_actions;
	for (int i = 0; i < 3 && !err; i++)
		err = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	if (err)
		goto err_attr;
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &pipe_signal);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	err = posix_spawn(&pid, path, &actions, &attr, argv, environ);
err_attr:
	posix_spawnattr_destroy(&attr);
err_actions:
	posix_spawn_file_actions_destroy(&actions);
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/*
 * Run @argv (argv[0] is looked for) with @input on stdin. @out and @err get
 * what it wrote; caller frees; either may be NULL afterwards. Its exit status,
 * or -errno if it could not be run.
 */
static int run(char *const argv[], const char *input, char **out, char **err)
{
	int fds[3] = { -1, -1, -1 };
	char path[4096];
	int rc = 0;

	*out = NULL;
	*err = NULL;
	if (!find_program(argv[0], path, sizeof(path)))
		return -ENOENT;
	for (int i = 0; i < 3 && rc >= 0; i++)
		rc = fds[i] = memory_file(i == 0 ? input : "");
	if (rc >= 0)
		rc = spawn_and_wait(path, argv, fds);
	if (rc >= 0) {
		*out = read_all(fds[1]);
		*err = read_all(fds[2]);
	}
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return rc;
}

/* Line number @n, from 1, of @text, without its end. */
static const char *line_of(const char *text, unsigned int n, int *len)
{
	while (--n > 0 && *text)
		text = strchrnul(text, '\n') + (*strchrnul(text, '\n') != 0);
	*len = (int)(strchrnul(text, '\n') - text);
	return text;
}

/* What iptables wrote in @err, as one line; the number of the line it complains
 * about, or 0. */
static unsigned int read_complaint(char *err)
{
	const char *at = strstr(err, "line");
	size_t len = strlen(err);
	unsigned int line = 0;

	/* "line 5 failed", "line 5: RULE_APPEND failed", "at line: 5" */
	if (at && sscanf(at, "line%*1[: ]%u", &line) != 1)
		line = 0;
	while (len > 0 && err[len - 1] == '\n')
		err[--len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (err[i] == '\n')
			err[i] = ' ';
	return line;
}

/*
 * Say why running @name failed: @rc as run() returned it, @err what it wrote,
 * @input what it read, of which the line it complains about is shown. Returns
 * the -errno.
 */
static int explain(char **error, const char *name, int rc, char *err,
		   const char *input)
{
	int n, bad_len = 0;
	const char *bad = "";
	unsigned int line;

	if (rc == -ENOENT) {
		n = asprintf(error,
			     "%s: not found in PATH; install the package "
			     "iptables",
			     name);
	} else if (rc < 0 || !err) {
		rc = rc < 0 ? rc : -ENOMEM;
		n = asprintf(error, "%s: cannot run: %s", name, strerror(-rc));
	} else {
		line = read_complaint(err);
		if (line)
			bad = line_of(input, line, &bad_len);
		n = asprintf(
			error,
			"%s failed (status %d): %s%s%.*s%s; needed are "
			"CAP_NET_ADMIN%s and, in the kernel, the tables raw "
			"and mangle, the targets CT, NFQUEUE and MARK, "
			"the matches mark, addrtype, iprange and "
			"multiport",
			name, rc, err, bad_len ? ", at \"" : "", bad_len, bad,
			bad_len ? "\"" : "",
			strstr(err, "(legacy)")
				? ", for iptables-legacy also CAP_NET_RAW "
				  "and a writable /run/xtables.lock (see "
				  "xctd(8)),"
				: "");
		rc = strstr(err, "ermission denied") ||
				     strstr(err, "not permitted")
			     ? -EPERM
			     : -EIO;
	}
	if (n < 0)
		*error = NULL;
	return rc;
}

static int restore(enum family f, const char *text, char **error)
{
	char name[] = "ip6tables-restore", noflush[] = "--noflush";
	char wait[] = "-w", seconds[] = LOCK_WAIT;
	char *argv[] = { name, noflush, wait, seconds, NULL };
	char *out, *err;
	int rc;

	if (f == V4)
		strcpy(name, "iptables-restore");
	rc = run(argv, text, &out, &err);
	if (rc)
		rc = explain(error, name, rc, err, text);
	free(out);
	free(err);
	return rc;
}

static bool is_rule_of(const char *line, const char *chain)
{
	size_t n = strlen(chain);

	return strncmp(line, "-A ", 3) == 0 &&
	       strncmp(line + 3, chain, n) == 0 && line[3 + n] == ' ';
}

/* Note in @survey what one line of iptables-save shows. */
static void survey_line(struct survey *survey, enum table table,
			const char *line)
{
	char want[64];

	for (size_t i = 0; i < N_JUMPS; i++) {
		snprintf(want, sizeof(want), "-A %s -j %s", jumps[i].base,
			 jumps[i].chain);
		if (jumps[i].table == table && strcmp(line, want) == 0)
			survey->jumps[i]++;
	}
	for (size_t i = 0; i < N_CHAINS; i++) {
		size_t n = (size_t)snprintf(want, sizeof(want), ":%s ",
					    chains[i].name);

		if (chains[i].table != table)
			continue;
		if (strncmp(line, want, n) == 0)
			survey->chains[i] = true;
		else if (is_rule_of(line, chains[i].name))
			survey->rules[i]++;
	}
}

static int survey_take(struct survey *survey, enum family f, char **error)
{
	char name[] = "ip6tables-save", option[] = "-t", table[16];
	char *argv[] = { name, option, table, NULL };
	char *out, *err, *save;
	int rc = 0;

	memset(survey, 0, sizeof(*survey));
	if (f == V4)
		strcpy(name, "iptables-save");
	for (int t = 0; t < TABLES && !rc; t++) {
		snprintf(table, sizeof(table), "%s", table_names[t]);
		rc = run(argv, "", &out, &err);
		if (rc)
			rc = explain(error, name, rc, err, "");
		else if (!out)
			rc = -ENOMEM;
		else
			for (char *line = strtok_r(out, "\n", &save); line;
			     line = strtok_r(NULL, "\n", &save))
				survey_line(survey, (enum table)t, line);
		free(out);
		free(err);
	}
	return rc;
}

static bool survey_is_empty(const struct survey *survey)
{
	static const struct survey empty;

	return memcmp(survey, &empty, sizeof(empty)) == 0;
}

/* A host without IPv6 needs no hooks for it. Through self: where only processes
 * are shown in /proc, it is there. */
static bool has_family(enum family f)
{
	return f == V4 || access("/proc/self/net/if_inet6", F_OK) == 0;
}

/* Does this kernel take @rule in the mangle table? */
static bool can(enum family f, const char *rule)
{
	char *why = NULL, *text;
	bool is_taken;

	if (asprintf(&text,
		     "*mangle\n:XCT-PROBE - [0:0]\n-A XCT-PROBE %s\n"
		     "-F XCT-PROBE\n-X XCT-PROBE\nCOMMIT\n",
		     rule) < 0)
		return false;
	is_taken = restore(f, text, &why) == 0;
	free(text);
	free(why);
	return is_taken;
}

static void probe(struct abilities *able, enum family f)
{
	*able = (struct abilities){ NULL, NULL };
	for (size_t i = 0; i < XCT_ARRAY_SIZE(defrags) && !able->defrag; i++)
		if (can(f, defrags[i]))
			able->defrag = defrags[i];
	if (can(f, dying[f]))
		able->dying = dying[f];
}

/* -------------------------------------------------------------- removing */

/* Delete the chains, which are empty and not jumped to by us. Somebody else's
 * rule may still name one: that must not keep the rest. */
static int remove_chains(enum family f, const struct survey *survey,
			 char **error)
{
	char text[128];
	int rc = 0;

	for (size_t i = 0; i < N_CHAINS; i++) {
		char *why = NULL;
		int err;

		if (!survey->chains[i])
			continue;
		snprintf(text, sizeof(text), "*%s\n-X %s\nCOMMIT\n",
			 table_names[chains[i].table], chains[i].name);
		err = restore(f, text, &why);
		if (err && !rc) {
			rc = err;
			*error = why;
			why = NULL;
		}
		free(why);
	}
	return rc;
}

static int remove_family(enum family f, char **error)
{
	struct survey survey;
	char *text = NULL;
	size_t len;
	FILE *out;
	int rc;

	rc = survey_take(&survey, f, error);
	if (rc || survey_is_empty(&survey))
		return rc;
	out = open_memstream(&text, &len);
	if (!out)
		return -ENOMEM;
	for (int t = 0; t < TABLES; t++) {
		fprintf(out, "*%s\n", table_names[t]);
		for (size_t i = 0; i < N_JUMPS; i++)
			for (unsigned int n = survey.jumps[i];
			     n > 0 && (int)jumps[i].table == t; n--)
				fprintf(out, "-D %s -j %s\n", jumps[i].base,
					jumps[i].chain);
		for (size_t i = 0; i < N_CHAINS; i++)
			if (survey.chains[i] && (int)chains[i].table == t)
				fprintf(out, "-F %s\n", chains[i].name);
		fprintf(out, "COMMIT\n");
	}
	rc = fclose(out) == 0 ? restore(f, text, error) : -ENOMEM;
	free(text);
	return rc ? rc : remove_chains(f, &survey, error);
}

/* An abstract socket's name is unique in a network namespace, as hooks are. */
int xct_hooks_lock(void)
{
	static const char name[] = "\0xctd-hooks";
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len =
		offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	memcpy(addr.sun_path, name, sizeof(name) - 1);
	if (bind(fd, (const struct sockaddr *)&addr, len) == 0)
		return fd;
	err = -errno;
	(void)close(fd);
	return err;
}

int xct_hooks_remove(struct xct_hooks *hooks, char **error)
{
	int rc = 0;

	*error = NULL;
	for (int f = 0; f < FAMILIES; f++) {
		struct installed *in = &hooks->families[f];
		char *why = NULL;
		int err = 0;

		if (has_family((enum family)f))
			err = remove_family((enum family)f, &why);
		if (err && !rc) {
			rc = err;
			*error = why;
			why = NULL;
		}
		free(why);
		plan_fini(&in->kept);
		free(in->text);
		*in = (struct installed){ 0 };
	}
	return rc;
}

/* ------------------------------------------------------------ installing */

/* One family on its way from planned to installed. */
struct change {
	struct plan plan; /* the new one and what is kept */
	size_t newest_n;
	bool newest_out;
	struct survey before;
	char *text; /* contents of the chains, without jumps */
	bool is_applied;
};

static int change_prepare(struct change *change, const struct installed *in,
			  const struct xct_config *config, unsigned int workers,
			  enum family f, char **error)
{
	struct survey all;
	int err;

	err = plan_build(&change->plan, &config->ruleset, af_of(f));
	if (err)
		return err;
	change->newest_n = change->plan.pre.n;
	change->newest_out = change->plan.has_out;
	err = plan_merge(&change->plan, &in->kept);
	if (err)
		return err;
	memset(&all, 1, sizeof(all)); /* every jump is there: write none */
	change->text = format_plan(&change->plan, &config->settings, workers,
				   &all, &in->able);
	if (!change->text)
		return -ENOMEM;
	return survey_take(&change->before, f, error);
}

static int change_apply(struct change *change, const struct installed *in,
			const struct xct_config *config, unsigned int workers,
			enum family f, char **error)
{
	char *text = format_plan(&change->plan, &config->settings, workers,
				 &change->before, &in->able);
	int err;

	if (!text)
		return -ENOMEM;
	change->is_applied = true; /* perhaps one of the two tables */
	err = restore(f, text, error);
	free(text);
	return err;
}

/* Go back to what was there. That is best effort: the first failure, which
 * has been reported, matters more than a second one. */
static void change_undo(struct change *change, const struct installed *in,
			enum family f)
{
	char *why = NULL;

	if (!change->is_applied)
		return;
	if (in->text)
		(void)restore(f, in->text, &why);
	else if (survey_is_empty(&change->before))
		(void)remove_family(f, &why);
	free(why);
}

static void change_commit(struct change *change, struct installed *in)
{
	plan_fini(&in->kept);
	free(in->text);
	in->kept = change->plan;
	in->newest_n = change->newest_n;
	in->newest_out = change->newest_out;
	in->text = change->text;
	change->plan = (struct plan){ { NULL, 0 }, false };
	change->text = NULL;
}

int xct_hooks_install(struct xct_hooks *hooks, const struct xct_config *config,
		      unsigned int workers, char **error)
{
	struct change changes[FAMILIES] = { 0 };
	bool has[FAMILIES];
	int err = 0;

	*error = NULL;
	for (int f = 0; f < FAMILIES && !err; f++) {
		has[f] = has_family((enum family)f);
		if (has[f] && !hooks->families[f].text)
			probe(&hooks->families[f].able, (enum family)f);
		if (has[f])
			err = change_prepare(&changes[f], &hooks->families[f],
					     config, workers, (enum family)f,
					     error);
	}
	for (int f = 0; f < FAMILIES && !err; f++)
		if (has[f])
			err = change_apply(&changes[f], &hooks->families[f],
					   config, workers, (enum family)f,
					   error);
	for (int f = 0; f < FAMILIES; f++) {
		if (err)
			change_undo(&changes[f], &hooks->families[f],
				    (enum family)f);
		else if (has[f])
			change_commit(&changes[f], &hooks->families[f]);
		plan_fini(&changes[f].plan);
		free(changes[f].text);
	}
	if (err == -ENOMEM && !*error)
		*error = strdup("no memory to plan the hooks");
	return err;
}

/* -------------------------------------------------------------- checking */

/* As many rules in each chain as were installed, and the jumps to them: who
 * removes hooks flushes or deletes. */
static bool is_in_place(const struct installed *in, const struct survey *survey)
{
	unsigned int want[N_CHAINS] = { 0 };
	const char *line = in->text;

	while (*line) {
		for (size_t i = 0; i < N_CHAINS; i++)
			want[i] += is_rule_of(line, chains[i].name);
		line = strchrnul(line, '\n');
		line += *line != '\0';
	}
	for (size_t i = 0; i < N_JUMPS; i++)
		if (survey->jumps[i] == 0)
			return false;
	return memcmp(want, survey->rules, sizeof(want)) == 0;
}

int xct_hooks_check(const struct xct_hooks *hooks, char **error)
{
	struct survey survey;
	int ret;

	*error = NULL;
	for (int f = 0; f < FAMILIES; f++) {
		const struct installed *in = &hooks->families[f];

		if (!in->text)
			continue;
		ret = survey_take(&survey, (enum family)f, error);
		if (ret)
			return ret < 0 ? ret : -EIO;
		if (!is_in_place(in, &survey))
			return 0;
	}
	return 1;
}

bool xct_hooks_are_in(const char *table, const char *chain)
{
	bool is_table = false;

	for (size_t i = 0; i < N_JUMPS; i++) {
		if (strcmp(table, table_names[jumps[i].table]) != 0)
			continue;
		is_table = true;
		if (chain && strcmp(chain, jumps[i].base) == 0)
			return true;
	}
	return is_table && (!chain || strncmp(chain, "XCT-", 4) == 0);
}

/* -------------------------------------------------------- the small ones */

char *xct_hooks_render(const struct xct_hooks *hooks,
		       const struct xct_config *config, unsigned int workers,
		       uint8_t family)
{
	enum family f = family == AF_INET ? V4 : V6;
	struct abilities able = { defrags[0], dying[f] };
	struct plan plan = { { NULL, 0 }, false };
	char *text = NULL;
	int err;

	err = plan_build(&plan, &config->ruleset, family);
	if (!err && hooks)
		err = plan_merge(&plan, &hooks->families[f].kept);
	if (hooks && hooks->families[f].text)
		able = hooks->families[f].able;
	if (!err)
		text = format_plan(&plan, &config->settings, workers, NULL,
				   &able);
	plan_fini(&plan);
	return text;
}

struct xct_hooks *xct_hooks_new(void)
{
	return calloc(1, sizeof(struct xct_hooks));
}

void xct_hooks_free(struct xct_hooks *hooks)
{
	if (!hooks)
		return;
	for (int f = 0; f < FAMILIES; f++) {
		plan_fini(&hooks->families[f].kept);
		free(hooks->families[f].text);
	}
	free(hooks);
}

bool xct_hooks_can_defrag(const struct xct_hooks *hooks)
{
	for (int f = 0; f < FAMILIES; f++)
		if (hooks->families[f].text && !hooks->families[f].able.defrag)
			return false;
	return true;
}

bool xct_hooks_has_retained(const struct xct_hooks *hooks)
{
	for (int f = 0; f < FAMILIES; f++) {
		const struct installed *in = &hooks->families[f];

		if (in->kept.pre.n > in->newest_n ||
		    in->kept.has_out != in->newest_out)
			return true;
	}
	return false;
}

void xct_hooks_forget(struct xct_hooks *hooks)
{
	for (int f = 0; f < FAMILIES; f++) {
		plan_fini(&hooks->families[f].kept);
		hooks->families[f].newest_n = 0;
		hooks->families[f].newest_out = false;
	}
}
