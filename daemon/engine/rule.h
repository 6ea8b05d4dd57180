/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A compiled policy. Built by the configuration compiler, immutable once the
 * engine has it, but for the hit counters. Rules are consulted when a
 * connection is NEW, never for packets of a flow that exists.
 *
 * Names of interfaces, addresses and ports used by rules are numbered: a rule
 * refers to a set by its index, XCT_ANY means that the condition is absent.
 */
#ifndef XCT_ENGINE_RULE_H
#define XCT_ENGINE_RULE_H

#include "common/addr.h"
#include "common/flow_info.h"
#include "common/names.h"

#define XCT_ANY	       UINT32_MAX
#define XCT_IFSETS_MAX 256 /* distinct sets of interfaces in one policy */

/* Interface names; a "*" at the end of a pattern matches any rest. */
struct xct_ifset {
	const char (*patterns)[XCT_IFNAMSIZ];
	uint32_t n;
};

/* Sorted by family, then first; ranges do not overlap. */
struct xct_addrset {
	const struct xct_addr_range *ranges;
	uint32_t n;
};

struct xct_port_range {
	uint16_t first; /* host byte order */
	uint16_t last;
};

/* Sorted, not overlapping. */
struct xct_portset {
	const struct xct_port_range *ranges;
	uint32_t n;
};

/* A set of 8-bit numbers: protocols, ICMP types. */
struct xct_byteset {
	uint64_t bits[4];
};

static inline bool xct_byteset_has(const struct xct_byteset *s, uint8_t v)
{
	return s->bits[v >> 6] >> (v & 63) & 1;
}

static inline void xct_byteset_add(struct xct_byteset *s, uint8_t v)
{
	s->bits[v >> 6] |= UINT64_C(1) << (v & 63);
}

struct xct_icmpset {
	struct xct_byteset type[2]; /* [0] ICMP, [1] ICMPv6 */
	int16_t code;		    /* -1: any */
};

/* Conditions; all of them must hold. */
struct xct_match {
	uint32_t in; /* index into ifsets, or XCT_ANY */
	uint32_t out;
	uint32_t src;	    /* index into addrsets */
	uint32_t dst;	    /* as the packet is now: after DNAT, before SNAT */
	uint32_t sport;	    /* index into portsets */
	uint32_t dport;	    /* as it is now, after DNAT */
	uint32_t proto;	    /* index into protosets */
	uint32_t icmp;	    /* index into icmpsets */
	uint8_t family;	    /* AF_INET, AF_INET6, 0: both */
	uint8_t classes;    /* bit per enum xct_class; rules: NEW if not said */
	uint8_t translated; /* 1: source, 2: destination is; 3: either */
};

enum xct_action {
	XCT_ACT_ACCEPT, /* filter */
	XCT_ACT_DROP,
	XCT_ACT_REJECT,
	XCT_ACT_LOG,	    /* only log, or set mark or labels, and go on */
	XCT_ACT_MASQUERADE, /* nat */
	XCT_ACT_SNAT,
	XCT_ACT_DNAT,
	XCT_ACT_REDIRECT,
	XCT_ACT_EXEMPT, /* neither source nor destination is translated */
};

/* What a rejected connection is answered with. */
enum xct_reject {
	XCT_REJECT_AUTO, /* TCP: reset, other: port unreachable */
	XCT_REJECT_TCP_RESET,
	XCT_REJECT_PORT,  /* port unreachable */
	XCT_REJECT_HOST,  /* host (IPv6: address) unreachable */
	XCT_REJECT_NET,	  /* net unreachable (IPv6: no route) */
	XCT_REJECT_ADMIN, /* administratively prohibited */
	XCT_REJECT_PROTO, /* protocol unreachable (IPv6: port) */
};

/* Where NAT may translate to. */
struct xct_nat_range {
	struct xct_addr_range addr; /* family 0: no address given */
	uint16_t port_first;	    /* host byte order; 0: no ports given */
	uint16_t port_last;
	bool is_random;	    /* do not try to keep the port */
	bool is_persistent; /* one client, one address of the range */
};

struct xct_rule {
	struct xct_match match;
	uint8_t action; /* enum xct_action */
	uint8_t reject; /* enum xct_reject */
	bool log;	/* report each connection it matches */
	bool has_mark;
	bool is_local;	/* DNAT, redirect: for connections this host makes */
	uint8_t helper; /* enum xct_helper_id: reads in the connection */
	uint32_t mark;	/* the flow's mark is set to this */
	struct xct_labels labels; /* the flow gets these */
	uint32_t id;		  /* index of its counter in xct_ruleset.hits */
	uint32_t line;		  /* in the file */
	struct xct_nat_range nat;
	const char *name; /* as in the file, or made from its line */
};

enum xct_chain_id {
	XCT_CHAIN_FORWARD,
	XCT_CHAIN_INPUT,
	XCT_CHAIN_OUTPUT,
	XCT_CHAINS,
};

struct xct_chain {
	const struct xct_rule *rules;
	uint32_t n;
	uint8_t policy;	    /* XCT_ACT_ACCEPT, _DROP, _REJECT */
	uint8_t reject;	    /* enum xct_reject */
	uint8_t classes;    /* every class some rule here asks for */
	uint32_t policy_id; /* counter of what no rule matched */
};

/* What comes in like this is tracked in a zone of its own. */
struct xct_zone {
	uint32_t in;  /* index into ifsets, or XCT_ANY */
	uint32_t src; /* index into addrsets, or XCT_ANY */
	uint32_t mark;
	uint32_t mark_mask; /* of the packet's mark these bits are compared */
	uint16_t zone;
};

struct xct_ruleset {
	struct xct_chain chain[XCT_CHAINS];
	const struct xct_rule *dnat; /* DNAT, REDIRECT and EXEMPT, in order */
	uint32_t n_dnat;
	const struct xct_rule *snat; /* SNAT, MASQUERADE and EXEMPT, in order */
	uint32_t n_snat;
	uint8_t invalid; /* ACCEPT or DROP; rules for class INVALID go first */
	bool log_invalid;

	const struct xct_ifset *ifsets;
	const struct xct_addrset *addrsets;
	const struct xct_portset *portsets;
	const struct xct_byteset *protosets;
	const struct xct_icmpset *icmpsets;
	uint32_t n_ifsets, n_addrsets, n_portsets, n_protosets, n_icmpsets;

	const struct xct_zone *zones; /* the first that matches counts */
	uint32_t n_zones;
	bool has_packet_zones; /* some look at more than the interface */

	uint64_t *hits; /* [n_hits] connections per rule; written by engine */
	uint32_t n_hits;
};

/* What rules look at. */
struct xct_subject {
	const struct xct_tuple *tuple; /* as the packet is now */
	enum xct_class cls;
	uint32_t status; /* of the flow: what is translated already */
	/* Bit i: the packet's interface is in ifset i. */
	uint64_t in[XCT_IFSETS_MAX / 64];
	uint64_t out[XCT_IFSETS_MAX / 64];
	bool is_local; /* made by this host */
};

/* Set the bits of @bits for the sets that @name (NULL: no interface) is in. */
void xct_ifsets_of(const struct xct_ruleset *rs, const char *name,
		   uint64_t bits[static XCT_IFSETS_MAX / 64]);

/* Does @pattern ("eth0", "vlan*") match the interface @name? */
bool xct_ifname_match(const char *pattern, const char *name);

bool xct_rule_match(const struct xct_ruleset *rs, const struct xct_rule *rule,
		    const struct xct_subject *subject);

/* The zone of a packet from @src with @mark by an interface that is in the
 * ifsets of @in. */
uint16_t xct_zone_match(const struct xct_ruleset *rs, const uint64_t *in,
			uint8_t family, const struct xct_addr *src,
			uint32_t mark);

bool xct_addrset_has(const struct xct_addrset *set, uint8_t family,
		     const struct xct_addr *addr);
bool xct_portset_has(const struct xct_portset *set, uint16_t port);

#endif
