/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One NFQUEUE and the netlink socket that owns it.
 *
 * Theory of operation
 *
 * The kernel sends one datagram a packet. Up to XCT_NFQ_BATCH of them are read
 * with one recvmmsg(), which waits for the first if there is none (a poll()
 * before it would cost as much as an answer), each into a buffer of its own
 * that holds the largest copy NFQUEUE makes. Their verdicts leave in one
 * sendmsg(): a small header for each packet that was edited, with its bytes
 * straight from the receive buffer, and one for all others in a row that have
 * the same verdict and mark. Verdicts are in order of id, since the kernel
 * looks for each from the head of the list of packets that wait.
 *
 * Every packet that was read is answered, since one without a verdict waits
 * for ever: what cannot be parsed but has an id is dropped. If a send fails,
 * the batch is halved and sent again; a single edited packet that still cannot
 * be returned is dropped.
 *
 * Ids are consecutive. The kernel takes a new one before it tries to put the
 * packet into the socket, so a gap counts packets the socket had no room for.
 */
#include "daemon/nfq.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "daemon/nfq_info.h"

/* NFQA_PAYLOAD's length is 16 bits wide and counts its own header. */
#define COPY_RANGE (0xffff - 4)
/* A packet may grow to that as well, behind less than 4096 bytes of header. */
#define BUF_SIZE   (COPY_RANGE + 1 + 4096)
#define RCVBUF	   (32 * 1024 * 1024)
#define SNDBUF	   (4 * 1024 * 1024) /* more than a batch of edited packets */
#define REPEAT_SEQ 1 /* nlmsg_seq of the repeating verdict; of others: 0 */

/* A verdict as it is sent. The packet's bytes, if they are returned, follow
 * from where they were received; else the last attribute is left out. */
struct verdict {
	struct nlmsghdr nlh;
	struct nfgenmsg nfg;
	struct nlattr hdr_attr;
	struct nfqnl_msg_verdict_hdr hdr;
	struct nlattr mark_attr;
	uint32_t mark;
	struct nlattr payload_attr;
};

_Static_assert(sizeof(struct verdict) == 44, "there is no padding");

struct xct_nfq {
	struct mnl_socket *nl;
	uint16_t number;
	bool is_adopted;
	uint32_t next_id; /* 0: none seen yet */
	struct xct_nfq_counters counters;
	uint8_t *bufs; /* XCT_NFQ_BATCH of BUF_SIZE */
	struct mmsghdr msgs[XCT_NFQ_BATCH];
	struct iovec rx_iov[XCT_NFQ_BATCH];
	struct iovec tx_iov[2 * XCT_NFQ_BATCH]; /* header, packet; ... */
	struct verdict verdicts[XCT_NFQ_BATCH];
};

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static int send_config(struct xct_nfq *nfq, struct nlmsghdr *nlh)
{
	if (mnl_socket_sendto(nfq->nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return 0;
}

static void put_options(struct nlmsghdr *nlh, uint32_t max_len, bool fail_open)
{
	uint32_t flags = NFQA_CFG_F_GSO;
	uint32_t mask = NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN |
			NFQA_CFG_F_UID_GID | NFQA_CFG_F_CONNTRACK;

	if (fail_open)
		flags |= NFQA_CFG_F_FAIL_OPEN;
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(flags));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(mask));
	nfq_nlmsg_cfg_put_qmaxlen(nlh, max_len);
}

/* The answer to a request with NLM_F_ACK. 0 or -errno. */
static int wait_ack(struct xct_nfq *nfq)
{
	const struct nlmsghdr *nlh = (const void *)nfq->bufs;
	const struct nlmsgerr *err;
	ssize_t len;

	do {
		len = mnl_socket_recvfrom(nfq->nl, nfq->bufs, BUF_SIZE);
		if (len < 0)
			return -errno;
	} while (!mnl_nlmsg_ok(nlh, (int)len) ||
		 nlh->nlmsg_type != NLMSG_ERROR ||
		 mnl_nlmsg_get_payload_len(nlh) < sizeof(*err));
	err = mnl_nlmsg_get_payload(nlh);
	return err->error;
}

/*
 * The queue copies nothing, and so takes no packet, until the second message:
 * nothing can come before the acknowledgement of the first. The second cannot
 * fail for a queue that is ours.
 */
static int bind_queue(struct xct_nfq *nfq, uint32_t max_len, bool fail_open)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct xct_nfq_info info;
	struct nlmsghdr *nlh;
	int ret;

	nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, nfq->number);
	nlh->nlmsg_flags |= NLM_F_ACK;
	nfq_nlmsg_cfg_put_cmd(nlh, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
	put_options(nlh, max_len, fail_open);
	ret = send_config(nfq, nlh);
	if (ret == 0)
		ret = wait_ack(nfq);
	if ((ret == -EPERM && xct_nfq_info(nfq->number, &info)) ||
	    ret == -EBUSY)
		return -EBUSY;
	if (ret == -EINVAL || ret == -EOPNOTSUPP)
		return -EPROTONOSUPPORT;
	if (ret != 0)
		return ret;

	nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, nfq->number);
	nfq_nlmsg_cfg_put_params(nlh, NFQNL_COPY_PACKET, COPY_RANGE);
	return send_config(nfq, nlh);
}

/* Set a buffer size, beyond the system's limit where that is allowed. */
static void set_bufsize(int fd, int force_opt, int opt, int size)
{
	if (setsockopt(fd, SOL_SOCKET, force_opt, &size, sizeof(size)) < 0)
		/* A smaller buffer works, and overruns are counted. */
		(void)setsockopt(fd, SOL_SOCKET, opt, &size, sizeof(size));
}

static int open_socket(struct xct_nfq *nfq)
{
	int on = 1, fd;

	nfq->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!nfq->nl)
		return -errno;
	if (mnl_socket_bind(nfq->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* An overrun is no error of the socket: it goes on with what fits. */
	if (mnl_socket_setsockopt(nfq->nl, NETLINK_NO_ENOBUFS, &on,
				  sizeof(on)) < 0)
		return -errno;
	/* A refused verdict shall not come back with the packet in it. */
	if (mnl_socket_setsockopt(nfq->nl, NETLINK_CAP_ACK, &on, sizeof(on)) <
	    0)
		return -errno;
	fd = mnl_socket_get_fd(nfq->nl);
	set_bufsize(fd, SO_RCVBUFFORCE, SO_RCVBUF, RCVBUF);
	set_bufsize(fd, SO_SNDBUFFORCE, SO_SNDBUF, SNDBUF);
	return 0;
}

/* All that is the same in each verdict. */
static void init_verdict(struct verdict *v, uint16_t number)
{
	*v = (struct verdict){
		.nlh = { .nlmsg_type =
				 NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT,
			 .nlmsg_flags = NLM_F_REQUEST },
		.nfg = { .nfgen_family = AF_UNSPEC,
			 .version = NFNETLINK_V0,
			 .res_id = htons(number) },
		.hdr_attr = { sizeof(v->hdr_attr) + sizeof(v->hdr),
			      NFQA_VERDICT_HDR },
		.mark_attr = { sizeof(v->mark_attr) + sizeof(v->mark),
			       NFQA_MARK },
		.payload_attr = { 0, NFQA_PAYLOAD },
	};
}

/* Without a socket yet. NULL: no memory. */
static struct xct_nfq *new_nfq(uint16_t number)
{
	struct xct_nfq *nfq = calloc(1, sizeof(*nfq));

	if (!nfq)
		return NULL;
	nfq->number = number;
	nfq->bufs = malloc((size_t)XCT_NFQ_BATCH * BUF_SIZE);
	if (!nfq->bufs) {
		free(nfq);
		return NULL;
	}
	for (unsigned int i = 0; i < XCT_NFQ_BATCH; i++) {
		nfq->rx_iov[i].iov_base = nfq->bufs + (size_t)i * BUF_SIZE;
		/* Room to pad the last attribute when it is sent back. */
		nfq->rx_iov[i].iov_len = BUF_SIZE - MNL_ALIGNTO;
		nfq->msgs[i].msg_hdr.msg_iov = &nfq->rx_iov[i];
		nfq->msgs[i].msg_hdr.msg_iovlen = 1;
		init_verdict(&nfq->verdicts[i], number);
		nfq->tx_iov[2 * (size_t)i].iov_base = &nfq->verdicts[i];
	}
	return nfq;
}

int xct_nfq_open(struct xct_nfq **out, uint16_t number, uint32_t max_len,
		 bool fail_open)
{
	struct xct_nfq *nfq = new_nfq(number);
	int ret;

	if (!nfq)
		return -ENOMEM;
	ret = open_socket(nfq);
	if (ret == 0)
		ret = bind_queue(nfq, max_len, fail_open);
	if (ret < 0) {
		xct_nfq_close(nfq);
		return ret;
	}
	*out = nfq;
	return 0;
}

/*
 * Where the attributes of a message stand that are used here. False: one is cut
 * short. nfq_nlmsg_parse() says the same with a call or five for each of some
 * twenty attributes, which is most of what a packet costs before the engine.
 */
static bool find_attrs(struct nlmsghdr *nlh,
		       struct nlattr *attr[static NFQA_MAX + 1])
{
	uint8_t *end = (uint8_t *)nlh + nlh->nlmsg_len;
	uint8_t *at = (uint8_t *)nlh + MNL_NLMSG_HDRLEN +
		      MNL_ALIGN(sizeof(struct nfgenmsg));

	while (end - at >= (ptrdiff_t)sizeof(struct nlattr)) {
		struct nlattr *a = (void *)at;
		unsigned int type = a->nla_type & NLA_TYPE_MASK;

		if (a->nla_len < sizeof(*a) || a->nla_len > end - at)
			return false;
		if (type <= NFQA_MAX)
			attr[type] = a;
		at += MNL_ALIGN(a->nla_len);
	}
	return true;
}

static const void *attr_payload(const struct nlattr *attr, size_t min_len)
{
	if (!attr || attr->nla_len < sizeof(*attr) + min_len)
		return NULL;
	return attr + 1;
}

/* The id in the message of @len bytes that was received. */
static bool read_id(struct xct_nfq *nfq, size_t len, uint32_t *id)
{
	struct nlattr *attr[NFQA_MAX + 1] = { 0 };
	const struct nfqnl_msg_packet_hdr *hdr;
	struct nlmsghdr *nlh = (void *)nfq->bufs;

	if (len < MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg) ||
	    nlh->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
		return false;
	if (nlh->nlmsg_len > len)
		nlh->nlmsg_len = (uint32_t)len;
	(void)find_attrs(nlh, attr); /* the id stands first */
	hdr = attr_payload(attr[NFQA_PACKET_HDR], sizeof(*hdr));
	if (!hdr)
		return false;
	*id = ntohl(hdr->packet_id);
	return true;
}

/* The id of the first packet that waits in the socket. Whatever else is there
 * (a refusal of the predecessor's answer) is taken out. */
static bool peek_id(struct xct_nfq *nfq, uint32_t *id)
{
	for (;;) {
		ssize_t len = recv(xct_nfq_fd(nfq), nfq->bufs, BUF_SIZE,
				   MSG_PEEK | MSG_DONTWAIT);

		if (len < 0)
			return false;
		if (read_id(nfq, (size_t)len, id))
			return true;
		(void)recv(xct_nfq_fd(nfq), nfq->bufs, BUF_SIZE, MSG_DONTWAIT);
	}
}

static int repeat_until(struct xct_nfq *nfq, uint32_t last_id)
{
	_Alignas(struct nlmsghdr) char buf[128];
	struct nlmsghdr *nlh;

	nlh = nfq_nlmsg_put(buf, NFQNL_MSG_VERDICT_BATCH, nfq->number);
	nlh->nlmsg_seq = REPEAT_SEQ;
	nfq_nlmsg_verdict_put(nlh, (int)last_id, NF_REPEAT);
	return send_config(nfq, nlh);
}

int xct_nfq_repeat(struct xct_nfq *nfq, uint32_t last_id)
{
	uint32_t first;

	return repeat_until(nfq, peek_id(nfq, &first) ? first - 1 : last_id);
}

int xct_nfq_repeat_all(struct xct_nfq *nfq)
{
	struct xct_nfq_info info;

	if (!xct_nfq_info(nfq->number, &info))
		return -ESTALE;
	return repeat_until(nfq, info.last_id);
}

bool xct_nfq_is_adopted(const struct xct_nfq *nfq)
{
	return nfq->is_adopted;
}

/* Receiving has to wait for packets, whatever others did to the socket. */
static int make_waiting(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int xct_nfq_adopt(struct xct_nfq **out, int fd, uint16_t number,
		  uint32_t max_len, bool fail_open)
{
	struct xct_nfq *nfq = new_nfq(number);
	struct xct_nfq_info info;
	int ret = -ENOMEM;

	if (!nfq) {
		(void)close(fd); /* nothing to lose */
		return -ENOMEM;
	}
	nfq->nl = mnl_socket_fdopen(fd);
	if (!nfq->nl) {
		ret = -errno;
		(void)close(fd); /* as above */
		goto err;
	}
	ret = -ESTALE;
	if (!xct_nfq_info(number, &info) ||
	    info.portid != mnl_socket_get_portid(nfq->nl))
		goto err;
	nfq->is_adopted = true;
	ret = make_waiting(fd);
	if (ret < 0)
		goto err;
	ret = xct_nfq_configure(nfq, max_len, fail_open);
	if (ret < 0)
		goto err;
	*out = nfq;
	return 0;
err:
	xct_nfq_close(nfq);
	return ret;
}

void xct_nfq_close(struct xct_nfq *nfq)
{
	if (!nfq)
		return;
	if (nfq->nl)
		/* Nothing to do about a failure; the queue ends either way. */
		(void)mnl_socket_close(nfq->nl);
	free(nfq->bufs);
	free(nfq);
}

int xct_nfq_configure(struct xct_nfq *nfq, uint32_t max_len, bool fail_open)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh;

	nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, nfq->number);
	put_options(nlh, max_len, fail_open);
	return send_config(nfq, nlh);
}

int xct_nfq_fd(const struct xct_nfq *nfq)
{
	return mnl_socket_get_fd(nfq->nl);
}

uint16_t xct_nfq_number(const struct xct_nfq *nfq)
{
	return nfq->number;
}

const struct xct_nfq_counters *xct_nfq_counters(const struct xct_nfq *nfq)
{
	return &nfq->counters;
}

static void note_id(struct xct_nfq *nfq, uint32_t id)
{
	if (nfq->next_id != 0 && (int32_t)(id - nfq->next_id) > 0)
		count(&nfq->counters.overruns, id - nfq->next_id);
	nfq->next_id = id + 1;
}

static uint32_t attr_be32(struct nlattr *const *attr, int type)
{
	const xct_be32 *value = attr_payload(attr[type], sizeof(*value));

	return value ? ntohl(*value) : 0;
}

/* True if there is a packet to answer; its data is NULL if that is all. */
static bool parse_packet(struct xct_nfq *nfq, struct nlmsghdr *nlh,
			 struct xct_nfq_packet *packet)
{
	struct nlattr *attr[NFQA_MAX + 1] = { 0 };
	const struct nfqnl_msg_packet_hdr *hdr;
	bool is_whole = find_attrs(nlh, attr);
	uint32_t info;

	hdr = attr_payload(attr[NFQA_PACKET_HDR], sizeof(*hdr));
	if (!hdr)
		return false;
	*packet = (struct xct_nfq_packet){ .id = ntohl(hdr->packet_id) };
	note_id(nfq, packet->id);
	if (!is_whole || !attr[NFQA_PAYLOAD])
		return true;

	info = attr_be32(attr, NFQA_SKB_INFO);
	packet->data = (uint8_t *)(attr[NFQA_PAYLOAD] + 1);
	packet->len = attr[NFQA_PAYLOAD]->nla_len - MNL_ATTR_HDRLEN;
	packet->mark = attr_be32(attr, NFQA_MARK);
	packet->meta.room = (uint16_t)(COPY_RANGE - packet->len);
	packet->meta.hook = hdr->hook;
	packet->meta.in_if = attr_be32(attr, NFQA_IFINDEX_INDEV);
	packet->meta.out_if = attr_be32(attr, NFQA_IFINDEX_OUTDEV);
	/* Bridged, and shown to the IP hooks by br_netfilter: it came in by the
	 * bridge that it goes out by. */
	if (packet->meta.hook == XCT_HOOK_POSTROUTING && !packet->meta.in_if &&
	    attr[NFQA_IFINDEX_PHYSOUTDEV])
		packet->meta.in_if = packet->meta.out_if;
	packet->meta.csum_partial = info & NFQA_SKB_CSUMNOTREADY;
	packet->meta.is_gso = info & NFQA_SKB_GSO;
	packet->meta.csum_unverified = info & NFQA_SKB_CSUM_NOTVERIFIED;
	return true;
}

/* The kernel refuses an answer to a packet that it does not have any more: it
 * drops all that waits when a base chain is deleted in the namespace. That
 * there is nothing to repeat is no refusal. */
static void note_refusal(struct xct_nfq *nfq, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);

	if (err->error == 0)
		return; /* woken */
	if (nlh->nlmsg_seq == REPEAT_SEQ && err->error == -ENOENT)
		return;
	count(err->error == -ENOENT ? &nfq->counters.vanished
				    : &nfq->counters.errors,
	      1);
}

/* One datagram. True if there is a packet to answer. */
static bool parse_message(struct xct_nfq *nfq, unsigned int i,
			  struct xct_nfq_packet *packet)
{
	uint32_t len = nfq->msgs[i].msg_len;
	struct nlmsghdr *nlh = nfq->rx_iov[i].iov_base;

	if (len < MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg)) {
		count(&nfq->counters.errors, 1);
		return false;
	}
	/* Cut short by the socket: the id, in front, is still good. */
	if (nlh->nlmsg_len > len)
		nlh->nlmsg_len = len;
	if (nlh->nlmsg_type == NLMSG_ERROR &&
	    len >= MNL_NLMSG_HDRLEN + sizeof(struct nlmsgerr)) {
		note_refusal(nfq, nlh);
		return false;
	}
	if (nlh->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET) ||
	    !parse_packet(nfq, nlh, packet)) {
		count(&nfq->counters.errors, 1);
		return false;
	}
	count(&nfq->counters.received, 1);
	if (!packet->data)
		count(&nfq->counters.errors, 1);
	return true;
}

int xct_nfq_set_patience(struct xct_nfq *nfq, unsigned int ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
			      .tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	if (setsockopt(xct_nfq_fd(nfq), SOL_SOCKET, SO_RCVTIMEO, &tv,
		       sizeof(tv)) < 0)
		return -errno;
	return 0;
}

/* The acknowledgement of a request that asks for nothing else. */
void xct_nfq_wake(struct xct_nfq *nfq)
{
	_Alignas(struct nlmsghdr) char buf[64];
	struct nlmsghdr *nlh;

	nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, nfq->number);
	nlh->nlmsg_flags |= NLM_F_ACK;
	/* If it fails, patience ends the wait. */
	(void)send_config(nfq, nlh);
}

int xct_nfq_receive(struct xct_nfq *nfq,
		    struct xct_nfq_packet packets[static XCT_NFQ_BATCH],
		    bool may_wait, bool *is_idle)
{
	int n_msgs, n = 0;

	n_msgs = recvmmsg(xct_nfq_fd(nfq), nfq->msgs, XCT_NFQ_BATCH,
			  may_wait ? MSG_WAITFORONE : MSG_DONTWAIT, NULL);
	*is_idle = n_msgs < 0 && errno == EAGAIN;
	if (n_msgs < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		if (errno != ENOBUFS)
			return -errno;
		count(&nfq->counters.overruns, 1);
		return 0;
	}
	for (int i = 0; i < n_msgs; i++)
		if (parse_message(nfq, (unsigned int)i, &packets[n]))
			n++;
	return n;
}

/* The verdict for @packet, in slot @i. */
static void build_verdict(struct xct_nfq *nfq, unsigned int i,
			  const struct xct_nfq_packet *packet, bool is_accepted)
{
	bool has_bytes = is_accepted && packet->is_edited;
	struct iovec *iov = &nfq->tx_iov[2 * (size_t)i];
	struct verdict *v = &nfq->verdicts[i];

	v->nlh.nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT;
	v->hdr.verdict = htonl(is_accepted ? NF_ACCEPT : NF_DROP);
	v->hdr.id = htonl(packet->id);
	v->mark = htonl(packet->new_mark);
	v->payload_attr.nla_len =
		(uint16_t)(sizeof(v->payload_attr) + packet->len);
	iov[0].iov_len =
		has_bytes ? sizeof(*v) : offsetof(struct verdict, payload_attr);
	iov[1].iov_base = packet->data;
	iov[1].iov_len = has_bytes ? MNL_ALIGN(packet->len) : 0;
	v->nlh.nlmsg_len = (uint32_t)(iov[0].iov_len + iov[1].iov_len);
}

static void build_verdicts(struct xct_nfq *nfq,
			   const struct xct_nfq_packet *packets, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		build_verdict(nfq, i, &packets[i], packets[i].is_accepted);
}

static bool is_returned(const struct xct_nfq *nfq, unsigned int i)
{
	return nfq->tx_iov[2 * (size_t)i + 1].iov_len != 0;
}

/* One message for packets in a row that have the same verdict: that of the last
 * goes for all of them. */
static void join_verdicts(struct xct_nfq *nfq, unsigned int n)
{
	for (unsigned int i = 1; i < n; i++) {
		const struct verdict *before = &nfq->verdicts[i - 1];
		struct verdict *v = &nfq->verdicts[i];

		if (is_returned(nfq, i - 1) || is_returned(nfq, i) ||
		    before->hdr.verdict != v->hdr.verdict ||
		    before->mark != v->mark)
			continue;
		nfq->tx_iov[2 * (size_t)(i - 1)].iov_len = 0;
		v->nlh.nlmsg_type =
			NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT_BATCH;
	}
}

static bool send_verdicts(struct xct_nfq *nfq, unsigned int first,
			  unsigned int n)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct msghdr msg = {
		.msg_name = &kernel,
		.msg_namelen = sizeof(kernel),
		.msg_iov = &nfq->tx_iov[2 * (size_t)first],
		.msg_iovlen = 2 * (size_t)n,
	};
	ssize_t ret;

	do {
		ret = sendmsg(xct_nfq_fd(nfq), &msg, 0);
	} while (ret < 0 && errno == EINTR);
	if (ret >= 0)
		count(&nfq->counters.verdicts, n);
	return ret >= 0;
}

/* Of what could not be sent together. */
static void send_apart(struct xct_nfq *nfq,
		       const struct xct_nfq_packet *packets, unsigned int first,
		       unsigned int n)
{
	if (send_verdicts(nfq, first, n))
		return;
	if (n > 1) {
		send_apart(nfq, packets, first, n / 2);
		send_apart(nfq, packets, first + n / 2, n - n / 2);
		return;
	}
	count(&nfq->counters.errors, 1);
	if (!is_returned(nfq, first))
		return;
	build_verdict(nfq, first, &packets[first], false);
	send_apart(nfq, packets, first, 1);
}

void xct_nfq_answer(struct xct_nfq *nfq, const struct xct_nfq_packet *packets,
		    unsigned int n)
{
	uint64_t mangled = 0;

	if (n == 0)
		return;
	build_verdicts(nfq, packets, n);
	for (unsigned int i = 0; i < n; i++)
		mangled += is_returned(nfq, i);
	count(&nfq->counters.mangled, mangled);
	join_verdicts(nfq, n);
	if (send_verdicts(nfq, 0, n))
		return;
	build_verdicts(nfq, packets, n);
	send_apart(nfq, packets, 0, n);
}
