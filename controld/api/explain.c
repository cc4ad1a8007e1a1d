/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/explain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grpc/status.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/domain.h"
#include "controld/api/read.h"
#include "controld/api/validate.h"
#include "controld/attach/dns.h"
#include "controld/attach/doh.h"
#include "controld/attach/explain.h"
#include "controld/dns/doh.h"
#include "controld/policy/cidr.h"
#include "controld/policy/convert.h"
#include "controld/policy/convert_dns.h"
#include "shared/util.h"

enum { LEARNT_MAX = 64 };

/* A question to the kernel that a call waits for. */
struct waiting {
	struct cp_api *api;
	struct cp_rpc_call *call; /* NULL: nobody waits any more */
	char id[CP_ATTACH_ID_CHARS + 1];
	struct cp_attach_explain_question question;
};

/* The answer and what it points to. */
struct reply {
	Sentinel__V1__ExplainResponse message;
	Sentinel__V1__Learnt *learnt[LEARNT_MAX];
	char destination[CP_DNS_NAME_TEXT_BYTES];
};

static void init_reply(struct reply *reply)
{
	*reply = (struct reply){ .destination = "" };
	sentinel__v1__explain_response__init(&reply->message);
	reply->message.destination = reply->destination;
	reply->message.learnt = reply->learnt;
}

static void done_reply(struct reply *reply)
{
	for (size_t i = 0; i < reply->message.n_learnt; i++)
		free(reply->learnt[i]);
	free(reply->message.rule);
	free(reply->message.domain_rule);
	free(reply->message.nearest_rule);
	free(reply->message.nearest_domain_rule);
}

/* r: 0 or -ENOMEM. */
static void send_reply(struct cp_rpc_call *call, struct reply *reply, int r)
{
	if (r < 0)
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "out of memory");
	else
		cp_rpc_call_reply(call, &reply->message.base);
	done_reply(reply);
}

static uint64_t seconds_left(uint64_t expires_ns, uint64_t now_ns)
{
	if (expires_ns <= now_ns)
		return 0;
	return (expires_ns - now_ns + SN_NS_PER_S - 1) / SN_NS_PER_S;
}

static int put_learnt(struct reply *reply, const struct cp_dns_learnt_row *row,
		      uint64_t now_ns)
{
	Sentinel__V1__Learnt *learnt = cp_api_domain_make_learnt(row, now_ns);

	if (!learnt)
		return -ENOMEM;
	reply->learnt[reply->message.n_learnt++] = learnt;
	return 0;
}

/* Addresses. */

/* Both kinds of rules have numbers of one row; one that is gone meanwhile is
 * left out. */
static int put_rule(const struct cp_policy *policy, uint32_t id,
		    uint64_t now_ns, Sentinel__V1__Rule **rule,
		    Sentinel__V1__DomainRule **domain_rule)
{
	const struct cp_policy_rule *cidr = cp_policy_get_rule(policy, id);
	const struct cp_dns_rule *domain =
		cp_dns_rules_get(cp_policy_get_domains(policy), id);

	if (cidr)
		return cp_policy_convert_to_rule(cidr, now_ns, rule);
	if (domain)
		return cp_policy_convert_dns_to_rule(domain, domain_rule);
	return 0;
}

static int put_names(const struct waiting *waiting,
		     const struct cp_attach_item *item, uint64_t now_ns,
		     struct reply *reply)
{
	struct cp_dns_learnt_row row;
	int r = 0;

	for (size_t i = 0;
	     r == 0 && i < LEARNT_MAX &&
	     cp_attach_dns_get_name(item, &waiting->question.remote, i, false,
				    &row);
	     i++)
		r = put_learnt(reply, &row, now_ns);
	return r;
}

static int put_entry(const struct cp_policy *policy,
		     const struct cp_attach_explain_answer *answer,
		     uint64_t now_ns, struct reply *reply)
{
	Sentinel__V1__ExplainResponse *message = &reply->message;

	if (answer->is_decided)
		message->remaining_seconds = seconds_left(
			(uint64_t)answer->item.expires << SN_EXPIRES_SHIFT,
			now_ns);
	if (answer->is_decided || answer->verdict.rule_id)
		return put_rule(policy, answer->verdict.rule_id, now_ns,
				&message->rule, &message->domain_rule);
	if (answer->has_entry)
		return put_rule(policy, answer->item.rule_id, now_ns,
				&message->nearest_rule,
				&message->nearest_domain_rule);
	return 0;
}

static int fill_address(const struct waiting *waiting,
			const struct cp_attach_item *item,
			const struct cp_attach_explain_answer *answer,
			struct reply *reply)
{
	uint64_t now_ns = cp_attach_now(waiting->api->options.manager);
	bool is_ipv4 = waiting->question.remote.family == SN_FAMILY_IPV4;
	Sentinel__V1__ExplainResponse *message = &reply->message;
	struct cp_attach_info info;
	int r;

	cp_attach_info_get(item, &info);
	(void)inet_ntop(is_ipv4 ? AF_INET : AF_INET6,
			waiting->question.remote.bytes, reply->destination,
			sizeof(reply->destination));
	message->passes = answer->verdict.pass;
	message->reason =
		sn_borrow(sn_reasons_info[answer->verdict.reason].name);
	message->audited = answer->verdict.pass &&
			   sn_reasons_info[answer->verdict.reason].kind ==
				   SN_REASON_KIND_POLICY;
	message->mode =
		cp_policy_convert_to_mode((enum sn_mode)answer->block.mode);
	message->dns_mode = cp_policy_convert_dns_to_mode(info.dns_mode);
	message->audit = answer->block.audit;
	message->generation = answer->block.generation;
	message->revision = answer->revision;
	r = put_entry(info.policy, answer, now_ns, reply);
	return r < 0 ? r : put_names(waiting, item, now_ns, reply);
}

static void explained(void *userdata,
		      const struct cp_attach_explain_answer *answer)
{
	struct waiting *waiting = userdata;
	struct cp_rpc_call *call = waiting->call;
	const struct cp_attach_item *item =
		cp_attach_get(waiting->api->options.manager, waiting->id);
	struct reply reply;

	if (!call) {
		free(waiting);
		return;
	}
	if (!item || answer->code == CP_ATTACH_CODE_NOT_FOUND) {
		cp_rpc_call_fail(call, GRPC_STATUS_NOT_FOUND,
				 "the attachment has ended");
	} else if (answer->code != CP_ATTACH_CODE_OK) {
		cp_rpc_call_fail(call, GRPC_STATUS_UNAVAILABLE,
				 "the kernel's entries could not be read; try "
				 "again");
	} else {
		init_reply(&reply);
		send_reply(call, &reply,
			   fill_address(waiting, item, answer, &reply));
	}
	free(waiting);
}

void cp_api_explain_cancel(struct cp_rpc_call *call, void *user)
{
	struct waiting *waiting = cp_rpc_call_get_data(call);

	(void)user;
	if (waiting)
		waiting->call = NULL;
}

static void ask_kernel(struct cp_api *api, struct cp_rpc_call *call,
		       const char *id,
		       const struct cp_attach_explain_question *question)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	int r = -ENOMEM;

	if (waiting) {
		waiting->api = api;
		waiting->call = call;
		waiting->question = *question;
		(void)memcpy(waiting->id, id, sizeof(waiting->id));
		cp_rpc_call_set_data(call, waiting);
		r = cp_attach_explain(api->options.manager, id, question,
				      explained, waiting);
	}
	if (r == 0)
		return;
	cp_rpc_call_set_data(call, NULL);
	free(waiting);
	if (r == -ENOTCONN)
		cp_rpc_call_fail(call, GRPC_STATUS_UNAVAILABLE,
				 "sentinel-dp or the target is away, so that "
				 "there is nothing to be read back");
	else
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "too much is waiting for sentinel-dp");
}

/* Names. */

/* The rule of the nearest suffix that has one for its own name only. */
static int put_nearest(const struct cp_dns_rules *rules,
		       const struct cp_dns_name *name, struct reply *reply)
{
	for (unsigned int i = 0; i <= cp_dns_name_count_labels(name); i++) {
		const struct cp_dns_rule *found[CP_DNS_RULES_PER_NAME];
		int at = cp_dns_name_suffix(name, i);
		struct cp_dns_name suffix = { .size = 0 };

		if (at < 0)
			break;
		suffix.size = (uint8_t)(name->size - at);
		(void)memcpy(suffix.wire, name->wire + at, suffix.size);
		if (cp_dns_rules_list(rules, &suffix, found) > 0)
			return cp_policy_convert_dns_to_rule(
				found[0], &reply->message.nearest_domain_rule);
	}
	return 0;
}

/* What the resolver would decide, as controld/dns/task.c does. */
static void judge_name(const struct cp_api *api,
		       const struct cp_attach_info *info,
		       const struct cp_dns_name *name,
		       const struct cp_dns_match *match, struct reply *reply)
{
	Sentinel__V1__ExplainResponse *message = &reply->message;
	bool is_audit = cp_policy_get_settings(info->policy).audit;
	bool is_listed = cp_dns_doh_is_refused(
		cp_attach_doh_get(api->options.manager), name, match);
	bool allows = false;

	switch (info->dns_mode) {
	case CP_DNS_MODE_DISABLED:
		is_listed = false;
		allows = true;
		break;
	case CP_DNS_MODE_DENYLIST:
		allows = match->verdict != SN_VERDICT_DENY;
		break;
	default:
		allows = match->verdict == SN_VERDICT_ALLOW;
		break;
	}
	allows = allows && !is_listed;
	message->passes = allows || is_audit;
	message->audited = !allows && is_audit;
	if (info->dns_mode == CP_DNS_MODE_PROXY && !is_listed &&
	    match->verdict == SN_VERDICT_NONE) {
		message->reason = sn_borrow("control-plane");
		return;
	}
	message->reason = sn_borrow(allows    ? "allowed" :
				    is_listed ? "doh-list" :
						"dns-denied");
}

static int put_opened(const struct cp_attach_item *item,
		      const struct cp_dns_name *name, uint64_t now_ns,
		      struct reply *reply)
{
	struct cp_dns_learnt_row after = { .name = *name }, row;
	int r = 0;

	while (r == 0 && reply->message.n_learnt < LEARNT_MAX &&
	       cp_attach_dns_next_learnt(item, &after, &row) &&
	       cp_dns_name_is_equal(&row.name, name)) {
		r = put_learnt(reply, &row, now_ns);
		after = row;
	}
	return r;
}

static void explain_name(struct cp_api *api, struct cp_rpc_call *call,
			 const struct cp_attach_item *item,
			 const struct cp_dns_name *name)
{
	uint64_t now_ns = cp_attach_now(api->options.manager);
	struct cp_policy_settings settings;
	struct cp_attach_info info;
	struct cp_dns_match match;
	struct reply reply;
	int r = 0;

	init_reply(&reply);
	cp_attach_info_get(item, &info);
	settings = cp_policy_get_settings(info.policy);
	cp_dns_rules_match(cp_policy_get_domains(info.policy), name, &match);
	(void)cp_dns_name_format(name, reply.destination);
	reply.message.mode = cp_policy_convert_to_mode(settings.mode);
	reply.message.dns_mode = cp_policy_convert_dns_to_mode(info.dns_mode);
	reply.message.audit = settings.audit;
	reply.message.generation = info.generation;
	judge_name(api, &info, name, &match, &reply);
	if (match.n_rules > 0 && info.dns_mode != CP_DNS_MODE_DISABLED)
		r = cp_policy_convert_dns_to_rule(match.rules[0],
						  &reply.message.domain_rule);
	else if (info.dns_mode != CP_DNS_MODE_DISABLED)
		r = put_nearest(cp_policy_get_domains(info.policy), name,
				&reply);
	if (r == 0)
		r = put_opened(item, name, now_ns, &reply);
	send_reply(call, &reply, r);
}

/* Requests. */

static int read_ports(const Sentinel__V1__ExplainRequest *request,
		      struct cp_attach_explain_question *ret,
		      struct sn_diag *diag)
{
	uint32_t protocol = request->protocol ? request->protocol : IPPROTO_TCP;
	const char *field = "port";

	if (protocol > UINT8_MAX) {
		field = "protocol";
		sn_diag_set(diag, field, "is not 1 to 255");
	} else if (request->port > UINT16_MAX) {
		sn_diag_set(diag, field, "is not 1 to 65535");
	} else if (cp_policy_ports_has_ports((uint8_t)protocol) !=
		   (request->port > 0)) {
		sn_diag_set(diag, field,
			    request->port ? "is of no use with this protocol" :
					    "must be stated");
	} else {
		ret->protocol = (uint8_t)protocol;
		ret->port = (uint16_t)request->port;
		return 0;
	}
	return CP_API_VALIDATE_E_INVALID;
}

static bool read_address(const char *text, struct cp_dns_address *ret)
{
	*ret = (struct cp_dns_address){ .family = SN_FAMILY_IPV4 };
	if (inet_pton(AF_INET, text, ret->bytes) == 1)
		return true;
	ret->family = SN_FAMILY_IPV6;
	return inet_pton(AF_INET6, text, ret->bytes) == 1;
}

void cp_api_explain_call(struct cp_rpc_call *call,
			 const ProtobufCMessage *message, void *user)
{
	const Sentinel__V1__ExplainRequest *request = (const void *)message;
	struct cp_attach_explain_question question;
	const struct cp_attach_item *item;
	struct cp_dns_name name;
	struct sn_diag why = { 0 }, diag = { 0 };
	int r;

	item = cp_api_read_find(user, call, request->id);
	if (!item)
		return;
	if (read_address(request->destination, &question.remote)) {
		r = read_ports(request, &question, &diag);
		if (r == 0)
			ask_kernel(user, call, request->id, &question);
		else
			cp_api_pending_refuse(call, &diag);
		return;
	}
	if (cp_dns_name_parse(request->destination, &name, &why)) {
		sn_diag_set(&diag, "destination",
			    "is neither an address nor a name: %s", why.text);
		cp_api_pending_refuse(call, &diag);
		return;
	}
	if (request->port || request->protocol) {
		sn_diag_set(&diag, "port", "is for addresses");
		cp_api_pending_refuse(call, &diag);
		return;
	}
	explain_name(user, call, item, &name);
}
