/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/state.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "test/unit/test_state_place.h"

static void no_file_is_a_new_empty_table(void)
{
	struct place place;
	struct stat status;

	place_init(&place);
	t_eq(load(&place, 0), 0);
	t_true(cp_state_is_new(place.state));
	expect(&place, "a", NULL);
	close_state(&place);
	t_eq(stat(place.path, &status), -1);
	place_done(&place);
}

static void what_was_synced_is_there_after_a_restart(void)
{
	struct place place;
	struct stat status;

	place_init(&place);
	t_eq(load(&place, 0), 0);
	put(&place, "b", "second");
	put(&place, "a", "first");
	put(&place, "c", "third");
	t_eq(sync_now(&place), 0);
	put(&place, "a", "first changed");
	cp_state_del(place.state, "b");
	cp_state_del(place.state, "never there");
	put(&place, "empty", "");
	t_eq(sync_now(&place), 0);
	reload(&place);
	t_false(cp_state_is_new(place.state));
	expect(&place, "a", "first changed");
	expect(&place, "b", NULL);
	expect(&place, "c", "third");
	expect(&place, "empty", "");
	t_eq(stat(place.path, &status), 0);
	t_eq(status.st_mode & 07777, 0600);
	close_state(&place);
	place_done(&place);
}

static void add_key(void *userdata, const char *key, const void *blob,
		    size_t size)
{
	(void)blob;
	(void)size;
	(void)strcat(userdata, key);
}

static void each_goes_in_the_order_of_keys(void)
{
	struct place place;
	char keys[16] = "";

	place_init(&place);
	t_eq(load(&place, 0), 0);
	for (const char *key = "dacbe"; *key; key++)
		put(&place, (char[2]){ *key, '\0' }, "x");
	cp_state_each(place.state, add_key, keys);
	t_str_eq(keys, "abcde");
	close_state(&place);
	place_done(&place);
}

static void keys_that_the_file_cannot_hold_are_refused(void)
{
	struct place place;
	char key[CP_STATE_KEY_MAX + 2];

	place_init(&place);
	t_eq(load(&place, 0), 0);
	(void)memset(key, 'k', sizeof(key));
	key[CP_STATE_KEY_MAX + 1] = '\0';
	t_eq(cp_state_put(place.state, key, "x", 1), -EINVAL);
	t_eq(cp_state_put(place.state, "", "x", 1), -EINVAL);
	key[CP_STATE_KEY_MAX] = '\0';
	put(&place, key, "x");
	t_eq(sync_now(&place), 0);
	reload(&place);
	expect(&place, key, "x");
	close_state(&place);
	place_done(&place);
}

static void changes_within_the_interval_are_one_write(void)
{
	struct place place;
	struct synced results[20] = { 0 };
	uint64_t began;

	place_init(&place);
	t_eq(load(&place, 1000), 0);
	put(&place, "first", "x");
	t_eq(sync_now(&place), 0);
	began = uv_hrtime();
	t_eq(count_writes(&place), 1);

	for (int i = 0; i < 20; i++) {
		char key[8];

		(void)snprintf(key, sizeof(key), "k%d", i);
		put(&place, key, "y");
		t_eq(cp_state_sync(place.state, synced, &results[i]), 0);
		(void)uv_run(&place.loop, UV_RUN_NOWAIT);
	}
	RUN_UNTIL(&place, results[19].n == 1);
	t_true(uv_hrtime() - began >= 800000000);
	t_eq(count_writes(&place), 2);
	for (int i = 0; i < 20; i++) {
		t_eq(results[i].n, 1);
		t_eq(results[i].error, 0);
	}
	close_state(&place);
	place_done(&place);
}

static void sync_of_an_idle_store_writes_at_once(void)
{
	struct place place;
	uint64_t began;

	place_init(&place);
	t_eq(load(&place, 60000), 0);
	put(&place, "a", "x");
	began = uv_hrtime();
	t_eq(sync_now(&place), 0);
	/* Nothing changed: no reason to wait for the interval either. */
	t_eq(sync_now(&place), 0);
	t_true(uv_hrtime() - began < 10 * SN_NS_PER_S);
	/* Closing does not wait for it. */
	put(&place, "b", "y");
	reload(&place);
	t_true(uv_hrtime() - began < 20 * SN_NS_PER_S);
	expect(&place, "b", "y");
	close_state(&place);
	place_done(&place);
}

static void change_during_a_write_waits_for_the_next_one(void)
{
	struct place place;
	unsigned int order = 0;
	struct synced first = { .order = &order }, second = { .order = &order };

	place_init(&place);
	t_eq(load(&place, 0), 0);
	put(&place, "a", "1");
	t_eq(cp_state_sync(place.state, synced, &first), 0);
	/* The timer turns into a write, whose end needs another turn. */
	(void)uv_run(&place.loop, UV_RUN_NOWAIT);
	put(&place, "a", "2");
	cp_state_del(place.state, "b");
	t_eq(cp_state_sync(place.state, synced, &second), 0);
	RUN_UNTIL(&place, second.n == 1);
	t_eq(first.n, 1);
	t_eq(first.turn, 1);
	t_eq(second.turn, 2);
	t_eq(count_writes(&place), 2);
	reload(&place);
	expect(&place, "a", "2");
	close_state(&place);
	place_done(&place);
}

/* Puts from inside a sync's answer and asks again. */
struct chain {
	struct place *place;
	unsigned int n;
};

static void chained(void *userdata, int error)
{
	struct chain *chain = userdata;
	char key[8];

	t_eq(error, 0);
	if (++chain->n == 5)
		return;
	(void)snprintf(key, sizeof(key), "n%u", chain->n);
	put(chain->place, key, "z");
	t_eq(cp_state_sync(chain->place->state, chained, chain), 0);
}

static void answers_may_put_and_sync_again(void)
{
	struct place place;
	struct chain chain = { .place = &place };

	place_init(&place);
	t_eq(load(&place, 0), 0);
	chained(&chain, 0);
	RUN_UNTIL(&place, chain.n == 5);
	reload(&place);
	expect(&place, "n4", "z");
	close_state(&place);
	place_done(&place);
}

static void close_writes_what_is_not_on_disk_and_answers(void)
{
	struct place place;
	struct synced result = { 0 };

	place_init(&place);
	t_eq(load(&place, 60000), 0);
	put(&place, "a", "1");
	t_eq(sync_now(&place), 0);
	put(&place, "b", "2");
	t_eq(cp_state_sync(place.state, synced, &result), 0);
	put(&place, "c", "3"); /* nobody waits for it */
	reload(&place);
	t_eq(result.n, 1);
	t_eq(result.error, 0);
	expect(&place, "b", "2");
	expect(&place, "c", "3");
	close_state(&place);
	place_done(&place);
}

static void close_during_a_write_writes_the_rest_too(void)
{
	struct place place;
	struct synced result = { 0 };

	place_init(&place);
	t_eq(load(&place, 60000), 0);
	put(&place, "a", "1");
	t_eq(cp_state_sync(place.state, synced, &result), 0);
	(void)uv_run(&place.loop, UV_RUN_NOWAIT);
	put(&place, "b", "2");
	reload(&place);
	t_eq(result.n, 1);
	expect(&place, "a", "1");
	expect(&place, "b", "2");
	close_state(&place);
	place_done(&place);
}

static void second_user_of_the_file_is_refused(void)
{
	struct place place;
	struct cp_state *other = NULL;
	struct sn_diag diag;

	place_init(&place);
	t_eq(load(&place, 0), 0);
	t_eq(cp_state_load(&other, &place.loop, place.path, 0, &diag),
	     CP_STATE_E_IN_USE);
	t_null(other);
	t_str_eq(diag.file, place.path);
	t_not_null(strstr(diag.text, "another process"));
	close_state(&place);
	t_eq(load(&place, 0), 0);
	close_state(&place);
	place_done(&place);
}

static void missing_folder_is_an_error_with_its_name(void)
{
	struct place place;

	place_init(&place);
	(void)snprintf(place.path, sizeof(place.path), "%s/no/state.pb",
		       place.folder);
	t_eq(load(&place, 0), -ENOENT);
	t_null(place.state);
	t_str_eq(place.diag.file, place.path);
	t_true(place.diag.text[0] != '\0');
	place_done(&place);
}

/* A file with one record, as bytes. */
static size_t make_file(struct place *place, char *bytes, size_t size)
{
	ssize_t n;
	int fd;

	t_eq(load(place, 0), 0);
	put(place, "key", "the policy that is not to be lost");
	close_state(place);
	fd = open(place->path, O_RDONLY | O_CLOEXEC);
	t_true(fd >= 0);
	n = read(fd, bytes, size);
	t_true(n > 0);
	(void)close(fd);
	return (size_t)n;
}

static void write_file(struct place *place, const char *bytes, size_t size)
{
	int fd = open(place->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		      0600);

	t_true(fd >= 0);
	t_eq(write(fd, bytes, size), size);
	(void)close(fd);
}

static void torn_file_is_refused_at_every_length(void)
{
	struct place place;
	char bytes[512];
	size_t size;

	place_init(&place);
	size = make_file(&place, bytes, sizeof(bytes));
	for (size_t n = 0; n < size; n++) {
		write_file(&place, bytes, n);
		t_eq(load(&place, 0), CP_STATE_E_REFUSED);
		t_null(place.state);
		t_str_eq(place.diag.file, place.path);
	}
	write_file(&place, bytes, size);
	t_eq(load(&place, 0), 0);
	close_state(&place);
	place_done(&place);
}

static void flipped_bit_is_refused_everywhere(void)
{
	struct place place;
	char bytes[512];
	size_t size;

	place_init(&place);
	size = make_file(&place, bytes, sizeof(bytes));
	for (size_t bit = 0; bit < 8 * size; bit++) {
		bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
		write_file(&place, bytes, size);
		t_eq(load(&place, 0), CP_STATE_E_REFUSED);
		bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
	}
	place_done(&place);
}

static void leftover_of_a_crash_before_the_rename_is_ignored(void)
{
	struct place place;
	char temporary[128];
	int fd;

	place_init(&place);
	t_eq(load(&place, 0), 0);
	put(&place, "a", "old");
	t_eq(sync_now(&place), 0);
	(void)snprintf(temporary, sizeof(temporary), "%s.tmp", place.path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0400);
	t_true(fd >= 0);
	t_eq(write(fd, "half a file", 11), 11);
	(void)close(fd);
	close_state(&place);
	t_eq(unlink(place.journal), 0); /* so that the file is written */
	t_eq(load(&place, 0), 0);
	expect(&place, "a", "old");
	put(&place, "a", "new");
	t_eq(sync_now(&place), 0);
	reload(&place);
	expect(&place, "a", "new");
	t_eq(access(temporary, F_OK), -1);
	close_state(&place);
	place_done(&place);
}

static void failed_write_tells_everyone_and_keeps_the_old_file(void)
{
	struct place place;
	struct synced first = { 0 }, second = { 0 };
	static char big[512 * 1024];

	if (geteuid() != 0)
		t_skip("needs root to mount a small file system");
	place_init(&place);
	t_eq(unshare(CLONE_NEWNS), 0);
	t_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	t_eq(mount("tmpfs", place.folder, "tmpfs", 0, "size=256k"), 0);

	t_eq(load(&place, 0), 0);
	put(&place, "a", "old");
	t_eq(sync_now(&place), 0);
	t_eq(cp_state_put(place.state, "big", big, sizeof(big)), 0);
	t_eq(cp_state_sync(place.state, synced, &first), 0);
	t_eq(cp_state_sync(place.state, synced, &second), 0);
	RUN_UNTIL(&place, first.n == 1 && second.n == 1);
	t_eq(first.error, -ENOSPC);
	t_eq(second.error, -ENOSPC);

	/* The next one tries again, also without a further change. */
	t_eq(sync_now(&place), -ENOSPC);
	close_state(&place);
	t_eq(load(&place, 0), 0);
	expect(&place, "a", "old");
	expect(&place, "big", NULL);

	t_eq(cp_state_put(place.state, "big", big, sizeof(big)), 0);
	t_eq(sync_now(&place), -ENOSPC);
	cp_state_del(place.state, "big");
	put(&place, "a", "new");
	t_eq(sync_now(&place), 0);
	reload(&place);
	expect(&place, "a", "new");
	close_state(&place);
	t_eq(umount(place.folder), 0);
	place_done(&place);
}

static void ten_thousand_entries_survive(void)
{
	struct place place;
	char key[16];

	place_init(&place);
	t_eq(load(&place, 0), 0);
	for (int i = 0; i < 10000; i++) {
		(void)snprintf(key, sizeof(key), "%d", (i * 7919) % 10000);
		put(&place, key, key);
	}
	t_eq(sync_now(&place), 0);
	reload(&place);
	for (int i = 0; i < 10000; i++) {
		(void)snprintf(key, sizeof(key), "%d", i);
		expect(&place, key, key);
	}
	close_state(&place);
	place_done(&place);
}

T_MAIN("state", no_file_is_a_new_empty_table,
       what_was_synced_is_there_after_a_restart, each_goes_in_the_order_of_keys,
       keys_that_the_file_cannot_hold_are_refused,
       changes_within_the_interval_are_one_write,
       sync_of_an_idle_store_writes_at_once,
       change_during_a_write_waits_for_the_next_one,
       answers_may_put_and_sync_again,
       close_writes_what_is_not_on_disk_and_answers,
       close_during_a_write_writes_the_rest_too,
       second_user_of_the_file_is_refused,
       missing_folder_is_an_error_with_its_name,
       torn_file_is_refused_at_every_length, flipped_bit_is_refused_everywhere,
       leftover_of_a_crash_before_the_rename_is_ignored,
       failed_write_tells_everyone_and_keeps_the_old_file,
       ten_thousand_entries_survive)
