/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/clock.h"

#include <stdlib.h>
#include <time.h>

#include "shared/util.h"

#define STEP_NS ((int64_t)CP_RUNTIME_CLOCK_STEP_MS * 1000000)
#define READ_NS ((int64_t)CP_RUNTIME_CLOCK_READ_US * 1000)

static uint64_t get_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

void cp_runtime_clock_read(struct cp_runtime_clock_reading *ret)
{
	ret->boot_before_ns = get_ns(CLOCK_BOOTTIME);
	ret->wall_ns = (int64_t)get_ns(CLOCK_REALTIME);
	ret->boot_after_ns = get_ns(CLOCK_BOOTTIME);
}

static int64_t get_duration(const struct cp_runtime_clock_reading *reading)
{
	return (int64_t)(reading->boot_after_ns - reading->boot_before_ns);
}

int64_t
cp_runtime_clock_measure(struct cp_runtime_clock *clock,
			 const struct cp_runtime_clock_reading *readings,
			 size_t n)
{
	const struct cp_runtime_clock_reading *best = readings;
	int64_t took_ns, offset_ns, change_ns;

	for (size_t i = 1; i < n; i++)
		if (get_duration(&readings[i]) < get_duration(best))
			best = &readings[i];
	took_ns = get_duration(best);
	/* The first one has to do, however bad. */
	if (took_ns > READ_NS && clock->n_measured > 0)
		return 0;
	offset_ns = best->wall_ns - (int64_t)best->boot_before_ns - took_ns / 2;
	change_ns = offset_ns - clock->offset_ns;
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
