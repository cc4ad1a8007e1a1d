/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* shared/runtime.def as C tables. */

#include "shared/tables.h"

struct sn_runtime_event {
	const char *name; /* "file_open" */
	const char *meaning;
};

/* By enum sn_rt_event; NONE has no name. */
extern const struct sn_runtime_event sn_runtime_events[SN_RT_EVENT_COUNT];

enum sn_runtime_way {
	SN_RUNTIME_WAY_TRACEPOINT,
	SN_RUNTIME_WAY_FEXIT,
	SN_RUNTIME_WAY_COMPAT,
};

enum sn_runtime_kind {
	SN_RUNTIME_KIND_SYSCALL,
	SN_RUNTIME_KIND_SYSCALL_OLD, /* may be missing */
	SN_RUNTIME_KIND_BTF,
	SN_RUNTIME_KIND_FUNCTION,
};

/* Whether the hook is a tracepoint of tracefs. */
static inline bool sn_runtime_is_call(enum sn_runtime_kind kind)
{
	return kind == SN_RUNTIME_KIND_SYSCALL ||
	       kind == SN_RUNTIME_KIND_SYSCALL_OLD;
}

enum sn_runtime_limit {
#define SN_RT_EVENT(id, name, meaning)
#define SN_RT_CALL(id, in, out, dir, path, dir2, path2)
#define SN_RT_LIMIT(id, text) SN_RUNTIME_LIMIT_##id,
#define SN_RT_HOOK(event, way, program, kind, hook, call, limit)
#include "shared/runtime.def"
#undef SN_RT_LIMIT
	SN_RUNTIME_LIMIT_COUNT,
};

extern const char *const sn_runtime_limits[SN_RUNTIME_LIMIT_COUNT];

/* A row of SN_RT_HOOK, in the order of shared/runtime.def. */
struct sn_runtime_hook {
	enum sn_rt_event event;
	enum sn_runtime_way way;
	enum sn_runtime_kind kind;
	enum sn_rt_call call;
	enum sn_runtime_limit limit;
	enum sn_program program;
	const char *name; /* "openat2", "sched_process_exec", "vfs_unlink" */
};

enum sn_runtime_hook_row {
	SN_RUNTIME_HOOK_NONE = -1,
#define SN_RT_LIMIT(id, text)
#undef SN_RT_HOOK
#define SN_RT_HOOK(event, way, program, kind, hook, call, limit) \
	SN_RUNTIME_HOOK_##event##_##program##_##hook,
#include "shared/runtime.def"
#undef SN_RT_EVENT
#undef SN_RT_CALL
#undef SN_RT_LIMIT
#undef SN_RT_HOOK
	SN_RUNTIME_HOOK_COUNT,
};

extern const struct sn_runtime_hook sn_runtime_hooks[SN_RUNTIME_HOOK_COUNT];

/* The function whose program, where it loads, tells all that the program of this
 * row would, which then is on no hook. NONE: there is no such function. */
static inline enum sn_runtime_hook_row sn_runtime_get_better(size_t row)
{
	return row == SN_RUNTIME_HOOK_FILE_OPEN_RT_URING_OPEN_io_uring_complete ?
		       SN_RUNTIME_HOOK_FILE_OPEN_RT_DONE_OPEN_do_filp_open :
		       SN_RUNTIME_HOOK_NONE;
}
