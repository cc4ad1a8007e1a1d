/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/names.h"
#include "test/unit/test_attach_learn.h"

/* CIDR rules that deny whole networks hold against names. The addresses of
 * lessons are in 198.51.0.0/16; a prefix length that a policy has already can
 * be added to its running generation, others need a new one. */

static struct cp_policy *a_and_b(void)
{
	struct cp_policy *with =
		policy("192.0.2.0/24", "192.0.2.0/28", "192.168.0.0/16");

	with_domain(with, SN_VERDICT_ALLOW, "a.example");
	return with_domain(with, SN_VERDICT_ALLOW, "b.example");
}

/* An attachment that has learnt 1 and 2 under a.example, and under b.example
 * 2, 3 and 17 .. 20 of 198.51.0.0/24, and 256 of the next. */
struct lab {
	struct rig *rig;
	char id[CP_ATTACH_ID_CHARS + 1];
};

static const unsigned int inside[] = { 1, 2, 3, 17, 18, 19, 20 };

static struct lab lab_new(void)
{
	struct lab lab = { .rig = rig_new() };
	struct outcome outcome = attach_workload(lab.rig, a_and_b());

	memcpy(lab.id, outcome.result.id, sizeof(lab.id));
	t_eq(learn(lab.rig, "a.example", 1, 2, 300), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(lab.rig, "b.example", 2, 2, 300), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(lab.rig, "b.example", 17, 4, 300), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(lab.rig, "b.example", 256, 1, 300), CP_ATTACH_DNS_LEARN_OK);
	return lab;
}

/* Of 198.51.0.0/24 those from `from` on are closed and the others are open; what
 * is outside is open. */
static void is_closed_from(struct lab *lab, unsigned int from)
{
	struct rig *rig = lab->rig;

	for (size_t i = 0; i < SN_ARRAY_SIZE(inside); i++) {
		const char *name = inside[i] < 2 ? "a.example" : "b.example";
		bool opens = inside[i] < from;

		t_eq(is_open(rig, inside[i], 80), opens);
		t_eq(entry_of(rig, inside[i]) != NULL, opens);
		t_eq(is_learnt(rig, name, inside[i], 200), opens);
	}
	t_true(is_open(rig, 256, 80));
	t_true(is_learnt(rig, "b.example", 256, 200));
}

enum { ALL_OPEN = 256, ALL_CLOSED = 0 };

static struct outcome deny(struct lab *lab, const char *cidr)
{
	return add(lab->rig, lab->id, SN_VERDICT_DENY, cidr, 0);
}

static struct outcome allow(struct lab *lab, const char *cidr)
{
	return add(lab->rig, lab->id, SN_VERDICT_ALLOW, cidr, 0);
}

static void a_denied_network_closes_what_names_have_opened(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;
	unsigned int n_flips = rig->fake->n_flips;
	unsigned int n_narrowed = rig->fake->n_narrowed;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	is_closed_from(&lab, ALL_CLOSED);
	/* Flows are judged again behind the last entry. */
	t_true(rig->fake->n_narrowed > n_narrowed);
	t_eq(rig->fake->n_flips, n_flips);
	t_eq(learn(rig, "a.example", 1, 1, 300), CP_ATTACH_DNS_LEARN_DENIED);
	t_eq(learn(rig, "a.example", 255, 2, 300), CP_ATTACH_DNS_LEARN_DENIED);
	t_null(entry_of(rig, 1));
	/* They live on unseen. */
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/24").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	t_eq(rig->fake->n_flips, n_flips);
	rig_free(rig);
}

static void the_last_write_of_a_closing_makes_flows_be_judged_again(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;
	unsigned int n_narrowed, n_puts;

	/* So that an entry stays to be put. */
	t_eq(add_port(rig, lab.id, "198.51.0.1", 22, 0).result.code,
	     CP_ATTACH_CODE_OK);
	n_narrowed = rig->fake->n_narrowed;
	n_puts = rig->fake->n_puts;
	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	/* The rule's entry, and the address's. */
	t_eq(rig->fake->n_puts, n_puts + 2);
	t_eq(rig->fake->n_narrowed, n_narrowed + 2);
	t_eq(entry_of(rig, 1)->value.n_items, 1);
	t_true(is_open(rig, 1, 22));
	t_false(is_open(rig, 1, 80));
	rig_free(rig);
}

static void what_lapses_while_it_is_closed_stays_closed(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	now_ns += 301 * SN_NS_PER_S;
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/24").result.removed, 1);
	t_false(is_open(rig, 1, 80));
	t_false(is_learnt(rig, "a.example", 1, 0));
	cp_attach_collect_lapsed(rig->manager);
	settle(rig);
	t_null(entry_of(rig, 1));
	rig_free(rig);
}

/* Lapsed addresses have no entry that could be in use. */
static void closed_addresses_leave_the_set_when_they_lapse(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	now_ns += 301 * SN_NS_PER_S;
	rig->fake->in_use = true;
	cp_attach_collect_lapsed(rig->manager);
	settle(rig);
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/24").result.removed, 1);
	t_null(entry_of(rig, 1));
	t_not_null(entry_of(rig, 256));
	rig_free(rig);
}

static void a_more_specific_allow_opens_its_part(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	t_eq(allow(&lab, "198.51.0.0/28").result.code, CP_ATTACH_CODE_OK);
	is_closed_from(&lab, 16);
	t_eq(learn(rig, "a.example", 5, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	t_true(is_open(rig, 5, 80));
	/* What lies beyond the two says nothing inside them. */
	t_eq(deny(&lab, "198.51.0.0/16").result.code, CP_ATTACH_CODE_OK);
	t_false(is_open(rig, 256, 80));
	t_true(is_open(rig, 1, 80));
	t_false(is_open(rig, 17, 80));
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/24").result.removed, 1);
	t_true(is_open(rig, 1, 80));
	t_false(is_open(rig, 17, 80));
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/16").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/28").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	rig_free(rig);
}

static void one_rule_of_a_prefix_gives_way_to_the_other(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	is_closed_from(&lab, ALL_CLOSED);
	t_true(allow(&lab, "198.51.0.0/24").result.replaced);
	is_closed_from(&lab, ALL_OPEN);
	t_true(deny(&lab, "198.51.0.0/24").result.replaced);
	is_closed_from(&lab, ALL_CLOSED);
	/* With a TTL it is compared by length, and names are longer. */
	t_true(add(rig, lab.id, SN_VERDICT_DENY, "198.51.0.0/24", 60)
		       .result.replaced);
	is_closed_from(&lab, ALL_OPEN);
	rig_free(rig);
}

/* Ports and TTLs have the meaning that they have between CIDR rules. */
static void rules_with_ports_or_ttl_turn_no_names(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;
	struct cp_policy_rule one = rule(SN_VERDICT_DENY, "198.51.0.0/24", 0);
	struct outcome outcome = { 0 };

	one.ports[0] = (struct cp_policy_ports){ .low = 80,
						 .high = 80,
						 .protocol = IPPROTO_TCP };
	one.n_ports = 1;
	t_eq(cp_attach_add_rule(rig->manager, lab.id, &one, done, &outcome), 0);
	TURN_UNTIL(rig, outcome.is_done);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	is_closed_from(&lab, ALL_OPEN);
	t_eq(add(rig, lab.id, SN_VERDICT_DENY, "198.51.0.0/28", 60).result.code,
	     CP_ATTACH_CODE_OK);
	is_closed_from(&lab, ALL_OPEN);
	/* Nor do they open what a network's deny closes. */
	t_eq(deny(&lab, "198.51.0.0/16").result.code, CP_ATTACH_CODE_OK);
	t_false(is_open(rig, 1, 80));
	t_eq(add_port(rig, lab.id, "198.51.0.0/28", 443, 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_null(entry_of(rig, 1));
	t_eq(add(rig, lab.id, SN_VERDICT_ALLOW, "198.51.0.0/24", 60).result.code,
	     CP_ATTACH_CODE_OK);
	t_null(entry_of(rig, 1));
	rig_free(rig);
}

/* An address that a rule opens for some ports is answered; the name opens no
 * others. */
static void inside_a_denied_network_rules_alone_open(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	for (uint16_t i = 0; i < SN_ITEMS_MAX; i++)
		t_eq(add_port(rig, lab.id, "198.51.0.1", 443 + i, 0).result.code,
		     CP_ATTACH_CODE_OK);
	t_eq(add_port(rig, lab.id, "198.51.0.16/28", 443, 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(learn(rig, "a.example", 1, 1, 400), CP_ATTACH_DNS_LEARN_OK);
	t_true(is_learnt(rig, "a.example", 1, 390));
	t_false(is_open(rig, 1, 80));
	t_true(is_open(rig, 1, 443));
	t_eq(learn(rig, "b.example", 17, 2, 400), CP_ATTACH_DNS_LEARN_OK);
	t_null(entry_of(rig, 17));
	t_eq(learn(rig, "b.example", 17, 16, 400), CP_ATTACH_DNS_LEARN_DENIED);
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/24").result.removed, 1);
	t_true(is_open_in(rig, 17, 80, 390));
	rig_free(rig);
}

static void the_deny_of_a_host_closes_it_alone(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	t_eq(deny(&lab, "198.51.0.1").result.code, CP_ATTACH_CODE_OK);
	t_eq(entry_of(rig, 1)->value.n_items, 1);
	t_false(is_open(rig, 1, 80));
	t_true(is_open(rig, 2, 80));
	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	t_eq(drop_rules(rig, lab.id, "198.51.0.1").result.removed, 1);
	is_closed_from(&lab, ALL_CLOSED);
	t_eq(allow(&lab, "198.51.0.1").result.code, CP_ATTACH_CODE_OK);
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/24").result.removed, 1);
	t_eq(drop_rules(rig, lab.id, "198.51.0.1").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	rig_free(rig);
}

static void a_new_policy_has_its_own_denied_networks(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	for (int i = 0; i < 2; i++) {
		struct cp_policy *next = a_and_b();
		struct cp_policy_rule one =
			rule(SN_VERDICT_DENY, "198.51.0.0/25", 0);

		t_eq(cp_policy_add(next, &one, NULL, NULL), 0);
		t_eq(apply(rig, lab.id, next, false).result.code,
		     CP_ATTACH_CODE_OK);
		is_closed_from(&lab, ALL_CLOSED);
		t_eq(set_dns_mode(rig, lab.id, CP_DNS_MODE_DENYLIST).result.code,
		     CP_ATTACH_CODE_OK);
		is_closed_from(&lab, ALL_CLOSED);
		t_eq(apply(rig, lab.id, a_and_b(), false).result.code,
		     CP_ATTACH_CODE_OK);
		is_closed_from(&lab, ALL_OPEN);
	}
	/* Nothing of other generations is left. */
	settle(rig);
	t_eq(fake_count(rig->fake, slot_of(rig)->target.slot,
			slot_of(rig)->policy.generation),
	     fake_count(rig->fake, slot_of(rig)->target.slot, 0));
	rig_free(rig);
}

static void a_length_that_is_new_turns_names_by_a_generation(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;
	unsigned int n_flips = rig->fake->n_flips;

	t_eq(deny(&lab, "198.51.0.0/25").result.code, CP_ATTACH_CODE_OK);
	t_eq(rig->fake->n_flips, n_flips + 1);
	is_closed_from(&lab, ALL_CLOSED);
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/25").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	rig_free(rig);
}

static void everything_can_be_denied_to_names(void)
{
	struct lab lab = lab_new();

	t_eq(deny(&lab, "0.0.0.0/0").result.code, CP_ATTACH_CODE_OK);
	t_null(entry_of(lab.rig, 1));
	t_null(entry_of(lab.rig, 256));
	t_eq(drop_rules(lab.rig, lab.id, "0.0.0.0/0").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	/* The length is in the block now. */
	t_eq(deny(&lab, "0.0.0.0/0").result.code, CP_ATTACH_CODE_OK);
	t_null(entry_of(lab.rig, 256));
	t_eq(drop_rules(lab.rig, lab.id, "0.0.0.0/0").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	rig_free(lab.rig);
}

/* Failures, and what is learnt meanwhile. */

enum { STEPS_MAX = 12 };

static void add_or_remove(struct lab *lab, bool adds, struct outcome *outcome)
{
	*outcome = adds ? deny(lab, "198.51.0.0/24") :
			  drop_rules(lab->rig, lab->id, "198.51.0.0/24");
}

/* The daemon would find nothing to mend. */
static void is_settled(struct lab *lab)
{
	unsigned int n_flips;

	settle(lab->rig);
	n_flips = lab->rig->fake->n_flips;
	restart(lab->rig);
	settle(lab->rig);
	t_eq(lab->rig->fake->n_flips, n_flips);
}

/* adds: the rule is added, else removed. Some entries have to be put, others
 * deleted. */
static struct lab lab_for(bool adds)
{
	struct lab lab = lab_new();

	t_eq(add_port(lab.rig, lab.id, "198.51.0.19", 22, 0).result.code,
	     CP_ATTACH_CODE_OK);
	if (!adds)
		t_eq(deny(&lab, "198.51.0.0/24").result.code,
		     CP_ATTACH_CODE_OK);
	return lab;
}

/* Where CIDR rules leave an entry there is one in any case. */
static void is_turned(struct lab *lab, bool closed)
{
	struct rig *rig = lab->rig;

	for (size_t i = 0; i < SN_ARRAY_SIZE(inside); i++)
		t_eq(is_open(rig, inside[i], 80), !closed);
	t_true(is_open(rig, 19, 22));
	t_true(is_open(rig, 256, 80));
}

static void every_refused_request_leaves_names_as_they_were(void)
{
	for (int adds = 0; adds < 2; adds++) {
		unsigned int step;

		for (step = 1; step < STEPS_MAX; step++) {
			struct lab lab = lab_for(adds);
			struct outcome outcome;

			fake_arm(lab.rig->fake, step, -ENOMEM, 0,
				 FAKE_CUT_NONE);
			add_or_remove(&lab, adds, &outcome);
			fake_arm(lab.rig->fake, 0, 0, 0, FAKE_CUT_NONE);
			if (outcome.result.code == CP_ATTACH_CODE_OK) {
				is_turned(&lab, adds);
				rig_free(lab.rig);
				break;
			}
			t_eq(outcome.result.code, CP_ATTACH_CODE_EXHAUSTED);
			is_turned(&lab, !adds);
			is_settled(&lab);
			is_turned(&lab, !adds);
			rig_free(lab.rig);
		}
		/* The rule, then DEL (to close), PUT. */
		t_eq(step, adds ? 4 : 3);
	}
}

static void a_link_that_breaks_at_any_step_leaves_what_the_policy_says(void)
{
	for (int adds = 0; adds < 2; adds++) {
		for (unsigned int step = 1; step < 4; step++) {
			struct lab lab = lab_for(adds);
			struct cp_policy_cidr cidr =
				rule(SN_VERDICT_DENY, "198.51.0.0/24", 0).cidr;
			struct cp_policy_prefix prefix;
			struct outcome outcome;

			fake_arm(lab.rig->fake, 0, 0, step, FAKE_CUT_AFTER);
			add_or_remove(&lab, adds, &outcome);
			TURN_UNTIL(lab.rig, is_ready(lab.rig));
			settle(lab.rig);
			is_settled(&lab);
			/* Names whose entries went are lost, none is open that
			 * must not be. */
			if (cp_policy_get_prefix(
				    get_info(lab.rig, lab.id).policy, &cidr,
				    &prefix)) {
				is_turned(&lab, true);
			} else {
				t_true(is_open(lab.rig, 19, 22));
				t_true(is_open(lab.rig, 256, 80));
			}
			rig_free(lab.rig);
		}
	}
}

static void a_change_that_cannot_be_saved_turns_no_names(void)
{
	for (int adds = 0; adds < 2; adds++) {
		struct lab lab = lab_for(adds);
		struct outcome outcome;
		char path[96];

		state_folder(lab.rig, path);
		empty_folder(path);
		t_eq(rmdir(path), 0);
		add_or_remove(&lab, adds, &outcome);
		t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
		is_turned(&lab, !adds);
		if (adds)
			t_true(is_learnt(lab.rig, "a.example", 1, 200));
		t_eq(mkdir(path, 0700), 0);
		rig_free(lab.rig);
	}
}

struct race {
	struct lab lab;
	struct lesson lesson;
	bool has_begun;
};

static void begin(void *userdata)
{
	struct race *race = userdata;

	race->has_begun = true;
	ask(race->lab.rig, &race->lesson, "a.example", 40, 2, 300);
}

static void race(bool adds, bool is_saved, unsigned int step)
{
	struct race race = { .lab = lab_for(adds) };
	struct fake *fake = race.lab.rig->fake;
	struct outcome outcome;
	bool closed = adds == is_saved;
	char path[96];

	state_folder(race.lab.rig, path);
	if (!is_saved) {
		empty_folder(path);
		t_eq(rmdir(path), 0);
	}
	fake->hook = begin;
	fake->hook_userdata = &race;
	fake->hook_at = step;
	fake_arm(fake, 0, 0, 0, FAKE_CUT_NONE);
	add_or_remove(&race.lab, adds, &outcome);
	t_eq(outcome.result.code,
	     is_saved ? CP_ATTACH_CODE_OK : CP_ATTACH_CODE_INTERNAL);
	if (!race.has_begun)
		begin(&race);
	fake->hook_at = 0;
	TURN_UNTIL(race.lab.rig, race.lesson.is_done);
	is_turned(&race.lab, closed);
	for (unsigned int i = 40; i < 42; i++) {
		t_eq(entry_of(race.lab.rig, i) != NULL, !closed);
		t_eq(is_learnt(race.lab.rig, "a.example", i, 200), !closed);
	}
	t_eq(race.lesson.code,
	     closed ? CP_ATTACH_DNS_LEARN_DENIED : CP_ATTACH_DNS_LEARN_OK);
	if (!is_saved)
		t_eq(mkdir(path, 0700), 0);
	else
		is_settled(&race.lab);
	rig_free(race.lab.rig);
}

static void what_is_learnt_at_any_step_follows_the_rule(void)
{
	for (unsigned int step = 1; step < 8; step++) {
		race(true, true, step);
		race(false, true, step);
		race(true, false, step);
		race(false, false, step);
	}
}

/* Asked before the change, answered after it. */
static void an_answer_that_was_overtaken_is_denied(void)
{
	struct lab lab = lab_new();
	struct cp_policy_rule one = rule(SN_VERDICT_DENY, "198.51.0.0/24", 0);
	struct outcome outcome = { 0 };
	struct lesson lesson = { 0 };

	ask(lab.rig, &lesson, "a.example", 5, 1, 300);
	t_eq(cp_attach_add_rule(lab.rig->manager, lab.id, &one, done, &outcome),
	     0);
	TURN_UNTIL(lab.rig, outcome.is_done && lesson.is_done);
	t_eq(lesson.code, CP_ATTACH_DNS_LEARN_DENIED);
	t_null(entry_of(lab.rig, 5));
	t_false(is_learnt(lab.rig, "a.example", 5, 1));
	t_eq(drop_rules(lab.rig, lab.id, "198.51.0.0/24").result.removed, 1);
	t_true(is_open(lab.rig, 5, 80));
	rig_free(lab.rig);
}

/* Restarts. */

static void closed_names_are_known_after_a_restart(void)
{
	struct lab lab = lab_new();
	unsigned int n_flips, n_puts;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	n_flips = lab.rig->fake->n_flips;
	n_puts = lab.rig->fake->n_puts;
	for (int i = 0; i < 2; i++) {
		restart(lab.rig);
		settle(lab.rig);
		is_closed_from(&lab, ALL_CLOSED);
	}
	/* sentinel-dp goes and comes. */
	fake_hang_up(lab.rig->fake);
	TURN_UNTIL(lab.rig, !is_ready(lab.rig));
	TURN_UNTIL(lab.rig, is_ready(lab.rig));
	settle(lab.rig);
	is_closed_from(&lab, ALL_CLOSED);
	t_eq(lab.rig->fake->n_flips, n_flips);
	t_eq(lab.rig->fake->n_puts, n_puts);
	t_eq(drop_rules(lab.rig, lab.id, "198.51.0.0/24").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	is_settled(&lab);
	rig_free(lab.rig);
}

/* What a daemon that did not know this left open. */
static void an_entry_that_must_not_be_is_closed_after_a_restart(void)
{
	struct lab lab = lab_new();
	struct fake_row row = *entry_of(lab.rig, 1);

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	lab.rig->fake->rows[lab.rig->fake->n_rows++] = row;
	t_true(is_open(lab.rig, 1, 80));
	restart(lab.rig);
	settle(lab.rig);
	is_closed_from(&lab, ALL_CLOSED);
	is_settled(&lab);
	t_eq(drop_rules(lab.rig, lab.id, "198.51.0.0/24").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	rig_free(lab.rig);
}

/* As if the change of domain rules had come after the names were written. */
static void closed_names_that_rules_refuse_do_not_come_back(void)
{
	struct lab lab = lab_new();
	char kept[128];

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	restart(lab.rig);
	(void)snprintf(kept, sizeof(kept), "%s.kept", lab.rig->learnt_path);
	t_eq(link(lab.rig->learnt_path, kept), 0);
	t_eq(drop_domain(lab.rig, lab.id, "b.example").result.code,
	     CP_ATTACH_CODE_OK);
	close_daemon(lab.rig);
	t_eq(rename(kept, lab.rig->learnt_path), 0);
	open_daemon(lab.rig);
	TURN_UNTIL(lab.rig, is_ready(lab.rig));
	settle(lab.rig);
	t_eq(drop_rules(lab.rig, lab.id, "198.51.0.0/24").result.removed, 1);
	t_true(is_open(lab.rig, 1, 80));
	t_null(entry_of(lab.rig, 3));
	rig_free(lab.rig);
}

static size_t count_listed(struct lab *lab)
{
	const struct cp_attach_item *item =
		cp_attach_get(lab->rig->manager, lab->id);
	struct cp_dns_learnt_row row, next;
	size_t n = 0;

	while (cp_attach_dns_next_learnt(item, n > 0 ? &row : NULL, &next)) {
		row = next;
		n++;
	}
	return n;
}

static void what_is_closed_is_not_listed(void)
{
	struct lab lab = lab_new();

	t_eq(count_listed(&lab), 9);
	t_eq(deny(&lab, "198.51.0.0/28").result.code, CP_ATTACH_CODE_OK);
	t_eq(count_listed(&lab), 5);
	t_eq(deny(&lab, "198.51.0.0/16").result.code, CP_ATTACH_CODE_OK);
	t_eq(count_listed(&lab), 0);
	rig_free(lab.rig);
}

static enum cp_attach_dns_say say(struct lab *lab, unsigned int i)
{
	struct cp_dns_address address = address_of(i);

	return cp_attach_dns_judge(cp_attach_get(lab->rig->manager, lab->id),
				   &address, now_ns);
}

static void rules_say_which_addresses_may_be_answered(void)
{
	struct lab lab = lab_new();

	t_eq(say(&lab, 1), CP_ATTACH_DNS_SAY_NOTHING);
	t_eq(deny(&lab, "198.51.0.0/16").result.code, CP_ATTACH_CODE_OK);
	t_eq(say(&lab, 1), CP_ATTACH_DNS_SAY_DENIES);
	t_eq(add_port(lab.rig, lab.id, "198.51.0.0/24", 443, 60).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(say(&lab, 1), CP_ATTACH_DNS_SAY_OPENS);
	t_eq(say(&lab, 256), CP_ATTACH_DNS_SAY_DENIES);
	now_ns += 61 * SN_NS_PER_S;
	t_eq(say(&lab, 1), CP_ATTACH_DNS_SAY_DENIES);
	t_eq(add(lab.rig, lab.id, SN_VERDICT_DENY, "198.51.0.0/24", 60)
		     .result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(say(&lab, 1), CP_ATTACH_DNS_SAY_DENIES);
	t_eq(allow(&lab, "198.51.0.0/16").result.code, CP_ATTACH_CODE_OK);
	t_eq(say(&lab, 1), CP_ATTACH_DNS_SAY_NOTHING);
	t_eq(say(&lab, 256), CP_ATTACH_DNS_SAY_OPENS);
	rig_free(lab.rig);
}

T_MAIN("attach_learn_deny", a_denied_network_closes_what_names_have_opened,
       the_last_write_of_a_closing_makes_flows_be_judged_again,
       what_lapses_while_it_is_closed_stays_closed,
       closed_addresses_leave_the_set_when_they_lapse,
       a_more_specific_allow_opens_its_part,
       one_rule_of_a_prefix_gives_way_to_the_other,
       rules_with_ports_or_ttl_turn_no_names,
       inside_a_denied_network_rules_alone_open,
       the_deny_of_a_host_closes_it_alone,
       a_new_policy_has_its_own_denied_networks,
       a_length_that_is_new_turns_names_by_a_generation,
       everything_can_be_denied_to_names,
       every_refused_request_leaves_names_as_they_were,
       a_link_that_breaks_at_any_step_leaves_what_the_policy_says,
       a_change_that_cannot_be_saved_turns_no_names,
       what_is_learnt_at_any_step_follows_the_rule,
       an_answer_that_was_overtaken_is_denied,
       closed_names_are_known_after_a_restart,
       an_entry_that_must_not_be_is_closed_after_a_restart,
       closed_names_that_rules_refuse_do_not_come_back,
       what_is_closed_is_not_listed, rules_say_which_addresses_may_be_answered)
