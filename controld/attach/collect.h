/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Work that recurs: lapsed rules and idle flows leave the kernel, what could
 * not be repaired is tried again, and sentinel-dp is asked where our programs
 * stand on their hooks. */

#include "controld/attach/item.h"

enum {
	/* How often LIST and STATS are asked. */
	CP_ATTACH_COLLECT_POLL_MS = 3000,
};

int cp_attach_collect_start(struct cp_attach *manager);
void cp_attach_collect_stop(struct cp_attach *manager);

/* One round, as the timers make it. For tests. */
void cp_attach_collect_lapsed(struct cp_attach *manager);
void cp_attach_collect_positions(struct cp_attach *manager);
