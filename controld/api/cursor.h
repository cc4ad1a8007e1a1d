/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a reader of a store was: the daemon's run and a position in it. Who reads
 * on from there after a restart is told that something is missing. */

#include <stdbool.h>

#include "controld/runtime/store.h"

enum { CP_API_CURSOR_BYTES = 60 }; /* run in hex, '-', number, '-', n_before */

const char *cp_api_cursor_write(uint64_t run,
				const struct cp_runtime_position *position,
				char ret[CP_API_CURSOR_BYTES]);
/* False: that was never written by us. */
bool cp_api_cursor_read(const char *text, uint64_t *run,
			struct cp_runtime_position *ret);
