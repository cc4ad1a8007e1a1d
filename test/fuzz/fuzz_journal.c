/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's reader. Its checksums would keep every mutation out, so they
 * are made right first, from the first frame on; what the first byte says stays
 * broken. What is read must be what a writer can write. */

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "controld/state/journal.h"
#include "test/fuzz/ensure.h"

enum {
	HEADER = CP_STATE_JOURNAL_HEADER_BYTES,
	FRAME = CP_STATE_JOURNAL_FRAME_BYTES,
	DIGEST = CP_STATE_FILE_DIGEST_BYTES,
	BASE_AT = 16,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walked {
	unsigned int sum;
	uint64_t bytes;
};

static int walk(void *userdata, const struct cp_state_record *record)
{
	struct walked *walked = userdata;
	size_t key_bytes = strlen(record->key);
	const uint8_t *blob = record->blob;

	ensure(key_bytes > 0 && key_bytes <= CP_STATE_RECORD_KEY_MAX, "key");
	ensure(record->kind < CP_STATE_RECORD_KINDS, "kind");
	ensure(record->kind != CP_STATE_RECORD_DEL || record->size == 0,
	       "a blob of what is gone");
	for (size_t i = 0; i < record->size; i++)
		walked->sum += blob[i];
	walked->bytes += cp_state_record_bytes(record);
	return 0;
}

/* SHA-256 of the header, the frame's head and its records. */
static void seal_frame(const uint8_t *journal, uint8_t *frame, size_t bytes)
{
	size_t head = FRAME - DIGEST;
	uint8_t *sealed = malloc(HEADER + head + bytes);

	ensure(sealed != NULL, "memory");
	(void)memcpy(sealed, journal, HEADER);
	(void)memcpy(sealed + HEADER, frame, head);
	(void)memcpy(sealed + HEADER + head, frame + FRAME, bytes);
	(void)SHA256(sealed, HEADER + head + bytes, frame + head);
	free(sealed);
}

static void seal(uint8_t *journal, size_t size, unsigned int n_frames)
{
	size_t at = HEADER;

	if (size < HEADER)
		return;
	(void)SHA256(journal, BASE_AT + DIGEST, journal + BASE_AT + DIGEST);
	while (n_frames-- > 0 && size - at >= FRAME) {
		size_t bytes = cp_state_record_get32(journal + at + 4);

		if (bytes > size - at - FRAME)
			return;
		seal_frame(journal, journal + at, bytes);
		at += FRAME + bytes;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sn_diag diag = { .text = "" };
	struct cp_state_file_id id = { .number = 1 };
	struct cp_state_journal journal = { .fd = -1 };
	struct walked walked = { 0 };
	uint8_t *copy;
	int r;

	if (size == 0)
		return 0;
	copy = malloc(size);
	ensure(copy != NULL, "memory");
	(void)memcpy(copy, data + 1, size - 1);
	seal(copy, size - 1, data[0]);
	r = cp_state_journal_parse(copy, size - 1, &id, walk, &walked, &journal,
				   &diag);
	if (r == 0 || r == CP_STATE_JOURNAL_E_TORN) {
		ensure(journal.size <= size - 1, "beyond its end");
		ensure((r == 0) == (journal.size == size - 1), "torn");
		ensure(HEADER + FRAME * journal.number + walked.bytes ==
			       journal.size,
		       "bytes that are in no record");
	} else {
		ensure(walked.bytes == 0, "refused after a record");
		ensure(r == CP_STATE_JOURNAL_E_OTHER || diag.text[0] != '\0',
		       "refused without a word");
	}
	free(copy);
	return 0;
}
