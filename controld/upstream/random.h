/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Unpredictable numbers from getrandom(2), fetched in blocks. A machine that
 * has none ends the process: guessable ids would be worse than no answers. */

#include <stddef.h>
#include <stdint.h>

enum { CP_UPSTREAM_RANDOM_BYTES = 256 }; /* never cut short by a signal */

struct cp_upstream_random {
	uint8_t bytes[CP_UPSTREAM_RANDOM_BYTES];
	size_t left;
};

uint64_t cp_upstream_random_u64(struct cp_upstream_random *random);
uint16_t cp_upstream_random_u16(struct cp_upstream_random *random);
/* 0 to n - 1; n is not 0. */
uint32_t cp_upstream_random_below(struct cp_upstream_random *random,
				  uint32_t n);
