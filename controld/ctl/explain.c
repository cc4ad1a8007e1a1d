/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/ctl/explain.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include "controld/ctl/output.h"
#include "controld/ctl/table.h"
#include "controld/policy/ports.h"
#include "controld/rpc/message.h"

enum {
	PORT_DEFAULT = 443,
	SPEC_BYTES = 32,
	/* Of what a name has opened, so many are asked for one by one. */
	ADDRESSES_MAX = 8,
};

/* "443/tcp", "443", "/icmp", "" into protocol and port. */
static bool parse_ports(const char *port, const char *protocol,
			struct cp_ctl_explain_target *ret, const char **why)
{
	struct cp_policy_ports ports;
	struct sn_diag diag;
	char spec[SPEC_BYTES];
	int n;

	if (port)
		n = snprintf(spec, sizeof(spec), "%s/%s", port,
			     protocol ? protocol : "tcp");
	else if (protocol &&
		 (strcmp(protocol, "tcp") == 0 || strcmp(protocol, "udp") == 0))
		n = snprintf(spec, sizeof(spec), "%d/%s", PORT_DEFAULT,
			     protocol);
	else
		n = snprintf(spec, sizeof(spec), "%s",
			     protocol ? protocol : "443/tcp");
	if (n >= SPEC_BYTES || strchr(spec, '-') ||
	    cp_policy_ports_parse(spec, &ports, &diag) != 0 ||
	    (port && ports.low != ports.high)) {
		*why = "its port and protocol are not such as :443, :53/udp or "
		       "/icmp";
		return false;
	}
	ret->protocol = ports.protocol;
	ret->port = cp_policy_ports_has_ports(ports.protocol) ? ports.low : 0;
	if (ret->port == 0 && cp_policy_ports_has_ports(ports.protocol)) {
		*why = "this protocol needs a port";
		return false;
	}
	return true;
}

static bool is_address(const char *text)
{
	uint8_t bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, bytes) == 1 ||
	       inet_pton(AF_INET6, text, bytes) == 1;
}

bool cp_ctl_explain_parse(const char *text, struct cp_ctl_explain_target *ret,
			  const char **why)
{
	char copy[CP_CTL_EXPLAIN_HOST_BYTES + SPEC_BYTES];
	char *host = copy, *port = NULL, *protocol, *end;

	*ret = (struct cp_ctl_explain_target){ .host = "" };
	*why = "it is empty or too long";
	if (!*text || strlen(text) >= CP_CTL_EXPLAIN_HOST_BYTES)
		return false;
	(void)memcpy(copy, text, strlen(text) + 1);
	protocol = strchr(copy, '/');
	if (protocol)
		*protocol++ = '\0';
	if (*copy == '[') {
		end = strchr(copy, ']');
		*why = "']' is missing, or not followed by ':' and a port";
		if (!end || (end[1] != '\0' && end[1] != ':'))
			return false;
		host = copy + 1;
		port = end[1] == ':' ? end + 2 : NULL;
		*end = '\0';
	} else if (!is_address(copy)) {
		port = strrchr(copy, ':');
		if (port)
			*port++ = '\0';
	}
	(void)memcpy(ret->host, host, strlen(host) + 1);
	ret->is_address = is_address(host);
	ret->has_port = port || protocol;
	return parse_ports(port, protocol, ret, why);
}

static void print_ports(FILE *out, char *const *ports, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)fprintf(out, "%s%s", i ? "," : ", ports ",
			      cp_ctl_table_clean(ports[i]));
	(void)fputc('\n', out);
}

static void print_rule(FILE *out, const char *label,
		       const Sentinel__V1__Rule *rule,
		       const Sentinel__V1__DomainRule *domain)
{
	char verdict[CP_CTL_OUTPUT_TEXT_BYTES];

	if (rule) {
		(void)cp_ctl_output_enum(&sentinel__v1__verdict__descriptor,
					 (int)rule->verdict, verdict);
		(void)fprintf(out, "  %-12s %" PRIu32 " (%s): %s %s", label,
			      rule->id, cp_ctl_table_clean(rule->owner),
			      verdict, cp_ctl_table_clean(rule->cidr));
		print_ports(out, rule->ports, rule->n_ports);
	} else if (domain) {
		(void)cp_ctl_output_enum(&sentinel__v1__verdict__descriptor,
					 (int)domain->verdict, verdict);
		(void)fprintf(out, "  %-12s %" PRIu32 " (%s): %s %s%s", label,
			      domain->id, cp_ctl_table_clean(domain->owner),
			      verdict, cp_ctl_table_clean(domain->domain),
			      domain->subdomains ? " and below" : "");
		print_ports(out, domain->ports, domain->n_ports);
	}
}

static void print_learnt(FILE *out, const Sentinel__V1__ExplainResponse *answer,
			 bool is_address)
{
	char left[CP_CTL_OUTPUT_TEXT_BYTES];

	for (size_t i = 0; i < answer->n_learnt; i++) {
		const Sentinel__V1__Learnt *one = answer->learnt[i];

		(void)fprintf(out, "  %-12s %s, %s more",
			      is_address ? "name" : "opened",
			      cp_ctl_table_clean(is_address ? one->name :
							      one->address),
			      cp_ctl_output_seconds(one->remaining_seconds,
						    left));
		print_ports(out, one->ports, one->n_ports);
	}
}

static void print(FILE *out, const Sentinel__V1__ExplainResponse *answer,
		  const struct cp_ctl_explain_target *target)
{
	char mode[CP_CTL_OUTPUT_TEXT_BYTES], text[CP_CTL_OUTPUT_TEXT_BYTES];
	char ports[CP_POLICY_PORTS_TEXT_BYTES] = "";
	bool is_asked = strcmp(answer->reason, "control-plane") == 0;
	const char *verdict = answer->audited ? "AUDITED" :
			      answer->passes  ? "ALLOWED" :
			      is_asked	      ? "ASKED" :
						"BLOCKED";
	const struct cp_policy_ports spec = {
		.protocol = (uint8_t)target->protocol,
		.low = (uint16_t)target->port,
		.high = target->port ? (uint16_t)target->port : UINT16_MAX,
	};

	if (target->is_address)
		(void)cp_policy_ports_format(&spec, ports);
	(void)fprintf(out, "%s  %s%s%s: %s\n", verdict,
		      cp_ctl_table_clean(answer->destination),
		      *ports ? " " : "", ports,
		      cp_ctl_table_clean(answer->reason));
	if (is_asked)
		(void)fprintf(out,
			      "  %-12s the control plane, whenever a workload "
			      "asks for the name; not asked now\n",
			      "decided by");
	print_rule(out, "rule", answer->rule, answer->domain_rule);
	print_learnt(out, answer, target->is_address);
	if (answer->remaining_seconds)
		(void)fprintf(
			out, "  %-12s %s, for new connections\n", "ends in",
			cp_ctl_output_seconds(answer->remaining_seconds, text));
	print_rule(out, "nearest rule", answer->nearest_rule,
		   answer->nearest_domain_rule);
	(void)cp_ctl_output_mode(answer->mode, answer->audit, mode);
	(void)cp_ctl_output_enum(&sentinel__v1__dns_mode__descriptor,
				 (int)answer->dns_mode, text);
	(void)fprintf(out, "  %-12s %s, names %s, generation %" PRIu32 "\n",
		      "mode", mode, text, answer->generation);
}

/* *ret (may be NULL) gets the answer; it is printed in any case. */
static enum cp_ctl_exit ask(struct cp_ctl_session *session, char *id,
			    struct cp_ctl_explain_target *target,
			    struct cp_ctl_output_array *array,
			    ProtobufCMessage **ret)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	Sentinel__V1__ExplainRequest request;
	enum cp_ctl_exit exit;

	sentinel__v1__explain_request__init(&request);
	request.id = id;
	request.destination = target->host;
	if (target->is_address) {
		request.protocol = target->protocol;
		request.port = target->port;
	}
	exit = cp_ctl_session_call(session, "Explain", &request.base,
				   &sentinel__v1__explain_response__descriptor,
				   &answer);
	if (exit)
		return exit;
	if (session->options.json)
		exit = cp_ctl_output_element(array, answer);
	else
		print(session->out,
		      (const Sentinel__V1__ExplainResponse *)(void *)answer,
		      target);
	if (ret)
		*ret = sn_steal(&answer);
	return exit;
}

/* A name with a port: what is said of each address that it has opened. */
static enum cp_ctl_exit ask_opened(struct cp_ctl_session *session, char *id,
				   const struct cp_ctl_explain_target *target,
				   struct cp_ctl_output_array *array,
				   const Sentinel__V1__ExplainResponse *name)
{
	struct cp_ctl_explain_target one = *target;
	enum cp_ctl_exit exit = CP_CTL_EXIT_OK;

	one.is_address = true;
	for (size_t i = 0;
	     exit == CP_CTL_EXIT_OK && i < name->n_learnt && i < ADDRESSES_MAX;
	     i++) {
		(void)snprintf(one.host, sizeof(one.host), "%s",
			       name->learnt[i]->address);
		exit = ask(session, id, &one, array, NULL);
	}
	return exit;
}

enum cp_ctl_exit cp_ctl_explain_show(struct cp_ctl_session *session)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	struct cp_ctl_output_array array = { .session = NULL };
	struct cp_ctl_explain_target target;
	char id[CP_CTL_SESSION_ID_BYTES];
	enum cp_ctl_exit exit;
	const char *why;

	if (!cp_ctl_explain_parse(session->options.args[2], &target, &why))
		return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE,
					   "'%s' is no destination: %s",
					   session->options.args[2], why);
	exit = cp_ctl_session_resolve(session, session->options.args[1], id);
	if (exit)
		return exit;
	if (session->options.json)
		array = cp_ctl_output_begin(session);
	exit = ask(session, id, &target, &array, &answer);
	if (exit == CP_CTL_EXIT_OK && !target.is_address && target.has_port)
		exit = ask_opened(
			session, id, &target, &array,
			(const Sentinel__V1__ExplainResponse *)(void *)answer);
	if (session->options.json)
		cp_ctl_output_end(&array);
	return exit;
}
