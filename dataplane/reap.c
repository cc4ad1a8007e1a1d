/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/reap.h"

#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "dataplane/table.h"
#include "shared/log.h"
#include "shared/util.h"

#define GATHER_NS (SN_NS_PER_S / 4)

int dp_reap_init(struct dp_reap *reap, const struct dp_object *object,
		 struct dp_slots *slots)
{
	(void)memset(reap, 0, sizeof(*reap));
	reap->object = object;
	reap->slots = slots;
	reap->walked = calloc(slots->n, sizeof(*reap->walked));
	return reap->walked ? 0 : -ENOMEM;
}

void dp_reap_done(struct dp_reap *reap)
{
	free(reap->walked);
	reap->walked = NULL;
}

void dp_reap_wake(struct dp_reap *reap)
{
	reap->stalled = false;
	if (!reap->walking && !reap->due && reap->slots->n_dirty)
		reap->due = dp_table_get_now() + GATHER_NS;
}

int dp_reap_get_timeout_ms(const struct dp_reap *reap)
{
	uint64_t begins = reap->walking ? reap->not_before : reap->due;
	uint64_t now;

	if (reap->stalled || !reap->slots->n_dirty)
		return -1;
	now = dp_table_get_now();
	if (now >= begins)
		return 0;
	return (int)((begins - now) / 1000000U) + 1;
}

/* A program that was running when its hook was closed may still write entries.
 * MEMBARRIER_CMD_GLOBAL waits until every CPU has left such a section; kernels
 * with nohz_full refuse it, and there one second is as good: no program runs
 * for a thousandth of it. */
static void begin(struct dp_reap *reap)
{
	for (uint32_t slot = 1; slot < reap->slots->n; slot++)
		reap->walked[slot] = reap->slots->targets[slot].state ==
				     SN_TARGET_DIRTY;
	reap->not_before = 0;
	reap->due = 0;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		reap->not_before = dp_table_get_now() + SN_NS_PER_S;
	reap->table = 0;
	(void)memset(reap->cursor, 0, sizeof(reap->cursor));
	reap->walking = true;
}

static void end(struct dp_reap *reap)
{
	for (uint32_t slot = 1; slot < reap->slots->n; slot++) {
		if (reap->walked[slot])
			dp_slots_free(reap->slots, slot);
	}
	reap->walking = false;
	if (reap->slots->n_dirty)
		reap->due = dp_table_get_now() + GATHER_NS;
}

struct judgement {
	const struct dp_reap *reap;
	int slot_offset;
};

static bool is_dead(void *arg, const void *key, const void *value)
{
	const struct judgement *judgement = arg;
	uint32_t slot;

	(void)value;
	(void)memcpy(&slot, (const char *)key + judgement->slot_offset,
		     sizeof(slot));
	return slot < judgement->reap->slots->n &&
	       judgement->reap->walked[slot];
}

void dp_reap_step(struct dp_reap *reap)
{
	struct judgement judgement = { .reap = reap };
	uint32_t n_seen = 0, n_deleted = 0;
	bool done = true;
	int r = 0;

	if (dp_reap_get_timeout_ms(reap) != 0)
		return;
	if (!reap->walking) {
		begin(reap);
		return;
	}
	if (reap->table == SN_TABLE_COUNT) {
		end(reap);
		return;
	}
	judgement.slot_offset =
		dp_table_get_slot_offset((enum sn_table)reap->table);
	if (judgement.slot_offset >= 0 && reap->object->maps[reap->table] >= 0)
		r = dp_table_step(reap->object, reap->slots,
				  (enum sn_table)reap->table, reap->cursor,
				  DP_TABLE_STEP, is_dead, &judgement, &n_seen,
				  &n_deleted, &done);
	if (r < 0) {
		sn_log(SN_LOG_ERROR,
		       "sweep-failed table=%s error='%s': detached slots stay "
		       "closed and are swept after the next detach",
		       sn_tables_info[reap->table].name, strerror(-r));
		reap->walking = false;
		reap->stalled = true;
		return;
	}
	if (done) {
		reap->table++;
		(void)memset(reap->cursor, 0, sizeof(reap->cursor));
	}
}

void dp_reap_finish(struct dp_reap *reap)
{
	reap->due = 0;
	while (!reap->slots->n_free && dp_reap_get_timeout_ms(reap) == 0)
		dp_reap_step(reap);
}

void dp_reap_finish_all(struct dp_reap *reap)
{
	do {
		reap->due = 0;
		while (dp_reap_get_timeout_ms(reap) == 0 &&
		       reap->slots->n_dirty)
			dp_reap_step(reap);
	} while (reap->slots->n_dirty && !reap->stalled && !reap->not_before);
}
