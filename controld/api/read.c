/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/read.h"

#include <grpc/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/pending.h"
#include "controld/api/validate.h"
#include "controld/api/view.h"
#include "controld/policy/convert.h"

#define AS(type, message) \
	((const Sentinel__V1__##type *)(const void *)(message))

static void fail_memory(struct cp_rpc_call *call)
{
	cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

struct page {
	struct cp_api_view *views[CP_API_VALIDATE_PAGE_MAX];
	Sentinel__V1__Attachment *messages[CP_API_VALIDATE_PAGE_MAX];
	size_t n;
	size_t bytes;
};

static void free_page(struct page *page)
{
	for (size_t i = 0; page && i < page->n; i++)
		cp_api_view_free(page->views[i]);
	free(page);
}

static bool has_prefix(const char *id, const char *prefix)
{
	return strncmp(id, prefix, strlen(prefix)) == 0;
}

/* The first attachment of the page. */
static const struct cp_attach_item *
first_item(struct cp_attach *manager, const Sentinel__V1__ListRequest *request)
{
	const struct cp_attach_item *item;

	if (request->page_token[0])
		return cp_attach_get_next(manager, request->page_token);
	/* A whole id is not above itself. */
	item = cp_attach_get(manager, request->id_prefix);
	return item ? item : cp_attach_get_next(manager, request->id_prefix);
}

/* Fills a page; *more says whether it is the last one. */
static int fill_page(struct cp_api *api,
		     const Sentinel__V1__ListRequest *request, uint32_t size,
		     struct page *page, bool *more)
{
	const struct cp_attach_item *item;
	struct cp_attach_info info;
	int r;

	for (item = first_item(api->options.manager, request); item;
	     item = cp_attach_get_next(api->options.manager, info.id)) {
		struct cp_api_view *view;

		cp_attach_info_get(item, &info);
		if (!has_prefix(info.id, request->id_prefix))
			break;
		if (page->n == size ||
		    page->bytes > api->options.max_message_bytes / 2) {
			*more = true;
			break;
		}
		r = cp_api_view_new(&view, &info);
		if (r < 0)
			return r;
		page->bytes += sentinel__v1__attachment__get_packed_size(
			&view->message);
		page->views[page->n] = view;
		page->messages[page->n++] = &view->message;
	}
	return 0;
}

static int check_list(const Sentinel__V1__ListRequest *request, uint32_t *size,
		      struct sn_diag *diag)
{
	int r;

	r = cp_api_validate_page(request->page_size,
				 CP_API_VALIDATE_PAGE_DEFAULT,
				 CP_API_VALIDATE_PAGE_MAX, size, diag);
	if (r == 0)
		r = cp_api_validate_prefix(request->id_prefix, diag);
	if (r == 0 && request->page_token[0]) {
		r = cp_api_validate_id(request->page_token, diag);
		if (r)
			sn_diag_set(diag, "page_token",
				    "is not from an answer");
	}
	return r;
}

void cp_api_read_list(struct cp_rpc_call *call, const ProtobufCMessage *message,
		      void *user)
{
	const Sentinel__V1__ListRequest *request = AS(ListRequest, message);
	Sentinel__V1__ListResponse answer;
	struct sn_diag diag = { 0 };
	struct page *page;
	bool more = false;
	uint32_t size;

	if (check_list(request, &size, &diag)) {
		cp_api_pending_refuse(call, &diag);
		return;
	}
	page = calloc(1, sizeof(*page));
	if (!page || fill_page(user, request, size, page, &more) < 0) {
		free_page(page);
		fail_memory(call);
		return;
	}
	sentinel__v1__list_response__init(&answer);
	answer.attachments = page->messages;
	answer.n_attachments = page->n;
	if (more)
		answer.next_page_token = page->messages[page->n - 1]->id;
	cp_rpc_call_reply(call, &answer.base);
	free_page(page);
}

const struct cp_attach_item *
cp_api_read_find(struct cp_api *api, struct cp_rpc_call *call, const char *id)
{
	const struct cp_attach_item *item;
	struct sn_diag diag = { 0 };

	if (cp_api_validate_id(id, &diag)) {
		cp_api_pending_refuse(call, &diag);
		return NULL;
	}
	item = cp_attach_get(api->options.manager, id);
	if (!item)
		cp_rpc_call_fail(call, GRPC_STATUS_NOT_FOUND,
				 "no attachment has this id");
	return item;
}

void cp_api_read_get(struct cp_rpc_call *call, const ProtobufCMessage *message,
		     void *user)
{
	sn_cleanup(cp_api_view_freep) struct cp_api_view *view = NULL;
	Sentinel__V1__GetResponse answer = SENTINEL__V1__GET_RESPONSE__INIT;
	const struct cp_attach_item *item;
	struct cp_attach_info info;

	item = cp_api_read_find(user, call, AS(GetRequest, message)->id);
	if (!item)
		return;
	cp_attach_info_get(item, &info);
	if (cp_api_view_new(&view, &info) < 0) {
		fail_memory(call);
		return;
	}
	answer.attachment = &view->message;
	cp_rpc_call_reply(call, &answer.base);
}

/* Rules after `after`, up to `size` of them and to half a message. */
static int collect_rules(struct cp_api *api, const struct cp_policy *policy,
			 uint32_t after, uint32_t size,
			 Sentinel__V1__GetRulesResponse *answer, bool *more)
{
	uint64_t now_ns = cp_attach_now(api->options.manager);
	const struct cp_policy_rule *rule;
	size_t bytes = 0;
	int r;

	for (rule = cp_policy_next_rule(policy, after); rule;
	     rule = cp_policy_next_rule(policy, rule->id)) {
		if (cp_policy_rule_is_lapsed(rule, now_ns))
			continue;
		if (answer->n_rules == size ||
		    bytes > api->options.max_message_bytes / 2) {
			*more = true;
			break;
		}
		r = cp_policy_convert_to_rule(rule, now_ns,
					      &answer->rules[answer->n_rules]);
		if (r < 0)
			return r;
		bytes += sentinel__v1__rule__get_packed_size(
			answer->rules[answer->n_rules++]);
	}
	return 0;
}

static int check_rules(const Sentinel__V1__GetRulesRequest *request,
		       uint32_t *size, uint32_t *after, struct sn_diag *diag)
{
	int r;

	r = cp_api_validate_page(request->page_size,
				 CP_API_VALIDATE_RULES_DEFAULT,
				 CP_API_VALIDATE_RULES_MAX, size, diag);
	if (r == 0)
		r = cp_api_validate_rule_token(request->page_token, after,
					       diag);
	return r;
}

void cp_api_read_rules(struct cp_rpc_call *call,
		       const ProtobufCMessage *message, void *user)
{
	const Sentinel__V1__GetRulesRequest *request =
		AS(GetRulesRequest, message);
	Sentinel__V1__GetRulesResponse answer;
	const struct cp_attach_item *item;
	struct cp_attach_info info;
	struct sn_diag diag = { 0 };
	uint32_t size, after;
	bool more = false;
	char token[16];
	int r;

	if (check_rules(request, &size, &after, &diag)) {
		cp_api_pending_refuse(call, &diag);
		return;
	}
	item = cp_api_read_find(user, call, request->id);
	if (!item)
		return;
	cp_attach_info_get(item, &info);
	sentinel__v1__get_rules_response__init(&answer);
	answer.rules = calloc(size, sizeof(*answer.rules));
	r = answer.rules ? collect_rules(user, info.policy, after, size,
					 &answer, &more) :
			   -ENOMEM;
	if (more) {
		(void)snprintf(token, sizeof(token), "%u",
			       answer.rules[answer.n_rules - 1]->id);
		answer.next_page_token = token;
	}
	if (r < 0)
		fail_memory(call);
	else
		cp_rpc_call_reply(call, &answer.base);
	for (size_t i = 0; answer.rules && i < answer.n_rules; i++)
		free(answer.rules[i]);
	free(answer.rules);
}
