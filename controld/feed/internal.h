/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A feed's own data, for controld/feed only. */

#include "controld/feed/feed.h"
#include "controld/feed/outbox.h"
#include "controld/feed/queue.h"
#include "controld/feed/spool.h"
#include "controld/rpc/backoff.h"
#include "controld/rpc/outcall.h"

struct cp_feed_write {
	STAILQ_ENTRY(cp_feed_write) link;
	struct cp_feed_item *item;
	bool is_read; /* it is in the queue, too */
};

STAILQ_HEAD(cp_feed_writes, cp_feed_write);

struct cp_feed {
	struct cp_feed_options options;
	/* What it wants (filter.c). */
	struct cp_config_runtime_rule filter;
	struct cp_config_runtime_rule before; /* in force meanwhile */
	bool is_changing; /* filter is on its way to the kernel */
	bool has_before;
	bool is_withheld; /* filter is not wanted before retry_ms, and nothing is */
	uint64_t retry_ms;
	struct cp_rpc_backoff filter_backoff;
	char filter_error[CP_FEED_ERROR_BYTES]; /* of the last; "": none */
	struct cp_runtime *source; /* once it is started */
	struct cp_runtime *runtime; /* NULL: takes no events */
	bool has_begun; /* to send them */
	struct cp_runtime_observer observer;
	struct cp_feed_counts counts;
	struct cp_feed_queue queue;
	uint64_t sequence; /* of the last event */
	uint64_t queued; /* sequence of the last one that came into the queue */
	uv_timer_t tick;

	/* The stream (session.c). */
	enum cp_feed_state state;
	struct cp_rpc_channel *channel;
	struct cp_rpc_outcall *call; /* NULL: none */
	struct cp_rpc_url url;
	struct cp_rpc_backoff backoff;
	uv_timer_t timer; /* pause, or limit of connecting */
	uint64_t connected_at_ms;
	uint64_t sent_at_ms;
	uint64_t turn_at_ms; /* when what was sent first was answered */
	bool is_writable;
	char error[CP_FEED_ERROR_BYTES];

	/* Findings (tell.c). */
	bool tells;
	struct cp_feed_outbox outbox;
	struct cp_feed_outbox_item *telling; /* under way; NULL: none */
	struct cp_rpc_backoff tell_backoff;
	uv_timer_t tell_timer; /* pause */
	char tell_error[CP_FEED_ERROR_BYTES]; /* of the last report */

	/* The spool (disk.c). */
	struct cp_feed_spool *spool; /* NULL: none; the worker's in a turn */
	struct cp_feed_spool_stats disk; /* after the last turn */
	struct cp_feed_writes pending; /* in the order of sequence */
	size_t n_pending_bytes;
	size_t n_pending_out; /* of these: not in the queue */
	struct cp_feed_writes taken; /* by the worker */
	size_t n_taken;
	size_t n_taken_out;
	uv_work_t work;
	bool is_working;
	bool is_last; /* the turn that ends it */
	bool saves; /* the turn writes the position */
	uint64_t below; /* for the turn: everything below is answered */
	size_t want_bytes; /* to be read in the turn */
	size_t n_written;
	size_t n_left; /* by the last turn: that are on no disk */
	TAILQ_HEAD(, cp_feed_item) found; /* that was read */
	int disk_error; /* of the last write */
	char spool_error[CP_FEED_ERROR_BYTES]; /* it could not be opened */

	bool is_closing;
	unsigned int n_open; /* handles and parts that have not closed */
	void (*closed)(void *userdata);
	void *closed_userdata;
};

/* feed.c: the disk has had a turn. */
void cp_feed_changed(struct cp_feed *feed);
/* A handle or part has closed. */
void cp_feed_part_closed(struct cp_feed *feed);
/* It leaves the queue and is no more. */
void cp_feed_drop_item(struct cp_feed *feed, struct cp_feed_item *item,
		       enum cp_feed_drop why);
