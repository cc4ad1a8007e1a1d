/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Wall-clock time of what the kernel stamps with CLOCK_BOOTTIME: an offset that
 * is measured again and again, and a mark where it jumped, because then the order
 * of wall-clock times no longer is the order of events. Pure, but for the reading
 * itself. */

#include <stddef.h>
#include <stdint.h>

enum {
	/* A smaller change is the slewing of a clock that is being
	 * disciplined, or the noise of the measurement. */
	CP_RUNTIME_CLOCK_STEP_MS = 100,
	/* A reading that took longer was interrupted: it may be wrong by half of
	 * that. */
	CP_RUNTIME_CLOCK_READ_US = 1000,
};

/* All zero: not measured yet. */
struct cp_runtime_clock {
	int64_t offset_ns; /* wall clock minus boot time */
	uint32_t n_measured;
	uint32_t n_steps;
};

/* One reading of both clocks. */
struct cp_runtime_clock_reading {
	uint64_t boot_before_ns;
	int64_t wall_ns;
	uint64_t boot_after_ns;
};

void cp_runtime_clock_read(struct cp_runtime_clock_reading *ret);

/* Takes the shortest of several readings, at least one; where that was
 * interrupted as well, none, unless it is the first. Returns by how many
 * nanoseconds the wall clock was set forward (or, negative, back), 0: it was
 * not. */
int64_t
cp_runtime_clock_measure(struct cp_runtime_clock *clock,
			 const struct cp_runtime_clock_reading *readings,
			 size_t n);

/* Unix time in nanoseconds. */
int64_t cp_runtime_clock_get_wall(const struct cp_runtime_clock *clock,
				  uint64_t boot_ns);
