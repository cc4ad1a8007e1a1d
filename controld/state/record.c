/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/record.h"

enum {
	KIND_SHIFT = 16,
	KEY_MASK = 0xffff,
};

bool cp_state_record_next(const uint8_t **at, const uint8_t *end,
			  char key[CP_STATE_RECORD_KEY_MAX + 1],
			  struct cp_state_record *record)
{
	uint32_t word, key_bytes, blob_bytes;
	size_t left = (size_t)(end - *at);
	const uint8_t *p = *at;

	if (left < CP_STATE_RECORD_HEAD_BYTES)
		return false;
	word = cp_state_record_get32(p);
	key_bytes = word & KEY_MASK;
	blob_bytes = cp_state_record_get32(p + 4);
	left -= CP_STATE_RECORD_HEAD_BYTES;
	p += CP_STATE_RECORD_HEAD_BYTES;
	if (word >> KIND_SHIFT >= CP_STATE_RECORD_KINDS || key_bytes == 0 ||
	    key_bytes > CP_STATE_RECORD_KEY_MAX || key_bytes > left ||
	    blob_bytes > left - key_bytes || memchr(p, 0, key_bytes))
		return false;
	record->kind = (enum cp_state_record_kind)(word >> KIND_SHIFT);
	if (record->kind == CP_STATE_RECORD_DEL && blob_bytes > 0)
		return false;
	(void)memcpy(key, p, key_bytes);
	key[key_bytes] = '\0';
	record->key = key;
	record->blob = p + key_bytes;
	record->size = blob_bytes;
	*at = p + key_bytes + blob_bytes;
	return true;
}

size_t cp_state_record_bytes(const struct cp_state_record *record)
{
	return CP_STATE_RECORD_HEAD_BYTES + strlen(record->key) + record->size;
}

size_t cp_state_record_sum(const struct cp_state_record *records, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += cp_state_record_bytes(&records[i]);
	return sum;
}

void cp_state_record_head(const struct cp_state_record *record,
			  uint8_t head[CP_STATE_RECORD_HEAD_BYTES])
{
	uint32_t word = (uint32_t)strlen(record->key) | (uint32_t)record->kind
								<< KIND_SHIFT;

	cp_state_record_set32(head, word);
	cp_state_record_set32(head + 4, (uint32_t)record->size);
}
