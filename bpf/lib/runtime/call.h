/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* System calls as their sys_exit tracepoints show them. The arguments are still
 * in the registers with which the call was made. */

#include "bpf/lib/runtime/record.h"

/* Numbers of arguments; -1: there is none, -2: the working directory, -3: the
 * string is no path. */
struct sn_rt_shape {
	__s8 in;
	__s8 out;
	__s8 dir;
	__s8 path;
	__s8 dir2;
	__s8 path2;
};

#define SN_RT_ARG_X -1
#define SN_RT_ARG_W -2
#define SN_RT_ARG_T -3
#define SN_RT_ARG_0 0
#define SN_RT_ARG_1 1
#define SN_RT_ARG_2 2
#define SN_RT_ARG_3 3
#define SN_RT_ARG_4 4

static const struct sn_rt_shape sn_rt_shapes[SN_RT_CALL_COUNT] = {
#define SN_RT_EVENT(id, name, meaning)
#define SN_RT_LIMIT(id, text)
#define SN_RT_HOOK(event, way, program, kind, hook, call, limit)
#define SN_RT_CALL(id, in, out, dir, path, dir2, path2)        \
	{ SN_RT_ARG_##in,   SN_RT_ARG_##out,  SN_RT_ARG_##dir, \
	  SN_RT_ARG_##path, SN_RT_ARG_##dir2, SN_RT_ARG_##path2 },
#include "shared/runtime.def"
#undef SN_RT_EVENT
#undef SN_RT_LIMIT
#undef SN_RT_HOOK
#undef SN_RT_CALL
};

/* A call that returns. */
struct sn_rt_exit {
	__s64 ret;
	__u32 call;
};

/* The event of the call that the thread is in. */
static __always_inline __u64 sn_rt_get_doing(__u32 event)
{
	return (__u64)(event << 1 | (__u32)sn_rt_is_compat()) << 32 |
	       sn_rt_get_number();
}

/* Whether the event of the call that returns was told by the function that did
 * what it asked for. */
static __always_inline int sn_rt_was_told(__u32 event)
{
	struct sn_rt_thread *thread = sn_rt_get_thread(0);

	if (!thread || thread->told != sn_rt_get_doing(event))
		return 0;
	thread->told = 0;
	return 1;
}

/* A program on a tracepoint of sys_exit. Its 1 lets the kernel go on to whoever
 * else listens there: 0 of any program keeps the event from perf(1). */
#define SN_RT_EXIT(name, context)                                  \
	name(struct trace_event_raw_sys_exit *raw);                \
	static __always_inline int name##_see(context);            \
	int name(struct trace_event_raw_sys_exit *raw)             \
	{                                                          \
		struct sn_rt_exit exit = {                         \
			.ret = raw->ret,                           \
			.call = (__u32)bpf_get_attach_cookie(raw), \
		};                                                 \
		name##_see(&exit);                                 \
		return 1;                                          \
	}                                                          \
	static __always_inline int name##_see(context)

static __always_inline __u32 sn_rt_get_call(const struct sn_rt_exit *ctx)
{
	__u32 call = ctx->call;

	/* What the compiler knows of it the verifier does not. */
	barrier_var(call);
	return call < SN_RT_CALL_COUNT ? call : SN_RT_CALL_NONE;
}

static __always_inline struct sn_rt_record *sn_rt_get_record(void)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);

	return s ? &s->record : NULL;
}

static __always_inline void sn_rt_set_args(__u64 one, __u64 two)
{
	struct sn_rt_record *r = sn_rt_get_record();

	if (!r)
		return;
	r->args[1] = one;
	r->args[2] = two;
}

/* The file of a descriptor, if there is one. */
static __always_inline void sn_rt_add_fd(__s64 fd)
{
	struct file *file = sn_rt_find_file((__s32)fd);

	if (file)
		sn_rt_add_file((__u64)file, SN_RT_PLACE_EVENT, 0);
}

static __always_inline void sn_rt_add_passed(__s8 dir, __s8 path, __u32 kind)
{
	__s64 directory = SN_RT_AT_FDCWD;

	if (path < 0)
		return;
	kind |= SN_RT_STRING_USER;
	if (dir == SN_RT_ARG_T)
		kind |= SN_RT_STRING_TEXT;
	if (dir >= 0)
		directory = (__s64)sn_rt_argument(dir);
	sn_rt_add_string(directory, sn_rt_argument(path), kind);
}

/* The strings that a call was made with. */
SN_GLOBAL int sn_rt_add_strings(__u32 call)
{
	const struct sn_rt_shape *shape;

	if (call >= SN_RT_CALL_COUNT)
		return 0;
	shape = &sn_rt_shapes[call];
	sn_rt_add_passed(shape->dir, shape->path, 0);
	sn_rt_add_passed(shape->dir2, shape->path2, SN_RT_STRING_SECOND);
	return 0;
}

/* The begin of union bpf_attr for BPF_PROG_LOAD. */
struct sn_rt_bpf_load {
	__u32 type;
	__u32 instructions;
	__u8 more[40];
	char name[16];
};

static __always_inline void sn_rt_add_load(struct sn_rt_bpf_load *load)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);

	sn_rt_set_args(load->type, load->instructions);
	if (!s)
		return;
	/* No further: what is behind it is the process' own. */
	load->name[sizeof(load->name) - 1] = 0;
	s->record.file.flags = SN_RT_PATH_TEXT;
	sn_rt_append_string(s, &s->record.file, (__u64)load->name, 0);
}
