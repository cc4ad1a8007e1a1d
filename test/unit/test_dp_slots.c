/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/slots.h"

#include <errno.h>

#include "test/unit/t.h"

enum { N = 5 };

static __u64 words[N];
static struct sn_policy policies[2 * N];
static struct sn_usage usage[N];
static struct sn_target targets[N];
static struct dp_slots slots;

static void start(void)
{
	t_eq(dp_slots_init(&slots, N, words, policies, usage, targets), 0);
}

static uint32_t take(uint8_t type, __u64 object, uint8_t id)
{
	struct sn_target target = { .type = type, .object = object };
	uint32_t slot;

	target.id[0] = id;
	slot = dp_slots_take(&slots, &target, 10);
	if (slot)
		dp_slots_set_attached(&slots, slot);
	return slot;
}

static struct sn_policy policy_of(uint32_t generation)
{
	return (struct sn_policy){ .generation = generation,
				   .mode = SN_MODE_ALLOWLIST,
				   .inbound = SN_INBOUND_REPLIES };
}

static void slot_zero_is_never_given_out(void)
{
	start();
	for (uint32_t i = 1; i < N; i++)
		t_eq(take(SN_TARGET_TC, i, (uint8_t)i), i);
	t_eq(take(SN_TARGET_TC, 99, 99), 0);
	t_null(dp_slots_get(&slots, 0));
	t_null(dp_slots_get(&slots, N));
	t_null(dp_slots_get(&slots, UINT32_MAX));
	dp_slots_done(&slots);
}

static void freed_slot_comes_after_never_used_ones(void)
{
	start();
	t_eq(take(SN_TARGET_TC, 1, 1), 1);
	dp_slots_close(&slots, 1);
	dp_slots_free(&slots, 1);
	t_eq(take(SN_TARGET_TC, 1, 1), 2);
	t_eq(take(SN_TARGET_TC, 2, 2), 3);
	t_eq(take(SN_TARGET_TC, 3, 3), 4);
	t_eq(take(SN_TARGET_TC, 4, 4), 1);
	dp_slots_done(&slots);
}

static void closed_slot_is_dirty_and_not_given_out(void)
{
	start();
	for (uint32_t i = 1; i < N; i++)
		(void)take(SN_TARGET_TC, i, (uint8_t)i);
	dp_slots_close(&slots, 2);
	t_eq(targets[2].state, SN_TARGET_DIRTY);
	t_eq(slots.n_dirty, 1);
	t_null(dp_slots_get(&slots, 2));
	t_eq(take(SN_TARGET_TC, 9, 9), 0);
	dp_slots_free(&slots, 2);
	t_eq(take(SN_TARGET_TC, 9, 9), 2);
	dp_slots_done(&slots);
}

static void generations_go_on_over_the_holders_of_a_slot(void)
{
	struct sn_policy policy = policy_of(1);

	start();
	t_eq(take(SN_TARGET_TC, 1, 1), 1);
	t_eq(dp_slots_flip(&slots, 1, &policy), 0);
	t_eq(dp_slots_get_generation(&slots, 1), 1);
	dp_slots_close(&slots, 1);
	t_eq(words[1], 0);
	dp_slots_free(&slots, 1);
	while (take(SN_TARGET_TC, 7, 7) != 1)
		;
	t_eq(targets[1].next_generation, 2);
	t_eq(dp_slots_get_generation(&slots, 1), 0);
	t_eq(dp_slots_flip(&slots, 1, &policy), -ESTALE);
	policy.generation = 2;
	t_eq(dp_slots_flip(&slots, 1, &policy), 0);
	dp_slots_done(&slots);
}

static void flip_takes_only_the_next_generation(void)
{
	struct sn_policy policy = policy_of(2);

	start();
	(void)take(SN_TARGET_TC, 1, 1);
	t_eq(dp_slots_flip(&slots, 1, &policy), -ESTALE);
	policy.generation = 0;
	t_eq(dp_slots_flip(&slots, 1, &policy), -ESTALE);
	t_eq(words[1], 0);
	policy.generation = 1;
	t_eq(dp_slots_flip(&slots, 1, &policy), 0);
	t_eq(words[1], SN_WORD(1, 0));
	t_eq(policies[3].generation, 1);
	t_eq(policies[3].mode, SN_MODE_ALLOWLIST);
	policy.generation = 2;
	t_eq(dp_slots_flip(&slots, 1, &policy), 0);
	t_eq(policies[2].generation, 2);
	t_eq(policies[3].generation, 1);
	dp_slots_done(&slots);
}

static void rows_are_of_the_current_or_the_staged_generation(void)
{
	struct sn_policy policy = policy_of(1);

	start();
	(void)take(SN_TARGET_TC, 1, 1);
	t_eq(dp_slots_check_generation(&slots, 1, 0, false), -ESTALE);
	t_eq(dp_slots_check_generation(&slots, 1, 1, false), 0);
	t_eq(dp_slots_check_generation(&slots, 1, 2, false), -ESTALE);
	for (uint32_t i = 1; i <= 3; i++) {
		policy.generation = i;
		t_eq(dp_slots_flip(&slots, 1, &policy), 0);
	}
	t_eq(dp_slots_check_generation(&slots, 1, 2, false), -ESTALE);
	t_eq(dp_slots_check_generation(&slots, 1, 2, true), 0);
	t_eq(dp_slots_check_generation(&slots, 1, 3, false), 0);
	t_eq(dp_slots_check_generation(&slots, 1, 4, false), 0);
	t_eq(dp_slots_check_generation(&slots, 1, 5, true), -ESTALE);
	t_eq(dp_slots_check_generation(&slots, 1, 0, true), -ESTALE);
	dp_slots_done(&slots);
}

static void staged_is_named_until_it_is_flipped_or_swept(void)
{
	struct sn_policy policy = policy_of(1);

	start();
	(void)take(SN_TARGET_TC, 1, 1);
	t_eq(dp_slots_get_staged(&slots, 1), 0);
	dp_slots_set_staged(&slots, 1, SN_TABLE_RULES, true);
	dp_slots_set_staged(&slots, 1, SN_TABLE_PREFIXES, true);
	dp_slots_set_staged(&slots, 1, SN_TABLE_RULES, false);
	t_eq(dp_slots_get_staged(&slots, 1), 1);
	dp_slots_set_staged(&slots, 1, SN_TABLE_PREFIXES, false);
	t_eq(dp_slots_get_staged(&slots, 1), 0);
	dp_slots_set_staged(&slots, 1, SN_TABLE_RULES, true);
	t_eq(dp_slots_get_staged(&slots, 1), 1);
	t_eq(dp_slots_flip(&slots, 1, &policy), 0);
	t_eq(dp_slots_get_staged(&slots, 1), 0);
	dp_slots_done(&slots);
}

static void narrowing_changes_the_revision_and_never_the_generation(void)
{
	struct sn_policy policy = policy_of(1);

	start();
	(void)take(SN_TARGET_TC, 1, 1);
	dp_slots_narrow(&slots, 1);
	t_eq(words[1], 0);
	t_eq(dp_slots_flip(&slots, 1, &policy), 0);
	dp_slots_narrow(&slots, 1);
	t_eq(words[1], SN_WORD(1, 1));
	words[1] = SN_WORD(1, UINT32_MAX);
	dp_slots_narrow(&slots, 1);
	t_eq(words[1], SN_WORD(1, 0));
	dp_slots_done(&slots);
}

static void last_generation_is_not_flipped_in(void)
{
	struct sn_policy policy = policy_of(UINT32_MAX);

	start();
	(void)take(SN_TARGET_TC, 1, 1);
	targets[1].next_generation = UINT32_MAX;
	t_eq(dp_slots_flip(&slots, 1, &policy), -ESTALE);
	dp_slots_done(&slots);
}

static void cgroups_above_and_below_an_attached_one_are_busy(void)
{
	struct sn_target target = { .type = SN_TARGET_CGROUP,
				    .object = 30,
				    .n_ancestors = 2,
				    .ancestors = { 20, 1 } };
	const __u64 below[] = { 30, 20, 1 };
	const __u64 beside[] = { 20, 1 };
	const __u64 above[] = { 1 };

	start();
	dp_slots_set_attached(&slots, dp_slots_take(&slots, &target, 0));
	t_eq(dp_slots_check_cgroup(&slots, 30, beside, 2), -EEXIST);
	t_eq(dp_slots_check_cgroup(&slots, 40, below, 3), -EBUSY);
	t_eq(dp_slots_check_cgroup(&slots, 20, above, 1), -EBUSY);
	t_eq(dp_slots_check_cgroup(&slots, 31, beside, 2), 0);
	t_eq(dp_slots_check_cgroup(&slots, 31, above, 1), 0);
	dp_slots_done(&slots);
}

static void interface_with_a_cgroups_number_is_no_cgroup(void)
{
	start();
	t_eq(take(SN_TARGET_TC, 30, 1), 1);
	t_eq(dp_slots_check_cgroup(&slots, 30, NULL, 0), 0);
	t_eq(dp_slots_find_interface(&slots, 30), 1);
	t_eq(dp_slots_find_interface(&slots, 31), 0);
	dp_slots_done(&slots);
}

static void restart_keeps_states_and_distrusts_unknown_ones(void)
{
	start();
	t_eq(take(SN_TARGET_TC, 1, 1), 1);
	t_eq(take(SN_TARGET_TC, 2, 2), 2);
	dp_slots_close(&slots, 2);
	targets[3].state = 77;
	dp_slots_done(&slots);
	start();
	t_not_null(dp_slots_get(&slots, 1));
	t_eq(slots.n_attached, 1);
	t_eq(slots.n_dirty, 2);
	t_eq(targets[3].state, SN_TARGET_DIRTY);
	t_eq(slots.n_free, 1);
	dp_slots_done(&slots);
}

static void death_within_a_flip_does_not_repeat_its_number(void)
{
	struct sn_policy policy = policy_of(1);

	start();
	t_eq(take(SN_TARGET_TC, 1, 1), 1);
	t_eq(dp_slots_flip(&slots, 1, &policy), 0);
	targets[1].next_generation = 1;
	dp_slots_done(&slots);
	start();
	t_eq(targets[1].next_generation, 2);
	dp_slots_done(&slots);
}

static void flow_count_never_wraps(void)
{
	start();
	t_eq(take(SN_TARGET_TC, 1, 1), 1);
	t_eq(usage[1].flow_quota, 10);
	usage[1].flows = 1;
	dp_slots_flow_gone(&slots, 1);
	dp_slots_flow_gone(&slots, 1);
	t_eq(usage[1].flows, 0);
	dp_slots_flow_gone(&slots, UINT32_MAX);
	dp_slots_done(&slots);
}

T_MAIN("dp_slots", slot_zero_is_never_given_out,
       freed_slot_comes_after_never_used_ones,
       closed_slot_is_dirty_and_not_given_out,
       generations_go_on_over_the_holders_of_a_slot,
       flip_takes_only_the_next_generation,
       rows_are_of_the_current_or_the_staged_generation,
       staged_is_named_until_it_is_flipped_or_swept,
       narrowing_changes_the_revision_and_never_the_generation,
       last_generation_is_not_flipped_in,
       cgroups_above_and_below_an_attached_one_are_busy,
       interface_with_a_cgroups_number_is_no_cgroup,
       restart_keeps_states_and_distrusts_unknown_ones,
       death_within_a_flip_does_not_repeat_its_number, flow_count_never_wraps)
