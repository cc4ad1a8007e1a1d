/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pauses between attempts to connect. Each is drawn from the shortest one to
 * three times the one before, so that hosts that lost one server at the same
 * moment do not come back at the same moment, not even the first time and not
 * once the longest pause is reached. */

#include <stdint.h>

struct cp_rpc_backoff {
	uint64_t min_ms; /* above 0 */
	uint64_t max_ms; /* not below min_ms */
	uint64_t last_ms; /* 0: none yet */
};

/* random: any 64 bits. */
uint64_t cp_rpc_backoff_next(struct cp_rpc_backoff *backoff, uint64_t random);
/* Bits for it: they need not be good ones, only different from host to host. */
uint64_t cp_rpc_backoff_random(void);
/* The connection held for held_ms. One that did not outlive the pause before
 * it does not count as a success. */
void cp_rpc_backoff_held(struct cp_rpc_backoff *backoff, uint64_t held_ms);
