/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The load of `make bench`: a client in one network namespace and a server in
 * another, both threads of this process, and what they saw as one line of JSON.
 *
 *   load CLIENT_NS SERVER_NS ADDR KIND N SECONDS [RATE]
 *
 *   bulk  N TCP streams from client to server; counts bytes received
 *   udp   18-byte packets of N flows, RATE a second (0: as many as go); counts
 *         packets received
 *   conn  N clients: connect, request, response, close; counts connections
 *   rtt   one UDP packet to and fro at a time; counts round trips
 *
 * The server has the addresses from ADDR on, one for each of up to 100 places a
 * client goes to, so that ports do not run out. Client threads run on the first
 * processor and server threads on the last. What is counted is counted by the
 * receiver, from WARMUP on; "cpu_s", "sent" and "total" are from the first
 * packet on.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT	     7000
#define WARMUP	     0.3
#define THREADS_MAX  64
#define PLACES_MAX   100
#define BURST	     32
#define UDP_LEN	     18 /* with its headers the least of Ethernet */
#define REQUEST_LEN  64
#define RESPONSE_LEN 1024
#define IO_LEN	     (128 * 1024)
#define RCVBUF	     (64 * 1024 * 1024)
#define NAP_NS	     200000 /* of a UDP receiver that has caught up */
#define BUCKET_NS    100
#define BUCKETS	     200000 /* up to 20 ms */

static struct {
	struct in_addr first; /* of the server */
	unsigned int n;
	unsigned int rate;
	int server_fd;
	_Atomic uint64_t sent;	 /* by the UDP client */
	_Atomic uint64_t done;	 /* seen by the receiver */
	_Atomic uint64_t failed; /* connections, round trips */
	_Atomic bool is_counting;
	uint32_t bucket[BUCKETS]; /* of round trips, by their time */
} load;

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000),
			       (long)(ns % 1000000000) };

	nanosleep(&ts, NULL);
}

static struct sockaddr_in server_addr(unsigned int place)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr =
			htonl(ntohl(load.first.s_addr) + place % PLACES_MAX),
	};
}

static int new_socket(int type)
{
	int fd = socket(AF_INET, type, 0), size = RCVBUF;

	if (fd < 0)
		err(1, "socket");
	if (type == SOCK_DGRAM &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		err(1, "SO_RCVBUFFORCE");
	return fd;
}

static void connect_to(int fd, unsigned int place)
{
	struct sockaddr_in to = server_addr(place);

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		err(1, "connect");
}

static void open_server(int type)
{
	struct sockaddr_in any = server_addr(0);
	int on = 1;

	load.server_fd = new_socket(type);
	/* A UDP answer has to come from the address that was asked. */
	if (type == SOCK_STREAM)
		any.sin_addr.s_addr = 0;
	else if (load.n > 1)
		any.sin_addr.s_addr = 0;
	setsockopt(load.server_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(load.server_fd, (struct sockaddr *)&any, sizeof(any)))
		err(1, "bind");
	if (type == SOCK_STREAM && listen(load.server_fd, 1024))
		err(1, "listen");
}

/* ------------------------------------------------------------ TCP in bulk */

static void *bulk_server(void *arg)
{
	int fd = accept(load.server_fd, NULL, NULL);
	char *buf = malloc(IO_LEN);
	ssize_t len;

	(void)arg;
	if (fd < 0 || !buf)
		err(1, "accept");
	while ((len = read(fd, buf, IO_LEN)) > 0)
		add(&load.done, (uint64_t)len);
	return NULL;
}

static _Noreturn void *bulk_client(void *arg)
{
	int fd = new_socket(SOCK_STREAM);
	char *buf = calloc(1, IO_LEN);

	if (!buf)
		err(1, "calloc");
	connect_to(fd, (unsigned int)(uintptr_t)arg);
	while (write(fd, buf, IO_LEN) > 0)
		;
	err(1, "write");
}

/* ------------------------------------------------------------- small UDP */

static _Noreturn void *udp_server(void *arg)
{
	struct mmsghdr msgs[BURST] = { 0 };
	char bytes[UDP_LEN];
	struct iovec iov = { bytes, sizeof(bytes) };
	int n;

	(void)arg;
	for (int i = 0; i < BURST; i++)
		msgs[i].msg_hdr =
			(struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
	/* It naps rather than be woken for each packet: what the receiver costs
	 * shall not depend on who forwards. */
	for (;;) {
		n = recvmmsg(load.server_fd, msgs, BURST, MSG_DONTWAIT, NULL);
		if (n > 0)
			add(&load.done, (uint64_t)n);
		if (n < BURST)
			sleep_ns(NAP_NS);
	}
}

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	uint8_t bytes[UDP_LEN];
} __attribute__((packed));

/* What a checksum of the Internet sums up. */
static uint32_t sum(const void *data, size_t len)
{
	const uint8_t *b = data;
	uint32_t n = 0;

	for (size_t i = 0; i < len; i += 2)
		n += (uint32_t)b[i] << 8 | b[i + 1];
	return n;
}

static uint16_t checksum(uint32_t n)
{
	while (n >> 16)
		n = (n & 0xffff) + (n >> 16);
	return htons((uint16_t)~n);
}

/* The next hop's Ethernet address, and the interface to it. */
static int find_gateway(uint8_t mac[ETH_ALEN])
{
	FILE *f = fopen("/proc/thread-self/net/arp", "re");
	unsigned int flags = 0, b[ETH_ALEN];
	char line[256], dev[32];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %*s %x %x:%x:%x:%x:%x:%x %*s %31s",
			   &flags, &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
			   dev) == 8 &&
		    flags & ATF_COM)
			break;
	if (!f || !(flags & ATF_COM))
		errx(1, "no gateway in the client's ARP table");
	fclose(f);
	for (int i = 0; i < ETH_ALEN; i++)
		mac[i] = (uint8_t)b[i];
	return (int)if_nametoindex(dev);
}

/* A packet socket to the gateway, and what all packets have in common. */
static int open_wire(struct frame *frame)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1;
	int probe = new_socket(SOCK_DGRAM);
	struct sockaddr_in own;
	socklen_t len = sizeof(own);

	connect_to(probe, 0);
	if (getsockname(probe, (struct sockaddr *)&own, &len))
		err(1, "getsockname");
	close(probe);
	memset(frame, 0, sizeof(*frame));
	at.sll_ifindex = find_gateway(frame->eth.h_dest);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		err(1, "packet socket");
	len = sizeof(at);
	if (getsockname(fd, (struct sockaddr *)&at, &len) ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)))
		err(1, "packet socket");
	memcpy(frame->eth.h_source, at.sll_addr, ETH_ALEN);
	frame->eth.h_proto = htons(ETH_P_IP);
	frame->ip.version = 4;
	frame->ip.ihl = sizeof(frame->ip) / 4;
	frame->ip.tot_len = htons(sizeof(*frame) - sizeof(frame->eth));
	frame->ip.frag_off = htons(IP_DF);
	frame->ip.ttl = 64;
	frame->ip.protocol = IPPROTO_UDP;
	frame->ip.saddr = own.sin_addr.s_addr;
	frame->udp.len =
		htons(sizeof(*frame) - sizeof(frame->eth) - sizeof(frame->ip));
	return fd;
}

static void address(struct frame *frame, unsigned int port, unsigned int place)
{
	struct sockaddr_in to = server_addr(place);

	frame->ip.daddr = to.sin_addr.s_addr;
	frame->ip.check = 0;
	frame->ip.check = checksum(sum(&frame->ip, sizeof(frame->ip)));
	frame->udp.source = htons((uint16_t)port);
	frame->udp.dest = to.sin_port;
	frame->udp.check = 0;
	/* With the pseudo-header, whose addresses stand before it. */
	frame->udp.check = checksum(
		sum(&frame->ip.saddr,
		    sizeof(*frame) - offsetof(struct frame, ip.saddr)) +
		IPPROTO_UDP + ntohs(frame->udp.len));
}

/*
 * A flow is a port of the client's and a place; each burst is of one port, and
 * all flows have their turn before one comes again. Packets are written to the
 * wire as they are: what is to be measured is who forwards them, on the same
 * processor.
 */
static _Noreturn void *udp_client(void *arg)
{
	unsigned int n_places = load.n < PLACES_MAX ? 8 : PLACES_MAX;
	unsigned int n_ports = (load.n + n_places - 1) / n_places;
	unsigned int n = n_ports * n_places;
	unsigned int burst = load.rate ? 8 : BURST;
	unsigned int port = 10000 + (unsigned int)getpid() * 101 % 40000;
	struct frame *frames = calloc(n, sizeof(*frames)), any;
	struct mmsghdr msgs[BURST] = { 0 };
	struct iovec iov[BURST];
	uint64_t next = now_ns();
	int fd = open_wire(&any), sent;

	(void)arg;
	if (!frames)
		err(1, "calloc");
	if (n_ports > UINT16_MAX - 50000)
		errx(2, "so many flows have no ports: %u", load.n);
	for (unsigned int i = 0; i < n; i++) {
		frames[i] = any;
		address(&frames[i], port + i / n_places, i % n_places);
	}
	for (unsigned int i = 0; i < burst; i++)
		msgs[i].msg_hdr =
			(struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	for (unsigned int turn = 0;; turn++) {
		struct frame *first = &frames[turn % n_ports * n_places];

		for (unsigned int i = 0; i < burst; i++)
			iov[i] = (struct iovec){
				&first[(turn / n_ports * burst + i) % n_places],
				sizeof(struct frame)
			};
		sent = sendmmsg(fd, msgs, burst, 0);
		if (sent > 0)
			add(&load.sent, (uint64_t)sent);
		if (!load.rate)
			continue;
		next += burst * 1000000000ull / load.rate;
		if (next > now_ns())
			sleep_ns(next - now_ns());
	}
}

/* ------------------------------------------------------- new connections */

static _Noreturn void *conn_server(void *arg)
{
	static const char response[RESPONSE_LEN];
	char request[REQUEST_LEN];
	int fd;

	(void)arg;
	for (;;) {
		fd = accept(load.server_fd, NULL, NULL);
		if (fd < 0)
			continue;
		if (recv(fd, request, sizeof(request), MSG_WAITALL) ==
		    sizeof(request))
			/* Nothing to do if it fails: the client will see. */
			(void)send(fd, response, sizeof(response),
				   MSG_NOSIGNAL);
		close(fd);
	}
}

static bool ask(int fd, unsigned int place)
{
	struct sockaddr_in to = server_addr(place);
	static const char request[REQUEST_LEN];
	char response[RESPONSE_LEN];

	return connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	       send(fd, request, sizeof(request), MSG_NOSIGNAL) ==
		       sizeof(request) &&
	       recv(fd, response, sizeof(response), MSG_WAITALL) ==
		       sizeof(response) &&
	       recv(fd, response, 1, 0) == 0;
}

static _Noreturn void *conn_client(void *arg)
{
	int fd;

	for (unsigned int i = (unsigned int)(uintptr_t)arg;; i++) {
		fd = new_socket(SOCK_STREAM);
		add(ask(fd, i) ? &load.done : &load.failed, 1);
		close(fd);
	}
}

/* ------------------------------------------------------------ round trips */

static _Noreturn void *rtt_server(void *arg)
{
	struct sockaddr_in from;
	char bytes[UDP_LEN];
	socklen_t len;
	ssize_t n;

	(void)arg;
	for (;;) {
		len = sizeof(from);
		n = recvfrom(load.server_fd, bytes, sizeof(bytes), 0,
			     (struct sockaddr *)&from, &len);
		if (n > 0)
			/* A lost answer is one that the client misses. */
			(void)sendto(load.server_fd, bytes, (size_t)n, 0,
				     (struct sockaddr *)&from, len);
	}
}

static _Noreturn void *rtt_client(void *arg)
{
	struct timeval patience = { .tv_usec = 100000 };
	int fd = new_socket(SOCK_DGRAM);
	uint64_t serial, back, began, ns;

	(void)arg;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	connect_to(fd, 0);
	for (serial = 1;; serial++) {
		began = now_ns();
		if (send(fd, &serial, sizeof(serial), 0) > 0)
			add(&load.sent, 1);
		do /* until it is the answer to this one */
			if (recv(fd, &back, sizeof(back), 0) < 0)
				back = 0;
		while (back && back != serial);
		if (!back) {
			add(&load.failed, 1);
			continue;
		}
		ns = now_ns() - began;
		add(&load.done, 1);
		if (load.is_counting)
			load.bucket[ns / BUCKET_NS < BUCKETS ? ns / BUCKET_NS
							     : BUCKETS - 1]++;
	}
}

/* Below this many microseconds are @part of all round trips. */
static double quantile_us(double part)
{
	uint64_t all = 0, seen = 0;

	for (unsigned int i = 0; i < BUCKETS; i++)
		all += load.bucket[i];
	for (unsigned int i = 0; i < BUCKETS; i++) {
		seen += load.bucket[i];
		if (seen && (double)seen >= part * (double)all)
			return (i + 1) * (BUCKET_NS / 1e3);
	}
	return 0;
}

/* ------------------------------------------------------------- altogether */

static const struct kind {
	const char *name;
	int type;
	bool is_threaded; /* N threads on each side, else one */
	void *(*server)(void *arg);
	void *(*client)(void *arg);
} kinds[] = {
	{ "bulk", SOCK_STREAM, true, bulk_server, bulk_client },
	{ "udp", SOCK_DGRAM, false, udp_server, udp_client },
	{ "conn", SOCK_STREAM, true, conn_server, conn_client },
	{ "rtt", SOCK_DGRAM, false, rtt_server, rtt_client },
};

static void enter(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "%s", path);
	close(fd);
}

/* On the first processor or the last; a refusal costs accuracy only. */
static void start(void *(*fn)(void *arg), unsigned int n, bool is_first)
{
	long cpu = is_first ? 0 : sysconf(_SC_NPROCESSORS_ONLN) - 1;
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	for (uintptr_t i = 0; i < n; i++)
		if (pthread_create(&thread, &attr, fn, (void *)i))
			errx(1, "pthread_create failed");
}

/* CPU time of all threads so far, and of the kernel's work in their names. */
static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void measure(const char *kind, double seconds)
{
	uint64_t began, done;

	sleep_ns((uint64_t)(WARMUP * 1e9));
	load.is_counting = true;
	done = load.done;
	began = now_ns();
	sleep_ns((uint64_t)(seconds * 1e9));
	seconds = (double)(now_ns() - began) / 1e9;
	done = load.done - done;
	printf("{\"kind\": \"%s\", \"n\": %u, \"seconds\": %.6f, "
	       "\"done\": %llu, \"rate\": %.1f, \"cpu_s\": %.6f, "
	       "\"sent\": %llu, \"total\": %llu, \"failed\": %llu",
	       kind, load.n, seconds, (unsigned long long)done,
	       (double)done / seconds, cpu_s(), (unsigned long long)load.sent,
	       (unsigned long long)load.done, (unsigned long long)load.failed);
	if (strcmp(kind, "rtt") == 0)
		printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, "
		       "\"p999_us\": %.1f",
		       quantile_us(0.5), quantile_us(0.99), quantile_us(0.999));
	printf("}\n");
}

int main(int argc, char **argv)
{
	const struct kind *kind = NULL;
	unsigned int n_threads;

	if (argc < 7 || inet_pton(AF_INET, argv[3], &load.first) != 1)
		errx(2,
		     "usage: load CLIENT_NS SERVER_NS ADDR bulk|udp|conn|rtt "
		     "N SECONDS [RATE]");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(kinds[i].name, argv[4]) == 0)
			kind = &kinds[i];
	load.n = (unsigned int)strtoul(argv[5], NULL, 10);
	load.rate = argc > 7 ? (unsigned int)strtoul(argv[7], NULL, 10) : 0;
	n_threads = kind && kind->is_threaded ? load.n : 1;
	if (!kind || load.n == 0 || n_threads > THREADS_MAX)
		errx(2, "no such load: %s %s", argv[4], argv[5]);
	prctl(PR_SET_TIMERSLACK, 1);
	enter(argv[2]);
	open_server(kind->type);
	enter(argv[1]);
	start(kind->server, n_threads, false);
	start(kind->client, n_threads, true);
	measure(argv[4], strtod(argv[6], NULL));
	fflush(stdout);
	_exit(0); /* threads and sockets end with it */
}
