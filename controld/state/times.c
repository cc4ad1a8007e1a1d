/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/times.h"

#include "shared/util.h"

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t left(uint64_t end, uint64_t now)
{
	return end > now ? end - now : 0;
}

uint64_t cp_state_times_wall(uint64_t expires_boot_ns,
			     const struct cp_state_times_now *now)
{
	if (expires_boot_ns == 0)
		return 0;
	return add(now->wall_ns, left(expires_boot_ns, now->boot_ns));
}

uint64_t cp_state_times_restore(bool same_boot, uint64_t expires_boot_ns,
				uint64_t expires_wall_ns,
				uint64_t saved_boot_ns,
				const struct cp_state_times_now *now)
{
	uint64_t by_clock, when_saved, expires;

	if (expires_boot_ns == 0 || same_boot)
		return expires_boot_ns;
	by_clock = left(expires_wall_ns, now->wall_ns);
	when_saved = left(expires_boot_ns, saved_boot_ns);
	expires = add(now->boot_ns, SN_MIN(by_clock, when_saved));
	return SN_MAX(expires, 1ULL);
}
