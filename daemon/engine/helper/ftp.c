/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FTP (RFC 959, RFC 2428): each transfer has a connection of its own.
 *
 * Theory of operation. The client says where it will listen (PORT, EPRT), or the
 * server does (227, 229). A command or answer is looked for where a segment
 * begins and the segments before it have ended with a line; so the sequence
 * numbers after the last line ends are remembered, two for each direction, since
 * segments are sent again. The first segment of a direction only tells where
 * lines begin.
 *
 * What begins like an announcement has to be one, whole: its end would come in a
 * segment that is not looked at. The kernel drops such a segment, so that its
 * sender, which sends it again, may send more of it.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/cursor.h"
#include "daemon/engine/helper.h"

enum form { PORT, EPRT, PASV, EPSV };

/* Text that is read from its beginning on. */
struct text {
	const uint8_t *at;
	uint32_t len;
};

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/*
 * Read @n numbers with @separator in between, up to @terminator (0: anything
 * else). Returns the length of the text that they are, 0: they are not. As the
 * kernel has it, they may be of any size.
 */
static uint32_t read_numbers(struct text text, uint32_t *numbers, uint32_t n,
			     uint8_t separator, uint8_t terminator)
{
	uint32_t i = 0;

	memset(numbers, 0, n * sizeof(*numbers));
	for (uint32_t len = 0; len < text.len && i < n; len++) {
		uint8_t c = text.at[len];

		if (is_digit(c))
			numbers[i] = numbers[i] * 10 + c - '0';
		else if (c == separator)
			i++;
		else
			return i == n - 1 && (!terminator || c == terminator)
				       ? len
				       : 0;
	}
	return 0;
}

static void take_ipv4(struct xct_announcement *a, const uint32_t *numbers)
{
	memset(&a->addr, 0, sizeof(a->addr));
	xct_put_be32(a->addr.b, numbers[0] << 24 | numbers[1] << 16 |
					numbers[2] << 8 | numbers[3]);
}

/* 192,168,1,1,5,6: a host and a port. */
static uint32_t read_host_port(struct text text, uint8_t terminator,
			       struct xct_announcement *a)
{
	uint32_t numbers[6], len;

	len = read_numbers(text, numbers, 6, ',', terminator);
	if (!len)
		return 0;
	a->family = AF_INET;
	take_ipv4(a, numbers);
	a->port = xct_hton16((uint16_t)(numbers[4] << 8 | numbers[5]));
	return len;
}

static uint32_t read_command(struct text text, struct xct_announcement *a)
{
	return read_host_port(text, '\r', a);
}

/* "Entering Passive Mode (192,168,1,1,5,6).": words and parentheses are a habit,
 * so the first digit is where it begins (RFC 1123 4.1.2.6). */
static uint32_t read_answer(struct text text, struct xct_announcement *a)
{
	uint32_t words = 0;

	while (words < text.len && !is_digit(text.at[words]))
		words++;
	a->off += words;
	return read_host_port(
		(struct text){ text.at + words, text.len - words }, 0, a);
}

/* What @text reads as "1234|", from @start on: the length of all up to there; 0:
 * it is none. */
static uint32_t read_port(struct text text, uint32_t start, uint8_t delimiter,
			  struct xct_announcement *a)
{
	uint16_t port = 0;

	for (uint32_t i = start; i < text.len; i++) {
		uint8_t c = text.at[i];

		if (c == delimiter) {
			a->port = xct_hton16(port);
			return port ? i + 1 : 0;
		}
		if (!is_digit(c))
			return 0;
		port = (uint16_t)(port * 10 + c - '0');
	}
	return 0;
}

static bool is_delimiter(uint8_t c)
{
	return c >= 33 && c <= 126 && !is_digit(c);
}

/* The length of an IPv6 address that ends with @delimiter, or 0. */
static uint32_t read_ipv6(struct text text, uint8_t delimiter,
			  struct xct_announcement *a)
{
	char buf[XCT_ADDRSTRLEN];
	struct xct_addr addr;
	uint32_t len = 0;
	uint8_t family;

	while (len < text.len && text.at[len] != delimiter)
		len++;
	if (len == text.len || len >= sizeof(buf))
		return 0;
	memcpy(buf, text.at, len);
	buf[len] = '\0';
	if (!xct_addr_parse(buf, &family, &addr) || family != AF_INET6)
		return 0;
	a->addr = addr;
	return len;
}

/* |1|192.0.2.1|6275| or |2|2001:db8::1|6275| */
static uint32_t read_extended(struct text text, struct xct_announcement *a)
{
	uint32_t numbers[4], len;
	uint8_t delimiter;
	struct text rest;

	if (text.len <= 3)
		return 0;
	delimiter = text.at[0];
	if (!is_delimiter(delimiter) || text.at[2] != delimiter ||
	    text.at[1] != (a->family == AF_INET ? '1' : '2'))
		return 0;
	rest = (struct text){ text.at + 3, text.len - 3 };
	if (a->family == AF_INET) {
		len = read_numbers(rest, numbers, 4, '.', delimiter);
		if (len)
			take_ipv4(a, numbers);
	} else {
		len = read_ipv6(rest, delimiter, a);
	}
	return len ? read_port(text, 3 + len + 1, delimiter, a) : 0;
}

/* |||6446|: the host is the sender. */
static uint32_t read_passive(struct text text, struct xct_announcement *a)
{
	if (text.len <= 3 || !is_delimiter(text.at[0]) ||
	    text.at[1] != text.at[0] || text.at[2] != text.at[0])
		return 0;
	return read_port(text, 3, text.at[0], a);
}

/* What each direction says, and how what follows it is read. */
static const struct pattern {
	const char *word;
	char skip; /* all up to this; 0: nothing */
	enum form form;
	uint32_t (*read)(struct text text, struct xct_announcement *a);
} patterns[XCT_DIRS][2] = {
	[XCT_DIR_ORIG] = { { "PORT", ' ', PORT, read_command },
			   { "EPRT", ' ', EPRT, read_extended } },
	[XCT_DIR_REPLY] = { { "227 ", 0, PASV, read_answer },
			    { "229 ", '(', EPSV, read_passive } },
};

#define WORD_LEN 4 /* of each */

static bool begins(const struct xct_speech *speech, const char *word)
{
	for (uint32_t i = 0; i < WORD_LEN && i < speech->len; i++) {
		uint8_t c = speech->data[i];

		if (c >= 'a' && c <= 'z')
			c = (uint8_t)(c - 'a' + 'A');
		if (c != (uint8_t)word[i])
			return false;
	}
	return true;
}

static enum xct_read read_pattern(const struct xct_speech *speech,
				  const struct pattern *pattern,
				  struct xct_announcement *a)
{
	uint32_t off = WORD_LEN;

	if (!begins(speech, pattern->word))
		return XCT_READ_NOTHING;
	if (speech->len <= WORD_LEN)
		return XCT_READ_PARTIAL;
	if (pattern->skip) {
		while (off < speech->len && speech->data[off] != pattern->skip)
			off++;
		if (off == speech->len)
			return XCT_READ_PARTIAL;
		off++;
	}
	a->off = off;
	a->form = (uint8_t)pattern->form;
	a->len = pattern->read(
		(struct text){ speech->data + off, speech->len - off }, a);
	return a->len ? XCT_READ_FOUND : XCT_READ_PARTIAL;
}

static bool is_line(const struct xct_help *help,
		    const struct xct_speech *speech)
{
	for (uint32_t i = 0; i < help->n_lines[speech->dir]; i++)
		if (help->line[speech->dir][i] == speech->seq)
			return true;
	return false;
}

static enum xct_read ftp_read(const struct xct_help *help,
			      const struct xct_speech *speech,
			      struct xct_announcement *a)
{
	enum xct_read verdict = XCT_READ_NOTHING;

	if (!is_line(help, speech))
		return XCT_READ_NOTHING;
	for (int i = 0; i < 2 && verdict == XCT_READ_NOTHING; i++) {
		*a = (struct xct_announcement){ .family = speech->family,
						.addr = speech->sender };
		verdict = read_pattern(speech, &patterns[speech->dir][i], a);
	}
	return verdict;
}

static void ftp_passed(struct xct_help *help, const struct xct_speech *speech)
{
	uint32_t *line = help->line[speech->dir];
	uint8_t *n = &help->n_lines[speech->dir];
	uint32_t seq = speech->seq + speech->len;
	int oldest;

	if (speech->data[speech->len - 1] != '\n')
		return;
	for (uint32_t i = 0; i < *n; i++)
		if (line[i] == seq)
			return;
	if (*n < XCT_HELP_LINES) {
		line[(*n)++] = seq;
		return;
	}
	oldest = (int32_t)(line[0] - line[1]) < 0 ? 0 : 1;
	if ((int32_t)(seq - line[oldest]) > 0)
		line[oldest] = seq;
}

static char *put_number(char *p, uint32_t value)
{
	char digits[5];
	int n = 0;

	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	while (n)
		*p++ = digits[--n];
	return p;
}

static char *put_ipv4(char *p, const struct xct_addr *addr, char separator)
{
	for (int i = 0; i < 4; i++) {
		if (i)
			*p++ = separator;
		p = put_number(p, addr->b[i]);
	}
	return p;
}

/* In full, as the kernel writes it. */
static char *put_ipv6(char *p, const struct xct_addr *addr)
{
	static const char hex[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++) {
		if (i && i % 2 == 0)
			*p++ = ':';
		*p++ = hex[addr->b[i] >> 4];
		*p++ = hex[addr->b[i] & 15];
	}
	return p;
}

static uint32_t ftp_write(const struct xct_announcement *a,
			  char text[static XCT_HELPER_TEXT_MAX])
{
	uint16_t port = xct_ntoh16(a->port);
	char *p = text;

	switch ((enum form)a->form) {
	case PORT:
	case PASV:
		p = put_ipv4(p, &a->addr, ',');
		*p++ = ',';
		p = put_number(p, port >> 8);
		*p++ = ',';
		p = put_number(p, port & 0xff);
		return (uint32_t)(p - text);
	case EPRT:
		memcpy(p, a->family == AF_INET ? "|1|" : "|2|", 3);
		p += 3;
		p = a->family == AF_INET ? put_ipv4(p, &a->addr, '.')
					 : put_ipv6(p, &a->addr);
		*p++ = '|';
		break;
	case EPSV:
		memcpy(p, "|||", 3);
		p += 3;
		break;
	}
	p = put_number(p, port);
	*p++ = '|';
	return (uint32_t)(p - text);
}

const struct xct_helper_ops xct_helper_ftp = {
	.proto = IPPROTO_TCP,
	.timeout_s = 300,
	.read = ftp_read,
	.passed = ftp_passed,
	.write = ftp_write,
};
