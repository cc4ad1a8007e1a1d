/* SPDX-License-Identifier: Apache-2.0 */
#include "test/bench/prefixes.h"

#include <stdlib.h>
#include <string.h>

enum { MISS_TRIES = 1000, PREFIX_TRIES = 64 };

/* splitmix64 */
uint64_t bench_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Anywhere in IPv4; in 2000::/3 of IPv6, where addresses are given out. */
static void random_address(struct bench_prefixes *p, uint8_t address[16])
{
	uint64_t words[2] = { bench_random(&p->random),
			      bench_random(&p->random) };

	(void)memcpy(address, words, 16);
	if (p->is6)
		address[0] = (uint8_t)(0x20 | (address[0] & 0x1f));
	else
		(void)memset(address + 4, 0, 12);
}

static void cut(uint8_t address[16], uint32_t length)
{
	for (uint32_t i = 0; i < 16; i++) {
		uint32_t kept = length > 8 * i ? length - 8 * i : 0;

		if (kept < 8)
			address[i] &= (uint8_t)(0xff00U >> kept);
	}
}

static size_t place(const struct bench_prefixes *p, const uint8_t address[16],
		    uint32_t length)
{
	uint64_t words[2];
	uint64_t state;

	(void)memcpy(words, address, 16);
	state = words[0] * 31 + words[1] * 0x9e3779b97f4a7c15ULL + length;
	return (size_t)bench_random(&state) & p->index_mask;
}

/* The place of the prefix, or the free one where it belongs. */
static uint32_t *find(const struct bench_prefixes *p, const uint8_t address[16],
		      uint32_t length)
{
	size_t at = place(p, address, length);

	while (p->index[at]) {
		const struct bench_prefix *x = &p->all[p->index[at] - 1];

		if (x->length == length && memcmp(x->address, address, 16) == 0)
			break;
		at = (at + 1) & p->index_mask;
	}
	return &p->index[at];
}

static bool add(struct bench_prefixes *p, uint32_t length)
{
	for (int i = 0; i < PREFIX_TRIES; i++) {
		uint8_t address[16];
		uint32_t *at;

		random_address(p, address);
		cut(address, length);
		at = find(p, address, length);
		if (*at)
			continue;
		(void)memcpy(p->all[p->n].address, address, 16);
		p->all[p->n].length = length;
		*at = (uint32_t)++p->n;
		return true;
	}
	return false;
}

static void add_many(struct bench_prefixes *p, uint32_t length, size_t n)
{
	size_t before = p->n;

	while (p->n < before + n && add(p, length))
		;
	if (p->n > before)
		p->lengths[p->n_lengths++] = length;
}

/* 1.25 % of each of four lengths. */
static void add_hosts(struct bench_prefixes *p, size_t n)
{
	static const uint32_t lengths[2][4] = { { 28, 24, 20, 16 },
						{ 64, 56, 48, 32 } };
	size_t share = n / 80;

	add_many(p, p->is6 ? 128 : 32, n - 4 * share);
	for (int i = 0; i < 4; i++)
		add_many(p, lengths[p->is6][i], share);
}

/* Equal shares of 33 lengths; a short one of IPv4 covers at most 1/64 of all
 * addresses as far as one prefix of it allows. What that leaves over is given
 * to the longest. */
static void add_lengths(struct bench_prefixes *p, size_t n)
{
	size_t counts[33];
	size_t left = n;

	for (uint32_t i = 0; i < 33; i++) {
		uint32_t bits = 32 - i; /* of IPv4: 32 down to 0 */
		size_t room = bits < 7 ? 1 : (size_t)1 << (bits - 6);

		counts[i] = n / 33;
		if (!p->is6 && counts[i] > room)
			counts[i] = room;
		left -= counts[i];
	}
	counts[0] += left;
	for (uint32_t i = 0; i < 33; i++)
		add_many(p, p->is6 ? 128 - 3 * i : 32 - i, counts[i]);
}

static void shuffle(struct bench_prefixes *p)
{
	for (size_t i = p->n; i > 1; i--) {
		size_t j = (size_t)(bench_random(&p->random) % i);
		struct bench_prefix x = p->all[i - 1];

		p->all[i - 1] = p->all[j];
		p->all[j] = x;
	}
	(void)memset(p->index, 0, (p->index_mask + 1) * sizeof(*p->index));
	for (size_t i = 0; i < p->n; i++)
		*find(p, p->all[i].address, p->all[i].length) = (uint32_t)i + 1;
}

struct bench_prefixes *bench_prefixes_new(enum bench_mix mix, bool is6,
					  size_t n, uint64_t seed)
{
	struct bench_prefixes *p = calloc(1, sizeof(*p));
	size_t room = 1024;

	if (!p)
		return NULL;
	while (room < 2 * n)
		room *= 2;
	p->is6 = is6;
	p->random = seed;
	p->index_mask = room - 1;
	p->all = calloc(n, sizeof(*p->all));
	p->index = calloc(room, sizeof(*p->index));
	if (!p->all || !p->index)
		return bench_prefixes_free(p);
	if (mix == BENCH_MIX_HOSTS)
		add_hosts(p, n);
	else
		add_lengths(p, n);
	shuffle(p);
	return p;
}

struct bench_prefixes *bench_prefixes_free(struct bench_prefixes *prefixes)
{
	if (!prefixes)
		return NULL;
	free(prefixes->all);
	free(prefixes->index);
	free(prefixes);
	return NULL;
}

void bench_prefixes_hit(struct bench_prefixes *prefixes, uint8_t address[16])
{
	const struct bench_prefix *x =
		&prefixes->all[bench_random(&prefixes->random) % prefixes->n];
	uint8_t host[16];

	random_address(prefixes, host);
	for (uint32_t i = 0; i < 16; i++) {
		uint32_t kept = x->length > 8 * i ? x->length - 8 * i : 0;
		uint8_t mask = kept < 8 ? (uint8_t)(0xff00U >> kept) : 0xff;

		address[i] = (uint8_t)(x->address[i] | (host[i] & ~mask));
	}
}

bool bench_prefixes_miss(struct bench_prefixes *prefixes, uint8_t address[16])
{
	for (int i = 0; i < MISS_TRIES; i++) {
		bool is_covered = false;

		random_address(prefixes, address);
		for (size_t k = 0; k < prefixes->n_lengths; k++) {
			uint8_t part[16];

			(void)memcpy(part, address, 16);
			cut(part, prefixes->lengths[k]);
			if (*find(prefixes, part, prefixes->lengths[k])) {
				is_covered = true;
				break;
			}
		}
		if (!is_covered)
			return true;
	}
	return false;
}
