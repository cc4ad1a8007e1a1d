/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/clock.h"

#include <stdlib.h>

#define STEP_NS ((int64_t)CP_RUNTIME_CLOCK_STEP_MS * 1000000)

int64_t cp_runtime_clock_measure(struct cp_runtime_clock *clock,
				 uint64_t boot_before_ns, int64_t wall_ns,
				 uint64_t boot_after_ns)
{
	int64_t took_ns = (int64_t)(boot_after_ns - boot_before_ns);
	int64_t offset_ns = wall_ns - (int64_t)boot_before_ns - took_ns / 2;
	int64_t change_ns = offset_ns - clock->offset_ns;

	/* The first one has to do, however bad. */
	if (took_ns > STEP_NS / 2 && clock->n_measured > 0)
		return 0;
	clock->offset_ns = offset_ns;
	if (clock->n_measured++ == 0 || llabs(change_ns) < STEP_NS)
		return 0;
	clock->n_steps++;
	return change_ns;
}

int64_t cp_runtime_clock_get_wall(const struct cp_runtime_clock *clock,
				  uint64_t boot_ns)
{
	return clock->offset_ns + (int64_t)boot_ns;
}
