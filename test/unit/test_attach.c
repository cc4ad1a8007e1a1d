/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/attach.h"

#include "test/unit/test_attach_rig.h"

static void attach_enforces_and_detach_leaves_nothing(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	struct cp_attach_info info;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy("10.0.0.0/8", "192.0.2.1", NULL));
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	memcpy(id, outcome.result.id, sizeof(id));
	agrees(rig, id);
	info = get_info(rig, id);
	t_eq(info.n_rules, 2);
	t_eq(info.state, CP_ATTACH_STATE_ENFORCED);
	t_str_eq(info.target, "lo");
	t_str_eq(info.metadata[0].value, "me");
	t_true(info.n_notes > 0);
	t_not_null(cp_state_get(rig->state, id, &(size_t){ 0 }));

	t_eq(detach(rig, id).result.code, CP_ATTACH_CODE_OK);
	t_null(cp_attach_get(rig->manager, id));
	t_null(slot_of(rig));
	t_null(cp_state_get(rig->state, id, &(size_t){ 0 }));
	t_eq(detach(rig, id).result.code, CP_ATTACH_CODE_NOT_FOUND);
	rig_free(rig);
}

static void attach_refuses_what_is_there_or_is_not(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;

	outcome = attach_to(rig, SN_TARGET_TC, "no-such-if", policy(0, 0, 0));
	t_eq(outcome.result.code, CP_ATTACH_CODE_NOT_FOUND);
	outcome = attach_to(rig, SN_TARGET_CGROUP, "/no/such/cgroup",
			    policy(0, 0, 0));
	t_eq(outcome.result.code, CP_ATTACH_CODE_NOT_FOUND);
	outcome = attach_to(rig, SN_TARGET_CGROUP, "/tmp", policy(0, 0, 0));
	t_eq(outcome.result.code, CP_ATTACH_CODE_PRECONDITION);
	t_eq(attach(rig, policy(0, 0, 0)).result.code, CP_ATTACH_CODE_OK);
	t_eq(attach(rig, policy(0, 0, 0)).result.code, CP_ATTACH_CODE_EXISTS);
	/* "g" is above every hex digit. */
	t_not_null(cp_attach_get_next(rig->manager, NULL));
	t_null(cp_attach_get_next(rig->manager, "g"));
	rig_free(rig);
}

static void errors_of_the_dataplane_are_told_in_their_class(void)
{
	static const struct {
		int error;
		enum cp_attach_code code;
	} cases[] = {
		{ -EPERM, CP_ATTACH_CODE_PRECONDITION },
		{ -EBUSY, CP_ATTACH_CODE_PRECONDITION },
		{ -EOPNOTSUPP, CP_ATTACH_CODE_PRECONDITION },
		{ -ENODEV, CP_ATTACH_CODE_NOT_FOUND },
		{ -EEXIST, CP_ATTACH_CODE_EXISTS },
		{ -EMLINK, CP_ATTACH_CODE_EXHAUSTED },
		{ -ENOSPC, CP_ATTACH_CODE_EXHAUSTED },
		{ -EIO, CP_ATTACH_CODE_INTERNAL },
	};
	struct rig *rig = rig_new();

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		struct outcome outcome;

		fake_arm(rig->fake, 1, cases[i].error, 0, FAKE_CUT_NONE);
		outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
		t_eq(outcome.result.code, cases[i].code);
		t_true(outcome.result.diag.text[0]);
		t_null(slot_of(rig));
		t_null(cp_attach_get_next(rig->manager, NULL));
	}
	rig_free(rig);
}

/* Every request of an attach fails in turn; nothing is left of it. */
static void attach_undoes_itself_at_every_step(void)
{
	struct rig *rig = rig_new();
	unsigned int step;

	for (step = 1; step < 20; step++) {
		struct outcome outcome;

		fake_arm(rig->fake, step, -ENOSPC, 0, FAKE_CUT_NONE);
		outcome = attach(rig, policy("10.0.0.0/8", "::/0", NULL));
		if (outcome.result.code == CP_ATTACH_CODE_OK)
			break;
		t_eq(outcome.result.code, CP_ATTACH_CODE_EXHAUSTED);
		settle(rig);
		t_null(slot_of(rig));
		t_eq(rig->fake->n_rows, 0);
		t_null(cp_attach_get_next(rig->manager, NULL));
	}
	t_eq(step, 4); /* ATTACH, PUT, FLIP */
	rig_free(rig);
}

static void apply_replaces_the_whole_policy_or_nothing(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	unsigned int step;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy("10.0.0.0/8", "192.0.2.1", NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	for (step = 1; step < 20; step++) {
		uint32_t generation = slot_of(rig)->policy.generation;

		fake_arm(rig->fake, step, -ENOSPC, 0, FAKE_CUT_NONE);
		outcome = apply(rig, id,
				policy("192.0.2.1", "2001:db8::/32",
				       "198.51.100.0/24"),
				false);
		if (outcome.result.code == CP_ATTACH_CODE_OK)
			break;
		t_eq(outcome.result.code, CP_ATTACH_CODE_EXHAUSTED);
		t_eq(slot_of(rig)->policy.generation, generation);
		t_eq(get_info(rig, id).n_rules, 2);
		agrees(rig, id);
	}
	t_eq(step, 3); /* PUT, FLIP */
	fake_arm(rig->fake, 0, 0, 0, FAKE_CUT_NONE);
	t_eq(outcome.result.added, 2);
	t_eq(outcome.result.removed, 1);
	t_eq(outcome.result.unchanged, 1);
	t_eq(outcome.result.generation, slot_of(rig)->policy.generation);
	agrees(rig, id);
	rig_free(rig);
}

static void a_dry_run_compares_and_changes_nothing(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];
	unsigned int n_flips;

	outcome = attach(rig, policy("10.0.0.0/8", "192.0.2.1", NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	n_flips = rig->fake->n_flips;
	outcome = apply(rig, id, policy("192.0.2.1", NULL, NULL), true);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	t_eq(outcome.result.removed, 1);
	t_eq(outcome.result.unchanged, 1);
	t_eq(rig->fake->n_flips, n_flips);
	t_eq(get_info(rig, id).n_rules, 2);
	rig_free(rig);
}

static void single_rules_fit_the_block_or_make_a_generation(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	uint32_t generation, rule_id;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	generation = slot_of(rig)->policy.generation;

	outcome = add(rig, id, SN_VERDICT_ALLOW, "192.0.2.7", 0);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	t_false(outcome.result.replaced);
	rule_id = outcome.result.rule_id;
	t_eq(slot_of(rig)->policy.generation, generation);
	agrees(rig, id);

	outcome = add(rig, id, SN_VERDICT_DENY, "192.0.2.7", 0);
	t_true(outcome.result.replaced);
	t_eq(outcome.result.rule_id, rule_id);
	agrees(rig, id);

	/* No /20 is listed. */
	outcome = add(rig, id, SN_VERDICT_ALLOW, "172.16.0.0/20", 0);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	t_eq(slot_of(rig)->policy.generation, generation + 1);
	agrees(rig, id);

	outcome = drop_rules(rig, id, "172.16.0.0/20");
	t_eq(outcome.result.removed, 1);
	outcome = drop_rules(rig, id, "172.16.0.0/20");
	t_eq(outcome.result.code, CP_ATTACH_CODE_NOT_FOUND);
	t_eq(outcome.result.removed, 0);
	agrees(rig, id);
	rig_free(rig);
}

static void many_prefix_lengths_go_into_the_trie(void)
{
	static const char *const cidrs[] = {
		"10.0.0.0/8",  "10.0.0.0/9",  "10.0.0.0/10", "10.0.0.0/11",
		"10.0.0.0/12", "10.0.0.0/13", "192.0.2.1",
	};
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy(NULL, NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	for (size_t i = 0; i < SN_ARRAY_SIZE(cidrs); i++) {
		outcome = add(rig, id, SN_VERDICT_ALLOW, cidrs[i], 0);
		t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
		agrees(rig, id);
	}
	t_eq(slot_of(rig)->policy.trie4, 1);
	restart(rig);
	agrees(rig, id);
	rig_free(rig);
}

static void a_full_table_refuses_a_rule_and_changes_nothing(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	rig->fake->capacity = 1;
	outcome = add(rig, id, SN_VERDICT_ALLOW, "192.0.2.7", 0);
	t_eq(outcome.result.code, CP_ATTACH_CODE_EXHAUSTED);
	t_eq(get_info(rig, id).n_rules, 1);
	agrees(rig, id);
	outcome = apply(rig, id, policy("192.0.2.1", "192.0.2.2", NULL), false);
	t_eq(outcome.result.code, CP_ATTACH_CODE_EXHAUSTED);
	agrees(rig, id);
	rig_free(rig);
}

/* A permanent rule and seven that lapse use all eight items of the prefix. */
static void lapsed_rules_of_a_full_prefix_make_room(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy(NULL, NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	for (uint16_t port = 1; port <= 8; port++)
		t_eq(add_port(rig, id, "192.0.2.7", port, port == 1 ? 0 : 60)
			     .result.code,
		     CP_ATTACH_CODE_OK);
	outcome = add_port(rig, id, "192.0.2.7", 9, 0);
	t_eq(outcome.result.code, CP_ATTACH_CODE_EXHAUSTED);
	t_eq(get_info(rig, id).n_rules, 8);
	agrees(rig, id);

	now_ns += 61 * SN_NS_PER_S;
	fake_arm(rig->fake, 1, -EIO, 0, FAKE_CUT_NONE);
	outcome = add_port(rig, id, "192.0.2.7", 9, 0);
	t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
	t_eq(cp_policy_count(get_info(rig, id).policy), 8);
	agrees(rig, id);
	outcome = add_port(rig, id, "192.0.2.7", 9, 0);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	t_eq(get_info(rig, id).n_rules, 2);
	t_eq(cp_policy_count(get_info(rig, id).policy), 2);
	agrees(rig, id);
	rig_free(rig);
}

static void block_all_needs_no_room_and_keeps_the_rules(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	struct cp_attach_status status;
	char id[CP_ATTACH_ID_CHARS + 1];
	unsigned int n_puts, n_flips;

	outcome = attach(rig, policy("10.0.0.0/8", "192.0.2.1", "::/0"));
	memcpy(id, outcome.result.id, sizeof(id));
	rig->fake->capacity = 3;
	t_eq(set_mode(rig, id, SN_MODE_BLOCK_ALL, false).result.code,
	     CP_ATTACH_CODE_OK);
	agrees(rig, id);
	t_eq(rig->fake->n_rows, 0);
	t_eq(get_info(rig, id).n_rules, 3);
	cp_attach_info_get_status(rig->manager, &status);
	t_eq(status.n_rules, 0);

	t_eq(add(rig, id, SN_VERDICT_ALLOW, "192.0.2.2", 60).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(add(rig, id, SN_VERDICT_ALLOW, "198.51.100.0/24", 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(drop_rules(rig, id, "198.51.100.0/24").result.removed, 1);
	agrees(rig, id);
	n_puts = rig->fake->n_puts;
	n_flips = rig->fake->n_flips;
	restart(rig);
	agrees(rig, id);
	t_eq(rig->fake->n_puts, n_puts);
	t_eq(rig->fake->n_flips, n_flips);
	t_eq(get_info(rig, id).n_rules, 4);

	/* Four rows do not fit: it stays blocked. */
	t_eq(set_mode(rig, id, SN_MODE_ALLOWLIST, false).result.code,
	     CP_ATTACH_CODE_EXHAUSTED);
	t_eq(slot_of(rig)->policy.mode, SN_MODE_BLOCK_ALL);
	agrees(rig, id);
	now_ns += 61 * SN_NS_PER_S;
	cp_attach_collect_lapsed(rig->manager);
	t_eq(set_mode(rig, id, SN_MODE_ALLOWLIST, false).result.code,
	     CP_ATTACH_CODE_OK);
	agrees(rig, id);
	t_eq(rig->fake->n_rows, 3);
	rig_free(rig);
}

static void modes_are_generations(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	outcome = set_mode(rig, id, SN_MODE_BLOCK_ALL, true);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	t_eq(slot_of(rig)->policy.mode, SN_MODE_BLOCK_ALL);
	agrees(rig, id);
	t_eq(get_info(rig, id).n_rules, 1);
	rig_free(rig);
}

static void lapsed_rules_leave_when_no_flow_rests_on_them(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	(void)add(rig, id, SN_VERDICT_ALLOW, "192.0.2.7", 60);
	t_eq(get_info(rig, id).n_rules, 2);
	now_ns += 61 * SN_NS_PER_S;
	t_eq(get_info(rig, id).n_rules, 1);
	t_eq(rig->fake->n_rows, 2);

	rig->fake->in_use = true;
	cp_attach_collect_lapsed(rig->manager);
	settle(rig);
	t_eq(rig->fake->n_rows, 2);
	agrees(rig, id);
	/* A restart does not make it forget the entry. */
	restart(rig);
	t_eq(rig->fake->n_rows, 2);
	t_eq(get_info(rig, id).n_rules, 1);

	rig->fake->in_use = false;
	now_ns += 61 * SN_NS_PER_S;
	cp_attach_collect_lapsed(rig->manager);
	settle(rig);
	t_eq(rig->fake->n_rows, 1);
	agrees(rig, id);
	rig_free(rig);
}

static void operations_of_one_attachment_run_in_order(void)
{
	enum { N = 60 };
	struct rig *rig = rig_new();
	struct outcome outcome, outcomes[N] = { 0 };
	char id[CP_ATTACH_ID_CHARS + 1];
	char cidr[32];

	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	for (int i = 0; i < N; i++) {
		struct cp_policy_rule one;

		if (i % 10 == 9) {
			t_eq(cp_attach_apply(rig->manager, id,
					     policy("10.0.0.0/8", NULL, NULL),
					     false, done, &outcomes[i]),
			     0);
			continue;
		}
		(void)snprintf(cidr, sizeof(cidr), "192.0.2.%d", i);
		one = rule(i % 2 ? SN_VERDICT_DENY : SN_VERDICT_ALLOW, cidr, 0);
		t_eq(cp_attach_add_rule(rig->manager, id, &one, done,
					&outcomes[i]),
		     0);
	}
	TURN_UNTIL(rig, outcomes[N - 1].is_done);
	for (int i = 0; i < N; i++) {
		t_eq(outcomes[i].result.code, CP_ATTACH_CODE_OK);
		if (i > 0)
			t_eq(outcomes[i].order, outcomes[i - 1].order + 1);
	}
	/* The last one was an apply. */
	t_eq(get_info(rig, id).n_rules, 1);
	agrees(rig, id);
	rig_free(rig);
}

static void counters_begin_when_the_slot_is_given_out(void)
{
	struct rig *rig = rig_new();
	struct sn_counters *counters;
	struct sn_reasons *reasons;
	struct outcome outcome;
	struct cp_attach_info info;

	counters = mmap(NULL, FAKE_SLOTS * sizeof(*counters),
			PROT_READ | PROT_WRITE, MAP_SHARED,
			rig->fake->counters_fd, 0);
	reasons = mmap(NULL, FAKE_SLOTS * sizeof(*reasons),
		       PROT_READ | PROT_WRITE, MAP_SHARED,
		       rig->fake->reasons_fd, 0);
	counters[1].blocked_packets[SN_EGRESS] = 100;
	reasons[1].count[SN_REASON_NO_RULE] = 100;
	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	counters[1].blocked_packets[SN_EGRESS] += 7;
	reasons[1].count[SN_REASON_NO_RULE] += 7;
	info = get_info(rig, outcome.result.id);
	t_eq(info.totals.counters.blocked_packets[SN_EGRESS], 7);
	t_eq(info.totals.reasons.count[SN_REASON_NO_RULE], 7);
	restart(rig);
	info = get_info(rig, outcome.result.id);
	t_eq(info.totals.counters.blocked_packets[SN_EGRESS], 7);
	/* What is recovered does not show what the slot counted before. */
	close_daemon(rig);
	t_eq(unlink(rig->path), 0);
	open_daemon(rig);
	TURN_UNTIL(rig, is_ready(rig));
	counters[1].blocked_packets[SN_EGRESS] += 2;
	info = get_info(rig, outcome.result.id);
	t_eq(info.totals.counters.blocked_packets[SN_EGRESS], 2);
	t_eq(info.totals.reasons.count[SN_REASON_NO_RULE], 0);
	(void)munmap(counters, FAKE_SLOTS * sizeof(*counters));
	(void)munmap(reasons, FAKE_SLOTS * sizeof(*reasons));
	rig_free(rig);
}

T_MAIN("attach", attach_enforces_and_detach_leaves_nothing,
       attach_refuses_what_is_there_or_is_not,
       errors_of_the_dataplane_are_told_in_their_class,
       attach_undoes_itself_at_every_step,
       apply_replaces_the_whole_policy_or_nothing,
       a_dry_run_compares_and_changes_nothing,
       single_rules_fit_the_block_or_make_a_generation,
       many_prefix_lengths_go_into_the_trie,
       a_full_table_refuses_a_rule_and_changes_nothing,
       lapsed_rules_of_a_full_prefix_make_room,
       block_all_needs_no_room_and_keeps_the_rules, modes_are_generations,
       lapsed_rules_leave_when_no_flow_rests_on_them,
       operations_of_one_attachment_run_in_order,
       counters_begin_when_the_slot_is_given_out)
