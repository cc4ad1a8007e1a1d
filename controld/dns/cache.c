/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "shared/util.h"

/* A hash with chains over a list in the order of use. Who asks chooses the
 * names, hence a keyed hash (SipHash-1-3): with a known one a workload could
 * make chains that are as long as the cache. */

enum {
	BUCKETS_FIRST = 64, /* a power of two */
	/* What malloc() adds to the four blocks of an entry, rounded up. */
	OVERHEAD_BYTES = 96,
};

/* A key as it is hashed and compared. */
struct packed {
	uint16_t size;
	uint8_t bytes[16 + CP_DNS_NAME_WIRE_MAX];
};

struct entry {
	TAILQ_ENTRY(entry) used; /* the first was used last */
	struct entry *next; /* of the same bucket */
	uint64_t hash;
	uint64_t stored_ns;
	uint64_t expires_ns;
	struct cp_dns_answer *answer;
	size_t bytes;
	bool is_secure;
	uint16_t key_size;
	uint8_t key[];
};
TAILQ_HEAD(entries, entry);

struct cp_dns_cache {
	size_t max_bytes;
	uint64_t secret[2];
	struct entry **buckets;
	size_t n_buckets; /* a power of two */
	struct entries used;
	struct cp_dns_cache_stats stats;
};

int cp_dns_cache_new(struct cp_dns_cache **ret, size_t max_bytes,
		     const uint64_t secret[2])
{
	sn_cleanup(cp_dns_cache_freep) struct cp_dns_cache *cache = NULL;

	cache = calloc(1, sizeof(*cache));
	if (!cache)
		return -ENOMEM;
	TAILQ_INIT(&cache->used);
	cache->max_bytes = max_bytes;
	cache->secret[0] = secret[0];
	cache->secret[1] = secret[1];
	cache->n_buckets = BUCKETS_FIRST;
	cache->buckets = calloc(cache->n_buckets, sizeof(*cache->buckets));
	if (!cache->buckets)
		return -ENOMEM;
	*ret = sn_steal(&cache);
	return 0;
}

struct cp_dns_cache *cp_dns_cache_free(struct cp_dns_cache *cache)
{
	if (!cache)
		return NULL;
	if (cache->buckets)
		cp_dns_cache_clear(cache);
	free(cache->buckets);
	free(cache);
	return NULL;
}

/* Keys. */

static uint64_t rotate(uint64_t x, unsigned int n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static uint64_t hash(const struct cp_dns_cache *cache, const struct packed *key)
{
	uint64_t v[4] = {
		cache->secret[0] ^ 0x736f6d6570736575ULL,
		cache->secret[1] ^ 0x646f72616e646f6dULL,
		cache->secret[0] ^ 0x6c7967656e657261ULL,
		cache->secret[1] ^ 0x7465646279746573ULL,
	};
	size_t whole = key->size & ~(size_t)7;
	uint64_t word;

	for (size_t i = 0; i <= whole; i += sizeof(word)) {
		word = (uint64_t)key->size << 56;
		(void)memcpy(&word, key->bytes + i,
			     SN_MIN(sizeof(word), key->size - i));
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void pack(const struct cp_dns_cache_key *key, struct packed *ret)
{
	const struct cp_dns_question *question = &key->question;
	uint8_t *p = ret->bytes;

	(void)memcpy(p, &key->set, sizeof(key->set));
	(void)memcpy(p + 8, &question->type, sizeof(question->type));
	(void)memcpy(p + 10, &question->class, sizeof(question->class));
	p[12] = key->hints;
	p[13] = key->dnssec_ok;
	p[14] = key->checking_disabled;
	p[15] = 0;
	(void)memcpy(p + 16, question->name.wire, question->name.size);
	ret->size = (uint16_t)(16 + question->name.size);
}

static struct entry **find(struct cp_dns_cache *cache, const struct packed *key,
			   uint64_t key_hash)
{
	struct entry **link =
		&cache->buckets[key_hash & (cache->n_buckets - 1)];

	while (*link &&
	       ((*link)->hash != key_hash || (*link)->key_size != key->size ||
		memcmp((*link)->key, key->bytes, key->size) != 0))
		link = &(*link)->next;
	return link;
}

/* Without memory the chains grow longer, that is all. */
static void grow(struct cp_dns_cache *cache)
{
	size_t n = cache->n_buckets * 2;
	struct entry **buckets;
	struct entry *entry;

	if (cache->stats.n_entries < cache->n_buckets)
		return;
	buckets = calloc(n, sizeof(struct entry *));
	if (!buckets)
		return;
	TAILQ_FOREACH(entry, &cache->used, used) {
		struct entry **link = &buckets[entry->hash & (n - 1)];

		entry->next = *link;
		*link = entry;
	}
	free(cache->buckets);
	cache->buckets = buckets;
	cache->n_buckets = n;
}

static void drop(struct cp_dns_cache *cache, struct entry **link)
{
	struct entry *entry = *link;

	*link = entry->next;
	TAILQ_REMOVE(&cache->used, entry, used);
	cache->stats.n_entries--;
	cache->stats.bytes -= entry->bytes;
	cp_dns_answer_free(entry->answer);
	free(entry);
}

static void evict_last(struct cp_dns_cache *cache)
{
	struct entry *last = TAILQ_LAST(&cache->used, entries);
	struct entry **link =
		&cache->buckets[last->hash & (cache->n_buckets - 1)];

	while (*link != last)
		link = &(*link)->next;
	drop(cache, link);
}

bool cp_dns_cache_get(struct cp_dns_cache *cache,
		      const struct cp_dns_cache_key *key, uint64_t now_ns,
		      struct cp_dns_cache_entry *ret)
{
	struct entry **link, *entry;
	struct packed packed;

	pack(key, &packed);
	link = find(cache, &packed, hash(cache, &packed));
	entry = *link;
	if (entry && entry->expires_ns <= now_ns) {
		drop(cache, link);
		entry = NULL;
	}
	if (!entry) {
		cache->stats.n_misses++;
		return false;
	}
	cache->stats.n_hits++;
	TAILQ_REMOVE(&cache->used, entry, used);
	TAILQ_INSERT_HEAD(&cache->used, entry, used);
	*ret = (struct cp_dns_cache_entry){
		.answer = entry->answer,
		.stored_ns = entry->stored_ns,
		.expires_ns = entry->expires_ns,
		.is_secure = entry->is_secure,
	};
	return true;
}

void cp_dns_cache_put(struct cp_dns_cache *cache,
		      const struct cp_dns_cache_key *key,
		      struct cp_dns_answer *answer, bool is_secure,
		      uint64_t now_ns)
{
	sn_cleanup(cp_dns_answer_freep) struct cp_dns_answer *owned = answer;
	uint32_t ttl_s = cp_dns_answer_ttl(answer);
	struct entry **link, *entry;
	struct packed packed;
	uint64_t key_hash;
	size_t bytes;

	pack(key, &packed);
	key_hash = hash(cache, &packed);
	/* Whatever was there is not the newest word any more. */
	link = find(cache, &packed, key_hash);
	if (*link)
		drop(cache, link);
	bytes = sizeof(*entry) + packed.size + cp_dns_answer_size(answer) +
		OVERHEAD_BYTES;
	if (ttl_s == 0 || bytes > cache->max_bytes)
		return;
	entry = malloc(sizeof(*entry) + packed.size);
	if (!entry)
		return;

	while (cache->stats.bytes + bytes > cache->max_bytes) {
		evict_last(cache);
		cache->stats.n_evicted++;
	}
	grow(cache);
	*entry = (struct entry){
		.hash = key_hash,
		.stored_ns = now_ns,
		.expires_ns = now_ns + ttl_s * SN_NS_PER_S,
		.answer = sn_steal(&owned),
		.bytes = bytes,
		.is_secure = is_secure,
		.key_size = packed.size,
	};
	(void)memcpy(entry->key, packed.bytes, packed.size);
	link = &cache->buckets[key_hash & (cache->n_buckets - 1)];
	entry->next = *link;
	*link = entry;
	TAILQ_INSERT_HEAD(&cache->used, entry, used);
	cache->stats.n_entries++;
	cache->stats.bytes += bytes;
}

void cp_dns_cache_clear(struct cp_dns_cache *cache)
{
	while (!TAILQ_EMPTY(&cache->used))
		evict_last(cache);
}

void cp_dns_cache_get_stats(const struct cp_dns_cache *cache,
			    struct cp_dns_cache_stats *ret)
{
	*ret = cache->stats;
}
