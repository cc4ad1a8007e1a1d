/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/pending.h"
#include "controld/api/validate.h"
#include "controld/policy/convert.h"
#include "shared/log.h"

/* The concrete type is the one that the method's row names. */
#define AS(type, message) \
	((const Sentinel__V1__##type *)(const void *)(message))

void cp_api_change_fill_attached(struct cp_api *api, const char *id,
				 struct cp_api_change_attached *ret)
{
	Sentinel__V1__AttachResponse *answer = &ret->message;
	const struct cp_attach_item *item;

	sentinel__v1__attach_response__init(answer);
	(void)snprintf(ret->id, sizeof(ret->id), "%s", id);
	answer->id = ret->id;
	item = cp_attach_get(api->options.manager, id);
	if (!item)
		return;
	cp_attach_info_get(item, &ret->info);
	answer->dns_address = ret->info.dns_address;
	/* Packing only reads; protobuf-c has no const pointers. */
	memcpy(ret->notes, ret->info.notes, sizeof(ret->notes));
	answer->notes = ret->notes;
	answer->n_notes = ret->info.n_notes;
}

static void reply_attach(struct cp_rpc_call *call,
			 const struct cp_attach_result *result)
{
	struct cp_api_pending *pending = cp_rpc_call_get_data(call);
	struct cp_api_change_attached answer;

	cp_api_change_fill_attached(pending->api, result->id, &answer);
	cp_rpc_call_reply(call, &answer.message.base);
}

int cp_api_change_begin_attach(struct cp_api_pending *pending,
			       const Sentinel__V1__AttachRequest *message,
			       cp_attach_done done, void *userdata,
			       int *started, struct sn_diag *diag)
{
	struct cp_api *api = pending->api;
	struct cp_attach_request request = { 0 };
	struct cp_attach_pair pairs[CP_ATTACH_METADATA_MAX];
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = NULL;
	int r;

	r = cp_api_validate_attach(message, &request, pairs, diag);
	if (r)
		return CP_POLICY_CONVERT_E_INVALID;
	r = cp_policy_convert_policy(message->policy, api->options.max_rules,
				     CP_POLICY_OWNER_LOCAL, "policy", &policy,
				     diag);
	if (r)
		return r;
	if (cp_api_validate_mode(message, policy, diag))
		return CP_POLICY_CONVERT_E_INVALID;
	(void)snprintf(pending->what, sizeof(pending->what),
		       " target='%.100s' rules=%zu",
		       sn_log_target(request.target), cp_policy_count(policy));
	request.policy = sn_steal(&policy);
	*started =
		cp_attach_add(api->options.manager, &request, done, userdata);
	return 0;
}

CP_API_CHANGE(attach)
{
	struct cp_api_pending *pending;
	struct sn_diag diag = { 0 };
	int started = 0, r;

	pending = cp_api_pending_new(user, call, "Attach", reply_attach);
	if (!pending)
		return;
	r = cp_api_change_begin_attach(pending, AS(AttachRequest, message),
				       cp_api_pending_done, pending, &started,
				       &diag);
	if (r)
		cp_api_pending_drop(pending, r, &diag);
	else
		cp_api_pending_started(pending, started);
}

static void reply_detach(struct cp_rpc_call *call,
			 const struct cp_attach_result *result)
{
	Sentinel__V1__DetachResponse answer =
		SENTINEL__V1__DETACH_RESPONSE__INIT;

	(void)result;
	cp_rpc_call_reply(call, &answer.base);
}

CP_API_CHANGE(detach)
{
	const char *id = AS(DetachRequest, message)->id;
	struct cp_api *api = user;
	struct cp_api_pending *pending;

	pending = cp_api_pending_begin(api, call, "Detach", id, reply_detach);
	if (pending)
		cp_api_pending_started(pending,
				       cp_attach_remove(api->options.manager,
							id, cp_api_pending_done,
							pending));
}

static void reply_apply(struct cp_rpc_call *call,
			const struct cp_attach_result *result)
{
	Sentinel__V1__ApplyResponse answer = SENTINEL__V1__APPLY_RESPONSE__INIT;

	answer.generation = result->generation;
	answer.added = result->added;
	answer.removed = result->removed;
	answer.unchanged = result->unchanged;
	cp_rpc_call_reply(call, &answer.base);
}

CP_API_CHANGE(apply)
{
	const Sentinel__V1__ApplyRequest *request = AS(ApplyRequest, message);
	struct cp_api *api = user;
	struct cp_api_pending *pending;
	struct cp_policy *policy;
	struct sn_diag diag = { 0 };
	int r;

	pending = cp_api_pending_begin(api, call, "Apply", request->id,
				       reply_apply);
	if (!pending)
		return;
	if (!request->policy) {
		sn_diag_set(&diag, "policy", "must be stated");
		cp_api_pending_drop(pending, CP_POLICY_CONVERT_E_INVALID,
				    &diag);
		return;
	}
	r = cp_policy_convert_policy(request->policy, api->options.max_rules,
				     CP_POLICY_OWNER_LOCAL, "policy", &policy,
				     &diag);
	if (r) {
		cp_api_pending_drop(pending, r, &diag);
		return;
	}
	(void)snprintf(pending->what, sizeof(pending->what),
		       " rules=%zu dry_run=%d", cp_policy_count(policy),
		       (int)request->dry_run);
	cp_api_pending_started(
		pending, cp_attach_apply(api->options.manager, request->id,
					 policy, request->dry_run,
					 cp_api_pending_done, pending));
}

static void reply_set_mode(struct cp_rpc_call *call,
			   const struct cp_attach_result *result)
{
	Sentinel__V1__SetModeResponse answer =
		SENTINEL__V1__SET_MODE_RESPONSE__INIT;

	(void)result;
	cp_rpc_call_reply(call, &answer.base);
}

static const char *name_of(enum sn_mode mode)
{
	switch (mode) {
	case SN_MODE_DISABLED:
		return "disabled";
	case SN_MODE_ALLOWLIST:
		return "allowlist";
	case SN_MODE_DENYLIST:
		return "denylist";
	case SN_MODE_BLOCK_ALL:
		return "block-all";
	case SN_MODE_NONE:
		break;
	}
	return "-";
}

CP_API_CHANGE(set_mode)
{
	const Sentinel__V1__SetModeRequest *request =
		AS(SetModeRequest, message);
	struct cp_api *api = user;
	struct cp_api_pending *pending;
	enum sn_mode mode = SN_MODE_NONE;
	struct sn_diag diag = { 0 };
	int r;

	pending = cp_api_pending_begin(api, call, "SetMode", request->id,
				       reply_set_mode);
	if (!pending)
		return;
	r = cp_policy_convert_mode(request->mode, "mode", &mode, &diag);
	if (r == 0 && mode == SN_MODE_NONE) {
		sn_diag_set(&diag, "mode", "must be stated");
		r = CP_POLICY_CONVERT_E_INVALID;
	}
	if (r) {
		cp_api_pending_drop(pending, r, &diag);
		return;
	}
	(void)snprintf(pending->what, sizeof(pending->what),
		       " mode=%s audit=%d", name_of(mode), (int)request->audit);
	cp_api_pending_started(
		pending, cp_attach_set_mode(api->options.manager, request->id,
					    mode, request->audit,
					    cp_api_pending_done, pending));
}

static void reply_allow(struct cp_rpc_call *call,
			const struct cp_attach_result *result)
{
	Sentinel__V1__AllowCIDRResponse answer =
		SENTINEL__V1__ALLOW_CIDRRESPONSE__INIT;

	answer.replaced = result->replaced;
	answer.rule_id = result->rule_id;
	cp_rpc_call_reply(call, &answer.base);
}

static void reply_deny(struct cp_rpc_call *call,
		       const struct cp_attach_result *result)
{
	Sentinel__V1__DenyCIDRResponse answer =
		SENTINEL__V1__DENY_CIDRRESPONSE__INIT;

	answer.replaced = result->replaced;
	answer.rule_id = result->rule_id;
	cp_rpc_call_reply(call, &answer.base);
}

static void reply_remove(struct cp_rpc_call *call,
			 const struct cp_attach_result *result)
{
	Sentinel__V1__RemoveCIDRResponse answer =
		SENTINEL__V1__REMOVE_CIDRRESPONSE__INIT;

	answer.removed = result->removed;
	cp_rpc_call_reply(call, &answer.base);
}

/* The parts of a rule as three requests carry them. */
struct parts {
	const char *method;
	const char *id;
	const char *cidr;
	char *const *ports;
	size_t n_ports;
	uint64_t ttl_s;
	enum sn_verdict verdict; /* NONE: remove */
	void (*reply)(struct cp_rpc_call *call,
		      const struct cp_attach_result *result);
};

static void describe_rule(const struct cp_policy_rule *rule,
			  struct cp_api_pending *pending)
{
	char ports[CP_POLICY_PORTS_LIST_BYTES];
	char cidr[CP_POLICY_CIDR_TEXT_BYTES];

	(void)snprintf(pending->what, sizeof(pending->what),
		       " cidr=%s ports=%s ttl=%u",
		       cp_policy_cidr_format(&rule->cidr, cidr),
		       cp_policy_ports_format_list(rule->ports, rule->n_ports,
						   ports),
		       rule->ttl_s);
}

static void change_rule(struct cp_api *api, struct cp_rpc_call *call,
			const struct parts *parts)
{
	struct cp_attach *manager = api->options.manager;
	struct cp_api_pending *pending;
	struct cp_policy_rule rule;
	struct sn_diag diag = { 0 };
	int r;

	pending = cp_api_pending_begin(api, call, parts->method, parts->id,
				       parts->reply);
	if (!pending)
		return;
	r = cp_policy_convert_rule_parts(
		parts->verdict ? parts->verdict : SN_VERDICT_ALLOW, parts->cidr,
		parts->ports, parts->n_ports, parts->ttl_s,
		CP_POLICY_OWNER_LOCAL, "", &rule, &diag);
	if (r) {
		cp_api_pending_drop(pending, r, &diag);
		return;
	}
	describe_rule(&rule, pending);
	if (parts->verdict)
		r = cp_attach_add_rule(manager, parts->id, &rule,
				       cp_api_pending_done, pending);
	else
		r = cp_attach_remove_rules(manager, parts->id, &rule,
					   cp_api_pending_done, pending);
	cp_api_pending_started(pending, r);
}

CP_API_CHANGE(allow)
{
	const Sentinel__V1__AllowCIDRRequest *request =
		AS(AllowCIDRRequest, message);
	struct parts parts = {
		.method = "AllowCIDR",
		.id = request->id,
		.cidr = request->cidr,
		.ports = request->ports,
		.n_ports = request->n_ports,
		.ttl_s = request->ttl_seconds,
		.verdict = SN_VERDICT_ALLOW,
		.reply = reply_allow,
	};

	change_rule(user, call, &parts);
}

CP_API_CHANGE(deny)
{
	const Sentinel__V1__DenyCIDRRequest *request =
		AS(DenyCIDRRequest, message);
	struct parts parts = {
		.method = "DenyCIDR",
		.id = request->id,
		.cidr = request->cidr,
		.ports = request->ports,
		.n_ports = request->n_ports,
		.ttl_s = request->ttl_seconds,
		.verdict = SN_VERDICT_DENY,
		.reply = reply_deny,
	};

	change_rule(user, call, &parts);
}

CP_API_CHANGE(remove)
{
	const Sentinel__V1__RemoveCIDRRequest *request =
		AS(RemoveCIDRRequest, message);
	struct parts parts = {
		.method = "RemoveCIDR",
		.id = request->id,
		.cidr = request->cidr,
		.ports = request->ports,
		.n_ports = request->n_ports,
		.reply = reply_remove,
	};

	change_rule(user, call, &parts);
}
