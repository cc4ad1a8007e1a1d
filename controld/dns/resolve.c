/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/resolve.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controld/dns/flight.h"
#include "controld/dns/settle.h"

enum {
	TYPE_META_FIRST = 249, /* TKEY, TSIG, transfers: RFC 6895 3.1 */
	TYPE_META_LAST = 254,
};

#define US 1000ULL
#define MS (1000 * US)

const uint64_t cp_dns_resolve_latency_bounds[CP_DNS_RESOLVE_LATENCIES] = {
	100 * US,  250 * US,  500 * US,	 1 * MS,     2500 * US, 5 * MS,
	10 * MS,   25 * MS,   50 * MS,	 100 * MS,   250 * MS,	500 * MS,
	1000 * MS, 2500 * MS, 5000 * MS, UINT64_MAX,
};

struct cp_dns_resolve {
	struct cp_dns_settle settle;
	struct cp_upstream_set *upstreams; /* the daemon's own, or NULL */
	struct cp_dns_proxy *proxy; /* NULL: there is no control plane */
	struct cp_dns_cache *cache;
};

static struct cp_dns_resolve *resolve_of(const struct cp_dns_task *task)
{
	return sn_container_of(task->shared, struct cp_dns_resolve,
			       settle.shared);
}

static void release(struct cp_dns_settle *settle)
{
	struct cp_dns_resolve *resolve =
		sn_container_of(settle, struct cp_dns_resolve, settle);

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
	resolve->settle.shared.options = *options;
	resolve->settle.ended = release;
	if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
		return -EIO;
	r = cp_dns_cache_new(&resolve->cache, options->cache_bytes, secret);
	if (r < 0)
		return r;
	r = cp_dns_flight_new(&resolve->settle.flight, options->n_slots,
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
	resolve->settle.is_closing = true;
	resolve->settle.flight = cp_dns_flight_free(resolve->settle.flight);
	if (resolve->settle.n_learning == 0)
		release(&resolve->settle);
	return NULL;
}

void cp_dns_resolve_reload(struct cp_dns_resolve *resolve,
			   const struct cp_dns_resolve_options *options)
{
	resolve->settle.shared.options.ttl_floor_s = options->ttl_floor_s;
	resolve->settle.shared.options.grace_s = options->grace_s;
	resolve->settle.shared.options.denied = options->denied;
}

int cp_dns_resolve_put_upstreams(struct cp_dns_resolve *resolve,
				 const struct cp_dns_upstream *servers,
				 size_t n, bool dnssec)
{
	sn_cleanup(cp_upstream_set_unrefp) struct cp_upstream_set *set = NULL;
	int r;

	if (n > 0) {
		r = cp_upstream_set_get(resolve->settle.shared.options.upstream,
					servers, n, dnssec, &set);
		if (r < 0)
			return r;
	}
	cp_upstream_set_unref(resolve->upstreams);
	resolve->upstreams = sn_steal(&set);
	return 0;
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

/* The same for one who waits in a job; NULL too if the job's key would be another
 * one by now. What servers say that are not asked any more opens nothing, and
 * is not kept as the word of those that took their place. */
static struct cp_upstream_set *
get_set_of_job(const struct cp_dns_task *task,
	       const struct cp_dns_flight_job *job)
{
	struct cp_upstream_set *set = get_set(task);

	if (!set || cp_upstream_set_id(set) != job->key.set ||
	    (uint8_t)task->view.settings->hints != job->key.hints ||
	    (job->key.checking_disabled && task->view.learns))
		return NULL;
	return set;
}

/* Does the job still wait for what its fetch is about? */
static bool is_wanted(struct cp_dns_resolve *resolve,
		      const struct cp_dns_flight_job *job)
{
	const struct cp_dns_flight_waiter *first = TAILQ_FIRST(&job->waiters);
	struct cp_dns_task task = { .shared = &resolve->settle.shared };

	if (!first)
		return false;
	task.origin = &first->origin;
	return cp_dns_settle_identify(&task, job) && get_set_of_job(&task, job);
}

static void fetched(void *userdata, const struct cp_upstream_answer *got)
{
	struct cp_dns_flight_fetch *fetch = userdata;
	struct cp_dns_resolve *resolve = fetch->owner;
	struct cp_dns_settle *settle = &resolve->settle;
	int ede = ede_of(got->status);
	struct cp_dns_answer *answer = NULL;
	struct cp_dns_flight_job *job;
	struct cp_dns_task_found found = {
		.stored_ns = cp_attach_now(settle->shared.options.manager),
		.is_secure = got->is_secure,
	};

	fetch->request = NULL;
	if (got->status == 0 &&
	    cp_dns_answer_read(got->message, got->size, &fetch->key.question,
			       (enum cp_dns_hints)fetch->key.hints,
			       &answer) != 0) {
		answer = NULL;
		ede = CP_DNS_TASK_EDE_INVALID;
	}
	found.answer = answer;
	while ((job = take_job(fetch))) {
		if (answer && is_wanted(resolve, job))
			cp_dns_settle_found(settle, job, &found);
		else
			cp_dns_settle_failed(
				settle, job,
				&settle->shared.stats.n_failed_upstream, ede);
	}
	if (answer)
		cp_dns_cache_put(resolve->cache, &fetch->key, answer,
				 got->is_secure, found.stored_ns);
	cp_dns_flight_drop_fetch(settle->flight, fetch);
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

	fetch = cp_dns_flight_get_fetch(resolve->settle.flight, &job->key);
	if (fetch) {
		cp_dns_flight_join(job, fetch);
		return 0;
	}
	fetch = cp_dns_flight_new_fetch(resolve->settle.flight, &job->key);
	if (!fetch)
		return -ENOMEM;
	fetch->owner = resolve;
	r = cp_upstream_ask(set, &question, fetched, fetch, &fetch->request);
	if (r < 0) {
		cp_dns_flight_drop_fetch(resolve->settle.flight, fetch);
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

	job = cp_dns_flight_get_job(resolve->settle.flight, key,
				    task->view.number);
	*is_new = !job;
	if (!job)
		job = cp_dns_flight_new_job(resolve->settle.flight, key,
					    task->origin->slot,
					    task->view.number);
	if (job && cp_dns_flight_add_waiter(resolve->settle.flight, job,
					    task->origin, task->query) == 0)
		return job;
	if (job && *is_new)
		cp_dns_flight_drop_job(resolve->settle.flight, job);
	cp_dns_task_fail(task, &resolve->settle.shared.stats.n_failed_busy,
			 CP_DNS_TASK_EDE_OTHER);
	return NULL;
}

static void fail_busy(struct cp_dns_resolve *resolve,
		      struct cp_dns_flight_job *job)
{
	cp_dns_settle_failed(&resolve->settle, job,
			     &resolve->settle.shared.stats.n_failed_busy,
			     CP_DNS_TASK_EDE_OTHER);
}

static void ask(struct cp_dns_task *task, struct cp_upstream_set *set,
		const struct cp_dns_cache_key *key)
{
	struct cp_dns_resolve *resolve = resolve_of(task);
	struct cp_dns_flight_job *job;
	bool is_new;

	job = wait_for(task, key, &is_new);
	if (job && is_new && fetch(resolve, set, job) < 0)
		fail_busy(resolve, job);
}

static void answer_cached(struct cp_dns_task *task,
			  const struct cp_dns_cache_key *key,
			  const struct cp_dns_cache_entry *entry)
{
	struct cp_dns_task_found found = { .answer = entry->answer,
					   .stored_ns = entry->stored_ns,
					   .is_secure = entry->is_secure };
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
	if (!cp_dns_settle_must_learn(task, &found)) {
		cp_dns_task_reply_found(task, &found);
		return;
	}
	job = wait_for(task, key, &is_new);
	if (job && is_new)
		cp_dns_settle_found(&resolve_of(task)->settle, job, &found);
}

static void make_key(const struct cp_dns_task *task,
		     const struct cp_upstream_set *set,
		     struct cp_dns_cache_key *ret)
{
	*ret = (struct cp_dns_cache_key){
		.set = cp_upstream_set_id(set),
		.question = task->query->question,
		.hints = (uint8_t)task->view.settings->hints,
		.dnssec_ok = task->query->dnssec_ok,
		/* A client that forgoes validation opens nothing by it. */
		.checking_disabled = task->query->checking_disabled &&
				     !task->view.learns,
	};
}

/* What an attachment whose names the control plane decides waits for; looked
 * up again when that has answered. */
struct asking {
	struct cp_dns_resolve *resolve;
	struct cp_dns_cache_key key;
	uint64_t number;
};

/* The addresses that the control plane gave, as an upstream server would have
 * given them. NULL: no memory. */
static struct cp_dns_answer *make_given(struct cp_dns_resolve *resolve,
					const struct cp_dns_cache_key *key,
					const struct cp_dns_proxy_answer *plane)
{
	uint8_t *message = resolve->settle.shared.buffer;
	struct cp_dns_query query = { .question = key->question,
				      .has_question = true };
	uint8_t addresses[CP_DNS_PROXY_ADDRESSES_MAX][16];
	uint8_t family = key->question.type == CP_DNS_TYPE_A ? SN_FAMILY_IPV4 :
							       SN_FAMILY_IPV6;
	struct cp_dns_answer *answer = NULL;
	size_t n = 0, size;

	(void)memcpy(query.case_name, key->question.name.wire,
		     key->question.name.size);
	for (size_t i = 0; i < plane->n_addresses; i++) {
		if (plane->addresses[i].family == family)
			(void)memcpy(addresses[n++], plane->addresses[i].bytes,
				     sizeof(addresses[0]));
	}
	size = cp_dns_message_make_addresses(&query, plane->ttl_s,
					     (const uint8_t(*)[16])addresses, n,
					     message);
	if (cp_dns_answer_read(message, size, &key->question,
			       CP_DNS_HINTS_STRIP, &answer) != 0)
		return NULL;
	return answer;
}

/* Goes on with a name that the control plane let pass, or that it did not and
 * that is answered under audit. */
static void go_on(struct cp_dns_resolve *resolve, struct cp_dns_flight_job *job,
		  struct cp_upstream_set *set)
{
	uint64_t now_ns = cp_attach_now(resolve->settle.shared.options.manager);
	struct cp_dns_cache_entry entry;
	struct cp_dns_task_found found;

	if (!set) {
		cp_dns_settle_failed(
			&resolve->settle, job,
			&resolve->settle.shared.stats.n_failed_upstream,
			CP_DNS_TASK_EDE_UNREACHABLE);
		return;
	}
	if (!cp_dns_cache_get(resolve->cache, &job->key, now_ns, &entry)) {
		if (fetch(resolve, set, job) < 0)
			fail_busy(resolve, job);
		return;
	}
	found = (struct cp_dns_task_found){ .answer = entry.answer,
					    .stored_ns = entry.stored_ns,
					    .is_secure = entry.is_secure };
	cp_dns_settle_found(&resolve->settle, job, &found);
}

static void deny_each(struct cp_dns_task *task, void *arg)
{
	(void)arg;
	cp_dns_task_deny(task);
}

static void take_plane(struct cp_dns_resolve *resolve,
		       struct cp_dns_flight_job *job,
		       const struct cp_dns_proxy_answer *plane)
{
	struct cp_dns_settle *settle = &resolve->settle;
	struct cp_dns_flight_waiter *first = TAILQ_FIRST(&job->waiters);
	struct cp_dns_task task = { .shared = &settle->shared };
	struct cp_dns_task_found found = { .is_given = true };
	struct cp_dns_answer *given;

	if (first)
		task.origin = &first->origin;
	if (!first || !cp_dns_settle_identify(&task, job)) {
		cp_dns_flight_drop_job(settle->flight, job);
		return;
	}
	if (plane->is_failed) {
		cp_dns_settle_failed(settle, job,
				     &settle->shared.stats.n_failed_proxy,
				     CP_DNS_TASK_EDE_NOT_READY);
		return;
	}
	if (!plane->allow && !task.view.audit) {
		cp_dns_settle_each(settle, job, deny_each, NULL);
		return;
	}
	job->by_plane = plane->allow;
	job->opens = plane->open;
	if (!plane->allow || plane->n_addresses == 0 ||
	    (job->key.question.type != CP_DNS_TYPE_A &&
	     job->key.question.type != CP_DNS_TYPE_AAAA)) {
		go_on(resolve, job, get_set_of_job(&task, job));
		return;
	}
	given = make_given(resolve, &job->key, plane);
	found.answer = given;
	found.stored_ns = cp_attach_now(settle->shared.options.manager);
	if (given)
		cp_dns_settle_found(settle, job, &found);
	else
		fail_busy(resolve, job);
	cp_dns_answer_free(given);
}

static void plane_answered(void *userdata,
			   const struct cp_dns_proxy_answer *answer)
{
	struct asking *asking = userdata;
	struct cp_dns_resolve *resolve = asking->resolve;
	struct cp_dns_flight_job *job = NULL;

	resolve->settle.n_learning--;
	if (resolve->settle.is_closing) {
		if (resolve->settle.n_learning == 0)
			release(&resolve->settle);
	} else {
		job = cp_dns_flight_get_job(resolve->settle.flight,
					    &asking->key, asking->number);
	}
	free(asking);
	if (job)
		take_plane(resolve, job, answer);
}

static int ask_plane(struct cp_dns_task *task, struct cp_dns_flight_job *job,
		     struct cp_dns_proxy_answer *answer)
{
	struct cp_dns_resolve *resolve = resolve_of(task);
	struct cp_dns_proxy *proxy = resolve->proxy;
	struct asking *asking;
	int r;

	if (!proxy)
		return -ENOTCONN;
	asking = malloc(sizeof(*asking));
	if (!asking)
		return -ENOMEM;
	*asking = (struct asking){ resolve, job->key, job->number };
	r = cp_dns_proxy_ask(proxy, task->view.id, &job->key.question.name,
			     job->key.question.type, plane_answered, asking,
			     answer);
	if (r == 0)
		resolve->settle.n_learning++;
	else
		free(asking);
	return r;
}

/* A name of mode PROXY that no rule decides. */
static void decide_by_plane(struct cp_dns_task *task,
			    const struct cp_dns_cache_key *key)
{
	struct cp_dns_settle *settle = &resolve_of(task)->settle;
	struct cp_dns_proxy_answer answer;
	struct cp_dns_flight_job *job;
	bool is_new;
	int r;

	job = wait_for(task, key, &is_new);
	if (!job || !is_new)
		return;
	r = ask_plane(task, job, &answer);
	if (r == CP_DNS_PROXY_E_KEPT)
		take_plane(resolve_of(task), job, &answer);
	else if (r != 0)
		cp_dns_settle_failed(settle, job,
				     &settle->shared.stats.n_failed_proxy,
				     CP_DNS_TASK_EDE_NOT_READY);
}

static void resolve_name(struct cp_dns_task *task)
{
	struct cp_dns_resolve *resolve = resolve_of(task);
	struct cp_upstream_set *set = get_set(task);
	struct cp_dns_cache_entry entry;
	struct cp_dns_cache_key key;

	if (!set) {
		cp_dns_task_fail(task, &task->shared->stats.n_failed_upstream,
				 CP_DNS_TASK_EDE_UNREACHABLE);
		return;
	}
	make_key(task, set, &key);
	if (task->is_undecided)
		decide_by_plane(task, &key);
	else if (cp_dns_cache_get(resolve->cache, &key,
				  cp_attach_now(task->shared->options.manager),
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

	if (question->type == CP_DNS_TYPE_OPT) {
		cp_dns_task_count(
			task, &resolve->settle.shared.stats.n_failed_malformed,
			CP_ATTACH_DNS_END_FAILED);
		cp_dns_task_reply_error(task, CP_DNS_RCODE_FORMERR,
					CP_DNS_TASK_EDE_NONE);
		return false;
	}
	if (question->class != CP_DNS_CLASS_IN ||
	    (question->type >= TYPE_META_FIRST &&
	     question->type <= TYPE_META_LAST)) {
		cp_dns_task_count(
			task, &resolve->settle.shared.stats.n_failed_malformed,
			CP_ATTACH_DNS_END_FAILED);
		cp_dns_task_reply_error(task, CP_DNS_RCODE_NOTIMP,
					CP_DNS_TASK_EDE_NONE);
		return false;
	}
	if (question->type != CP_DNS_TYPE_ANY)
		return true;
	cp_dns_task_count(task, &resolve->settle.shared.stats.n_allowed,
			  CP_ATTACH_DNS_END_ALLOWED);
	cp_dns_task_reply(task, message,
			  cp_dns_message_make_any(task->query, message));
	return false;
}

static void refuse_message(struct cp_dns_task *task, int r)
{
	unsigned int rcode = CP_DNS_RCODE_FORMERR;

	if (r == CP_DNS_MESSAGE_E_NOTIMP)
		rcode = CP_DNS_RCODE_NOTIMP;
	else if (r == CP_DNS_MESSAGE_E_BADVERS)
		rcode = CP_DNS_RCODE_BADVERS;
	cp_dns_task_count(task, &task->shared->stats.n_failed_malformed,
			  CP_ATTACH_DNS_END_FAILED);
	cp_dns_task_reply_error(task, rcode, CP_DNS_TASK_EDE_NONE);
}

void cp_dns_resolve_query(struct cp_dns_resolve *resolve,
			  const struct cp_dns_origin *origin,
			  const uint8_t *message, size_t size)
{
	struct cp_dns_query query;
	struct cp_dns_origin own = *origin;
	struct cp_dns_task task = {
		.shared = &resolve->settle.shared,
		.origin = &own,
		.query = &query,
	};
	int r;

	own.began_ns = cp_attach_now(resolve->settle.shared.options.manager);
	resolve->settle.shared.stats.n_queries++;
	r = cp_dns_message_read(message, size, &query);
	if (r == CP_DNS_MESSAGE_E_IGNORE || !cp_dns_task_identify(&task)) {
		resolve->settle.shared.stats.n_ignored++;
		origin->ops->reply(origin, NULL, 0);
		return;
	}
	if (r) {
		refuse_message(&task, r);
		return;
	}
	cp_dns_task_judge(&task);
	if (task.is_blocked && !task.is_undecided && !task.view.audit) {
		cp_dns_task_deny(&task);
		return;
	}
	if (is_ordinary(&task))
		resolve_name(&task);
}

void cp_dns_resolve_put_proxy(struct cp_dns_resolve *resolve,
			      struct cp_dns_proxy *proxy)
{
	resolve->proxy = proxy;
}

void cp_dns_resolve_get_stats(const struct cp_dns_resolve *resolve,
			      struct cp_dns_resolve_stats *ret)
{
	*ret = resolve->settle.shared.stats;
	ret->n_waiting = cp_dns_flight_count_waiters(resolve->settle.flight);
	cp_dns_cache_get_stats(resolve->cache, &ret->cache);
}
