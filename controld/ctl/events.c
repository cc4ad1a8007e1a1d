/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/ctl/events.h"

#include <inttypes.h>
#include <string.h>

#include "controld/ctl/output.h"
#include "controld/ctl/table.h"
#include "controld/policy/ports.h"

enum {
	MS_PER_S = 1000,
	ID_SHOWN = 8,
};

static char *format_port(uint32_t protocol, uint32_t port,
			 char buffer[CP_POLICY_PORTS_TEXT_BYTES])
{
	const struct cp_policy_ports ports = {
		.protocol = (uint8_t)protocol,
		.low = (uint16_t)port,
		.high = cp_policy_ports_has_ports((uint8_t)protocol) ?
				(uint16_t)port :
				UINT16_MAX,
	};

	(void)cp_policy_ports_format(&ports, buffer);
	return buffer;
}

const char *cp_ctl_events_end(Sentinel__V1__Event *event,
			      char ret[CP_CTL_EVENTS_END_BYTES])
{
	const char *address = event->remote_address;
	char port[CP_POLICY_PORTS_TEXT_BYTES];

	(void)cp_ctl_table_clean(event->name);
	if (event->kind == SENTINEL__V1__EVENT_KIND__EVENT_KIND_NAME)
		(void)snprintf(ret, CP_CTL_EVENTS_END_BYTES, "%s",
			       *event->name ? event->name : "(redacted)");
	else if (!*address)
		(void)snprintf(ret, CP_CTL_EVENTS_END_BYTES, "not IP");
	else
		(void)snprintf(ret, CP_CTL_EVENTS_END_BYTES, "%s%s%s%s %s",
			       event->name, *event->name ? " (" : "", address,
			       *event->name ? ")" : "",
			       format_port(event->protocol, event->remote_port,
					   port));
	return ret;
}

static const char *format_process(Sentinel__V1__Event *event,
				  char ret[CP_CTL_OUTPUT_TEXT_BYTES])
{
	if (event->pid == 0)
		return "-";
	(void)snprintf(ret, CP_CTL_OUTPUT_TEXT_BYTES, "%s[%" PRIu32 "]",
		       cp_ctl_table_clean(event->comm), event->pid);
	return ret;
}

/* Rows come one by one, so that the widths are given. */
static const char header[] =
	"TIME                 ID        VERDICT  DIR  REASON         "
	"PROCESS           DESTINATION";

static void print_row(struct cp_ctl_session *session, ProtobufCMessage *message)
{
	Sentinel__V1__Event *event = (void *)message;
	FILE *out = session->out;
	char time[CP_CTL_OUTPUT_TEXT_BYTES], process[CP_CTL_OUTPUT_TEXT_BYTES];
	char end[CP_CTL_EVENTS_END_BYTES];
	bool is_in = event->direction ==
		     SENTINEL__V1__DIRECTION__DIRECTION_INGRESS;

	(void)cp_ctl_output_time(event->time_ms / MS_PER_S, time);
	if (event->kind == SENTINEL__V1__EVENT_KIND__EVENT_KIND_LOST) {
		(void)fprintf(out, "%s  %-8.8s  %-7s  ", time,
			      *event->id ? cp_ctl_table_clean(event->id) : "-",
			      "LOST");
		if (event->lost)
			(void)fprintf(out, "%" PRIu64 " events (%s)\n",
				      event->lost,
				      cp_ctl_table_clean(event->reason));
		else
			(void)fprintf(out, "an unknown number of events (%s)\n",
				      cp_ctl_table_clean(event->reason));
		return;
	}
	(void)fprintf(out, "%s  %-*.*s  %-7s  %-3s  %-13s  %-16s  %s\n", time,
		      ID_SHOWN, ID_SHOWN, cp_ctl_table_clean(event->id),
		      event->audited ? "audited" : "blocked",
		      is_in ? "in" : "out", cp_ctl_table_clean(event->reason),
		      format_process(event, process),
		      cp_ctl_events_end(event, end));
}

enum cp_ctl_exit cp_ctl_events_show(struct cp_ctl_session *session)
{
	sn_cleanup(
		cp_rpc_client_stream_freep) struct cp_rpc_client_stream *stream =
		NULL;
	const struct cp_ctl_options *options = &session->options;
	char id[CP_CTL_SESSION_ID_BYTES] = "";
	Sentinel__V1__WatchEventsRequest request;
	enum cp_ctl_exit exit = CP_CTL_EXIT_OK;

	sentinel__v1__watch_events_request__init(&request);
	if (options->id)
		exit = cp_ctl_session_resolve(session, options->id, id);
	if (exit)
		return exit;
	request.id = id;
	request.blocked_only = (options->given & CP_CTL_OPTION_BIT(BLOCKED)) !=
			       0;
	request.follow = (options->given & CP_CTL_OPTION_BIT(FOLLOW)) != 0;
	request.since_seconds = options->since_s;
	exit = cp_ctl_session_stream(session, "WatchEvents", &request.base,
				     &sentinel__v1__event__descriptor, &stream);
	return exit ? exit :
		      cp_ctl_output_stream(session, stream, header, print_row);
}
