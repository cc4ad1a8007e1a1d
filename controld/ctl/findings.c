// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/findings.h"

#include <inttypes.h>

#include "controld/ctl/output.h"
#include "controld/ctl/table.h"
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
static const char header[] =
	"TIME                 SEVERITY  RULE                      FINDING";

static void print_row(struct cp_ctl_session *session, ProtobufCMessage *message)
{
	Sentinel__V1__Finding *finding = (void *)message;
	FILE *out = session->out;
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
	return exit ? exit :
		      cp_ctl_output_stream(session, stream, header, print_row);
}
