/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/history/history.h"

#include "test/unit/test_attach_rig.h"

static struct cp_history *begin(struct rig *rig)
{
	struct cp_history_options options = {
		.loop = &rig->loop,
		.manager = rig->manager,
		.interval_ms = 1,
	};
	struct cp_history *history;

	t_eq(cp_history_new(&history, &options), 0);
	return history;
}

static void end(struct rig *rig, struct cp_history *history)
{
	rig->is_closed = false;
	cp_history_close(history, note_closed, rig);
	TURN_UNTIL(rig, rig->is_closed);
}

static const struct cp_history_sample *last(const struct cp_history *history)
{
	return cp_history_get(history, cp_history_count(history) - 1);
}

/* As the kernel's programs would. */
static void count_in_slot(struct rig *rig, int slot, unsigned int n)
{
	struct sn_counters counters = {
		.allowed_packets = { n, 2 * n },
		.blocked_packets = { 3 * n, 4 * n },
	};
	struct sn_reasons reasons = { 0 };

	reasons.count[SN_REASON_CALL_REFUSED] = 5 * n;
	t_eq(pwrite(rig->fake->counters_fd, &counters, sizeof(counters),
		    (off_t)sizeof(counters) * slot),
	     (ssize_t)sizeof(counters));
	t_eq(pwrite(rig->fake->reasons_fd, &reasons, sizeof(reasons),
		    (off_t)sizeof(reasons) * slot),
	     (ssize_t)sizeof(reasons));
}

static void a_sample_sums_all_slots(void)
{
	struct rig *rig = rig_new();
	struct cp_history *history = begin(rig);

	TURN_UNTIL(rig, cp_history_count(history) > 0);
	t_eq(last(history)->n_allowed, 0);
	count_in_slot(rig, 1, 1);
	count_in_slot(rig, 3, 10);
	TURN_UNTIL(rig, last(history)->n_blocked > 0);
	t_eq(last(history)->n_allowed, 33);
	t_eq(last(history)->n_blocked, 132);
	t_eq(last(history)->n_names_allowed, 0);
	end(rig, history);
	rig_free(rig);
}

static void the_oldest_sample_makes_room(void)
{
	struct rig *rig = rig_new();
	struct cp_history *history = begin(rig);
	const struct cp_history_sample *one;
	unsigned int n = 0;

	/* Each sample has a count of its own, and rises by one. */
	while (n < CP_HISTORY_SAMPLES_MAX + 40U) {
		size_t before = cp_history_count(history);
		uint64_t is = before > 0 ? last(history)->n_allowed : 0;

		count_in_slot(rig, 2, ++n);
		TURN_UNTIL(rig, cp_history_count(history) > 0 &&
					last(history)->n_allowed > is);
	}
	t_eq(cp_history_count(history), CP_HISTORY_SAMPLES_MAX);
	for (size_t i = 1; i < CP_HISTORY_SAMPLES_MAX; i++) {
		one = cp_history_get(history, i - 1);
		t_true(one->n_allowed <= cp_history_get(history, i)->n_allowed);
		t_true(one->time_ms <= cp_history_get(history, i)->time_ms);
	}
	t_eq(last(history)->n_allowed, 3 * n);
	t_true(cp_history_get(history, 0)->n_allowed > 3);
	end(rig, history);
	rig_free(rig);
}

static void it_may_end_while_a_sample_is_made(void)
{
	struct rig *rig = rig_new();
	struct cp_history *history = begin(rig);

	(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
	end(rig, history);
	rig_free(rig);
}

T_MAIN("history", a_sample_sums_all_slots, the_oldest_sample_makes_room,
       it_may_end_while_a_sample_is_made)
