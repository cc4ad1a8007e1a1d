// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/detection_rules.h"

#include <inttypes.h>

#include "controld/ctl/output.h"
#include "controld/ctl/table.h"
#include "controld/rpc/message.h"
#include "sentinel/v1/finding.pb-c.h"

enum { NS_PER_S = 1000000000 };

static int put_rule(struct cp_ctl_table *table,
		    const Sentinel__V1__DetectionRule *rule)
{
	char severity[CP_CTL_OUTPUT_TEXT_BYTES];
	char time[CP_CTL_OUTPUT_TEXT_BYTES] = "-";
	int r = cp_ctl_table_put(table, rule->name);

	if (rule->last_hit_ns)
		(void)cp_ctl_output_time(rule->last_hit_ns / NS_PER_S, time);
	if (r == 0)
		r = cp_ctl_table_put(
			table,
			cp_ctl_output_enum(&sentinel__v1__severity__descriptor,
					   (int)rule->severity, severity));
	if (r == 0)
		r = cp_ctl_table_put(table, rule->enabled ? "yes" : "no");
	if (r == 0)
		r = cp_ctl_table_putf(table, "%" PRIu64, rule->hits);
	if (r == 0)
		r = cp_ctl_table_putf(table, "%" PRIu64, rule->limited);
	return r == 0 ? cp_ctl_table_put(table, time) : r;
}

static enum cp_ctl_exit print_table(struct cp_ctl_session *session,
				    const Sentinel__V1__ListRulesResponse *list)
{
	static const char *const headers[] = {
		"RULE", "SEVERITY", "ENABLED", "HITS", "LEFT OUT", "LAST HIT",
	};
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;
	int r = cp_ctl_table_new(&table, session->out, headers,
				 SN_ARRAY_SIZE(headers));

	for (size_t i = 0; r == 0 && i < list->n_rules; i++)
		r = put_rule(table, list->rules[i]);
	if (r == 0)
		r = cp_ctl_table_flush(table);
	return r < 0 ? cp_ctl_session_fail_errno(session, "cannot print", r) :
		       CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_detection_rules_list(struct cp_ctl_session *session)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	Sentinel__V1__ListRulesRequest request;
	enum cp_ctl_exit exit;

	sentinel__v1__list_rules_request__init(&request);
	exit = cp_ctl_session_call(
		session, "ListRules", &request.base,
		&sentinel__v1__list_rules_response__descriptor, &answer);
	if (exit)
		return exit;
	return session->options.json ?
		       cp_ctl_output_object(session, answer) :
		       print_table(session, (const void *)answer);
}

enum cp_ctl_exit cp_ctl_detection_rules_reload(struct cp_ctl_session *session)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	const Sentinel__V1__ReloadRulesResponse *reload;
	Sentinel__V1__ReloadRulesRequest request;
	enum cp_ctl_exit exit;

	sentinel__v1__reload_rules_request__init(&request);
	exit = cp_ctl_session_call(
		session, "ReloadRules", &request.base,
		&sentinel__v1__reload_rules_response__descriptor, &answer);
	if (exit)
		return exit;
	if (session->options.json)
		return cp_ctl_output_object(session, answer);
	reload = (const void *)answer;
	(void)fprintf(session->out,
		      "%" PRIu32 " rules, %" PRIu32 " enabled%s\n",
		      reload->status->rules, reload->status->enabled,
		      reload->status->in_force ?
			      "" :
			      "; not in force, 'sentinelctl status' says why");
	return CP_CTL_EXIT_OK;
}
