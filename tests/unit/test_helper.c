/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Helpers: what the one for FTP reads in any bytes, what is expected of it, and
 * sequence numbers after a change of length. */
#include "daemon/engine/helper.h"
#include "daemon/engine/seqadj.h"
#include "tests/unit/gateway.h"

/* ---- sequence numbers ---- */

static void numbers_are_shifted_behind_a_correction_only(void **state)
{
	struct xct_seqadj adjust = { 0 };

	(void)state;
	xct_seqadj_add(&adjust, 1000, 4);
	assert_int_equal(xct_seqadj_forth(&adjust, 900), 900);
	assert_int_equal(xct_seqadj_forth(&adjust, 1000), 1000);
	assert_int_equal(xct_seqadj_forth(&adjust, 1001), 1005);
	assert_int_equal(xct_seqadj_back(&adjust, 1000), 1000);
	assert_int_equal(xct_seqadj_back(&adjust, 1030), 1026);
	/* Sent again, nothing is added. */
	xct_seqadj_add(&adjust, 1000, 4);
	xct_seqadj_add(&adjust, 990, 4);
	assert_int_equal(xct_seqadj_forth(&adjust, 2000), 2004);
	/* The next one, shorter, counts from there on. */
	xct_seqadj_add(&adjust, 2000, -10);
	assert_int_equal(xct_seqadj_forth(&adjust, 2000), 2004);
	assert_int_equal(xct_seqadj_forth(&adjust, 2001), 1995);
	assert_int_equal(xct_seqadj_back(&adjust, 2004), 2000);
	assert_int_equal(xct_seqadj_back(&adjust, 2030), 2036);
}

static void numbers_wrap(void **state)
{
	struct xct_seqadj adjust = { 0 };

	(void)state;
	xct_seqadj_add(&adjust, UINT32_MAX - 5, 7);
	assert_int_equal(xct_seqadj_forth(&adjust, UINT32_MAX), 6);
	assert_int_equal(xct_seqadj_back(&adjust, 6), UINT32_MAX);
	assert_int_equal(xct_seqadj_forth(&adjust, UINT32_MAX - 6),
			 UINT32_MAX - 6);
}

static void selective_acknowledgements_are_shifted_as_well(void **state)
{
	/* Two NOPs, two blocks; then two that are cut off, and one of length 1:
	 * nothing is read behind the header. */
	uint8_t l4[60] = { [12] = 0xf0, [13] = TCP_ACK };
	struct xct_seqadj adjust = { .pos = 1000, .after = 10 };
	struct xct_pkt pkt = { .l4 = l4, .l4_len = 60, .l4_have = 60 };
	static const uint32_t seqs[] = { 900, 1000, 1500, 2000 };

	(void)state;
	xct_put_be32(l4 + 8, 2000);
	l4[20] = l4[21] = 1;
	l4[22] = 5;
	l4[23] = 18;
	for (int i = 0; i < 4; i++)
		xct_put_be32(l4 + 24 + 4 * i, seqs[i]);
	l4[40] = 5;
	l4[41] = 30;
	xct_seqadj_acks(&adjust, &pkt);
	assert_int_equal(xct_get_be32(l4 + 8), 1990);
	assert_int_equal(xct_get_be32(l4 + 24), 900);
	assert_int_equal(xct_get_be32(l4 + 28), 1000);
	assert_int_equal(xct_get_be32(l4 + 32), 1490);
	assert_int_equal(xct_get_be32(l4 + 36), 1990);
	l4[13] = TCP_SYN; /* acknowledges nothing */
	xct_seqadj_acks(&adjust, &pkt);
	assert_int_equal(xct_get_be32(l4 + 8), 1990);
	l4[13] = TCP_ACK;
	l4[20] = 3;
	l4[21] = 1;
	xct_seqadj_acks(&adjust, &pkt);
	assert_int_equal(xct_get_be32(l4 + 32), 1490);
}

/* ---- reading ---- */

#define SEQ 5000

/* What @text, @len bytes of a memory of its own, is to the helper where a line
 * begins. */
static enum xct_read read_bytes(const char *text, size_t len, enum xct_dir dir,
				uint8_t family, struct xct_announcement *a)
{
	struct xct_help help = { .n_lines = { 1, 1 },
				 .line = { { SEQ }, { SEQ } } };
	struct xct_speech speech = {
		.len = (uint32_t)len, .seq = SEQ, .family = family, .dir = dir
	};
	uint8_t *copy = malloc(len);
	enum xct_read found;

	memcpy(copy, text, len);
	speech.data = copy;
	memset(a, 0, sizeof(*a));
	found = xct_helper_ftp.read(&help, &speech, a);
	if (found == XCT_READ_FOUND)
		assert_true(a->off + a->len <= len && a->len > 0);
	if (found != XCT_READ_PARTIAL)
		xct_helper_ftp.passed(&help, &speech);
	free(copy);
	return found;
}

static const struct row {
	enum xct_dir dir;
	uint8_t family;
	const char *text;
	enum xct_read found;
	const char *said; /* the part that is rewritten */
	const char *addr; /* NULL: the sender's */
	uint16_t port;
	const char *instead; /* of 203.0.113.9 or 2001:db8::9, port 40000 */
} rows[] = {
#define O	XCT_DIR_ORIG, AF_INET
#define R	XCT_DIR_REPLY, AF_INET
#define O6	XCT_DIR_ORIG, AF_INET6
#define R6	XCT_DIR_REPLY, AF_INET6
#define FOUND	XCT_READ_FOUND
#define NOTHING XCT_READ_NOTHING, NULL, NULL, 0, NULL
#define PARTIAL XCT_READ_PARTIAL, NULL, NULL, 0, NULL
	{ O, "PORT 10,0,0,2,200,10\r\n", FOUND, "10,0,0,2,200,10", "10.0.0.2",
	  51210, "203,0,113,9,156,64" },
	{ O, "port 10,0,0,2,0,21\r\n", FOUND, "10,0,0,2,0,21", "10.0.0.2", 21,
	  "203,0,113,9,156,64" },
	{ O, "PORTxyz 1,2,3,4,5,6\r", FOUND, "1,2,3,4,5,6", "1.2.3.4", 1286,
	  "203,0,113,9,156,64" },
	{ O, "EPRT |1|10.0.0.2|51210|\r\n", FOUND, "|1|10.0.0.2|51210|",
	  "10.0.0.2", 51210, "|1|203.0.113.9|40000|" },
	{ O, "EPRT !1!10.0.0.2!51210!\r\n", FOUND, "!1!10.0.0.2!51210!",
	  "10.0.0.2", 51210, "|1|203.0.113.9|40000|" },
	{ R, "227 Entering Passive Mode (10,0,0,2,200,10).\r\n", FOUND,
	  "10,0,0,2,200,10", "10.0.0.2", 51210, "203,0,113,9,156,64" },
	{ R, "227 =10,0,0,2,200,10\r\n", FOUND, "10,0,0,2,200,10", "10.0.0.2",
	  51210, "203,0,113,9,156,64" },
	{ R, "229 Extended (|||51210|)\r\n", FOUND, "|||51210|", NULL, 51210,
	  "|||40000|" },
	{ O6, "EPRT |2|fd00::2|51210|\r\n", FOUND, "|2|fd00::2|51210|",
	  "fd00::2", 51210,
	  "|2|2001:0db8:0000:0000:0000:0000:0000:0009|40000|" },
	{ R6, "229 ok (|||51210|)\r\n", FOUND, "|||51210|", NULL, 51210,
	  "|||40000|" },

	{ O, "USER anonymous\r\n", NOTHING },
	{ O, "PASV\r\n", NOTHING },
	{ O, "227 x (10,0,0,2,200,10)\r\n", NOTHING },
	{ R, "PORT 10,0,0,2,200,10\r\n", NOTHING },
	{ R, "226 done\r\n", NOTHING },
	{ R, "227-", NOTHING },
	{ O, "\r\n", NOTHING },

	{ O, "P", PARTIAL },
	{ O, "PORT", PARTIAL },
	{ O, "PORT ", PARTIAL },
	{ O, "PORT 10,0,0,2,200,10", PARTIAL },
	{ O, "PORT 10,0,0,2,200\r\n", PARTIAL },
	{ O, "PORT 10,0,0,2,200,10,5\r\n", PARTIAL },
	{ O, "PORT  10,0,0,2,200,10\r\n", PARTIAL },
	{ O, "PORT 10,0,0,2,200,10\n", PARTIAL },
	{ O, "EPRT |2|fd00::2|51210|\r\n", PARTIAL },
	{ O, "EPRT |1|10.0.0.2|0|\r\n", PARTIAL },
	{ O, "EPRT |1|10.0.0|51210|\r\n", PARTIAL },
	{ O, "EPRT 11110.0.0.21512101\r\n", PARTIAL },
	{ O6, "EPRT |1|10.0.0.2|51210|\r\n", PARTIAL },
	{ O6, "EPRT |2|10.0.0.2|51210|\r\n", PARTIAL },
	{ O6, "EPRT |2|fd00:::2|51210|\r\n", PARTIAL },
	{ R, "2", PARTIAL },
	{ R, "227 ", PARTIAL },
	{ R, "227 no number\r\n", PARTIAL },
	{ R, "229 no parenthesis\r\n", PARTIAL },
	{ R, "229 (|||)\r\n", PARTIAL },
	{ R, "229 (||1.2.3.4|5|)\r\n", PARTIAL },
#undef O
#undef R
#undef O6
#undef R6
};

static void announcements_are_read_and_written(void **state)
{
	char text[XCT_HELPER_TEXT_MAX];
	struct xct_announcement a;
	struct xct_addr addr;
	uint8_t family;

	(void)state;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		enum xct_read found = read_bytes(row->text, strlen(row->text),
						 row->dir, row->family, &a);
		uint32_t len;

		if (found != row->found)
			fail_msg("\"%s\" is %d", row->text, found);
		if (found != XCT_READ_FOUND)
			continue;
		assert_int_equal(a.len, strlen(row->said));
		assert_memory_equal(row->text + a.off, row->said, a.len);
		assert_int_equal(a.port, xct_hton16(row->port));
		memset(&addr, 0, sizeof(addr));
		if (row->addr)
			assert_true(xct_addr_parse(row->addr, &family, &addr));
		assert_true(xct_addr_equal(&a.addr, &addr));
		(void)xct_addr_parse(row->family == AF_INET ? "203.0.113.9"
							    : "2001:db8::9",
				     &family, &a.addr);
		a.port = xct_hton16(40000);
		len = xct_helper_ftp.write(&a, text);
		assert_int_equal(len, strlen(row->instead));
		assert_memory_equal(text, row->instead, len);
	}
}

/* Every cut of every text, and every byte at each of its places: nothing is read
 * beyond the end, and nothing found that is not there. */
static void any_bytes_are_read_inside_their_bounds(void **state)
{
	struct xct_announcement a;
	char text[128];

	(void)state;
	for (size_t i = 0; i < XCT_ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		size_t len = strlen(row->text);

		for (size_t cut = 1; cut < len; cut++)
			(void)read_bytes(row->text, cut, row->dir, row->family,
					 &a);
		for (size_t at = 0; at < len; at++) {
			memcpy(text, row->text, len);
			for (int byte = 0; byte < 256; byte++) {
				text[at] = (char)byte;
				(void)read_bytes(text, len, row->dir,
						 row->family, &a);
			}
		}
	}
}

/* The longest text that is written still has room. */
static void the_longest_announcement_fits(void **state)
{
	struct xct_announcement a;
	char text[XCT_HELPER_TEXT_MAX];

	(void)state;
	assert_int_equal(read_bytes("EPRT |2|::1|1|\r\n", 16, XCT_DIR_ORIG,
				    AF_INET6, &a),
			 XCT_READ_FOUND);
	memset(&a.addr, 0xff, sizeof(a.addr));
	a.port = xct_hton16(65535);
	assert_true(xct_helper_ftp.write(&a, text) < XCT_HELPER_TEXT_MAX);
}

static void lines_are_known_by_where_they_begin(void **state)
{
	static const uint8_t line[] = "x\r\n";
	struct xct_help help = { .n_lines = { 0 } };
	struct xct_speech speech = { .data = line, .len = 3, .seq = 100 };
	static const uint8_t port[] = "PORT 1,2,3,4,5,6\r\n";
	struct xct_speech command = { .data = port,
				      .len = sizeof(port) - 1,
				      .family = AF_INET };
	struct xct_announcement a;

	(void)state;
	/* The first segment only says where the next line begins; the last two
	 * ends are remembered, and no older one takes their place. */
	for (int i = 0; i < 4; i++) {
		xct_helper_ftp.passed(&help, &speech);
		speech.seq += 3;
	}
	speech.seq = 100;
	xct_helper_ftp.passed(&help, &speech);
	for (uint32_t seq = 95; seq < 120; seq++) {
		command.seq = seq;
		assert_int_equal(xct_helper_ftp.read(&help, &command, &a),
				 seq == 109 || seq == 112 ? XCT_READ_FOUND
							  : XCT_READ_NOTHING);
	}
	speech.len = 2; /* no end of a line */
	speech.seq = 112;
	xct_helper_ftp.passed(&help, &speech);
	command.seq = 114;
	assert_int_equal(xct_helper_ftp.read(&help, &command, &a),
			 XCT_READ_NOTHING);
}

/* ---- in the engine ---- */

#define HELPED                                                    \
	"filter: {forward: {default: drop, rules: [{proto: tcp, " \
	"dport: 21, accept: yes, mark: 7, helper: ftp}]}}\n"

/* A control connection from @client, by way of wan0. */
struct control {
	struct world *w;
	const char *client;
	const char *server;
	const char *outside;	/* the client as the server sees it */
	uint32_t seq[XCT_DIRS]; /* next, as sent */
	uint32_t got[XCT_DIRS]; /* of what this one sends: as the other has */
	uint16_t room;
	struct packet p; /* the last one, as it came out */
};

static void segment(struct control *c, enum xct_dir dir, uint8_t flags,
		    const char *text)
{
	uint8_t tcp[20 + 200] = { [12] = 5 << 4 };
	uint32_t len = (uint32_t)strlen(text);
	struct xct_meta meta = { .room = c->room, .csum_unverified = true };

	xct_put_be16(tcp, dir == XCT_DIR_ORIG ? 4000 : 21);
	xct_put_be16(tcp + 2, dir == XCT_DIR_ORIG ? 21 : 4000);
	xct_put_be32(tcp + 4, c->seq[dir]);
	xct_put_be32(tcp + 8, c->got[!dir]);
	tcp[13] = flags;
	xct_put_be16(tcp + 14, 65000);
	memcpy(tcp + 20, text, len);
	packet_ip(&c->p, dir == XCT_DIR_ORIG ? c->client : c->server,
		  dir == XCT_DIR_ORIG ? c->server : c->outside, IPPROTO_TCP,
		  tcp, 20 + len);
	meta.hook = dir == XCT_DIR_ORIG ? XCT_HOOK_POSTROUTING
					: XCT_HOOK_PREROUTING;
	meta.in_if = dir == XCT_DIR_ORIG ? LAN : WAN;
	meta.out_if = dir == XCT_DIR_ORIG ? WAN : 0;
	xct_engine_packet(c->w->eng, c->p.data, c->p.len, &meta, c->w->now,
			  &c->w->res);
	c->seq[dir] += len + !!(flags & TCP_SYN);
}

/* The other end has got it. */
static void heard(struct control *c, enum xct_dir dir)
{
	struct xct_pkt pkt;

	assert_int_equal(c->w->res.verdict, XCT_VERDICT_ACCEPT);
	assert_int_equal(
		XCT_REASON_NONE,
		xct_pkt_parse(&pkt, c->p.data, sizeof(c->p.data), false));
	c->p.len = pkt.l3_len;
	assert_true(packet_is_sound(&c->p));
	c->got[dir] = xct_get_be32(pkt.l4 + 4) + pkt.l4_len - 20 +
		      !!(pkt.l4[13] & TCP_SYN);
}

static void say(struct control *c, enum xct_dir dir, const char *text)
{
	segment(c, dir, TCP_ACK | TCP_PSH, text);
	heard(c, dir);
}

static struct control open_control(struct world *w, const char *client,
				   const char *server, const char *outside)
{
	struct control c = { .w = w,
			     .client = client,
			     .server = server,
			     .outside = outside,
			     .seq = { 1000, 9000 },
			     .room = 64 };

	segment(&c, XCT_DIR_ORIG, TCP_SYN, "");
	heard(&c, XCT_DIR_ORIG);
	segment(&c, XCT_DIR_REPLY, TCP_SYN | TCP_ACK, "");
	heard(&c, XCT_DIR_REPLY);
	segment(&c, XCT_DIR_ORIG, TCP_ACK, "");
	heard(&c, XCT_DIR_ORIG);
	say(&c, XCT_DIR_REPLY, "220 ready\r\n");
	say(&c, XCT_DIR_ORIG, "USER x\r\n");
	say(&c, XCT_DIR_REPLY, "230 come in\r\n");
	return c;
}

static bool keep_expect(void *ctx, const struct xct_expect_info *info)
{
	*(struct xct_expect_info *)ctx = *info;
	return true;
}

/* What is expected; family 0: nothing. */
static struct xct_expect_info expected(struct world *w)
{
	struct xct_expect_info info = { .timeout_s = 0 };
	uint32_t cursor = 0;

	(void)xct_engine_expects(w->eng, &cursor, w->now, MAX_FLOWS,
				 keep_expect, &info);
	return info;
}

static void assert_expects(struct world *w, const char *src, const char *dst,
			   uint16_t port)
{
	struct xct_expect_info info = expected(w);
	char text[XCT_ADDRSTRLEN];

	assert_int_not_equal(info.tuple.family, 0);
	assert_string_equal(
		src, xct_addr_format(info.tuple.family, &info.tuple.src, text));
	assert_string_equal(
		dst, xct_addr_format(info.tuple.family, &info.tuple.dst, text));
	assert_int_equal(info.tuple.dport, xct_hton16(port));
	assert_int_equal(info.tuple.sport, 0);
	assert_int_equal(info.helper, XCT_HELPER_FTP);
}

static struct xct_engine_stats stats(struct world *w)
{
	struct xct_engine_stats s;

	xct_engine_stats(w->eng, &s);
	return s;
}

/* A SYN of the server's, to the port that the client has announced. */
static enum xct_verdict from_server(struct control *c, uint16_t port, bool pre)
{
	struct packet p;

	packet_tcp(&p, c->server, 20, c->outside, port, TCP_SYN, 1, 0, 0);
	return forward(c->w, &p, WAN, LAN, pre);
}

static void what_is_announced_is_related_once(void **state)
{
	struct world *w = *state;
	struct control c;
	struct xct_flow_filter filter = { .fields = XCT_FILTER_STATUS,
					  .status = XCT_STATUS_EXPECTED };
	struct xct_flow_info info = { 0 };
	uint32_t cursor = 0;

	use_rules(w, HELPED);
	c = open_control(w, "10.0.0.2", "198.51.100.9", "10.0.0.2");
	assert_int_equal(only_flow(w).helper, XCT_HELPER_FTP);
	assert_int_equal(from_server(&c, 51210, false), XCT_VERDICT_DROP);
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,10\r\n");
	assert_false(w->res.is_edited);
	assert_expects(w, "198.51.100.9", "10.0.0.2", 51210);
	assert_int_equal(from_server(&c, 51211, false), XCT_VERDICT_DROP);
	assert_int_equal(from_server(&c, 51210, false), XCT_VERDICT_ACCEPT);
	assert_int_equal(w->res.cls, XCT_CLASS_RELATED);
	assert_int_equal(expected(w).tuple.family, 0);
	(void)xct_engine_walk(w->eng, &cursor, w->now, &filter, MAX_FLOWS,
			      keep_info, &info);
	assert_int_equal(info.mark, 7);
	assert_int_equal(info.helper, XCT_HELPER_NONE);
	/* Until it is answered its packets are RELATED; another one is not. */
	assert_int_equal(from_server(&c, 51210, false), XCT_VERDICT_ACCEPT);
	assert_int_equal(w->res.cls, XCT_CLASS_RELATED);
	assert_int_equal(stats(w).expect_create, 1);
	assert_int_equal(stats(w).expect_new, 1);
	assert_int_equal(stats(w).expect_delete, 1);
	assert_int_equal(stats(w).expects, 0);
}

static void rules_may_refuse_what_is_related(void **state)
{
	struct world *w = *state;
	struct control c;

	use_rules(w, "filter: {forward: {rules: ["
		     "{state: related, proto: tcp, reject: yes},"
		     "{proto: tcp, dport: 21, accept: yes, helper: ftp}]}}\n");
	c = open_control(w, "10.0.0.2", "198.51.100.9", "10.0.0.2");
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,10\r\n");
	assert_int_equal(from_server(&c, 51210, false), XCT_VERDICT_DROP);
	assert_int_equal(w->res.reason, XCT_REASON_REJECT);
	assert_int_not_equal(w->res.reply_len, 0);
	assert_int_equal(expected(w).tuple.family, 0);
}

static void nothing_is_expected_without_a_helper(void **state)
{
	struct world *w = *state;
	struct control c;

	use_rules(w, "filter: {forward: {rules: [{accept: yes}]}}\n");
	c = open_control(w, "10.0.0.2", "198.51.100.9", "10.0.0.2");
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,10\r\n");
	assert_int_equal(expected(w).tuple.family, 0);
	assert_int_equal(only_flow(w).helper, XCT_HELPER_NONE);
}

static void what_is_somebody_elses_is_not_expected(void **state)
{
	struct world *w = *state;
	struct control c;

	use_rules(w, HELPED);
	c = open_control(w, "10.0.0.2", "198.51.100.9", "10.0.0.2");
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,3,200,10\r\n");
	say(&c, XCT_DIR_REPLY, "227 (198,51,100,10,200,10)\r\n");
	assert_int_equal(expected(w).tuple.family, 0);
	segment(&c, XCT_DIR_ORIG, TCP_ACK, "PORT 10,0,0,2,200");
	assert_int_equal(w->res.verdict, XCT_VERDICT_DROP);
	assert_int_equal(w->res.reason, XCT_REASON_HELPER);
}

static void one_thing_is_expected_at_a_time_for_300_seconds(void **state)
{
	struct world *w = *state;
	struct control c;
	struct packet p;

	use_rules(w, HELPED);
	c = open_control(w, "10.0.0.2", "198.51.100.9", "10.0.0.2");
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,10\r\n");
	say(&c, XCT_DIR_REPLY, "229 ok (|||50001|)\r\n");
	assert_expects(w, "10.0.0.2", "198.51.100.9", 50001);
	assert_int_equal(stats(w).expects, 1);
	assert_int_equal(expected(w).timeout_s, 300);
	segment(&c, XCT_DIR_ORIG, TCP_ACK, ""); /* else it is over as well */
	w->now += 299999;
	(void)xct_engine_tick(w->eng, w->now, 100);
	assert_expects(w, "10.0.0.2", "198.51.100.9", 50001);
	w->now += 1;
	packet_tcp(&p, "10.0.0.2", 4001, "198.51.100.9", 50001, TCP_SYN, 1, 0,
		   0);
	assert_int_equal(forward(w, &p, LAN, WAN, false), XCT_VERDICT_DROP);
	(void)xct_engine_tick(w->eng, w->now, 100);
	assert_int_equal(expected(w).tuple.family, 0);
	/* It ends with its master. */
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,10\r\n");
	assert_int_equal(stats(w).expects, 1);
	(void)xct_engine_delete(w->eng, &(uint32_t){ 0 }, w->now, NULL,
				MAX_FLOWS, NULL, NULL);
	assert_int_equal(stats(w).expects, 0);
	assert_int_equal(stats(w).expect_delete, 3);
}

static void expectations_can_be_ended_by_hand(void **state)
{
	struct world *w = *state;
	struct xct_tuple tuple, any = { .family = 0 };
	uint32_t cursor = 0;
	uint64_t n = 0;
	struct control c;

	use_rules(w, HELPED);
	c = open_control(w, "10.0.0.2", "198.51.100.9", "10.0.0.2");
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,10\r\n");
	tuple = expected(w).tuple;
	tuple.dport ^= 1;
	(void)xct_engine_unexpect(w->eng, &cursor, w->now, &tuple, MAX_FLOWS,
				  &n);
	assert_int_equal(n, 0);
	tuple.dport ^= 1;
	tuple.sport = 5;
	cursor = 0;
	(void)xct_engine_unexpect(w->eng, &cursor, w->now, &tuple, MAX_FLOWS,
				  &n);
	assert_int_equal(n, 1);
	assert_int_equal(stats(w).expects, 0);
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,10\r\n");
	cursor = 0;
	(void)xct_engine_unexpect(w->eng, &cursor, w->now, &any, MAX_FLOWS, &n);
	assert_int_equal(n, 2);
	assert_int_equal(from_server(&c, 51210, false), XCT_VERDICT_DROP);
}

/* In the payload of the last packet. */
static bool reads(const struct control *c, const char *text)
{
	return memmem(c->p.data, c->p.len, text, strlen(text)) != NULL;
}

static void masquerading_rewrites_and_follows(void **state)
{
	struct world *w = *state;
	struct control c;
	struct packet p;

	use_rules(w, MASQUERADE HELPED);
	c = open_control(w, "10.0.0.2", "198.51.100.9", "203.0.113.1");
	for (int i = 0; i < 3; i++) {
		/* Three bytes longer each time; what follows is acknowledged
		 * by both ends as they know it, and is in the window. */
		say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,10\r\n");
		assert_true(reads(&c, "PORT 203,0,113,1,200,10\r\n"));
		assert_int_equal(c.got[XCT_DIR_ORIG],
				 c.seq[XCT_DIR_ORIG] + 3 * (uint32_t)(i + 1));
		say(&c, XCT_DIR_REPLY, "200 fine\r\n");
		assert_int_equal(w->res.cls, XCT_CLASS_ESTABLISHED);
		assert_int_equal(xct_get_be32(c.p.data + 28),
				 c.seq[XCT_DIR_ORIG]);
	}
	assert_int_equal(stats(w).announced, 3);
	assert_int_equal(w->events, 3);
	assert_expects(w, "198.51.100.9", "203.0.113.1", 51210);
	packet_tcp(&p, "198.51.100.9", 20, "203.0.113.1", 51210, TCP_SYN, 1, 0,
		   0);
	assert_int_equal(forward(w, &p, WAN, LAN, true), XCT_VERDICT_ACCEPT);
	assert_addrs(&p, "198.51.100.9", 20, "10.0.0.2", 51210);
	packet_tcp(&p, "10.0.0.2", 51210, "198.51.100.9", 20, TCP_SYN | TCP_ACK,
		   8, 2, 0);
	assert_int_equal(forward(w, &p, LAN, WAN, false), XCT_VERDICT_ACCEPT);
	assert_addrs(&p, "203.0.113.1", 51210, "198.51.100.9", 20);
}

/* What is lost is sent again: announced by the same port, counted once. */
static void an_announcement_that_is_sent_again_says_the_same(void **state)
{
	struct world *w = *state;
	struct control c;
	uint32_t seq;

	use_rules(w, MASQUERADE HELPED);
	c = open_control(w, "10.0.0.2", "198.51.100.9", "203.0.113.1");
	seq = c.seq[XCT_DIR_ORIG];
	for (int i = 0; i < 3; i++) {
		c.seq[XCT_DIR_ORIG] = seq;
		say(&c, XCT_DIR_ORIG, "EPRT |1|10.0.0.2|51210|\r\n");
		assert_true(reads(&c, "EPRT |1|203.0.113.1|51210|\r\n"));
	}
	say(&c, XCT_DIR_REPLY, "200 fine\r\n");
	assert_int_equal(xct_get_be32(c.p.data + 28), c.seq[XCT_DIR_ORIG]);
	say(&c, XCT_DIR_ORIG, "NOOP\r\n");
	assert_int_equal(c.got[XCT_DIR_ORIG], c.seq[XCT_DIR_ORIG] + 3);
	assert_int_equal(stats(w).expects, 1);
}

/* Two clients behind one address announce the same port: the second one gets
 * another, also when it says so again. */
/* What routing will refuse reaches nobody: the error about it quotes the numbers
 * as they came. */
static void what_dies_here_keeps_its_numbers(void **state)
{
	struct world *w = *state;
	struct packet p, sent;
	struct control c;

	use_rules(w, MASQUERADE HELPED);
	c = open_control(w, "10.0.0.2", "198.51.100.9", "203.0.113.1");
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,10\r\n");
	packet_tcp(&p, "198.51.100.9", 21, "203.0.113.1", 4000, TCP_ACK,
		   c.seq[XCT_DIR_REPLY], c.got[XCT_DIR_ORIG], 0);
	p.data[8] = 1;
	p.data[10] += 63;
	sent = p;
	xct_engine_packet(
		w->eng, p.data, p.len,
		&(struct xct_meta){ .hook = XCT_HOOK_PREROUTING, .in_if = WAN },
		w->now, &w->res);
	assert_int_equal(w->res.verdict, XCT_VERDICT_ACCEPT);
	assert_memory_equal(p.data + 20, sent.data + 20, 16);
	assert_true(packet_is_sound(&p));
}

static void a_port_that_is_expected_already_becomes_another(void **state)
{
	struct world *w = *state;
	struct control a, b;
	uint16_t port;
	uint32_t seq;

	use_rules(w, MASQUERADE HELPED);
	a = open_control(w, "10.0.0.2", "198.51.100.9", "203.0.113.1");
	say(&a, XCT_DIR_ORIG, "PORT 10,0,0,2,200,10\r\n");
	b = (struct control){ .w = w,
			      .client = "10.0.0.3",
			      .server = "198.51.100.9",
			      .outside = "203.0.113.1",
			      .seq = { 1000, 9000 },
			      .room = 64 };
	/* Its port 4000 has become another as well: say it by hand. */
	segment(&b, XCT_DIR_ORIG, TCP_SYN, "");
	port = xct_get_be16(b.p.data + 20);
	assert_int_not_equal(port, 4000);
	heard(&b, XCT_DIR_ORIG);
	{
		struct packet p;

		packet_tcp(&p, "198.51.100.9", 21, "203.0.113.1", port,
			   TCP_SYN | TCP_ACK, 9000, 1001, 0);
		assert_int_equal(forward(w, &p, WAN, LAN, true),
				 XCT_VERDICT_ACCEPT);
		b.got[XCT_DIR_REPLY] = 9001;
	}
	say(&b, XCT_DIR_ORIG, "USER x\r\n");
	seq = b.seq[XCT_DIR_ORIG];
	say(&b, XCT_DIR_ORIG, "PORT 10,0,0,3,200,10\r\n");
	assert_false(reads(&b, "PORT 203,0,113,1,200,10\r\n"));
	assert_true(reads(&b, "PORT 203,0,113,1,"));
	assert_int_equal(stats(w).expects, 2);
	{
		struct packet first = b.p;

		b.seq[XCT_DIR_ORIG] = seq;
		say(&b, XCT_DIR_ORIG, "PORT 10,0,0,3,200,10\r\n");
		assert_int_equal(b.p.len, first.len);
		assert_memory_equal(b.p.data + 40, first.data + 40,
				    first.len - 40);
	}
}

static void a_server_behind_dnat_is_followed(void **state)
{
	struct world *w = *state;
	struct packet p;

	use_rules(w, "nat: [{in: wan0, dst: 203.0.113.1, proto: tcp, "
		     "dport: 21, dnat: 10.0.0.6}]\n" HELPED);
#define CLIENT "198.51.100.9", 4000
#define PUBLIC "203.0.113.1", 21
#define SERVER "10.0.0.6", 21
	packet_tcp(&p, CLIENT, PUBLIC, TCP_SYN, 100, 0, 0);
	assert_int_equal(forward(w, &p, WAN, LAN, true), XCT_VERDICT_ACCEPT);
	assert_int_equal(only_flow(w).helper, XCT_HELPER_FTP);
	packet_tcp(&p, SERVER, CLIENT, TCP_SYN | TCP_ACK, 900, 101, 0);
	assert_int_equal(forward(w, &p, LAN, WAN, false), XCT_VERDICT_ACCEPT);
	{
		struct xct_meta meta = { .hook = XCT_HOOK_POSTROUTING,
					 .in_if = LAN,
					 .out_if = WAN,
					 .room = 64 };
		static const char *const says[] = {
			"220 hi\r\n", "227 (10,0,0,6,195,80)\r\n"
		};
		uint32_t seq = 901;

		for (int i = 0; i < 2; i++) {
			uint8_t tcp[100] = { [12] = 5 << 4, [13] = TCP_ACK };
			uint32_t len = (uint32_t)strlen(says[i]);

			xct_put_be16(tcp, 21);
			xct_put_be16(tcp + 2, 4000);
			xct_put_be32(tcp + 4, seq);
			xct_put_be32(tcp + 8, 101);
			xct_put_be16(tcp + 14, 65000);
			memcpy(tcp + 20, says[i], len);
			packet_ip(&p, "10.0.0.6", "198.51.100.9", IPPROTO_TCP,
				  tcp, 20 + len);
			xct_engine_packet(w->eng, p.data, p.len, &meta, w->now,
					  &w->res);
			assert_int_equal(w->res.verdict, XCT_VERDICT_ACCEPT);
			seq += len;
		}
		assert_non_null(memmem(p.data, sizeof(p.data),
				       "(203,0,113,1,195,80)", 20));
	}
	assert_expects(w, "198.51.100.9", "203.0.113.1", 50000);
	packet_tcp(&p, "198.51.100.9", 4001, "203.0.113.1", 50000, TCP_SYN, 5,
		   0, 0);
	assert_int_equal(forward(w, &p, WAN, LAN, true), XCT_VERDICT_ACCEPT);
	assert_addrs(&p, "198.51.100.9", 4001, "10.0.0.6", 50000);
	assert_int_equal(stats(w).expects, 0);
}

/* A packet that has no room to grow is not sent on half rewritten. */
static void what_cannot_grow_is_dropped(void **state)
{
	struct world *w = *state;
	struct control c;

	use_rules(w, MASQUERADE HELPED);
	c = open_control(w, "10.0.0.2", "198.51.100.9", "203.0.113.1");
	c.room = 2;
	segment(&c, XCT_DIR_ORIG, TCP_ACK, "PORT 10,0,0,2,200,10\r\n");
	assert_int_equal(w->res.verdict, XCT_VERDICT_DROP);
	assert_int_equal(stats(w).expects, 0);
	assert_int_equal(stats(w).announced, 0);
}

/* Checksums that are not filled in yet, of a packet for the wire and of one that
 * is still to be cut into segments. */
static void an_unfinished_checksum_fits_the_new_length(void **state)
{
	struct world *w = *state;

	use_rules(w, MASQUERADE HELPED);
	for (int is_gso = 0; is_gso < 2; is_gso++) {
		static const char text[] = "PORT 10,0,0,2,200,10\r\n";
		struct control c = open_control(w, "10.0.0.2", "198.51.100.9",
						"203.0.113.1");
		struct xct_meta meta = { .hook = XCT_HOOK_POSTROUTING,
					 .in_if = LAN,
					 .out_if = WAN,
					 .room = 64,
					 .csum_partial = true,
					 .is_gso = is_gso };
		uint8_t tcp[100] = { [12] = 5 << 4, [13] = TCP_ACK };
		uint32_t len = sizeof(text) - 1;
		uint16_t pseudo;
		struct packet p;

		xct_put_be16(tcp, 4000);
		xct_put_be16(tcp + 2, 21);
		xct_put_be32(tcp + 4, c.seq[XCT_DIR_ORIG]);
		xct_put_be32(tcp + 8, c.got[XCT_DIR_REPLY]);
		xct_put_be16(tcp + 14, 65000);
		memcpy(tcp + 20, text, len);
		packet_ip(&p, c.client, c.server, IPPROTO_TCP, tcp, 20 + len);
		pseudo = xct_csum_fold(xct_csum_pseudo(AF_INET, p.data + 12,
						       IPPROTO_TCP, 20 + len));
		memcpy(p.data + 36, &pseudo, 2);
		xct_engine_packet(w->eng, p.data, p.len, &meta, w->now,
				  &w->res);
		assert_int_equal(w->res.verdict, XCT_VERDICT_ACCEPT);
		p.len += 3;
		pseudo = xct_csum_fold(xct_csum_pseudo(AF_INET, p.data + 12,
						       IPPROTO_TCP, 23 + len));
		if (is_gso)
			assert_memory_equal(p.data + 36, &pseudo, 2);
		else
			assert_true(packet_is_sound(&p));
		(void)xct_engine_delete(w->eng, &(uint32_t){ 0 }, w->now, NULL,
					MAX_FLOWS, NULL, NULL);
	}
}

/* xctd dies: what is expected, and how numbers are shifted, is in the region. */
static void a_helper_survives(void **state)
{
	struct world *w = *state;
	struct control c;

	use_rules(w, MASQUERADE HELPED);
	c = open_control(w, "10.0.0.2", "198.51.100.9", "203.0.113.1");
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,10\r\n");
	attach(w);
	xct_engine_set_ruleset(w->eng, &w->config->ruleset);
	assert_int_equal(stats(w).expects, 1);
	assert_expects(w, "198.51.100.9", "203.0.113.1", 51210);
	say(&c, XCT_DIR_REPLY, "200 fine\r\n");
	assert_int_equal(xct_get_be32(c.p.data + 28), c.seq[XCT_DIR_ORIG]);
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,11\r\n");
	assert_true(reads(&c, "PORT 203,0,113,1,200,11\r\n"));
	w->now += 300000;
	attach(w);
	assert_int_equal(stats(w).expects, 0);
}

static bool keep_saved(void *ctx, const struct xct_saved_flow *saved)
{
	*(struct xct_saved_flow *)ctx = *saved;
	return true;
}

static void a_snapshot_has_it_all_but_expectations(void **state)
{
	struct xct_saved_flow saved;
	struct world *w = *state;
	uint32_t cursor = 0;
	struct control c;

	use_rules(w, MASQUERADE HELPED);
	c = open_control(w, "10.0.0.2", "198.51.100.9", "203.0.113.1");
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,10\r\n");
	(void)xct_engine_save(w->eng, &cursor, w->now, MAX_FLOWS, keep_saved,
			      &saved);
	memset(w->region, 0, xct_region_size(MAX_FLOWS));
	attach(w);
	xct_engine_set_ruleset(w->eng, &w->config->ruleset);
	saved.masq_if[0] = '\0'; /* no interface has to be there */
	assert_int_equal(xct_engine_restore(w->eng, &saved, w->now),
			 XCT_RESTORED_LOADED);
	assert_int_equal(only_flow(w).helper, XCT_HELPER_FTP);
	assert_int_equal(stats(w).expects, 0);
	say(&c, XCT_DIR_REPLY, "200 fine\r\n");
	assert_int_equal(xct_get_be32(c.p.data + 28), c.seq[XCT_DIR_ORIG]);
	say(&c, XCT_DIR_ORIG, "PORT 10,0,0,2,200,11\r\n");
	assert_true(reads(&c, "PORT 203,0,113,1,200,11\r\n"));
	assert_int_equal(c.got[XCT_DIR_ORIG], c.seq[XCT_DIR_ORIG] + 6);

	/* What could be no helper's is refused. */
	(void)xct_engine_delete(w->eng, &(uint32_t){ 0 }, w->now, NULL,
				MAX_FLOWS, NULL, NULL);
#define REFUSED(change)                                                    \
	do {                                                               \
		struct xct_saved_flow bad = saved;                         \
		struct xct_saved_help *help = &bad.help;                   \
		change;                                                    \
		assert_int_equal(xct_engine_restore(w->eng, &bad, w->now), \
				 XCT_RESTORED_REFUSED);                    \
	} while (0)
	REFUSED(help->helper = XCT_HELPERS);
	REFUSED(help->helper = 0);
	REFUSED(help->n_lines[1] = XCT_HELP_LINES + 1);
	REFUSED(help->reserved = 1);
	REFUSED(help->pad = 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_shifted_behind_a_correction_only),
		cmocka_unit_test(numbers_wrap),
		cmocka_unit_test(
			selective_acknowledgements_are_shifted_as_well),
		cmocka_unit_test(announcements_are_read_and_written),
		cmocka_unit_test(any_bytes_are_read_inside_their_bounds),
		cmocka_unit_test(the_longest_announcement_fits),
		cmocka_unit_test(lines_are_known_by_where_they_begin),
		TEST(what_is_announced_is_related_once),
		TEST(rules_may_refuse_what_is_related),
		TEST(nothing_is_expected_without_a_helper),
		TEST(what_is_somebody_elses_is_not_expected),
		TEST(one_thing_is_expected_at_a_time_for_300_seconds),
		TEST(expectations_can_be_ended_by_hand),
		TEST(masquerading_rewrites_and_follows),
		TEST(an_announcement_that_is_sent_again_says_the_same),
		TEST(what_dies_here_keeps_its_numbers),
		TEST(a_port_that_is_expected_already_becomes_another),
		TEST(a_server_behind_dnat_is_followed),
		TEST(what_cannot_grow_is_dropped),
		TEST(an_unfinished_checksum_fits_the_new_length),
		TEST(a_helper_survives),
		TEST(a_snapshot_has_it_all_but_expectations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
