/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* What bpf/runtime/compat.bpf.c has each object do of its events. */

#include "bpf/lib/runtime/call.h"

/* Whether that call tells the event. */
static __always_inline int sn_rt_tells(__u32 call, __u32 event)
{
	return 0
#define SN_RT_EVENT(id, name, meaning)
#define SN_RT_LIMIT(id, text)
#define SN_RT_CALL(id, in, out, dir, path, dir2, path2)
#define SN_RT_HOOK(event_, way, program, kind, hook, call_, limit) \
	|| (event == SN_RT_EVENT_##event_ && call == SN_RT_CALL_##call_)
#include "shared/runtime.def"
#undef SN_RT_EVENT
#undef SN_RT_LIMIT
#undef SN_RT_CALL
#undef SN_RT_HOOK
		;
}

/* What the program on the call's own tracepoint does. */
#define SN_RT_SEE(event, exit, name)                                \
	do {                                                        \
		if (sn_rt_tells((exit)->call, SN_RT_EVENT_##event)) \
			name##_see(exit);                           \
	} while (0)
