/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/rules.h"

#include "test/unit/test_attach_deny.h"

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

T_MAIN("attach_deny_race", every_refused_request_leaves_names_as_they_were,
       a_link_that_breaks_at_any_step_leaves_what_the_policy_says,
       a_change_that_cannot_be_saved_turns_no_names,
       what_is_learnt_at_any_step_follows_the_rule,
       an_answer_that_was_overtaken_is_denied,
       closed_names_are_known_after_a_restart,
       an_entry_that_must_not_be_is_closed_after_a_restart,
       closed_names_that_rules_refuse_do_not_come_back)
