// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/rules.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controld/ctl/output.h"
#include "controld/ctl/table.h"
#include "controld/policy/convert.h"
#include "controld/rpc/message.h"

enum {
	PAGE = 10000,
	PORTS_BYTES = 512, /* joined ports of a rule */
};

/* Rules. */

static const char *join_ports(const Sentinel__V1__Rule *rule,
			      char buffer[PORTS_BYTES])
{
	size_t n = 0;

	(void)snprintf(buffer, PORTS_BYTES, "any");
	for (size_t i = 0; i < rule->n_ports && n < PORTS_BYTES; i++)
		n += (size_t)snprintf(buffer + n, PORTS_BYTES - n, "%s%s",
				      i ? "," : "", rule->ports[i]);
	return buffer;
}

static int put_rule(struct cp_ctl_table *table, const Sentinel__V1__Rule *rule)
{
	char verdict[CP_CTL_OUTPUT_TEXT_BYTES];
	char ttl[CP_CTL_OUTPUT_TEXT_BYTES];
	char left[CP_CTL_OUTPUT_TEXT_BYTES];
	char ports[PORTS_BYTES];
	int r;

	(void)cp_ctl_output_enum(&sentinel__v1__verdict__descriptor,
				 (int)rule->verdict, verdict);
	(void)cp_ctl_output_seconds(rule->ttl_seconds, ttl);
	(void)cp_ctl_output_seconds(rule->remaining_seconds, left);
	r = cp_ctl_table_putf(table, "%" PRIu32, rule->id);
	if (r == 0)
		r = cp_ctl_table_put(table, verdict);
	if (r == 0)
		r = cp_ctl_table_put(table, rule->cidr);
	if (r == 0)
		r = cp_ctl_table_put(table, join_ports(rule, ports));
	if (r == 0)
		r = cp_ctl_table_put(table, ttl);
	if (r == 0)
		r = cp_ctl_table_put(table, left);
	if (r == 0)
		r = cp_ctl_table_put(table, rule->owner);
	return r;
}

static enum cp_ctl_exit print_page(struct cp_ctl_session *session,
				   const Sentinel__V1__GetRulesResponse *page,
				   struct cp_ctl_table *table,
				   struct cp_ctl_output_array *array)
{
	enum cp_ctl_exit exit;
	int r;

	for (size_t i = 0; i < page->n_rules; i++) {
		if (table) {
			r = put_rule(table, page->rules[i]);
			if (r < 0)
				return cp_ctl_session_fail_errno(
					session, "cannot print", r);
			continue;
		}
		exit = cp_ctl_output_element(array, &page->rules[i]->base);
		if (exit)
			return exit;
	}
	return CP_CTL_EXIT_OK;
}

/* A page, and the token of the next one; empty after the last. */
static enum cp_ctl_exit list_page(struct cp_ctl_session *session, char *id,
				  char **token, struct cp_ctl_table *table,
				  struct cp_ctl_output_array *array)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	const Sentinel__V1__GetRulesResponse *page;
	Sentinel__V1__GetRulesRequest request;
	enum cp_ctl_exit exit;

	sentinel__v1__get_rules_request__init(&request);
	request.id = id;
	request.page_size = PAGE;
	request.page_token = *token;
	exit = cp_ctl_session_call(
		session, "GetRules", &request.base,
		&sentinel__v1__get_rules_response__descriptor, &answer);
	if (exit)
		return exit;
	page = (const Sentinel__V1__GetRulesResponse *)answer;
	if (session->options.json && !array->session)
		*array = cp_ctl_output_begin(session);
	exit = print_page(session, page, table, array);
	if (exit)
		return exit;
	free(*token);
	*token = strdup(page->n_rules ? page->next_page_token : "");
	if (!*token)
		return cp_ctl_session_fail_errno(session, "GetRules", -ENOMEM);
	return CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_rules_list(struct cp_ctl_session *session)
{
	static const char *const headers[] = {
		"RULE", "VERDICT", "CIDR", "PORTS", "TTL", "LEFT", "OWNER",
	};
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;
	sn_cleanup(sn_freep) char *token = strdup("");
	struct cp_ctl_output_array array = { .session = NULL };
	char id[CP_CTL_SESSION_ID_BYTES];
	enum cp_ctl_exit exit;
	int r = token ? 0 : -ENOMEM;

	if (r == 0 && !session->options.json)
		r = cp_ctl_table_new(&table, session->out, headers,
				     SN_ARRAY_SIZE(headers));
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "cannot list", r);
	exit = cp_ctl_session_resolve(session, session->options.args[1], id);
	if (exit)
		return exit;
	do {
		exit = list_page(session, id, &token, table, &array);
		if (exit)
			return exit;
	} while (*token);
	if (table)
		(void)cp_ctl_table_flush(table);
	else
		cp_ctl_output_end(&array);
	return CP_CTL_EXIT_OK;
}

/* Single changes. */

/* Tells what the daemon would refuse too, before anything is sent. */
static enum cp_ctl_exit check_rule(struct cp_ctl_session *session)
{
	const struct cp_ctl_options *options = &session->options;
	struct sn_diag diag = { .text = "" };
	struct cp_policy_rule rule;

	if (cp_policy_convert_rule_parts(SN_VERDICT_ALLOW, options->args[2],
					 options->ports, options->n_ports,
					 options->ttl_s, CP_POLICY_OWNER_LOCAL,
					 "", &rule, &diag) != 0)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE, "%s",
					   diag.text);
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit prepare(struct cp_ctl_session *session,
				char id[CP_CTL_SESSION_ID_BYTES])
{
	enum cp_ctl_exit exit = check_rule(session);

	if (exit)
		return exit;
	return cp_ctl_session_resolve(session, session->options.args[1], id);
}

static enum cp_ctl_exit print_added(struct cp_ctl_session *session,
				    const ProtobufCMessage *answer,
				    uint32_t rule_id, bool replaced)
{
	if (session->options.json)
		return cp_ctl_output_object(session, answer);
	(void)fprintf(session->out, "rule %" PRIu32 " %s\n", rule_id,
		      replaced ? "replaced" : "added");
	return CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_rules_allow(struct cp_ctl_session *session)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	const Sentinel__V1__AllowCIDRResponse *allowed;
	Sentinel__V1__AllowCIDRRequest request;
	char id[CP_CTL_SESSION_ID_BYTES];
	enum cp_ctl_exit exit = prepare(session, id);

	if (exit)
		return exit;
	sentinel__v1__allow_cidrrequest__init(&request);
	request.id = id;
	request.cidr = session->options.args[2];
	request.ports = session->options.ports;
	request.n_ports = session->options.n_ports;
	request.ttl_seconds = session->options.ttl_s;
	exit = cp_ctl_session_call(
		session, "AllowCIDR", &request.base,
		&sentinel__v1__allow_cidrresponse__descriptor, &answer);
	if (exit)
		return exit;
	allowed = (const Sentinel__V1__AllowCIDRResponse *)answer;
	return print_added(session, answer, allowed->rule_id,
			   allowed->replaced);
}

enum cp_ctl_exit cp_ctl_rules_deny(struct cp_ctl_session *session)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	const Sentinel__V1__DenyCIDRResponse *denied;
	Sentinel__V1__DenyCIDRRequest request;
	char id[CP_CTL_SESSION_ID_BYTES];
	enum cp_ctl_exit exit = prepare(session, id);

	if (exit)
		return exit;
	sentinel__v1__deny_cidrrequest__init(&request);
	request.id = id;
	request.cidr = session->options.args[2];
	request.ports = session->options.ports;
	request.n_ports = session->options.n_ports;
	request.ttl_seconds = session->options.ttl_s;
	exit = cp_ctl_session_call(session, "DenyCIDR", &request.base,
				   &sentinel__v1__deny_cidrresponse__descriptor,
				   &answer);
	if (exit)
		return exit;
	denied = (const Sentinel__V1__DenyCIDRResponse *)answer;
	return print_added(session, answer, denied->rule_id, denied->replaced);
}

enum cp_ctl_exit cp_ctl_rules_remove(struct cp_ctl_session *session)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	Sentinel__V1__RemoveCIDRRequest request;
	char id[CP_CTL_SESSION_ID_BYTES];
	enum cp_ctl_exit exit = prepare(session, id);
	uint32_t removed;

	if (exit)
		return exit;
	sentinel__v1__remove_cidrrequest__init(&request);
	request.id = id;
	request.cidr = session->options.args[2];
	request.ports = session->options.ports;
	request.n_ports = session->options.n_ports;
	exit = cp_ctl_session_call(
		session, "RemoveCIDR", &request.base,
		&sentinel__v1__remove_cidrresponse__descriptor, &answer);
	if (exit)
		return exit;
	if (session->options.json)
		return cp_ctl_output_object(session, answer);
	removed = ((const Sentinel__V1__RemoveCIDRResponse *)answer)->removed;
	(void)fprintf(session->out, "%" PRIu32 " rule%s removed\n", removed,
		      removed == 1 ? "" : "s");
	return CP_CTL_EXIT_OK;
}

enum cp_ctl_exit cp_ctl_rules_mode(struct cp_ctl_session *session)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	const struct cp_ctl_options *options = &session->options;
	char mode[CP_CTL_OUTPUT_TEXT_BYTES];
	Sentinel__V1__SetModeRequest request;
	char id[CP_CTL_SESSION_ID_BYTES];
	enum cp_ctl_exit exit;

	sentinel__v1__set_mode_request__init(&request);
	if (!cp_ctl_options_parse_mode(options->args[2], &request.mode))
		return cp_ctl_session_fail(
			session, CP_CTL_EXIT_USAGE,
			"'%s' is no mode: allowlist, denylist, block-all or "
			"disabled",
			options->args[2]);
	exit = cp_ctl_session_resolve(session, options->args[1], id);
	if (exit)
		return exit;
	request.id = id;
	request.audit = options->audit;
	exit = cp_ctl_session_call(session, "SetMode", &request.base,
				   &sentinel__v1__set_mode_response__descriptor,
				   &answer);
	if (exit)
		return exit;
	if (options->json)
		return cp_ctl_output_object(session, answer);
	(void)fprintf(session->out, "mode is %s\n",
		      cp_ctl_output_mode(request.mode, request.audit, mode));
	return CP_CTL_EXIT_OK;
}
