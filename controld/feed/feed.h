/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A feed gives the runtime events of one filter to one detector
 * (proto/sentinel/v1/detector.proto), each until it is answered. Events wait in
 * memory up to a bound, then on disk if there is a spool, then the oldest are
 * dropped. Whatever the detector does, the loop goes on: one message is under
 * way in each direction, and files are a worker's. Every event is accounted for:
 *   accepted + recovered = delivered + in memory + on disk + dropped
 * All on the loop's thread. */

#include <uv.h>

#include "controld/config/runtime.h"
#include "controld/feed/answer.h"
#include "controld/rpc/channel.h"
#include "controld/runtime/runtime.h"

enum {
	CP_FEED_NAME_BYTES = 64,
	CP_FEED_ERROR_BYTES = 512,
	/* An event that was unanswered when so many sessions were left for
	 * want of answers is dropped; those that the detector ended do not
	 * count. */
	CP_FEED_TRIES_MAX = 4,
	/* That wait to be written in mode overflow; as much may be with the
	 * worker. */
	CP_FEED_PENDING_BYTES = 8 << 20,
};

struct cp_feed;

/* When events are written to the spool. */
enum cp_feed_mode {
	CP_FEED_MODE_OVERFLOW, /* what has no room in memory */
	/* All, and the kernel keeps what is not on disk: neither a crash of
	 * the daemon nor of the host loses what was accepted. */
	CP_FEED_MODE_ALWAYS,
};

/* Texts are copied, filter as well. */
struct cp_feed_options {
	uv_loop_t *loop;
	const char *name;
	const char *hostname;
	const char *url; /* checked by cp_rpc_url_parse() */
	struct cp_rpc_secrets_files files;
	const struct cp_rpc_peer_pin *pins;
	size_t n_pins;
	const struct cp_config_runtime_rule *filter;
	size_t max_message_bytes; /* of an answer */
	size_t queue_bytes;
	size_t window; /* events that may be unanswered */
	bool is_silent; /* answers anomalies only */
	uint64_t connect_timeout_ms;
	uint64_t answer_timeout_ms;
	uint64_t keepalive_ms;
	uint64_t keepalive_timeout_ms;
	uint64_t backoff_min_ms;
	uint64_t backoff_max_ms;
	const char *spool; /* folder; NULL: none */
	uint64_t spool_bytes;
	enum cp_feed_mode mode;
	/* The detector found one; event: a packed EventEnvelope. NULL: nobody
	 * wants to know. */
	void (*found)(void *userdata, const char *detector,
		      const struct cp_feed_answer *answer, const void *event,
		      size_t event_bytes);
	void *userdata;
};

enum cp_feed_drop {
	CP_FEED_DROP_QUEUE, /* no room in memory, and no spool or a slow one */
	CP_FEED_DROP_SPOOL, /* the oldest of a spool that is full */
	CP_FEED_DROP_DISK, /* could not be written, or not be read again */
	CP_FEED_DROP_UNANSWERED, /* after CP_FEED_TRIES_MAX sessions */
	CP_FEED_DROP_MEMORY,
	CP_FEED_DROP_COUNT,
};

/* By enum cp_feed_drop. */
extern const char *const cp_feed_drop_names[CP_FEED_DROP_COUNT];

enum cp_feed_state {
	CP_FEED_STATE_WAITING, /* before the next attempt */
	CP_FEED_STATE_CONNECTING,
	CP_FEED_STATE_STREAMING,
};

struct cp_feed_counts {
	uint64_t accepted; /* that the filter wants, since the start */
	uint64_t recovered; /* that were in the spool at the start */
	uint64_t delivered;
	uint64_t dropped[CP_FEED_DROP_COUNT];
	uint64_t sent; /* how often events were sent, again included */
	uint64_t anomalies;
	uint64_t unknown; /* answers for events that do not wait for one */
	uint64_t malformed; /* answers that cannot be read */
	uint64_t wrong_scores; /* not from 0 to 1; taken for 0 */
	uint64_t cut_reasons;
	uint64_t sessions; /* streams that were begun */
	uint64_t unstored; /* in memory, but not on disk as they should be */
	/* Findings that it is to be told of, and of these: taken, refused, and
	 * without room or memory, or given up with the option. */
	uint64_t reports;
	uint64_t reports_sent;
	uint64_t reports_refused;
	uint64_t reports_dropped;
};

/* Borrowed pointers, good until the loop goes on. */
struct cp_feed_status {
	const char *name;
	const char *url;
	bool is_insecure; /* plain text */
	enum cp_feed_state state;
	const char *error; /* of the last attempt or stream; "": none */
	bool is_enabled;
	const char *no_events; /* why it gets none; "": it does, or is off */
	const char *filter_error; /* of one that was refused; "": none */
	struct cp_feed_counts counts;
	uint64_t n_memory; /* events that wait there and nowhere else */
	uint64_t n_memory_bytes;
	uint64_t n_window; /* of these: that were sent */
	uint64_t n_disk; /* that wait on disk only */
	uint64_t n_disk_bytes; /* of all files */
	bool has_spool;
	const char *disk_error; /* "": none */
	uint64_t n_cut; /* ends of files that a crash left */
	bool tells; /* it is told of findings */
	uint64_t n_reports; /* that wait, and the one under way */
	uint64_t n_report_bytes;
	const char *report_error; /* why the last one was not taken; "": none */
};

/* Also opens the spool, which blocks for as long as reading it takes. A spool
 * that cannot be opened is logged, and there is none. */
int cp_feed_new(struct cp_feed **ret, const struct cp_feed_options *options);
/* Begins to take events, and to connect. 0, -errno, or CP_RUNTIME_E_FULL: it does
 * so when there is room. */
int cp_feed_start(struct cp_feed *feed, struct cp_runtime *runtime);
void cp_feed_get_status(const struct cp_feed *feed, struct cp_feed_status *ret);
/* Takes no more events, ends the stream and writes what waits to the spool, if
 * there is one; then frees the feed and calls closed from the loop. */
void cp_feed_close(struct cp_feed *feed, void (*closed)(void *userdata),
		   void *userdata);
