/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/control/control.h"

#include <assert.h>
#include <stdlib.h>

#include "controld/attach/remote.h"
#include "controld/control/copy.h"
#include "controld/control/internal.h"
#include "controld/control/session.h"
#include "controld/control/subscribe.h"
#include "shared/log.h"

static void attached(void *userdata, const struct cp_attach_item *item)
{
	struct cp_control *control = userdata;

	cp_control_report_subscribed(control->queue, item);
	if (cp_attach_remote_is_held(item))
		cp_control_subscribe_add(control, item);
	cp_control_session_send(control);
}

static void ended(void *userdata, const struct cp_attach_item *item,
		  bool is_gone)
{
	struct cp_control *control = userdata;
	enum cp_control_report_end reason = CP_CONTROL_REPORT_END_DETACHED;
	const char *text = "";
	struct cp_attach_info info;

	cp_attach_info_get(item, &info);
	cp_dns_proxy_forget(control->proxy, info.id);
	if (cp_control_subscribe_forget(control, info.id)) {
		reason = CP_CONTROL_REPORT_END_ERROR;
		text = "the control plane did not answer in time";
	} else if (is_gone) {
		reason = CP_CONTROL_REPORT_END_REMOVED;
	}
	cp_control_report_unsubscribed(control->queue, item, reason, text);
	cp_control_session_send(control);
}

/* A number a second; events are a sample of the kernel's, which is one of the
 * packets. */
static bool may_send_event(struct cp_control *control)
{
	uint64_t now_ms = uv_now(control->options.loop);

	if (!control->options.policy_events_per_s ||
	    control->state != CP_CONTROL_STATE_SYNCED)
		return false;
	if (now_ms - control->events_from_ms >= 1000) {
		control->events_from_ms = now_ms;
		control->n_events = 0;
	}
	if (control->n_events >= control->options.policy_events_per_s) {
		control->n_unsent++;
		return false;
	}
	control->n_events++;
	return true;
}

static void blocked(void *userdata, const struct cp_attach_item *item,
		    const struct sn_event *event)
{
	struct cp_control *control = userdata;

	if (!may_send_event(control))
		return;
	cp_control_report_blocked(control->queue, item, event);
	cp_control_session_send(control);
}

static void denied(void *userdata, const struct cp_attach_item *item,
		   const struct cp_dns_name *name, uint16_t type, bool audited)
{
	struct cp_control *control = userdata;
	char text[CP_DNS_NAME_TEXT_BYTES];

	if (!may_send_event(control))
		return;
	(void)cp_dns_name_format(name, text);
	cp_control_report_denied(control->queue, item, text, type, audited);
	cp_control_session_send(control);
}

static void changed(void *userdata, const struct cp_attach_item *item)
{
	struct cp_control *control = userdata;
	struct cp_attach_info info;

	cp_attach_info_get(item, &info);
	cp_dns_proxy_forget(control->proxy, info.id);
}

static uint64_t now_ns(void *userdata)
{
	const struct cp_control *control = userdata;

	return cp_attach_now(control->options.manager);
}

static int query(void *userdata, const Sentinel__V1__DnsQueryRequest *request,
		 cp_rpc_outcall_done done, void *done_userdata)
{
	struct cp_control *control = userdata;

	if (control->state != CP_CONTROL_STATE_SYNCED || control->is_stopping)
		return -ENOTCONN;
	return cp_rpc_outcall_ask(
		control->channel, "/sentinel.v1.ControlPlane/QueryDns",
		&request->base, &sentinel__v1__dns_query_response__descriptor,
		(unsigned int)control->options.query_timeout_ms, done,
		done_userdata);
}

static int make_proxy(struct cp_control *control)
{
	struct cp_dns_proxy_options options = {
		.daemon_id = control->options.daemon_id,
		.max_running = control->options.max_queries,
		.now_ns = now_ns,
		.query = query,
		.userdata = control,
	};

	return cp_dns_proxy_new(&control->proxy, &options);
}

struct cp_dns_proxy *cp_control_get_proxy(struct cp_control *control)
{
	return control->proxy;
}

static void put_host(struct cp_control *control)
{
	const struct cp_control_options *options = &control->options;

	control->host = (struct cp_control_report_host){
		.daemon_id = options->daemon_id,
		.version = options->version,
		.metadata = options->metadata,
		.n_metadata = options->n_metadata,
		.sends_policy_events = options->policy_events_per_s > 0,
	};
}

static void observe(struct cp_control *control)
{
	control->observer = (struct cp_attach_observer){
		.userdata = control,
		.attached = attached,
		.changed = changed,
		.ended = ended,
		.blocked = blocked,
		.denied = denied,
	};
	cp_attach_observe_add(control->options.manager, &control->observer);
}

int cp_control_new(struct cp_control **ret,
		   const struct cp_control_options *options)
{
	struct cp_control *control;
	int r;

	assert(options->n_urls > 0 &&
	       options->n_urls <= CP_CONTROL_ENDPOINTS_MAX);
	control = calloc(1, sizeof(*control));
	if (!control)
		return sn_trace(-ENOMEM);
	r = cp_control_copy_options(options, &control->options);
	put_host(control);
	if (r == 0)
		r = cp_control_queue_new(&control->queue, options->max_events,
					 CP_CONTROL_QUEUE_BYTES);
	if (r == 0)
		r = make_proxy(control);
	/* Nothing can fail after this, so that there is no handle to close. */
	if (r == 0)
		r = cp_control_session_init(control);
	if (r < 0) {
		(void)cp_dns_proxy_free(control->proxy);
		(void)cp_control_queue_free(control->queue);
		cp_control_copy_done(&control->options);
		free(control);
		return r;
	}
	cp_attach_remote_start(options->manager, options->local_rules);
	cp_control_subscribe_init(control);
	observe(control);
	for (size_t i = 0; i < options->n_urls; i++) {
		struct cp_rpc_url url;
		struct sn_diag diag;

		if (cp_rpc_url_parse(options->urls[i], &url, &diag) == 0 &&
		    !url.is_tls)
			sn_log(SN_LOG_WARNING,
			       "control url=%s: the control plane is neither "
			       "encrypted nor verified; whoever is on the way "
			       "sets the policies",
			       options->urls[i]);
	}
	cp_control_session_start(control);
	*ret = control;
	return 0;
}

void cp_control_reload(struct cp_control *control, size_t max_rules)
{
	control->options.max_rules = max_rules;
}

void cp_control_get_status(const struct cp_control *control,
			   struct cp_control_status *ret)
{
	*ret = (struct cp_control_status){
		.state = control->state,
		.url = control->options.urls[control->endpoint],
		.is_insecure = !control->url.is_tls,
		.last_sync_s = control->last_sync_s,
		.n_queued = cp_control_queue_count(control->queue,
						   CP_CONTROL_CLASS_COUNT),
		.n_dropped = cp_control_queue_dropped(control->queue,
						      CP_CONTROL_CLASS_COUNT),
		.n_commands = control->n_commands,
		.n_refused = control->n_refused,
		.n_closed =
			cp_attach_remote_count_held(control->options.manager),
		.last_error = control->last_error,
	};
}

void cp_control_part_closed(struct cp_control *control)
{
	if (--control->n_open == 0 && control->stopped)
		control->stopped(control->stopped_userdata);
}

static void handle_closed(uv_handle_t *handle)
{
	cp_control_part_closed(handle->data);
}

void cp_control_stop(struct cp_control *control,
		     void (*stopped)(void *userdata), void *userdata)
{
	assert(!control->is_stopping);
	control->is_stopping = true;
	control->stopped = stopped;
	control->stopped_userdata = userdata;
	/* Three timers, the channel and perhaps a worker. */
	control->n_open = 4 + (control->decoding != NULL);
	cp_attach_observe_remove(&control->observer);
	uv_close((uv_handle_t *)&control->timer, handle_closed);
	uv_close((uv_handle_t *)&control->heartbeat_timer, handle_closed);
	uv_close((uv_handle_t *)&control->wait_timer, handle_closed);
	cp_control_session_stop(control);
}

struct cp_control *cp_control_free(struct cp_control *control)
{
	if (!control)
		return NULL;
	cp_control_subscribe_done(control);
	(void)cp_dns_proxy_free(control->proxy);
	(void)cp_control_queue_free(control->queue);
	cp_control_copy_done(&control->options);
	free(control);
	return NULL;
}
