/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/file.h"

#include <openssl/sha.h>
#include <sys/stat.h>

#include "controld/state/times.h"
#include "shared/util.h"
#include "test/unit/t.h"

/* Kinds of records beside the length of a key. */
enum {
	APPEND = CP_STATE_RECORD_APPEND << 16,
	DEL = CP_STATE_RECORD_DEL << 16,
	UNKNOWN = CP_STATE_RECORD_KINDS << 16,
};

struct walked {
	unsigned int n;
	int stop_with;
	char keys[64];
};

static int walk(void *userdata, const struct cp_state_record *record)
{
	struct walked *walked = userdata;

	walked->n++;
	(void)strncat(walked->keys, record->key,
		      sizeof(walked->keys) - strlen(walked->keys) - 1);
	return walked->stop_with;
}

struct bytes {
	uint8_t data[1024];
	size_t size;
};

static void add32(struct bytes *bytes, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		bytes->data[bytes->size++] = (uint8_t)(v >> (8 * i));
}

static void add_record(struct bytes *bytes, uint32_t key_bytes,
		       uint32_t blob_bytes, const char *key, size_t n)
{
	add32(bytes, key_bytes);
	add32(bytes, blob_bytes);
	(void)memcpy(bytes->data + bytes->size, key, n);
	bytes->size += n;
}

/* A file around records, sealed with a right checksum. */
static struct bytes begin(void)
{
	struct bytes bytes = { .size = CP_STATE_FILE_HEADER_BYTES };

	return bytes;
}

static int finish(struct bytes *bytes, uint32_t version, uint32_t number,
		  struct walked *walked, struct sn_diag *diag)
{
	struct bytes header = { .size = 0 };
	struct bytes sealed = { .size = 0 };

	(void)memcpy(header.data, "SNSTATE\n", 8);
	header.size = 8;
	add32(&header, version);
	add32(&header, number);
	add32(&header, (uint32_t)(bytes->size - CP_STATE_FILE_HEADER_BYTES));
	add32(&header, 0);
	(void)memcpy(bytes->data, header.data, header.size);
	(void)memcpy(sealed.data, header.data, header.size);
	(void)memcpy(sealed.data + header.size,
		     bytes->data + CP_STATE_FILE_HEADER_BYTES,
		     bytes->size - CP_STATE_FILE_HEADER_BYTES);
	sealed.size = header.size + bytes->size - CP_STATE_FILE_HEADER_BYTES;
	(void)SHA256(sealed.data, sealed.size, bytes->data + header.size);
	*diag = (struct sn_diag){ 0 };
	return cp_state_file_parse(bytes->data, bytes->size, walk, walked,
				   &(struct cp_state_file_id){ 0 }, diag);
}

static void sound_records_are_walked_in_order(void)
{
	struct bytes bytes = begin();
	struct walked walked = { 0 };
	struct sn_diag diag;

	add_record(&bytes, 1, 2, "axx", 3);
	add_record(&bytes, 2, 0, "bb", 2);
	add_record(&bytes, APPEND | 2, 1, "bby", 3);
	add_record(&bytes, APPEND | 2, 0, "bb", 2);
	t_eq(finish(&bytes, 2, 7, &walked, &diag), 0);
	t_eq(walked.n, 4);
	t_str_eq(walked.keys, "abbbbbb");
	walked = (struct walked){ .stop_with = -ENOMEM };
	t_eq(finish(&bytes, 2, 7, &walked, &diag), -ENOMEM);
	t_eq(walked.n, 1);
}

static void file_of_the_version_before_is_read(void)
{
	struct bytes bytes = begin();
	struct walked walked = { 0 };
	struct sn_diag diag;

	add_record(&bytes, 1, 2, "axx", 3);
	add_record(&bytes, 2, 0, "bb", 2);
	t_eq(finish(&bytes, 1, 2, &walked, &diag), 0);
	t_str_eq(walked.keys, "abb");
}

static void empty_table_is_a_sound_file(void)
{
	struct bytes bytes = begin();
	struct walked walked = { 0 };
	struct sn_diag diag;

	t_eq(finish(&bytes, 1, 0, &walked, &diag), 0);
	t_eq(walked.n, 0);
}

/* Sealed right and yet malformed: nothing of it is shown. */
static void refused(struct bytes *bytes, const char *what)
{
	struct walked walked = { 0 };
	struct sn_diag diag;

	t_eq(finish(bytes, 2, 1, &walked, &diag), CP_STATE_FILE_E_REFUSED);
	t_eq(walked.n, 0);
	t_not_null(strstr(diag.text, what));
}

static void malformed_records_are_refused(void)
{
	char long_key[80];
	struct bytes bytes;

	bytes = begin();
	add_record(&bytes, 1, 100, "ax", 2); /* blob beyond the end */
	refused(&bytes, "malformed");
	bytes = begin();
	add_record(&bytes, 0xffffffffU, 1, "ax", 2);
	refused(&bytes, "malformed");
	bytes = begin();
	add_record(&bytes, 0, 1, "x", 1); /* no key */
	refused(&bytes, "malformed");
	bytes = begin();
	add_record(&bytes, 3, 0, "a\0b", 3);
	refused(&bytes, "malformed");
	bytes = begin();
	(void)memset(long_key, 'k', sizeof(long_key));
	add_record(&bytes, 65, 0, long_key, 65);
	refused(&bytes, "malformed");
	bytes = begin();
	add_record(&bytes, 1, 0, "a", 1);
	add_record(&bytes, 1, 0, "a", 1);
	refused(&bytes, "malformed"); /* the same key again */
	bytes = begin();
	add_record(&bytes, 1, 0, "b", 1);
	add_record(&bytes, 1, 0, "a", 1);
	refused(&bytes, "malformed");
	bytes = begin();
	add_record(&bytes, APPEND | 1, 0, "a", 1); /* to nothing */
	refused(&bytes, "malformed");
	bytes = begin();
	add_record(&bytes, 1, 0, "a", 1);
	add_record(&bytes, APPEND | 1, 0, "b", 1);
	refused(&bytes, "malformed");
	bytes = begin();
	add_record(&bytes, 1, 0, "a", 1);
	add_record(&bytes, DEL | 1, 0, "a", 1);
	refused(&bytes, "malformed");
	bytes = begin();
	add_record(&bytes, UNKNOWN | 1, 0, "a", 1);
	refused(&bytes, "malformed");
}

static void newer_version_is_refused_by_name(void)
{
	struct bytes bytes = begin();
	struct walked walked = { 0 };
	struct sn_diag diag;

	t_eq(finish(&bytes, 3, 0, &walked, &diag), CP_STATE_FILE_E_REFUSED);
	t_not_null(strstr(diag.text, "version 3"));
	t_eq(finish(&bytes, 0, 0, &walked, &diag), CP_STATE_FILE_E_REFUSED);
}

static void bytes_behind_the_end_are_refused(void)
{
	struct bytes bytes = begin();
	struct walked walked = { 0 };
	struct sn_diag diag;

	t_eq(finish(&bytes, 1, 0, &walked, &diag), 0);
	t_eq(cp_state_file_parse(bytes.data, bytes.size + 1, walk, &walked,
				 &(struct cp_state_file_id){ 0 }, &diag),
	     CP_STATE_FILE_E_REFUSED);
	t_not_null(strstr(diag.text, "behind its end"));
}

static void what_is_no_regular_file_is_refused(void)
{
	char folder[] = "/tmp/sentinel-test-XXXXXX";
	struct sn_diag diag = { 0 };
	void *data = NULL;
	size_t size;
	int fd;

	t_not_null(mkdtemp(folder));
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t_eq(mkdirat(fd, "state.pb", 0700), 0);
	t_eq(cp_state_file_read(fd, "state.pb", &data, &size, &diag),
	     CP_STATE_FILE_E_REFUSED);
	t_eq(unlinkat(fd, "state.pb", AT_REMOVEDIR), 0);
	t_eq(symlinkat("/etc/passwd", fd, "state.pb"), 0);
	t_eq(cp_state_file_read(fd, "state.pb", &data, &size, &diag), -ELOOP);
	t_eq(unlinkat(fd, "state.pb", 0), 0);
	t_eq(mknodat(fd, "state.pb", S_IFIFO | 0600, 0), 0);
	t_eq(cp_state_file_read(fd, "state.pb", &data, &size, &diag),
	     CP_STATE_FILE_E_REFUSED);
	t_eq(unlinkat(fd, "state.pb", 0), 0);
	t_null(data);
	(void)close(fd);
	(void)rmdir(folder);
}

/* A crash after stage() and before commit() leaves the old file. */
static void stage_alone_changes_nothing(void)
{
	char folder[] = "/tmp/sentinel-test-XXXXXX";
	const struct cp_state_record old = { .key = "a", "old", 3 };
	const struct cp_state_record new = { .key = "b", "new", 3 };
	struct cp_state_file_id old_id = { .number = 1 };
	struct cp_state_file_id new_id = { .number = 2 };
	struct cp_state_file_id id;
	struct walked walked = { 0 };
	struct sn_diag diag = { 0 };
	void *data = NULL;
	size_t size;
	int fd;

	t_not_null(mkdtemp(folder));
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t_eq(cp_state_file_stage(fd, "f", &old, 1, &old_id), 0);
	t_eq(cp_state_file_read(fd, "f", &data, &size, &diag), -ENOENT);
	t_eq(cp_state_file_commit(fd, "f"), 0);
	t_eq(cp_state_file_stage(fd, "f", &new, 1, &new_id), 0);
	t_eq(cp_state_file_read(fd, "f", &data, &size, &diag), 0);
	t_eq(cp_state_file_parse(data, size, walk, &walked, &id, &diag), 0);
	t_str_eq(walked.keys, "a");
	t_eq(id.number, 1);
	t_mem_eq(id.digest, old_id.digest, sizeof(id.digest));
	free(data);
	t_eq(cp_state_file_commit(fd, "f"), 0);
	t_eq(cp_state_file_commit(fd, "f"), -ENOENT);
	t_eq(unlinkat(fd, "f", 0), 0);
	(void)close(fd);
	t_eq(rmdir(folder), 0);
}

static void expiry_of_the_same_boot_holds_as_it_is(void)
{
	const struct cp_state_times_now now = { 500, 10500 };

	t_eq(cp_state_times_restore(true, 700, 1, 100, &now), 700);
	t_eq(cp_state_times_restore(true, 300, 1, 100, &now), 300);
	t_eq(cp_state_times_restore(true, 0, 0, 100, &now), 0);
}

static void after_a_reboot_the_smaller_life_holds(void)
{
	/* Saved at 1,000 with 600 left, that is until wall clock 50,600. */
	struct cp_state_times_now now = { .boot_ns = 30, .wall_ns = 50400 };

	t_eq(cp_state_times_restore(false, 1600, 50600, 1000, &now), 230);
	now.wall_ns = 49000; /* set back: 1,600 by the clock */
	t_eq(cp_state_times_restore(false, 1600, 50600, 1000, &now), 630);
	now.wall_ns = 50600;
	t_eq(cp_state_times_restore(false, 1600, 50600, 1000, &now), 30);
	now.wall_ns = 99999;
	t_eq(cp_state_times_restore(false, 1600, 50600, 1000, &now), 30);
	/* Had lapsed when saved. */
	now.wall_ns = 50000;
	t_eq(cp_state_times_restore(false, 900, 50600, 1000, &now), 30);
}

static void never_stays_never_and_ended_is_not_never(void)
{
	const struct cp_state_times_now now = { 0, 99999 };

	t_eq(cp_state_times_restore(false, 0, 0, 1000, &now), 0);
	t_eq(cp_state_times_restore(false, 1600, 50600, 1000, &now), 1);
	t_eq(cp_state_times_wall(0, &now), 0);
}

static void wall_expiry_is_as_far_away_as_the_boot_one(void)
{
	const struct cp_state_times_now now = { 100, 5000 };

	t_eq(cp_state_times_wall(150, &now), 5050);
	t_eq(cp_state_times_wall(50, &now), 5000);
	t_true(cp_state_times_wall(UINT64_MAX, &now) == UINT64_MAX);
}

T_MAIN("state_file", sound_records_are_walked_in_order,
       file_of_the_version_before_is_read, empty_table_is_a_sound_file,
       malformed_records_are_refused, newer_version_is_refused_by_name,
       bytes_behind_the_end_are_refused, what_is_no_regular_file_is_refused,
       stage_alone_changes_nothing, expiry_of_the_same_boot_holds_as_it_is,
       after_a_reboot_the_smaller_life_holds,
       never_stays_never_and_ended_is_not_never,
       wall_expiry_is_as_far_away_as_the_boot_one)
