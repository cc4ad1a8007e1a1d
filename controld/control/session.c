/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/control/session.h"

#include <grpc/status.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controld/control/apply.h"
#include "controld/control/internal.h"
#include "shared/log.h"

#define SERVICE "sentinel.v1.ControlPlane"
#define METHOD	"/" SERVICE "/Connect"

enum {
	/* Between the endpoints of one round. */
	NEXT_ENDPOINT_MS = 50,
	/* A heartbeat's parts follow each other at this distance, so that the
	 * loop has time for others. */
	NEXT_BEAT_MS = 1,
};

static void pause_over(uv_timer_t *timer);

static const char *url_text(const struct cp_control *control)
{
	return control->options.urls[control->endpoint];
}

static uint64_t now_ms(const struct cp_control *control)
{
	return uv_now(control->options.loop);
}

/* The stream or the attempt has ended. What was synced begins with the first
 * endpoint again, after a pause; a round of attempts is one attempt. */
static void fail(struct cp_control *control, const char *text)
{
	bool was_synced = control->state == CP_CONTROL_STATE_SYNCED;
	uint64_t pause_ms = NEXT_ENDPOINT_MS;
	char error[CP_CONTROL_ERROR_BYTES];
	bool is_news;

	(void)snprintf(error, sizeof(error), "%s: %.400s", url_text(control),
		       text);
	is_news = was_synced || strcmp(error, control->last_error) != 0;
	(void)memcpy(control->last_error, error, sizeof(error));
	control->state = CP_CONTROL_STATE_WAITING;
	control->call = NULL;
	(void)uv_timer_stop(&control->heartbeat_timer);
	if (was_synced)
		cp_rpc_backoff_held(&control->backoff,
				    now_ms(control) - control->synced_at_ms);
	control->endpoint =
		was_synced ? 0 :
			     (control->endpoint + 1) % control->options.n_urls;
	if (control->endpoint == 0) {
		pause_ms = cp_rpc_backoff_next(&control->backoff,
					       cp_rpc_backoff_random());
	}
	sn_log(is_news ? SN_LOG_WARNING : SN_LOG_DEBUG,
	       "control disconnected error='%s' pause=%" PRIu64
	       "ms: the last policies stay enforced",
	       control->last_error, pause_ms);
	(void)uv_timer_start(&control->timer, pause_over, pause_ms, 0);
}

static void drop_call(struct cp_control *control, const char *text)
{
	cp_rpc_outcall_drop(sn_steal(&control->call));
	fail(control, text);
}

/* Sends the next part of SyncRequest. */
static void send_sync(struct cp_control *control)
{
	sn_cleanup(sn_freep) void *data = NULL;
	char next[CP_ATTACH_ID_CHARS + 1];
	size_t size;
	int r;

	r = cp_control_report_sync(control->options.manager, &control->host,
				   control->next_sync[0] ? control->next_sync :
							   NULL,
				   next, &data, &size);
	if (r < 0 || cp_rpc_outcall_send(control->call, data, size)) {
		drop_call(control, "out of memory");
		return;
	}
	control->is_writable = false;
	(void)memcpy(control->next_sync, next, sizeof(next));
	control->has_sent_sync = next[0] == '\0';
}

void cp_control_session_send(struct cp_control *control)
{
	enum cp_control_class class = CP_CONTROL_CLASS_COUNT;
	const void *data;
	size_t size;

	if (!control->call || !control->is_writable)
		return;
	if (!control->has_sent_sync) {
		send_sync(control);
		return;
	}
	/* Until SyncAck only answers go out. */
	if (control->state != CP_CONTROL_STATE_SYNCED)
		class = CP_CONTROL_CLASS_RESULT;
	data = cp_control_queue_get(control->queue, class, &size);
	if (!data)
		return;
	if (cp_rpc_outcall_send(control->call, data, size) == 0)
		control->is_writable = false;
	if (!control->is_writable)
		cp_control_queue_pop(control->queue);
}

static void writable(void *userdata)
{
	struct cp_control *control = userdata;

	control->is_writable = true;
	/* Servers say nothing before their first message, but what was written
	 * has found a connection. */
	if (control->state == CP_CONTROL_STATE_CONNECTING)
		control->state = CP_CONTROL_STATE_SYNCING;
	/* A peer that reads too slowly has missed attachments. */
	if (control->state == CP_CONTROL_STATE_SYNCED &&
	    cp_control_queue_dropped(control->queue,
				     CP_CONTROL_CLASS_SUBSCRIPTION) !=
		    control->n_lost_before) {
		drop_call(control, "the control plane reads too slowly");
		return;
	}
	cp_control_session_send(control);
}

void cp_control_session_receive(struct cp_control *control)
{
	if (!control->call || control->is_receiving || control->decoding ||
	    control->n_running >= CP_CONTROL_RUNNING_MAX ||
	    control->running_bytes >= control->options.max_message_bytes)
		return;
	control->is_receiving = true;
	cp_rpc_outcall_next(control->call);
}

static void message(void *userdata, const void *data, size_t size)
{
	struct cp_control *control = userdata;

	control->is_receiving = false;
	cp_control_apply_message(control, data, size);
}

/* A message over gRPC's limit ends the stream unread. */
static void report_oversize(struct cp_control *control, const char *text)
{
	char error[CP_CONTROL_ERROR_BYTES];
	struct cp_control_report_result result = {
		.command_id = "",
		.id = "",
		.error = error,
	};

	(void)snprintf(error, sizeof(error),
		       "a message was not read (control.max_message): %.400s",
		       text);
	control->n_refused++;
	cp_control_report_result(control->queue, &result);
}

static void ended(void *userdata, const struct cp_rpc_status *status)
{
	struct cp_control *control = userdata;
	char text[CP_CONTROL_ERROR_BYTES];

	control->call = NULL;
	if (control->is_stopping)
		return;
	if (status->code == GRPC_STATUS_RESOURCE_EXHAUSTED)
		report_oversize(control, status->text);
	if (status->code == GRPC_STATUS_OK)
		(void)snprintf(text, sizeof(text),
			       "the control plane ended the stream");
	else
		(void)snprintf(text, sizeof(text), "%s: %.400s",
			       cp_rpc_status_name(status->code), status->text);
	fail(control, text);
}

static void sync_too_late(uv_timer_t *timer)
{
	struct cp_control *control = timer->data;

	drop_call(control, control->state == CP_CONTROL_STATE_SYNCING ?
				   "no sync_ack came" :
				   "no connection came about");
}

static const struct cp_rpc_outcall_events call_events = {
	.writable = writable,
	.message = message,
	.ended = ended,
};

static void opened(void *userdata, int r, const struct sn_diag *diag)
{
	struct cp_control *control = userdata;

	if (r == 0)
		r = cp_rpc_outcall_new(&control->call, control->channel, METHOD,
				       &call_events, control);
	if (r) {
		fail(control, diag->text[0] ? diag->text : strerror(-r));
		return;
	}
	control->next_sync[0] = '\0';
	control->has_sent_sync = false;
	control->is_writable = false;
	control->is_receiving = false;
	control->n_lost_before = cp_control_queue_dropped(
		control->queue, CP_CONTROL_CLASS_SUBSCRIPTION);
	cp_control_session_receive(control);
	(void)uv_timer_start(&control->timer, sync_too_late,
			     control->options.sync_timeout_ms, 0);
}

void cp_control_session_start(struct cp_control *control)
{
	const struct cp_control_options *options = &control->options;
	struct cp_rpc_channel_options channel = {
		.files = options->files,
		.n_pins = options->n_pins,
		/* What is over our own limit can be answered by name; over
		 * this one the library ends the stream. */
		.max_message_bytes = 2 * options->max_message_bytes,
		.small_service = SERVICE,
		.small_method = "QueryDns",
		.max_small_bytes = CP_CONTROL_ANSWER_BYTES,
		.keepalive_ms = (unsigned int)options->keepalive_ms,
		.keepalive_timeout_ms =
			(unsigned int)options->keepalive_timeout_ms,
	};
	struct sn_diag diag = { 0 };
	int r;

	control->state = CP_CONTROL_STATE_CONNECTING;
	r = cp_rpc_url_parse(url_text(control), &control->url, &diag);
	if (r) {
		fail(control, diag.text);
		return;
	}
	channel.url = control->url;
	for (size_t i = 0; i < options->n_pins; i++)
		channel.pins[i] = options->pins[i];
	r = cp_rpc_channel_open(control->channel, &channel, opened, control);
	if (r < 0)
		fail(control, strerror(-r));
}

static void pause_over(uv_timer_t *timer)
{
	cp_control_session_start(timer->data);
}

static void beat(uv_timer_t *timer);

static void visit(void *visitor, const Sentinel__V1__GetStatusResponse *status)
{
	struct cp_control *control = visitor;
	const char *after = control->next_beat[0] ? control->next_beat : NULL;
	char next[CP_ATTACH_ID_CHARS + 1];

	cp_control_report_heartbeat(control->queue, control->options.manager,
				    status, control->n_unsent, after, next);
	(void)memcpy(control->next_beat, next, sizeof(next));
}

static void beat(uv_timer_t *timer)
{
	struct cp_control *control = timer->data;
	uint64_t next_ms = control->options.heartbeat_ms;

	/* A new round waits until the one before has left. */
	if (!control->next_beat[0] &&
	    cp_control_queue_count(control->queue, CP_CONTROL_CLASS_HEARTBEAT) >
		    0) {
		(void)uv_timer_start(timer, beat, next_ms, 0);
		return;
	}
	if (control->options.visit_status)
		control->options.visit_status(control->options.userdata, visit,
					      control);
	else
		visit(control, NULL);
	if (control->next_beat[0])
		next_ms = NEXT_BEAT_MS;
	(void)uv_timer_start(timer, beat, next_ms, 0);
	cp_control_session_send(control);
}

const char *cp_control_session_ack(struct cp_control *control)
{
	struct timespec now;

	if (control->state == CP_CONTROL_STATE_SYNCED)
		return "sync_ack: was sent before on this stream";
	if (!control->call || !control->has_sent_sync)
		return "sync_ack: comes before the end of the SyncRequest";
	control->state = CP_CONTROL_STATE_SYNCED;
	control->synced_at_ms = now_ms(control);
	control->last_error[0] = '\0';
	(void)clock_gettime(CLOCK_REALTIME, &now);
	control->last_sync_s = now.tv_sec;
	(void)uv_timer_stop(&control->timer);
	control->next_beat[0] = '\0';
	(void)uv_timer_start(&control->heartbeat_timer, beat, 0, 0);
	sn_log(SN_LOG_INFO, "control synced url=%s%s", url_text(control),
	       control->url.is_tls ? "" :
				     " warning='not encrypted, not verified'");
	return NULL;
}

int cp_control_session_init(struct cp_control *control)
{
	uv_loop_t *loop = control->options.loop;
	int r;

	control->backoff = (struct cp_rpc_backoff){
		.min_ms = control->options.backoff_min_ms,
		.max_ms = control->options.backoff_max_ms,
	};
	r = cp_rpc_channel_new(&control->channel, loop);
	if (r < 0)
		return r;
	(void)uv_timer_init(loop, &control->timer);
	(void)uv_timer_init(loop, &control->heartbeat_timer);
	control->timer.data = control;
	control->heartbeat_timer.data = control;
	return 0;
}

static void channel_closed(void *userdata)
{
	cp_control_part_closed(userdata);
}

void cp_control_session_stop(struct cp_control *control)
{
	if (control->call)
		cp_rpc_outcall_drop(sn_steal(&control->call));
	if (control->channel)
		cp_rpc_channel_close(sn_steal(&control->channel),
				     channel_closed, control);
}
