/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/attach.h"

#include <sched.h>

#include "sentinel/state/v1/state.pb-c.h"
#include "test/unit/test_attach_rig.h"

/* One change with the link cut at the n-th request; then the daemon connects
 * again, and kernel and model agree whatever the answer was. */
static void cut_at(struct rig *rig, const char *id, int change,
		   unsigned int step, enum fake_cut cut, bool *was_cut)
{
	size_t n_before = get_info(rig, id).n_rules;
	struct outcome outcome;

	fake_arm(rig->fake, 0, 0, step, cut);
	if (change == 0)
		outcome = apply(rig, id, policy("203.0.113.9", "::/0", NULL),
				false);
	else if (change == 1)
		outcome = add(rig, id, SN_VERDICT_ALLOW, "198.51.100.3", 0);
	else if (change == 2)
		outcome = add(rig, id, SN_VERDICT_DENY, "198.51.0.0/17", 0);
	else if (change == 3)
		outcome = drop_rules(rig, id, "192.0.2.1");
	else
		outcome = set_mode(rig, id, SN_MODE_DENYLIST, false);
	settle(rig);
	*was_cut = rig->fake->n_requests >= step;
	rig->fake->cut_at = 0;
	if (outcome.result.code != CP_ATTACH_CODE_OK) {
		t_eq(outcome.result.code, CP_ATTACH_CODE_UNAVAILABLE);
		t_eq(get_info(rig, id).n_rules, n_before);
	}
	TURN_UNTIL(rig, is_ready(rig));
	agrees(rig, id);
	t_null(strstr(outcome.result.diag.text, "(null)"));
}

static void a_cut_link_converges_after_every_step_of_a_change(void)
{
	for (int change = 0; change < 5; change++) {
		for (int cut = FAKE_CUT_BEFORE; cut <= FAKE_CUT_AFTER; cut++) {
			bool was_cut = true;

			for (unsigned int step = 1; step < 12 && was_cut;
			     step++) {
				struct rig *rig = rig_new();
				struct outcome outcome =
					attach(rig, policy("10.0.0.0/8",
							   "192.0.2.1", NULL));

				cut_at(rig, outcome.result.id, change, step,
				       (enum fake_cut)cut, &was_cut);
				rig_free(rig);
			}
			t_false(was_cut);
		}
	}
}

static void a_cut_attach_leaves_nothing_once_connected_again(void)
{
	for (int cut = FAKE_CUT_BEFORE; cut <= FAKE_CUT_AFTER; cut++) {
		for (unsigned int step = 1; step <= 3; step++) {
			struct rig *rig = rig_new();
			struct outcome outcome;

			fake_arm(rig->fake, 0, 0, step, (enum fake_cut)cut);
			outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
			t_eq(outcome.result.code, CP_ATTACH_CODE_UNAVAILABLE);
			rig->fake->cut_at = 0;
			TURN_UNTIL(rig, is_ready(rig));
			settle(rig);
			t_null(slot_of(rig));
			t_null(cp_attach_get_next(rig->manager, NULL));
			outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
			t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
			rig_free(rig);
		}
	}
}

static void a_cut_detach_keeps_the_attachment(void)
{
	for (int cut = FAKE_CUT_BEFORE; cut <= FAKE_CUT_AFTER; cut++) {
		struct rig *rig = rig_new();
		struct outcome outcome;
		char id[CP_ATTACH_ID_CHARS + 1];

		outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
		memcpy(id, outcome.result.id, sizeof(id));
		fake_arm(rig->fake, 0, 0, 1, (enum fake_cut)cut);
		outcome = detach(rig, id);
		t_eq(outcome.result.code, CP_ATTACH_CODE_UNAVAILABLE);
		rig->fake->cut_at = 0;
		TURN_UNTIL(rig, is_ready(rig));
		agrees(rig, id);
		rig_free(rig);
	}
}

static void changes_without_a_dataplane_are_unavailable_and_reads_work(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	(void)uv_poll_stop(&rig->fake->listen_poll);
	fake_hang_up(rig->fake);
	TURN_UNTIL(rig, !is_connected(rig));
	outcome = set_mode(rig, id, SN_MODE_DENYLIST, false);
	t_eq(outcome.result.code, CP_ATTACH_CODE_UNAVAILABLE);
	t_not_null(strstr(outcome.result.diag.text, "stays enforced"));
	t_eq(get_info(rig, id).state, CP_ATTACH_STATE_DETACHED_DP);
	t_eq(get_info(rig, id).n_rules, 1);
	(void)uv_poll_start(&rig->fake->listen_poll, UV_READABLE, fake_accept);
	TURN_UNTIL(rig, is_ready(rig));
	agrees(rig, id);
	rig_free(rig);
}

static void a_restart_rewrites_nothing_that_agrees(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];
	unsigned int n_puts, n_flips;

	outcome = attach(rig, policy("10.0.0.0/8", "192.0.2.1", NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	(void)add(rig, id, SN_VERDICT_DENY, "192.0.2.9", 3600);
	n_puts = rig->fake->n_puts;
	n_flips = rig->fake->n_flips;
	restart(rig);
	settle(rig);
	t_eq(rig->fake->n_puts, n_puts);
	t_eq(rig->fake->n_flips, n_flips);
	t_eq(rig->fake->n_attaches, 1);
	agrees(rig, id);
	t_str_eq(get_info(rig, id).metadata[0].key, "owner");
	rig_free(rig);
}

/* What somebody else wrote meanwhile does not stay. */
static void a_restart_repairs_what_differs(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy("10.0.0.0/8", "192.0.2.1", NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	close_daemon(rig);
	rig->fake->rows[0].value.items[0].verdict = SN_VERDICT_DENY;
	open_daemon(rig);
	TURN_UNTIL(rig, is_ready(rig));
	agrees(rig, id);

	close_daemon(rig);
	rig->fake->rows[rig->fake->n_rows] = rig->fake->rows[0];
	rig->fake->rows[rig->fake->n_rows].key[8] ^= 1;
	rig->fake->n_rows++;
	open_daemon(rig);
	TURN_UNTIL(rig, is_ready(rig));
	agrees(rig, id);
	rig_free(rig);
}

static void a_lost_dataplane_is_attached_again(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy("10.0.0.0/8", "192.0.2.1", NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	memset(rig->fake->slots, 0, sizeof(rig->fake->slots));
	rig->fake->n_rows = 0;
	fake_hang_up(rig->fake);
	TURN_UNTIL(rig, !is_ready(rig));
	TURN_UNTIL(rig, is_ready(rig));
	t_eq(rig->fake->n_attaches, 2);
	agrees(rig, id);
	rig_free(rig);
}

static void what_only_the_kernel_knows_is_recovered(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	struct cp_attach_info info;
	char id[CP_ATTACH_ID_CHARS + 1];
	uint32_t generation;

	outcome = attach(rig, policy("10.0.0.0/8", "192.0.2.1", NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	outcome = set_mode(rig, id, SN_MODE_DENYLIST, true);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	generation = get_info(rig, id).generation;
	close_daemon(rig);
	t_eq(unlink(rig->path), 0);
	open_daemon(rig);
	TURN_UNTIL(rig, is_ready(rig));
	t_eq(rig->fake->n_attaches, 1);
	info = get_info(rig, id);
	t_eq(info.n_rules, 2);
	t_eq(info.generation, generation);
	t_eq(cp_policy_get_settings(info.policy).mode, SN_MODE_DENYLIST);
	t_true(cp_policy_get_settings(info.policy).audit);
	t_eq(slot_of(rig)->policy.mode, SN_MODE_DENYLIST);
	outcome = add(rig, id, SN_VERDICT_ALLOW, "192.0.2.2", 0);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	agrees(rig, id);
	rig_free(rig);
}

/* A state folder that was removed: every write fails. */
static void a_state_file_that_cannot_be_written_undoes_the_change(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1], path[96];

	outcome = attach(rig, policy("10.0.0.0/8", "192.0.2.1", NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	state_folder(rig, path);
	empty_folder(path);
	t_eq(rmdir(path), 0);

	outcome = apply(rig, id, policy("203.0.113.9", NULL, NULL), false);
	t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
	t_eq(get_info(rig, id).n_rules, 2);
	agrees(rig, id);
	outcome = add(rig, id, SN_VERDICT_ALLOW, "203.0.113.9", 0);
	t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
	t_eq(get_info(rig, id).n_rules, 2);
	agrees(rig, id);
	outcome = drop_rules(rig, id, "192.0.2.1");
	t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
	agrees(rig, id);
	outcome = set_mode(rig, id, SN_MODE_DISABLED, false);
	t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
	agrees(rig, id);
	t_eq(slot_of(rig)->policy.mode, SN_MODE_ALLOWLIST);
	outcome = detach(rig, id);
	t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
	agrees(rig, id);
	t_eq(mkdir(path, 0700), 0);
	rig_free(rig);
}

/* Changes the state file of a daemon that is not running: what one leaves
 * behind that dies between the intent and the DETACH, or another target. */
static void edit_state(struct rig *rig, const char *id, bool detaching,
		       const char *target)
{
	Sentinel__State__V1__Attachment *message;
	struct sn_diag diag = { 0 };
	struct cp_state *state;
	uint8_t blob[4096];
	const void *packed;
	size_t size;

	t_eq(cp_state_load(&state, &rig->loop, rig->path, 0, &diag), 0);
	packed = cp_state_get(state, id, &size);
	message = sentinel__state__v1__attachment__unpack(NULL, size, packed);
	t_not_null(message);
	message->detaching = detaching;
	if (target) {
		free(message->target);
		message->target = strdup(target);
	}
	size = sentinel__state__v1__attachment__pack(message, blob);
	t_eq(cp_state_put(state, id, blob, size), 0);
	sentinel__state__v1__attachment__free_unpacked(message, NULL);
	rig->is_closed = false;
	cp_state_close(state, note_closed, rig);
	TURN_UNTIL(rig, rig->is_closed);
}

static void a_detach_that_was_under_way_is_finished_at_the_start(void)
{
	for (int was_done = 0; was_done < 2; was_done++) {
		struct rig *rig = rig_new();
		struct outcome outcome;
		char id[CP_ATTACH_ID_CHARS + 1];

		outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
		memcpy(id, outcome.result.id, sizeof(id));
		close_daemon(rig);
		edit_state(rig, id, true, NULL);
		if (was_done)
			slot_of(rig)->target.state = SN_TARGET_FREE;
		open_daemon(rig);
		TURN_UNTIL(rig, is_ready(rig));
		settle(rig);
		t_null(slot_of(rig));
		t_null(cp_attach_get_next(rig->manager, NULL));
		t_eq(rig->fake->n_attaches, 1);
		rig_free(rig);
	}
}

static void what_waits_for_its_target_can_be_changed_and_removed(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	close_daemon(rig);
	edit_state(rig, id, false, "no-such-if");
	slot_of(rig)->target.state = SN_TARGET_FREE;
	rig->fake->n_rows = 0;
	open_daemon(rig);
	TURN_UNTIL(rig, is_ready(rig));
	t_eq(get_info(rig, id).state, CP_ATTACH_STATE_WAITING);
	t_eq(add(rig, id, SN_VERDICT_ALLOW, "192.0.2.1", 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(set_mode(rig, id, SN_MODE_BLOCK_ALL, false).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(rig->fake->n_rows, 0);
	restart(rig);
	t_eq(get_info(rig, id).n_rules, 2);

	/* There is a target of that name after all. */
	close_daemon(rig);
	edit_state(rig, id, false, "lo");
	open_daemon(rig);
	TURN_UNTIL(rig, is_ready(rig));
	agrees(rig, id);
	t_eq(slot_of(rig)->policy.mode, SN_MODE_BLOCK_ALL);
	t_eq(get_info(rig, id).state, CP_ATTACH_STATE_ENFORCED);
	t_eq(detach(rig, id).result.code, CP_ATTACH_CODE_OK);
	t_null(slot_of(rig));
	rig_free(rig);
}

static void an_attach_that_was_cut_by_a_crash_is_undone(void)
{
	struct rig *rig = rig_new();

	t_eq(attach(rig, policy(NULL, NULL, NULL)).result.code,
	     CP_ATTACH_CODE_OK);
	close_daemon(rig);
	t_eq(unlink(rig->path), 0);
	slot_of(rig)->target.generation = 0;
	open_daemon(rig);
	TURN_UNTIL(rig, is_ready(rig));
	settle(rig);
	t_null(slot_of(rig));
	t_null(cp_attach_get_next(rig->manager, NULL));
	rig_free(rig);
}

static void a_policy_without_room_stays_closed_until_there_is(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];

	outcome = attach(rig, policy("10.0.0.0/8", "192.0.2.1", NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	memset(rig->fake->slots, 0, sizeof(rig->fake->slots));
	rig->fake->n_rows = 0;
	rig->fake->capacity = 1;
	fake_hang_up(rig->fake);
	TURN_UNTIL(rig, !is_ready(rig));
	TURN_UNTIL(rig, is_ready(rig));
	settle(rig);
	t_not_null(slot_of(rig));
	t_eq(slot_of(rig)->target.generation, 0);
	t_eq(rig->fake->n_rows, 0);
	t_eq(get_info(rig, id).state, CP_ATTACH_STATE_REPAIRING);
	rig->fake->capacity = FAKE_ROWS;
	cp_attach_collect_lapsed(rig->manager);
	agrees(rig, id);
	t_eq(get_info(rig, id).state, CP_ATTACH_STATE_ENFORCED);
	rig_free(rig);
}

static void a_target_whose_program_was_taken_off_is_kept(void)
{
	for (int is_away = 0; is_away < 2; is_away++) {
		struct rig *rig = rig_new();
		struct outcome outcome;
		uint64_t before;

		outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
		t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
		if (is_away)
			close_daemon(rig);
		slot_of(rig)->target.position = SN_IPC_POSITION_TAKEN;
		if (is_away) {
			open_daemon(rig);
			TURN_UNTIL(rig, is_ready(rig));
		}
		before = rig->manager->polled_ns;
		cp_attach_collect_positions(rig->manager);
		TURN_UNTIL(rig, rig->manager->polled_ns > before);
		t_not_null(cp_attach_get_next(rig->manager, NULL));
		t_eq(rig->manager->items[0]->position, SN_IPC_POSITION_TAKEN);
		t_not_null(slot_of(rig));
		rig_free(rig);
	}
}

/* With links, a position that is GONE says that the interface ended; whatever
 * has its index now is another one. */
static void another_target_of_the_same_index_is_not_taken_over(void)
{
	for (int is_away = 0; is_away < 2; is_away++) {
		struct rig *rig = rig_new();
		struct outcome outcome;

		outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
		t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
		if (is_away)
			close_daemon(rig);
		slot_of(rig)->target.position = -2;
		if (is_away) {
			open_daemon(rig);
			TURN_UNTIL(rig, is_ready(rig));
		} else {
			cp_attach_collect_positions(rig->manager);
		}
		TURN_UNTIL(rig, !cp_attach_get_next(rig->manager, NULL));
		t_null(slot_of(rig));
		outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
		t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
		agrees(rig, outcome.result.id);
		rig_free(rig);
	}
}

/* With clsact it may be a filter that somebody deleted. */
static void a_deleted_filter_is_told_and_ends_nothing(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];

	rig->fake->is_clsact = true;
	restart(rig);
	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	slot_of(rig)->target.position = -2;
	restart(rig);
	settle(rig);
	t_eq(get_info(rig, id).state, CP_ATTACH_STATE_REPAIRING);
	t_eq(get_info(rig, id).position, -2);
	agrees(rig, id);
	rig_free(rig);
}

/* Flows may rest on the lapsed one: its item stays beside the live one. */
static void a_restart_keeps_a_lapsed_rule_beside_a_live_one(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1];
	unsigned int n_puts, n_flips;

	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	(void)add_port(rig, id, "192.0.2.7", 443, 0);
	(void)add_port(rig, id, "192.0.2.7", 80, 60);
	now_ns += 61 * SN_NS_PER_S;
	n_puts = rig->fake->n_puts;
	n_flips = rig->fake->n_flips;
	restart(rig);
	t_eq(cp_policy_count(get_info(rig, id).policy), 3);
	t_eq(get_info(rig, id).n_rules, 2);
	agrees(rig, id);
	t_eq(rig->fake->n_puts, n_puts);
	t_eq(rig->fake->n_flips, n_flips);
	rig_free(rig);
}

static bool file_has_text(const char *path, const char *text)
{
	static char bytes[65536];
	FILE *file = fopen(path, "re");
	size_t n = file ? fread(bytes, 1, sizeof(bytes), file) : 0;

	if (file)
		(void)fclose(file);
	return memmem(bytes, n, text, strlen(text)) != NULL;
}

/* In the state file or its journal. */
static bool has_text(const struct rig *rig, const char *text)
{
	char journal[sizeof(rig->path) + 8];

	(void)snprintf(journal, sizeof(journal), "%s.journal", rig->path);
	return file_has_text(rig->path, text) || file_has_text(journal, text);
}

static void a_new_name_is_saved_at_once(void)
{
	struct rig *rig;

	if (unshare(CLONE_NEWNET) < 0)
		t_skip("needs CAP_SYS_ADMIN for a network namespace");
	t_eq(system("ip link add sn-before type veth peer name sn-peer"), 0);
	rig = rig_new();
	t_eq(attach_to(rig, SN_TARGET_TC, "sn-before", policy(0, 0, 0))
		     .result.code,
	     CP_ATTACH_CODE_OK);
	t_true(has_text(rig, "sn-before"));
	t_eq(system("ip link set sn-before name sn-after"), 0);
	/* No other change writes the file. */
	TURN_UNTIL(rig, has_text(rig, "sn-after"));
	rig_free(rig);
}

/* What was asked for before the break must not run, or be answered OK, before
 * kernel and policies are compared: here the kernel has lost everything. */
static void a_change_that_waits_when_the_link_breaks_is_refused(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome, first = { 0 }, second = { 0 };
	struct cp_policy_rule one = rule(SN_VERDICT_ALLOW, "192.0.2.1", 0);
	struct cp_policy_rule two = rule(SN_VERDICT_ALLOW, "192.0.2.2", 0);
	char id[CP_ATTACH_ID_CHARS + 1];
	unsigned int n_puts;

	/* The first change is still being saved when the link is back. */
	rig->group_ns = 1000 * 1000000;
	restart(rig);
	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	n_puts = rig->fake->n_puts;
	t_eq(cp_attach_add_rule(rig->manager, id, &one, done, &first), 0);
	t_eq(cp_attach_add_rule(rig->manager, id, &two, done, &second), 0);
	TURN_UNTIL(rig, rig->fake->n_puts > n_puts);
	settle(rig);
	t_false(first.is_done);
	memset(rig->fake->slots, 0, sizeof(rig->fake->slots));
	rig->fake->n_rows = 0;
	fake_hang_up(rig->fake);
	TURN_UNTIL(rig, first.is_done && second.is_done && is_ready(rig));
	t_eq(first.result.code, CP_ATTACH_CODE_OK);
	t_eq(second.result.code, CP_ATTACH_CODE_UNAVAILABLE);
	t_eq(get_info(rig, id).n_rules, 2);
	agrees(rig, id);
	rig_free(rig);
}

static void lose_folder(void *userdata)
{
	char path[96];

	state_folder(userdata, path);
	empty_folder(path);
	t_eq(rmdir(path), 0);
}

/* The intent is in the file, and cannot be taken out of it. */
static void a_failed_detach_that_is_not_saved_says_so(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1], path[96];

	outcome = attach(rig, policy("10.0.0.0/8", NULL, NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	fake_arm(rig->fake, 0, 0, 1, FAKE_CUT_BEFORE);
	rig->fake->at_cut = lose_folder;
	rig->fake->at_cut_userdata = rig;
	outcome = detach(rig, id);
	t_eq(outcome.result.code, CP_ATTACH_CODE_UNAVAILABLE);
	t_not_null(strstr(outcome.result.diag.text, "may be detached when"));
	rig->fake->cut_at = 0;
	state_folder(rig, path);
	t_eq(mkdir(path, 0700), 0);
	TURN_UNTIL(rig, is_ready(rig));
	agrees(rig, id);
	rig_free(rig);
}

/* The table has room for two copies and not for three. */
static void a_full_table_takes_the_policy_before_back(void)
{
	struct rig *rig = rig_new();
	struct outcome outcome;
	char id[CP_ATTACH_ID_CHARS + 1], path[96];

	outcome = attach(rig, policy("10.0.0.0/8", "192.0.2.1", NULL));
	memcpy(id, outcome.result.id, sizeof(id));
	rig->fake->capacity = 4;
	state_folder(rig, path);
	empty_folder(path);
	t_eq(rmdir(path), 0);
	outcome = set_mode(rig, id, SN_MODE_DENYLIST, false);
	t_eq(outcome.result.code, CP_ATTACH_CODE_INTERNAL);
	t_eq(slot_of(rig)->policy.mode, SN_MODE_ALLOWLIST);
	agrees(rig, id);
	t_eq(get_info(rig, id).state, CP_ATTACH_STATE_ENFORCED);
	t_eq(mkdir(path, 0700), 0);
	rig_free(rig);
}

T_MAIN("attach_link", a_failed_detach_that_is_not_saved_says_so,
       a_full_table_takes_the_policy_before_back,
       a_change_that_waits_when_the_link_breaks_is_refused,
       a_new_name_is_saved_at_once,
       a_restart_keeps_a_lapsed_rule_beside_a_live_one,
       a_deleted_filter_is_told_and_ends_nothing,
       a_target_whose_program_was_taken_off_is_kept,
       another_target_of_the_same_index_is_not_taken_over,
       an_attach_that_was_cut_by_a_crash_is_undone,
       what_waits_for_its_target_can_be_changed_and_removed,
       a_detach_that_was_under_way_is_finished_at_the_start,
       a_policy_without_room_stays_closed_until_there_is,
       a_cut_link_converges_after_every_step_of_a_change,
       a_cut_attach_leaves_nothing_once_connected_again,
       a_cut_detach_keeps_the_attachment,
       changes_without_a_dataplane_are_unavailable_and_reads_work,
       a_restart_rewrites_nothing_that_agrees, a_restart_repairs_what_differs,
       a_lost_dataplane_is_attached_again,
       what_only_the_kernel_knows_is_recovered,
       a_state_file_that_cannot_be_written_undoes_the_change)
