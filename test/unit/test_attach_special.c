/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/dns.h"

#include "test/unit/test_attach_learn.h"

/* Special addresses are open to names as long as a CIDR rule, or allow_private,
 * lets them. The lessons are of 10.0.0.0/16 and of an ordinary address. */

struct lab {
	struct rig *rig;
	char id[CP_ATTACH_ID_CHARS + 1];
};

/* The lengths /8 and /16 are in the block, /8 also without 10.0.0.0/8. */
static struct cp_policy *names_and(const char *cidr, bool allow_private)
{
	struct cp_policy *with = policy("11.0.0.0/8", "192.168.0.0/16", cidr);
	struct cp_dns_settings dns = { .allow_private = allow_private };

	cp_policy_put_dns(with, &dns);
	return with_domain(with, SN_VERDICT_ALLOW, "a.example");
}

static struct lab lab_new(const char *cidr, bool allow_private)
{
	struct lab lab = { .rig = rig_new() };
	struct outcome outcome =
		attach_workload(lab.rig, names_and(cidr, allow_private));

	memcpy(lab.id, outcome.result.id, sizeof(lab.id));
	t_eq(learn(lab.rig, "a.example", 1, 1, 300), CP_ATTACH_DNS_LEARN_OK);
	return lab;
}

static enum cp_attach_dns_say say(struct lab *lab, unsigned int i)
{
	struct cp_dns_address address = address_of(i);

	return cp_attach_dns_judge(cp_attach_get(lab->rig->manager, lab->id),
				   &address, now_ns);
}

static void is_shut(struct lab *lab, unsigned int i)
{
	t_null(entry_of(lab->rig, i));
	t_false(is_learnt(lab->rig, "a.example", i, 200));
	t_eq(say(lab, i), CP_ATTACH_DNS_SAY_DENIES);
	t_eq(learn(lab->rig, "a.example", i, 1, 300),
	     CP_ATTACH_DNS_LEARN_DENIED);
	t_true(is_open(lab->rig, 1, 80));
}

static void names_lose_what_the_rule_let_them_open(void)
{
	struct lab lab = lab_new("10.0.0.0/8", false);
	struct rig *rig = lab.rig;
	unsigned int n_flips = rig->fake->n_flips, n_narrowed;

	t_eq(learn(rig, "a.example", SPECIAL + 1, 2, 300),
	     CP_ATTACH_DNS_LEARN_OK);
	t_true(is_open(rig, SPECIAL + 1, 80));
	n_narrowed = rig->fake->n_narrowed;
	t_eq(drop_rules(rig, lab.id, "10.0.0.0/8").result.removed, 1);
	/* Flows are judged again behind the last entry. */
	t_true(rig->fake->n_narrowed > n_narrowed + 1);
	is_shut(&lab, SPECIAL + 1);
	is_shut(&lab, SPECIAL + 2);
	/* They live on unseen, over restarts too. */
	restart(rig);
	settle(rig);
	is_shut(&lab, SPECIAL + 1);
	t_eq(add(rig, lab.id, SN_VERDICT_ALLOW, "10.0.0.0/8", 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_true(is_open(rig, SPECIAL + 1, 80));
	t_true(is_learnt(rig, "a.example", SPECIAL + 1, 200));
	t_eq(rig->fake->n_flips, n_flips);
	rig_free(rig);
}

static void a_rule_for_ports_lets_names_open_as_well(void)
{
	struct lab lab = lab_new(NULL, false);
	struct rig *rig = lab.rig;

	is_shut(&lab, SPECIAL + 1);
	t_eq(add_port(rig, lab.id, "10.0.0.0/16", 443, 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(learn(rig, "a.example", SPECIAL + 1, 1, 300),
	     CP_ATTACH_DNS_LEARN_OK);
	t_true(is_open(rig, SPECIAL + 1, 80));
	/* As long as there is one. */
	t_eq(add_port(rig, lab.id, "10.0.0.0/8", 443, 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(drop_rules(rig, lab.id, "10.0.0.0/16").result.removed, 1);
	t_true(is_open(rig, SPECIAL + 1, 80));
	t_eq(drop_rules(rig, lab.id, "10.0.0.0/8").result.removed, 1);
	is_shut(&lab, SPECIAL + 1);
	rig_free(rig);
}

/* Its end would have to be that of what names have opened. */
static void a_rule_with_a_ttl_opens_by_itself(void)
{
	struct lab lab = lab_new(NULL, false);
	struct rig *rig = lab.rig;

	t_eq(add(rig, lab.id, SN_VERDICT_ALLOW, "10.0.0.0/16", 60).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(say(&lab, SPECIAL + 1), CP_ATTACH_DNS_SAY_OPENS);
	t_eq(learn(rig, "a.example", SPECIAL + 1, 1, 300),
	     CP_ATTACH_DNS_LEARN_OK);
	t_null(entry_of(rig, SPECIAL + 1));
	t_true(is_learnt(rig, "a.example", SPECIAL + 1, 200));
	now_ns += 61 * SN_NS_PER_S;
	is_shut(&lab, SPECIAL + 1);
	rig_free(rig);
}

static void a_new_policy_says_it_anew(void)
{
	struct lab lab = lab_new(NULL, true);
	struct rig *rig = lab.rig;

	t_eq(learn(rig, "a.example", SPECIAL + 1, 1, 300),
	     CP_ATTACH_DNS_LEARN_OK);
	t_true(is_open(rig, SPECIAL + 1, 80));
	t_eq(apply(rig, lab.id, names_and(NULL, false), false).result.code,
	     CP_ATTACH_CODE_OK);
	is_shut(&lab, SPECIAL + 1);
	t_eq(apply(rig, lab.id, names_and("10.0.0.0/24", false), false)
		     .result.code,
	     CP_ATTACH_CODE_OK);
	t_true(is_open(rig, SPECIAL + 1, 80));
	t_eq(apply(rig, lab.id, names_and("10.0.1.0/24", false), false)
		     .result.code,
	     CP_ATTACH_CODE_OK);
	is_shut(&lab, SPECIAL + 1);
	t_eq(apply(rig, lab.id, names_and(NULL, true), false).result.code,
	     CP_ATTACH_CODE_OK);
	t_true(is_open(rig, SPECIAL + 1, 80));
	rig_free(rig);
}

/* It may have given them, whatever the policy says of others. */
static void what_the_control_plane_may_have_opened_stays(void)
{
	struct lab lab = lab_new("10.0.0.0/8", false);
	struct rig *rig = lab.rig;

	t_eq(set_dns_mode(rig, lab.id, CP_DNS_MODE_PROXY).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(learn(rig, "a.example", SPECIAL + 1, 1, 300),
	     CP_ATTACH_DNS_LEARN_OK);
	t_eq(drop_rules(rig, lab.id, "10.0.0.0/8").result.removed, 1);
	t_true(is_open(rig, SPECIAL + 1, 80));
	t_eq(set_dns_mode(rig, lab.id, CP_DNS_MODE_ALLOWLIST).result.code,
	     CP_ATTACH_CODE_OK);
	is_shut(&lab, SPECIAL + 1);
	rig_free(rig);
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
	ask(race->lab.rig, &race->lesson, "a.example", SPECIAL + 1, 1, 300);
}

/* The state file's folder is not there. */
static void a_rule_that_cannot_be_saved_leaves_nothing_open(void)
{
	for (unsigned int step = 1; step < 8; step++) {
		struct race race = { .lab = lab_new(NULL, false) };
		struct rig *rig = race.lab.rig;
		char path[96];

		state_folder(rig, path);
		empty_folder(path);
		t_eq(rmdir(path), 0);
		rig->fake->hook = begin;
		rig->fake->hook_userdata = &race;
		rig->fake->hook_at = step;
		fake_arm(rig->fake, 0, 0, 0, FAKE_CUT_NONE);
		t_eq(add(rig, race.lab.id, SN_VERDICT_ALLOW, "10.0.0.0/16", 0)
			     .result.code,
		     CP_ATTACH_CODE_INTERNAL);
		if (!race.has_begun)
			begin(&race);
		rig->fake->hook_at = 0;
		TURN_UNTIL(rig, race.lesson.is_done);
		t_eq(race.lesson.code, CP_ATTACH_DNS_LEARN_DENIED);
		is_shut(&race.lab, SPECIAL + 1);
		t_eq(mkdir(path, 0700), 0);
		rig_free(rig);
	}
}

T_MAIN("attach_special", names_lose_what_the_rule_let_them_open,
       a_rule_for_ports_lets_names_open_as_well,
       a_rule_with_a_ttl_opens_by_itself, a_new_policy_says_it_anew,
       what_the_control_plane_may_have_opened_stays,
       a_rule_that_cannot_be_saved_leaves_nothing_open)
