/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/resolve.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controld/dns/flight.h"
#include "controld/dns/task.h"
#include "shared/log.h"

enum {
	CLASS_IN = 1,
	TYPE_OPT = 41,
	TYPE_META_FIRST = 249, /* TKEY, TSIG, transfers: RFC 6895 3.1 */
	TYPE_META_LAST = 254,
	TYPE_ANY = 255,
};

struct cp_dns_resolve {
	struct cp_dns_task_shared shared;
	struct cp_upstream_set *upstreams; /* the daemon's own, or NULL */
	struct cp_dns_cache *cache;
	struct cp_dns_flight *flight;
	uint32_t n_learning;
	bool is_closing;
};

static struct cp_dns_resolve *resolve_of(const struct cp_dns_task *task)
{
	return sn_container_of(task->shared, struct cp_dns_resolve, shared);
}

static void release(struct cp_dns_resolve *resolve)
{
	cp_upstream_set_unref(resolve->upstreams);
	cp_dns_cache_free(resolve->cache);
	free(resolve);
}

int cp_dns_resolve_new(struct cp_dns_resolve **ret,
		       const struct cp_dns_resolve_options *options)
{
	sn_cleanup(cp_dns_resolve_freep) struct cp_dns_resolve *resolve = NULL;
	uint64_t secret[2];
	int r;

	resolve = calloc(1, sizeof(*resolve));
	if (!resolve)
		return -ENOMEM;
	resolve->shared.options = *options;
	if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
		return -EIO;
	r = cp_dns_cache_new(&resolve->cache, options->cache_bytes, secret);
	if (r < 0)
		return r;
	r = cp_dns_flight_new(&resolve->flight, options->n_slots,
			      CP_DNS_RESOLVE_WAITERS_MAX,
			      CP_DNS_RESOLVE_SLOT_WAITERS_MAX);
	if (r < 0)
		return r;
	*ret = sn_steal(&resolve);
	return 0;
}

struct cp_dns_resolve *cp_dns_resolve_free(struct cp_dns_resolve *resolve)
{
	if (!resolve)
		return NULL;
	resolve->is_closing = true;
	resolve->flight = cp_dns_flight_free(resolve->flight);
	if (resolve->n_learning == 0)
		release(resolve);
	return NULL;
}

void cp_dns_resolve_reload(struct cp_dns_resolve *resolve,
			   const struct cp_dns_resolve_options *options)
{
	resolve->shared.options.ttl_floor_s = options->ttl_floor_s;
	resolve->shared.options.grace_s = options->grace_s;
	resolve->shared.options.denied = options->denied;
}

int cp_dns_resolve_put_upstreams(struct cp_dns_resolve *resolve,
				 const struct cp_dns_upstream *servers,
				 size_t n, bool dnssec)
{
	sn_cleanup(cp_upstream_set_unrefp) struct cp_upstream_set *set = NULL;
	int r;

	if (n > 0) {
		r = cp_upstream_set_get(resolve->shared.options.upstream,
					servers, n, dnssec, &set);
		if (r < 0)
			return r;
	}
	cp_upstream_set_unref(resolve->upstreams);
	resolve->upstreams = sn_steal(&set);
	return 0;
}

/* Answers all who wait in a job; `how` is called for each as long as there is
 * an attachment. */
static void settle(struct cp_dns_resolve *resolve,
		   struct cp_dns_flight_job *job,
		   void (*how)(struct cp_dns_task *task, void *arg), void *arg)
{
	struct cp_dns_flight_waiter *waiter;

	while ((waiter = cp_dns_flight_take_waiter(resolve->flight, job))) {
		struct cp_dns_task task = {
			.shared = &resolve->shared,
			.origin = &waiter->origin,
			.query = &waiter->query,
		};

		if (cp_dns_task_identify(&task)) {
			cp_dns_task_judge(&task);
			how(&task, arg);
		} else {
			waiter->origin.ops->reply(&waiter->origin, NULL, 0);
		}
		free(waiter);
	}
	cp_dns_flight_drop_job(resolve->flight, job);
}

struct failure {
	uint64_t *what;
	int ede;
};

static void settle_failed(struct cp_dns_task *task, void *arg)
{
	const struct failure *failure = arg;

	cp_dns_task_fail(task, failure->what, failure->ede);
}

static void settle_found(struct cp_dns_task *task, void *arg)
{
	const struct cp_dns_task_found *found = arg;

	if (task->is_blocked && !task->view.audit)
		cp_dns_task_deny(task);
	else
		cp_dns_task_reply_found(task, found);
}

/* The job that a learning belongs to is looked up again when it is done. */
struct learning {
	struct cp_dns_resolve *resolve;
	struct cp_dns_cache_key key;
	uint32_t slot;
};

static void tell_quota(const struct cp_dns_resolve *resolve, uint32_t slot,
		       enum cp_attach_dns_learn_code code)
{
	struct cp_attach_dns_view view;

	if (!cp_attach_dns_get(resolve->shared.options.manager, slot, &view))
		return;
	sn_log(SN_LOG_WARNING,
	       "dns-not-learnt id=%s reason=%s: answered SERVFAIL", view.id,
	       code == CP_ATTACH_DNS_LEARN_QUOTA ? "quota" : "table-full");
}

static void learnt(void *userdata, enum cp_attach_dns_learn_code code)
{
	struct learning *learning = userdata;
	struct cp_dns_resolve *resolve = learning->resolve;
	struct failure failure = { &resolve->shared.stats.n_failed_learn,
				   CP_DNS_TASK_EDE_NOT_READY };
	struct cp_dns_flight_job *job = NULL;
	struct cp_dns_task_found found;

	resolve->n_learning--;
	if (resolve->is_closing) {
		if (resolve->n_learning == 0)
			release(resolve);
	} else {
		job = cp_dns_flight_get_job(resolve->flight, &learning->key,
					    learning->slot);
	}
	free(learning);
	if (!job)
		return;
	switch (code) {
	case CP_ATTACH_DNS_LEARN_OK:
		found = (struct cp_dns_task_found){ job->answer, job->stored_ns,
						    job->is_secure };
		settle(resolve, job, settle_found, &found);
		return;
	case CP_ATTACH_DNS_LEARN_QUOTA:
		failure.what = &resolve->shared.stats.n_failed_quota;
		failure.ede = CP_DNS_TASK_EDE_OTHER;
		tell_quota(resolve, job->slot, code);
		break;
	case CP_ATTACH_DNS_LEARN_FULL:
		tell_quota(resolve, job->slot, code);
		break;
	case CP_ATTACH_DNS_LEARN_DENIED:
	case CP_ATTACH_DNS_LEARN_UNAVAILABLE:
		break;
	}
	settle(resolve, job, settle_failed, &failure);
}

/* Learns what the job's answer has; 0 or -errno with nothing begun. */
static int learn(struct cp_dns_task *task, struct cp_dns_flight_job *job,
		 uint64_t life_s)
{
	struct cp_dns_resolve *resolve = resolve_of(task);
	struct cp_attach_dns_learn request = {
		.slot = job->slot,
		.name = &job->key.question.name,
		.life_ns = life_s * SN_NS_PER_S,
	};
	struct learning *learning = malloc(sizeof(*learning));
	int r;

	if (!learning)
		return -ENOMEM;
	*learning = (struct learning){ resolve, job->key, job->slot };
	request.addresses =
		cp_dns_answer_addresses(job->answer, &request.n_addresses);
	r = cp_attach_dns_learn(resolve->shared.options.manager, &request,
				learnt, learning);
	if (r < 0) {
		free(learning);
		return r;
	}
	resolve->n_learning++;
	return 0;
}

/* Must addresses be learnt before they are answered? */
static bool must_learn(const struct cp_dns_task *task,
		       const struct cp_dns_answer *answer, uint32_t left_s)
{
	const struct cp_dns_address *addresses;
	size_t n;

	if (!task->view.learns || task->is_blocked)
		return false;
	addresses = cp_dns_answer_addresses(answer, &n);
	return n > 0 &&
	       !cp_attach_dns_is_learnt(task->shared->options.manager,
					task->origin->slot,
					&task->query->question.name, addresses,
					n, left_s * SN_NS_PER_S);
}

/* Those who wait in the job get the answer, after it was learnt if it has to
 * be. task: one of them. */
static void settle_job(struct cp_dns_task *task, struct cp_dns_flight_job *job,
		       const struct cp_dns_task_found *found)
{
	struct cp_dns_resolve *resolve = resolve_of(task);
	sn_cleanup(cp_dns_answer_freep) struct cp_dns_answer *own = NULL;
	struct failure failure = { &resolve->shared.stats.n_failed_learn,
				   CP_DNS_TASK_EDE_OTHER };
	struct cp_dns_task_found mine = *found;
	uint32_t left_s = cp_dns_task_left(task->shared, found);
	int r;

	r = cp_dns_task_filter(task, found, &own);
	if (r == 0 && own)
		mine.answer = own;
	if (r == 0 && !must_learn(task, mine.answer, left_s)) {
		settle(resolve, job, settle_found, &mine);
		return;
	}
	if (r == 0 && !own)
		r = cp_dns_answer_copy(found->answer, &own);
	if (r == 0) {
		job->answer = sn_steal(&own);
		job->stored_ns = found->stored_ns;
		job->is_secure = found->is_secure;
		r = learn(task, job, cp_dns_task_life(task, left_s));
	}
	if (r < 0)
		settle(resolve, job, settle_failed, &failure);
}

/* What a fetch brought, for one of the attachments that waited for it. */
static void settle_fetched(struct cp_dns_resolve *resolve,
			   struct cp_dns_flight_job *job,
			   const struct cp_dns_task_found *found)
{
	struct cp_dns_flight_waiter *first = TAILQ_FIRST(&job->waiters);
	struct cp_dns_task task = { .shared = &resolve->shared };

	if (first) {
		task.origin = &first->origin;
		task.query = &first->query;
	}
	if (!first || !cp_dns_task_identify(&task)) {
		cp_dns_flight_drop_job(resolve->flight, job);
		return;
	}
	cp_dns_task_judge(&task);
	settle_job(&task, job, found);
}

static int ede_of(int status)
{
	switch (status) {
	case CP_UPSTREAM_E_TIMEOUT:
		return CP_DNS_TASK_EDE_UNREACHABLE;
	case CP_UPSTREAM_E_BOGUS:
		return CP_DNS_TASK_EDE_BOGUS;
	default:
		return CP_DNS_TASK_EDE_NETWORK;
	}
}

static struct cp_dns_flight_job *take_job(struct cp_dns_flight_fetch *fetch)
{
	struct cp_dns_flight_job *job = TAILQ_FIRST(&fetch->jobs);

	if (job) {
		TAILQ_REMOVE(&fetch->jobs, job, entry);
		job->fetch = NULL;
	}
	return job;
}

static void fetched(void *userdata, const struct cp_upstream_answer *got)
{
	struct cp_dns_flight_fetch *fetch = userdata;
	struct cp_dns_resolve *resolve = fetch->owner;
	struct failure failure = { &resolve->shared.stats.n_failed_upstream,
				   ede_of(got->status) };
	struct cp_dns_answer *answer = NULL;
	struct cp_dns_flight_job *job;
	struct cp_dns_task_found found = {
		.stored_ns = cp_attach_now(resolve->shared.options.manager),
		.is_secure = got->is_secure,
	};

	fetch->request = NULL;
	if (got->status == 0 &&
	    cp_dns_answer_read(got->message, got->size, &fetch->key.question,
			       (enum cp_dns_hints)fetch->key.hints,
			       &answer) != 0) {
		answer = NULL;
		failure.ede = CP_DNS_TASK_EDE_INVALID;
	}
	found.answer = answer;
	while ((job = take_job(fetch))) {
		if (answer)
			settle_fetched(resolve, job, &found);
		else
			settle(resolve, job, settle_failed, &failure);
	}
	if (answer)
		cp_dns_cache_put(resolve->cache, &fetch->key, answer,
				 got->is_secure, found.stored_ns);
	cp_dns_flight_drop_fetch(resolve->flight, fetch);
}

/* The servers that the attachment asks; NULL: none. */
static struct cp_upstream_set *get_set(const struct cp_dns_task *task)
{
	const struct cp_dns_settings *settings = task->view.settings;
	struct cp_upstream_set *set = NULL;

	if (settings->n_upstreams == 0)
		return resolve_of(task)->upstreams;
	if (cp_upstream_set_get(task->shared->options.upstream,
				settings->upstreams, settings->n_upstreams,
				settings->dnssec, &set) < 0)
		return NULL;
	/* It is remembered for a minute: no need to hold it as well. */
	cp_upstream_set_unref(set);
	return set;
}

/* Joins the fetch of the question, or begins one. */
static int fetch(struct cp_dns_resolve *resolve, struct cp_upstream_set *set,
		 struct cp_dns_flight_job *job)
{
	struct cp_dns_flight_fetch *fetch;
	struct cp_upstream_question question = {
		.name = &job->key.question.name,
		.type = job->key.question.type,
		.class = job->key.question.class,
		.wants_dnssec = job->key.dnssec_ok,
		.checking_disabled = job->key.checking_disabled,
	};
	int r;

	fetch = cp_dns_flight_get_fetch(resolve->flight, &job->key);
	if (fetch) {
		cp_dns_flight_join(job, fetch);
		return 0;
	}
	fetch = cp_dns_flight_new_fetch(resolve->flight, &job->key);
	if (!fetch)
		return -ENOMEM;
	fetch->owner = resolve;
	r = cp_upstream_ask(set, &question, fetched, fetch, &fetch->request);
	if (r < 0) {
		cp_dns_flight_drop_fetch(resolve->flight, fetch);
		return r;
	}
	cp_dns_flight_join(job, fetch);
	return 0;
}

/* A job for the task with the task as its waiter; NULL: it was answered. */
static struct cp_dns_flight_job *wait_for(const struct cp_dns_task *task,
					  const struct cp_dns_cache_key *key,
					  bool *is_new)
{
	struct cp_dns_resolve *resolve = resolve_of(task);
	struct cp_dns_flight_job *job;

	job = cp_dns_flight_get_job(resolve->flight, key, task->origin->slot);
	*is_new = !job;
	if (!job)
		job = cp_dns_flight_new_job(resolve->flight, key,
					    task->origin->slot);
	if (job && cp_dns_flight_add_waiter(resolve->flight, job, task->origin,
					    task->query) == 0)
		return job;
	if (job && *is_new)
		cp_dns_flight_drop_job(resolve->flight, job);
	cp_dns_task_fail(task, &resolve->shared.stats.n_failed_busy,
			 CP_DNS_TASK_EDE_OTHER);
	return NULL;
}

static void ask(struct cp_dns_task *task, struct cp_upstream_set *set,
		const struct cp_dns_cache_key *key)
{
	struct cp_dns_resolve *resolve = resolve_of(task);
	struct failure failure = { &resolve->shared.stats.n_failed_busy,
				   CP_DNS_TASK_EDE_OTHER };
	struct cp_dns_flight_job *job;
	bool is_new;

	job = wait_for(task, key, &is_new);
	if (job && is_new && fetch(resolve, set, job) < 0)
		settle(resolve, job, settle_failed, &failure);
}

static void answer_cached(struct cp_dns_task *task,
			  const struct cp_dns_cache_key *key,
			  const struct cp_dns_cache_entry *entry)
{
	struct cp_dns_task_found found = { entry->answer, entry->stored_ns,
					   entry->is_secure };
	sn_cleanup(cp_dns_answer_freep) struct cp_dns_answer *own = NULL;
	struct cp_dns_flight_job *job;
	bool is_new;

	if (cp_dns_task_filter(task, &found, &own) < 0) {
		cp_dns_task_fail(task, &task->shared->stats.n_failed_busy,
				 CP_DNS_TASK_EDE_OTHER);
		return;
	}
	if (own)
		found.answer = own;
	if (!must_learn(task, found.answer,
			cp_dns_task_left(task->shared, &found))) {
		cp_dns_task_reply_found(task, &found);
		return;
	}
	job = wait_for(task, key, &is_new);
	if (job && is_new)
		settle_job(task, job, &found);
}

static void resolve_name(struct cp_dns_task *task)
{
	struct cp_dns_resolve *resolve = resolve_of(task);
	const struct cp_dns_query *query = task->query;
	struct cp_upstream_set *set = get_set(task);
	struct cp_dns_cache_key key = {
		.question = query->question,
		.hints = (uint8_t)task->view.settings->hints,
		.dnssec_ok = query->dnssec_ok,
		.checking_disabled = query->checking_disabled,
	};
	struct cp_dns_cache_entry entry;

	if (!set) {
		cp_dns_task_fail(task, &resolve->shared.stats.n_failed_upstream,
				 CP_DNS_TASK_EDE_UNREACHABLE);
		return;
	}
	key.set = cp_upstream_set_id(set);
	if (cp_dns_cache_get(resolve->cache, &key,
			     cp_attach_now(resolve->shared.options.manager),
			     &entry))
		answer_cached(task, &key, &entry);
	else
		ask(task, set, &key);
}

/* What is no ordinary question for records. False: it was answered. */
static bool is_ordinary(const struct cp_dns_task *task)
{
	const struct cp_dns_question *question = &task->query->question;
	struct cp_dns_resolve *resolve = resolve_of(task);
	uint8_t message[CP_DNS_MESSAGE_UDP_MIN];

	if (question->type == TYPE_OPT) {
		cp_dns_task_count(task,
				  &resolve->shared.stats.n_failed_malformed,
				  CP_ATTACH_DNS_END_FAILED);
		cp_dns_task_reply_error(task, CP_DNS_TASK_RCODE_FORMERR,
					CP_DNS_TASK_EDE_NONE);
		return false;
	}
	if (question->class != CLASS_IN || (question->type >= TYPE_META_FIRST &&
					    question->type <= TYPE_META_LAST)) {
		cp_dns_task_count(task,
				  &resolve->shared.stats.n_failed_malformed,
				  CP_ATTACH_DNS_END_FAILED);
		cp_dns_task_reply_error(task, CP_DNS_TASK_RCODE_NOTIMP,
					CP_DNS_TASK_EDE_NONE);
		return false;
	}
	if (question->type != TYPE_ANY)
		return true;
	cp_dns_task_count(task, &resolve->shared.stats.n_allowed,
			  CP_ATTACH_DNS_END_ALLOWED);
	cp_dns_task_reply(task, message,
			  cp_dns_message_make_any(task->query, message));
	return false;
}

static void refuse_message(struct cp_dns_task *task, int r)
{
	unsigned int rcode = CP_DNS_TASK_RCODE_FORMERR;

	if (r == CP_DNS_MESSAGE_E_NOTIMP)
		rcode = CP_DNS_TASK_RCODE_NOTIMP;
	else if (r == CP_DNS_MESSAGE_E_BADVERS)
		rcode = CP_DNS_TASK_RCODE_BADVERS;
	cp_dns_task_count(task, &task->shared->stats.n_failed_malformed,
			  CP_ATTACH_DNS_END_FAILED);
	cp_dns_task_reply_error(task, rcode, CP_DNS_TASK_EDE_NONE);
}

void cp_dns_resolve_query(struct cp_dns_resolve *resolve,
			  const struct cp_dns_origin *origin,
			  const uint8_t *message, size_t size)
{
	struct cp_dns_query query;
	struct cp_dns_task task = {
		.shared = &resolve->shared,
		.origin = origin,
		.query = &query,
	};
	int r;

	resolve->shared.stats.n_queries++;
	r = cp_dns_message_read(message, size, &query);
	if (r == CP_DNS_MESSAGE_E_IGNORE || !cp_dns_task_identify(&task)) {
		resolve->shared.stats.n_ignored++;
		origin->ops->reply(origin, NULL, 0);
		return;
	}
	if (r) {
		refuse_message(&task, r);
		return;
	}
	cp_dns_task_judge(&task);
	if (task.is_blocked && !task.view.audit) {
		if (task.view.mode == CP_DNS_MODE_PROXY)
			cp_dns_task_fail(&task,
					 &resolve->shared.stats.n_failed_proxy,
					 CP_DNS_TASK_EDE_NOT_READY);
		else
			cp_dns_task_deny(&task);
		return;
	}
	if (is_ordinary(&task))
		resolve_name(&task);
}

void cp_dns_resolve_get_stats(const struct cp_dns_resolve *resolve,
			      struct cp_dns_resolve_stats *ret)
{
	*ret = resolve->shared.stats;
	ret->n_waiting = cp_dns_flight_count_waiters(resolve->flight);
	cp_dns_cache_get_stats(resolve->cache, &ret->cache);
}
