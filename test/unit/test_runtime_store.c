/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/store.h"

#include "controld/runtime/files.h"
#include "controld/runtime/sets.h"
#include "sentinel/v1/runtime.pb-c.h"
#include "test/unit/t.h"

static struct cp_runtime_store *new_store(size_t bytes)
{
	struct cp_runtime_store *store = NULL;

	t_eq(cp_runtime_store_new(&store, bytes), 0);
	return store;
}

static void put_many(struct cp_runtime_store *store, const char *name,
		     uint8_t event, uint64_t n)
{
	const struct cp_runtime_stored like = { .kind = event, .n = n };
	Sentinel__V1__RuntimeEvent message;

	sentinel__v1__runtime_event__init(&message);
	message.event = (char *)(uintptr_t)name;
	t_eq(cp_runtime_store_put(store, &message.base, &like), 0);
}

static void put(struct cp_runtime_store *store, const char *name, uint8_t event)
{
	put_many(store, name, event, 1);
}

static void events_come_in_the_order_in_which_they_were_put(void)
{
	sn_cleanup(cp_runtime_store_freep) struct cp_runtime_store *store =
		new_store(1 << 16);
	const struct cp_runtime_stored *stored;
	struct cp_runtime_position at = cp_runtime_store_oldest(store);
	uint64_t n_lost;

	put(store, "a", 1);
	put(store, "b", 2);
	t_eq(cp_runtime_store_read(store, &at, &stored, &n_lost), 0);
	t_eq(stored->kind, 1);
	t_eq(stored->number, 1);
	t_eq(cp_runtime_store_read(store, &at, &stored, &n_lost), 0);
	t_eq(stored->kind, 2);
	t_eq(cp_runtime_store_read(store, &at, &stored, &n_lost),
	     CP_RUNTIME_STORE_E_END);
	t_eq(at.number, cp_runtime_store_next(store).number);
}

static void slow_reader_is_told_how_many_it_missed(void)
{
	sn_cleanup(cp_runtime_store_freep) struct cp_runtime_store *store =
		new_store(1000);
	const struct cp_runtime_stored *stored;
	struct cp_runtime_position at = { .number = 1 };
	uint64_t n_lost = 0, n_read = 0;

	for (int i = 0; i < 100; i++)
		put(store, "an event", 3);
	t_true(cp_runtime_store_bytes(store) <= 1000);
	t_eq(cp_runtime_store_read(store, &at, &stored, &n_lost),
	     CP_RUNTIME_STORE_E_LOST);
	while (cp_runtime_store_read(store, &at, &stored, &n_lost) == 0)
		n_read++;
	t_true(n_read > 10);
	t_eq(n_read + n_lost, 100);
}

static void overwritten_gap_counts_as_what_it_stood_for(void)
{
	sn_cleanup(cp_runtime_store_freep) struct cp_runtime_store *store =
		new_store(1000);
	struct cp_runtime_position at = cp_runtime_store_oldest(store);
	const struct cp_runtime_stored *stored;
	uint64_t n_lost = 0, n_told = 0;

	put_many(store, "gap", 3, 500);
	put_many(store, "clock", 0, 0);
	for (int i = 0; i < 100; i++)
		put(store, "an event", 3);
	put_many(store, "gap", 3, 7);
	t_eq(cp_runtime_store_read(store, &at, &stored, &n_lost),
	     CP_RUNTIME_STORE_E_LOST);
	while (cp_runtime_store_read(store, &at, &stored, &n_told) == 0)
		n_lost += stored->n;
	t_eq(n_lost, 607);
	t_eq(at.n_before, 607);
}

/* What costs no event is no gap: its number would say that nobody knows it. */
static void step_of_the_clock_that_is_overwritten_is_no_gap(void)
{
	sn_cleanup(cp_runtime_store_freep) struct cp_runtime_store *store =
		new_store(64);
	struct cp_runtime_position at = cp_runtime_store_oldest(store);
	const struct cp_runtime_stored *stored;
	uint64_t n_lost;

	put_many(store, "clock", 0, 0);
	put(store, "an event that takes all of the room that there is", 3);
	t_eq(cp_runtime_store_read(store, &at, &stored, &n_lost), 0);
	t_eq(stored->kind, 3);
}

static void reader_that_comes_back_is_told_what_it_missed(void)
{
	sn_cleanup(cp_runtime_store_freep) struct cp_runtime_store *store =
		new_store(1000);
	struct cp_runtime_position at = cp_runtime_store_oldest(store), back;
	const struct cp_runtime_stored *stored;
	uint64_t n_lost = 0;

	put(store, "read", 3);
	t_eq(cp_runtime_store_read(store, &at, &stored, &n_lost), 0);
	put_many(store, "gap", 3, 500);
	/* What is held is known better than what a reader says. */
	back = (struct cp_runtime_position){ at.number, 400 };
	back = cp_runtime_store_find(store, back);
	t_eq(back.n_before, 1);
	for (int i = 0; i < 100; i++)
		put(store, "an event", 3);
	back = cp_runtime_store_find(store, at);
	t_eq(cp_runtime_store_read(store, &back, &stored, &n_lost),
	     CP_RUNTIME_STORE_E_LOST);
	t_eq(n_lost, cp_runtime_store_oldest(store).n_before - 1);
	t_true(n_lost > 500);
	back = (struct cp_runtime_position){ 1, UINT64_MAX };
	back = cp_runtime_store_find(store, back);
	t_eq(cp_runtime_store_read(store, &back, &stored, &n_lost), 0);
	t_eq(back.number, cp_runtime_store_oldest(store).number + 1);
}

static void event_that_is_larger_than_the_store_is_held_alone(void)
{
	sn_cleanup(cp_runtime_store_freep) struct cp_runtime_store *store =
		new_store(64);
	const struct cp_runtime_stored *stored;
	char name[1000];
	struct cp_runtime_position at;
	uint64_t n_lost;

	(void)memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	put(store, "small", 1);
	put(store, name, 2);
	at = cp_runtime_store_oldest(store);
	t_eq(at.number, 2);
	t_eq(cp_runtime_store_read(store, &at, &stored, &n_lost), 0);
	t_true(stored->size > 1000);
}

static void number_of_events_is_bounded_as_well(void)
{
	sn_cleanup(cp_runtime_store_freep) struct cp_runtime_store *store =
		new_store(64 << 20);

	for (int i = 0; i < CP_RUNTIME_STORE_MAX + 10; i++)
		put(store, "", 1);
	t_eq(cp_runtime_store_oldest(store).number, 11);
}

/* Rules by generation. */

static struct cp_runtime_set *make_set(void)
{
	const struct cp_runtime_shares shares = { .n = 0 };
	struct cp_runtime_rules *rules = NULL;
	struct cp_runtime_set *set = NULL;

	t_eq(cp_runtime_rules_new(&rules), 0);
	t_eq(cp_runtime_sets_make(&set, rules, &shares), 0);
	return set;
}

static void last_generations_keep_their_rules(void)
{
	struct cp_runtime_sets sets = { .n = 0 };
	struct cp_runtime_set *all[CP_RUNTIME_SETS_MAX + 3];

	for (uint32_t i = 0; i < SN_ARRAY_SIZE(all); i++) {
		all[i] = make_set();
		t_eq(cp_runtime_sets_is_full(&sets), i >= CP_RUNTIME_SETS_MAX);
		cp_runtime_sets_put(&sets, i + 1, all[i]);
		cp_runtime_sets_unref(all[i]);
	}
	t_null(cp_runtime_sets_get(&sets, 3));
	t_true(cp_runtime_sets_get(&sets, 4) == all[3]);
	t_true(cp_runtime_sets_get(&sets, SN_ARRAY_SIZE(all)) ==
	       all[SN_ARRAY_SIZE(all) - 1]);
	cp_runtime_sets_clear(&sets);
	t_null(cp_runtime_sets_get(&sets, 4));
}

static void generation_that_is_begun_again_has_its_last_rules(void)
{
	struct cp_runtime_sets sets = { .n = 0 };
	struct cp_runtime_set *first = make_set(), *second = make_set();

	cp_runtime_sets_put(&sets, 9, first);
	cp_runtime_sets_put(&sets, 9, second);
	t_true(cp_runtime_sets_get(&sets, 9) == second);
	cp_runtime_sets_clear(&sets);
	cp_runtime_sets_unref(first);
	cp_runtime_sets_unref(second);
}

/* Paths of files. */

struct raw {
	struct sn_rt_record head;
	char strings[5000];
};

static struct cp_runtime_record make(struct raw *raw, uint64_t inode,
				     const char *path)
{
	struct cp_runtime_record record;
	size_t n = strlen(path);

	(void)memset(raw, 0, sizeof(*raw));
	raw->head = (struct sn_rt_record){
		.size = (uint32_t)((sizeof(raw->head) + n + 7) & ~(size_t)7),
		.kind = SN_RT_KIND_EVENT,
		.event = SN_RT_EVENT_FILE_READ,
		.tgid = 10,
		.start = 500,
		.file = { .inode = inode,
			  .major = 8,
			  .mode = 0100644,
			  .path_bytes = (uint16_t)n,
			  .inside_bytes = (uint16_t)n },
	};
	(void)memcpy(raw->strings, path, n);
	t_eq(cp_runtime_record_read(raw, raw->head.size, &record), 0);
	return record;
}

static void sums_get_the_path_of_the_first_access(void)
{
	sn_cleanup(cp_runtime_files_freep) struct cp_runtime_files *files =
		NULL;
	struct sn_rt_record copy;
	struct raw raw;
	struct cp_runtime_record record;

	t_eq(cp_runtime_files_new(&files), 0);
	record = make(&raw, 77, "/etc/hosts");
	t_eq(cp_runtime_files_put(files, &record), 0);
	record = make(&raw, 77, "");
	raw.head.count = 12;
	t_true(cp_runtime_files_find(files, &record, &copy));
	t_eq(record.path.size, 10);
	t_mem_eq(record.path.at, "/etc/hosts", 10);
	t_eq(record.head->count, 12);
	t_eq(record.head->file.mode, 0100644);
	t_eq(record.head->file.inside_bytes, 10);
	/* Of another process, or of another file. */
	record = make(&raw, 77, "");
	raw.head.start = 501;
	t_false(cp_runtime_files_find(files, &record, &copy));
	record = make(&raw, 78, "");
	t_false(cp_runtime_files_find(files, &record, &copy));
	t_true(record.head == &raw.head);
}

static void paths_have_a_bound_and_the_oldest_goes(void)
{
	sn_cleanup(cp_runtime_files_freep) struct cp_runtime_files *files =
		NULL;
	struct sn_rt_record copy;
	struct raw raw;
	struct cp_runtime_record record;
	char path[SN_RT_PATH_MAX + 1];
	uint64_t n = CP_RUNTIME_FILES_BYTES_MAX / SN_RT_PATH_MAX + 5;

	(void)memset(path, 'p', sizeof(path));
	path[0] = '/';
	path[SN_RT_PATH_MAX] = '\0';
	t_eq(cp_runtime_files_new(&files), 0);
	for (uint64_t i = 1; i <= n; i++) {
		record = make(&raw, i, path);
		t_eq(cp_runtime_files_put(files, &record), 0);
		/* The first is asked for all the time. */
		record = make(&raw, 1, "");
		t_true(cp_runtime_files_find(files, &record, &copy));
	}
	t_eq(cp_runtime_files_count(files),
	     CP_RUNTIME_FILES_BYTES_MAX / SN_RT_PATH_MAX);
	record = make(&raw, 2, "");
	t_false(cp_runtime_files_find(files, &record, &copy));
	record = make(&raw, n, "");
	t_true(cp_runtime_files_find(files, &record, &copy));
}

T_MAIN("runtime_store", events_come_in_the_order_in_which_they_were_put,
       slow_reader_is_told_how_many_it_missed,
       overwritten_gap_counts_as_what_it_stood_for,
       step_of_the_clock_that_is_overwritten_is_no_gap,
       reader_that_comes_back_is_told_what_it_missed,
       event_that_is_larger_than_the_store_is_held_alone,
       number_of_events_is_bounded_as_well, last_generations_keep_their_rules,
       generation_that_is_begun_again_has_its_last_rules,
       sums_get_the_path_of_the_first_access,
       paths_have_a_bound_and_the_oldest_goes)
