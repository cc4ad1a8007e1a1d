/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/tell.h"

#include <grpc/status.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controld/feed/anomaly.h"
#include "controld/feed/internal.h"
#include "controld/rpc/message.h"
#include "shared/log.h"

#define METHOD "/sentinel.v1.DetectorService/ReportAnomaly"

/* What becomes of a report whose call failed. */
enum fate {
	FATE_REFUSED, /* another attempt would not help */
	FATE_WAITS, /* it has nothing to do with the report */
	FATE_TRIED, /* it may have: as often as an event is tried */
};

static enum fate judge(int code)
{
	switch (code) {
	case GRPC_STATUS_INVALID_ARGUMENT:
	case GRPC_STATUS_NOT_FOUND:
	case GRPC_STATUS_ALREADY_EXISTS:
	case GRPC_STATUS_FAILED_PRECONDITION:
	case GRPC_STATUS_OUT_OF_RANGE:
	case GRPC_STATUS_UNIMPLEMENTED:
		return FATE_REFUSED;
	case GRPC_STATUS_UNAVAILABLE:
	case GRPC_STATUS_CANCELLED:
	case GRPC_STATUS_RESOURCE_EXHAUSTED:
	case GRPC_STATUS_PERMISSION_DENIED:
	case GRPC_STATUS_UNAUTHENTICATED:
		return FATE_WAITS;
	default:
		return FATE_TRIED;
	}
}

static void set_error(struct cp_feed *feed, const char *text, const char *next)
{
	bool is_news = strcmp(text, feed->tell_error) != 0;

	if (!feed->tells)
		return;
	(void)snprintf(feed->tell_error, sizeof(feed->tell_error), "%s", text);
	sn_log(is_news ? SN_LOG_WARNING : SN_LOG_DEBUG,
	       "detector name=%s report error='%s': %s", feed->options.name,
	       text, next);
}

static void pause_over(uv_timer_t *timer)
{
	cp_feed_tell_send(timer->data);
}

/* Later ones wait behind it, so that they come in order. */
static void retry(struct cp_feed *feed, struct cp_feed_outbox_item *item,
		  const char *text)
{
	uint64_t pause_ms;

	if (!feed->tells || feed->is_closing) {
		feed->counts.reports_dropped++;
		cp_feed_outbox_free_item(item);
		return;
	}
	feed->counts.reports_dropped +=
		cp_feed_outbox_put_back(&feed->outbox, item);
	pause_ms = cp_rpc_backoff_next(&feed->tell_backoff,
				       cp_rpc_backoff_random());
	set_error(feed, text, "it is sent again");
	(void)uv_timer_start(&feed->tell_timer, pause_over, pause_ms, 0);
}

static void failed(struct cp_feed *feed, struct cp_feed_outbox_item *item,
		   const struct cp_rpc_status *status)
{
	enum fate fate = judge(status->code);
	char text[CP_FEED_ERROR_BYTES];

	(void)snprintf(text, sizeof(text), "%s: %.400s",
		       cp_rpc_status_name(status->code), status->text);
	if (fate == FATE_WAITS ||
	    (fate == FATE_TRIED && ++item->n_tries < CP_FEED_TRIES_MAX)) {
		retry(feed, item, text);
		return;
	}
	feed->counts.reports_refused++;
	cp_feed_outbox_free_item(item);
	set_error(feed, text, "it is not sent again");
}

static void done(void *userdata, const struct cp_rpc_status *status,
		 ProtobufCMessage *answer)
{
	struct cp_feed *feed = userdata;
	struct cp_feed_outbox_item *item = sn_steal(&feed->telling);

	cp_rpc_message_free(answer);
	if (status->code == GRPC_STATUS_OK) {
		feed->counts.reports_sent++;
		feed->tell_backoff.last_ms = 0;
		feed->tell_error[0] = '\0';
		cp_feed_outbox_free_item(item);
	} else {
		failed(feed, item, status);
	}
	cp_feed_tell_send(feed);
}

static int ask(struct cp_feed *feed, const struct cp_feed_outbox_item *item)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message = NULL;
	struct sn_diag diag = { .text = "" };
	int r = cp_rpc_message_unpack(&sentinel__v1__anomaly_report__descriptor,
				      item->bytes, item->size, &message, &diag);

	if (r != 0)
		return r < 0 ? r : -ENOMEM;
	return cp_rpc_outcall_ask(feed->channel, METHOD, message,
				  &google__protobuf__empty__descriptor,
				  (unsigned int)feed->options.answer_timeout_ms,
				  done, feed);
}

void cp_feed_tell_send(struct cp_feed *feed)
{
	struct cp_feed_outbox_item *item;
	int r;

	if (feed->is_closing || feed->telling ||
	    feed->state != CP_FEED_STATE_STREAMING ||
	    uv_is_active((const uv_handle_t *)&feed->tell_timer))
		return;
	item = cp_feed_outbox_take(&feed->outbox);
	if (!item)
		return;
	r = ask(feed, item);
	if (r < 0)
		retry(feed, item, strerror(-r));
	else
		feed->telling = item;
}

static struct cp_feed_outbox_item *pack(const struct cp_feed *feed,
					const Sentinel__V1__Finding *finding)
{
	struct cp_feed_outbox_item *item;
	struct cp_feed_anomaly report;

	cp_feed_anomaly_fill(&report, finding, feed->options.hostname);
	item = cp_feed_outbox_new_item(
		sentinel__v1__anomaly_report__get_packed_size(&report.message));
	if (item)
		(void)sentinel__v1__anomaly_report__pack(&report.message,
							 item->bytes);
	return item;
}

void cp_feed_tell_put(struct cp_feed *feed,
		      const Sentinel__V1__Finding *finding)
{
	struct cp_feed_outbox_item *item;

	if (!feed->tells || !finding->rule[0])
		return;
	feed->counts.reports++;
	item = pack(feed, finding);
	if (!item) {
		feed->counts.reports_dropped++;
		return;
	}
	feed->counts.reports_dropped += cp_feed_outbox_put(&feed->outbox, item);
	cp_feed_tell_send(feed);
}

void cp_feed_tell_switch(struct cp_feed *feed, bool on)
{
	feed->tells = on;
	if (on)
		return;
	feed->counts.reports_dropped += cp_feed_outbox_clear(&feed->outbox);
	feed->tell_error[0] = '\0';
}

void cp_feed_tell_init(struct cp_feed *feed)
{
	cp_feed_outbox_init(&feed->outbox);
	feed->tell_backoff = (struct cp_rpc_backoff){
		.min_ms = feed->options.backoff_min_ms,
		.max_ms = feed->options.backoff_max_ms,
	};
	(void)uv_timer_init(feed->options.loop, &feed->tell_timer);
	feed->tell_timer.data = feed;
}

void cp_feed_tell_done(struct cp_feed *feed)
{
	(void)cp_feed_outbox_clear(&feed->outbox);
	cp_feed_outbox_free_item(sn_steal(&feed->telling));
}
