/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controld/feed/copy.h"
#include "controld/feed/disk.h"
#include "controld/feed/envelope.h"
#include "controld/feed/filter.h"
#include "controld/feed/internal.h"
#include "controld/feed/session.h"
#include "controld/feed/tell.h"

enum {
	TICK_MS = 1000,
	RETRY_MIN_MS = 5000,
	RETRY_MAX_MS = 60000,
};

const char *const cp_feed_drop_names[CP_FEED_DROP_COUNT] = {
	[CP_FEED_DROP_QUEUE] = "queue",
	[CP_FEED_DROP_SPOOL] = "spool",
	[CP_FEED_DROP_DISK] = "disk",
	[CP_FEED_DROP_UNANSWERED] = "unanswered",
	[CP_FEED_DROP_MEMORY] = "memory",
};

/* Events. */

/* The kernel keeps what is not on disk yet. */
static void hold(struct cp_feed *feed)
{
	const struct cp_feed_write *first = STAILQ_FIRST(&feed->taken);

	if (!first)
		first = STAILQ_FIRST(&feed->pending);
	feed->observer.is_holding = feed->options.mode == CP_FEED_MODE_ALWAYS &&
				    first;
	if (first)
		feed->observer.held_from = first->item->position;
}

static int to_disk(struct cp_feed *feed, struct cp_feed_item *item,
		   bool is_read)
{
	if (!is_read && feed->options.mode == CP_FEED_MODE_OVERFLOW &&
	    feed->n_pending_bytes >= CP_FEED_PENDING_BYTES)
		return -ENOBUFS;
	return cp_feed_disk_put(feed, item, is_read);
}

static void take(struct cp_feed *feed, struct cp_feed_item *item)
{
	bool has_room = feed->queue.n_bytes < feed->options.queue_bytes &&
			!cp_feed_disk_is_behind(feed);
	int r = 0;

	if (feed->spool &&
	    (!has_room || feed->options.mode == CP_FEED_MODE_ALWAYS))
		r = to_disk(feed, item, has_room);
	else if (!has_room)
		r = -ENOBUFS;
	if (has_room) {
		feed->counts.unstored += r < 0;
		feed->queued = item->sequence;
		cp_feed_queue_put(&feed->queue, cp_feed_queue_ref(item));
		cp_feed_session_send(feed);
	} else if (r < 0) {
		feed->counts.dropped[r == -ENOMEM ? CP_FEED_DROP_MEMORY :
						    CP_FEED_DROP_QUEUE]++;
	}
}

static void told(struct cp_runtime_observer *observer,
		 const Sentinel__V1__RuntimeEvent *event, uint64_t number)
{
	struct cp_feed *feed =
		sn_container_of(observer, struct cp_feed, observer);
	sn_cleanup(cp_feed_queue_unrefp) struct cp_feed_item *item = NULL;
	struct cp_feed_envelope envelope;
	size_t size;

	(void)number;
	feed->counts.accepted++;
	cp_feed_envelope_fill(&envelope, event, feed->options.hostname);
	size = sentinel__v1__event_envelope__get_packed_size(&envelope.message);
	if (size <= CP_FEED_RECORD_EVENT_MAX)
		item = cp_feed_queue_new_item(size);
	if (!item) {
		feed->counts.dropped[CP_FEED_DROP_MEMORY]++;
		return;
	}
	(void)sentinel__v1__event_envelope__pack(&envelope.message,
						 item->bytes);
	(void)cp_feed_queue_name_item(item);
	item->sequence = ++feed->sequence;
	item->position = cp_runtime_get_position(feed->runtime);
	take(feed, item);
	hold(feed);
}

static void batch_told(struct cp_runtime_observer *observer)
{
	struct cp_feed *feed =
		sn_container_of(observer, struct cp_feed, observer);

	cp_feed_disk_begin(feed, false);
	hold(feed);
}

void cp_feed_drop_item(struct cp_feed *feed, struct cp_feed_item *item,
		       enum cp_feed_drop why)
{
	feed->counts.dropped[why]++;
	cp_feed_queue_remove(&feed->queue, item);
}

void cp_feed_changed(struct cp_feed *feed)
{
	if (feed->is_closing) {
		if (!feed->channel && !feed->is_last)
			cp_feed_disk_close(feed);
		return;
	}
	cp_feed_disk_begin(feed, false);
	hold(feed);
	cp_feed_session_send(feed);
}

/* Once it observes. */
static void begin(struct cp_feed *feed)
{
	if (!feed->runtime || feed->has_begun)
		return;
	feed->has_begun = true;
	cp_feed_disk_begin(feed, false);
	cp_feed_session_start(feed);
}

static void ticked(uv_timer_t *timer)
{
	struct cp_feed *feed = timer->data;

	cp_feed_filter_check(feed);
	begin(feed);
	if (!feed->runtime)
		return;
	cp_feed_session_check(feed);
	cp_feed_disk_begin(feed, true);
	hold(feed);
}

/* Life. */

int cp_feed_new(struct cp_feed **ret, const struct cp_feed_options *options)
{
	struct cp_feed *feed = calloc(1, sizeof(*feed));
	int r;

	if (!feed)
		return -ENOMEM;
	cp_feed_queue_init(&feed->queue);
	r = cp_feed_copy_options(options, &feed->options);
	if (r == 0)
		r = cp_feed_copy_filter(options->filter, &feed->filter);
	if (r == 0)
		r = cp_feed_session_init(feed);
	if (r < 0) {
		cp_feed_filter_done(feed);
		cp_feed_copy_done(&feed->options);
		free(feed);
		return r;
	}
	(void)uv_timer_init(options->loop, &feed->tick);
	feed->tick.data = feed;
	cp_feed_tell_init(feed);
	cp_feed_disk_open(feed);
	feed->observer = (struct cp_runtime_observer){
		.put_wanted = cp_feed_filter_put_wanted,
		.told = told,
		.batch_told = batch_told,
		.changed = cp_feed_filter_changed,
	};
	feed->filter_backoff = (struct cp_rpc_backoff){
		.min_ms = RETRY_MIN_MS,
		.max_ms = RETRY_MAX_MS,
	};
	*ret = feed;
	return 0;
}

int cp_feed_start(struct cp_feed *feed, struct cp_runtime *runtime)
{
	int r;

	feed->source = runtime;
	(void)uv_timer_start(&feed->tick, ticked, TICK_MS, TICK_MS);
	r = cp_feed_filter_want(feed);
	begin(feed);
	return r;
}

void cp_feed_get_status(const struct cp_feed *feed, struct cp_feed_status *ret)
{
	uint64_t n_out = feed->n_pending_out + feed->n_taken_out;

	*ret = (struct cp_feed_status){
		.name = feed->options.name,
		.url = feed->options.url,
		.is_insecure = !feed->url.is_tls,
		.state = feed->state,
		.error = feed->error,
		.filter_error = feed->is_withheld ? "" : feed->filter_error,
		.is_enabled = feed->filter.enabled,
		.no_events = cp_feed_filter_why_none(feed),
		.counts = feed->counts,
		.n_memory = feed->queue.n + n_out,
		.n_memory_bytes = feed->queue.n_bytes + feed->n_pending_bytes,
		.n_window = feed->queue.n_window,
		.n_disk = feed->disk.n_unread,
		.n_disk_bytes = feed->disk.n_bytes,
		.has_spool = feed->spool != NULL,
		.disk_error = feed->spool_error,
		.n_cut = feed->disk.n_cut,
		.tells = feed->tells,
		.n_reports = feed->outbox.n + (feed->telling != NULL),
		.n_report_bytes = feed->outbox.n_bytes,
		.report_error = feed->tell_error,
	};
	if (feed->disk.error != 0)
		ret->disk_error = strerror(-feed->disk.error);
	if (feed->telling)
		ret->n_report_bytes += cp_feed_outbox_cost(feed->telling);
}

void cp_feed_part_closed(struct cp_feed *feed)
{
	void (*closed)(void *userdata) = feed->closed;
	void *userdata = feed->closed_userdata;

	if (--feed->n_open > 0)
		return;
	cp_feed_tell_done(feed);
	cp_feed_disk_done(feed);
	cp_feed_queue_done(&feed->queue);
	cp_feed_filter_done(feed);
	cp_feed_copy_done(&feed->options);
	free(feed);
	closed(userdata);
}

static void handle_closed(uv_handle_t *handle)
{
	cp_feed_part_closed(handle->data);
}

void cp_feed_close(struct cp_feed *feed, void (*closed)(void *userdata),
		   void *userdata)
{
	feed->is_closing = true;
	feed->closed = closed;
	feed->closed_userdata = userdata;
	if (feed->runtime)
		cp_runtime_unobserve(feed->runtime, &feed->observer);
	feed->runtime = NULL;
	feed->n_open = 5; /* three timers, channel, disk */
	uv_close((uv_handle_t *)&feed->tick, handle_closed);
	uv_close((uv_handle_t *)&feed->timer, handle_closed);
	uv_close((uv_handle_t *)&feed->tell_timer, handle_closed);
	cp_feed_session_stop(feed);
	cp_feed_disk_close(feed);
}
