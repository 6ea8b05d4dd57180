/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A real queue, in a network namespace of the test's own: what a predecessor
 * has read and never answered comes again to whoever adopts its socket. Needs
 * root, and is skipped without.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/nfq.h"
#include "daemon/nfq_info.h"

#define QUEUE	7
#define PACKETS 3

static int setup(void **state)
{
	(void)state;
	if (geteuid() != 0)
		return 0;
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	return system("PATH=$PATH:/usr/sbin:/sbin; ip link set lo up && "
		      "iptables -A OUTPUT -p udp -j NFQUEUE --queue-num 7");
}

static int udp_socket(struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	*addr = (struct sockaddr_in){ .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				      .sin_port = htons(4000) };
	assert_int_equal(bind(fd, (struct sockaddr *)addr, sizeof(*addr)), 0);
	return fd;
}

/* Read packets until none has come for a while; @accept answers them. */
static unsigned int take(struct xct_nfq *nfq, bool accept)
{
	static struct xct_nfq_packet packets[XCT_NFQ_BATCH];
	unsigned int total = 0;
	bool is_idle;
	int n;

	assert_int_equal(xct_nfq_set_patience(nfq, 300), 0);
	for (;;) {
		n = xct_nfq_receive(nfq, packets, true, &is_idle);
		assert_true(n >= 0);
		if (is_idle)
			return total;
		for (int i = 0; i < n; i++) {
			packets[i].is_accepted = true;
			packets[i].new_mark = packets[i].mark;
		}
		if (accept)
			xct_nfq_answer(nfq, packets, (unsigned int)n);
		total += (unsigned int)n;
	}
}

/* As a successor does. */
static struct xct_nfq *adopt(int kept)
{
	struct xct_nfq_info info;
	struct xct_nfq *nfq;

	/* As whoever kept it may have left it. */
	assert_return_code(fcntl(kept, F_SETFL, O_NONBLOCK), errno);
	assert_int_equal(xct_nfq_adopt(&nfq, kept, QUEUE, 1024, false), 0);
	assert_true(xct_nfq_is_adopted(nfq));
	assert_false(fcntl(xct_nfq_fd(nfq), F_GETFL) & O_NONBLOCK);
	assert_true(xct_nfq_info(QUEUE, &info));
	assert_int_equal(xct_nfq_repeat(nfq, info.last_id), 0);
	return nfq;
}

static void what_was_read_and_not_answered_comes_again(void **state)
{
	struct sockaddr_in addr;
	struct xct_nfq *nfq;
	char byte;
	int fd, kept;

	(void)state;
	if (geteuid() != 0)
		skip();
	fd = udp_socket(&addr);
	assert_int_equal(xct_nfq_open(&nfq, QUEUE, 1024, false), 0);
	for (int i = 0; i < PACKETS; i++)
		assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&addr,
					sizeof(addr)),
				 1);
	assert_int_equal(take(nfq, false), PACKETS);
	/* More come, which nobody reads; then the process dies. */
	assert_int_equal(
		sendto(fd, "y", 1, 0, (struct sockaddr *)&addr, sizeof(addr)),
		1);
	kept = dup(xct_nfq_fd(nfq));
	xct_nfq_close(nfq);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);

	nfq = adopt(kept);
	assert_int_equal(take(nfq, true), PACKETS + 1);
	for (int i = 0; i <= PACKETS; i++)
		assert_int_equal(recv(fd, &byte, 1, 0), 1);

	/* And where nothing is left unread. */
	assert_int_equal(
		sendto(fd, "z", 1, 0, (struct sockaddr *)&addr, sizeof(addr)),
		1);
	assert_int_equal(take(nfq, false), 1);
	kept = dup(xct_nfq_fd(nfq));
	xct_nfq_close(nfq);
	nfq = adopt(kept);
	assert_int_equal(take(nfq, true), 1);
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	xct_nfq_close(nfq);
	close(fd);
}

static void who_waits_can_be_woken(void **state)
{
	struct xct_nfq_packet packets[XCT_NFQ_BATCH];
	struct xct_nfq *nfq;
	bool is_idle;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(xct_nfq_open(&nfq, QUEUE, 1024, false), 0);
	/* For ever, were it not woken; the alarm ends a test that fails. */
	assert_int_equal(xct_nfq_set_patience(nfq, 0), 0);
	alarm(30);
	xct_nfq_wake(nfq);
	assert_int_equal(xct_nfq_receive(nfq, packets, true, &is_idle), 0);
	alarm(0);
	assert_false(is_idle);
	assert_int_equal(xct_nfq_counters(nfq)->errors, 0);
	assert_int_equal(xct_nfq_set_patience(nfq, 10), 0);
	assert_int_equal(xct_nfq_receive(nfq, packets, true, &is_idle), 0);
	assert_true(is_idle);
	xct_nfq_close(nfq);
}

static void a_socket_without_the_queue_is_refused(void **state)
{
	struct xct_nfq *nfq;
	int kept;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(xct_nfq_open(&nfq, QUEUE, 1024, false), 0);
	kept = dup(xct_nfq_fd(nfq));
	xct_nfq_close(nfq);
	assert_int_equal(xct_nfq_adopt(&nfq, kept, QUEUE + 1, 1024, false),
			 -ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_read_and_not_answered_comes_again),
		cmocka_unit_test(who_waits_can_be_woken),
		cmocka_unit_test(a_socket_without_the_queue_is_refused),
	};

	return cmocka_run_group_tests_name("nfq", tests, setup, NULL);
}
