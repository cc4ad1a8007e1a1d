// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/change.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "controld/ctl/output.h"
#include "controld/policy/convert.h"
#include "controld/policy/convert_dns.h"
#include "controld/policy/subject.h"
#include "controld/rpc/message.h"

/* The third word of allow, deny and remove, and the whole id. */
struct subject {
	char *text;
	bool is_name;
	char id[CP_CTL_SESSION_ID_BYTES];
};

/* Options that say nothing about what was named; NULL: none. */
static const char *find_foreign(const struct cp_ctl_options *options,
				bool is_name, enum sn_verdict verdict)
{
	const uint64_t given = options->given;

	if (!is_name && (given & CP_CTL_OPTION_BIT(SUBDOMAINS)))
		return "--subdomains is for names, not for addresses";
	if (!is_name && (given & CP_CTL_OPTION_BIT(TTL_FLOOR)))
		return "--ttl-floor is for names; the life of a rule for "
		       "addresses is --ttl";
	if (is_name && (given & CP_CTL_OPTION_BIT(TTL)))
		return "--ttl is for addresses; what a name opens lives as "
		       "long as its answers say, and at least --ttl-floor";
	if (is_name && verdict == SN_VERDICT_DENY &&
	    (given & CP_CTL_OPTION_BIT(PORTS)))
		return "--ports is for addresses; a name that is denied opens "
		       "nothing on any port";
	return NULL;
}

/* Tells what the daemon would refuse too, before anything is sent. */
static int check_rule(const struct cp_ctl_options *options,
		      const struct subject *subject, enum sn_verdict verdict,
		      struct sn_diag *diag)
{
	const struct cp_policy_convert_dns_parts parts = {
		.verdict = verdict,
		.domain = subject->text,
		.subdomains = options->subdomains,
		.ports = options->ports,
		.n_ports = options->n_ports,
		.ttl_floor_s = options->ttl_floor_s,
	};
	struct cp_policy_rule rule;
	struct cp_dns_rule domain;

	if (subject->is_name)
		return cp_policy_convert_dns_rule_parts(
			&parts, CP_POLICY_OWNER_LOCAL, "", &domain, diag);
	return cp_policy_convert_rule_parts(
		verdict, subject->text, options->ports, options->n_ports,
		options->ttl_s, CP_POLICY_OWNER_LOCAL, "", &rule, diag);
}

/* verdict: of a removal, ALLOW, which may have ports. */
static enum cp_ctl_exit prepare(struct cp_ctl_session *session,
				enum sn_verdict verdict,
				struct subject *subject)
{
	const struct cp_ctl_options *options = &session->options;
	struct sn_diag diag = { .text = "" };
	struct cp_policy_subject parsed;
	const char *foreign;

	subject->text = options->args[2];
	if (cp_policy_subject_parse(subject->text, &parsed, &diag) != 0)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE, "%s",
					   diag.text);
	subject->is_name = parsed.is_name;
	foreign = find_foreign(options, subject->is_name, verdict);
	if (foreign)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE, "%s",
					   foreign);
	if (check_rule(options, subject, verdict, &diag) != 0)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE, "%s",
					   diag.text);
	return cp_ctl_session_resolve(session, options->args[1], subject->id);
}

/* Answers of the same fields are messages of several types. */
static uint32_t number_in(const ProtobufCMessage *answer, const char *name)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(
			answer->descriptor, name);
	uint32_t value;

	assert(field);
	(void)memcpy(&value, (const char *)answer + field->offset,
		     sizeof(value));
	return value;
}

static enum cp_ctl_exit add(struct cp_ctl_session *session, const char *method,
			    const ProtobufCMessage *request,
			    const ProtobufCMessageDescriptor *type)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	enum cp_ctl_exit exit =
		cp_ctl_session_call(session, method, request, type, &answer);

	if (exit)
		return exit;
	if (session->options.json)
		return cp_ctl_output_object(session, answer);
	(void)fprintf(session->out, "rule %" PRIu32 " %s\n",
		      number_in(answer, "rule_id"),
		      number_in(answer, "replaced") ? "replaced" : "added");
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit allow_cidr(struct cp_ctl_session *session,
				   struct subject *subject)
{
	Sentinel__V1__AllowCIDRRequest request;

	sentinel__v1__allow_cidrrequest__init(&request);
	request.id = subject->id;
	request.cidr = subject->text;
	request.ports = session->options.ports;
	request.n_ports = session->options.n_ports;
	request.ttl_seconds = session->options.ttl_s;
	return add(session, "AllowCIDR", &request.base,
		   &sentinel__v1__allow_cidrresponse__descriptor);
}

static enum cp_ctl_exit allow_domain(struct cp_ctl_session *session,
				     struct subject *subject)
{
	Sentinel__V1__AllowDomainRequest request;

	sentinel__v1__allow_domain_request__init(&request);
	request.id = subject->id;
	request.domain = subject->text;
	request.subdomains = session->options.subdomains;
	request.ports = session->options.ports;
	request.n_ports = session->options.n_ports;
	request.ttl_floor_seconds = session->options.ttl_floor_s;
	return add(session, "AllowDomain", &request.base,
		   &sentinel__v1__allow_domain_response__descriptor);
}

enum cp_ctl_exit cp_ctl_change_allow(struct cp_ctl_session *session)
{
	struct subject subject;
	enum cp_ctl_exit exit = prepare(session, SN_VERDICT_ALLOW, &subject);

	if (exit)
		return exit;
	return subject.is_name ? allow_domain(session, &subject) :
				 allow_cidr(session, &subject);
}

static enum cp_ctl_exit deny_cidr(struct cp_ctl_session *session,
				  struct subject *subject)
{
	Sentinel__V1__DenyCIDRRequest request;

	sentinel__v1__deny_cidrrequest__init(&request);
	request.id = subject->id;
	request.cidr = subject->text;
	request.ports = session->options.ports;
	request.n_ports = session->options.n_ports;
	request.ttl_seconds = session->options.ttl_s;
	return add(session, "DenyCIDR", &request.base,
		   &sentinel__v1__deny_cidrresponse__descriptor);
}

static enum cp_ctl_exit deny_domain(struct cp_ctl_session *session,
				    struct subject *subject)
{
	Sentinel__V1__DenyDomainRequest request;

	sentinel__v1__deny_domain_request__init(&request);
	request.id = subject->id;
	request.domain = subject->text;
	request.subdomains = session->options.subdomains;
	return add(session, "DenyDomain", &request.base,
		   &sentinel__v1__deny_domain_response__descriptor);
}

enum cp_ctl_exit cp_ctl_change_deny(struct cp_ctl_session *session)
{
	struct subject subject;
	enum cp_ctl_exit exit = prepare(session, SN_VERDICT_DENY, &subject);

	if (exit)
		return exit;
	return subject.is_name ? deny_domain(session, &subject) :
				 deny_cidr(session, &subject);
}

static enum cp_ctl_exit take_away(struct cp_ctl_session *session,
				  const char *method,
				  const ProtobufCMessage *request,
				  const ProtobufCMessageDescriptor *type)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	enum cp_ctl_exit exit =
		cp_ctl_session_call(session, method, request, type, &answer);
	uint32_t n;

	if (exit)
		return exit;
	if (session->options.json)
		return cp_ctl_output_object(session, answer);
	n = number_in(answer, "removed");
	(void)fprintf(session->out, "%" PRIu32 " rule%s removed\n", n,
		      n == 1 ? "" : "s");
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit remove_cidr(struct cp_ctl_session *session,
				    struct subject *subject)
{
	Sentinel__V1__RemoveCIDRRequest request;

	sentinel__v1__remove_cidrrequest__init(&request);
	request.id = subject->id;
	request.cidr = subject->text;
	request.ports = session->options.ports;
	request.n_ports = session->options.n_ports;
	return take_away(session, "RemoveCIDR", &request.base,
			 &sentinel__v1__remove_cidrresponse__descriptor);
}

static enum cp_ctl_exit remove_domain(struct cp_ctl_session *session,
				      struct subject *subject)
{
	Sentinel__V1__RemoveDomainRequest request;

	sentinel__v1__remove_domain_request__init(&request);
	request.id = subject->id;
	request.domain = subject->text;
	request.ports = session->options.ports;
	request.n_ports = session->options.n_ports;
	return take_away(session, "RemoveDomain", &request.base,
			 &sentinel__v1__remove_domain_response__descriptor);
}

enum cp_ctl_exit cp_ctl_change_remove(struct cp_ctl_session *session)
{
	struct subject subject;
	enum cp_ctl_exit exit = prepare(session, SN_VERDICT_ALLOW, &subject);

	if (exit)
		return exit;
	return subject.is_name ? remove_domain(session, &subject) :
				 remove_cidr(session, &subject);
}

enum cp_ctl_exit cp_ctl_change_mode(struct cp_ctl_session *session)
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

enum cp_ctl_exit cp_ctl_change_dns_mode(struct cp_ctl_session *session)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	const struct cp_ctl_options *options = &session->options;
	Sentinel__V1__SetDnsModeRequest request;
	char id[CP_CTL_SESSION_ID_BYTES];
	enum cp_ctl_exit exit;

	sentinel__v1__set_dns_mode_request__init(&request);
	if (!cp_ctl_options_parse_dns_mode(options->args[2], &request.mode))
		return cp_ctl_session_fail(
			session, CP_CTL_EXIT_USAGE,
			"'%s' is no DNS mode: allowlist, denylist, disabled, "
			"proxy or auto",
			options->args[2]);
	exit = cp_ctl_session_resolve(session, options->args[1], id);
	if (exit)
		return exit;
	request.id = id;
	exit = cp_ctl_session_call(
		session, "SetDnsMode", &request.base,
		&sentinel__v1__set_dns_mode_response__descriptor, &answer);
	if (exit)
		return exit;
	if (options->json)
		return cp_ctl_output_object(session, answer);
	(void)fprintf(session->out, "DNS mode is %s\n", options->args[2]);
	return CP_CTL_EXIT_OK;
}
