/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/file.h"

#include <endian.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/util.h"

enum {
	DIGEST_BYTES = 32,
	DIGEST_AT = 24, /* what precedes it is digested too */
	MAGIC_BYTES = 8,
	RECORD_HEAD_BYTES = 8,
	BUFFER_BYTES = 65536,
	NAME_BYTES = 256,
};

_Static_assert((int)DIGEST_AT + (int)DIGEST_BYTES ==
		       (int)CP_STATE_FILE_HEADER_BYTES,
	       "header");

static const char magic[MAGIC_BYTES] = {
	'S', 'N', 'S', 'T', 'A', 'T', 'E', '\n'
};

static uint32_t get32(const uint8_t *at)
{
	uint32_t v;

	(void)memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t v;

	(void)memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

static void put32(uint8_t *at, uint32_t v)
{
	v = htole32(v);
	(void)memcpy(at, &v, sizeof(v));
}

static void put64(uint8_t *at, uint64_t v)
{
	v = htole64(v);
	(void)memcpy(at, &v, sizeof(v));
}

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
	int r;

	if (size < CP_STATE_FILE_HEADER_BYTES)
		return refuse(diag, "the file is cut short");
	if (memcmp(data, magic, sizeof(magic)) != 0)
		return refuse(diag, "this is not a state file");
	if (get32(data + 8) != CP_STATE_FILE_VERSION) {
		sn_diag_set(diag, NULL,
			    "the file has format version %u, this program "
			    "reads %d; run the program that wrote it",
			    get32(data + 8), CP_STATE_FILE_VERSION);
		return CP_STATE_FILE_E_REFUSED;
	}
	if (get64(data + 16) > size - CP_STATE_FILE_HEADER_BYTES)
		return refuse(diag, "the file is cut short");
	if (get64(data + 16) < size - CP_STATE_FILE_HEADER_BYTES)
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

/* Moves *at behind the record, or returns false. */
static bool next_record(const uint8_t **at, const uint8_t *end,
			char key[CP_STATE_FILE_KEY_MAX + 1],
			struct cp_state_file_record *record)
{
	uint32_t key_bytes, blob_bytes;
	size_t left = (size_t)(end - *at);
	const uint8_t *p = *at;

	if (left < RECORD_HEAD_BYTES)
		return false;
	key_bytes = get32(p);
	blob_bytes = get32(p + 4);
	left -= RECORD_HEAD_BYTES;
	p += RECORD_HEAD_BYTES;
	if (key_bytes == 0 || key_bytes > CP_STATE_FILE_KEY_MAX ||
	    key_bytes > left || blob_bytes > left - key_bytes ||
	    memchr(p, 0, key_bytes))
		return false;
	(void)memcpy(key, p, key_bytes);
	key[key_bytes] = '\0';
	record->key = key;
	record->blob = p + key_bytes;
	record->size = blob_bytes;
	*at = p + key_bytes + blob_bytes;
	return true;
}

static bool records_are_sound(const uint8_t *at, const uint8_t *end,
			      uint32_t n_records)
{
	char keys[2][CP_STATE_FILE_KEY_MAX + 1] = { "", "" };
	struct cp_state_file_record record;

	for (uint32_t i = 0; i < n_records; i++) {
		if (!next_record(&at, end, keys[i & 1], &record) ||
		    strcmp(keys[i & 1], keys[~i & 1]) <= 0)
			return false;
	}
	return at == end;
}

int cp_state_file_parse(const void *data, size_t size, cp_state_file_fn fn,
			void *userdata, struct sn_diag *diag)
{
	const uint8_t *at = data;
	const uint8_t *end = at + size;
	struct cp_state_file_record record;
	char key[CP_STATE_FILE_KEY_MAX + 1];
	uint32_t n_records;
	int r;

	r = check_header(at, size, diag);
	if (r != 0)
		return r;
	n_records = get32(at + 12);
	at += CP_STATE_FILE_HEADER_BYTES;
	if (!records_are_sound(at, end, n_records))
		return refuse(diag, "the records are malformed");
	while (next_record(&at, end, key, &record)) {
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
			 const struct cp_state_file_record *records,
			 size_t n_records)
{
	for (size_t i = 0; i < n_records; i++) {
		size_t key_bytes = strlen(records[i].key);
		uint8_t head[RECORD_HEAD_BYTES];

		put32(head, (uint32_t)key_bytes);
		put32(head + 4, (uint32_t)records[i].size);
		if (!emit(sink, head, sizeof(head)) ||
		    !emit(sink, records[i].key, key_bytes) ||
		    !emit(sink, records[i].blob, records[i].size))
			return false;
	}
	return true;
}

static int make_header(uint8_t header[CP_STATE_FILE_HEADER_BYTES],
		       const struct cp_state_file_record *records,
		       size_t n_records)
{
	struct sink sink = { .digest = EVP_MD_CTX_new() };
	uint64_t bytes = 0;
	bool ok;

	for (size_t i = 0; i < n_records; i++)
		bytes += RECORD_HEAD_BYTES + strlen(records[i].key) +
			 records[i].size;
	(void)memcpy(header, magic, sizeof(magic));
	put32(header + 8, CP_STATE_FILE_VERSION);
	put32(header + 12, (uint32_t)n_records);
	put64(header + 16, bytes);
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
		     const struct cp_state_file_record *records,
		     size_t n_records)
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

int cp_state_file_stage(int dir_fd, const char *name,
			const struct cp_state_file_record *records,
			size_t n_records)
{
	uint8_t header[CP_STATE_FILE_HEADER_BYTES];
	char temporary[NAME_BYTES];
	int fd, r;

	r = temporary_name(temporary, name);
	if (r == 0)
		r = make_header(header, records, n_records);
	if (r < 0)
		return sn_trace(r);
	/* A left-over may be anything; a new file has our owner and mode. */
	(void)unlinkat(dir_fd, temporary, 0);
	fd = openat(dir_fd, temporary,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return sn_trace(-errno);
	r = write_all(fd, header, records, n_records);
	if (r < 0) {
		(void)unlinkat(dir_fd, temporary, 0);
		return sn_trace(r);
	}
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
