/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/flight.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct cp_dns_flight {
	LIST_HEAD(, cp_dns_flight_job) jobs[CP_DNS_FLIGHT_BUCKETS];
	LIST_HEAD(, cp_dns_flight_fetch) fetches[CP_DNS_FLIGHT_BUCKETS];
	uint64_t seed; /* clients choose the names */
	uint32_t n_slots;
	uint32_t waiters_max;
	uint32_t slot_waiters_max;
	uint32_t n_waiters;
	uint32_t *n_slot_waiters;
};

int cp_dns_flight_new(struct cp_dns_flight **ret, uint32_t n_slots,
		      uint32_t waiters_max, uint32_t slot_waiters_max)
{
	sn_cleanup(cp_dns_flight_freep) struct cp_dns_flight *flight = NULL;

	flight = calloc(1, sizeof(*flight));
	if (!flight)
		return -ENOMEM;
	flight->n_slots = n_slots;
	flight->waiters_max = waiters_max;
	flight->slot_waiters_max = slot_waiters_max;
	flight->n_slot_waiters =
		calloc(n_slots, sizeof(*flight->n_slot_waiters));
	if (!flight->n_slot_waiters)
		return -ENOMEM;
	if (getrandom(&flight->seed, sizeof(flight->seed), 0) !=
	    (ssize_t)sizeof(flight->seed))
		return -EIO;
	*ret = sn_steal(&flight);
	return 0;
}

struct cp_dns_flight *cp_dns_flight_free(struct cp_dns_flight *flight)
{
	if (!flight)
		return NULL;
	for (size_t i = 0; i < CP_DNS_FLIGHT_BUCKETS; i++) {
		struct cp_dns_flight_fetch *fetch;
		struct cp_dns_flight_job *job;

		while ((fetch = LIST_FIRST(&flight->fetches[i]))) {
			while ((job = TAILQ_FIRST(&fetch->jobs)))
				cp_dns_flight_drop_job(flight, job);
			if (fetch->request)
				cp_upstream_cancel(sn_steal(&fetch->request));
			cp_dns_flight_drop_fetch(flight, fetch);
		}
	}
	for (size_t i = 0; i < CP_DNS_FLIGHT_BUCKETS; i++) {
		struct cp_dns_flight_job *job;

		while ((job = LIST_FIRST(&flight->jobs[i])))
			cp_dns_flight_drop_job(flight, job);
	}
	free(flight->n_slot_waiters);
	free(flight);
	return NULL;
}

static size_t hash(const struct cp_dns_flight *flight,
		   const struct cp_dns_cache_key *key, uint64_t number)
{
	const struct cp_dns_name *name = &key->question.name;
	uint64_t h = flight->seed ^ key->set ^ number ^
		     ((uint64_t)key->question.type << 32);

	for (uint8_t i = 0; i < name->size; i++)
		h = (h ^ name->wire[i]) * 0x100000001b3ULL;
	h ^= h >> 29;
	return (size_t)(h * 0x9e3779b97f4a7c15ULL >> 40) %
	       CP_DNS_FLIGHT_BUCKETS;
}

static bool is_equal(const struct cp_dns_cache_key *a,
		     const struct cp_dns_cache_key *b)
{
	return a->set == b->set && a->question.type == b->question.type &&
	       a->question.class == b->question.class && a->hints == b->hints &&
	       a->dnssec_ok == b->dnssec_ok &&
	       a->checking_disabled == b->checking_disabled &&
	       cp_dns_name_is_equal(&a->question.name, &b->question.name);
}

struct cp_dns_flight_job *
cp_dns_flight_get_job(const struct cp_dns_flight *flight,
		      const struct cp_dns_cache_key *key, uint64_t number)
{
	struct cp_dns_flight_job *job;

	LIST_FOREACH(job, &flight->jobs[hash(flight, key, number)], bucket) {
		if (job->number == number && is_equal(&job->key, key))
			return job;
	}
	return NULL;
}

struct cp_dns_flight_fetch *
cp_dns_flight_get_fetch(const struct cp_dns_flight *flight,
			const struct cp_dns_cache_key *key)
{
	struct cp_dns_flight_fetch *fetch;

	LIST_FOREACH(fetch, &flight->fetches[hash(flight, key, 0)], bucket) {
		if (is_equal(&fetch->key, key))
			return fetch;
	}
	return NULL;
}

struct cp_dns_flight_job *
cp_dns_flight_new_job(struct cp_dns_flight *flight,
		      const struct cp_dns_cache_key *key, uint32_t slot,
		      uint64_t number)
{
	struct cp_dns_flight_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->key = *key;
	job->slot = slot;
	job->number = number;
	TAILQ_INIT(&job->waiters);
	LIST_INSERT_HEAD(&flight->jobs[hash(flight, key, number)], job, bucket);
	return job;
}

void cp_dns_flight_drop_job(struct cp_dns_flight *flight,
			    struct cp_dns_flight_job *job)
{
	struct cp_dns_flight_waiter *waiter;

	while ((waiter = cp_dns_flight_take_waiter(flight, job))) {
		waiter->origin.ops->reply(&waiter->origin, NULL, 0);
		free(waiter);
	}
	if (job->fetch)
		TAILQ_REMOVE(&job->fetch->jobs, job, entry);
	LIST_REMOVE(job, bucket);
	cp_dns_answer_free(job->answer);
	free(job);
}

struct cp_dns_flight_fetch *
cp_dns_flight_new_fetch(struct cp_dns_flight *flight,
			const struct cp_dns_cache_key *key)
{
	struct cp_dns_flight_fetch *fetch = calloc(1, sizeof(*fetch));

	if (!fetch)
		return NULL;
	fetch->key = *key;
	TAILQ_INIT(&fetch->jobs);
	LIST_INSERT_HEAD(&flight->fetches[hash(flight, key, 0)], fetch, bucket);
	return fetch;
}

void cp_dns_flight_drop_fetch(struct cp_dns_flight *flight,
			      struct cp_dns_flight_fetch *fetch)
{
	(void)flight;
	LIST_REMOVE(fetch, bucket);
	cp_upstream_set_unref(fetch->set);
	free(fetch);
}

void cp_dns_flight_join(struct cp_dns_flight_job *job,
			struct cp_dns_flight_fetch *fetch)
{
	job->fetch = fetch;
	TAILQ_INSERT_TAIL(&fetch->jobs, job, entry);
}

int cp_dns_flight_add_waiter(struct cp_dns_flight *flight,
			     struct cp_dns_flight_job *job,
			     const struct cp_dns_origin *origin,
			     const struct cp_dns_query *query)
{
	struct cp_dns_flight_waiter *waiter;

	if (job->slot >= flight->n_slots ||
	    flight->n_waiters >= flight->waiters_max ||
	    flight->n_slot_waiters[job->slot] >= flight->slot_waiters_max)
		return CP_DNS_FLIGHT_E_FULL;
	waiter = malloc(sizeof(*waiter));
	if (!waiter)
		return -ENOMEM;
	waiter->origin = *origin;
	waiter->query = *query;
	TAILQ_INSERT_TAIL(&job->waiters, waiter, entry);
	flight->n_waiters++;
	flight->n_slot_waiters[job->slot]++;
	return 0;
}

struct cp_dns_flight_waiter *
cp_dns_flight_take_waiter(struct cp_dns_flight *flight,
			  struct cp_dns_flight_job *job)
{
	struct cp_dns_flight_waiter *waiter = TAILQ_FIRST(&job->waiters);

	if (!waiter)
		return NULL;
	TAILQ_REMOVE(&job->waiters, waiter, entry);
	flight->n_waiters--;
	flight->n_slot_waiters[job->slot]--;
	return waiter;
}

uint32_t cp_dns_flight_count_waiters(const struct cp_dns_flight *flight)
{
	return flight->n_waiters;
}
