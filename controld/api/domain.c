/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/domain.h"

#include <grpc/status.h>
#include <stdio.h>
#include <stdlib.h>

#include "controld/api/pending.h"
#include "controld/api/read.h"
#include "controld/api/validate.h"
#include "controld/policy/convert_dns.h"

/* The concrete type is the one that the method's row names. */
#define AS(type, message) \
	((const Sentinel__V1__##type *)(const void *)(message))

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
