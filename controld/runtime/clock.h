/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Wall-clock time of what the kernel stamps with CLOCK_BOOTTIME: an offset that
 * is measured again and again, and a mark where it jumped, because then the order
 * of wall-clock times no longer is the order of events. Pure. */

#include <stdint.h>

enum {
	/* A smaller change is the slewing of a clock that is being
	 * disciplined, or the noise of the measurement. */
	CP_RUNTIME_CLOCK_STEP_MS = 100,
};

/* All zero: not measured yet. */
struct cp_runtime_clock {
	int64_t offset_ns; /* wall clock minus boot time */
	uint32_t n_measured;
	uint32_t n_steps;
};

/* One reading of both clocks, the boot time before and after the wall clock;
 * a reading that was interrupted for longer than half a step is not used.
 * Returns by how many nanoseconds the wall clock was set forward (or, negative,
 * back), 0: it was not. */
int64_t cp_runtime_clock_measure(struct cp_runtime_clock *clock,
				 uint64_t boot_before_ns, int64_t wall_ns,
				 uint64_t boot_after_ns);

/* Unix time in nanoseconds. */
int64_t cp_runtime_clock_get_wall(const struct cp_runtime_clock *clock,
				  uint64_t boot_ns);
