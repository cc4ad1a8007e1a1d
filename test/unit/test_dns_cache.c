/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/cache.h"

#include "shared/util.h"
#include "test/unit/t.h"
#include "test/unit/test_dns_build.h"

static const uint64_t secret[2] = { 1, 2 };

enum {
	ROOMY = 1 << 20,
	SET = 5,
};

static struct cp_dns_cache_key key_of(const char *name)
{
	struct cp_dns_cache_key key = {
		.set = SET,
		.question = { .type = CP_DNS_TYPE_A, .class = CP_DNS_CLASS_IN },
	};

	t_eq(cp_dns_name_parse(name, &key.question.name, NULL), 0);
	return key;
}

/* An answer with one address, 192.0.2.n. */
static struct cp_dns_answer *answer_of(const struct cp_dns_cache_key *key,
				       uint32_t ttl_s, uint8_t n)
{
	uint8_t address[4] = { 192, 0, 2, n };
	struct cp_dns_answer *answer = NULL;
	static struct t_message m;

	t_begin(&m, 1, 0x8180);
	t_put(&m, key->question.name.wire, key->question.name.size);
	t_put16(&m, key->question.type);
	t_put16(&m, key->question.class);
	t_count(&m, T_AT_QUESTIONS);
	t_data(&m, T_AT_ANSWERS, "@", CP_DNS_TYPE_A, ttl_s, address, 4);
	t_eq(cp_dns_answer_read(m.bytes, m.size, &key->question,
				CP_DNS_HINTS_STRIP, &answer),
	     0);
	return answer;
}

static void put(struct cp_dns_cache *cache, const char *name, uint32_t ttl_s,
		uint8_t n, uint64_t now_ns)
{
	struct cp_dns_cache_key key = key_of(name);

	cp_dns_cache_put(cache, &key, answer_of(&key, ttl_s, n), false, now_ns);
}

/* The last byte of the address; 0: there is none. */
static unsigned int get_key(struct cp_dns_cache *cache,
			    const struct cp_dns_cache_key *key, uint64_t now_ns)
{
	struct cp_dns_cache_entry entry;
	const struct cp_dns_address *addresses;
	size_t n;

	if (!cp_dns_cache_get(cache, key, now_ns, &entry))
		return 0;
	addresses = cp_dns_answer_addresses(entry.answer, &n);
	t_eq(n, 1);
	return addresses[0].bytes[3];
}

static unsigned int get(struct cp_dns_cache *cache, const char *name,
			uint64_t now_ns)
{
	struct cp_dns_cache_key key = key_of(name);

	return get_key(cache, &key, now_ns);
}

static struct cp_dns_cache_stats stats_of(const struct cp_dns_cache *cache)
{
	struct cp_dns_cache_stats stats;

	cp_dns_cache_get_stats(cache, &stats);
	return stats;
}

static void an_answer_is_there_until_its_ttl_ends(void)
{
	sn_cleanup(cp_dns_cache_freep) struct cp_dns_cache *cache = NULL;
	struct cp_dns_cache_key key = key_of("a.test");
	struct cp_dns_cache_entry entry;

	t_eq(cp_dns_cache_new(&cache, ROOMY, secret), 0);
	t_eq(get(cache, "a.test", 5), 0);
	cp_dns_cache_put(cache, &key, answer_of(&key, 60, 1), true, 1000);
	t_true(cp_dns_cache_get(cache, &key, 2000, &entry));
	t_eq(entry.stored_ns, 1000);
	t_eq(entry.expires_ns, 1000 + 60 * SN_NS_PER_S);
	t_true(entry.is_secure);
	t_eq(get(cache, "a.test", 999 + 60 * SN_NS_PER_S), 1);
	t_eq(stats_of(cache).n_entries, 1);
	t_eq(get(cache, "a.test", 1000 + 60 * SN_NS_PER_S), 0);
	t_eq(stats_of(cache).n_entries, 0);
	t_eq(stats_of(cache).bytes, 0);
	t_eq(stats_of(cache).n_hits, 2);
	t_eq(stats_of(cache).n_misses, 2);
	t_eq(stats_of(cache).n_evicted, 0);
}

static void a_ttl_of_zero_is_not_kept_and_ends_what_was(void)
{
	sn_cleanup(cp_dns_cache_freep) struct cp_dns_cache *cache = NULL;

	t_eq(cp_dns_cache_new(&cache, ROOMY, secret), 0);
	put(cache, "a.test", 60, 1, 0);
	put(cache, "a.test", 60, 2, 0);
	t_eq(stats_of(cache).n_entries, 1);
	t_eq(get(cache, "a.test", 1), 2);
	put(cache, "a.test", 0, 3, 0);
	t_eq(get(cache, "a.test", 1), 0);
	t_eq(stats_of(cache).bytes, 0);
}

static void every_part_of_the_key_counts(void)
{
	sn_cleanup(cp_dns_cache_freep) struct cp_dns_cache *cache = NULL;
	struct cp_dns_cache_key key = key_of("a.test"), other;

	t_eq(cp_dns_cache_new(&cache, ROOMY, secret), 0);
	put(cache, "a.test", 60, 1, 0);
	t_eq(get_key(cache, &key, 1), 1);
	other = key;
	other.set++;
	t_eq(get_key(cache, &other, 1), 0);
	other = key;
	other.question.type++;
	t_eq(get_key(cache, &other, 1), 0);
	other = key;
	other.question.class ++;
	t_eq(get_key(cache, &other, 1), 0);
	other = key;
	other.hints = CP_DNS_HINTS_LEARN;
	t_eq(get_key(cache, &other, 1), 0);
	other = key;
	other.dnssec_ok = true;
	t_eq(get_key(cache, &other, 1), 0);
	other = key;
	other.checking_disabled = true;
	t_eq(get_key(cache, &other, 1), 0);
	t_eq(get(cache, "b.test", 1), 0);
	t_eq(get(cache, "test", 1), 0);
	/* What lies behind a name is no part of it. */
	key.question.name.wire[200] = 1;
	t_eq(get_key(cache, &key, 1), 1);
}

static void the_least_recently_used_goes_first(void)
{
	sn_cleanup(cp_dns_cache_freep) struct cp_dns_cache *cache = NULL;
	size_t bytes;

	t_eq(cp_dns_cache_new(&cache, ROOMY, secret), 0);
	put(cache, "a.test", 60, 1, 0);
	bytes = stats_of(cache).bytes;
	cache = cp_dns_cache_free(cache);

	t_eq(cp_dns_cache_new(&cache, 3 * bytes, secret), 0);
	put(cache, "a.test", 60, 1, 0);
	put(cache, "b.test", 60, 2, 0);
	put(cache, "c.test", 60, 3, 0);
	t_eq(stats_of(cache).n_evicted, 0);
	t_eq(get(cache, "a.test", 1), 1);
	put(cache, "d.test", 60, 4, 0);
	t_eq(stats_of(cache).n_evicted, 1);
	t_eq(get(cache, "b.test", 1), 0);
	t_eq(get(cache, "a.test", 1), 1);
	t_eq(get(cache, "c.test", 1), 3);
	t_eq(get(cache, "d.test", 1), 4);
	cp_dns_cache_clear(cache);
	t_eq(stats_of(cache).n_entries, 0);
	t_eq(stats_of(cache).bytes, 0);

	/* One that is larger than all the room drops nothing. */
	cache = cp_dns_cache_free(cache);
	t_eq(cp_dns_cache_new(&cache, bytes, secret), 0);
	put(cache, "a.test", 60, 1, 0);
	put(cache, "a-longer-name.test", 60, 2, 0);
	t_eq(get(cache, "a.test", 1), 1);
	t_eq(stats_of(cache).n_evicted, 0);
}

static void many_names_stay_within_the_bound_and_are_found(void)
{
	sn_cleanup(cp_dns_cache_freep) struct cp_dns_cache *cache = NULL;
	unsigned int n_found = 0;
	char text[32];

	t_eq(cp_dns_cache_new(&cache, ROOMY, secret), 0);
	for (unsigned int i = 0; i < 20000; i++) {
		(void)snprintf(text, sizeof(text), "n%u.test", i);
		put(cache, text, 60, (uint8_t)(i % 255 + 1), 0);
		t_true(stats_of(cache).bytes <= ROOMY);
		t_eq(get(cache, text, 1), i % 255 + 1);
	}
	for (unsigned int i = 0; i < 20000; i++) {
		(void)snprintf(text, sizeof(text), "n%u.test", i);
		n_found += get(cache, text, 1) == i % 255 + 1;
	}
	t_eq(n_found, stats_of(cache).n_entries);
	t_eq(n_found + stats_of(cache).n_evicted, 20000);
	t_true(n_found > 500);
}

T_MAIN("dns_cache", an_answer_is_there_until_its_ttl_ends,
       a_ttl_of_zero_is_not_kept_and_ends_what_was,
       every_part_of_the_key_counts, the_least_recently_used_goes_first,
       many_names_stay_within_the_bound_and_are_found)
