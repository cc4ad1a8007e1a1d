/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/dns.h"

#include "test/unit/test_attach_learn.h"

static struct cp_policy *a_and_b(void)
{
	struct cp_policy *with = policy("10.0.0.0/8", NULL, NULL);

	with_domain(with, SN_VERDICT_ALLOW, "a.example");
	return with_domain(with, SN_VERDICT_ALLOW, "b.example");
}

static void a_learnt_address_is_open_before_the_answer(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	struct cp_attach_info info;
	unsigned int n_narrowed = rig->fake->n_narrowed;

	t_false(is_learnt(rig, "a.example", 1, 10));
	t_eq(learn(rig, "a.example", 1, 2, 30), CP_ATTACH_DNS_LEARN_OK);
	t_true(is_open_in(rig, 1, 443, 29));
	t_false(is_open_in(rig, 1, 443, 31));
	t_true(is_open(rig, 2, 80));
	t_null(entry_of(rig, 3));
	t_eq(entry_of(rig, 1)->value.items[0].rule_id, 2);
	t_true(is_learnt(rig, "a.example", 1, 29));
	t_false(is_learnt(rig, "a.example", 1, 31));
	t_false(is_learnt(rig, "b.example", 1, 29));
	/* A widening change makes nobody be judged again. */
	t_eq(rig->fake->n_narrowed, n_narrowed);
	info = get_info(rig, outcome.result.id);
	t_eq(info.n_learnt_names, 1);
	t_eq(info.n_learnt_addresses, 2);
	rig_free(rig);
}

static void names_that_no_rule_allows_are_not_learnt(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	const struct fake_slot *slot = slot_of(rig);
	size_t n = fake_count(rig->fake, slot->target.slot, 0);

	t_eq(learn(rig, "c.example", 1, 1, 30), CP_ATTACH_DNS_LEARN_DENIED);
	t_eq(deny_domain(rig, outcome.result.id, "a.example").result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(learn(rig, "a.example", 1, 1, 30), CP_ATTACH_DNS_LEARN_DENIED);
	t_eq(fake_count(rig->fake, slot->target.slot, 0), n);
	rig_free(rig);
}

/* Address mode by DNS mode: what is learnt, and whether the name needs a
 * rule. */
static void the_modes_decide_what_is_learnt(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	const char *id = outcome.result.id;

	for (int mode = SN_MODE_DISABLED; mode <= SN_MODE_BLOCK_ALL; mode++) {
		for (int dns = CP_DNS_MODE_NONE; dns <= CP_DNS_MODE_PROXY;
		     dns++) {
			bool learns = mode == SN_MODE_ALLOWLIST &&
				      dns != CP_DNS_MODE_DISABLED;
			bool any = dns == CP_DNS_MODE_DENYLIST;

			t_eq(set_mode(rig, id, (enum sn_mode)mode, dns % 2)
				     .result.code,
			     CP_ATTACH_CODE_OK);
			t_eq(set_dns_mode(rig, id, (enum cp_dns_mode)dns)
				     .result.code,
			     CP_ATTACH_CODE_OK);
			settle(rig);
			now_ns += 1000 * SN_NS_PER_S;
			t_eq(learn(rig, "a.example", 1, 1, 30),
			     CP_ATTACH_DNS_LEARN_OK);
			t_eq(is_open(rig, 1, 80), learns);
			t_eq(learn(rig, "c.example", 2, 1, 30),
			     learns && !any ? CP_ATTACH_DNS_LEARN_DENIED :
					      CP_ATTACH_DNS_LEARN_OK);
			t_eq(is_open(rig, 2, 80), learns && any);
		}
	}
	rig_free(rig);
}

static void the_control_plane_opens_names_in_mode_proxy_only(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	const char *id = outcome.result.id;
	struct cp_dns_name name = name_of("c.example");
	struct cp_dns_address address = address_of(1);
	struct cp_attach_dns_learn request = {
		.slot = slot_of(rig)->target.slot,
		.name = &name,
		.addresses = &address,
		.n_addresses = 1,
		.life_ns = 30 * SN_NS_PER_S,
		.by_control_plane = true,
	};
	struct lesson lesson = { 0 };

	t_eq(cp_attach_dns_learn(rig->manager, &request, learnt, &lesson), 0);
	TURN_UNTIL(rig, lesson.is_done);
	t_eq(lesson.code, CP_ATTACH_DNS_LEARN_DENIED);
	t_eq(set_dns_mode(rig, id, CP_DNS_MODE_PROXY).result.code,
	     CP_ATTACH_CODE_OK);
	lesson.is_done = false;
	t_eq(cp_attach_dns_learn(rig->manager, &request, learnt, &lesson), 0);
	TURN_UNTIL(rig, lesson.is_done);
	t_eq(lesson.code, CP_ATTACH_DNS_LEARN_OK);
	t_true(is_open(rig, 1, 80));
	t_eq(entry_of(rig, 1)->value.items[0].rule_id, 0);
	/* It stays over other changes of the policy, and goes with the mode. */
	t_eq(allow_domain(rig, id, "d.example", 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_true(is_open(rig, 1, 80));
	t_eq(set_dns_mode(rig, id, CP_DNS_MODE_ALLOWLIST).result.code,
	     CP_ATTACH_CODE_OK);
	t_false(is_open(rig, 1, 80));
	rig_free(rig);
}

static void quotas_and_full_tables_are_told_apart(void)
{
	struct rig *rig = rig_new();

	(void)attach_workload(rig, a_and_b());
	t_eq(learn(rig, "a.example", 0, 17, 30), CP_ATTACH_DNS_LEARN_QUOTA);
	t_null(entry_of(rig, 0));
	t_eq(learn(rig, "a.example", 0, 16, 30), CP_ATTACH_DNS_LEARN_OK);
	rig->fake->capacity = rig->fake->n_rows;
	t_eq(learn(rig, "b.example", 20, 1, 30), CP_ATTACH_DNS_LEARN_FULL);
	t_false(is_learnt(rig, "b.example", 20, 1));
	/* An entry that is there needs no room. */
	t_eq(learn(rig, "b.example", 3, 1, 60), CP_ATTACH_DNS_LEARN_OK);
	t_true(is_open_in(rig, 3, 80, 59));
	rig->fake->capacity = FAKE_ROWS;
	t_eq(learn(rig, "b.example", 20, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	t_true(is_open(rig, 20, 80));
	rig_free(rig);
}

static void a_removed_name_closes_what_no_other_name_holds(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	const char *id = outcome.result.id;
	unsigned int n_narrowed;

	t_eq(learn(rig, "a.example", 1, 2, 30), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(rig, "b.example", 2, 2, 30), CP_ATTACH_DNS_LEARN_OK);
	n_narrowed = rig->fake->n_narrowed;
	outcome = drop_domain(rig, id, "a.example");
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	t_eq(outcome.result.removed, 1);
	t_eq(rig->fake->n_narrowed, n_narrowed + 1);
	t_null(entry_of(rig, 1));
	t_true(is_open(rig, 2, 80));
	t_eq(entry_of(rig, 2)->value.items[0].rule_id, 3);
	t_true(is_open(rig, 3, 80));
	t_false(is_learnt(rig, "a.example", 1, 1));
	t_eq(drop_domain(rig, id, "a.example").result.code,
	     CP_ATTACH_CODE_NOT_FOUND);
	rig_free(rig);
}

static void a_denied_name_closes_like_a_removed_one(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	const char *id = outcome.result.id;
	unsigned int n_narrowed;

	t_eq(learn(rig, "a.example", 1, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	n_narrowed = rig->fake->n_narrowed;
	outcome = deny_domain(rig, id, "a.example");
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	t_true(outcome.result.replaced);
	t_eq(outcome.result.rule_id, 2);
	t_null(entry_of(rig, 1));
	t_eq(rig->fake->n_narrowed, n_narrowed + 1);
	rig_free(rig);
}

/* Flows on entries that have lapsed end with the name as well. */
static void a_removed_name_closes_what_has_lapsed_too(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());

	t_eq(learn(rig, "a.example", 1, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	now_ns += 60 * SN_NS_PER_S;
	t_not_null(entry_of(rig, 1));
	t_eq(drop_domain(rig, outcome.result.id, "a.example").result.code,
	     CP_ATTACH_CODE_OK);
	t_null(entry_of(rig, 1));
	rig_free(rig);
}

static void a_rule_that_changes_nothing_learnt_writes_nothing(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	unsigned int n_puts;

	t_eq(learn(rig, "a.example", 1, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	n_puts = rig->fake->n_puts;
	outcome = allow_domain(rig, outcome.result.id, "c.example", 443);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	t_eq(rig->fake->n_puts, n_puts);
	t_eq(learn(rig, "c.example", 1, 1, 60), CP_ATTACH_DNS_LEARN_OK);
	t_true(is_open_in(rig, 1, 443, 59));
	t_false(is_open_in(rig, 1, 80, 59));
	t_true(is_open_in(rig, 1, 80, 29));
	rig_free(rig);
}

/* What cannot be saved is taken back, in the kernel too. */
static void a_change_that_cannot_be_saved_leaves_names_as_they_were(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	const char *id = outcome.result.id;
	char path[96];

	t_eq(learn(rig, "a.example", 1, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	/* A folder that was removed: every write fails. */
	state_folder(rig, path);
	empty_folder(path);
	t_eq(rmdir(path), 0);
	outcome = drop_domain(rig, id, "a.example");
	t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
	t_true(is_open(rig, 1, 80));
	t_true(is_learnt(rig, "a.example", 1, 10));
	t_eq(allow_domain(rig, id, "a.example", 443).result.code,
	     CP_ATTACH_CODE_INTERNAL);
	t_true(is_open(rig, 1, 80));
	t_eq(deny_domain(rig, id, "a.example").result.code,
	     CP_ATTACH_CODE_INTERNAL);
	t_true(is_open(rig, 1, 80));
	t_eq(set_dns_mode(rig, id, CP_DNS_MODE_DISABLED).result.code,
	     CP_ATTACH_CODE_INTERNAL);
	t_true(is_open(rig, 1, 80));
	t_eq(mkdir(path, 0700), 0);
	rig_free(rig);
}

static void every_refused_request_of_a_removal_leaves_it_undone(void)
{
	unsigned int step;

	for (step = 1; step < 10; step++) {
		struct rig *rig = rig_new();
		struct outcome outcome = attach_workload(rig, a_and_b());
		const char *id = outcome.result.id;

		t_eq(learn(rig, "a.example", 1, 3, 30), CP_ATTACH_DNS_LEARN_OK);
		t_eq(learn(rig, "b.example", 3, 2, 30), CP_ATTACH_DNS_LEARN_OK);
		fake_arm(rig->fake, step, -ENOMEM, 0, FAKE_CUT_NONE);
		outcome = drop_domain(rig, id, "a.example");
		if (outcome.result.code == CP_ATTACH_CODE_OK) {
			rig_free(rig);
			break;
		}
		t_eq(outcome.result.code, CP_ATTACH_CODE_EXHAUSTED);
		/* What was deleted on the way comes back. */
		cp_attach_collect_lapsed(rig->manager);
		settle(rig);
		for (unsigned int i = 1; i < 5; i++)
			t_true(is_open(rig, i, 80));
		t_eq(get_info(rig, id).n_learnt_names, 2);
		rig_free(rig);
	}
	t_eq(step, 3); /* DEL, PUT */
}

static void cidr_rules_and_names_share_an_entry(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	char id[CP_ATTACH_ID_CHARS + 1];

	memcpy(id, outcome.result.id, sizeof(id));
	t_eq(add_port(rig, id, "198.51.0.1", 22, 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(learn(rig, "a.example", 1, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	t_eq(entry_of(rig, 1)->value.n_items, 2);
	t_true(is_open_in(rig, 1, 22, 100));
	t_true(is_open_in(rig, 1, 80, 29));
	t_false(is_open_in(rig, 1, 80, 31));
	/* A change of either leaves the other. */
	t_eq(add_port(rig, id, "198.51.0.1", 23, 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(entry_of(rig, 1)->value.n_items, 3);
	t_eq(drop_rules(rig, id, "198.51.0.1").result.removed, 2);
	t_eq(entry_of(rig, 1)->value.n_items, 1);
	t_true(is_open_in(rig, 1, 80, 29));
	t_eq(add(rig, id, SN_VERDICT_DENY, "198.51.0.1", 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_false(is_open(rig, 1, 80));
	t_eq(learn(rig, "a.example", 1, 1, 60), CP_ATTACH_DNS_LEARN_DENIED);
	t_false(is_open(rig, 1, 80));
	t_eq(drop_domain(rig, id, "a.example").result.code, CP_ATTACH_CODE_OK);
	t_eq(entry_of(rig, 1)->value.n_items, 1);
	t_eq(entry_of(rig, 1)->value.items[0].verdict, SN_VERDICT_DENY);
	t_eq(drop_rules(rig, id, "198.51.0.1").result.removed, 1);
	t_null(entry_of(rig, 1));
	rig_free(rig);
}

static void cidr_rules_have_room_before_names(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	char id[CP_ATTACH_ID_CHARS + 1];

	memcpy(id, outcome.result.id, sizeof(id));
	for (uint16_t i = 1; i < SN_ITEMS_MAX; i++)
		t_eq(add_port(rig, id, "198.51.0.1", i, 0).result.code,
		     CP_ATTACH_CODE_OK);
	t_eq(allow_domain(rig, id, "c.example", 443).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(learn(rig, "c.example", 1, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	t_true(is_open(rig, 1, 443));
	t_eq(allow_domain(rig, id, "d.example", 444).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(learn(rig, "d.example", 1, 1, 30), CP_ATTACH_DNS_LEARN_QUOTA);
	t_eq(add_port(rig, id, "198.51.0.1", 99, 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_true(is_open(rig, 1, 99));
	t_eq(entry_of(rig, 1)->value.n_items, SN_ITEMS_MAX);
	rig_free(rig);
}

static void a_new_policy_carries_over_what_it_allows(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	struct cp_policy *next = policy("198.51.0.3", NULL, NULL);
	char id[CP_ATTACH_ID_CHARS + 1];
	uint32_t generation;

	memcpy(id, outcome.result.id, sizeof(id));
	t_eq(learn(rig, "a.example", 1, 3, 30), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(rig, "b.example", 3, 2, 40), CP_ATTACH_DNS_LEARN_OK);
	generation = slot_of(rig)->policy.generation;
	with_domain(next, SN_VERDICT_ALLOW, "b.example");
	outcome = apply(rig, id, next, false);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	t_eq(outcome.result.removed, 2);
	t_eq(slot_of(rig)->policy.generation, generation + 1);
	t_null(entry_of(rig, 1));
	t_null(entry_of(rig, 2));
	t_eq(entry_of(rig, 3)->value.n_items, 2);
	t_true(is_open_in(rig, 4, 80, 39));
	t_true(is_learnt(rig, "b.example", 4, 39));
	t_false(is_learnt(rig, "a.example", 1, 1));
	/* Nothing of the generation before stays. */
	settle(rig);
	t_eq(fake_count(rig->fake, slot_of(rig)->target.slot, generation), 0);
	t_eq(fake_count(rig->fake, slot_of(rig)->target.slot, 0), 2);
	rig_free(rig);
}

static void names_come_back_with_the_mode_that_learns(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	char id[CP_ATTACH_ID_CHARS + 1];
	static const enum sn_mode modes[] = { SN_MODE_DISABLED,
					      SN_MODE_DENYLIST,
					      SN_MODE_BLOCK_ALL };

	memcpy(id, outcome.result.id, sizeof(id));
	t_eq(learn(rig, "a.example", 1, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	for (size_t i = 0; i < SN_ARRAY_SIZE(modes); i++) {
		t_eq(set_mode(rig, id, modes[i], false).result.code,
		     CP_ATTACH_CODE_OK);
		t_null(entry_of(rig, 1));
		t_eq(set_mode(rig, id, SN_MODE_ALLOWLIST, i % 2).result.code,
		     CP_ATTACH_CODE_OK);
		t_true(is_open_in(rig, 1, 80, 29));
	}
	t_eq(set_dns_mode(rig, id, CP_DNS_MODE_DISABLED).result.code,
	     CP_ATTACH_CODE_OK);
	t_null(entry_of(rig, 1));
	t_eq(set_dns_mode(rig, id, CP_DNS_MODE_NONE).result.code,
	     CP_ATTACH_CODE_OK);
	t_true(is_open_in(rig, 1, 80, 29));
	/* But not if the rule went meanwhile. */
	t_eq(set_mode(rig, id, SN_MODE_BLOCK_ALL, false).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(drop_domain(rig, id, "a.example").result.code, CP_ATTACH_CODE_OK);
	t_eq(set_mode(rig, id, SN_MODE_ALLOWLIST, false).result.code,
	     CP_ATTACH_CODE_OK);
	t_null(entry_of(rig, 1));
	rig_free(rig);
}

static void lapsed_entries_leave_when_no_flow_rests_on_them(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	const char *id = outcome.result.id;

	t_eq(learn(rig, "a.example", 1, 3, 30), CP_ATTACH_DNS_LEARN_OK);
	t_eq(add(rig, id, SN_VERDICT_ALLOW, "198.51.0.3", 0).result.code,
	     CP_ATTACH_CODE_OK);
	cp_attach_collect_lapsed(rig->manager);
	settle(rig);
	t_not_null(entry_of(rig, 1));
	now_ns += 31 * SN_NS_PER_S;
	rig->fake->in_use = true;
	cp_attach_collect_lapsed(rig->manager);
	settle(rig);
	t_not_null(entry_of(rig, 1));
	t_eq(get_info(rig, id).n_learnt_addresses, 0);
	rig->fake->in_use = false;
	cp_attach_collect_lapsed(rig->manager);
	settle(rig);
	t_not_null(entry_of(rig, 1)); /* asked a moment ago */
	now_ns += 31 * SN_NS_PER_S;
	cp_attach_collect_lapsed(rig->manager);
	settle(rig);
	t_null(entry_of(rig, 1));
	t_null(entry_of(rig, 2));
	/* A CIDR rule lives there. */
	t_true(is_open(rig, 3, 80));
	t_eq(learn(rig, "a.example", 1, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	t_true(is_open(rig, 1, 80));
	rig_free(rig);
}

static void lapsed_entries_do_not_fill_the_tables(void)
{
	struct rig *rig = rig_new();
	unsigned int i;

	(void)attach_workload(rig, a_and_b());
	rig->fake->in_use = true;
	for (i = 0; i < 2000; i++) {
		t_eq(learn(rig, "a.example", i, 1, 1), CP_ATTACH_DNS_LEARN_OK);
		t_true(is_open(rig, i, 80));
		now_ns += 2 * SN_NS_PER_S;
	}
	settle(rig);
	t_true(fake_count(rig->fake, slot_of(rig)->target.slot, 0) <=
	       32 * (CP_DNS_LEARNT_LAPSED_FACTOR + 2));
	t_not_null(entry_of(rig, i - 1));
	t_null(entry_of(rig, 0));
	rig_free(rig);
}

static void detaching_forgets(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome = attach_workload(rig, a_and_b());
	struct lesson lesson = { 0 };

	t_eq(learn(rig, "a.example", 1, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	ask(rig, &lesson, "b.example", 2, 1, 30);
	t_eq(detach(rig, outcome.result.id).result.code, CP_ATTACH_CODE_OK);
	TURN_UNTIL(rig, lesson.is_done);
	t_eq(rig->fake->n_rows, 0);
	(void)attach_workload(rig, a_and_b());
	t_null(entry_of(rig, 1));
	t_false(is_learnt(rig, "a.example", 1, 1));
	rig_free(rig);
}

T_MAIN("attach_learn", a_learnt_address_is_open_before_the_answer,
       names_that_no_rule_allows_are_not_learnt,
       the_modes_decide_what_is_learnt,
       the_control_plane_opens_names_in_mode_proxy_only,
       quotas_and_full_tables_are_told_apart,
       a_removed_name_closes_what_no_other_name_holds,
       a_denied_name_closes_like_a_removed_one,
       a_removed_name_closes_what_has_lapsed_too,
       a_rule_that_changes_nothing_learnt_writes_nothing,
       a_change_that_cannot_be_saved_leaves_names_as_they_were,
       every_refused_request_of_a_removal_leaves_it_undone,
       cidr_rules_and_names_share_an_entry, cidr_rules_have_room_before_names,
       a_new_policy_carries_over_what_it_allows,
       names_come_back_with_the_mode_that_learns,
       lapsed_entries_leave_when_no_flow_rests_on_them,
       lapsed_entries_do_not_fill_the_tables, detaching_forgets)
