/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/remote.h"

#include "test/unit/test_attach_rig.h"

/* A change of the control plane's; waits for the answer. */
static struct outcome change(struct rig *rig, const char *id, uint64_t revision,
			     enum cp_attach_remote_kind kind,
			     const struct cp_attach_remote_change *like)
{
	struct cp_attach_remote_change wanted = { .kind = kind };
	struct outcome outcome = { 0 };

	if (like)
		wanted = *like;
	wanted.kind = kind;
	wanted.revision = revision;
	(void)snprintf(wanted.id, sizeof(wanted.id), "%s", id);
	t_eq(cp_attach_remote_submit(rig->manager, &wanted, done, &outcome), 0);
	TURN_UNTIL(rig, outcome.is_done);
	settle(rig);
	return outcome;
}

/* Up to two prefixes that the control plane allows. */
static struct outcome update(struct rig *rig, const char *id, uint64_t revision,
			     const char *a, const char *b)
{
	struct cp_attach_remote_change like = { 0 };
	const char *cidrs[] = { a, b };

	t_eq(cp_policy_new(&like.policy, 1000), 0);
	for (size_t i = 0; i < SN_ARRAY_SIZE(cidrs); i++) {
		struct cp_policy_rule one;

		if (!cidrs[i])
			continue;
		one = rule(SN_VERDICT_ALLOW, cidrs[i], 0);
		one.owner = CP_POLICY_OWNER_REMOTE;
		t_eq(cp_policy_add(like.policy, &one, NULL, NULL), 0);
	}
	return change(rig, id, revision, CP_ATTACH_REMOTE_UPDATE, &like);
}

static struct outcome allow(struct rig *rig, const char *id, uint64_t revision,
			    const char *cidr)
{
	struct cp_attach_remote_change like = {
		.rule = rule(SN_VERDICT_ALLOW, cidr, 0),
	};

	like.rule.owner = CP_POLICY_OWNER_REMOTE;
	return change(rig, id, revision, CP_ATTACH_REMOTE_ADD_RULE, &like);
}

static uint64_t revision_of(struct rig *rig, const char *id)
{
	return cp_attach_remote_revision(cp_attach_get(rig->manager, id));
}

static bool is_held(struct rig *rig, const char *id)
{
	return cp_attach_remote_is_held(cp_attach_get(rig->manager, id));
}

/* An attachment that the control plane has spoken for, at revision 1. */
static void take_over(struct rig *rig, char id[CP_ATTACH_ID_CHARS + 1])
{
	struct outcome outcome =
		attach(rig, policy("10.0.0.0/8", "192.0.2.1", NULL));

	memcpy(id, outcome.result.id, CP_ATTACH_ID_CHARS + 1);
	cp_attach_remote_start(rig->manager, true);
	outcome = update(rig, id, 1, "203.0.113.1", NULL);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	t_eq(outcome.result.revision, 1);
	t_eq(get_info(rig, id).n_rules, 3);
	agrees(rig, id);
}

static void an_update_replaces_the_remote_rules_alone(void)
{
	struct rig *rig = rig_new();
	const struct cp_policy_rule *one;
	char id[CP_ATTACH_ID_CHARS + 1];
	size_t cursor = 0;
	struct outcome outcome;

	take_over(rig, id);
	outcome = add(rig, id, SN_VERDICT_ALLOW, "198.51.100.7", 100);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	now_ns += 40 * SN_NS_PER_S;
	outcome = update(rig, id, 2, "203.0.113.2", NULL);
	t_eq(outcome.result.added, 1);
	t_eq(outcome.result.removed, 1);
	t_eq(outcome.result.unchanged, 3);
	agrees(rig, id);
	while ((one = cp_policy_walk_rules(get_info(rig, id).policy,
					   &cursor))) {
		if (one->ttl_s) /* its life went on */
			t_eq(one->expires_ns, now_ns + 60 * SN_NS_PER_S);
		t_eq(one->owner == CP_POLICY_OWNER_REMOTE,
		     one->cidr.address[0] == 203);
	}
	rig_free(rig);
}

static void what_is_not_above_the_revision_is_not_done(void)
{
	struct rig *rig = rig_new();
	char id[CP_ATTACH_ID_CHARS + 1];
	struct outcome outcome;

	take_over(rig, id);
	outcome = allow(rig, id, 5, "203.0.113.5");
	t_eq(outcome.result.revision, 5);
	t_false(outcome.result.is_repeated);
	outcome = update(rig, id, 5, NULL, NULL);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	t_true(outcome.result.is_repeated);
	outcome = change(rig, id, 4, CP_ATTACH_REMOTE_DETACH, NULL);
	t_true(outcome.result.is_repeated);
	t_eq(get_info(rig, id).n_rules, 4);
	/* What finds nothing to do has a revision too, kept over a restart. */
	outcome = change(rig, id, 6, CP_ATTACH_REMOTE_REMOVE_RULES,
			 &(struct cp_attach_remote_change){
				 .rule = rule(SN_VERDICT_ALLOW, "9.9.9.9", 0),
			 });
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	restart(rig);
	t_eq(revision_of(rig, id), 6);
	outcome = allow(rig, id, 6, "203.0.113.6");
	t_true(outcome.result.is_repeated);
	agrees(rig, id);
	rig_free(rig);
}

static void what_failed_does_not_count(void)
{
	struct rig *rig = rig_new();
	char id[CP_ATTACH_ID_CHARS + 1], path[96];
	struct outcome outcome;

	take_over(rig, id);
	state_folder(rig, path);
	empty_folder(path);
	t_eq(rmdir(path), 0);
	outcome = update(rig, id, 2, "203.0.113.2", NULL);
	t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
	t_eq(revision_of(rig, id), 1);
	outcome = allow(rig, id, 2, "203.0.113.3");
	t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
	outcome = change(rig, id, 2, CP_ATTACH_REMOTE_ACK, NULL);
	t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
	t_eq(revision_of(rig, id), 1);
	t_eq(get_info(rig, id).n_rules, 3);
	agrees(rig, id);
	t_eq(mkdir(path, 0700), 0);
	rig_free(rig);
}

static void local_settings_are_refused_and_local_rules_as_configured(void)
{
	struct rig *rig = rig_new();
	char id[CP_ATTACH_ID_CHARS + 1];
	struct outcome outcome;

	take_over(rig, id);
	outcome = set_mode(rig, id, SN_MODE_DISABLED, false);
	t_eq(outcome.result.code, CP_ATTACH_CODE_PRECONDITION);
	outcome = apply(rig, id, policy(NULL, NULL, NULL), false);
	t_eq(outcome.result.code, CP_ATTACH_CODE_PRECONDITION);
	outcome = add(rig, id, SN_VERDICT_ALLOW, "198.51.100.7", 0);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	cp_attach_remote_start(rig->manager, false);
	outcome = add(rig, id, SN_VERDICT_ALLOW, "198.51.100.8", 0);
	t_eq(outcome.result.code, CP_ATTACH_CODE_PRECONDITION);
	outcome = drop_rules(rig, id, "198.51.100.7");
	t_eq(outcome.result.code, CP_ATTACH_CODE_PRECONDITION);
	/* Then an update leaves nothing of theirs. */
	outcome = update(rig, id, 2, "203.0.113.2", NULL);
	t_eq(get_info(rig, id).n_rules, 1);
	agrees(rig, id);
	rig_free(rig);
}

/* Attaches under a control plane; the answer is kept back. */
static void attach_held(struct rig *rig, struct outcome *outcome,
			struct cp_policy *with, char id[CP_ATTACH_ID_CHARS + 1])
{
	struct cp_attach_request request = {
		.type = SN_TARGET_TC,
		.target = "lo",
		.policy = with,
	};
	struct cp_attach_info info;

	cp_attach_remote_start(rig->manager, true);
	t_eq(cp_attach_add(rig->manager, &request, done, outcome), 0);
	TURN_UNTIL(rig, cp_attach_get_next(rig->manager, NULL));
	settle(rig);
	t_false(outcome->is_done);
	cp_attach_info_get(cp_attach_get_next(rig->manager, NULL), &info);
	memcpy(id, info.id, CP_ATTACH_ID_CHARS + 1);
	t_true(is_held(rig, id));
	t_eq(slot_of(rig)->policy.mode, SN_MODE_BLOCK_ALL);
}

static struct cp_policy *audited(void)
{
	struct cp_policy *with = policy("10.0.0.0/8", NULL, NULL);
	struct cp_policy_settings settings = cp_policy_get_settings(with);

	settings.mode = SN_MODE_DENYLIST;
	settings.audit = true;
	cp_policy_put_settings(with, &settings);
	return with;
}

static void a_new_attachment_is_closed_until_a_mode_is_stated(void)
{
	struct rig *rig = rig_new();
	char id[CP_ATTACH_ID_CHARS + 1];
	struct outcome outcome = { 0 }, other;

	attach_held(rig, &outcome, audited(), id);
	t_false(slot_of(rig)->policy.audit);
	other = allow(rig, id, 1, "203.0.113.1");
	t_eq(other.result.code, CP_ATTACH_CODE_OK);
	t_true(is_held(rig, id));
	t_false(outcome.is_done);
	t_eq(slot_of(rig)->policy.mode, SN_MODE_BLOCK_ALL);
	other = update(rig, id, 2, "203.0.113.2", NULL);
	t_eq(other.result.code, CP_ATTACH_CODE_OK);
	t_false(is_held(rig, id));
	t_true(outcome.is_done);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	t_str_eq(outcome.result.id, id);
	t_eq(slot_of(rig)->policy.mode, SN_MODE_ALLOWLIST);
	agrees(rig, id);
	rig_free(rig);
}

static void what_is_held_stays_so_over_a_restart_and_can_be_released(void)
{
	struct rig *rig = rig_new();
	char id[CP_ATTACH_ID_CHARS + 1];
	struct outcome outcome = { 0 }, other = { 0 };

	attach_held(rig, &outcome, audited(), id);
	restart(rig);
	t_true(outcome.is_done); /* by the end of the daemon */
	t_eq(outcome.result.code, CP_ATTACH_CODE_UNAVAILABLE);
	t_true(is_held(rig, id));
	t_eq(slot_of(rig)->policy.mode, SN_MODE_BLOCK_ALL);
	t_eq(cp_attach_remote_release(rig->manager, id, done, &other), 0);
	TURN_UNTIL(rig, other.is_done);
	settle(rig);
	t_false(is_held(rig, id));
	t_eq(slot_of(rig)->policy.mode, SN_MODE_DENYLIST);
	t_true(slot_of(rig)->policy.audit);
	restart(rig);
	t_false(is_held(rig, id));
	agrees(rig, id);
	rig_free(rig);
}

static void block_all_can_be_released_although_nothing_changes(void)
{
	struct rig *rig = rig_new();
	char id[CP_ATTACH_ID_CHARS + 1];
	struct outcome outcome = { 0 }, other = { 0 };
	struct cp_policy *with = policy(NULL, NULL, NULL);
	struct cp_policy_settings settings = cp_policy_get_settings(with);

	settings.mode = SN_MODE_BLOCK_ALL;
	cp_policy_put_settings(with, &settings);
	attach_held(rig, &outcome, with, id);
	t_eq(cp_attach_remote_release(rig->manager, id, done, &other), 0);
	TURN_UNTIL(rig, other.is_done);
	t_eq(other.result.code, CP_ATTACH_CODE_OK);
	t_false(is_held(rig, id));
	t_true(outcome.is_done);
	rig_free(rig);
}

/* A daemon that was started again without a control plane. */
static void what_is_held_is_the_hosts_when_there_is_no_control_plane(void)
{
	struct rig *rig = rig_new();
	char id[CP_ATTACH_ID_CHARS + 1];
	struct outcome outcome = { 0 }, other;

	attach_held(rig, &outcome, audited(), id);
	restart(rig);
	other = apply(rig, id, policy(NULL, NULL, NULL), true);
	t_eq(other.result.code, CP_ATTACH_CODE_OK);
	t_true(is_held(rig, id));
	/* What is in force already is stated all the same. */
	other = set_mode(rig, id, SN_MODE_BLOCK_ALL, false);
	t_eq(other.result.code, CP_ATTACH_CODE_OK);
	t_false(is_held(rig, id));
	restart(rig);
	t_false(is_held(rig, id));
	t_eq(slot_of(rig)->policy.mode, SN_MODE_BLOCK_ALL);
	agrees(rig, id);
	rig_free(rig);
}

static void a_policy_of_the_hosts_releases_what_is_held(void)
{
	struct rig *rig = rig_new();
	char id[CP_ATTACH_ID_CHARS + 1];
	struct outcome outcome = { 0 }, other;

	attach_held(rig, &outcome, audited(), id);
	restart(rig);
	other = apply(rig, id, policy("192.0.2.1", NULL, NULL), false);
	t_eq(other.result.code, CP_ATTACH_CODE_OK);
	t_false(is_held(rig, id));
	t_eq(slot_of(rig)->policy.mode, SN_MODE_ALLOWLIST);
	agrees(rig, id);
	rig_free(rig);
}

static void who_waits_for_one_that_ends_is_told(void)
{
	struct rig *rig = rig_new();
	char id[CP_ATTACH_ID_CHARS + 1];
	struct outcome outcome = { 0 }, other;

	attach_held(rig, &outcome, policy(NULL, NULL, NULL), id);
	other = change(rig, id, 1, CP_ATTACH_REMOTE_DETACH, NULL);
	t_eq(other.result.code, CP_ATTACH_CODE_OK);
	t_true(outcome.is_done);
	t_eq(outcome.result.code, CP_ATTACH_CODE_NOT_FOUND);
	t_null(cp_attach_get(rig->manager, id));
	rig_free(rig);
}

T_MAIN("attach_remote", an_update_replaces_the_remote_rules_alone,
       what_is_not_above_the_revision_is_not_done, what_failed_does_not_count,
       local_settings_are_refused_and_local_rules_as_configured,
       a_new_attachment_is_closed_until_a_mode_is_stated,
       what_is_held_stays_so_over_a_restart_and_can_be_released,
       block_all_can_be_released_although_nothing_changes,
       what_is_held_is_the_hosts_when_there_is_no_control_plane,
       a_policy_of_the_hosts_releases_what_is_held,
       who_waits_for_one_that_ends_is_told)
