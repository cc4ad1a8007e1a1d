/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *cp_api_cursor_write(uint64_t run,
				const struct cp_runtime_position *position,
				char ret[CP_API_CURSOR_BYTES])
{
	(void)snprintf(ret, CP_API_CURSOR_BYTES,
		       "%016" PRIx64 "-%" PRIu64 "-%" PRIu64, run,
		       position->number, position->n_before);
	return ret;
}

bool cp_api_cursor_read(const char *text, uint64_t *run,
			struct cp_runtime_position *ret)
{
	char again[CP_API_CURSOR_BYTES];

	return sscanf(text, "%16" SCNx64 "-%" SCNu64 "-%" SCNu64, run,
		      &ret->number, &ret->n_before) == 3 &&
	       strcmp(cp_api_cursor_write(*run, ret, again), text) == 0;
}
