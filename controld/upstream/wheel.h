/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Many deadlines with one timer: setting and lifting one costs a list
 * operation. Exact to CP_UPSTREAM_WHEEL_TICK_MS, never early. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum {
	CP_UPSTREAM_WHEEL_TICK_MS = 8,
	CP_UPSTREAM_WHEEL_SLOTS = 512, /* later deadlines go round */
};

struct cp_upstream_deadline {
	LIST_ENTRY(cp_upstream_deadline) link;
	uint64_t tick;
	bool is_set;
};
LIST_HEAD(cp_upstream_deadlines, cp_upstream_deadline);

/* To be zeroed before use. */
struct cp_upstream_wheel {
	struct cp_upstream_deadlines slots[CP_UPSTREAM_WHEEL_SLOTS];
	struct cp_upstream_deadlines due;
	uint64_t tick; /* the slots before it are empty of what is due */
	size_t n;
};

/* Sets it, or sets it anew. */
void cp_upstream_wheel_put(struct cp_upstream_wheel *wheel,
			   struct cp_upstream_deadline *deadline,
			   uint64_t at_ms, uint64_t now_ms);
void cp_upstream_wheel_remove(struct cp_upstream_wheel *wheel,
			      struct cp_upstream_deadline *deadline);
/* One that has passed, lifted; NULL: none. Anything may be set or lifted
 * before the next call. */
struct cp_upstream_deadline *
cp_upstream_wheel_take(struct cp_upstream_wheel *wheel, uint64_t now_ms);
