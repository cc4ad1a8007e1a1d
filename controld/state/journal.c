/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/journal.h"

#include <assert.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "shared/util.h"

enum {
	HEADER_BYTES = CP_STATE_JOURNAL_HEADER_BYTES,
	FRAME_BYTES = CP_STATE_JOURNAL_FRAME_BYTES,
	DIGEST_BYTES = CP_STATE_FILE_DIGEST_BYTES,
	NAME_BYTES = CP_STATE_FILE_NAME_BYTES,
	MAGIC_BYTES = 8,
	MARK_BYTES = 4,
	BASE_AT = 16, /* the state file's digest */
	HEADER_DIGEST_AT = BASE_AT + DIGEST_BYTES,
	FRAME_DIGEST_AT = FRAME_BYTES - DIGEST_BYTES,
};

_Static_assert((int)HEADER_DIGEST_AT + (int)DIGEST_BYTES == (int)HEADER_BYTES,
	       "header");

static const char magic[MAGIC_BYTES] = {
	'S', 'N', 'J', 'O', 'U', 'R', 'N', '\n'
};
static const char mark[MARK_BYTES] = { 'S', 'N', 'F', 'R' };

static int refuse(struct sn_diag *diag, const char *text)
{
	sn_diag_set(diag, NULL,
		    "%s; restore a copy of it and of the state file, or remove "
		    "it: changes since the state file was written are then "
		    "lost",
		    text);
	return CP_STATE_JOURNAL_E_REFUSED;
}

struct part {
	const void *data;
	size_t size;
};

static int digest(const struct part *parts, size_t n, uint8_t out[DIGEST_BYTES])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok;

	if (!context)
		return -ENOMEM;
	ok = EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_DigestUpdate(context, parts[i].data, parts[i].size) ==
		     1;
	ok = ok && EVP_DigestFinal_ex(context, out, NULL) == 1;
	EVP_MD_CTX_free(context);
	return ok ? 0 : -ENOMEM;
}

static int digest_frame(const uint8_t header[HEADER_BYTES],
			const uint8_t *frame, size_t records_bytes,
			uint8_t out[DIGEST_BYTES])
{
	const struct part parts[] = {
		{ header, HEADER_BYTES },
		{ frame, FRAME_DIGEST_AT },
		{ frame + FRAME_BYTES, records_bytes },
	};

	return digest(parts, SN_ARRAY_SIZE(parts), out);
}

static int make_header(const struct cp_state_file_id *id,
		       uint8_t out[HEADER_BYTES])
{
	struct part part = { out, HEADER_DIGEST_AT };

	(void)memcpy(out, magic, sizeof(magic));
	cp_state_record_set32(out + 8, CP_STATE_JOURNAL_VERSION);
	cp_state_record_set32(out + 12, 0);
	(void)memcpy(out + BASE_AT, id->digest, DIGEST_BYTES);
	return digest(&part, 1, out + HEADER_DIGEST_AT);
}

static int check_header(const uint8_t *data, size_t size,
			const struct cp_state_file_id *id, struct sn_diag *diag)
{
	uint8_t wanted[DIGEST_BYTES];
	struct part part = { data, HEADER_DIGEST_AT };
	int r;

	if (size < HEADER_BYTES)
		return refuse(diag, "the journal is cut short");
	if (memcmp(data, magic, sizeof(magic)) != 0)
		return refuse(diag, "this is not a journal");
	if (cp_state_record_get32(data + 8) != CP_STATE_JOURNAL_VERSION) {
		sn_diag_set(diag, NULL,
			    "the journal has format version %u, this program "
			    "reads %d; run the program that wrote it",
			    cp_state_record_get32(data + 8),
			    CP_STATE_JOURNAL_VERSION);
		return CP_STATE_JOURNAL_E_REFUSED;
	}
	r = digest(&part, 1, wanted);
	if (r < 0)
		return sn_trace(r);
	if (memcmp(data + HEADER_DIGEST_AT, wanted, sizeof(wanted)) != 0)
		return refuse(diag, "the journal's header is damaged");
	if (memcmp(data + BASE_AT, id->digest, DIGEST_BYTES) != 0)
		return CP_STATE_JOURNAL_E_OTHER;
	return 0;
}

/* Bytes of the sound frame at `frame`, of which `left` are there at most; 0: it
 * is broken. */
static int64_t check_frame(const uint8_t header[HEADER_BYTES],
			   const uint8_t *frame, size_t left)
{
	uint8_t wanted[DIGEST_BYTES];
	uint32_t bytes;
	int r;

	if (left < FRAME_BYTES || memcmp(frame, mark, sizeof(mark)) != 0)
		return 0;
	bytes = cp_state_record_get32(frame + 4);
	if (bytes > CP_STATE_JOURNAL_RECORDS_MAX || bytes > left - FRAME_BYTES)
		return 0;
	r = digest_frame(header, frame, bytes, wanted);
	if (r < 0)
		return r;
	if (memcmp(frame + FRAME_DIGEST_AT, wanted, sizeof(wanted)) != 0)
		return 0;
	return FRAME_BYTES + (int64_t)bytes;
}

static uint64_t number_of(const uint8_t *frame)
{
	return cp_state_record_get64(frame + 8);
}

/* Whether a later frame stands behind a broken one: 0, 1 or -errno. */
static int is_followed(const struct cp_state_journal *journal,
		       const uint8_t *data, size_t size)
{
	for (uint64_t at = journal->size; at < size; at++) {
		int64_t bytes =
			check_frame(journal->header, data + at, size - at);

		if (bytes < 0)
			return (int)bytes;
		if (bytes > 0 && number_of(data + at) > journal->number)
			return 1;
	}
	return 0;
}

static bool records_are_sound(const uint8_t *at, const uint8_t *end)
{
	char key[CP_STATE_RECORD_KEY_MAX + 1];
	struct cp_state_record record;

	while (at < end)
		if (!cp_state_record_next(&at, end, key, &record))
			return false;
	return true;
}

/* Finds the end of the sound frames. */
static int check_frames(struct cp_state_journal *journal, const uint8_t *data,
			size_t size, struct sn_diag *diag)
{
	int r;

	while (journal->size < size) {
		const uint8_t *frame = data + journal->size;
		int64_t bytes = check_frame(journal->header, frame,
					    size - journal->size);

		if (bytes < 0)
			return (int)bytes;
		if (bytes == 0) {
			r = is_followed(journal, data, size);
			if (r > 0)
				return refuse(diag, "the journal is damaged "
						    "before its end");
			return r < 0 ? r : CP_STATE_JOURNAL_E_TORN;
		}
		if (number_of(frame) != journal->number + 1)
			return refuse(diag, "the journal lacks a frame");
		if (!records_are_sound(frame + FRAME_BYTES, frame + bytes))
			return refuse(diag, "the journal is malformed");
		journal->number++;
		journal->size += (uint64_t)bytes;
	}
	return 0;
}

static int replay(const uint8_t *data, uint64_t size, cp_state_record_fn fn,
		  void *userdata)
{
	char key[CP_STATE_RECORD_KEY_MAX + 1];
	struct cp_state_record record;
	const uint8_t *frame = data + HEADER_BYTES;

	while (frame < data + size) {
		const uint8_t *at = frame + FRAME_BYTES;
		const uint8_t *end = at + cp_state_record_get32(frame + 4);

		while (cp_state_record_next(&at, end, key, &record)) {
			int r = fn(userdata, &record);

			if (r != 0)
				return r;
		}
		frame = end;
	}
	return 0;
}

int cp_state_journal_parse(const void *data, size_t size,
			   const struct cp_state_file_id *id,
			   cp_state_record_fn fn, void *userdata,
			   struct cp_state_journal *ret, struct sn_diag *diag)
{
	struct cp_state_journal journal = { .fd = -1, .size = HEADER_BYTES };
	int r, replayed;

	r = check_header(data, size, id, diag);
	if (r != 0)
		return r;
	(void)memcpy(journal.header, data, HEADER_BYTES);
	r = check_frames(&journal, data, size, diag);
	if (r != 0 && r != CP_STATE_JOURNAL_E_TORN)
		return r;
	replayed = replay(data, journal.size, fn, userdata);
	if (replayed != 0)
		return replayed;
	*ret = journal;
	return r;
}

static int journal_name(char out[NAME_BYTES], const char *name)
{
	int n = snprintf(out, NAME_BYTES, "%s.journal", name);

	return n < 0 || n >= NAME_BYTES ? -ENAMETOOLONG : 0;
}

int cp_state_journal_open(int dir_fd, const char *name,
			  const struct cp_state_file_id *id,
			  cp_state_record_fn fn, void *userdata,
			  struct cp_state_journal *ret, struct sn_diag *diag)
{
	sn_cleanup(sn_freep) void *data = NULL;
	struct cp_state_journal journal;
	char file[NAME_BYTES];
	size_t size;
	int r;

	r = journal_name(file, name);
	if (r == 0)
		r = cp_state_file_read(dir_fd, file, &data, &size, diag);
	if (r == -ENOENT)
		return CP_STATE_JOURNAL_E_OTHER;
	if (r == 0)
		r = cp_state_journal_parse(data, size, id, fn, userdata,
					   &journal, diag);
	if (r != 0)
		return r;
	journal.fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (journal.fd < 0)
		return -errno;
	*ret = journal;
	return 0;
}

static int write_at(int fd, const uint8_t *data, size_t size, uint64_t at)
{
	while (size > 0) {
		ssize_t n = pwrite(fd, data, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
	return fdatasync(fd) < 0 ? -errno : 0;
}

int cp_state_journal_start(struct cp_state_journal *journal, int dir_fd,
			   const char *name, const struct cp_state_file_id *id)
{
	struct cp_state_journal new = { .fd = -1, .size = HEADER_BYTES };
	char file[NAME_BYTES];
	int r;

	cp_state_journal_close(journal);
	r = journal_name(file, name);
	if (r == 0)
		r = make_header(id, new.header);
	if (r < 0)
		return sn_trace(r);
	new.fd = cp_state_file_create(dir_fd, file);
	if (new.fd < 0)
		return new.fd;
	r = write_at(new.fd, new.header, HEADER_BYTES, 0);
	if (r == 0)
		r = cp_state_file_commit(dir_fd, file);
	if (r < 0) {
		cp_state_journal_close(&new);
		return sn_trace(r);
	}
	*journal = new;
	return 0;
}

static int make_frame(const struct cp_state_journal *journal,
		      const struct cp_state_record *records, size_t n_records,
		      uint8_t **ret, size_t *size)
{
	sn_cleanup(sn_freep) uint8_t *frame = NULL;
	size_t bytes = cp_state_record_sum(records, n_records);
	uint8_t *at;
	int r;

	assert(bytes <= CP_STATE_JOURNAL_RECORDS_MAX);
	frame = malloc(FRAME_BYTES + bytes);
	if (!frame)
		return -ENOMEM;
	(void)memcpy(frame, mark, sizeof(mark));
	cp_state_record_set32(frame + 4, (uint32_t)bytes);
	cp_state_record_set64(frame + 8, journal->number + 1);
	at = frame + FRAME_BYTES;
	for (size_t i = 0; i < n_records; i++) {
		size_t key_bytes = strlen(records[i].key);

		cp_state_record_head(&records[i], at);
		at += CP_STATE_RECORD_HEAD_BYTES;
		(void)memcpy(at, records[i].key, key_bytes);
		at += key_bytes;
		if (records[i].size > 0)
			(void)memcpy(at, records[i].blob, records[i].size);
		at += records[i].size;
	}
	r = digest_frame(journal->header, frame, bytes,
			 frame + FRAME_DIGEST_AT);
	if (r < 0)
		return r;
	*ret = sn_steal(&frame);
	*size = FRAME_BYTES + bytes;
	return 0;
}

static int check_file(const struct cp_state_journal *journal)
{
	struct stat status;

	if (fstat(journal->fd, &status) < 0)
		return -errno;
	if (status.st_nlink == 0 || (uint64_t)status.st_size != journal->size)
		return -ESTALE;
	return 0;
}

int cp_state_journal_append(struct cp_state_journal *journal,
			    const struct cp_state_record *records,
			    size_t n_records)
{
	sn_cleanup(sn_freep) uint8_t *frame = NULL;
	size_t size = 0;
	int r;

	r = check_file(journal);
	if (r == 0)
		r = make_frame(journal, records, n_records, &frame, &size);
	if (r == 0) {
		r = write_at(journal->fd, frame, size, journal->size);
		/* The frame is told to have failed: it must not come back. */
		if (r < 0 && ftruncate(journal->fd, (off_t)journal->size) == 0)
			(void)fdatasync(journal->fd);
	}
	if (r < 0) {
		cp_state_journal_close(journal);
		return sn_trace(r);
	}
	journal->size += size;
	journal->number++;
	return 0;
}

void cp_state_journal_close(struct cp_state_journal *journal)
{
	sn_closep(&journal->fd);
}
