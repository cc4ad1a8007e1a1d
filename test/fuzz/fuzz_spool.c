/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of a spool's records, and of what a detector answers. Checksums
 * would keep every mutation out, so as many records as the first byte says are
 * made right before. */

#include <stdlib.h>
#include <string.h>

#include "controld/feed/answer.h"
#include "controld/feed/record.h"
#include "controld/state/record.h"
#include "test/fuzz/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *data, size_t size, unsigned int n)
{
	size_t at = 0;

	while (n-- > 0 && size - at >= CP_FEED_RECORD_HEAD_BYTES) {
		const struct cp_feed_record record = {
			.sequence = cp_state_record_get64(data + at + 8),
			.data = data + at + CP_FEED_RECORD_HEAD_BYTES,
			.size = cp_state_record_get32(data + at),
		};

		if (record.size > size - at - CP_FEED_RECORD_HEAD_BYTES)
			return;
		cp_feed_record_write_head(&record, data + at);
		at += CP_FEED_RECORD_HEAD_BYTES + record.size;
	}
}

static void read_records(const uint8_t *data, size_t size)
{
	struct cp_feed_record record;
	uint64_t after = 0;
	size_t at = 0, before = 0;
	unsigned int sum = 0;

	while (cp_feed_record_next(data, size, &at, after, &record) ==
	       CP_FEED_RECORD_END_NONE) {
		ensure(record.sequence > after, "order");
		ensure(record.size > 0 &&
			       record.size <= CP_FEED_RECORD_EVENT_MAX,
		       "size");
		ensure(at == before + CP_FEED_RECORD_HEAD_BYTES + record.size &&
			       at <= size,
		       "place");
		for (size_t i = 0; i < record.size; i++)
			sum += record.data[i];
		after = record.sequence;
		before = at;
	}
	ensure(at == before, "moved without a record");
	ensure(sum != 1 || size > 0, "sum");
}

static void read_answer(const uint8_t *data, size_t size)
{
	struct cp_feed_answer answer;

	if (!cp_feed_answer_read(data, size, &answer))
		return;
	ensure(answer.score >= 0 && answer.score <= 1, "score");
	ensure(memchr(answer.reason, 0, sizeof(answer.reason)) != NULL,
	       "reason");
	ensure(strlen(answer.id) == 0 ||
		       strlen(answer.id) == CP_FEED_ANSWER_ID_BYTES - 1,
	       "id");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t position;
	uint8_t *copy;

	if (size == 0)
		return 0;
	copy = malloc(size);
	ensure(copy != NULL, "memory");
	(void)memcpy(copy, data + 1, size - 1);
	read_answer(copy, size - 1);
	(void)cp_feed_record_read_position(copy, size - 1, &position);
	(void)cp_feed_record_check_file(copy, size - 1);
	seal(copy, size - 1, data[0]);
	read_records(copy, size - 1);
	free(copy);
	return 0;
}
