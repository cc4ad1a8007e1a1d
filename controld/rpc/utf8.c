/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/utf8.h"

#include <string.h>

#include "shared/util.h"

/* What may begin a UTF-8 sequence, and between what its second byte then is:
 * this shuts out overlong forms, surrogates and what is over U+10FFFF. */
static const struct {
	uint8_t first, last, length, low, high;
} leads[] = {
	{ 0x00, 0x7f, 1, 0x00, 0x00 }, { 0xc2, 0xdf, 2, 0x80, 0xbf },
	{ 0xe0, 0xe0, 3, 0xa0, 0xbf }, { 0xe1, 0xec, 3, 0x80, 0xbf },
	{ 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
	{ 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf },
	{ 0xf4, 0xf4, 4, 0x80, 0x8f },
};

size_t cp_rpc_utf8_length(const uint8_t *at, size_t left)
{
	size_t row = 0;
	size_t n;

	while (row < SN_ARRAY_SIZE(leads) && at[0] > leads[row].last)
		row++;
	if (row == SN_ARRAY_SIZE(leads) || at[0] < leads[row].first)
		return 0;
	n = leads[row].length;
	if (n == 1)
		return 1;
	if (left < n || at[1] < leads[row].low || at[1] > leads[row].high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

size_t cp_rpc_utf8_copy(const void *bytes, size_t size, char *ret,
			bool *is_changed)
{
	static const char replacement[] = "\xef\xbf\xbd";
	const uint8_t *at = bytes;
	char *to = ret;

	*is_changed = false;
	for (size_t i = 0, n; i < size; i += n) {
		n = at[i] ? cp_rpc_utf8_length(at + i, size - i) : 0;
		if (n) {
			(void)memcpy(to, at + i, n);
			to += n;
			continue;
		}
		n = 1;
		(void)memcpy(to, replacement, sizeof(replacement) - 1);
		to += sizeof(replacement) - 1;
		*is_changed = true;
	}
	*to = '\0';
	return (size_t)(to - ret);
}
