/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/settle.h"

#include <stdlib.h>
#include <string.h>

#include "shared/log.h"

static struct cp_dns_settle *settle_of(const struct cp_dns_task *task)
{
	return sn_container_of(task->shared, struct cp_dns_settle, shared);
}

bool cp_dns_settle_identify(struct cp_dns_task *task,
			    const struct cp_dns_flight_job *job)
{
	return cp_dns_task_identify(task) && task->view.number == job->number;
}

void cp_dns_settle_each(struct cp_dns_settle *settle,
			struct cp_dns_flight_job *job,
			void (*how)(struct cp_dns_task *task, void *arg),
			void *arg)
{
	struct cp_dns_flight_waiter *waiter;

	while ((waiter = cp_dns_flight_take_waiter(settle->flight, job))) {
		struct cp_dns_task task = {
			.shared = &settle->shared,
			.origin = &waiter->origin,
			.query = &waiter->query,
			.by_plane = job->by_plane,
			.opens = job->opens,
		};

		if (cp_dns_settle_identify(&task, job)) {
			cp_dns_task_judge(&task);
			how(&task, arg);
		} else {
			waiter->origin.ops->reply(&waiter->origin, NULL, 0);
		}
		free(waiter);
	}
	cp_dns_flight_drop_job(settle->flight, job);
}

struct failure {
	uint64_t *what;
	int ede;
};

static void fail(struct cp_dns_task *task, void *arg)
{
	const struct failure *failure = arg;

	cp_dns_task_fail(task, failure->what, failure->ede);
}

static void reply(struct cp_dns_task *task, void *arg)
{
	const struct cp_dns_task_found *found = arg;

	if (task->is_blocked && !task->view.audit)
		cp_dns_task_deny(task);
	else
		cp_dns_task_reply_found(task, found);
}

/* The job that a learning belongs to is looked up again when it is done. */
struct learning {
	struct cp_dns_settle *settle;
	struct cp_dns_cache_key key;
	uint64_t number;
};

static void tell_quota(const struct cp_dns_settle *settle, uint32_t slot,
		       enum cp_attach_dns_learn_code code)
{
	struct cp_attach_dns_view view;

	if (!cp_attach_dns_get(settle->shared.options.manager, slot, &view))
		return;
	sn_log(SN_LOG_WARNING,
	       "dns-not-learnt id=%s reason=%s: answered SERVFAIL", view.id,
	       code == CP_ATTACH_DNS_LEARN_QUOTA ? "quota" : "table-full");
}

static void learnt(void *userdata, enum cp_attach_dns_learn_code code)
{
	struct learning *learning = userdata;
	struct cp_dns_settle *settle = learning->settle;
	struct failure failure = { &settle->shared.stats.n_failed_learn,
				   CP_DNS_TASK_EDE_NOT_READY };
	struct cp_dns_flight_job *job = NULL;
	struct cp_dns_task_found found;

	settle->n_learning--;
	if (settle->is_closing) {
		if (settle->n_learning == 0)
			settle->ended(settle);
	} else {
		job = cp_dns_flight_get_job(settle->flight, &learning->key,
					    learning->number);
	}
	free(learning);
	if (!job)
		return;
	switch (code) {
	case CP_ATTACH_DNS_LEARN_OK:
		found = (struct cp_dns_task_found){
			.answer = job->answer,
			.stored_ns = job->stored_ns,
			.is_secure = job->is_secure,
		};
		cp_dns_settle_each(settle, job, reply, &found);
		return;
	case CP_ATTACH_DNS_LEARN_QUOTA:
		failure.what = &settle->shared.stats.n_failed_quota;
		failure.ede = CP_DNS_TASK_EDE_OTHER;
		tell_quota(settle, job->slot, code);
		break;
	case CP_ATTACH_DNS_LEARN_FULL:
		tell_quota(settle, job->slot, code);
		break;
	case CP_ATTACH_DNS_LEARN_DENIED:
	case CP_ATTACH_DNS_LEARN_UNAVAILABLE:
		break;
	}
	cp_dns_settle_each(settle, job, fail, &failure);
}

/* Learns what the job's answer has; 0 or -errno with nothing begun. */
static int learn(struct cp_dns_task *task, struct cp_dns_flight_job *job,
		 uint64_t life_s)
{
	struct cp_dns_settle *settle = settle_of(task);
	struct cp_attach_dns_learn request = {
		.slot = job->slot,
		.name = &job->key.question.name,
		.life_ns = life_s * SN_NS_PER_S,
		.by_control_plane = job->by_plane,
	};
	struct learning *learning = malloc(sizeof(*learning));
	int r;

	if (!learning)
		return -ENOMEM;
	*learning = (struct learning){ settle, job->key, job->number };
	request.addresses =
		cp_dns_answer_addresses(job->answer, &request.n_addresses);
	r = cp_attach_dns_learn(settle->shared.options.manager, &request,
				learnt, learning);
	if (r < 0) {
		free(learning);
		return r;
	}
	settle->n_learning++;
	return 0;
}

bool cp_dns_settle_must_learn(const struct cp_dns_task *task,
			      const struct cp_dns_task_found *found)
{
	const struct cp_dns_address *addresses;
	uint32_t grace_s = task->shared->options.grace_s;
	uint64_t life_s = cp_dns_task_left(task->shared, found);
	size_t n;

	if (!task->view.learns || task->is_blocked ||
	    (task->by_plane && !task->opens))
		return false;
	addresses = cp_dns_answer_addresses(found->answer, &n);
	if (n == 0)
		return false;
	/* Seconds that are left are rounded up. */
	if (grace_s > 0)
		life_s += grace_s - 1;
	return !cp_attach_dns_is_learnt(task->shared->options.manager,
					task->origin->slot,
					&task->query->question.name, addresses,
					n, life_s * SN_NS_PER_S);
}

/* task: one of those who wait in the job. */
static void settle_for(struct cp_dns_task *task, struct cp_dns_flight_job *job,
		       const struct cp_dns_task_found *found)
{
	struct cp_dns_settle *settle = settle_of(task);
	sn_cleanup(cp_dns_answer_freep) struct cp_dns_answer *own = NULL;
	struct failure failure = { &settle->shared.stats.n_failed_learn,
				   CP_DNS_TASK_EDE_OTHER };
	struct cp_dns_task_found mine = *found;
	int r;

	r = cp_dns_task_filter(task, found, &own);
	if (r == 0 && own)
		mine.answer = own;
	if (r == 0 && !cp_dns_settle_must_learn(task, &mine)) {
		cp_dns_settle_each(settle, job, reply, &mine);
		return;
	}
	if (r == 0 && !own)
		r = cp_dns_answer_copy(found->answer, &own);
	if (r == 0) {
		job->answer = sn_steal(&own);
		job->stored_ns = found->stored_ns;
		job->is_secure = found->is_secure;
		r = learn(task, job,
			  cp_dns_task_life(task, cp_dns_task_left(task->shared,
								  found)));
	}
	if (r < 0)
		cp_dns_settle_each(settle, job, fail, &failure);
}

void cp_dns_settle_found(struct cp_dns_settle *settle,
			 struct cp_dns_flight_job *job,
			 const struct cp_dns_task_found *found)
{
	struct cp_dns_flight_waiter *first = TAILQ_FIRST(&job->waiters);
	struct cp_dns_task task = { .shared = &settle->shared,
				    .by_plane = job->by_plane,
				    .opens = job->opens };

	if (first) {
		task.origin = &first->origin;
		task.query = &first->query;
	}
	if (!first || !cp_dns_settle_identify(&task, job)) {
		cp_dns_flight_drop_job(settle->flight, job);
		return;
	}
	cp_dns_task_judge(&task);
	settle_for(&task, job, found);
}

void cp_dns_settle_failed(struct cp_dns_settle *settle,
			  struct cp_dns_flight_job *job, uint64_t *what,
			  int ede)
{
	struct failure failure = { what, ede };

	cp_dns_settle_each(settle, job, fail, &failure);
}
