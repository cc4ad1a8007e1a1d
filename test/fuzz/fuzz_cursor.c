/* SPDX-License-Identifier: Apache-2.0 */

/* Whatever comes as a cursor: it is read only if it is, to the byte, what would
 * be written for what was read. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/cursor.h"
#include "test/fuzz/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* From a buffer of just its size, so that a read beyond it shows. */
static void read_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	char again[CP_API_CURSOR_BYTES];
	struct cp_runtime_position position;
	uint64_t run;

	ensure(text != NULL, "no memory");
	(void)memcpy(text, data, size);
	text[size] = '\0';
	if (cp_api_cursor_read(text, &run, &position)) {
		ensure(strlen(text) < sizeof(again), "longer than any");
		(void)cp_api_cursor_write(run, &position, again);
		ensure(strcmp(text, again) == 0, "read as another one");
	}
	free(text);
}

/* What was written is read as it was. */
static void read_again(const uint8_t *data, size_t size)
{
	struct {
		uint64_t run;
		uint64_t number;
		uint64_t n_before;
	} given;
	struct cp_runtime_position position, got;
	char text[CP_API_CURSOR_BYTES];
	uint64_t run;

	if (size < sizeof(given))
		return;
	(void)memcpy(&given, data, sizeof(given));
	position = (struct cp_runtime_position){
		.number = given.number,
		.n_before = given.n_before,
	};
	(void)cp_api_cursor_write(given.run, &position, text);
	ensure(cp_api_cursor_read(text, &run, &got), "own cursor refused");
	ensure(run == given.run && got.number == given.number &&
		       got.n_before == given.n_before,
	       "own cursor read otherwise");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_text(data, size);
	read_again(data, size);
	return 0;
}
