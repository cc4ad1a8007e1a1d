/* SPDX-License-Identifier: Apache-2.0 */
/* The state file's reader. The checksum would keep every mutation out, so it
 * is made right first; what is read must then be what a writer can write. */

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "controld/state/file.h"
#include "test/fuzz/ensure.h"

enum { DIGEST_AT = 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walked {
	char last[CP_STATE_RECORD_KEY_MAX + 1];
	unsigned int sum;
	uint64_t bytes;
};

static int walk(void *userdata, const struct cp_state_record *record)
{
	struct walked *walked = userdata;
	size_t key_bytes = strlen(record->key);
	const uint8_t *blob = record->blob;

	ensure(key_bytes > 0 && key_bytes <= CP_STATE_RECORD_KEY_MAX, "key");
	if (record->kind == CP_STATE_RECORD_APPEND)
		ensure(strcmp(record->key, walked->last) == 0, "appended");
	else
		ensure(strcmp(record->key, walked->last) > 0, "order");
	(void)strcpy(walked->last, record->key);
	for (size_t i = 0; i < record->size; i++)
		walked->sum += blob[i];
	walked->bytes += 8 + key_bytes + record->size;
	return 0;
}

static void seal(uint8_t *copy, size_t size)
{
	size_t records = size - CP_STATE_FILE_HEADER_BYTES;
	uint8_t *sealed;

	if (size < CP_STATE_FILE_HEADER_BYTES)
		return;
	sealed = malloc(DIGEST_AT + records);
	ensure(sealed != NULL, "memory");
	(void)memcpy(sealed, copy, DIGEST_AT);
	(void)memcpy(sealed + DIGEST_AT, copy + CP_STATE_FILE_HEADER_BYTES,
		     records);
	(void)SHA256(sealed, DIGEST_AT + records, copy + DIGEST_AT);
	free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sn_diag diag = { .text = "" };
	struct walked walked = { .last = "" };
	struct cp_state_file_id id;
	uint8_t *copy = malloc(size + 1);
	int r;

	ensure(copy != NULL, "memory");
	(void)memcpy(copy, data, size);
	seal(copy, size);
	r = cp_state_file_parse(copy, size, walk, &walked, &id, &diag);
	if (r == 0)
		ensure(walked.bytes + CP_STATE_FILE_HEADER_BYTES == size,
		       "bytes that are in no record");
	else
		ensure(diag.text[0] != '\0' && walked.bytes == 0,
		       "refused without a word, or after a record");
	free(copy);
	return 0;
}
