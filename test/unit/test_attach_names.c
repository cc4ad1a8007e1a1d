/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/names.h"

#include <sys/stat.h>

#include "controld/state/file.h"
#include "sentinel/state/v1/state.pb-c.h"
#include "test/unit/test_attach_learn.h"

/* Restarts of either daemon: what names have opened is found again. */

static struct cp_policy *a_and_b(void)
{
	struct cp_policy *with = policy("10.0.0.0/8", "198.51.0.1", NULL);

	with_domain(with, SN_VERDICT_ALLOW, "a.example");
	return with_domain(with, SN_VERDICT_ALLOW, "b.example");
}

/* The daemon dies: learnt.pb is as it was when it was last written. */
static void die(struct rig *rig, bool loses_names)
{
	char kept[128];

	(void)snprintf(kept, sizeof(kept), "%s.kept", rig->learnt_path);
	(void)unlink(kept);
	t_eq(link(rig->learnt_path, kept), 0);
	close_daemon(rig);
	t_eq(unlink(rig->learnt_path), 0);
	if (!loses_names)
		t_eq(rename(kept, rig->learnt_path), 0);
}

static void live(struct rig *rig)
{
	open_daemon(rig);
	TURN_UNTIL(rig, is_ready(rig));
	settle(rig);
}

static void write_names(struct rig *rig)
{
	const struct cp_attach_item *item =
		cp_attach_get_next(rig->manager, NULL);

	cp_attach_names_write(rig->manager);
	TURN_UNTIL(rig, item->manager->n_tasks == 0);
}

static void names_are_known_after_a_restart(void)
{
	struct rig *rig = rig_new();
	struct cp_attach_info info;
	unsigned int n_flips, n_puts;

	(void)attach_workload(rig, a_and_b());
	t_eq(learn(rig, "a.example", 1, 2, 30), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(rig, "b.example", 2, 2, 40), CP_ATTACH_DNS_LEARN_OK);
	cp_attach_dns_count(rig->manager, slot_of(rig)->target.slot,
			    CP_ATTACH_DNS_END_BLOCKED);
	n_flips = rig->fake->n_flips;
	n_puts = rig->fake->n_puts;
	restart(rig);
	settle(rig);
	t_eq(rig->fake->n_flips, n_flips);
	t_eq(rig->fake->n_puts, n_puts);
	t_true(is_learnt(rig, "a.example", 1, 29));
	t_true(is_learnt(rig, "a.example", 2, 29));
	t_true(is_learnt(rig, "b.example", 3, 39));
	cp_attach_info_get(cp_attach_get_next(rig->manager, NULL), &info);
	t_eq(info.n_learnt_names, 2);
	t_eq(info.n_learnt_addresses, 3);
	t_eq(info.dns_ends[CP_ATTACH_DNS_END_BLOCKED], 1);
	t_eq(drop_domain(rig, info.id, "a.example").result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(entry_of(rig, 1)->value.n_items, 1);
	t_true(is_open_in(rig, 2, 80, 39));
	rig_free(rig);
}

static void each_write_is_counted_by_how_it_ended(void)
{
	struct rig *rig = rig_new();
	struct cp_attach_status status;
	char temporary[128];

	(void)snprintf(temporary, sizeof(temporary), "%s.tmp",
		       rig->learnt_path);
	(void)attach_workload(rig, a_and_b());
	t_eq(learn(rig, "a.example", 1, 2, 30), CP_ATTACH_DNS_LEARN_OK);
	write_names(rig);
	write_names(rig); /* nothing has changed */
	cp_attach_info_get_base(rig->manager, &status);
	t_eq(status.n_names_writes, 1);
	t_eq(status.n_names_failed, 0);
	t_eq(mkdir(temporary, 0700), 0);
	t_eq(learn(rig, "b.example", 2, 2, 40), CP_ATTACH_DNS_LEARN_OK);
	write_names(rig);
	write_names(rig); /* it is tried again */
	t_eq(rmdir(temporary), 0);
	write_names(rig);
	cp_attach_info_get_base(rig->manager, &status);
	t_eq(status.n_names_writes, 2);
	t_eq(status.n_names_failed, 2);
	rig_free(rig);
}

static void lost_names_leave_what_they_opened_to_its_end(void)
{
	struct rig *rig = rig_new();
	struct cp_attach_info info;
	unsigned int n_flips;

	(void)attach_workload(rig, a_and_b());
	t_eq(learn(rig, "a.example", 1, 2, 30), CP_ATTACH_DNS_LEARN_OK);
	write_names(rig);
	t_eq(learn(rig, "b.example", 2, 2, 40), CP_ATTACH_DNS_LEARN_OK);
	n_flips = rig->fake->n_flips;
	for (int loses = 0; loses < 2; loses++) {
		die(rig, loses);
		live(rig);
		write_names(rig);
		t_eq(rig->fake->n_flips, n_flips);
		for (unsigned int i = 1; i < 4; i++)
			t_true(is_open_in(rig, i, 80, 29));
		t_eq(is_learnt(rig, "a.example", 1, 10), !loses);
		t_false(is_learnt(rig, "b.example", 3, 10));
		cp_attach_info_get(cp_attach_get_next(rig->manager, NULL),
				   &info);
		t_eq(info.n_learnt_names, !loses);
		t_eq(info.n_learnt_addresses, 3);
	}
	/* Rows that are written again keep it, and its rule's end ends it. */
	t_eq(add_port(rig, info.id, "198.51.0.3", 22, 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_true(is_open_in(rig, 3, 80, 39));
	t_eq(apply(rig, info.id, a_and_b(), false).result.code,
	     CP_ATTACH_CODE_OK);
	t_true(is_open_in(rig, 3, 80, 39));
	t_eq(drop_domain(rig, info.id, "b.example").result.code,
	     CP_ATTACH_CODE_OK);
	t_null(entry_of(rig, 3));
	/* That it was another name's too is not known any more. */
	t_null(entry_of(rig, 2));
	/* A life ends as well. */
	t_eq(drop_rules(rig, info.id, "198.51.0.1").result.removed, 1);
	t_true(is_open_in(rig, 1, 80, 29));
	now_ns += 31 * SN_NS_PER_S;
	cp_attach_collect_lapsed(rig->manager);
	settle(rig);
	t_null(entry_of(rig, 1));
	rig_free(rig);
}

/* A file that is older than a change of the rules opens nothing again. */
static void old_names_do_not_come_back(void)
{
	struct rig *rig = rig_new();
	struct cp_attach_info info;

	(void)attach_workload(rig, a_and_b());
	cp_attach_info_get(cp_attach_get_next(rig->manager, NULL), &info);
	t_eq(learn(rig, "a.example", 2, 2, 30), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(rig, "b.example", 5, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	write_names(rig);
	t_eq(drop_domain(rig, info.id, "a.example").result.code,
	     CP_ATTACH_CODE_OK);
	die(rig, false);
	live(rig);
	t_null(entry_of(rig, 2));
	t_false(is_learnt(rig, "a.example", 2, 1));
	t_true(is_learnt(rig, "b.example", 5, 1));
	/* Nor where the rule is there again, but the kernel has let go. */
	cp_attach_info_get(cp_attach_get_next(rig->manager, NULL), &info);
	t_eq(allow_domain(rig, info.id, "a.example", 0).result.code,
	     CP_ATTACH_CODE_OK);
	die(rig, false);
	live(rig);
	t_null(entry_of(rig, 2));
	t_false(is_learnt(rig, "a.example", 2, 1));
	rig_free(rig);
}

static void a_broken_file_costs_names_only(void)
{
	struct rig *rig = rig_new();
	struct sn_diag diag = { .text = "" };
	size_t size = 0, n_flips;
	void *data = NULL;
	int fd;

	(void)attach_workload(rig, a_and_b());
	t_eq(learn(rig, "a.example", 2, 2, 30), CP_ATTACH_DNS_LEARN_OK);
	n_flips = rig->fake->n_flips;
	close_daemon(rig);
	t_eq(cp_state_file_read(AT_FDCWD, rig->learnt_path, &data, &size,
				&diag),
	     0);
	for (size_t at = 0; at < size; at += 1 + size / 40) {
		uint8_t byte = (uint8_t)(((uint8_t *)data)[at] ^ 0x40);

		fd = open(rig->learnt_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		t_eq(write(fd, data, size), (ssize_t)size);
		t_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
		t_eq(close(fd), 0);
		live(rig);
		t_eq(rig->fake->n_flips, n_flips);
		t_true(is_open_in(rig, 2, 80, 29));
		t_false(is_learnt(rig, "a.example", 2, 1));
		close_daemon(rig);
	}
	/* It is whole again after the first write. */
	live(rig);
	t_eq(learn(rig, "a.example", 2, 2, 30), CP_ATTACH_DNS_LEARN_OK);
	restart(rig);
	t_true(is_learnt(rig, "a.example", 2, 29));
	free(data);
	rig_free(rig);
}

/* The other daemon restarts: names and lives are as they were. */
static void names_are_known_after_the_link_was_lost(void)
{
	struct rig *rig = rig_new();
	unsigned int n_flips;

	(void)attach_workload(rig, a_and_b());
	t_eq(learn(rig, "a.example", 1, 2, 30), CP_ATTACH_DNS_LEARN_OK);
	n_flips = rig->fake->n_flips;
	fake_hang_up(rig->fake);
	TURN_UNTIL(rig, !is_connected(rig));
	/* What is open is known meanwhile; nothing can be learnt. */
	t_true(is_learnt(rig, "a.example", 1, 29));
	t_eq(learn(rig, "a.example", 5, 1, 30),
	     CP_ATTACH_DNS_LEARN_UNAVAILABLE);
	TURN_UNTIL(rig, is_ready(rig));
	settle(rig);
	t_eq(rig->fake->n_flips, n_flips);
	t_true(is_learnt(rig, "a.example", 1, 29));
	t_eq(learn(rig, "a.example", 5, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	rig_free(rig);
}

/* An entry that no rule can have made is no name's. */
static void entries_without_a_reason_are_written_over(void)
{
	struct rig *rig = rig_new();
	unsigned int n_flips;

	(void)attach_workload(rig, a_and_b());
	t_eq(learn(rig, "a.example", 2, 2, 30), CP_ATTACH_DNS_LEARN_OK);
	n_flips = rig->fake->n_flips;
	entry_of(rig, 2)->value.items[0].rule_id = 77;
	restart(rig);
	settle(rig);
	t_eq(rig->fake->n_flips, n_flips + 1);
	t_null(entry_of(rig, 2));
	t_true(is_open(rig, 3, 80));
	n_flips = rig->fake->n_flips;
	entry_of(rig, 3)->value.items[0].expires = 0;
	restart(rig);
	settle(rig);
	t_eq(rig->fake->n_flips, n_flips + 1);
	t_null(entry_of(rig, 3));
	rig_free(rig);
}

/* In a mode that does not learn the kernel has no names. */
static void names_outlive_a_restart_in_another_mode(void)
{
	struct rig *rig = rig_new();
	struct cp_attach_info info;

	(void)attach_workload(rig, a_and_b());
	cp_attach_info_get(cp_attach_get_next(rig->manager, NULL), &info);
	t_eq(learn(rig, "a.example", 2, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	t_eq(set_mode(rig, info.id, SN_MODE_BLOCK_ALL, false).result.code,
	     CP_ATTACH_CODE_OK);
	restart(rig);
	cp_attach_info_get(cp_attach_get_next(rig->manager, NULL), &info);
	t_eq(set_mode(rig, info.id, SN_MODE_ALLOWLIST, false).result.code,
	     CP_ATTACH_CODE_OK);
	t_true(is_open_in(rig, 2, 80, 29));
	t_false(is_open_in(rig, 2, 80, 31));
	rig_free(rig);
}

/* What learnt.pb says of the attachment, to be changed, and put back. */
static Sentinel__State__V1__Learnt *read_names(struct rig *rig)
{
	const struct cp_attach_item *item =
		cp_attach_get_next(rig->manager, NULL);
	Sentinel__State__V1__Learnt *message;

	write_names(rig);
	message = sentinel__state__v1__learnt__unpack(NULL, item->names->size,
						      item->names->data);
	t_not_null(message);
	return message;
}

static void put_names(struct rig *rig, const char *key,
		      Sentinel__State__V1__Learnt *message)
{
	struct cp_state_record record = { .kind = CP_STATE_RECORD_PUT };
	struct cp_state_file_id id = { .number = 9 };
	uint8_t buffer[4096];
	int dir_fd;

	record.key = key;
	record.blob = buffer;
	record.size = sentinel__state__v1__learnt__pack(message, buffer);
	dir_fd = open(rig->folder, O_RDONLY | O_DIRECTORY);
	t_eq(cp_state_file_stage(dir_fd, "learnt.pb", &record, 1, &id), 0);
	t_eq(cp_state_file_commit(dir_fd, "learnt.pb"), 0);
	t_eq(close(dir_fd), 0);
	sentinel__state__v1__learnt__free_unpacked(message, NULL);
}

/* Another boot: what is left of a life, by the wall clock. */
static void names_outlive_a_reboot_by_what_is_left(void)
{
	struct rig *rig = rig_new();
	Sentinel__State__V1__Learnt *message;
	char key[CP_ATTACH_ID_CHARS + 1], boot[] = "another";
	struct outcome outcome;

	outcome = attach_workload(rig, with_domain(a_and_b(), SN_VERDICT_ALLOW,
						   "c.example"));
	t_eq(learn(rig, "a.example", 2, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(rig, "b.example", 3, 1, 300), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(rig, "c.example", 4, 1, 300), CP_ATTACH_DNS_LEARN_OK);
	message = read_names(rig);
	memcpy(key, outcome.result.id, sizeof(key));
	t_eq(set_mode(rig, key, SN_MODE_BLOCK_ALL, false).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(deny_domain(rig, key, "c.example").result.code, CP_ATTACH_CODE_OK);
	close_daemon(rig);
	free(message->boot_id);
	message->boot_id = strdup(boot);
	/* A clock that was set back adds nothing. */
	message->pairs[0]->expires_wall_ns += 3600 * SN_NS_PER_S;
	message->pairs[1]->expires_wall_ns -= 200 * SN_NS_PER_S;
	put_names(rig, key, message);
	now_ns += 1000 * SN_NS_PER_S;
	live(rig);
	t_eq(set_mode(rig, key, SN_MODE_ALLOWLIST, false).result.code,
	     CP_ATTACH_CODE_OK);
	t_true(is_open_in(rig, 2, 80, 28));
	t_false(is_open_in(rig, 2, 80, 31));
	t_true(is_open_in(rig, 3, 80, 90));
	t_false(is_open_in(rig, 3, 80, 101));
	/* Denied since the file was written. */
	t_null(entry_of(rig, 4));
	rig_free(rig);
}

/* Only after the kernel has lost its entries do names open what the file says;
 * that it says for ever is no reason to. */
static void no_life_in_the_file_is_longer_than_one_can_be(void)
{
	struct rig *rig = rig_new();
	Sentinel__State__V1__Learnt *message;
	struct outcome outcome = attach_workload(rig, a_and_b());
	char key[CP_ATTACH_ID_CHARS + 1];

	memcpy(key, outcome.result.id, sizeof(key));
	t_eq(learn(rig, "a.example", 2, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	message = read_names(rig);
	t_eq(set_mode(rig, key, SN_MODE_BLOCK_ALL, false).result.code,
	     CP_ATTACH_CODE_OK);
	close_daemon(rig);
	message->pairs[0]->expires_boot_ns = UINT64_MAX;
	put_names(rig, key, message);
	live(rig);
	t_eq(set_mode(rig, key, SN_MODE_ALLOWLIST, false).result.code,
	     CP_ATTACH_CODE_OK);
	t_true(is_open_in(rig, 2, 80, CP_ATTACH_NAMES_LIFE_MAX_S - 60));
	t_false(is_open_in(rig, 2, 80, CP_ATTACH_NAMES_LIFE_MAX_S + 60));
	rig_free(rig);
}

/* The state is lost: what names have opened lives on as rules that end. */
static void lost_policies_keep_what_names_have_opened(void)
{
	struct rig *rig = rig_new();
	struct cp_attach_info info;
	char path[96];

	(void)attach_workload(rig, a_and_b());
	t_eq(learn(rig, "a.example", 1, 5, 30), CP_ATTACH_DNS_LEARN_OK);
	close_daemon(rig);
	state_folder(rig, path);
	empty_folder(path);
	t_eq(unlink(rig->learnt_path), 0);
	live(rig);
	settle(rig);
	for (unsigned int i = 1; i < 6; i++)
		t_true(is_open_in(rig, i, 80, 28));
	for (unsigned int i = 2; i < 6; i++)
		t_false(is_open_in(rig, i, 80, 31));
	t_true(is_open_in(rig, 1, 80, 1000)); /* by its CIDR rule */
	cp_attach_info_get(cp_attach_get_next(rig->manager, NULL), &info);
	agrees(rig, info.id);
	t_eq(info.n_rules, 6);
	rig_free(rig);
}

T_MAIN("attach_names", names_are_known_after_a_restart,
       lost_names_leave_what_they_opened_to_its_end, old_names_do_not_come_back,
       a_broken_file_costs_names_only, names_are_known_after_the_link_was_lost,
       entries_without_a_reason_are_written_over,
       names_outlive_a_restart_in_another_mode,
       names_outlive_a_reboot_by_what_is_left,
       no_life_in_the_file_is_longer_than_one_can_be,
       lost_policies_keep_what_names_have_opened,
       each_write_is_counted_by_how_it_ended)
