/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* Maps of the runtime object. What shared/tables.def names is pinned and
 * outlives the programs; the rest is theirs alone. */

#include "bpf/lib/words.h"

/* Written by sentinel-dp before loading: programs that are replaced, and those
 * that replace them, are on their hooks at once for a moment, and only the one
 * that sn_rt_host names does anything. */
__weak const volatile __u32 sn_rt_instance = 1;

/* The same: sn_rt_flush is there. What nobody would send is not summed. */
__weak const volatile __u32 sn_rt_has_flush = 1;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct sn_rt_match_key);
	__type(value, struct sn_rt_bits);
} sn_rt_match __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct sn_rt_settings_key);
	__type(value, struct sn_rt_settings);
} sn_rt_settings __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sn_rt_sum_key);
	__type(value, struct sn_rt_sum);
} sn_rt_sums __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct sn_rt_subject);
	__type(value, __u64);
} sn_rt_budgets __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_rt_count);
} sn_rt_ledger __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} sn_rt_events __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_rt_host);
} sn_rt_host __weak SEC(".maps");

/* Of a process, in the storage of its first thread. */
struct sn_rt_process {
	__u32 epoch; /* in which it was introduced */
	__u32 exited; /* 1: that was told */
	__u64 program; /* self_exec_id, the same */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sn_rt_process);
} sn_rt_processes __weak SEC(".maps");

enum { SN_RT_NAME_MAX = 256 };

/* A name that is about to be made, changed or removed, noted before: what is done
 * then moves it and the file away. */
struct sn_rt_name {
	__u64 dentry; /* whose it is; 0: none is noted */
	__u64 dir; /* directory and mount it is in, which the call holds */
	__u64 mnt;
	__u64 inode; /* of the file that has it; 0: none */
	__u64 dev; /* SN_RT_DEV() */
	__u32 mode;
	__u32 bytes; /* of name */
	char name[SN_RT_NAME_MAX];
};

/* Of a thread. told: the call of which the function that does it has told the
 * event; its tracepoint then keeps silent. */
struct sn_rt_thread {
	__u64 told;
	__u64 denied; /* the open of which the same is true */
	struct sn_rt_name names[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct sn_rt_thread);
} sn_rt_threads __weak SEC(".maps");

enum {
	/* Two files with a path and a base each, or a base and a string each,
	 * and arguments. */
	SN_RT_STRINGS = 4 * SN_RT_PATH_MAX + SN_RT_ARGUMENTS_MAX + 8,
	SN_RT_COMPONENTS = SN_RT_PATH_MAX, /* and mounts between them */
};

/* Takes a path apart as it is read: "//" and "/./" are nothing, "/../" goes back
 * to the prefix before. */
struct sn_rt_hashing {
	__u64 h; /* of what is in front of byte i, without its end if that may go */
	__u32 n; /* bytes that h is of */
	__u32 at; /* of the path in the strings */
	__u32 bytes; /* of it */
	__u32 looked; /* bytes in which prefixes are looked for */
	__u32 field;
	__u32 depth;
	__u32 component; /* bytes of the present one */
	__u32 dots; /* of these */
	__u32 deep; /* 1: deeper than any rule may be */
};

/* A record while it is made. in_use: from begin to end; where a program can be
 * preempted, another one on the same CPU finds it so and gives up. */
struct sn_rt_scratch {
	struct sn_rt_record record;
	__u8 strings[SN_RT_STRINGS + SN_RT_PATH_MAX];
	__u32 used; /* bytes of strings */
	__u32 in_use;
	__u32 slot;
	__u32 unsure; /* some path can only be judged by sentinel-cp */
	struct sn_rt_settings settings; /* of the generation of record.word */
	struct sn_rt_bits bits; /* rules that are still possible */
	struct sn_rt_bits field; /* rules that one field allows */
	/* Hashes and sizes of the prefixes of a path, by their depth. */
	__u64 hashes[SN_RT_DEPTH_MAX];
	__u32 sizes[SN_RT_DEPTH_MAX];
	/* Not on the stack, where the verifier would follow every number. */
	struct sn_rt_hashing hashing;
};

enum sn_rt_place {
	SN_RT_PLACE_EVENT = 0,
	SN_RT_PLACE_PROCESS = 1, /* its introduction */
	SN_RT_PLACES = 2,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SN_RT_PLACES);
	__type(key, __u32);
	__type(value, struct sn_rt_scratch);
} sn_rt_scratches __weak SEC(".maps");

struct sn_rt_walk {
	struct dentry *dentry;
	struct vfsmount *mnt;
	struct dentry *root;
	struct vfsmount *root_mnt;
	struct dentry *left; /* where the file's own mount was left */
	__u32 at; /* begin of what is there, in the buffer */
	__u32 inside_at; /* the same when `left` was set */
	__u32 flags; /* enum sn_rt_path_flag */
	__u32 into_base;
};

/* Paths grow from the end of path or base to its beginning. The walk is not on
 * the stack for the reason that `hashing` is not. */
struct sn_rt_buffer {
	struct sn_rt_walk walk;
	__u8 path[SN_RT_PATH_MAX + SN_RT_NAME_MAX];
	__u8 base[SN_RT_PATH_MAX + SN_RT_NAME_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sn_rt_buffer);
} sn_rt_buffers __weak SEC(".maps");

static __always_inline struct sn_rt_scratch *sn_rt_get(__u32 place)
{
	return bpf_map_lookup_elem(&sn_rt_scratches, &place);
}

static __always_inline struct sn_rt_buffer *sn_rt_get_buffer(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sn_rt_buffers, &zero);
}

/* Where CPU numbers have gaps, the high ones share the first's row. */
static __always_inline struct sn_rt_count *sn_rt_get_count(__u32 event)
{
	__u32 cpu = bpf_get_smp_processor_id();
	__u32 index = event * sn_n_cpus + (cpu < sn_n_cpus ? cpu : 0);

	return bpf_map_lookup_elem(&sn_rt_ledger, &index);
}

/* Of the current one; NULL: it has none, or (make) there was no memory. */
static __always_inline struct sn_rt_thread *sn_rt_get_thread(int make)
{
	return bpf_task_storage_get(&sn_rt_threads, bpf_get_current_task_btf(),
				    0,
				    make ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
}
