/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/health/health.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/attach/attach.h"
#include "controld/control/control.h"
#include "controld/dns/server.h"
#include "controld/http/call.h"
#include "controld/state/state.h"
#include "shared/tables.h"

enum {
	STATUS_OK = 200,
	STATUS_INTERNAL = 500,
	STATUS_UNAVAILABLE = 503,
	REASON_BYTES = 256,
};

struct cp_health {
	struct cp_health_options options;
	struct cp_http *http;
	void (*closed)(void *userdata);
	void *closed_userdata;
};

/* What keeps it from being well or ready. */
struct report {
	json_t *reasons;
	size_t n;
	size_t n_attachments;
	size_t n_waiting;
};

static void blame(struct report *report, const char *id, const char *format,
		  ...) __attribute__((format(printf, 3, 4)));

static void blame(struct report *report, const char *id, const char *format,
		  ...)
{
	char text[REASON_BYTES];
	json_t *reason;
	va_list args;

	if (report->n++ >= CP_HEALTH_REASONS_MAX)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reason = json_object();
	if (id)
		(void)json_object_set_new(reason, "id", json_string(id));
	(void)json_object_set_new(reason, "reason", json_string(text));
	(void)json_array_append_new(report->reasons, reason);
}

static void judge_attachment(void *userdata,
			     const struct cp_attach_condition *condition)
{
	struct report *report = userdata;

	report->n_attachments++;
	if (condition->state == CP_ATTACH_STATE_WAITING) {
		/* There is nothing whose packets could pass. */
		report->n_waiting++;
		return;
	}
	if (condition->position <= SN_IPC_POSITION_GONE)
		blame(report, condition->id,
		      "our program is gone from a hook: it is not enforced");
	else if (condition->position > 0)
		blame(report, condition->id,
		      "%d programs of others run before ours and could pass "
		      "packets",
		      condition->position);
	else if (condition->position < 0)
		blame(report, condition->id,
		      "where our programs stand is not known");
	if (condition->position > SN_IPC_POSITION_GONE &&
	    condition->state == CP_ATTACH_STATE_REPAIRING)
		blame(report, condition->id,
		      "the kernel does not have its policy; tried again");
	if (condition->lacks_resolver)
		blame(report, condition->id,
		      "it has no resolver, its port 53 is dropped");
}

static void judge_programs(struct report *report,
			   const struct sn_ipc_hello_answer *hello)
{
	for (size_t i = 0; i < SN_PROGRAM_COUNT; i++)
		if (hello->program_error[i] && sn_programs_info[i].needed)
			blame(report, NULL, "program %s was not loaded: %s",
			      sn_programs_info[i].function,
			      strerror(abs(hello->program_error[i])));
}

static void judge_dataplane(const struct cp_health *health,
			    struct report *report)
{
	struct cp_attach *manager = health->options.manager;
	uint64_t now_ns = cp_attach_now(manager);
	struct cp_attach_status status;

	cp_attach_info_get_base(manager, &status);
	if (!status.is_connected)
		blame(report, NULL,
		      "sentinel-dp is not connected: %.150s; the last policies "
		      "stay enforced",
		      status.last_error[0] ? status.last_error : "not yet");
	else if (!status.is_ready)
		blame(report, NULL,
		      "policies are being compared with the kernel's");
	else if (!status.polled_ns)
		blame(report, NULL, "the kernel has not been looked at yet");
	else if (now_ns - status.polled_ns > CP_HEALTH_STALE_S * SN_NS_PER_S)
		blame(report, NULL, "the kernel was last looked at %llu s ago",
		      (unsigned long long)((now_ns - status.polled_ns) /
					   SN_NS_PER_S));
	if (status.is_connected)
		judge_programs(report, &status.hello);
	cp_attach_info_each_condition(manager, judge_attachment, report);
}

static void judge_dns(const struct cp_health *health, struct report *report)
{
	struct cp_dns_server_status dns;

	cp_dns_server_get_status(health->options.dns, &dns);
	if (dns.n_listeners < dns.n_listeners_wanted)
		blame(report, NULL,
		      "the resolver listens on %u of %u sockets: %.150s",
		      dns.n_listeners, dns.n_listeners_wanted,
		      dns.last_error[0] ? dns.last_error : "not yet");
}

static void judge_control(const struct cp_health *health, struct report *report)
{
	struct cp_control_status control;

	if (!health->options.control || !health->options.needs_control)
		return;
	cp_control_get_status(health->options.control, &control);
	if (control.state != CP_CONTROL_STATE_SYNCED)
		blame(report, NULL,
		      "the control plane is not in step; the last policies stay "
		      "enforced");
}

/* What a start anew could mend, as far as this process can tell. */
static void judge_state(const struct cp_health *health, struct report *report)
{
	struct cp_state_stats stats;

	cp_state_get_stats(health->options.state, &stats);
	if (stats.last_error)
		blame(report, NULL, "the state file cannot be written: %s",
		      strerror(-stats.last_error));
}

/* Takes the report's reasons. */
static void reply(const struct cp_health *health, struct cp_http_call *call,
		  struct report *report, const char *good)
{
	static const char none[] = "{}\n";
	json_t *body = json_object();
	char *text;

	(void)json_object_set_new(body, "status",
				  json_string(report->n ? "failing" : good));
	(void)json_object_set_new(body, "version",
				  json_string(health->options.version));
	(void)json_object_set_new(
		body, "attachments",
		json_integer((json_int_t)report->n_attachments));
	(void)json_object_set_new(body, "attachments_waiting",
				  json_integer((json_int_t)report->n_waiting));
	if (report->n > CP_HEALTH_REASONS_MAX)
		(void)json_object_set_new(
			body, "reasons_not_shown",
			json_integer((json_int_t)(report->n -
						  CP_HEALTH_REASONS_MAX)));
	(void)json_object_set_new(body, "reasons", report->reasons);
	text = json_dumps(body, JSON_COMPACT);
	if (text)
		cp_http_call_reply(call,
				   report->n ? STATUS_UNAVAILABLE : STATUS_OK,
				   "application/json", text, strlen(text));
	else
		cp_http_call_reply(call, STATUS_INTERNAL, "application/json",
				   none, sizeof(none) - 1);
	free(text);
	json_decref(body);
}

static void answer_healthy(void *userdata, struct cp_http_call *call)
{
	struct report report = { .reasons = json_array() };

	judge_state(userdata, &report);
	reply(userdata, call, &report, "ok");
}

static void answer_ready(void *userdata, struct cp_http_call *call)
{
	struct report report = { .reasons = json_array() };

	judge_dataplane(userdata, &report);
	judge_dns(userdata, &report);
	judge_control(userdata, &report);
	judge_state(userdata, &report);
	reply(userdata, call, &report, "ready");
}

int cp_health_new(struct cp_health **ret,
		  const struct cp_health_options *options)
{
	static const struct cp_http_route routes[] = {
		{ "GET", "/healthz", 0, answer_healthy },
		{ "GET", "/readyz", 0, answer_ready },
	};
	struct cp_health *health = calloc(1, sizeof(*health));
	struct cp_http_options http = {
		.loop = options->loop,
		.name = "health",
		.address = options->address,
		.routes = routes,
		.n_routes = SN_ARRAY_SIZE(routes),
		.userdata = health,
		.connections_max = options->connections_max,
	};
	int r;

	if (!health)
		return -ENOMEM;
	health->options = *options;
	r = cp_http_new(&health->http, &http);
	if (r < 0) {
		free(health);
		return r;
	}
	*ret = health;
	return 0;
}

static void http_closed(void *userdata)
{
	struct cp_health *health = userdata;

	if (health->closed)
		health->closed(health->closed_userdata);
	free(health);
}

void cp_health_close(struct cp_health *health, void (*closed)(void *userdata),
		     void *userdata)
{
	health->closed = closed;
	health->closed_userdata = userdata;
	cp_http_close(health->http, http_closed, health);
}

void cp_health_get_http(const struct cp_health *health,
			struct cp_http_stats *ret)
{
	cp_http_get_stats(health->http, ret);
}
