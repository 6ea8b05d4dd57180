/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Raw sockets for what the engine answers with. The source address is that of
 * whoever the client wanted to reach, which need not be ours: raw sockets with
 * the header included take it as it is.
 */
#include "daemon/rawsend.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_raw(int family)
{
	int fd, on = 1, ret = 0;

	fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0)
		return -errno;
	if (family == AF_INET)
		ret = setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &on, sizeof(on));
	else
		ret = setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &on,
				 sizeof(on));
	if (ret < 0) {
		ret = -errno;
		(void)close(fd); /* nothing was written */
		return ret;
	}
	return fd;
}

int xct_rawsend_open(struct xct_rawsend *raw)
{
	int fd;

	fd = open_raw(AF_INET);
	if (fd < 0)
		return fd;
	raw->fd4 = fd;
	fd = open_raw(AF_INET6);
	if (fd < 0 && fd != -EAFNOSUPPORT) {
		(void)close(raw->fd4); /* nothing was written */
		return fd;
	}
	raw->fd6 = fd < 0 ? -1 : fd;
	return 0;
}

int xct_rawsend_set_mark(const struct xct_rawsend *raw, uint32_t mark)
{
	const int fds[] = { raw->fd4, raw->fd6 };

	for (size_t i = 0; i < XCT_ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0 && setsockopt(fds[i], SOL_SOCKET, SO_MARK,
					      &mark, sizeof(mark)) < 0)
			return -errno;
	return 0;
}

void xct_rawsend_close(struct xct_rawsend *raw)
{
	/* Datagram sockets: closing loses nothing. */
	if (raw->fd4 >= 0)
		(void)close(raw->fd4);
	if (raw->fd6 >= 0)
		(void)close(raw->fd6);
	raw->fd4 = raw->fd6 = -1;
}

int xct_rawsend_send(const struct xct_rawsend *raw, const uint8_t *packet,
		     size_t len, uint32_t ifindex)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
	ssize_t ret;

	if (len >= sizeof(struct ip) && packet[0] >> 4 == 4) {
		memcpy(&sin.sin_addr, packet + offsetof(struct ip, ip_dst),
		       sizeof(sin.sin_addr));
		ret = sendto(raw->fd4, packet, len, MSG_DONTWAIT,
			     (const struct sockaddr *)&sin, sizeof(sin));
	} else if (len >= sizeof(struct ip6_hdr) && packet[0] >> 4 == 6) {
		memcpy(&sin6.sin6_addr,
		       packet + offsetof(struct ip6_hdr, ip6_dst),
		       sizeof(sin6.sin6_addr));
		if (IN6_IS_ADDR_LINKLOCAL(&sin6.sin6_addr))
			sin6.sin6_scope_id = ifindex;
		ret = sendto(raw->fd6, packet, len, MSG_DONTWAIT,
			     (const struct sockaddr *)&sin6, sizeof(sin6));
	} else {
		return -EINVAL;
	}
	return ret < 0 ? -errno : 0;
}
