/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Answers by upstream set and question, bounded in bytes, least recently used
 * first out. It knows nothing of policies and is consulted after them; no
 * prefetch. Times are arguments (boot-time ns). Pure. */

#include <stddef.h>
#include <stdint.h>

#include "controld/dns/answer.h"
#include "controld/dns/message.h"
#include "shared/util.h"

struct cp_dns_cache;

struct cp_dns_cache_key {
	uint64_t set; /* cp_upstream_set_id() */
	struct cp_dns_question question;
	uint8_t hints; /* enum cp_dns_hints: they change what is read */
	bool dnssec_ok;
	bool checking_disabled;
};

/* answer: borrowed until the next call. stored_ns: for its age. */
struct cp_dns_cache_entry {
	const struct cp_dns_answer *answer;
	uint64_t stored_ns;
	uint64_t expires_ns;
	bool is_secure;
};

/* secret: random, so that nobody can choose names that share a place. */
int cp_dns_cache_new(struct cp_dns_cache **ret, size_t max_bytes,
		     const uint64_t secret[2]);
struct cp_dns_cache *cp_dns_cache_free(struct cp_dns_cache *cache);
SN_DEFINE_CLEANUP(struct cp_dns_cache, cp_dns_cache_free)

/* False: not there, or its life has ended. */
bool cp_dns_cache_get(struct cp_dns_cache *cache,
		      const struct cp_dns_cache_key *key, uint64_t now_ns,
		      struct cp_dns_cache_entry *ret);

/* Takes the answer in every case. One whose TTL is 0 is not kept. */
void cp_dns_cache_put(struct cp_dns_cache *cache,
		      const struct cp_dns_cache_key *key,
		      struct cp_dns_answer *answer, bool is_secure,
		      uint64_t now_ns);
void cp_dns_cache_clear(struct cp_dns_cache *cache);

struct cp_dns_cache_stats {
	uint64_t n_hits;
	uint64_t n_misses;
	uint64_t n_evicted;
	size_t n_entries;
	size_t bytes;
};
void cp_dns_cache_get_stats(const struct cp_dns_cache *cache,
			    struct cp_dns_cache_stats *ret);
