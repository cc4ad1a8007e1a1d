/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once

/* What test/bench/bench.bpf.c and ring.bpf.c share with their loaders. */

#include "shared/abi.h"

enum {
	BENCH_ADDRESSES = 1 << 19, /* prepared addresses, a power of two */
	BENCH_FLOWS = 1 << 17, /* prepared flow keys, a power of two */
	BENCH_SLOT = 1,
	BENCH_SLOTS = 2,
	BENCH_GENERATION = 1,
	BENCH_VERDICTS = 4, /* enum SN_FOUND_*, or 0 drop and 1 pass */
};

struct bench_address {
	__u8 bytes[16];
};

/* One timed loop: n steps from `first` on. elapsed_ns and verdicts are
 * answers. */
struct bench_job {
	struct sn_policy policy;
	__u64 now;
	__u64 elapsed_ns;
	__u64 verdicts[BENCH_VERDICTS];
	__u32 first;
	__u32 mask; /* of the index into the prepared keys */
	__u32 n;
	__u32 family;
	__u32 port; /* of new flows; another one makes other flows */
	__u32 pad;
};

struct bench_lpm4_key {
	__u32 prefix_bits;
	__u8 address[4];
};

struct bench_lpm6_key {
	__u32 prefix_bits;
	__u8 address[16];
};

/* What a plain trie program would keep of a rule. */
struct bench_lpm_value {
	__u32 verdict;
	__u32 rule_id;
};

/* Of ring.bpf.c. n_full is an answer. */
struct bench_ring_job {
	__u64 cgroup;
	__u64 n_full;
	__u32 record_bytes;
	__u32 pad;
};

struct bench_ring_record {
	__u64 number; /* of this CPU */
	__u8 rest[1024 - 8];
};
