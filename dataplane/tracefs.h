/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kernel's numbers of the tracepoints that shared/runtime.def names, read
 * as root once, before files cannot be opened any more. */

#include <stdbool.h>
#include <stdint.h>

#include "shared/ipc.h"
#include "shared/runtime.h"

struct dp_tracefs {
	uint32_t ids[SN_RUNTIME_HOOK_COUNT]; /* 0: there is none */
	bool has; /* a tracefs was there */
	int opener; /* socket of the process that opens events, or -1 */
	int error; /* errno with which the kernel refuses an event, or 0 */
};

/* root: where it is mounted. What is missing is told by HELLO. */
void dp_tracefs_read(struct dp_tracefs *tracefs, const char *root);

/* An event for programs on a tracepoint: an fd or -errno. They run on every CPU,
 * wherever it was opened; it is never enabled, since they are all that it is
 * for. */
int dp_tracefs_open_event(uint32_t id);

/* Bits of rows of shared/runtime.def whose tracepoint is missing. */
void dp_tracefs_get_missing(const struct dp_tracefs *tracefs,
			    uint64_t missing[SN_IPC_HOOKS_MAX / 64]);
