/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The way of one query: identity, rules, cache or upstream, validation,
 * learning, reply. Equal questions share one upstream request, and those of one
 * attachment one learning. Everything is bounded, in all and for each
 * attachment, so that none delays another. An address that should be learnt and
 * is not is never answered: SERVFAIL. */

#include <uv.h>

#include "controld/attach/dns.h"
#include "controld/dns/cache.h"
#include "controld/dns/origin.h"
#include "controld/dns/proxy.h"
#include "controld/upstream/upstream.h"

struct cp_dns_resolve;

enum {
	CP_DNS_RESOLVE_WAITERS_MAX = 16384, /* queries under way */
	CP_DNS_RESOLVE_SLOT_WAITERS_MAX = 1024, /* of one attachment */
};

/* Bounds of latencies in ns, the last one is above all: 0.1 ms to 5 s. */
enum { CP_DNS_RESOLVE_LATENCIES = 16 };
extern const uint64_t cp_dns_resolve_latency_bounds[CP_DNS_RESOLVE_LATENCIES];

struct cp_dns_resolve_options {
	struct cp_attach *manager;
	struct cp_upstream *upstream;
	size_t cache_bytes;
	uint32_t ttl_floor_s;
	uint32_t grace_s;
	enum cp_dns_denied denied; /* for policies that do not say */
	uint32_t n_slots;
};

/* By how a query ended; their sum is the number of queries. */
struct cp_dns_resolve_stats {
	uint64_t n_queries;
	uint64_t n_allowed;
	uint64_t n_blocked;
	uint64_t n_failed_malformed; /* FORMERR, NOTIMP, BADVERS */
	uint64_t n_failed_upstream;
	uint64_t n_failed_quota;
	uint64_t n_failed_learn; /* dp away, table full, rules changed */
	uint64_t n_failed_busy; /* over a bound of ours */
	uint64_t n_failed_proxy;
	uint64_t n_ignored; /* no query, or of no attachment */
	/* From the query to its reply, by end: how many took so long, not
	 * cumulative. */
	struct {
		uint64_t n[CP_DNS_RESOLVE_LATENCIES];
		uint64_t sum_ns;
	} latency[CP_ATTACH_DNS_END_COUNT];
	uint32_t n_waiting;
	struct cp_dns_cache_stats cache;
};

int cp_dns_resolve_new(struct cp_dns_resolve **ret,
		       const struct cp_dns_resolve_options *options);
/* Queries under way get no reply; what is under way upstream is cancelled.
 * Learning that was begun may still call back: the object goes with the last
 * of these. */
struct cp_dns_resolve *cp_dns_resolve_free(struct cp_dns_resolve *resolve);
SN_DEFINE_CLEANUP(struct cp_dns_resolve, cp_dns_resolve_free)

/* Takes over ttl_floor_s, grace_s and denied. */
void cp_dns_resolve_reload(struct cp_dns_resolve *resolve,
			   const struct cp_dns_resolve_options *options);

/* The daemon's own upstream servers; none: SERVFAIL for attachments without
 * servers of their own. */
int cp_dns_resolve_put_upstreams(struct cp_dns_resolve *resolve,
				 const struct cp_dns_upstream *servers,
				 size_t n, bool dnssec);

/* Who decides names of mode PROXY that no rule decides; NULL: every such name
 * fails. It must outlive the resolver's queries, or be replaced before. */
void cp_dns_resolve_put_proxy(struct cp_dns_resolve *resolve,
			      struct cp_dns_proxy *proxy);

/* One message; replies through origin, within the call or later. */
void cp_dns_resolve_query(struct cp_dns_resolve *resolve,
			  const struct cp_dns_origin *origin,
			  const uint8_t *message, size_t size);

void cp_dns_resolve_get_stats(const struct cp_dns_resolve *resolve,
			      struct cp_dns_resolve_stats *ret);
