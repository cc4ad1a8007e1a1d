/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/cursor.h"

#include "test/unit/t.h"

static void cursor_is_read_as_it_was_written(void)
{
	const struct cp_runtime_position positions[] = {
		{ 1, 0 },
		{ UINT64_MAX, UINT64_MAX },
	};
	const uint64_t runs[] = { 0, 7, UINT64_MAX };
	struct cp_runtime_position got;
	char text[CP_API_CURSOR_BYTES];
	uint64_t run;

	for (size_t i = 0; i < SN_ARRAY_SIZE(runs); i++) {
		for (size_t j = 0; j < SN_ARRAY_SIZE(positions); j++) {
			(void)cp_api_cursor_write(runs[i], &positions[j], text);
			t_true(cp_api_cursor_read(text, &run, &got));
			t_true(run == runs[i]);
			t_true(got.number == positions[j].number);
			t_true(got.n_before == positions[j].n_before);
		}
	}
}

static void what_was_never_written_is_no_cursor(void)
{
	static const char *const texts[] = {
		"",
		"1",
		"0000000000000001-1",
		"1-1-1",
		"000000000000000G-1-1",
		"000000000000000A-1-1",
		"0000000000000001-01-1",
		"0000000000000001--1-1",
		"0000000000000001-+1-1",
		"0000000000000001-1-1 ",
		" 0000000000000001-1-1",
		"0000000000000001-1-18446744073709551616",
	};
	struct cp_runtime_position got;
	uint64_t run;

	for (size_t i = 0; i < SN_ARRAY_SIZE(texts); i++) {
		if (cp_api_cursor_read(texts[i], &run, &got))
			t_fail("'%s' is taken for a cursor", texts[i]);
	}
}

T_MAIN("api_cursor", cursor_is_read_as_it_was_written,
       what_was_never_written_is_no_cursor)
