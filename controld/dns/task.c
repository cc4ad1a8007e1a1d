/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/task.h"

#include "controld/attach/doh.h"
#include "controld/attach/observe.h"
#include "controld/dns/doh.h"
#include "controld/dns/special.h"
#include "shared/util.h"

enum { SINKHOLE_TTL_S = 10 };

static void count_latency(const struct cp_dns_task *task,
			  enum cp_attach_dns_end end)
{
	struct cp_dns_resolve_stats *stats = &task->shared->stats;
	uint64_t now_ns = cp_attach_now(task->shared->options.manager);
	uint64_t began_ns = task->origin->began_ns;
	uint64_t took_ns = now_ns > began_ns ? now_ns - began_ns : 0;
	size_t i = 0;

	while (took_ns > cp_dns_resolve_latency_bounds[i])
		i++;
	stats->latency[end].n[i]++;
	stats->latency[end].sum_ns += took_ns;
}

void cp_dns_task_count(const struct cp_dns_task *task, uint64_t *what,
		       enum cp_attach_dns_end end)
{
	(*what)++;
	count_latency(task, end);
	cp_attach_dns_count(task->shared->options.manager, task->origin->slot,
			    end);
}

void cp_dns_task_reply(const struct cp_dns_task *task, uint8_t *message,
		       size_t size)
{
	const struct cp_dns_query *query = task->query;

	if (task->origin->ops->is_datagram)
		size = cp_dns_message_truncate(
			query, message, size,
			SN_MIN((size_t)query->udp_bytes,
			       (size_t)CP_DNS_MESSAGE_UDP_MAX));
	task->origin->ops->reply(task->origin, message, size);
}

void cp_dns_task_reply_error(const struct cp_dns_task *task, unsigned int rcode,
			     int ede)
{
	uint8_t message[CP_DNS_MESSAGE_UDP_MIN];

	cp_dns_task_reply(task, message,
			  cp_dns_message_make_error(task->query, rcode, ede,
						    message));
}

void cp_dns_task_fail(const struct cp_dns_task *task, uint64_t *what, int ede)
{
	cp_dns_task_count(task, what, CP_ATTACH_DNS_END_FAILED);
	cp_dns_task_reply_error(task, CP_DNS_RCODE_SERVFAIL, ede);
}

/* audited: it is answered all the same. */
static void tell_denied(const struct cp_dns_task *task, bool audited)
{
	const struct cp_dns_question *question = &task->query->question;

	cp_attach_observe_denied(task->view.item, &question->name,
				 question->type, audited);
}

void cp_dns_task_deny(const struct cp_dns_task *task)
{
	uint8_t message[CP_DNS_MESSAGE_UDP_MIN];
	enum cp_dns_denied denied = task->view.settings->denied;

	if (denied == CP_DNS_DENIED_NONE)
		denied = task->shared->options.denied;
	cp_dns_task_count(task, &task->shared->stats.n_blocked,
			  CP_ATTACH_DNS_END_BLOCKED);
	tell_denied(task, false);
	switch (denied) {
	case CP_DNS_DENIED_NONE:
	case CP_DNS_DENIED_REFUSED:
		cp_dns_task_reply_error(task, CP_DNS_RCODE_REFUSED,
					CP_DNS_TASK_EDE_BLOCKED);
		return;
	case CP_DNS_DENIED_NXDOMAIN:
		cp_dns_task_reply_error(task, CP_DNS_RCODE_NXDOMAIN,
					CP_DNS_TASK_EDE_BLOCKED);
		return;
	case CP_DNS_DENIED_SINKHOLE:
		cp_dns_task_reply(task, message,
				  cp_dns_message_make_sinkhole(task->query,
							       SINKHOLE_TTL_S,
							       message));
		return;
	}
}

bool cp_dns_task_identify(struct cp_dns_task *task)
{
	return cp_attach_dns_get(task->shared->options.manager,
				 task->origin->slot, &task->view);
}

void cp_dns_task_judge(struct cp_dns_task *task)
{
	const struct cp_attach_dns_view *view = &task->view;
	const struct cp_dns_name *name = &task->query->question.name;
	struct cp_dns_match match;

	task->is_blocked = false;
	task->is_undecided = false;
	if (view->mode == CP_DNS_MODE_DISABLED)
		return;
	cp_dns_rules_match(view->rules, name, &match);
	if (cp_dns_doh_is_refused(
		    cp_attach_doh_get(task->shared->options.manager), name,
		    &match) ||
	    match.verdict == SN_VERDICT_DENY) {
		task->is_blocked = true;
		return;
	}
	if (match.verdict == SN_VERDICT_ALLOW ||
	    view->mode == CP_DNS_MODE_DENYLIST)
		return;
	/* The mode may be another one than when the control plane was asked. */
	task->is_blocked = !task->by_plane || view->mode != CP_DNS_MODE_PROXY;
	task->is_undecided = task->is_blocked &&
			     view->mode == CP_DNS_MODE_PROXY;
}

struct filter {
	const struct cp_dns_task *task;
	bool is_given;
};

static bool is_open(void *userdata, const struct cp_dns_address *address)
{
	const struct filter *filter = userdata;
	const struct cp_dns_task *task = filter->task;
	struct cp_attach *manager = task->shared->options.manager;

	switch (cp_attach_dns_judge(task->view.item, address,
				    cp_attach_now(manager))) {
	case CP_ATTACH_DNS_SAY_OPENS:
		return true;
	case CP_ATTACH_DNS_SAY_DENIES:
		return false;
	case CP_ATTACH_DNS_SAY_NOTHING:
		break;
	}
	if (filter->is_given)
		return true;
	/* A listed DoH server is opened by no name. */
	return !cp_dns_doh_has_address(cp_attach_doh_get(manager), address) &&
	       (task->view.settings->allow_private ||
		!cp_dns_special_has(address));
}

int cp_dns_task_filter(struct cp_dns_task *task,
		       const struct cp_dns_task_found *found,
		       struct cp_dns_answer **own)
{
	struct filter filter = { task, found->is_given };
	const struct cp_dns_address *addresses;
	size_t n, i = 0;
	int r;

	if (!task->view.learns)
		return 0;
	addresses = cp_dns_answer_addresses(found->answer, &n);
	while (i < n && is_open(&filter, &addresses[i]))
		i++;
	if (i == n)
		return 0;
	r = cp_dns_answer_copy(found->answer, own);
	if (r == 0)
		(void)cp_dns_answer_filter(*own, is_open, &filter);
	return r;
}

uint32_t cp_dns_task_age(const struct cp_dns_task_shared *shared,
			 uint64_t stored_ns)
{
	uint64_t now_ns = cp_attach_now(shared->options.manager);

	return now_ns > stored_ns ?
		       (uint32_t)((now_ns - stored_ns) / SN_NS_PER_S) :
		       0;
}

/* Who watches learns what the addresses are called, where the learnt set does
 * not say it. */
static void tell_answered(const struct cp_dns_task *task,
			  const struct cp_dns_answer *answer)
{
	const struct cp_dns_address *addresses;
	size_t n;

	if (task->view.learns && !task->is_blocked)
		return;
	addresses = cp_dns_answer_addresses(answer, &n);
	if (n > 0)
		cp_attach_observe_answered(task->view.item,
					   &task->query->question.name,
					   addresses, n);
}

void cp_dns_task_reply_found(const struct cp_dns_task *task,
			     const struct cp_dns_task_found *found)
{
	struct cp_dns_task_shared *shared = task->shared;
	size_t size;

	if (task->is_blocked) {
		cp_dns_task_count(task, &shared->stats.n_blocked,
				  CP_ATTACH_DNS_END_BLOCKED);
		tell_denied(task, true);
	} else {
		cp_dns_task_count(task, &shared->stats.n_allowed,
				  CP_ATTACH_DNS_END_ALLOWED);
	}
	tell_answered(task, found->answer);
	size = cp_dns_answer_make(found->answer, task->query, found->is_secure,
				  cp_dns_task_age(shared, found->stored_ns),
				  UINT32_MAX, shared->buffer);
	cp_dns_task_reply(task, shared->buffer, size);
}

uint32_t cp_dns_task_left(const struct cp_dns_task_shared *shared,
			  const struct cp_dns_task_found *found)
{
	uint32_t ttl_s = cp_dns_answer_ttl(found->answer);
	uint32_t age_s = cp_dns_task_age(shared, found->stored_ns);

	return ttl_s > age_s ? ttl_s - age_s : 0;
}

uint64_t cp_dns_task_life(const struct cp_dns_task *task, uint32_t ttl_s)
{
	const struct cp_dns_resolve_options *options = &task->shared->options;
	uint32_t floor_s = options->ttl_floor_s;
	struct cp_dns_match match;

	cp_dns_rules_match(task->view.rules, &task->query->question.name,
			   &match);
	if (match.ttl_floor_s)
		floor_s = match.ttl_floor_s;
	return (uint64_t)SN_MAX(ttl_s, floor_s) + options->grace_s;
}
