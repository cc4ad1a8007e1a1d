// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/status.h"

#include <inttypes.h>
#include <time.h>

#include "controld/ctl/output.h"
#include "controld/ctl/table.h"
#include "controld/rpc/message.h"

static void print_control(FILE *out,
			  const Sentinel__V1__ControlPlaneStatus *control)
{
	char state[CP_CTL_OUTPUT_TEXT_BYTES], since[CP_CTL_OUTPUT_TEXT_BYTES];
	int64_t now = (int64_t)time(NULL);

	if (!control)
		return;
	(void)cp_ctl_output_enum(&sentinel__v1__control_plane_state__descriptor,
				 (int)control->state, state);
	(void)fprintf(out, "control      %s, %s%s", state,
		      cp_ctl_table_clean(control->url),
		      control->insecure ? " (NOT ENCRYPTED, NOT VERIFIED)" :
					  "");
	if (control->last_sync)
		(void)fprintf(out, ", synced %s ago",
			      cp_ctl_output_seconds(
				      (uint64_t)SN_MAX(now - control->last_sync,
						       (int64_t)1),
				      since));
	(void)fprintf(out, ", %" PRIu64 " events wait\n",
		      control->queued_events);
}

static void print_detector(FILE *out, const Sentinel__V1__DetectorStatus *one)
{
	uint64_t dropped = one->dropped_queue + one->dropped_spool +
			   one->dropped_disk + one->dropped_unanswered +
			   one->dropped_memory;
	char state[CP_CTL_OUTPUT_TEXT_BYTES];

	(void)cp_ctl_output_enum(&sentinel__v1__detector_state__descriptor,
				 (int)one->state, state);
	(void)fprintf(out, "detector     %s: ", cp_ctl_table_clean(one->name));
	(void)fprintf(out, "%s, %s%s", state, cp_ctl_table_clean(one->url),
		      one->insecure ? " (NOT ENCRYPTED, NOT VERIFIED)" : "");
	(void)fprintf(out,
		      ", %" PRIu64 " delivered, %" PRIu64 " wait, %" PRIu64
		      " dropped",
		      one->delivered, one->in_memory + one->on_disk, dropped);
	if (one->findings)
		(void)fprintf(out,
			      "; findings: %" PRIu64 " sent, %" PRIu64
			      " wait, %" PRIu64 " refused, %" PRIu64 " dropped",
			      one->reports_sent, one->reports_waiting,
			      one->reports_refused, one->reports_dropped);
	(void)fputc('\n', out);
}

static void print_daemons(FILE *out, Sentinel__V1__GetStatusResponse *status)
{
	const Sentinel__V1__DataplaneStatus *dataplane = status->dataplane;
	char uptime[CP_CTL_OUTPUT_TEXT_BYTES];

	(void)fprintf(out, "sentinel-cp  %s, up %s, daemon %s\n",
		      cp_ctl_table_clean(status->version),
		      cp_ctl_output_seconds(
			      SN_MAX(status->uptime_seconds, 1ULL), uptime),
		      cp_ctl_table_clean(status->daemon_id));
	if (!dataplane)
		(void)fputs("sentinel-dp  not known\n", out);
	else if (dataplane->connected)
		(void)fprintf(out,
			      "sentinel-dp  %s, connected, %" PRIu64
			      " events lost\n",
			      cp_ctl_table_clean(dataplane->version),
			      dataplane->events_lost);
	else
		(void)fprintf(out, "sentinel-dp  not connected: %s\n",
			      cp_ctl_table_clean(dataplane->last_error));
	print_control(out, status->control_plane);
	for (size_t i = 0; i < status->n_detectors; i++)
		print_detector(out, status->detectors[i]);
	(void)fprintf(out, "attachments  %" PRIu32 ", %" PRIu32 " waiting\n",
		      status->attachments, status->attachments_waiting);
}

static int print_tables(FILE *out,
			const Sentinel__V1__GetStatusResponse *status)
{
	static const char *const headers[] = { "TABLE", "ENTRIES", "CAPACITY",
					       "USED" };
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;
	int r;

	if (status->n_tables == 0)
		return 0;
	r = cp_ctl_table_new(&table, out, headers, SN_ARRAY_SIZE(headers));
	for (size_t i = 0; r == 0 && i < status->n_tables; i++) {
		const Sentinel__V1__TableStatus *one = status->tables[i];
		double used = one->capacity ? 100.0 * (double)one->entries /
						      (double)one->capacity :
					      0;

		r = cp_ctl_table_put(table, one->name);
		if (r == 0)
			r = cp_ctl_table_putf(table, "%" PRIu64, one->entries);
		if (r == 0)
			r = cp_ctl_table_putf(table, "%" PRIu64, one->capacity);
		if (r == 0)
			r = cp_ctl_table_putf(table, "%.0f%%", used);
	}
	(void)fputc('\n', out);
	return r < 0 ? r : cp_ctl_table_flush(table);
}

static int put_feature(struct cp_ctl_table *table,
		       const Sentinel__V1__FeatureStatus *one)
{
	char state[CP_CTL_OUTPUT_TEXT_BYTES];
	int r;

	(void)cp_ctl_output_enum(&sentinel__v1__feature_state__descriptor,
				 (int)one->state, state);
	r = cp_ctl_table_put(table, one->name);
	if (r == 0)
		r = cp_ctl_table_put(table, state);
	if (r == 0)
		r = cp_ctl_table_put(table, one->reason);
	return r;
}

static size_t count_events(const Sentinel__V1__GetStatusResponse *status)
{
	return status->runtime ? status->runtime->n_events : 0;
}

/* One kind of runtime event as a feature; name has its name then. False: it is
 * none. */
static bool get_event(const Sentinel__V1__GetStatusResponse *status,
		      size_t index, char name[CP_CTL_OUTPUT_TEXT_BYTES],
		      Sentinel__V1__FeatureStatus *ret)
{
	const Sentinel__V1__RuntimeEventStatus *event =
		status->runtime->events[index];

	sentinel__v1__feature_status__init(ret);
	(void)snprintf(name, CP_CTL_OUTPUT_TEXT_BYTES, "runtime/%s",
		       event->event);
	ret->name = name;
	ret->state = event->state;
	ret->reason = event->reason;
	return event->event[0] != '\0';
}

static int print_features(FILE *out,
			  const Sentinel__V1__GetStatusResponse *status,
			  bool with_events)
{
	static const char *const headers[] = { "FEATURE", "STATE", "REASON" };
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;
	char name[CP_CTL_OUTPUT_TEXT_BYTES];
	Sentinel__V1__FeatureStatus one;
	int r;

	if (status->n_features == 0)
		return 0;
	r = cp_ctl_table_new(&table, out, headers, SN_ARRAY_SIZE(headers));
	for (size_t i = 0; r == 0 && i < status->n_features; i++)
		r = put_feature(table, status->features[i]);
	for (size_t i = 0; r == 0 && with_events && i < count_events(status);
	     i++)
		if (get_event(status, i, name, &one))
			r = put_feature(table, &one);
	return r < 0 ? r : cp_ctl_table_flush(table);
}

static enum cp_ctl_exit print(struct cp_ctl_session *session,
			      Sentinel__V1__GetStatusResponse *status)
{
	int r;

	if (session->options.json)
		return cp_ctl_output_object(session, &status->base);
	print_daemons(session->out, status);
	r = print_tables(session->out, status);
	(void)fputc('\n', session->out);
	if (r == 0)
		r = print_features(session->out, status, false);
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "cannot print", r);
	for (size_t i = 0; i < status->n_warnings; i++)
		(void)fprintf(session->out, "%swarning: %s\n", i ? "" : "\n",
			      cp_ctl_table_clean(status->warnings[i]));
	return CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_status_show(struct cp_ctl_session *session)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	Sentinel__V1__GetStatusResponse *status;
	Sentinel__V1__GetStatusRequest request;
	enum cp_ctl_exit exit;

	sentinel__v1__get_status_request__init(&request);
	exit = cp_ctl_session_call(
		session, "GetStatus", &request.base,
		&sentinel__v1__get_status_response__descriptor, &answer);
	if (exit)
		return exit;
	status = (Sentinel__V1__GetStatusResponse *)answer;
	exit = print(session, status);
	if (exit)
		return exit;
	if (!status->dataplane || !status->dataplane->connected)
		return CP_CTL_EXIT_FAILED;
	return CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_status_features(struct cp_ctl_session *session)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	const Sentinel__V1__GetStatusResponse *status;
	struct cp_ctl_output_array array;
	char name[CP_CTL_OUTPUT_TEXT_BYTES];
	Sentinel__V1__FeatureStatus one;
	Sentinel__V1__GetStatusRequest request;
	enum cp_ctl_exit exit;

	sentinel__v1__get_status_request__init(&request);
	exit = cp_ctl_session_call(
		session, "GetStatus", &request.base,
		&sentinel__v1__get_status_response__descriptor, &answer);
	if (exit)
		return exit;
	status = (const Sentinel__V1__GetStatusResponse *)answer;
	if (!session->options.json)
		return print_features(session->out, status, true) == 0 ?
			       CP_CTL_EXIT_OK :
			       CP_CTL_EXIT_FAILED;
	array = cp_ctl_output_begin(session);
	for (size_t i = 0; exit == CP_CTL_EXIT_OK && i < status->n_features;
	     i++)
		exit = cp_ctl_output_element(&array,
					     &status->features[i]->base);
	for (size_t i = 0; exit == CP_CTL_EXIT_OK && i < count_events(status);
	     i++)
		if (get_event(status, i, name, &one))
			exit = cp_ctl_output_element(&array, &one.base);
	cp_ctl_output_end(&array);
	return exit;
}
