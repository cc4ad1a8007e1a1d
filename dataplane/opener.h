/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A process of its own that opens perf events of the tracepoints of
 * shared/runtime.def, by their rows, and can do nothing else. Kernels with
 * kernel.perf_event_paranoid above 2 (Debian's) give them to CAP_SYS_ADMIN
 * alone, which sentinel-dp does not keep. It ends with sentinel-dp. */

#include "dataplane/tracefs.h"

/* As root, before any descriptor is open that it should not have. Where the
 * kernel does not ask for it, or that fails, none is started. */
void dp_opener_start(struct dp_tracefs *tracefs);

/* With the privileges that stay: no tracepoint is of use if the kernel gives no
 * event for one. What it says is in tracefs->error. */
void dp_opener_probe(struct dp_tracefs *tracefs);

/* An event of the tracepoint of a row: an fd or -errno; -EPIPE: the process that
 * opens is gone. */
int dp_opener_open(const struct dp_tracefs *tracefs, uint32_t hook);
