/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/domain.h"

#include <arpa/inet.h>
#include <grpc/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/pending.h"
#include "controld/api/read.h"
#include "controld/api/validate.h"
#include "controld/attach/dns.h"
#include "controld/policy/convert_dns.h"

/* The concrete type is the one that the method's row names. */
#define AS(type, message) \
	((const Sentinel__V1__##type *)(const void *)(message))

/* Changes. */

static void reply_allow(struct cp_rpc_call *call,
			const struct cp_attach_result *result)
{
	Sentinel__V1__AllowDomainResponse answer =
		SENTINEL__V1__ALLOW_DOMAIN_RESPONSE__INIT;

	answer.replaced = result->replaced;
	answer.rule_id = result->rule_id;
	cp_rpc_call_reply(call, &answer.base);
}

static void reply_deny(struct cp_rpc_call *call,
		       const struct cp_attach_result *result)
{
	Sentinel__V1__DenyDomainResponse answer =
		SENTINEL__V1__DENY_DOMAIN_RESPONSE__INIT;

	answer.replaced = result->replaced;
	answer.rule_id = result->rule_id;
	cp_rpc_call_reply(call, &answer.base);
}

static void reply_remove(struct cp_rpc_call *call,
			 const struct cp_attach_result *result)
{
	Sentinel__V1__RemoveDomainResponse answer =
		SENTINEL__V1__REMOVE_DOMAIN_RESPONSE__INIT;

	answer.removed = result->removed;
	cp_rpc_call_reply(call, &answer.base);
}

static void reply_set_mode(struct cp_rpc_call *call,
			   const struct cp_attach_result *result)
{
	Sentinel__V1__SetDnsModeResponse answer =
		SENTINEL__V1__SET_DNS_MODE_RESPONSE__INIT;

	(void)result;
	cp_rpc_call_reply(call, &answer.base);
}

/* A domain rule as three requests carry it. */
struct change {
	const char *method;
	const char *id;
	struct cp_policy_convert_dns_parts parts;
	bool is_removal;
	void (*reply)(struct cp_rpc_call *call,
		      const struct cp_attach_result *result);
};

static void describe_rule(const struct cp_dns_rule *rule,
			  struct cp_api_pending *pending)
{
	char ports[CP_POLICY_PORTS_LIST_BYTES];
	char name[CP_DNS_NAME_TEXT_BYTES];

	(void)snprintf(
		pending->what, sizeof(pending->what),
		" domain=%s subdomains=%d ports=%s floor=%u",
		cp_dns_name_format(&rule->name, name), (int)rule->subdomains,
		cp_policy_ports_format_list(rule->ports, rule->n_ports, ports),
		rule->ttl_floor_s);
}

static void change_rule(struct cp_api *api, struct cp_rpc_call *call,
			const struct change *change)
{
	struct cp_attach *manager = api->options.manager;
	struct cp_api_pending *pending;
	struct cp_dns_rule rule;
	struct sn_diag diag = { 0 };
	int r;

	pending = cp_api_pending_begin(api, call, change->method, change->id,
				       change->reply);
	if (!pending)
		return;
	r = cp_policy_convert_dns_rule_parts(
		&change->parts, CP_POLICY_OWNER_LOCAL, "", &rule, &diag);
	if (r) {
		cp_api_pending_drop(pending, r, &diag);
		return;
	}
	describe_rule(&rule, pending);
	if (change->is_removal)
		r = cp_attach_dns_remove_domains(manager, change->id, &rule,
						 cp_api_pending_done, pending);
	else
		r = cp_attach_dns_add_domain(manager, change->id, &rule,
					     cp_api_pending_done, pending);
	cp_api_pending_started(pending, r);
}

CP_API_DOMAIN(allow)
{
	const Sentinel__V1__AllowDomainRequest *request =
		AS(AllowDomainRequest, message);
	const struct change change = {
		.method = "AllowDomain",
		.id = request->id,
		.parts = {
			.verdict = SN_VERDICT_ALLOW,
			.domain = request->domain,
			.subdomains = request->subdomains,
			.ports = request->ports,
			.n_ports = request->n_ports,
			.ttl_floor_s = request->ttl_floor_seconds,
		},
		.reply = reply_allow,
	};

	change_rule(user, call, &change);
}

CP_API_DOMAIN(deny)
{
	const Sentinel__V1__DenyDomainRequest *request =
		AS(DenyDomainRequest, message);
	const struct change change = {
		.method = "DenyDomain",
		.id = request->id,
		.parts = {
			.verdict = SN_VERDICT_DENY,
			.domain = request->domain,
			.subdomains = request->subdomains,
		},
		.reply = reply_deny,
	};

	change_rule(user, call, &change);
}

CP_API_DOMAIN(remove)
{
	const Sentinel__V1__RemoveDomainRequest *request =
		AS(RemoveDomainRequest, message);
	const struct change change = {
		.method = "RemoveDomain",
		.id = request->id,
		.parts = {
			.verdict = SN_VERDICT_ALLOW,
			.domain = request->domain,
			.ports = request->ports,
			.n_ports = request->n_ports,
		},
		.is_removal = true,
		.reply = reply_remove,
	};

	change_rule(user, call, &change);
}

static const char *name_of(enum cp_dns_mode mode)
{
	switch (mode) {
	case CP_DNS_MODE_NONE:
		return "auto";
	case CP_DNS_MODE_DISABLED:
		return "disabled";
	case CP_DNS_MODE_ALLOWLIST:
		return "allowlist";
	case CP_DNS_MODE_DENYLIST:
		return "denylist";
	case CP_DNS_MODE_PROXY:
		return "proxy";
	}
	return "-";
}

CP_API_DOMAIN(set_mode)
{
	const Sentinel__V1__SetDnsModeRequest *request =
		AS(SetDnsModeRequest, message);
	enum cp_dns_mode mode = CP_DNS_MODE_NONE;
	struct cp_api_pending *pending;
	struct cp_api *api = user;
	struct sn_diag diag = { 0 };
	int r;

	pending = cp_api_pending_begin(api, call, "SetDnsMode", request->id,
				       reply_set_mode);
	if (!pending)
		return;
	r = cp_policy_convert_dns_mode(request->mode, "mode", &mode, &diag);
	if (r) {
		cp_api_pending_drop(pending, r, &diag);
		return;
	}
	(void)snprintf(pending->what, sizeof(pending->what), " mode=%s",
		       name_of(mode));
	cp_api_pending_started(
		pending,
		cp_attach_dns_set_mode(api->options.manager, request->id, mode,
				       cp_api_pending_done, pending));
}

/* Reading. */

static void fail_memory(struct cp_rpc_call *call)
{
	cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

/* Rules after `after`, up to `size` of them and to half a message. */
static int collect_rules(const struct cp_api *api,
			 const struct cp_dns_rules *rules, uint32_t after,
			 uint32_t size,
			 Sentinel__V1__GetDomainsResponse *answer, bool *more)
{
	const struct cp_dns_rule *rule;
	size_t bytes = 0;
	int r;

	for (rule = cp_dns_rules_next(rules, after); rule;
	     rule = cp_dns_rules_next(rules, rule->id)) {
		if (answer->n_domains == size ||
		    bytes > api->options.max_message_bytes / 2) {
			*more = true;
			break;
		}
		r = cp_policy_convert_dns_to_rule(
			rule, &answer->domains[answer->n_domains]);
		if (r < 0)
			return r;
		bytes += sentinel__v1__domain_rule__get_packed_size(
			answer->domains[answer->n_domains++]);
	}
	return 0;
}

CP_API_DOMAIN(read_rules)
{
	const Sentinel__V1__GetDomainsRequest *request =
		AS(GetDomainsRequest, message);
	Sentinel__V1__GetDomainsResponse answer;
	const struct cp_attach_item *item;
	struct cp_attach_info info;
	struct sn_diag diag = { 0 };
	uint32_t size, after;
	bool more = false;
	char token[16];
	int r;

	sentinel__v1__get_domains_response__init(&answer);
	if (cp_api_validate_page(request->page_size,
				 CP_API_VALIDATE_RULES_DEFAULT,
				 CP_API_VALIDATE_RULES_MAX, &size, &diag) ||
	    cp_api_validate_rule_token(request->page_token, &after, &diag)) {
		cp_api_pending_refuse(call, &diag);
		return;
	}
	item = cp_api_read_find(user, call, request->id);
	if (!item)
		return;
	cp_attach_info_get(item, &info);
	answer.domains = calloc(size, sizeof(*answer.domains));
	r = answer.domains ?
		    collect_rules(user, cp_policy_get_domains(info.policy),
				  after, size, &answer, &more) :
		    -ENOMEM;
	if (more) {
		(void)snprintf(token, sizeof(token), "%u",
			       answer.domains[answer.n_domains - 1]->id);
		answer.next_page_token = token;
	}
	if (r < 0)
		fail_memory(call);
	else
		cp_rpc_call_reply(call, &answer.base);
	for (size_t i = 0; answer.domains && i < answer.n_domains; i++)
		free(answer.domains[i]);
	free(answer.domains);
}

/* A learnt address with its strings behind it. */
struct packed_learnt {
	Sentinel__V1__Learnt message;
	char *ports[CP_POLICY_PORTS_MAX];
	char texts[CP_POLICY_PORTS_MAX][CP_POLICY_PORTS_TEXT_BYTES];
	char address[INET6_ADDRSTRLEN];
	char name[CP_DNS_NAME_TEXT_BYTES];
};

Sentinel__V1__Learnt *
cp_api_domain_make_learnt(const struct cp_dns_learnt_row *row, uint64_t now_ns)
{
	bool is_ipv4 = row->address.family == SN_FAMILY_IPV4;
	struct packed_learnt *packed = calloc(1, sizeof(*packed));

	if (!packed)
		return NULL;
	sentinel__v1__learnt__init(&packed->message);
	packed->message.name = cp_dns_name_format(&row->name, packed->name);
	(void)inet_ntop(is_ipv4 ? AF_INET : AF_INET6, row->address.bytes,
			packed->address, sizeof(packed->address));
	packed->message.address = packed->address;
	if (row->expires_ns > now_ns)
		packed->message.remaining_seconds =
			(row->expires_ns - now_ns + SN_NS_PER_S - 1) /
			SN_NS_PER_S;
	packed->message.rule_id = row->rule_id;
	for (uint8_t i = 0; i < row->n_ports; i++)
		packed->ports[i] = cp_policy_ports_format(&row->ports[i],
							  packed->texts[i]);
	packed->message.n_ports = row->n_ports;
	packed->message.ports = packed->ports;
	return &packed->message;
}

/* Rows after *row if is_set, which is left at the last one. */
static int collect_learnt(const struct cp_api *api,
			  const struct cp_attach_item *item, bool is_set,
			  struct cp_dns_learnt_row *row, uint32_t size,
			  Sentinel__V1__ListLearntResponse *answer, bool *more)
{
	uint64_t now_ns = cp_attach_now(api->options.manager);
	struct cp_dns_learnt_row next;
	size_t bytes = 0;

	while (cp_attach_dns_next_learnt(item, is_set ? row : NULL, &next)) {
		Sentinel__V1__Learnt *learnt;

		if (answer->n_learnt == size ||
		    bytes > api->options.max_message_bytes / 2) {
			*more = true;
			break;
		}
		learnt = cp_api_domain_make_learnt(&next, now_ns);
		if (!learnt)
			return -ENOMEM;
		bytes += sentinel__v1__learnt__get_packed_size(learnt);
		answer->learnt[answer->n_learnt++] = learnt;
		*row = next;
		is_set = true;
	}
	return 0;
}

CP_API_DOMAIN(read_learnt)
{
	const Sentinel__V1__ListLearntRequest *request =
		AS(ListLearntRequest, message);
	Sentinel__V1__ListLearntResponse answer;
	char token[CP_API_VALIDATE_LEARNT_TOKEN_BYTES];
	const struct cp_attach_item *item;
	struct cp_dns_learnt_row row;
	struct sn_diag diag = { 0 };
	bool more = false, is_set;
	uint32_t size;
	int r;

	sentinel__v1__list_learnt_response__init(&answer);
	if (cp_api_validate_page(request->page_size,
				 CP_API_VALIDATE_RULES_DEFAULT,
				 CP_API_VALIDATE_RULES_MAX, &size, &diag) ||
	    cp_api_validate_learnt_token(request->page_token, &is_set, &row,
					 &diag)) {
		cp_api_pending_refuse(call, &diag);
		return;
	}
	item = cp_api_read_find(user, call, request->id);
	if (!item)
		return;
	answer.learnt = calloc(size, sizeof(*answer.learnt));
	r = answer.learnt ? collect_learnt(user, item, is_set, &row, size,
					   &answer, &more) :
			    -ENOMEM;
	if (more) {
		cp_api_validate_make_learnt_token(&row, token);
		answer.next_page_token = token;
	}
	if (r < 0)
		fail_memory(call);
	else
		cp_rpc_call_reply(call, &answer.base);
	for (size_t i = 0; answer.learnt && i < answer.n_learnt; i++)
		free(answer.learnt[i]);
	free(answer.learnt);
}
