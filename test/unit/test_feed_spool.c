/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/spool.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "test/unit/test_feed_place.h"

enum { SIZE = 1000 }; /* of an event */

static struct cp_feed_spool *open_spool(const struct place *place,
					uint64_t max_bytes)
{
	const struct cp_feed_spool_options options = {
		.path = place->path,
		.max_bytes = max_bytes,
	};
	struct cp_feed_spool *spool = NULL;
	struct sn_diag diag = { .text = "" };

	t_eq(cp_feed_spool_new(&spool, &options, &diag), 0);
	return spool;
}

/* Events first..last, each filled with its own number. */
static int put(struct cp_feed_spool *spool, uint64_t first, uint64_t last,
	       bool is_read)
{
	static uint8_t data[SIZE];
	size_t n_written;
	int r = 0;

	for (uint64_t i = first; r == 0 && i <= last; i++) {
		const struct cp_feed_spool_item item = {
			.record = { i, data, sizeof(data) },
			.is_read = is_read,
		};

		(void)memset(data, (int)(i & 0xff), sizeof(data));
		r = cp_feed_spool_write(spool, &item, 1, &n_written);
	}
	return r;
}

struct seen {
	uint64_t first;
	uint64_t last;
	uint64_t n;
};

static int see(void *userdata, const struct cp_feed_record *record)
{
	struct seen *seen = userdata;

	t_eq(record->size, SIZE);
	t_eq(record->data[SIZE - 1], record->sequence & 0xff);
	t_true(record->sequence > seen->last);
	if (seen->n++ == 0)
		seen->first = record->sequence;
	seen->last = record->sequence;
	return 0;
}

static struct seen read_all(struct cp_feed_spool *spool)
{
	struct seen seen = { 0 };

	t_eq(cp_feed_spool_read(spool, SIZE_MAX, see, &seen), 0);
	return seen;
}

static struct cp_feed_spool_stats stats_of(const struct cp_feed_spool *spool)
{
	struct cp_feed_spool_stats stats;

	cp_feed_spool_get_stats(spool, &stats);
	return stats;
}

static void what_was_written_is_read_once_in_order(void)
{
	struct place place = make_place();
	struct cp_feed_spool *spool = open_spool(&place, 8 << 20);
	struct seen seen = { 0 };

	t_eq(put(spool, 1, 700, false), 0);
	t_eq(stats_of(spool).n_unread, 700);
	t_eq(cp_feed_spool_read(spool, 10 * SIZE, see, &seen), 0);
	t_eq(seen.n, 10);
	t_eq(stats_of(spool).n_unread, 690);
	t_eq(cp_feed_spool_read(spool, SIZE_MAX, see, &seen), 0);
	t_eq(seen.n, 700);
	t_eq(seen.last, 700);
	t_eq(read_all(spool).n, 0);
	t_eq(put(spool, 701, 702, false), 0);
	t_eq(read_all(spool).first, 701);
	cp_feed_spool_free(spool);
	remove_place(&place);
}

static void what_a_reader_has_already_is_not_read(void)
{
	struct place place = make_place();
	struct cp_feed_spool *spool = open_spool(&place, 8 << 20);
	struct seen seen;

	t_eq(put(spool, 1, 10, true), 0);
	t_eq(stats_of(spool).n_unread, 0);
	t_eq(put(spool, 11, 20, false), 0);
	seen = read_all(spool);
	t_eq(seen.first, 11);
	t_eq(seen.n, 10);
	cp_feed_spool_free(spool);
	remove_place(&place);
}

static void what_is_not_answered_is_found_again(void)
{
	struct place place = make_place();
	struct cp_feed_spool *spool = open_spool(&place, 8 << 20);
	struct seen seen;

	t_eq(put(spool, 1, 3000, false), 0);
	t_eq(read_all(spool).n, 3000);
	cp_feed_spool_trim(spool, 1501, true);
	t_true(stats_of(spool).n_files < 4);
	cp_feed_spool_free(spool);

	spool = open_spool(&place, 8 << 20);
	t_eq(stats_of(spool).n_unread, 1500);
	t_eq(stats_of(spool).last_sequence, 3000);
	seen = read_all(spool);
	t_eq(seen.first, 1501);
	t_eq(seen.last, 3000);
	cp_feed_spool_trim(spool, 3001, true);
	cp_feed_spool_free(spool);

	spool = open_spool(&place, 8 << 20);
	t_eq(stats_of(spool).n_unread, 0);
	t_eq(stats_of(spool).n_files, 0);
	t_eq(stats_of(spool).last_sequence, 3000);
	cp_feed_spool_free(spool);
	remove_place(&place);
}

static void what_goes_before_is_read_before(void)
{
	struct place place = make_place();
	struct cp_feed_spool *spool = open_spool(&place, 8 << 20);
	struct seen seen;

	t_eq(put(spool, 100, 199, false), 0);
	cp_feed_spool_begin(spool);
	t_eq(put(spool, 1, 99, false), 0);
	cp_feed_spool_begin(spool);
	t_eq(put(spool, 200, 210, false), 0);
	cp_feed_spool_free(spool);
	spool = open_spool(&place, 8 << 20);
	seen = read_all(spool);
	t_eq(seen.first, 1);
	t_eq(seen.n, 210);
	cp_feed_spool_free(spool);
	remove_place(&place);
}

static void the_oldest_go_when_there_is_no_room_and_are_counted(void)
{
	struct place place = make_place();
	struct cp_feed_spool *spool = open_spool(&place, 1 << 20);
	struct cp_feed_spool_stats stats;
	struct seen seen;

	t_eq(put(spool, 1, 5000, false), 0);
	stats = stats_of(spool);
	t_true(stats.n_bytes <= 1 << 20);
	t_eq(stats.n_unread + stats.n_dropped, 5000);
	seen = read_all(spool);
	t_eq(seen.n, stats.n_unread);
	t_eq(seen.first, stats.n_dropped + 1);
	t_eq(seen.last, 5000);
	/* What was read is no loss. */
	t_eq(put(spool, 5001, 9000, true), 0);
	t_eq(stats_of(spool).n_dropped, stats.n_dropped);
	cp_feed_spool_free(spool);
	remove_place(&place);
}

static void change_file(const struct place *place, off_t cut, off_t flip)
{
	char path[160];
	struct stat status;
	uint8_t byte;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%016x.spool", place->path, 1);
	fd = open(path, O_RDWR | O_CLOEXEC);
	t_true(fd >= 0);
	t_eq(fstat(fd, &status), 0);
	if (cut)
		t_eq(ftruncate(fd, status.st_size - cut), 0);
	if (flip) {
		t_eq(pread(fd, &byte, 1, flip), 1);
		byte ^= 1;
		t_eq(pwrite(fd, &byte, 1, flip), 1);
	}
	(void)close(fd);
}

static void a_torn_end_costs_its_record_alone(void)
{
	struct place place = make_place();
	struct cp_feed_spool *spool = open_spool(&place, 8 << 20);
	struct seen seen;

	t_eq(put(spool, 1, 50, false), 0);
	cp_feed_spool_free(spool);
	change_file(&place, 1, 0);
	spool = open_spool(&place, 8 << 20);
	t_eq(stats_of(spool).n_cut, 1);
	t_eq(stats_of(spool).n_unread, 49);
	t_eq(stats_of(spool).last_sequence, 49);
	t_eq(put(spool, 50, 60, false), 0);
	seen = read_all(spool);
	t_eq(seen.n, 60);
	t_eq(seen.last, 60);
	cp_feed_spool_free(spool);
	remove_place(&place);
}

static void what_breaks_later_is_counted_and_the_next_file_read(void)
{
	struct place place = make_place();
	struct cp_feed_spool *spool = open_spool(&place, 1 << 20);
	struct cp_feed_spool_stats stats;
	struct seen seen;

	t_eq(put(spool, 1, 200, false), 0);
	change_file(&place, 0, 20 * (SIZE + 16) + 500);
	seen = read_all(spool);
	stats = stats_of(spool);
	t_eq(seen.last, 200);
	t_true(stats.n_broken > 0);
	t_eq(seen.n + stats.n_broken, 200);
	t_eq(stats.n_unread, 0);
	cp_feed_spool_free(spool);
	remove_place(&place);
}

static void what_there_is_no_descriptor_for_is_read_later(void)
{
	struct place place = make_place();
	struct cp_feed_spool *spool = open_spool(&place, 1 << 20);
	struct seen seen = { 0 };
	struct rlimit limit;
	rlim_t before;

	t_eq(put(spool, 1, 300, false), 0);
	t_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = 0;
	t_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	t_eq(cp_feed_spool_read(spool, SIZE_MAX, see, &seen), -EMFILE);
	limit.rlim_cur = before;
	t_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	t_eq(seen.n, 0);
	t_eq(stats_of(spool).n_broken, 0);
	t_eq(read_all(spool).n, 300);
	cp_feed_spool_free(spool);
	remove_place(&place);
}

static void a_folder_has_one_user(void)
{
	struct place place = make_place();
	struct cp_feed_spool *spool = open_spool(&place, 1 << 20);
	const struct cp_feed_spool_options options = {
		.path = place.path,
		.max_bytes = 1 << 20,
	};
	struct cp_feed_spool *other = NULL;
	struct sn_diag diag = { .text = "" };

	t_eq(cp_feed_spool_new(&other, &options, &diag), -EWOULDBLOCK);
	t_not_null(strstr(diag.text, "in use"));
	t_null(other);
	cp_feed_spool_free(spool);
	remove_place(&place);
}

/* /dev/full stands for a disk without room: by a link, which is not followed, a
 * file cannot be made. */
static void a_write_that_fails_leaves_whole_records(void)
{
	struct place place = make_place();
	struct cp_feed_spool *spool = open_spool(&place, 8 << 20);
	char path[160];

	t_eq(put(spool, 1, 5, false), 0);
	cp_feed_spool_begin(spool);
	(void)snprintf(path, sizeof(path), "%s/%016x.spool", place.path, 6);
	t_eq(symlink("/dev/full", path), 0);
	t_eq(put(spool, 6, 6, false), -EEXIST);
	t_eq(stats_of(spool).error, -EEXIST);
	t_eq(unlink(path), 0);
	t_eq(put(spool, 7, 9, false), 0);
	t_eq(stats_of(spool).error, 0);
	t_eq(read_all(spool).n, 8);
	cp_feed_spool_free(spool);
	remove_place(&place);
}

static void a_position_of_other_bytes_is_none(void)
{
	uint8_t data[CP_FEED_RECORD_POSITION_BYTES];
	uint64_t position = 0;

	cp_feed_record_write_position(77, data);
	t_true(cp_feed_record_read_position(data, sizeof(data), &position));
	t_eq(position, 77);
	t_false(cp_feed_record_read_position(data, sizeof(data) - 1,
					     &position));
	data[9] ^= 1;
	t_false(cp_feed_record_read_position(data, sizeof(data), &position));
}

T_MAIN("feed_spool", what_was_written_is_read_once_in_order,
       what_a_reader_has_already_is_not_read,
       what_is_not_answered_is_found_again, what_goes_before_is_read_before,
       the_oldest_go_when_there_is_no_room_and_are_counted,
       a_torn_end_costs_its_record_alone,
       what_breaks_later_is_counted_and_the_next_file_read,
       what_there_is_no_descriptor_for_is_read_later, a_folder_has_one_user,
       a_write_that_fails_leaves_whole_records,
       a_position_of_other_bytes_is_none)
