/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* What the programs of both objects stand on. */

#include "bpf/lib/env.h"

/* Possible CPUs; written by sentinel-dp before loading. */
__weak const volatile __u32 sn_n_cpus = 1;

/* Generation and revision of each slot (SN_WORD). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} sn_words __weak SEC(".maps");
