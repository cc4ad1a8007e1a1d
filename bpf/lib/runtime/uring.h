/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* Requests of io_uring as their completion shows them: what of a request is kept
 * until then in the kernel's memory. Strings are not. */

#include "bpf/lib/runtime/record.h"

/* linux/io_uring.h; not every kernel that this is built on knows all. */
enum {
	SN_RT_URING_READV = 1,
	SN_RT_URING_WRITEV = 2,
	SN_RT_URING_READ_FIXED = 4,
	SN_RT_URING_WRITE_FIXED = 5,
	SN_RT_URING_ACCEPT = 13,
	SN_RT_URING_CONNECT = 16,
	SN_RT_URING_FALLOCATE = 17,
	SN_RT_URING_OPENAT = 18,
	SN_RT_URING_READ = 22,
	SN_RT_URING_WRITE = 23,
	SN_RT_URING_OPENAT2 = 28,
	SN_RT_URING_SPLICE = 30,
	SN_RT_URING_FTRUNCATE = 55,
	SN_RT_URING_BIND = 56,
	SN_RT_URING_READV_FIXED = 60,
	SN_RT_URING_WRITEV_FIXED = 61,
};

#define SN_RT_SPLICE_FIXED 0x80000000U
#define SN_RT_LARGEFILE	   0100000ULL

static __always_inline struct io_kiocb *sn_rt_uring_request(const __u64 *ctx)
{
	return (struct io_kiocb *)ctx[1];
}

/* Completions of a request that goes on have none, and are no operation (0); nor
 * is what a thread of the kernel ends in the place of a process that is gone. */
static __always_inline __u32 sn_rt_uring_opcode(struct io_kiocb *request)
{
	return request && !sn_rt_is_kernel() ? BPF_CORE_READ(request, opcode) :
					       0;
}

/* What a completed request returned. The tracepoint has it too, but by what
 * argument changed between the kernels. */
static __always_inline __s64 sn_rt_uring_result(struct io_kiocb *request)
{
	return (__s32)BPF_CORE_READ(request, cqe.res);
}

static __always_inline int sn_rt_uring_begin(__u32 event, __s64 result)
{
	struct sn_rt_scratch *s;

	if (!sn_rt_begin(event, result, SN_RT_CALL_IO_URING))
		return 0;
	s = sn_rt_get(SN_RT_PLACE_EVENT);
	if (s)
		s->record.flags |= SN_RT_IO_URING;
	return 1;
}
