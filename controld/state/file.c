/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/util.h"

enum {
	DIGEST_BYTES = CP_STATE_FILE_DIGEST_BYTES,
	DIGEST_AT = 24, /* what precedes it is digested too */
	MAGIC_BYTES = 8,
	BUFFER_BYTES = 65536,
	NAME_BYTES = CP_STATE_FILE_NAME_BYTES,
	VERSION_OLDEST = 1,
};

_Static_assert((int)DIGEST_AT + (int)DIGEST_BYTES ==
		       (int)CP_STATE_FILE_HEADER_BYTES,
	       "header");

static const char magic[MAGIC_BYTES] = {
	'S', 'N', 'S', 'T', 'A', 'T', 'E', '\n'
};

static int refuse(struct sn_diag *diag, const char *text)
{
	sn_diag_set(diag, NULL,
		    "%s; restore a copy, or remove the file: what the kernel "
		    "still enforces is then read back from it, without "
		    "metadata, paths of cgroups and the rules of block-all",
		    text);
	return CP_STATE_FILE_E_REFUSED;
}

static int digest(const uint8_t *header, const uint8_t *records, size_t size,
		  uint8_t out[DIGEST_BYTES])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int ok;

	if (!context)
		return -ENOMEM;
	ok = EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
	     EVP_DigestUpdate(context, header, DIGEST_AT) == 1 &&
	     EVP_DigestUpdate(context, records, size) == 1 &&
	     EVP_DigestFinal_ex(context, out, NULL) == 1;
	EVP_MD_CTX_free(context);
	return ok ? 0 : -ENOMEM;
}

static int check_header(const uint8_t *data, size_t size, struct sn_diag *diag)
{
	uint8_t wanted[DIGEST_BYTES];
	uint32_t version;
	int r;

	if (size < CP_STATE_FILE_HEADER_BYTES)
		return refuse(diag, "the file is cut short");
	if (memcmp(data, magic, sizeof(magic)) != 0)
		return refuse(diag, "this is not a state file");
	version = cp_state_record_get32(data + 8);
	if (version < VERSION_OLDEST || version > CP_STATE_FILE_VERSION) {
		sn_diag_set(diag, NULL,
			    "the file has format version %u, this program "
			    "reads %d; run the program that wrote it",
			    version, CP_STATE_FILE_VERSION);
		return CP_STATE_FILE_E_REFUSED;
	}
	if (cp_state_record_get64(data + 16) >
	    size - CP_STATE_FILE_HEADER_BYTES)
		return refuse(diag, "the file is cut short");
	if (cp_state_record_get64(data + 16) <
	    size - CP_STATE_FILE_HEADER_BYTES)
		return refuse(diag, "the file has bytes behind its end");
	r = digest(data, data + CP_STATE_FILE_HEADER_BYTES,
		   size - CP_STATE_FILE_HEADER_BYTES, wanted);
	if (r < 0) {
		sn_diag_set(diag, NULL, "the checksum cannot be computed");
		return sn_trace(r);
	}
	if (memcmp(data + DIGEST_AT, wanted, sizeof(wanted)) != 0)
		return refuse(diag, "the checksum is wrong");
	return 0;
}

static bool records_are_sound(const uint8_t *at, const uint8_t *end)
{
	char keys[2][CP_STATE_RECORD_KEY_MAX + 1] = { "", "" };
	struct cp_state_record record;

	for (size_t i = 0; at < end; i++) {
		int order;

		if (!cp_state_record_next(&at, end, keys[i & 1], &record))
			return false;
		order = strcmp(keys[i & 1], keys[~i & 1]);
		if (record.kind == CP_STATE_RECORD_DEL ||
		    (record.kind == CP_STATE_RECORD_PUT && order <= 0) ||
		    (record.kind == CP_STATE_RECORD_APPEND && order != 0))
			return false;
	}
	return true;
}

int cp_state_file_parse(const void *data, size_t size, cp_state_record_fn fn,
			void *userdata, struct cp_state_file_id *id,
			struct sn_diag *diag)
{
	const uint8_t *at = data;
	const uint8_t *end = at + size;
	struct cp_state_record record;
	char key[CP_STATE_RECORD_KEY_MAX + 1];
	int r;

	r = check_header(at, size, diag);
	if (r != 0)
		return r;
	id->number = cp_state_record_get32(at + 12);
	(void)memcpy(id->digest, at + DIGEST_AT, sizeof(id->digest));
	at += CP_STATE_FILE_HEADER_BYTES;
	if (!records_are_sound(at, end))
		return refuse(diag, "the records are malformed");
	while (cp_state_record_next(&at, end, key, &record)) {
		r = fn(userdata, &record);
		if (r != 0)
			return r;
	}
	return 0;
}

static int read_all(int fd, uint8_t *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

int cp_state_file_read(int dir_fd, const char *name, void **ret, size_t *size,
		       struct sn_diag *diag)
{
	sn_cleanup(sn_freep) uint8_t *data = NULL;
	sn_cleanup(sn_closep) int fd = -1;
	struct stat status;
	int r;

	fd = openat(dir_fd, name,
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &status) < 0) {
		r = -errno;
		sn_diag_set(diag, NULL, "cannot be opened: %s", strerror(-r));
		return r;
	}
	if (!S_ISREG(status.st_mode))
		return refuse(diag, "this is not a regular file");
	if ((uint64_t)status.st_size > CP_STATE_FILE_BYTES_MAX)
		return refuse(diag, "the file is larger than any state file");
	data = malloc((size_t)status.st_size + 1);
	r = data ? read_all(fd, data, (size_t)status.st_size) : -ENOMEM;
	if (r < 0) {
		sn_diag_set(diag, NULL, "cannot be read: %s", strerror(-r));
		return r;
	}
	*ret = sn_steal(&data);
	*size = (size_t)status.st_size;
	return 0;
}

/* Where a file goes while it is made: into the digest, then to the file. */
struct sink {
	EVP_MD_CTX *digest;
	FILE *file;
};

static bool emit(struct sink *sink, const void *data, size_t size)
{
	if (size == 0)
		return true;
	if (sink->digest)
		return EVP_DigestUpdate(sink->digest, data, size) == 1;
	return fwrite(data, 1, size, sink->file) == size;
}

static bool emit_records(struct sink *sink,
			 const struct cp_state_record *records,
			 size_t n_records)
{
	for (size_t i = 0; i < n_records; i++) {
		uint8_t head[CP_STATE_RECORD_HEAD_BYTES];

		cp_state_record_head(&records[i], head);
		if (!emit(sink, head, sizeof(head)) ||
		    !emit(sink, records[i].key, strlen(records[i].key)) ||
		    !emit(sink, records[i].blob, records[i].size))
			return false;
	}
	return true;
}

static int make_header(uint8_t header[CP_STATE_FILE_HEADER_BYTES],
		       uint32_t number, const struct cp_state_record *records,
		       size_t n_records)
{
	struct sink sink = { .digest = EVP_MD_CTX_new() };
	bool ok;

	(void)memcpy(header, magic, sizeof(magic));
	cp_state_record_set32(header + 8, CP_STATE_FILE_VERSION);
	cp_state_record_set32(header + 12, number);
	cp_state_record_set64(header + 16,
			      cp_state_record_sum(records, n_records));
	if (!sink.digest)
		return -ENOMEM;
	ok = EVP_DigestInit_ex(sink.digest, EVP_sha256(), NULL) == 1 &&
	     emit(&sink, header, DIGEST_AT) &&
	     emit_records(&sink, records, n_records) &&
	     EVP_DigestFinal_ex(sink.digest, header + DIGEST_AT, NULL) == 1;
	EVP_MD_CTX_free(sink.digest);
	return ok ? 0 : -ENOMEM;
}

static int temporary_name(char out[NAME_BYTES], const char *name)
{
	int n = snprintf(out, NAME_BYTES, "%s.tmp", name);

	return n < 0 || n >= NAME_BYTES ? -ENAMETOOLONG : 0;
}

/* Takes fd. */
static int write_all(int fd, const uint8_t header[CP_STATE_FILE_HEADER_BYTES],
		     const struct cp_state_record *records, size_t n_records)
{
	struct sink sink = { .file = fdopen(fd, "w") };
	int r = 0;

	if (!sink.file) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	(void)setvbuf(sink.file, NULL, _IOFBF, BUFFER_BYTES);
	errno = 0;
	if (!emit(&sink, header, CP_STATE_FILE_HEADER_BYTES) ||
	    !emit_records(&sink, records, n_records) ||
	    fflush(sink.file) != 0 || fsync(fileno(sink.file)) < 0)
		r = errno ? -errno : -EIO;
	if (fclose(sink.file) != 0 && r == 0)
		r = -errno;
	return r;
}

int cp_state_file_create(int dir_fd, const char *name)
{
	char temporary[NAME_BYTES];
	int fd, r;

	r = temporary_name(temporary, name);
	if (r < 0)
		return sn_trace(r);
	/* A left-over may be anything; a new file has our owner and mode. */
	(void)unlinkat(dir_fd, temporary, 0);
	fd = openat(dir_fd, temporary,
		    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? sn_trace(-errno) : fd;
}

int cp_state_file_stage(int dir_fd, const char *name,
			const struct cp_state_record *records, size_t n_records,
			struct cp_state_file_id *id)
{
	uint8_t header[CP_STATE_FILE_HEADER_BYTES];
	char temporary[NAME_BYTES];
	int fd, r;

	r = temporary_name(temporary, name);
	if (r == 0)
		r = make_header(header, id->number, records, n_records);
	if (r < 0)
		return sn_trace(r);
	fd = cp_state_file_create(dir_fd, name);
	if (fd < 0)
		return fd;
	r = write_all(fd, header, records, n_records);
	if (r < 0) {
		(void)unlinkat(dir_fd, temporary, 0);
		return sn_trace(r);
	}
	(void)memcpy(id->digest, header + DIGEST_AT, sizeof(id->digest));
	return 0;
}

int cp_state_file_commit(int dir_fd, const char *name)
{
	char temporary[NAME_BYTES];
	int r;

	r = temporary_name(temporary, name);
	if (r < 0)
		return sn_trace(r);
	if (renameat(dir_fd, temporary, dir_fd, name) < 0)
		return sn_trace(-errno);
	if (fsync(dir_fd) < 0)
		return sn_trace(-errno);
	return 0;
}
