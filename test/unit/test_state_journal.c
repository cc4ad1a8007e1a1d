/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/journal.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "test/unit/test_state_place.h"

enum { BYTES_MAX = 4096 };

struct image {
	uint8_t bytes[BYTES_MAX];
	size_t size;
};

static struct image read_image(const char *path)
{
	struct image image;

	image.size = read_bytes(path, image.bytes, sizeof(image.bytes));
	t_true(image.size < sizeof(image.bytes));
	return image;
}

static void write_image(const char *path, const uint8_t *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	t_true(fd >= 0);
	t_eq(write(fd, bytes, size), size);
	(void)close(fd);
}

static void append(struct place *place, const char *key, const char *text)
{
	t_eq(cp_state_append(place->state, key, text, strlen(text)), 0);
}

static void add_text(void *userdata, const char *key, const void *blob,
		     size_t size)
{
	(void)strcat(userdata, key);
	(void)strcat(userdata, "=");
	(void)strncat(userdata, blob, size);
	(void)strcat(userdata, " ");
}

static void expect_all(const struct place *place, const char *text)
{
	char all[256] = "";

	cp_state_each(place->state, add_text, all);
	t_str_eq(all, text);
}

/* What is on disk after each of four syncs. */
static const char *const steps[] = {
	"a=1 b=2 ",
	"a=1 a=+x b=2 ",
	"a=3 c=4 ",
	"a=3 a=+y a=+z c=5 ",
};

enum { N_STEPS = SN_ARRAY_SIZE(steps), N_FRAMES = N_STEPS - 1 };

/* Makes a state file and three frames; ends[i]: bytes of the journal with i
 * frames. */
static void make_frames(struct place *place, size_t ends[N_STEPS])
{
	t_eq(load(place, 0), 0);
	put(place, "a", "1");
	put(place, "b", "2");
	t_eq(sync_now(place), 0);
	ends[0] = read_image(place->journal).size;
	t_eq(ends[0], CP_STATE_JOURNAL_HEADER_BYTES);

	append(place, "a", "+x");
	t_eq(sync_now(place), 0);
	ends[1] = read_image(place->journal).size;

	put(place, "a", "3");
	cp_state_del(place->state, "b");
	put(place, "c", "4");
	t_eq(sync_now(place), 0);
	ends[2] = read_image(place->journal).size;

	append(place, "a", "+y");
	append(place, "a", "+z");
	put(place, "c", "5");
	t_eq(sync_now(place), 0);
	ends[3] = read_image(place->journal).size;
	expect_all(place, steps[3]);
	close_state(place);
}

static void changes_are_appended_and_replayed(void)
{
	struct place place;
	struct image before;
	struct stat status;
	size_t ends[N_STEPS];

	place_init(&place);
	make_frames(&place, ends);
	before = read_image(place.path);
	t_eq(count_writes(&place), N_STEPS);
	t_eq(stat(place.journal, &status), 0);
	t_eq(status.st_mode & 07777, 0600);
	t_eq(load(&place, 0), 0);
	t_false(cp_state_is_new(place.state));
	expect_all(&place, steps[3]);

	/* It goes on growing after a restart. */
	append(&place, "c", "+");
	t_eq(sync_now(&place), 0);
	reload(&place);
	expect_all(&place, "a=3 a=+y a=+z c=5 c=+ ");
	close_state(&place);
	t_eq(count_writes(&place), N_STEPS + 1);
	t_mem_eq(read_image(place.path).bytes, before.bytes, before.size);
	place_done(&place);
}

/* A crash may leave any part of the last frame, and a power failure holes. */
static void torn_tail_is_left_out_at_every_byte(void)
{
	struct place place;
	struct image file, journal;
	size_t ends[N_STEPS];
	size_t step = 0;

	place_init(&place);
	make_frames(&place, ends);
	file = read_image(place.path);
	journal = read_image(place.journal);
	for (size_t n = ends[0]; n <= journal.size; n++) {
		if (step < N_FRAMES && n == ends[step + 1])
			step++;
		write_image(place.path, file.bytes, file.size);
		write_image(place.journal, journal.bytes, n);
		t_eq(load(&place, 0), 0);
		expect_all(&place, steps[step]);
		/* And what comes after it is kept. */
		put(&place, "a", "new");
		t_eq(sync_now(&place), 0);
		cp_state_del(place.state, "b");
		cp_state_del(place.state, "c");
		t_eq(sync_now(&place), 0);
		reload(&place);
		expect_all(&place, "a=new ");
		close_state(&place);
	}
	t_eq(step, N_FRAMES);
	for (size_t n = ends[2]; n < journal.size; n++) {
		journal.bytes[n] = 0;
		write_image(place.path, file.bytes, file.size);
		write_image(place.journal, journal.bytes, journal.size);
		t_eq(load(&place, 0), 0);
		expect_all(&place, steps[2]);
		close_state(&place);
	}
	place_done(&place);
}

static void cut_header_is_refused_at_every_length(void)
{
	struct place place;
	struct image journal;
	size_t ends[N_STEPS];

	place_init(&place);
	make_frames(&place, ends);
	journal = read_image(place.journal);
	for (size_t n = 0; n < ends[0]; n++) {
		write_image(place.journal, journal.bytes, n);
		t_eq(load(&place, 0), CP_STATE_E_REFUSED);
		t_null(place.state);
		t_str_eq(place.diag.file, place.journal);
		t_not_null(strstr(place.diag.text, "cut short"));
	}
	place_done(&place);
}

/* What was acknowledged before the last frame is never forgotten silently. */
static void flipped_bit_is_refused_but_in_the_last_frame(void)
{
	struct place place;
	struct image journal;
	size_t ends[N_STEPS];

	place_init(&place);
	make_frames(&place, ends);
	journal = read_image(place.journal);
	for (size_t bit = 0; bit < 8 * journal.size; bit++) {
		uint8_t mask = (uint8_t)(1U << (bit % 8));
		uint8_t *byte = &journal.bytes[bit / 8];

		*byte = *byte ^ mask;
		write_image(place.journal, journal.bytes, journal.size);
		*byte = *byte ^ mask;
		if (bit / 8 < ends[2]) {
			t_eq(load(&place, 0), CP_STATE_E_REFUSED);
			t_true(place.diag.text[0] != '\0');
			continue;
		}
		t_eq(load(&place, 0), 0);
		expect_all(&place, steps[2]);
		close_state(&place);
	}
	place_done(&place);
}

/* The crash came between the renames of both. */
static void journal_of_the_file_before_is_left_out(void)
{
	struct place place;
	struct image journal;
	size_t ends[N_STEPS];

	place_init(&place);
	make_frames(&place, ends);
	journal = read_image(place.journal);
	t_eq(unlink(place.journal), 0);
	t_eq(load(&place, 0), 0);
	expect_all(&place, steps[0]);
	/* The same table again, and yet another file. */
	put(&place, "a", "1");
	t_eq(sync_now(&place), 0);
	close_state(&place);
	write_image(place.journal, journal.bytes, journal.size);
	t_eq(load(&place, 0), 0);
	expect_all(&place, steps[0]);
	put(&place, "a", "9");
	t_eq(sync_now(&place), 0);
	reload(&place);
	expect_all(&place, "a=9 b=2 ");
	close_state(&place);
	place_done(&place);
}

static void journal_without_a_state_file_is_left_out(void)
{
	struct place place;
	size_t ends[N_STEPS];

	place_init(&place);
	make_frames(&place, ends);
	t_eq(unlink(place.path), 0);
	t_eq(load(&place, 0), 0);
	t_true(cp_state_is_new(place.state));
	expect_all(&place, "");
	put(&place, "a", "new");
	t_eq(sync_now(&place), 0);
	reload(&place);
	expect_all(&place, "a=new ");
	close_state(&place);
	place_done(&place);
}

static void grown_journal_becomes_a_state_file(void)
{
	static char big[100000];
	struct place place;
	struct stat status;

	place_init(&place);
	t_eq(load(&place, 0), 0);
	for (int i = 0; i < 50; i++) {
		big[0] = (char)i;
		t_eq(cp_state_put(place.state, "big", big, sizeof(big)), 0);
		t_eq(sync_now(&place), 0);
		t_eq(stat(place.journal, &status), 0);
		t_true(status.st_size <= CP_STATE_JOURNAL_BYTES_MIN);
	}
	/* 100,000 bytes each: after the first, every eleventh is a file. */
	t_eq(load_number(&place), 5);
	put(&place, "small", "x");
	t_eq(sync_now(&place), 0);
	reload(&place);
	expect(&place, "small", "x");
	t_eq(((const char *)cp_state_get(place.state, "big",
					 &(size_t){ 0 }))[0],
	     49);
	close_state(&place);
	place_done(&place);
}

/* An old journal may be removed, or a folder restored, under a running daemon:
 * what was acknowledged is all in the next file. */
static void removed_journal_costs_nothing(void)
{
	struct place place;

	place_init(&place);
	t_eq(load(&place, 0), 0);
	put(&place, "a", "1");
	t_eq(sync_now(&place), 0);
	put(&place, "b", "2");
	t_eq(sync_now(&place), 0);
	t_eq(unlink(place.journal), 0);
	put(&place, "c", "3");
	t_eq(sync_now(&place), 0);
	t_eq(load_number(&place), 2);
	reload(&place);
	expect_all(&place, "a=1 b=2 c=3 ");

	put(&place, "d", "4");
	t_eq(sync_now(&place), 0);
	t_eq(truncate(place.journal, CP_STATE_JOURNAL_HEADER_BYTES), 0);
	put(&place, "e", "5");
	t_eq(sync_now(&place), 0);
	reload(&place);
	expect_all(&place, "a=1 b=2 c=3 d=4 e=5 ");
	close_state(&place);
	place_done(&place);
}

static void too_much_appended_asks_for_the_whole(void)
{
	static char part[1000];
	struct place place;
	unsigned int n = 0;

	place_init(&place);
	t_eq(load(&place, 0), 0);
	t_eq(cp_state_append(place.state, "a", "x", 1), CP_STATE_E_PUT);
	expect_all(&place, "");
	put(&place, "a", "whole");
	while (cp_state_append(place.state, "a", part, sizeof(part)) == 0)
		n++;
	t_true(n > 50 && n * sizeof(part) <= CP_STATE_APPENDED_BYTES_MIN);
	t_eq(cp_state_append(place.state, "a", part, sizeof(part)),
	     CP_STATE_E_PUT);
	t_eq(sync_now(&place), 0);
	put(&place, "a", "whole again");
	t_eq(sync_now(&place), 0);
	append(&place, "a", "+");
	t_eq(sync_now(&place), 0);
	reload(&place);
	expect_all(&place, "a=whole again a=+ ");
	close_state(&place);
	place_done(&place);
}

/* Fills the file system of `folder` to the last byte. */
static void fill(struct place *place, const char *name)
{
	static const char zeros[4096];
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", place->folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	t_true(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	(void)close(fd);
}

static void full_disk_cuts_the_journal_back(void)
{
	static char big[16384];
	struct place place;
	struct image before;
	char filler[128];

	if (geteuid() != 0)
		t_skip("needs root to mount a small file system");
	place_init(&place);
	t_eq(unshare(CLONE_NEWNS), 0);
	t_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	t_eq(mount("tmpfs", place.folder, "tmpfs", 0, "size=128k"), 0);
	t_eq(load(&place, 0), 0);
	put(&place, "a", "old");
	t_eq(sync_now(&place), 0);
	put(&place, "a", "acknowledged");
	t_eq(sync_now(&place), 0);
	before = read_image(place.journal);
	fill(&place, "filler");

	/* A frame of which the first page has room is written in part. */
	t_eq(cp_state_put(place.state, "big", big, sizeof(big)), 0);
	t_eq(sync_now(&place), -ENOSPC);
	t_eq(read_image(place.journal).size, before.size);
	t_mem_eq(read_image(place.journal).bytes, before.bytes, before.size);
	cp_state_del(place.state, "big"); /* as the caller takes it back */
	t_eq(sync_now(&place), -ENOSPC); /* a file now, which needs room */
	close_state(&place);
	t_eq(load(&place, 0), 0);
	expect_all(&place, "a=acknowledged ");

	t_eq(cp_state_put(place.state, "big", big, sizeof(big)), 0);
	t_eq(sync_now(&place), -ENOSPC);
	cp_state_del(place.state, "big");
	put(&place, "a", "new");
	(void)snprintf(filler, sizeof(filler), "%s/filler", place.folder);
	t_eq(unlink(filler), 0);
	t_eq(sync_now(&place), 0);
	reload(&place);
	expect_all(&place, "a=new ");
	close_state(&place);
	t_eq(umount(place.folder), 0);
	place_done(&place);
}

static int no_record(void *userdata, const struct cp_state_record *record)
{
	(void)record;
	(*(unsigned int *)userdata)++;
	return 0;
}

/* Makes the checksum of the first frame right. */
static void seal_first(struct image *image)
{
	uint8_t *frame = image->bytes + CP_STATE_JOURNAL_HEADER_BYTES;
	uint32_t bytes = cp_state_record_get32(frame + 4);
	uint8_t copy[BYTES_MAX];
	size_t size = CP_STATE_JOURNAL_HEADER_BYTES;

	(void)memcpy(copy, image->bytes, size);
	(void)memcpy(copy + size, frame, 16);
	(void)memcpy(copy + size + 16, frame + CP_STATE_JOURNAL_FRAME_BYTES,
		     bytes);
	(void)SHA256(copy, size + 16 + bytes, frame + 16);
}

/* Sealed right and yet not what a writer writes. */
static void sound_frames_with_unsound_records_are_refused(void)
{
	struct cp_state_file_id id = { .number = 1 };
	struct cp_state_journal journal;
	struct sn_diag diag = { 0 };
	struct image image;
	struct place place;
	size_t ends[N_STEPS];
	unsigned int n = 0;
	uint8_t *frame = image.bytes + CP_STATE_JOURNAL_HEADER_BYTES;

	place_init(&place);
	make_frames(&place, ends);
	image = read_image(place.path);
	(void)memcpy(id.digest, image.bytes + 24, sizeof(id.digest));
	image = read_image(place.journal);
	image.size = ends[1];
	seal_first(&image);
	t_eq(cp_state_journal_parse(image.bytes, image.size, &id, no_record, &n,
				    &journal, &diag),
	     0);
	t_eq(n, 1);
	t_eq(journal.number, 1);
	t_eq(journal.size, ends[1]);

	n = 0;
	frame[CP_STATE_JOURNAL_FRAME_BYTES + 2] = CP_STATE_RECORD_KINDS;
	seal_first(&image);
	t_eq(cp_state_journal_parse(image.bytes, image.size, &id, no_record, &n,
				    &journal, &diag),
	     CP_STATE_JOURNAL_E_REFUSED);
	t_not_null(strstr(diag.text, "malformed"));
	frame[CP_STATE_JOURNAL_FRAME_BYTES + 2] = CP_STATE_RECORD_APPEND;
	cp_state_record_set64(frame + 8, 2); /* the first one is missing */
	seal_first(&image);
	t_eq(cp_state_journal_parse(image.bytes, image.size, &id, no_record, &n,
				    &journal, &diag),
	     CP_STATE_JOURNAL_E_REFUSED);
	t_not_null(strstr(diag.text, "lacks a frame"));
	t_eq(n, 0);
	place_done(&place);
}

T_MAIN("state_journal", changes_are_appended_and_replayed,
       torn_tail_is_left_out_at_every_byte,
       cut_header_is_refused_at_every_length,
       flipped_bit_is_refused_but_in_the_last_frame,
       journal_of_the_file_before_is_left_out,
       journal_without_a_state_file_is_left_out,
       grown_journal_becomes_a_state_file, removed_journal_costs_nothing,
       too_much_appended_asks_for_the_whole, full_disk_cuts_the_journal_back,
       sound_frames_with_unsound_records_are_refused)
