/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/wheel.h"

#include "shared/util.h"

void cp_upstream_wheel_put(struct cp_upstream_wheel *wheel,
			   struct cp_upstream_deadline *deadline,
			   uint64_t at_ms, uint64_t now_ms)
{
	uint64_t tick = (at_ms + CP_UPSTREAM_WHEEL_TICK_MS - 1) /
			CP_UPSTREAM_WHEEL_TICK_MS;

	cp_upstream_wheel_remove(wheel, deadline);
	if (wheel->n == 0)
		wheel->tick = now_ms / CP_UPSTREAM_WHEEL_TICK_MS;
	deadline->tick = SN_MAX(tick, wheel->tick);
	deadline->is_set = true;
	LIST_INSERT_HEAD(
		&wheel->slots[deadline->tick % CP_UPSTREAM_WHEEL_SLOTS],
		deadline, link);
	wheel->n++;
}

void cp_upstream_wheel_remove(struct cp_upstream_wheel *wheel,
			      struct cp_upstream_deadline *deadline)
{
	if (!deadline->is_set)
		return;
	LIST_REMOVE(deadline, link);
	deadline->is_set = false;
	wheel->n--;
}

static void collect(struct cp_upstream_wheel *wheel, uint64_t now)
{
	struct cp_upstream_deadline *one, *next;
	struct cp_upstream_deadlines *slot =
		&wheel->slots[wheel->tick % CP_UPSTREAM_WHEEL_SLOTS];

	for (one = LIST_FIRST(slot); one; one = next) {
		next = LIST_NEXT(one, link);
		if (one->tick > now)
			continue;
		LIST_REMOVE(one, link);
		LIST_INSERT_HEAD(&wheel->due, one, link);
	}
}

struct cp_upstream_deadline *
cp_upstream_wheel_take(struct cp_upstream_wheel *wheel, uint64_t now_ms)
{
	uint64_t now = now_ms / CP_UPSTREAM_WHEEL_TICK_MS;
	struct cp_upstream_deadline *one;

	/* After a long stop one round meets every slot. */
	if (now > wheel->tick + CP_UPSTREAM_WHEEL_SLOTS)
		wheel->tick = now - CP_UPSTREAM_WHEEL_SLOTS;
	while (LIST_EMPTY(&wheel->due) && wheel->tick <= now && wheel->n > 0) {
		collect(wheel, now);
		if (wheel->tick == now)
			break;
		wheel->tick++;
	}
	one = LIST_FIRST(&wheel->due);
	if (one)
		cp_upstream_wheel_remove(wheel, one);
	return one;
}
