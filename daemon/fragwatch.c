/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking at IPv6 fragments.
 *
 * Theory of operation: conntrack's reassembly comes before all chains that
 * iptables has, so this one is made with nf_tables: a rule at the priority just
 * before it logs the headers of fragments to a socket (NFLOG), many in a
 * message. Other packets pay for a chain with one test. What the socket has no
 * room for shows in the sequence numbers. Where this cannot be had, now or at
 * all, it is tried again from time to time.
 *
 * Table and log end with the socket, whatever ends xctd. But when a base chain
 * ends, the kernel drops what waits in queues: so the socket is kept with those
 * of the queues, and handed on with them.
 */
#include "daemon/fragwatch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netfilter_ipv6.h>

#include "common/cursor.h"
#include "daemon/log.h"

#define TABLE	 "xct"
#define CHAIN	 "fragments"
#define GROUP	 0x7863 /* of NFLOG: "xc", for others to keep away from */
#define RETRY_MS 5000
#define HEADERS	 256   /* bytes of a fragment that are looked at */
#define MESSAGE	 16384 /* bytes that one may have; the kernel rounds up */
#define MESSAGES 16    /* read at a time */
#define FLUSH	 5     /* hundredths of a second that headers may wait */
#define RCVBUF	 (4 << 20)
#define ACK_S	 2

/* Put a message of type @type behind @at. */
static struct nlmsghdr *put_message(void *at, unsigned int type, uint16_t flags,
				    uint8_t family, uint16_t resource)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(at);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = (uint16_t)type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(resource);
	return nlh;
}

static struct nlmsghdr *put_nft(void *at, unsigned int type, uint16_t flags)
{
	return put_message(at, NFNL_SUBSYS_NFTABLES << 8 | type, flags,
			   NFPROTO_IPV6, 0);
}

/* An expression of a rule, for its attributes to follow. */
struct expr {
	struct nlattr *elem;
	struct nlattr *data;
};

static struct expr begin_expr(struct nlmsghdr *nlh, const char *name)
{
	struct expr expr;

	expr.elem = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	mnl_attr_put_strz(nlh, NFTA_EXPR_NAME, name);
	expr.data = mnl_attr_nest_start(nlh, NFTA_EXPR_DATA);
	return expr;
}

static void end_expr(struct nlmsghdr *nlh, const struct expr *expr)
{
	mnl_attr_nest_end(nlh, expr->data);
	mnl_attr_nest_end(nlh, expr->elem);
}

/* exthdr frag exists log group GROUP snaplen HEADERS */
static void put_exprs(struct nlmsghdr *nlh)
{
	struct nlattr *exprs = mnl_attr_nest_start(nlh, NFTA_RULE_EXPRESSIONS);
	struct nlattr *value;
	struct expr expr;

	expr = begin_expr(nlh, "exthdr");
	mnl_attr_put_u32(nlh, NFTA_EXTHDR_DREG, htonl(NFT_REG_1));
	mnl_attr_put_u8(nlh, NFTA_EXTHDR_TYPE, IPPROTO_FRAGMENT);
	mnl_attr_put_u32(nlh, NFTA_EXTHDR_OFFSET, htonl(0));
	mnl_attr_put_u32(nlh, NFTA_EXTHDR_LEN, htonl(1));
	mnl_attr_put_u32(nlh, NFTA_EXTHDR_FLAGS, htonl(NFT_EXTHDR_F_PRESENT));
	end_expr(nlh, &expr);

	expr = begin_expr(nlh, "cmp");
	mnl_attr_put_u32(nlh, NFTA_CMP_SREG, htonl(NFT_REG_1));
	mnl_attr_put_u32(nlh, NFTA_CMP_OP, htonl(NFT_CMP_EQ));
	value = mnl_attr_nest_start(nlh, NFTA_CMP_DATA);
	mnl_attr_put_u8(nlh, NFTA_DATA_VALUE, 1);
	mnl_attr_nest_end(nlh, value);
	end_expr(nlh, &expr);

	expr = begin_expr(nlh, "log");
	mnl_attr_put_u16(nlh, NFTA_LOG_GROUP, htons(GROUP));
	mnl_attr_put_u32(nlh, NFTA_LOG_SNAPLEN, htonl(HEADERS));
	end_expr(nlh, &expr);
	mnl_attr_nest_end(nlh, exprs);
}

/* Send all up to @last, and wait for its acknowledgement. 0 or -errno. */
static int request(int fd, const void *first, const struct nlmsghdr *last)
{
	const char *end = mnl_nlmsg_get_payload_tail(last);
	const struct nlmsghdr *nlh;
	const struct nlmsgerr *err;
	_Alignas(struct nlmsghdr) char buf[4096];
	ssize_t len;

	if (send(fd, first, (size_t)(end - (const char *)first), 0) < 0)
		return -errno;
	do {
		len = recv(fd, buf, sizeof(buf), 0);
		if (len < 0)
			return -errno;
		nlh = (const void *)buf;
	} while (!mnl_nlmsg_ok(nlh, (int)len) ||
		 nlh->nlmsg_type != NLMSG_ERROR ||
		 mnl_nlmsg_get_payload_len(nlh) < sizeof(*err));
	err = mnl_nlmsg_get_payload(nlh);
	return err->error;
}

/* The first of a table, a chain and a rule that fails ends all of it. */
static int add_rule(int fd)
{
	_Alignas(struct nlmsghdr) char buf[2048];
	struct nlmsghdr *nlh;
	struct nlattr *hook;

	nlh = put_message(buf, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC,
			  NFNL_SUBSYS_NFTABLES);
	nlh = put_nft(mnl_nlmsg_get_payload_tail(nlh), NFT_MSG_NEWTABLE,
		      NLM_F_CREATE | NLM_F_EXCL);
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, TABLE);
	mnl_attr_put_u32(nlh, NFTA_TABLE_FLAGS, htonl(NFT_TABLE_F_OWNER));

	nlh = put_nft(mnl_nlmsg_get_payload_tail(nlh), NFT_MSG_NEWCHAIN,
		      NLM_F_CREATE);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, TABLE);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, CHAIN);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TYPE, "filter");
	hook = mnl_attr_nest_start(nlh, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(nlh, NFTA_HOOK_HOOKNUM, htonl(NF_INET_PRE_ROUTING));
	mnl_attr_put_u32(nlh, NFTA_HOOK_PRIORITY,
			 htonl((uint32_t)(NF_IP6_PRI_CONNTRACK_DEFRAG - 1)));
	mnl_attr_nest_end(nlh, hook);

	nlh = put_nft(mnl_nlmsg_get_payload_tail(nlh), NFT_MSG_NEWRULE,
		      NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK);
	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, TABLE);
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, CHAIN);
	put_exprs(nlh);

	nlh = put_message(mnl_nlmsg_get_payload_tail(nlh), NFNL_MSG_BATCH_END,
			  0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	return request(fd, buf, nlh);
}

static int bind_log(int fd)
{
	const struct nfulnl_msg_config_cmd bind = {
		.command = NFULNL_CFG_CMD_BIND
	};
	const struct nfulnl_msg_config_mode mode = {
		.copy_range = htonl(HEADERS), .copy_mode = NFULNL_COPY_PACKET
	};
	_Alignas(struct nlmsghdr) char buf[512];
	struct nlmsghdr *nlh;

	nlh = put_message(buf, NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG,
			  NLM_F_ACK, AF_UNSPEC, GROUP);
	mnl_attr_put(nlh, NFULA_CFG_CMD, sizeof(bind), &bind);
	mnl_attr_put(nlh, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(nlh, NFULA_CFG_NLBUFSIZ, htonl(MESSAGE / 2));
	mnl_attr_put_u32(nlh, NFULA_CFG_TIMEOUT, htonl(FLUSH));
	mnl_attr_put_u32(nlh, NFULA_CFG_QTHRESH, htonl(MESSAGE / 2 / HEADERS));
	mnl_attr_put_u16(nlh, NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
	return request(fd, buf, nlh);
}

static int open_log(void)
{
	const struct timeval patience = { .tv_sec = ACK_S };
	const int size = RCVBUF;
	int fd, err;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		err = -errno;
	else
		err = bind_log(fd);
	if (err == 0)
		err = add_rule(fd);
	if (err == 0)
		return fd;
	(void)close(fd); /* takes with it what was made */
	return err;
}

bool xct_fragwatch_open(struct xct_fragwatch *watch, int kept_fd,
			const struct xct_siphash_key *key, xct_msec now)
{
	int ret = -ENOMEM;

	if (watch->fd >= 0 ||
	    (watch->tried_at && now - watch->tried_at < RETRY_MS))
		return false;
	watch->tried_at = now;
	if (!watch->fragments)
		watch->fragments = xct_fragments_new(key);
	if (watch->fragments)
		ret = kept_fd >= 0 ? kept_fd : open_log();
	if (ret < 0) {
		xct_log(LOG_DEBUG, "IPv6 fragments are not looked at: %s",
			strerror(-ret));
		if (kept_fd >= 0)
			(void)close(kept_fd); /* nothing was written */
		return false;
	}
	watch->fd = ret;
	watch->next_seq = 0;
	watch->is_adopted = kept_fd >= 0;
	watch->has_begun = true;
	return true;
}

void xct_fragwatch_close(struct xct_fragwatch *watch)
{
	if (watch->fd >= 0)
		(void)close(watch->fd); /* nothing was written */
	watch->fd = -1;
	xct_fragments_free(watch->fragments);
	watch->fragments = NULL;
}

static void read_message(struct xct_fragwatch *watch,
			 const struct nlmsghdr *nlh, xct_msec now)
{
	uint32_t ifindex = 0, seq = watch->next_seq, len = 0;
	struct nlattr *attr;
	uint8_t *packet = NULL;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg)) {
		uint8_t *value = mnl_attr_get_payload(attr);
		uint16_t size = mnl_attr_get_payload_len(attr);
		uint16_t type = mnl_attr_get_type(attr);

		if (type == NFULA_PAYLOAD) {
			packet = value;
			len = size;
		} else if (type == NFULA_IFINDEX_INDEV && size == 4) {
			ifindex = xct_get_be32(value);
		} else if (type == NFULA_SEQ && size == 4) {
			seq = xct_get_be32(value);
		}
	}
	if (!watch->is_adopted)
		watch->counts.unknown += seq - watch->next_seq;
	watch->is_adopted = false;
	watch->next_seq = seq + 1;
	if (packet)
		xct_fragments_put(watch->fragments, packet, len, ifindex, now,
				  &watch->counts);
}

void xct_fragwatch_read(struct xct_fragwatch *watch, xct_msec now)
{
	_Alignas(struct nlmsghdr) char buf[MESSAGE];
	const struct nlmsghdr *nlh;
	ssize_t got;
	int len;

	for (int i = 0; i < MESSAGES; i++) {
		got = recv(watch->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (got < 0 && (errno == EINTR || errno == ENOBUFS))
			continue; /* what is lost shows in the next */
		if (got < 0)
			return;
		nlh = (const void *)buf;
		len = (int)got;
		for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
			if (nlh->nlmsg_type ==
			    (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET))
				read_message(watch, nlh, now);
	}
}
