/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is left of a rule's life after a restart. Pure. Boot times are
 * CLOCK_BOOTTIME, wall times CLOCK_REALTIME, in ns; an expiry of 0 is "never"
 * in both clocks. */

#include <stdbool.h>
#include <stdint.h>

struct cp_state_times_now {
	uint64_t boot_ns;
	uint64_t wall_ns;
};

/* Wall-clock expiry to save beside a boot-time one. */
uint64_t cp_state_times_wall(uint64_t expires_boot_ns,
			     const struct cp_state_times_now *now);

/* Boot-time expiry that holds now. same_boot: saved under the present boot
 * id; then expires_boot_ns holds as it is. Else life = min(wall expiry - now,
 * what was left when saved), so that a clock that was set back adds nothing. A
 * life that has ended gives an expiry of `now`, never 0. */
uint64_t cp_state_times_restore(bool same_boot, uint64_t expires_boot_ns,
				uint64_t expires_wall_ns,
				uint64_t saved_boot_ns,
				const struct cp_state_times_now *now);
