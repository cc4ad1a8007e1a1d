// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/findings.h"

#include <inttypes.h>

#include "controld/ctl/output.h"
#include "controld/ctl/table.h"
#include "controld/rpc/message.h"
#include "sentinel/v1/finding.pb-c.h"

enum { NS_PER_S = 1000000000, TREE_SHOWN = 4 };

static const char *find_source(Sentinel__V1__Finding *finding)
{
	return cp_ctl_table_clean(*finding->rule ? finding->rule :
						   finding->detector);
}

/* The process and its parents, the nearest first. */
static void print_tree(FILE *out, Sentinel__V1__Finding *finding)
{
	const Sentinel__V1__RuntimeEvent *event = finding->event;

	if (!event || !event->process)
		return;
	(void)fprintf(out, "  (%s[%" PRIu32 "]",
		      cp_ctl_table_clean(event->process->comm),
		      event->process->pid);
	for (size_t i = 0; i < finding->n_ancestors && i < TREE_SHOWN; i++)
		(void)fprintf(out, " < %s[%" PRIu32 "]",
			      cp_ctl_table_clean(finding->ancestors[i]->comm),
			      finding->ancestors[i]->pid);
	(void)fprintf(out, "%s)",
		      finding->n_ancestors > TREE_SHOWN ? " < ..." : "");
}

/* Rows come one by one, so that the widths are given. */
static void print_row(FILE *out, Sentinel__V1__Finding *finding)
{
	char time[CP_CTL_OUTPUT_TEXT_BYTES];
	char severity[CP_CTL_OUTPUT_TEXT_BYTES];
	const char *source = find_source(finding);

	(void)cp_ctl_output_time(finding->time_ns / NS_PER_S, time);
	if (finding->is_gap) {
		(void)fprintf(out, "%-19s  %-8s  %-24s  ",
			      finding->time_ns ? time : "", "GAP", source);
		if (finding->gap)
			(void)fprintf(out, "%" PRIu64 " findings\n",
				      finding->gap);
		else
			(void)fputs("an unknown number of findings\n", out);
		return;
	}
	(void)fprintf(out, "%s  %-8s  %-24s  %s", time,
		      cp_ctl_output_enum(&sentinel__v1__severity__descriptor,
					 (int)finding->severity, severity),
		      source, cp_ctl_table_clean(finding->text));
	print_tree(out, finding);
	(void)fputc('\n', out);
}

static enum cp_ctl_exit print(struct cp_ctl_session *session,
			      Sentinel__V1__Finding *finding)
{
	if (session->options.json)
		return cp_ctl_output_line(session, &finding->base);
	print_row(session->out, finding);
	return cp_ctl_session_flush(session);
}

static enum cp_ctl_exit read_all(struct cp_ctl_session *session,
				 struct cp_rpc_client_stream *stream)
{
	struct cp_rpc_status status = { .code = 0 };
	enum cp_ctl_exit exit;
	int r = 0;

	if (!session->options.json)
		(void)fprintf(session->out, "%-19s  %-8s  %-24s  %s\n", "TIME",
			      "SEVERITY", "RULE", "FINDING");
	exit = cp_ctl_session_flush(session);
	while (exit == CP_CTL_EXIT_OK) {
		sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *one = NULL;

		r = cp_rpc_client_stream_read(stream, &one, &status);
		if (r)
			break;
		exit = print(session, (Sentinel__V1__Finding *)(void *)one);
	}
	if (exit)
		return exit;
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "cannot read", r);
	return status.code ? cp_ctl_session_fail_status(session, &status) :
			     CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_findings_show(struct cp_ctl_session *session)
{
	sn_cleanup(
		cp_rpc_client_stream_freep) struct cp_rpc_client_stream *stream =
		NULL;
	struct cp_ctl_options *options = &session->options;
	Sentinel__V1__WatchFindingsRequest request;
	enum cp_ctl_exit exit;

	sentinel__v1__watch_findings_request__init(&request);
	request.follow = options->given & CP_CTL_OPTION_BIT(FOLLOW);
	request.min_severity = (Sentinel__V1__Severity)options->severity;
	request.rules = options->rules.at;
	request.n_rules = options->rules.n;
	exit = cp_ctl_session_stream(session, "WatchFindings", &request.base,
				     &sentinel__v1__finding__descriptor,
				     &stream);
	return exit ? exit : read_all(session, stream);
}
