/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* The system call that the current thread is in: its number and its arguments,
 * which stay in the registers until it returns. */

#include "bpf/lib/env.h"

#include <bpf/bpf_tracing.h>

/* Written by sentinel-dp before loading: sn_rt_compat is there. Without it no
 * program on a tracepoint of calls meets one of 32 bits. */
__weak const volatile __u32 sn_rt_has_compat = 1;

#if defined(__TARGET_ARCH_x86)
#define SN_RT_CALL_NUMBER(regs) ((__u32)BPF_CORE_READ(regs, orig_ax))
#define SN_RT_IS_COMPAT(task)	((task)->thread_info.status & 2)
/* -ENOSYS stands there until there is a result. */
#define SN_RT_HAS_RESULT(regs) ((__s32)BPF_CORE_READ(regs, ax) != -38)
#elif defined(__TARGET_ARCH_arm64)
#define SN_RT_CALL_NUMBER(regs) ((__u32)BPF_CORE_READ(regs, syscallno))
#define SN_RT_IS_COMPAT(task)	((task)->thread_info.flags & 1 << 22)
/* The first argument stands there until there is a result. */
#define SN_RT_HAS_RESULT(regs) \
	(BPF_CORE_READ(regs, regs[0]) != BPF_CORE_READ(regs, orig_x0))
#endif

static __always_inline struct pt_regs *sn_rt_get_registers(void)
{
	return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
}

static __always_inline __u32 sn_rt_get_number(void)
{
	struct pt_regs *regs = sn_rt_get_registers();

	return SN_RT_CALL_NUMBER(regs);
}

/* Whether the thread is in a call that it made as 32-bit programs do. */
static __always_inline int sn_rt_is_compat(void)
{
	return SN_RT_IS_COMPAT(bpf_get_current_task_btf()) != 0;
}

/* Whether the call is over and the thread on its way out of the kernel, or it is
 * there for another reason than a call. */
static __always_inline int sn_rt_is_leaving(void)
{
	struct pt_regs *regs = sn_rt_get_registers();

	return SN_RT_HAS_RESULT(regs);
}

/* Of a call of 64 bits. */
static __always_inline __u64 sn_rt_native_argument(int number)
{
	struct pt_regs *regs = sn_rt_get_registers();

	switch (number) {
	case 0:
		return PT_REGS_PARM1_CORE_SYSCALL(regs);
	case 1:
		return PT_REGS_PARM2_CORE_SYSCALL(regs);
	case 2:
		return PT_REGS_PARM3_CORE_SYSCALL(regs);
	case 3:
		return PT_REGS_PARM4_CORE_SYSCALL(regs);
	case 4:
		return PT_REGS_PARM5_CORE_SYSCALL(regs);
	default:
		return 0;
	}
}

#if defined(__TARGET_ARCH_x86)

/* Calls of i386 whose arguments are not what those of 64 bits are. */
enum {
	SN_RT_I386_LCHOWN = 16, /* these with owners of 16 bits */
	SN_RT_I386_FCHOWN = 95,
	SN_RT_I386_CHOWN = 182,
	SN_RT_I386_UMOUNT = 22, /* it has no flags */
	SN_RT_I386_PTRACE = 26, /* with signs */
	SN_RT_I386_MMAP = 90, /* these two with arguments in memory */
	SN_RT_I386_SOCKETCALL = 102,
};

static __always_inline __u32 sn_rt_register(int number)
{
	struct pt_regs *regs = sn_rt_get_registers();

	switch (number) {
	case 0:
		return (__u32)BPF_CORE_READ(regs, bx);
	case 1:
		return (__u32)BPF_CORE_READ(regs, cx);
	case 2:
		return (__u32)BPF_CORE_READ(regs, dx);
	case 3:
		return (__u32)BPF_CORE_READ(regs, si);
	case 4:
		return (__u32)BPF_CORE_READ(regs, di);
	default:
		return 0;
	}
}

/* What cannot be read is no descriptor: 0 may be one. */
static __always_inline __u32 sn_rt_word(__u64 words, int number)
{
	__u32 word;

	if (bpf_probe_read_user(&word, sizeof(word),
				(const void *)(words + sizeof(word) * number)))
		return ~0U;
	return word;
}

/* As the call of 64 bits has it. */
SN_GLOBAL __u64 sn_rt_compat_argument(int number)
{
	__u32 value = sn_rt_register(number);

	switch (sn_rt_get_number()) {
	case SN_RT_I386_LCHOWN:
	case SN_RT_I386_FCHOWN:
	case SN_RT_I386_CHOWN:
		if (number == 0)
			return value;
		return (__u16)value == 0xffff ? ~0U : (__u16)value;
	case SN_RT_I386_UMOUNT:
		return number == 0 ? value : 0;
	case SN_RT_I386_PTRACE:
		return (__u64)(__s64)(__s32)value;
	case SN_RT_I386_MMAP:
		return sn_rt_word(sn_rt_register(0), number);
	case SN_RT_I386_SOCKETCALL:
		return sn_rt_word(sn_rt_register(1), number);
	default:
		return value;
	}
}

/* Of either. */
static __always_inline __u64 sn_rt_find_argument(int number)
{
	return sn_rt_is_compat() ? sn_rt_compat_argument(number) :
				   sn_rt_native_argument(number);
}

#else

static __always_inline __u64 sn_rt_find_argument(int number)
{
	return sn_rt_native_argument(number);
}

#endif

/* Of the call that a tracepoint shows. */
static __always_inline __u64 sn_rt_argument(int number)
{
	return sn_rt_has_compat ? sn_rt_find_argument(number) :
				  sn_rt_native_argument(number);
}
