/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/runtime.h"

#define SN_RT_CALL(id, in, out, dir, path, dir2, path2)

#define SN_RT_LIMIT(id, text)
#define SN_RT_HOOK(event, way, program, kind, hook, call, limit)
#define SN_RT_EVENT(id, name_, meaning_) \
	[SN_RT_EVENT_##id] = { .name = (name_), .meaning = (meaning_) },
const struct sn_runtime_event sn_runtime_events[SN_RT_EVENT_COUNT] = {
#include "shared/runtime.def"
};
#undef SN_RT_EVENT
#define SN_RT_EVENT(id, name, meaning)

#undef SN_RT_LIMIT
#define SN_RT_LIMIT(id, text) [SN_RUNTIME_LIMIT_##id] = (text),
const char *const sn_runtime_limits[SN_RUNTIME_LIMIT_COUNT] = {
#include "shared/runtime.def"
};
#undef SN_RT_LIMIT
#define SN_RT_LIMIT(id, text)

#undef SN_RT_HOOK
#define SN_RT_HOOK(event_, way_, program_, kind_, hook_, call_, limit_) \
	{                                                               \
		.event = SN_RT_EVENT_##event_,                          \
		.way = SN_RUNTIME_WAY_##way_,                           \
		.kind = SN_RUNTIME_KIND_##kind_,                        \
		.call = SN_RT_CALL_##call_,                             \
		.limit = SN_RUNTIME_LIMIT_##limit_,                     \
		.program = SN_PROGRAM_##program_,                       \
		.name = #hook_,                                         \
	},
const struct sn_runtime_hook sn_runtime_hooks[SN_RUNTIME_HOOK_COUNT] = {
#include "shared/runtime.def"
};
