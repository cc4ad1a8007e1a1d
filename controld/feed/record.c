/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/record.h"

#include <string.h>
#include <zlib.h>

#include "controld/state/record.h"
#include "shared/util.h"

enum {
	MAGIC_BYTES = 8,
	LENGTH_AT = 0,
	CHECK_AT = 4,
	SEQUENCE_AT = 8,
	POSITION_AT = MAGIC_BYTES,
	POSITION_CHECK_AT = POSITION_AT + 8,
};

static const char magic[MAGIC_BYTES] = {
	'S', 'N', 'S', 'P', 'O', 'O', 'L', '\n'
};
static const char position_magic[MAGIC_BYTES] = { 'S', 'N', 'S', 'P',
						  'P', 'O', 'S', '\n' };

void cp_feed_record_write_file(uint8_t ret[CP_FEED_RECORD_FILE_BYTES])
{
	(void)memcpy(ret, magic, sizeof(magic));
	cp_state_record_set32(ret + MAGIC_BYTES, CP_FEED_RECORD_VERSION);
	cp_state_record_set32(ret + MAGIC_BYTES + 4, 0);
}

bool cp_feed_record_check_file(const uint8_t *data, size_t size)
{
	uint8_t wanted[CP_FEED_RECORD_FILE_BYTES];

	cp_feed_record_write_file(wanted);
	return size >= sizeof(wanted) &&
	       memcmp(data, wanted, sizeof(wanted)) == 0;
}

static uint32_t check(const uint8_t *head, const uint8_t *data, size_t size)
{
	uLong sum = crc32(0, head + LENGTH_AT, 4);

	sum = crc32(sum, head + SEQUENCE_AT, 8);
	return (uint32_t)crc32(sum, data, (uInt)size);
}

void cp_feed_record_write_head(const struct cp_feed_record *record,
			       uint8_t ret[CP_FEED_RECORD_HEAD_BYTES])
{
	cp_state_record_set32(ret + LENGTH_AT, (uint32_t)record->size);
	cp_state_record_set64(ret + SEQUENCE_AT, record->sequence);
	cp_state_record_set32(ret + CHECK_AT,
			      check(ret, record->data, record->size));
}

enum cp_feed_record_end cp_feed_record_next(const uint8_t *data, size_t size,
					    size_t *at, uint64_t after,
					    struct cp_feed_record *ret)
{
	const uint8_t *head = data + *at;
	size_t left = size - *at;
	uint32_t length;

	if (left == 0)
		return CP_FEED_RECORD_END_CLEAN;
	if (left < CP_FEED_RECORD_HEAD_BYTES)
		return CP_FEED_RECORD_END_CUT;
	length = cp_state_record_get32(head + LENGTH_AT);
	if (length == 0 || length > CP_FEED_RECORD_EVENT_MAX)
		return CP_FEED_RECORD_END_BROKEN;
	if (length > left - CP_FEED_RECORD_HEAD_BYTES)
		return CP_FEED_RECORD_END_CUT;
	ret->sequence = cp_state_record_get64(head + SEQUENCE_AT);
	ret->data = head + CP_FEED_RECORD_HEAD_BYTES;
	ret->size = length;
	if (ret->sequence <= after || cp_state_record_get32(head + CHECK_AT) !=
					      check(head, ret->data, length))
		return CP_FEED_RECORD_END_BROKEN;
	*at += CP_FEED_RECORD_HEAD_BYTES + length;
	return CP_FEED_RECORD_END_NONE;
}

void cp_feed_record_write_position(uint64_t sequence,
				   uint8_t ret[CP_FEED_RECORD_POSITION_BYTES])
{
	(void)memset(ret, 0, CP_FEED_RECORD_POSITION_BYTES);
	(void)memcpy(ret, position_magic, sizeof(position_magic));
	cp_state_record_set64(ret + POSITION_AT, sequence);
	cp_state_record_set32(ret + POSITION_CHECK_AT,
			      (uint32_t)crc32(0, ret, POSITION_CHECK_AT));
}

bool cp_feed_record_read_position(const uint8_t *data, size_t size,
				  uint64_t *ret)
{
	uint8_t wanted[CP_FEED_RECORD_POSITION_BYTES];
	uint64_t sequence;

	if (size != sizeof(wanted))
		return false;
	sequence = cp_state_record_get64(data + POSITION_AT);
	cp_feed_record_write_position(sequence, wanted);
	if (memcmp(data, wanted, sizeof(wanted)) != 0)
		return false;
	*ret = sequence;
	return true;
}
