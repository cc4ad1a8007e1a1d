/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* What the library files stand on: kernel types, helpers, and the few
 * primitives that C does not give BPF. */

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "shared/abi.h"

#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif

/* A function that the verifier checks once by itself, for any argument, and
 * not again at each call (Documentation/bpf: "global functions"). Pointer
 * arguments may be NULL as far as it knows, so each is checked. Weak, because
 * the library is compiled into several objects that are joined. */
#define SN_GLOBAL __weak __noinline

/* For buffers on the stack that are read by words. */
#define SN_ALIGNED __attribute__((aligned(8)))

#define SN_READ(x)     (*(volatile __typeof__(x) *)&(x))
#define SN_WRITE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/* A full memory barrier: an atomic operation that returns the old value is one
 * on every architecture (Documentation/bpf/standardization/instruction-set.rst,
 * "Atomic operations"; the kernel's JITs map BPF_FETCH to ordered forms). */
static __always_inline void sn_barrier(void)
{
	__u64 word = 0;

	/* The old value is used and what is added is not 0: else clang emits an
	 * operation without BPF_FETCH, which orders nothing on arm64. */
	asm volatile("" : : "r"(__sync_fetch_and_add(&word, 1)) : "memory");
}

/* Keeps earlier loads before later ones. Loads are not reordered on x86;
 * elsewhere it takes a barrier. */
static __always_inline void sn_read_barrier(void)
{
#ifdef __TARGET_ARCH_x86
	asm volatile("" : : : "memory");
#else
	sn_barrier();
#endif
}

static __always_inline void sn_copy16(__u8 *to, const __u8 *from)
{
	((__u32 *)to)[0] = ((const __u32 *)from)[0];
	((__u32 *)to)[1] = ((const __u32 *)from)[1];
	((__u32 *)to)[2] = ((const __u32 *)from)[2];
	((__u32 *)to)[3] = ((const __u32 *)from)[3];
}

static __always_inline int sn_equal16(const __u8 *a, const __u8 *b)
{
	const __u32 *x = (const __u32 *)a;
	const __u32 *y = (const __u32 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}
