/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Events as lines of JSON in a file, written by a worker thread: a disk that is
 * slow or full costs events, which are counted and told in the file itself, and
 * never holds up the loop. At its greatest size the file becomes FILE.1, and so
 * on; the oldest one is removed. */

#include <uv.h>

#include "controld/runtime/store.h"

enum {
	CP_RUNTIME_OUTPUT_QUEUE_BYTES = 8 << 20,
};

struct cp_runtime_output;

struct cp_runtime_output_options {
	uv_loop_t *loop;
	const char *path; /* copied */
	uint64_t max_bytes;
	uint64_t n_files;
};

struct cp_runtime_output_stats {
	uint64_t n_written;
	uint64_t n_dropped; /* lines: the queue was full, or the disk */
	uint64_t n_bytes;
	int error; /* of the last write; 0 or -errno */
};

int cp_runtime_output_new(struct cp_runtime_output **ret,
			  const struct cp_runtime_output_options *options);
/* Writes what is queued, then calls closed from the loop. */
void cp_runtime_output_close(struct cp_runtime_output *output,
			     void (*closed)(void *userdata), void *userdata);
void cp_runtime_output_put(struct cp_runtime_output *output,
			   const struct cp_runtime_stored *event);
void cp_runtime_output_get_stats(const struct cp_runtime_output *output,
				 struct cp_runtime_output_stats *ret);
