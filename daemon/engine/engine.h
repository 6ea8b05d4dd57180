/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine: packets in, verdicts out. A pure library: it has no clock, no
 * socket, no thread, no lock, no entropy, no log and allocates nothing. The
 * caller owns all memory and serialises calls.
 *
 * Unit tests, fuzzers, the replayer, benchmarks and xctd drive exactly this.
 */
#ifndef XCT_ENGINE_ENGINE_H
#define XCT_ENGINE_ENGINE_H

#include "common/flow_event.h"
#include "common/names.h"
#include "common/siphash.h"
#include "common/snapshot.h"
#include "daemon/engine/l4.h"
#include "daemon/engine/rule.h"

enum xct_verdict { XCT_VERDICT_ACCEPT, XCT_VERDICT_DROP };

#define XCT_REPLY_MAX 1280 /* IPv6 minimum MTU: no ICMP error is longer */

struct xct_result {
	enum xct_verdict verdict;
	enum xct_reason reason; /* of a drop, or of class INVALID */
	enum xct_class cls;
	uint8_t stage;	    /* for the packet's mark: enum xct_stage */
	bool is_edited;	    /* the bytes changed: return them */
	uint16_t reply_len; /* of a packet to send, or 0 */
	uint8_t reply[XCT_REPLY_MAX]; /* RST or ICMP error, IP header first */
};

/* Told to the daemon's log as it happens; pointers are borrowed for the call.
 * What happens to flows is told elsewhere: xct_engine_watch(). */
struct xct_event {
	enum {
		XCT_EVENT_LOG,	   /* a rule with log matched */
		XCT_EVENT_INVALID, /* log_invalid is on */
		XCT_EVENT_TABLE_FULL,
		XCT_EVENT_ANNOUNCED, /* a helper's text was rewritten */
		XCT_EVENT_TYPES,
	} type;
	const struct xct_rule *rule;
	const struct xct_meta *meta;
	const struct xct_tuple *tuple;
	enum xct_reason reason;
	struct xct_cell cell; /* INVALID: if the protocol has states */
	uint32_t excess;      /* .. bytes beyond a limit of the window */
	uint32_t bytes;
	/* ANNOUNCED: where a connection was to go, and where it goes now */
	uint8_t helper; /* enum xct_helper_id */
	struct xct_addr announced[2];
	xct_be16 port[2];
};

/* Of a masqueraded flow's address. */
enum xct_masq {
	XCT_MASQ_THERE,
	XCT_MASQ_AWAITED, /* not yet: its interface is missing, down, or without
			     any */
	XCT_MASQ_GONE,	  /* no more, or its interface has others */
};

#define XCT_NEARLY_FULL 90 /* per cent of the table */

/* What the engine asks of its host, for NEW connections and such flows as come
 * from the past. */
struct xct_host_ops {
	/* Name of an interface. False if there is none (any more). */
	bool (*ifname)(void *ctx, uint32_t ifindex,
		       char name[static XCT_IFNAMSIZ]);
	/* The address that @ifindex would use towards @dst (masquerade), or its
	 * primary address if @dst is NULL (redirect). False: it has none. */
	bool (*ifaddr)(void *ctx, uint32_t ifindex, uint8_t family,
		       const struct xct_addr *dst, struct xct_addr *addr);
	/* Is @addr an address of this host? */
	bool (*is_local)(void *ctx, uint8_t family,
			 const struct xct_addr *addr);
	/* What a flow may have as index of the interface called @name; there
	 * need be none yet. 0: there is no room to remember the name. */
	uint32_t (*ifindex)(void *ctx, const char name[static XCT_IFNAMSIZ]);
	/* How are flows doing that are masqueraded on *@ifindex to @addr? It
	 * changes when an interface that was awaited has come. */
	enum xct_masq (*masq)(void *ctx, uint32_t *ifindex, uint8_t family,
			      const struct xct_addr *addr);
	void (*event)(void *ctx, const struct xct_event *event);
	/* The table has become XCT_NEARLY_FULL per cent full: @used flows. */
	void (*nearly_full)(void *ctx, uint32_t used);
	void *ctx;
};

struct xct_engine_config {
	struct xct_l4_config l4;
	struct xct_host_ops host;    /* any of its functions may be NULL */
	struct xct_siphash_key seed; /* random, secret */
	bool accounting;	     /* report packet and byte counters */
	bool timestamps;	     /* report when flows began */
};

/* Everything counted. X(field, what it counts) */
#define XCT_ENGINE_COUNTERS(X)                                         \
	X(packets, "packets handed to the engine")                     \
	X(found, "packets that belonged to a flow")                    \
	X(repeated, "packets that a dead xctd had been through with")  \
	X(created, "flows that were made")                             \
	X(expired, "flows whose time ran out")                         \
	X(deleted, "flows that ended otherwise")                       \
	X(early_drop, "flows evicted from a full table")               \
	X(insert_failed, "flows that could not be made")               \
	X(clash_resolve, "source ports changed to keep tuples unique") \
	X(edited, "packets rewritten")                                 \
	X(announced, "packets whose announcement was rewritten")       \
	X(expect_create, "announced connections that were expected")   \
	X(expect_new, "expected connections that have come")           \
	X(expect_delete, "expectations that are over")                 \
	X(accepted, "packets accepted")                                \
	X(dropped, "packets dropped")

struct xct_engine_stats {
#define X(field, text) uint64_t field;
	XCT_ENGINE_COUNTERS(X)
#undef X
	uint64_t class_packets[XCT_CLASSES];
	uint64_t reason_packets[XCT_REASON_COUNT]; /* INVALID or dropped */
	uint64_t cell_packets[XCT_CELLS]; /* INVALID by a state table */
	uint32_t flows;			  /* now */
	uint32_t used_flows; /* with those that are not confirmed yet */
	uint32_t peak_flows; /* the most that were in use at once */
	uint32_t max_flows;  /* capacity */
	uint32_t expects;    /* connections that are expected now */
};

struct xct_engine; /* opaque */
struct xct_index_slot;

/* Bytes that @max_flows flows need: in the region, which may outlive the
 * process, and in working memory, which is rebuilt from it. What is behind the
 * first xct_region_dense_size() of the region is for what few flows have. */
size_t xct_region_size(uint32_t max_flows);
size_t xct_region_dense_size(uint32_t max_flows);
size_t xct_engine_work_size(uint32_t max_flows);

/*
 * The layout of @region, which is of @size bytes and for @max_flows flows:
 * XCT_REGION_VERSION, which xct_engine_attach() takes; a lower one, which
 * xct_region_copy() makes one of; or 0: it is damaged, of no layout that is
 * known, or not a region. One that was never used is of the present layout.
 */
uint32_t xct_region_layout(const void *region, size_t size, uint32_t max_flows);

/* Copy the flows of a used region, whose layout is known, into a blank one.
 * Returns how many did not fit. Only before either is attached. */
uint32_t xct_region_copy(void *to, uint32_t to_max, const void *from,
			 uint32_t from_max);

/* Set the times of all flows in a region back by @by: the clock has been. Only
 * before it is attached. */
void xct_region_set_back(void *region, uint32_t max_flows, xct_msec by);

/* What was found in the region. */
struct xct_attach_report {
	uint32_t adopted; /* flows taken over */
	uint32_t torn;	  /* records dropped: cut off mid-write */
	uint32_t expired; /* records dropped: their time was over */
	uint32_t gone; /* .. or the address they were masqueraded to is gone */
	bool was_new;  /* the region was blank and has been formatted */
};

/*
 * Start an engine over @region (@max_flows large, zeroed or used before) with
 * working memory @work (both 64-byte aligned; lent until the engine is done).
 * Flows found in the region are adopted. Returns 0, or -EINVAL: the region
 * belongs to another version or size and was not touched.
 */
int xct_engine_attach(struct xct_engine **eng, void *region, void *work,
		      uint32_t max_flows, const struct xct_engine_config *cfg,
		      xct_msec now, struct xct_attach_report *report);

/* Change what may change at run time: timeouts, switches, host. The seed does
 * not. Flows keep their running timers. */
void xct_engine_configure(struct xct_engine *eng,
			  const struct xct_engine_config *cfg);

/* Lent until another is set. NULL: accept and track everything. */
void xct_engine_set_ruleset(struct xct_engine *eng,
			    const struct xct_ruleset *rs);

/* Names of interfaces have changed, or who has them. */
void xct_engine_forget_interfaces(struct xct_engine *eng);

/*
 * Tell what happens to flows, as nf_conntrack does: each that is confirmed,
 * changes (once a packet) or ends. For each event the engine takes a record
 * from @next and fills in type, parts, time and flow before it is called again.
 * @next NULL: nobody wants to know.
 */
void xct_engine_watch(struct xct_engine *eng,
		      struct xct_flow_event *(*next)(void *ctx), void *ctx);

/* One packet at one hook, on its way through the engine. */
struct xct_visit {
	/* What it says of itself: */
	const struct xct_meta *meta; /* borrowed */
	struct xct_pkt pkt;
	struct xct_tuple tuple; /* for an ICMP error: of the flow's packets
				   that go the way the error goes */
	const struct xct_l4_ops *l4;
	enum xct_reason reason;		   /* why it has no tuple, or NONE */
	uint32_t hash;			   /* of the tuple */
	bool is_error;			   /* an ICMP error */
	bool is_untracked;		   /* ICMP that no flow is made of */
	const struct xct_index_slot *seen; /* by prepare(), or NULL */

	/* While it is handled: */
	struct xct_engine *eng;
	struct xct_result *res;
	xct_msec now;
	struct xct_flow *flow;
	enum xct_dir dir;
	bool is_dying; /* routing will refuse it: no late hook is to see it */
	struct xct_l4_ctx ctx;	 /* what its tracker is told, and finds */
	struct xct_tuple target; /* what it becomes, if it is translated */

	struct xct_pkt quoted; /* what an ICMP error is about */
};

/*
 * Packets are handled in three steps, so that many can be under way at once:
 *
 * read()     one IP packet of @len bytes in @data: what it says of itself. The
 *            only function that needs not be serialised with the others.
 * prepare()  several of them: has the cache fetch what they will need.
 * handle()   each of those: the verdict; the packet is rewritten in place.
 *
 * Between prepare() and the last handle() there is no other call.
 */
void xct_engine_read(const struct xct_engine *eng, uint8_t *data, uint32_t len,
		     const struct xct_meta *meta, struct xct_visit *visit);
void xct_engine_prepare(struct xct_engine *eng, struct xct_visit *visits,
			unsigned int n);
void xct_engine_handle(struct xct_engine *eng, struct xct_visit *visit,
		       xct_msec now, struct xct_result *result);

/* All three, for one packet. */
void xct_engine_packet(struct xct_engine *eng, uint8_t *data, uint32_t len,
		       const struct xct_meta *meta, xct_msec now,
		       struct xct_result *result);

/* Expire at most @budget flows. True if more are due. */
bool xct_engine_tick(struct xct_engine *eng, xct_msec now, uint32_t budget);

/* Show flows that match @filter (NULL: all) to @fn, in order of their records,
 * looking at no more than @max records from *@cursor (start with 0) on. @fn
 * returns false to stop before the next record. Returns true while there is
 * more; flows made or ended meanwhile may be missed, none is shown twice. */
bool xct_engine_walk(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
		     const struct xct_flow_filter *filter, uint32_t max,
		     bool (*fn)(void *ctx, const struct xct_flow_info *info),
		     void *ctx);

/* The same walk, deleting what it has shown, and, without showing them, flows
 * that match and are not confirmed yet. @fn may be NULL. */
bool xct_engine_delete(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
		       const struct xct_flow_filter *filter, uint32_t max,
		       bool (*fn)(void *ctx, const struct xct_flow_info *info),
		       void *ctx);

/* The same walk, making @change, which xct_flow_change_check() has found right,
 * and showing only the flows that are another after it, as they are then. With
 * XCT_CHANGE_ZERO all are shown, as they were. */
bool xct_engine_update(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
		       const struct xct_flow_update *update, uint32_t max,
		       bool (*fn)(void *ctx, const struct xct_flow_info *info),
		       void *ctx);

/* The same walk, showing what flows expect. */
bool xct_engine_expects(
	struct xct_engine *eng, uint32_t *cursor, xct_msec now, uint32_t max,
	bool (*fn)(void *ctx, const struct xct_expect_info *info), void *ctx);

/* The same walk, after which nobody expects @tuple (whose source port is not
 * looked at), or anything, if its family is 0. *@count grows by those who did. */
bool xct_engine_unexpect(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
			 const struct xct_tuple *tuple, uint32_t max,
			 uint64_t *count);

/* Can @change be made to flows of @proto (-1: of any)? 0; -EBUSY: it asks for a
 * status that only the engine gives; -EINVAL: a value is impossible. */
int xct_flow_change_check(const struct xct_flow_change *change, int proto);

/*
 * Make a flow by hand, as confirmed as one that packets have made. Whatever
 * @req holds, the table stays whole: -EINVAL: that is no flow; -EEXIST: one of
 * its tuples is another flow's, or no free one is left to translate to; -EBUSY
 * as above; -ENOMEM: the table is full.
 */
int xct_engine_create(struct xct_engine *eng, const struct xct_flow_create *req,
		      xct_msec now);

/* The same walk, showing what a snapshot keeps of each flow. */
bool xct_engine_save(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
		     uint32_t max,
		     bool (*fn)(void *ctx, const struct xct_saved_flow *saved),
		     void *ctx);

/*
 * Make a flow of a snapshot again. Whatever @saved holds, the table stays
 * whole. The flow keeps its id if that is higher than all that were given, so
 * flows are best restored in the order of their ids; else it gets a new one.
 */
enum xct_restored xct_engine_restore(struct xct_engine *eng,
				     const struct xct_saved_flow *saved,
				     xct_msec now);

/* Walk over flows that were masqueraded and end those whose address is gone;
 * *@n_awaited grows by those that still wait for it. Cursor, @max and result as
 * of the other walks. */
bool xct_engine_settle(struct xct_engine *eng, uint32_t *cursor, xct_msec now,
		       uint32_t max, uint32_t *n_awaited);

void xct_engine_stats(const struct xct_engine *eng,
		      struct xct_engine_stats *stats);

#endif
