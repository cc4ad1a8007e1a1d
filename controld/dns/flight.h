/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Queries that wait, for controld/dns/resolve.c: a fetch is one question on its
 * way upstream, a job one attachment's wait for one question (for its fetch,
 * then for what has to be learnt), a waiter one query. Bounded in all and for
 * each slot. A job is an attachment's and not its slot's: what the one waited
 * for must not open anything for the next one there. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "controld/dns/answer.h"
#include "controld/dns/cache.h"
#include "controld/dns/message.h"
#include "controld/dns/origin.h"
#include "controld/upstream/upstream.h"
#include "shared/util.h"

enum { CP_DNS_FLIGHT_BUCKETS = 4096 };

struct cp_dns_flight_waiter {
	TAILQ_ENTRY(cp_dns_flight_waiter) entry;
	struct cp_dns_origin origin;
	struct cp_dns_query query;
};

struct cp_dns_flight_fetch;

struct cp_dns_flight_job {
	LIST_ENTRY(cp_dns_flight_job) bucket;
	TAILQ_ENTRY(cp_dns_flight_job) entry; /* of its fetch */
	struct cp_dns_flight_fetch *fetch; /* NULL: what it waits for is learnt */
	struct cp_dns_cache_key key;
	uint32_t slot;
	uint64_t number; /* whose slot it was (cp_attach_dns_view) */
	TAILQ_HEAD(, cp_dns_flight_waiter) waiters;
	bool by_plane; /* as in struct cp_dns_task */
	bool opens;
	/* While it is learnt: what is answered then. */
	struct cp_dns_answer *answer;
	uint64_t stored_ns;
	bool is_secure;
};

struct cp_dns_flight_fetch {
	LIST_ENTRY(cp_dns_flight_fetch) bucket;
	struct cp_dns_cache_key key;
	void *owner;
	struct cp_upstream_set *set;
	struct cp_upstream_request *request;
	TAILQ_HEAD(, cp_dns_flight_job) jobs;
};

struct cp_dns_flight;

/* Answers of cp_dns_flight_add_waiter() besides 0 and -errno. */
enum {
	CP_DNS_FLIGHT_E_FULL = 1, /* a bound is reached */
};

int cp_dns_flight_new(struct cp_dns_flight **ret, uint32_t n_slots,
		      uint32_t waiters_max, uint32_t slot_waiters_max);
/* Drops every waiter without a reply and cancels what is upstream. */
struct cp_dns_flight *cp_dns_flight_free(struct cp_dns_flight *flight);
SN_DEFINE_CLEANUP(struct cp_dns_flight, cp_dns_flight_free)

struct cp_dns_flight_job *
cp_dns_flight_get_job(const struct cp_dns_flight *flight,
		      const struct cp_dns_cache_key *key, uint64_t number);
struct cp_dns_flight_fetch *
cp_dns_flight_get_fetch(const struct cp_dns_flight *flight,
			const struct cp_dns_cache_key *key);

/* NULL: no memory. A new job has no waiter; one that keeps none is dropped by
 * its maker. */
struct cp_dns_flight_job *
cp_dns_flight_new_job(struct cp_dns_flight *flight,
		      const struct cp_dns_cache_key *key, uint32_t slot,
		      uint64_t number);
/* Waiters that are left get no reply. Leaves its fetch, which stays. */
void cp_dns_flight_drop_job(struct cp_dns_flight *flight,
			    struct cp_dns_flight_job *job);
struct cp_dns_flight_fetch *
cp_dns_flight_new_fetch(struct cp_dns_flight *flight,
			const struct cp_dns_cache_key *key);
/* It must have no jobs. Gives its set back. */
void cp_dns_flight_drop_fetch(struct cp_dns_flight *flight,
			      struct cp_dns_flight_fetch *fetch);
void cp_dns_flight_join(struct cp_dns_flight_job *job,
			struct cp_dns_flight_fetch *fetch);

int cp_dns_flight_add_waiter(struct cp_dns_flight *flight,
			     struct cp_dns_flight_job *job,
			     const struct cp_dns_origin *origin,
			     const struct cp_dns_query *query);
/* The first one, or NULL. To be freed with free(3). */
struct cp_dns_flight_waiter *
cp_dns_flight_take_waiter(struct cp_dns_flight *flight,
			  struct cp_dns_flight_job *job);

uint32_t cp_dns_flight_count_waiters(const struct cp_dns_flight *flight);
