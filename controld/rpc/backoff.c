/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/backoff.h"

#include <sys/random.h>
#include <uv.h>

#include "shared/util.h"

uint64_t cp_rpc_backoff_next(struct cp_rpc_backoff *backoff, uint64_t random)
{
	uint64_t last_ms = SN_MAX(backoff->last_ms, backoff->min_ms);
	uint64_t top_ms = SN_MIN(3 * last_ms, backoff->max_ms);

	backoff->last_ms =
		backoff->min_ms + random % (top_ms - backoff->min_ms + 1);
	return backoff->last_ms;
}

uint64_t cp_rpc_backoff_random(void)
{
	uint64_t bits;

	if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(bits))
		bits = uv_hrtime();
	return bits;
}

void cp_rpc_backoff_held(struct cp_rpc_backoff *backoff, uint64_t held_ms)
{
	if (held_ms > backoff->last_ms)
		backoff->last_ms = 0;
}
