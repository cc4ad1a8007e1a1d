/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pseudo-random prefixes and addresses that they cover or do not, the same for
 * the same seed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "test/bench/bench.h"

struct bench_prefix {
	uint8_t address[16];
	uint32_t length;
};

enum bench_mix {
	BENCH_MIX_HOSTS, /* 95 % host prefixes and 4 other lengths */
	BENCH_MIX_LENGTHS, /* 33 lengths */
};

struct bench_prefixes {
	struct bench_prefix *all;
	size_t n;
	bool is6;
	uint32_t lengths[33]; /* in use, longest first */
	size_t n_lengths;
	uint32_t *index; /* open addressing over `all`, number + 1 */
	size_t index_mask;
	uint64_t random;
};

/* Returns NULL if memory is short. */
struct bench_prefixes *bench_prefixes_new(enum bench_mix mix, bool is6,
					  size_t n, uint64_t seed);
struct bench_prefixes *bench_prefixes_free(struct bench_prefixes *prefixes);
/* An address covered by a prefix that is chosen with equal chances. */
void bench_prefixes_hit(struct bench_prefixes *prefixes, uint8_t address[16]);
/* False: everything is covered. */
bool bench_prefixes_miss(struct bench_prefixes *prefixes, uint8_t address[16]);
uint64_t bench_random(uint64_t *state);
