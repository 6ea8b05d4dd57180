/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * As fast as a queue allows: accepts every packet of one NFQUEUE and does
 * nothing else. What `make bench` measures xctd against.
 *
 *   ceiling QUEUE mangle|pass
 *
 * mangle: every verdict carries the whole packet, as that of a translated
 * one must. The bytes are those that came, except that a checksum the kernel
 * has left unfinished is computed, without which nothing would arrive.
 * pass: verdicts carry nothing.
 *
 * It is xctd's way of using the queue without xctd: up to 32 packets are read
 * at a time and answered with one sendmsg(), from the buffers they came in.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>

#define BATCH	   32
#define COPY_RANGE (0xffff - 4)
#define BUF_SIZE   (COPY_RANGE + 1 + 4096)
#define RCVBUF	   (32 * 1024 * 1024)
#define MAX_LEN	   4096 /* packets in the queue, as xctd's default */

static uint8_t bufs[BATCH][BUF_SIZE] __attribute__((aligned(64)));
static _Alignas(struct nlmsghdr) char hdrs[BATCH][64];
static struct iovec rx[BATCH], tx[2 * BATCH];
static struct mmsghdr msgs[BATCH];

static struct mnl_socket *open_queue(uint16_t number)
{
	struct mnl_socket *nl = mnl_socket_open(NETLINK_NETFILTER);
	int size = RCVBUF, on = 1;
	char buf[256];
	struct nlmsghdr *nlh;

	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVBUFFORCE, &size,
		       sizeof(size)) < 0 ||
	    setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_SNDBUFFORCE, &size,
		       sizeof(size)) < 0 ||
	    mnl_socket_setsockopt(nl, NETLINK_NO_ENOBUFS, &on, sizeof(on)) < 0)
		err(1, "netlink");
	nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, number);
	nfq_nlmsg_cfg_put_cmd(nlh, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		err(1, "bind");
	nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, number);
	nfq_nlmsg_cfg_put_params(nlh, NFQNL_COPY_PACKET, COPY_RANGE);
	nfq_nlmsg_cfg_put_qmaxlen(nlh, MAX_LEN);
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO));
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		err(1, "configure");
	return nl;
}

/* Finish the checksum of an IPv4 TCP or UDP packet: its field holds the pseudo
 * header's sum. */
static void finish_csum(uint8_t *ip, uint32_t len)
{
	uint32_t off = (ip[0] & 15) * 4u, sum = 0, i;
	uint16_t word;

	for (i = off; i + 1 < len; i += 2) {
		memcpy(&word, ip + i, 2);
		sum += word;
	}
	if (i < len)
		sum += ip[i]; /* little endian, as is the processor */
	sum = (sum & 0xffff) + (sum >> 16);
	word = (uint16_t) ~(sum + (sum >> 16));
	if (ip[9] == IPPROTO_UDP && word == 0)
		word = 0xffff;
	memcpy(ip + off + (ip[9] == IPPROTO_TCP ? 16 : 6), &word, 2);
}

/* Slot @i: the verdict for the packet in @msg, with its bytes if @is_mangle. */
static void answer(int i, const struct nlmsghdr *msg, bool is_mangle)
{
	struct nlattr *attr[NFQA_MAX + 1] = { 0 }, payload;
	const struct nfqnl_msg_packet_hdr *hdr;
	struct nlmsghdr *nlh;
	uint32_t info = 0;
	uint16_t len;
	uint8_t *data;

	if (nfq_nlmsg_parse(msg, attr) < 0 || !attr[NFQA_PACKET_HDR])
		errx(1, "a message that is no packet");
	hdr = mnl_attr_get_payload(attr[NFQA_PACKET_HDR]);
	nlh = nfq_nlmsg_put(
		hdrs[i], NFQNL_MSG_VERDICT,
		ntohs(((struct nfgenmsg *)mnl_nlmsg_get_payload(msg))->res_id));
	nfq_nlmsg_verdict_put(nlh, (int)ntohl(hdr->packet_id), NF_ACCEPT);
	tx[2 * i].iov_base = nlh;
	tx[2 * i + 1].iov_len = 0;
	if (is_mangle && attr[NFQA_PAYLOAD]) {
		data = mnl_attr_get_payload(attr[NFQA_PAYLOAD]);
		len = mnl_attr_get_payload_len(attr[NFQA_PAYLOAD]);
		if (attr[NFQA_SKB_INFO])
			info = ntohl(mnl_attr_get_u32(attr[NFQA_SKB_INFO]));
		if ((info & NFQA_SKB_CSUMNOTREADY) && !(info & NFQA_SKB_GSO))
			finish_csum(data, len);
		payload.nla_type = NFQA_PAYLOAD;
		payload.nla_len = (uint16_t)(sizeof(payload) + len);
		memcpy(mnl_nlmsg_get_payload_tail(nlh), &payload,
		       sizeof(payload));
		nlh->nlmsg_len += (uint32_t)sizeof(payload);
		tx[2 * i + 1].iov_base = data;
		tx[2 * i + 1].iov_len = MNL_ALIGN(len);
	}
	tx[2 * i].iov_len = nlh->nlmsg_len;
	nlh->nlmsg_len += (uint32_t)tx[2 * i + 1].iov_len;
}

int main(int argc, char **argv)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct msghdr out = { .msg_name = &kernel,
			      .msg_namelen = sizeof(kernel),
			      .msg_iov = tx };
	struct mnl_socket *nl;
	bool is_mangle;
	int n, fd;

	if (argc != 3 ||
	    (strcmp(argv[2], "mangle") != 0 && strcmp(argv[2], "pass") != 0))
		errx(2, "usage: ceiling QUEUE mangle|pass");
	is_mangle = strcmp(argv[2], "mangle") == 0;
	nl = open_queue((uint16_t)strtoul(argv[1], NULL, 10));
	fd = mnl_socket_get_fd(nl);
	for (int i = 0; i < BATCH; i++) {
		rx[i] = (struct iovec){ bufs[i], BUF_SIZE - MNL_ALIGNTO };
		msgs[i].msg_hdr.msg_iov = &rx[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
	for (;;) {
		n = recvmmsg(fd, msgs, BATCH, MSG_WAITFORONE, NULL);
		if (n < 0)
			err(1, "recvmmsg");
		for (int i = 0; i < n; i++)
			answer(i, (struct nlmsghdr *)(void *)bufs[i],
			       is_mangle);
		out.msg_iovlen = 2 * (size_t)n;
		if (sendmsg(fd, &out, 0) < 0)
			err(1, "sendmsg");
	}
}
