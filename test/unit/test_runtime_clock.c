// SPDX-License-Identifier: Apache-2.0
#include "controld/runtime/clock.h"

#include "shared/util.h"
#include "test/unit/t.h"

#define MS 1000000LL

static const int64_t noon = 1800000000LL * 1000 * MS;

static int64_t measure(struct cp_runtime_clock *clock, uint64_t boot_before_ns,
		       int64_t wall_ns, uint64_t boot_after_ns)
{
	const struct cp_runtime_clock_reading reading = {
		.boot_before_ns = boot_before_ns,
		.wall_ns = wall_ns,
		.boot_after_ns = boot_after_ns,
	};

	return cp_runtime_clock_measure(clock, &reading, 1);
}

static void wall_time_is_boot_time_and_an_offset(void)
{
	struct cp_runtime_clock clock = { 0 };

	t_eq(measure(&clock, 50, noon, 50), 0);
	t_eq(cp_runtime_clock_get_wall(&clock, 50), noon);
	t_eq(cp_runtime_clock_get_wall(&clock, 75), noon + 25);
	t_eq(cp_runtime_clock_get_wall(&clock, 0), noon - 50);
}

static void wall_clock_is_taken_in_the_middle_of_its_reading(void)
{
	struct cp_runtime_clock clock = { 0 };

	t_eq(measure(&clock, 1000, noon, 1200), 0);
	t_eq(cp_runtime_clock_get_wall(&clock, 1100), noon);
}

static void slewing_is_followed_without_a_mark(void)
{
	struct cp_runtime_clock clock = { 0 };
	int64_t wall_ns = noon;
	uint64_t boot_ns = 0;

	(void)measure(&clock, boot_ns, wall_ns, boot_ns);
	for (int i = 0; i < 100; i++) {
		boot_ns += (uint64_t)(1000 * MS);
		wall_ns += 1000 * MS + 50 * MS;
		t_eq(measure(&clock, boot_ns, wall_ns, boot_ns), 0);
	}
	t_eq(cp_runtime_clock_get_wall(&clock, boot_ns), wall_ns);
	t_eq(clock.n_steps, 0);
}

static void steps_are_told_in_both_directions(void)
{
	struct cp_runtime_clock clock = { 0 };
	const uint64_t second = (uint64_t)(1000 * MS);
	const int64_t hour_ns = 3600LL * 1000 * MS;

	(void)measure(&clock, 0, noon, 0);
	t_eq(measure(&clock, second, noon + 1000 * MS + hour_ns, second),
	     hour_ns);
	t_eq(cp_runtime_clock_get_wall(&clock, second),
	     noon + 1000 * MS + hour_ns);
	t_eq(measure(&clock, 2 * second, noon + 2000 * MS, 2 * second),
	     -hour_ns);
	t_eq(clock.n_steps, 2);
	t_eq(measure(&clock, 3 * second, noon + 3000 * MS, 3 * second), 0);
}

static void interrupted_reading_changes_nothing(void)
{
	struct cp_runtime_clock clock = { 0 };
	const uint64_t second = (uint64_t)(1000 * MS);

	(void)measure(&clock, 0, noon, 0);
	t_eq(measure(&clock, second, noon + 1000 * MS,
		     second + (uint64_t)(900 * MS)),
	     0);
	t_eq(cp_runtime_clock_get_wall(&clock, 0), noon);
	t_eq(clock.n_steps, 0);
}

/* One of 8 ms is not used either: an event would be told 4 ms before what had
 * caused it. */
static void shortest_reading_is_taken(void)
{
	struct cp_runtime_clock clock = { 0 };
	const struct cp_runtime_clock_reading readings[] = {
		{ 0, noon, (uint64_t)(8 * MS) },
		{ 8 * MS, noon + 8 * MS + 100, (uint64_t)(8 * MS) + 200 },
		{ 9 * MS, noon + 9 * MS + 5 * MS, (uint64_t)(15 * MS) },
	};

	t_eq(cp_runtime_clock_measure(&clock, readings,
				      SN_ARRAY_SIZE(readings)),
	     0);
	t_eq(cp_runtime_clock_get_wall(&clock, 0), noon);
	t_eq(measure(&clock, 0, noon, (uint64_t)(8 * MS)), 0);
	t_eq(cp_runtime_clock_get_wall(&clock, 0), noon);
}

/* Better a bad time than none. */
static void first_reading_counts_even_if_interrupted(void)
{
	struct cp_runtime_clock clock = { 0 };

	t_eq(measure(&clock, 0, noon, (uint64_t)(900 * MS)), 0);
	t_eq(cp_runtime_clock_get_wall(&clock, (uint64_t)(450 * MS)), noon);
}

T_MAIN("runtime_clock", wall_time_is_boot_time_and_an_offset,
       wall_clock_is_taken_in_the_middle_of_its_reading,
       slewing_is_followed_without_a_mark, steps_are_told_in_both_directions,
       interrupted_reading_changes_nothing, shortest_reading_is_taken,
       first_reading_counts_even_if_interrupted)
