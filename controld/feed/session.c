/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/session.h"

#include <grpc/status.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controld/feed/disk.h"
#include "controld/feed/internal.h"
#include "controld/feed/tell.h"
#include "shared/log.h"

#define METHOD "/sentinel.v1.DetectorService/StreamEvents"

static void pause_over(uv_timer_t *timer);

static uint64_t now_ms(const struct cp_feed *feed)
{
	return uv_now(feed->options.loop);
}

/* The stream or the attempt has ended: what was not answered is sent again. */
static void fail(struct cp_feed *feed, const char *text)
{
	bool was_streaming = feed->state == CP_FEED_STATE_STREAMING;
	char error[CP_FEED_ERROR_BYTES];
	uint64_t pause_ms;
	bool is_news;

	(void)snprintf(error, sizeof(error), "%s: %.400s", feed->options.url,
		       text);
	is_news = was_streaming || strcmp(error, feed->error) != 0;
	(void)memcpy(feed->error, error, sizeof(error));
	feed->state = CP_FEED_STATE_WAITING;
	feed->call = NULL;
	if (was_streaming)
		cp_rpc_backoff_held(&feed->backoff,
				    now_ms(feed) - feed->connected_at_ms);
	cp_feed_queue_rewind(&feed->queue);
	pause_ms = cp_rpc_backoff_next(&feed->backoff, cp_rpc_backoff_random());
	sn_log(is_news ? SN_LOG_WARNING : SN_LOG_DEBUG,
	       "detector name=%s disconnected error='%s' pause=%" PRIu64
	       "ms: its events wait",
	       feed->options.name, feed->error, pause_ms);
	(void)uv_timer_start(&feed->timer, pause_over, pause_ms, 0);
}

static void drop_call(struct cp_feed *feed, const char *text)
{
	cp_rpc_outcall_drop(sn_steal(&feed->call));
	fail(feed, text);
}

/* One that answers anomalies only: what so many came behind is done. */
static void pass_silently(struct cp_feed *feed)
{
	if (!feed->options.is_silent ||
	    feed->queue.n_window < feed->options.window)
		return;
	feed->counts.delivered++;
	cp_feed_queue_remove(&feed->queue, cp_feed_queue_oldest(&feed->queue));
}

void cp_feed_session_send(struct cp_feed *feed)
{
	const struct cp_feed_item *item = feed->queue.next;

	if (!feed->call || !feed->is_writable || !item ||
	    feed->state != CP_FEED_STATE_STREAMING)
		return;
	pass_silently(feed);
	if (feed->queue.n_window >= feed->options.window ||
	    cp_rpc_outcall_send(feed->call, item->bytes, item->size) != 0)
		return;
	feed->is_writable = false;
	feed->sent_at_ms = now_ms(feed);
	feed->counts.sent++;
	cp_feed_queue_sent(&feed->queue, feed->sent_at_ms);
}

static void writable(void *userdata)
{
	struct cp_feed *feed = userdata;

	feed->is_writable = true;
	if (feed->state == CP_FEED_STATE_CONNECTING) {
		(void)uv_timer_stop(&feed->timer);
		feed->state = CP_FEED_STATE_STREAMING;
		feed->connected_at_ms = now_ms(feed);
		cp_feed_tell_send(feed);
	}
	cp_feed_session_send(feed);
	/* What was passed silently has left room. */
	cp_feed_disk_begin(feed, false);
}

/* Answers. */

static void take_answer(struct cp_feed *feed,
			const struct cp_feed_answer *answer)
{
	struct cp_feed_item *item = cp_feed_queue_find(&feed->queue, answer->id,
						       strlen(answer->id));

	feed->counts.wrong_scores += answer->is_score_wrong;
	feed->counts.cut_reasons += answer->is_reason_cut;
	if (!item) {
		feed->counts.unknown++;
		return;
	}
	if (answer->is_anomaly) {
		feed->counts.anomalies++;
		if (feed->options.found)
			feed->options.found(feed->options.userdata,
					    feed->options.name, answer,
					    item->bytes, item->size);
	}
	if (item == cp_feed_queue_oldest(&feed->queue))
		feed->turn_at_ms = now_ms(feed);
	feed->counts.delivered++;
	cp_feed_queue_remove(&feed->queue, item);
}

static void message(void *userdata, const void *data, size_t size)
{
	struct cp_feed *feed = userdata;
	struct cp_feed_answer answer;

	if (cp_feed_answer_read(data, size, &answer))
		take_answer(feed, &answer);
	else
		feed->counts.malformed++;
	cp_rpc_outcall_next(feed->call);
	cp_feed_session_send(feed);
	cp_feed_disk_begin(feed, false);
}

static void ended(void *userdata, const struct cp_rpc_status *status)
{
	struct cp_feed *feed = userdata;
	char text[CP_FEED_ERROR_BYTES];

	if (status->code == GRPC_STATUS_OK)
		(void)snprintf(text, sizeof(text),
			       "the detector ended the stream");
	else
		(void)snprintf(text, sizeof(text), "%s: %.400s",
			       cp_rpc_status_name(status->code), status->text);
	fail(feed, text);
}

/* Since when the oldest one could be answered: whoever works on those before it
 * has not left it alone. */
static uint64_t turn_of(const struct cp_feed *feed,
			const struct cp_feed_item *oldest)
{
	return SN_MAX(oldest->sent_ms, feed->turn_at_ms);
}

void cp_feed_session_check(struct cp_feed *feed)
{
	struct cp_feed_item *oldest = cp_feed_queue_oldest(&feed->queue);
	uint64_t limit_ms = feed->options.answer_timeout_ms;
	uint64_t now = now_ms(feed);

	if (feed->state != CP_FEED_STATE_STREAMING)
		return;
	if (!feed->is_writable && now - feed->sent_at_ms > limit_ms) {
		drop_call(feed, "the detector does not read");
		return;
	}
	if (feed->options.is_silent || !oldest ||
	    now - turn_of(feed, oldest) <= limit_ms)
		return;
	cp_feed_queue_left(&feed->queue);
	if (oldest->n_vain >= CP_FEED_TRIES_MAX)
		cp_feed_drop_item(feed, oldest, CP_FEED_DROP_UNANSWERED);
	drop_call(feed, "the detector does not answer");
}

/* Connecting. */

static void too_late(uv_timer_t *timer)
{
	drop_call(timer->data, "no connection came about");
}

static const struct cp_rpc_outcall_events call_events = {
	.writable = writable,
	.message = message,
	.ended = ended,
};

static void opened(void *userdata, int r, const struct sn_diag *diag)
{
	struct cp_feed *feed = userdata;

	if (r == 0)
		r = cp_rpc_outcall_new(&feed->call, feed->channel, METHOD,
				       &call_events, feed);
	if (r) {
		fail(feed, diag->text[0] ? diag->text : strerror(-r));
		return;
	}
	feed->counts.sessions++;
	feed->is_writable = false;
	cp_rpc_outcall_next(feed->call);
	(void)uv_timer_start(&feed->timer, too_late,
			     feed->options.connect_timeout_ms, 0);
}

void cp_feed_session_start(struct cp_feed *feed)
{
	const struct cp_feed_options *options = &feed->options;
	struct cp_rpc_channel_options channel = {
		.files = options->files,
		.n_pins = options->n_pins,
		.max_message_bytes = options->max_message_bytes,
		.keepalive_ms = (unsigned int)options->keepalive_ms,
		.keepalive_timeout_ms =
			(unsigned int)options->keepalive_timeout_ms,
	};
	struct sn_diag diag = { 0 };
	int r;

	feed->state = CP_FEED_STATE_CONNECTING;
	r = cp_rpc_url_parse(options->url, &feed->url, &diag);
	if (r) {
		fail(feed, diag.text);
		return;
	}
	channel.url = feed->url;
	for (size_t i = 0; i < options->n_pins; i++)
		channel.pins[i] = options->pins[i];
	r = cp_rpc_channel_open(feed->channel, &channel, opened, feed);
	if (r < 0)
		fail(feed, strerror(-r));
}

static void pause_over(uv_timer_t *timer)
{
	cp_feed_session_start(timer->data);
}

int cp_feed_session_init(struct cp_feed *feed)
{
	int r = cp_rpc_channel_new(&feed->channel, feed->options.loop);

	if (r < 0)
		return r;
	feed->backoff = (struct cp_rpc_backoff){
		.min_ms = feed->options.backoff_min_ms,
		.max_ms = feed->options.backoff_max_ms,
	};
	(void)uv_timer_init(feed->options.loop, &feed->timer);
	feed->timer.data = feed;
	return 0;
}

static void channel_closed(void *userdata)
{
	cp_feed_part_closed(userdata);
}

void cp_feed_session_stop(struct cp_feed *feed)
{
	(void)uv_timer_stop(&feed->timer);
	if (feed->call)
		cp_rpc_outcall_drop(sn_steal(&feed->call));
	feed->state = CP_FEED_STATE_WAITING;
	cp_rpc_channel_close(sn_steal(&feed->channel), channel_closed, feed);
}
