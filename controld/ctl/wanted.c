/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/ctl/wanted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controld/policy/convert.h"
#include "controld/policy/convert_dns.h"
#include "controld/rpc/message.h"

enum {
	PAGE = 10000,
	RULES_MAX = 4000000,
};

void cp_ctl_wanted_done(struct cp_ctl_wanted *wanted)
{
	for (size_t i = 0; i < wanted->n_pages; i++)
		cp_rpc_message_free(wanted->pages[i]);
	if (wanted->seen)
		cp_rpc_message_free(&wanted->seen->base);
	free(wanted->pages);
	free(wanted->rules);
	free(wanted->domains);
	cp_policy_free(wanted->policy);
	*wanted = (struct cp_ctl_wanted){ .id = "" };
}

/* Room for n more elements of `size` bytes in *array, which has n_now. */
static int grow(void *array, size_t n_now, size_t n, size_t size)
{
	void *old, *grown;

	(void)memcpy(&old, array, sizeof(old));
	grown = reallocarray(old, n_now + n + 1, size);
	if (!grown)
		return -ENOMEM;
	(void)memcpy(array, &grown, sizeof(grown));
	return 0;
}

/* The page belongs to wanted from now on, also on failure. */
static int keep(struct cp_ctl_wanted *wanted, ProtobufCMessage *page)
{
	int r = grow(&wanted->pages, wanted->n_pages, 1, sizeof(page));

	if (r < 0)
		cp_rpc_message_free(page);
	else
		wanted->pages[wanted->n_pages++] = page;
	return r;
}

/* Only local rules can be stated in a file; those of others come from them. */
static bool is_local(const char *owner)
{
	return strcmp(owner, "local") == 0;
}

static int take_rules(struct cp_ctl_wanted *wanted,
		      Sentinel__V1__GetRulesResponse *page)
{
	int r = grow(&wanted->rules, wanted->n_rules, page->n_rules,
		     sizeof(wanted->rules[0]));

	for (size_t i = 0; r == 0 && i < page->n_rules; i++) {
		if (is_local(page->rules[i]->owner))
			wanted->rules[wanted->n_rules++] = page->rules[i];
		else
			wanted->n_foreign++;
	}
	return r;
}

static int take_domains(struct cp_ctl_wanted *wanted,
			Sentinel__V1__GetDomainsResponse *page)
{
	int r = grow(&wanted->domains, wanted->n_domains, page->n_domains,
		     sizeof(wanted->domains[0]));

	for (size_t i = 0; r == 0 && i < page->n_domains; i++) {
		if (is_local(page->domains[i]->owner))
			wanted->domains[wanted->n_domains++] = page->domains[i];
		else
			wanted->n_foreign++;
	}
	return r;
}

static enum cp_ctl_exit fetch_rules(struct cp_ctl_session *session,
				    struct cp_ctl_wanted *wanted)
{
	Sentinel__V1__GetRulesRequest request;
	Sentinel__V1__GetRulesResponse *page;
	ProtobufCMessage *answer;
	enum cp_ctl_exit exit;
	int r;

	sentinel__v1__get_rules_request__init(&request);
	request.id = wanted->id;
	request.page_size = PAGE;
	do {
		exit = cp_ctl_session_call(
			session, "GetRules", &request.base,
			&sentinel__v1__get_rules_response__descriptor, &answer);
		if (exit)
			return exit;
		page = (Sentinel__V1__GetRulesResponse *)(void *)answer;
		r = keep(wanted, answer);
		if (r == 0)
			r = take_rules(wanted, page);
		if (r < 0)
			return cp_ctl_session_fail_errno(session, "cannot read",
							 r);
		request.page_token = page->next_page_token;
	} while (*request.page_token);
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit fetch_domains(struct cp_ctl_session *session,
				      struct cp_ctl_wanted *wanted)
{
	Sentinel__V1__GetDomainsRequest request;
	Sentinel__V1__GetDomainsResponse *page;
	ProtobufCMessage *answer;
	enum cp_ctl_exit exit;
	int r;

	sentinel__v1__get_domains_request__init(&request);
	request.id = wanted->id;
	request.page_size = PAGE;
	do {
		exit = cp_ctl_session_call(
			session, "GetDomains", &request.base,
			&sentinel__v1__get_domains_response__descriptor,
			&answer);
		if (exit)
			return exit;
		page = (Sentinel__V1__GetDomainsResponse *)(void *)answer;
		r = keep(wanted, answer);
		if (r == 0)
			r = take_domains(wanted, page);
		if (r < 0)
			return cp_ctl_session_fail_errno(session, "cannot read",
							 r);
		request.page_token = page->next_page_token;
	} while (*request.page_token);
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit fetch_seen(struct cp_ctl_session *session,
				   struct cp_ctl_wanted *wanted)
{
	Sentinel__V1__GetSeenRequest request;
	ProtobufCMessage *answer;
	enum cp_ctl_exit exit;

	sentinel__v1__get_seen_request__init(&request);
	request.id = wanted->id;
	request.since_seconds = session->options.since_s;
	exit = cp_ctl_session_call(session, "GetSeen", &request.base,
				   &sentinel__v1__get_seen_response__descriptor,
				   &answer);
	if (exit == CP_CTL_EXIT_OK)
		wanted->seen = (Sentinel__V1__GetSeenResponse *)(void *)answer;
	if (exit || wanted->seen->settings)
		return exit;
	return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
				   "the answer has no settings");
}

/* Requests are without what only answers have. */
static int make_policy(struct cp_ctl_wanted *wanted, struct sn_diag *diag)
{
	struct cp_policy **policy = &wanted->policy;
	int r;

	for (size_t i = 0; i < wanted->n_rules; i++) {
		Sentinel__V1__Rule *rule = wanted->rules[i];

		rule->id = 0;
		rule->owner[0] = '\0';
		rule->ttl_seconds = rule->remaining_seconds;
		rule->remaining_seconds = 0;
	}
	for (size_t i = 0; i < wanted->n_domains; i++) {
		wanted->domains[i]->id = 0;
		wanted->domains[i]->owner[0] = '\0';
	}
	r = cp_policy_convert_policy(wanted->seen->settings, RULES_MAX,
				     CP_POLICY_OWNER_LOCAL, "policy", policy,
				     diag);
	if (r == 0)
		r = cp_policy_convert_add_rules(*policy, wanted->rules,
						wanted->n_rules, 0,
						CP_POLICY_OWNER_LOCAL,
						"policy.rules", diag);
	if (r == 0)
		r = cp_policy_convert_dns_add_rules(*policy, wanted->domains,
						    wanted->n_domains, 0,
						    CP_POLICY_OWNER_LOCAL,
						    "policy.dns.domains", diag);
	return r;
}

enum cp_ctl_exit cp_ctl_wanted_fetch(struct cp_ctl_session *session,
				     const char *id, struct cp_ctl_wanted *ret)
{
	struct sn_diag diag = { .text = "" };
	enum cp_ctl_exit exit;
	int r;

	exit = cp_ctl_session_resolve(session, id, ret->id);
	if (exit == CP_CTL_EXIT_OK)
		exit = fetch_seen(session, ret);
	if (exit == CP_CTL_EXIT_OK)
		exit = fetch_rules(session, ret);
	if (exit == CP_CTL_EXIT_OK)
		exit = fetch_domains(session, ret);
	if (exit)
		return exit;
	r = make_policy(ret, &diag);
	if (r)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
					   "the policy in force could not be "
					   "read: %s",
					   diag.text[0] ? diag.text :
							  strerror(ENOMEM));
	return CP_CTL_EXIT_OK;
}
