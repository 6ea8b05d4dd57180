/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The protocol of the control socket (a unix stream socket).
 *
 * The client sends one request frame; xctd answers with any number of data
 * frames and exactly one END frame, then waits for the next request. A frame
 * is this header and @len bytes of payload. Both ends run on one host, so
 * numbers are in host byte order. A frame with a wrong magic or version, an
 * unknown type or a length beyond the limit ends the connection.
 */
#ifndef XCT_COMMON_FRAME_H
#define XCT_COMMON_FRAME_H

#include "common/flow_event.h"
#include "common/snapshot.h"

#define XCT_FRAME_MAGIC 0x58435404u   /* "XCT", protocol version 4 */
#define XCT_FRAME_MAX	(256u * 1024) /* payload of a frame from xctd */
#define XCT_REQUEST_MAX 4096u	      /* payload of a request */
#define XCT_RESTORE_MAX (XCT_REQUEST_MAX / sizeof(struct xct_saved_flow))
#define XCT_SOCKET_PATH "/run/xct/xctd.sock"

/* A successor may be of another version: TAKEOVER and LEAVE, and the answers to
 * them, are the same in all since version 2. */
#define XCT_FRAME_MAGIC_TAKEOVER 0x58435402u

enum xct_frame_type {
	/* requests; (f) carries a struct xct_flow_filter, (u) a struct
	 * xct_flow_update, (c) a struct xct_flow_create, (e) a struct
	 * xct_flow_follow, (s) an array of struct xct_saved_flow, (w) a struct
	 * xct_frame_written, (t) a struct xct_tuple, the others nothing */
	XCT_REQ_LIST = 1, /* (f) -> FLOWS... */
	XCT_REQ_COUNT,	  /* -> END.count */
	XCT_REQ_DELETE,	  /* (f) -> FLOWS..., what was deleted [change] */
	XCT_REQ_FLUSH,	  /* -> END.count flows deleted [change] */
	XCT_REQ_STATS,	  /* -> JSON */
	XCT_REQ_RULES,	  /* -> JSON */
	XCT_REQ_STATUS,	  /* -> JSON */
	XCT_REQ_HOOKS,	  /* -> TEXT: what iptables-restore was given */
	XCT_REQ_RELOAD,	  /* -> TEXT: messages, also of success [change] */
	XCT_REQ_UPDATE,	  /* (u) -> FLOWS..., what was changed [change] */
	XCT_REQ_CREATE,	  /* (c) -> END [change] */
	XCT_REQ_TAKEOVER, /* -> FD... [change] */
	XCT_REQ_LEAVE,	  /* -> END, then xctd exits [change] */
	XCT_REQ_EVENTS,	  /* (e) -> EVENTS..., without an end */
	XCT_REQ_SAVE,	 /* -> SAVED...: secret, they allow to forge [change] */
	XCT_REQ_WRITTEN, /* (w) -> END: what became of it [change] */
	XCT_REQ_RESTORE, /* (s) -> RESTORED, END.count loaded [change] */
	XCT_REQ_EXPECTS, /* -> EXPECTS..., END.count of them */
	/* (t) -> END.count: who expected that, or (family 0) anything [change] */
	XCT_REQ_UNEXPECT,
	XCT_REQ_END,

	/* answers */
	XCT_RSP_FLOWS = 64, /* an array of struct xct_flow_info */
	XCT_RSP_JSON,	    /* one JSON object, UTF-8, no final NUL */
	XCT_RSP_TEXT,	    /* UTF-8, no final NUL */
	XCT_RSP_FD,	/* a name, with a descriptor beside it (SCM_RIGHTS) */
	XCT_RSP_END,	/* struct xct_frame_end */
	XCT_RSP_EVENTS, /* an array of struct xct_flow_event; the first: none */
	XCT_RSP_SAVED,	/* an array of struct xct_saved_flow */
	XCT_RSP_RESTORED, /* uint32_t [XCT_RESTORED_COUNT]: flows by fate */
	XCT_RSP_EXPECTS,  /* an array of struct xct_expect_info */
};

enum xct_end_status {
	XCT_END_OK = 0,
	XCT_END_FAILED,	     /* .error, or the TEXT before, says why */
	XCT_END_DENIED,	     /* peer may read but not change */
	XCT_END_CONFIG,	     /* new rules are wrong, the old ones stay */
	XCT_END_BAD_REQUEST, /* payload of the wrong size */
};

struct xct_frame {
	uint32_t magic; /* XCT_FRAME_MAGIC, or _TAKEOVER */
	uint32_t len;	/* bytes that follow */
	uint16_t type;	/* enum xct_frame_type */
	uint16_t flags; /* 0 */
};

/* A client has tried to write what SAVE has shown. */
struct xct_frame_written {
	uint64_t n;	/* flows */
	uint32_t error; /* errno; 0: they are safe */
	uint32_t pad;
};

struct xct_frame_end {
	uint32_t status; /* enum xct_end_status */
	uint32_t error;	 /* errno of some that are FAILED; else 0 */
	uint64_t count;	 /* flows shown, counted, deleted, made or changed */
};

#endif
