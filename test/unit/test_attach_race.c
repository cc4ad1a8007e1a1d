/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/dns.h"

#include "test/unit/test_attach_learn.h"

/* What is learnt while something else is under way, at every step of it. The
 * names: `both` stays allowed, `old` and `new` are allowed before and after. */

enum { STEPS_MAX = 40, N_ASKED = 3 };

static const char *const names[N_ASKED] = { "both.example", "old.example",
					    "new.example" };

struct race {
	struct rig *rig;
	struct lesson lessons[N_ASKED];
	bool has_begun;
};

/* Each name has ten addresses of its own, the first of which has a CIDR rule
 * of its own as well. */
static void begin(void *userdata)
{
	struct race *race = userdata;

	race->has_begun = true;
	for (unsigned int i = 0; i < N_ASKED; i++)
		ask(race->rig, &race->lessons[i], names[i], 10 * i, 10, 100);
}

static bool is_over(const struct race *race)
{
	for (unsigned int i = 0; i < N_ASKED; i++) {
		if (!race->lessons[i].is_done)
			return false;
	}
	return true;
}

static struct cp_policy *before(void)
{
	struct cp_policy *with = policy("10.0.0.0/8", "198.51.0.0", NULL);

	with_domain(with, SN_VERDICT_ALLOW, names[0]);
	return with_domain(with, SN_VERDICT_ALLOW, names[1]);
}

static struct cp_policy *after(void)
{
	struct cp_policy *with =
		policy("198.51.0.10", "198.51.0.20", "198.51.0.0");
	struct cp_policy_rule rule = { .verdict = SN_VERDICT_ALLOW,
				       .owner = CP_POLICY_OWNER_LOCAL,
				       .cidr = { .family = SN_FAMILY_IPV4,
						 .address = { 10 },
						 .length = 32 } };

	/* More than one record of rows. */
	for (unsigned int i = 0; i < 900; i++) {
		rule.cidr.address[2] = (uint8_t)(i >> 8);
		rule.cidr.address[3] = (uint8_t)i;
		t_eq(cp_policy_add(with, &rule, NULL, NULL), 0);
	}
	with_domain(with, SN_VERDICT_ALLOW, names[0]);
	return with_domain(with, SN_VERDICT_ALLOW, names[2]);
}

/* What was answered is open, if the policy allows it still; nothing that it
 * does not allow is. */
static void holds(struct race *race, bool is_new)
{
	struct rig *rig = race->rig;

	for (unsigned int i = 0; i < N_ASKED; i++) {
		bool is_allowed = i == 0 || (i == 2) == is_new;
		bool is_ok = race->lessons[i].code == CP_ATTACH_DNS_LEARN_OK;

		for (unsigned int k = 1; k < 10; k++) {
			if (is_ok && is_allowed)
				t_true(is_open_in(rig, 10 * i + k, 80, 99));
			if (!is_allowed)
				t_null(entry_of(rig, 10 * i + k));
		}
		if (is_ok && is_allowed)
			t_true(is_learnt(rig, names[i], 10 * i, 99));
	}
	/* By its CIDR rule. */
	t_true(is_open_in(rig, 0, 80, 1000));
}

/* The daemon would find nothing to mend. */
static void is_settled(struct rig *rig)
{
	unsigned int n_flips;

	settle(rig);
	n_flips = rig->fake->n_flips;
	restart(rig);
	settle(rig);
	t_eq(rig->fake->n_flips, n_flips);
}

static struct race *race_new(unsigned int step)
{
	struct race *race = calloc(1, sizeof(*race));

	t_not_null(race);
	race->rig = rig_new();
	(void)attach_workload(race->rig, before());
	settle(race->rig);
	race->rig->fake->hook = begin;
	race->rig->fake->hook_userdata = race;
	race->rig->fake->hook_at = step;
	fake_arm(race->rig->fake, 0, 0, 0, FAKE_CUT_NONE);
	return race;
}

static void race_free(struct race *race)
{
	rig_free(race->rig);
	free(race);
}

static void learning_goes_on_through_an_exchange_of_policies(void)
{
	unsigned int step;

	for (step = 1; step < STEPS_MAX; step++) {
		struct race *race = race_new(step);
		struct rig *rig = race->rig;
		struct cp_attach_info info;

		cp_attach_info_get(cp_attach_get_next(rig->manager, NULL),
				   &info);
		t_eq(apply(rig, info.id, after(), false).result.code,
		     CP_ATTACH_CODE_OK);
		settle(rig);
		if (!race->has_begun) {
			race_free(race);
			break;
		}
		TURN_UNTIL(rig, is_over(race));
		t_eq(race->lessons[0].code, CP_ATTACH_DNS_LEARN_OK);
		holds(race, true);
		is_settled(rig);
		race_free(race);
	}
	t_true(step > 4 && step < STEPS_MAX);
}

static void learning_goes_on_through_an_exchange_that_fails(void)
{
	unsigned int step, fail;

	for (fail = 1; fail < STEPS_MAX; fail++) {
		bool has_failed = false;

		for (step = 1; step <= fail; step++) {
			struct race *race = race_new(step);
			struct rig *rig = race->rig;
			struct cp_attach_info info;
			struct outcome outcome;

			cp_attach_info_get(
				cp_attach_get_next(rig->manager, NULL), &info);
			fake_arm(rig->fake, fail, -ENOMEM, 0, FAKE_CUT_NONE);
			outcome = apply(rig, info.id, after(), false);
			TURN_UNTIL(rig, !race->has_begun || is_over(race));
			settle(rig);
			if (race->has_begun)
				holds(race,
				      outcome.result.code == CP_ATTACH_CODE_OK);
			has_failed |= outcome.result.code != CP_ATTACH_CODE_OK;
			race_free(race);
		}
		if (!has_failed)
			break;
	}
	t_true(fail > 2 && fail < STEPS_MAX);
}

/* The state file cannot be written: the policy before is put back, with what
 * was learnt since the new one was in force. */
static void going_back_keeps_what_was_learnt_meanwhile(void)
{
	unsigned int step;

	for (step = 1; step < STEPS_MAX; step++) {
		struct race *race = race_new(step);
		struct rig *rig = race->rig;
		struct cp_attach_info info;
		char path[96];

		state_folder(rig, path);
		empty_folder(path);
		t_eq(rmdir(path), 0);
		cp_attach_info_get(cp_attach_get_next(rig->manager, NULL),
				   &info);
		t_eq(apply(rig, info.id, after(), false).result.code,
		     CP_ATTACH_CODE_INTERNAL);
		settle(rig);
		t_eq(mkdir(path, 0700), 0);
		if (!race->has_begun) {
			race_free(race);
			break;
		}
		TURN_UNTIL(rig, is_over(race));
		t_eq(race->lessons[0].code, CP_ATTACH_DNS_LEARN_OK);
		holds(race, false);
		race_free(race);
	}
	t_true(step > 4 && step < STEPS_MAX);
}

/* The link breaks: an answer OK holds, all else was refused. */
static void a_broken_link_ends_what_is_under_way(void)
{
	unsigned int step;

	for (step = 1; step < STEPS_MAX; step++) {
		for (int cut = FAKE_CUT_BEFORE; cut <= FAKE_CUT_AFTER; cut++) {
			struct race *race = race_new(1);
			struct rig *rig = race->rig;
			struct outcome outcome = { 0 };
			struct cp_attach_info info;
			bool is_new;

			cp_attach_info_get(
				cp_attach_get_next(rig->manager, NULL), &info);
			fake_arm(rig->fake, 0, 0, step, (enum fake_cut)cut);
			t_eq(cp_attach_apply(rig->manager, info.id, after(),
					     false, done, &outcome),
			     0);
			TURN_UNTIL(rig, outcome.is_done && is_over(race) &&
						is_ready(rig));
			settle(rig);
			TURN_UNTIL(rig, is_ready(rig));
			is_new = outcome.result.code == CP_ATTACH_CODE_OK;
			for (unsigned int i = 0; i < N_ASKED; i++)
				t_true(race->lessons[i].code !=
				       CP_ATTACH_DNS_LEARN_FULL);
			holds(race, is_new);
			is_settled(rig);
			race_free(race);
		}
	}
}

/* Entries of a name that is removed are never written again behind it. */
static void a_learn_and_a_removal_do_not_cross(void)
{
	unsigned int step;

	for (step = 1; step < STEPS_MAX; step++) {
		struct race *race = race_new(step);
		struct rig *rig = race->rig;
		struct cp_attach_info info;

		t_eq(learn(rig, names[1], 10, 10, 50), CP_ATTACH_DNS_LEARN_OK);
		t_eq(learn(rig, names[0], 19, 1, 50), CP_ATTACH_DNS_LEARN_OK);
		fake_arm(rig->fake, 0, 0, 0, FAKE_CUT_NONE);
		race->has_begun = false;
		memset(race->lessons, 0, sizeof(race->lessons));
		cp_attach_info_get(cp_attach_get_next(rig->manager, NULL),
				   &info);
		t_eq(drop_domain(rig, info.id, names[1]).result.code,
		     CP_ATTACH_CODE_OK);
		settle(rig);
		if (!race->has_begun) {
			race_free(race);
			break;
		}
		TURN_UNTIL(rig, is_over(race));
		t_eq(race->lessons[0].code, CP_ATTACH_DNS_LEARN_OK);
		t_eq(race->lessons[1].code, CP_ATTACH_DNS_LEARN_DENIED);
		for (unsigned int k = 0; k < 9; k++)
			t_null(entry_of(rig, 10 + k));
		/* It is both's too. */
		t_true(is_open(rig, 19, 80));
		is_settled(rig);
		race_free(race);
	}
	t_eq(step, 3); /* DEL, PUT */
}

/* The state file cannot be written: what was asked for under the rule meanwhile
 * is not opened by it. */
static void nothing_is_learnt_under_a_rule_that_is_not_saved(void)
{
	struct race *race = race_new(0);
	struct rig *rig = race->rig;
	struct cp_dns_rule rule = domain(SN_VERDICT_ALLOW, names[2]);
	struct cp_attach_info info;
	struct outcome outcome = { 0 };
	char path[96];

	state_folder(rig, path);
	empty_folder(path);
	t_eq(rmdir(path), 0);
	cp_attach_info_get(cp_attach_get_next(rig->manager, NULL), &info);
	t_eq(cp_attach_dns_add_domain(rig->manager, info.id, &rule, done,
				      &outcome),
	     0);
	TURN_UNTIL(rig,
		   cp_dns_rules_count(cp_policy_get_domains(info.policy)) == 3);
	begin(race);
	TURN_UNTIL(rig, outcome.is_done && is_over(race));
	t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
	t_eq(race->lessons[0].code, CP_ATTACH_DNS_LEARN_OK);
	t_eq(race->lessons[2].code, CP_ATTACH_DNS_LEARN_DENIED);
	holds(race, false);
	t_eq(mkdir(path, 0700), 0);
	race_free(race);
}

/* A CIDR rule that the kernel has no room for is in nobody's entry. */
static void a_rule_that_fails_is_not_in_the_entry_of_a_name(void)
{
	struct race *race = race_new(1);
	struct rig *rig = race->rig;
	struct cp_attach_info info;

	cp_attach_info_get(cp_attach_get_next(rig->manager, NULL), &info);
	fake_arm(rig->fake, 1, -ENOSPC, 0, FAKE_CUT_NONE);
	t_eq(add_port(rig, info.id, "198.51.0.1", 22, 0).result.code,
	     CP_ATTACH_CODE_EXHAUSTED);
	TURN_UNTIL(rig, is_over(race));
	t_eq(race->lessons[0].code, CP_ATTACH_DNS_LEARN_OK);
	t_eq(entry_of(rig, 1)->value.n_items, 1);
	is_settled(rig);
	race_free(race);
}

/* None overwrites what another has written. */
static void learns_of_one_address_add_up(void)
{
	struct rig *rig = rig_new();
	struct cp_policy *with = policy(NULL, NULL, NULL);
	struct lesson lessons[SN_ITEMS_MAX] = { { 0 } };
	char text[32];

	for (unsigned int i = 0; i < SN_ITEMS_MAX; i++) {
		struct cp_dns_rule rule;

		(void)snprintf(text, sizeof(text), "n%u.example", i);
		rule = domain_port(SN_VERDICT_ALLOW, text, (uint16_t)(i + 1));
		t_eq(cp_policy_add_domain(with, &rule, NULL, NULL), 0);
	}
	(void)attach_workload(rig, with);
	for (unsigned int i = 0; i < SN_ITEMS_MAX; i++) {
		(void)snprintf(text, sizeof(text), "n%u.example", i);
		ask(rig, &lessons[i], text, 1, 1, 30);
	}
	TURN_UNTIL(rig, lessons[SN_ITEMS_MAX - 1].is_done);
	for (unsigned int i = 0; i < SN_ITEMS_MAX; i++) {
		t_eq(lessons[i].code, CP_ATTACH_DNS_LEARN_OK);
		t_true(i == 0 || lessons[i].order > lessons[i - 1].order);
		t_true(is_open(rig, 1, (uint16_t)(i + 1)));
	}
	is_settled(rig);
	rig_free(rig);
}

static void too_many_learns_are_refused_and_the_rest_is_answered(void)
{
	struct rig *rig = rig_new();
	struct cp_dns_name name = name_of(names[0]);
	struct cp_dns_address address = address_of(1);
	struct cp_attach_dns_learn request = {
		.name = &name,
		.addresses = &address,
		.n_addresses = 1,
		.life_ns = SN_NS_PER_S,
	};
	static struct lesson lessons[2000];
	unsigned int n = 0;
	int r = 0;

	(void)attach_workload(rig, before());
	request.slot = slot_of(rig)->target.slot;
	while (r == 0 && n < SN_ARRAY_SIZE(lessons)) {
		r = cp_attach_dns_learn(rig->manager, &request, learnt,
					&lessons[n]);
		n += r == 0;
	}
	t_eq(r, -ENOBUFS);
	/* Nobody else is kept out. */
	request.slot++;
	t_eq(cp_attach_dns_learn(rig->manager, &request, learnt, &lessons[n]),
	     0);
	TURN_UNTIL(rig, lessons[n].is_done && lessons[n - 1].is_done);
	t_eq(lessons[n].code, CP_ATTACH_DNS_LEARN_UNAVAILABLE);
	for (unsigned int i = 0; i < n; i++)
		t_eq(lessons[i].code, CP_ATTACH_DNS_LEARN_OK);
	rig_free(rig);
}

static void learns_end_with_the_daemon(void)
{
	struct race *race = race_new(0);
	struct rig *rig = race->rig;

	begin(race);
	close_daemon(rig);
	t_true(is_over(race));
	t_eq(race->lessons[0].code, CP_ATTACH_DNS_LEARN_UNAVAILABLE);
	open_daemon(rig);
	TURN_UNTIL(rig, is_ready(rig));
	race_free(race);
}

T_MAIN("attach_race", learning_goes_on_through_an_exchange_of_policies,
       learning_goes_on_through_an_exchange_that_fails,
       going_back_keeps_what_was_learnt_meanwhile,
       a_broken_link_ends_what_is_under_way, a_learn_and_a_removal_do_not_cross,
       nothing_is_learnt_under_a_rule_that_is_not_saved,
       a_rule_that_fails_is_not_in_the_entry_of_a_name,
       learns_of_one_address_add_up,
       too_many_learns_are_refused_and_the_rest_is_answered,
       learns_end_with_the_daemon)
