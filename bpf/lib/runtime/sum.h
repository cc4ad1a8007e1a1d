/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* Reads and writes are summed by process and file: the first is an event, those
 * that follow are added up until sn_rt_flush sends them. */

#include "bpf/lib/runtime/call.h"

enum { SN_RT_SUM_TRIES = 8 };

/* What came in one of these ways is told with it, and summed apart. */
#define SN_RT_SUM_WAYS (SN_RT_COMPAT | SN_RT_IO_URING)

static __always_inline __u64 sn_rt_mix(__u64 h, __u64 word)
{
	h = (h ^ word) * 0xff51afd7ed558ccdULL;
	return h ^ h >> 32;
}

/* Hash of what the rules looked at besides event and file, and of the way. Only
 * what a rule wanted has an entry, so two subjects of one hash hide nothing. */
static __always_inline __u32 sn_rt_hash_subject(const struct sn_rt_scratch *s)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 h = sn_rt_mix(0x9e3779b97f4a7c15ULL, s->record.word);
	__u64 comm[2];

	h = sn_rt_mix(h, BPF_CORE_READ(task, self_exec_id));
	h = sn_rt_mix(h, s->record.flags & SN_RT_SUM_WAYS);
	if (SN_RT_HAS(s, UID))
		h = sn_rt_mix(h, s->record.uid);
	if (SN_RT_HAS(s, CGROUP))
		h = sn_rt_mix(h, s->record.cgroup);
	if (SN_RT_HAS(s, COMM)) {
		__builtin_memcpy(comm, s->record.comm, sizeof(comm));
		h = sn_rt_mix(sn_rt_mix(h, comm[0]), comm[1]);
	}
	return (__u32)(h ^ h >> 32);
}

static __always_inline struct sn_rt_sum_key
sn_rt_make_sum_key(const struct sn_rt_scratch *s)
{
	struct sn_rt_sum_key key = {
		.slot = s->slot,
		.tgid = s->record.tgid,
		.start = s->record.start,
		.dev = SN_RT_DEV(s->record.file.major, s->record.file.minor),
		.inode = s->record.file.inode,
		.event = s->record.event,
		.subject = sn_rt_hash_subject(s),
	};

	return key;
}

static __always_inline __u64 sn_rt_sum_tag(const struct sn_rt_sum_key *key)
{
	const sn_word64 *words = (const sn_word64 *)key;
	__u64 h = 0x9e3779b97f4a7c15ULL;

	for (int i = 0; i < 5; i++)
		h = sn_rt_mix(h, words[i]);
	return h & SN_RT_SUM_TAGS;
}

/* Returns 1 if the access is in a sum now. */
static __always_inline int sn_rt_sum_add(struct sn_rt_scratch *s)
{
	struct sn_rt_sum_key key = sn_rt_make_sum_key(s);
	struct sn_rt_sum *sum = bpf_map_lookup_elem(&sn_rt_sums, &key);
	struct sn_rt_count *count;
	__u64 tag, state;
	int is_in = 0;

	if (!sum)
		return 0;
	tag = sn_rt_sum_tag(&key);
	for (int i = 0; i < SN_RT_SUM_TRIES && !is_in; i++) {
		state = SN_READ(sum->state);
		if ((state & (SN_RT_SUM_DEAD | SN_RT_SUM_TAGS)) != tag ||
		    !(__u32)(state + 1))
			return 0; /* another's, or it can count no more */
		is_in = __sync_val_compare_and_swap(&sum->state, state,
						    state + 1) == state;
	}
	if (!is_in)
		return 0;
	__sync_fetch_and_add(&sum->bytes, s->record.bytes);
	count = sn_rt_get_count(s->record.event);
	if (count)
		__sync_fetch_and_add(&count->summed, 1);
	return 1;
}

/* Those that follow the event of this record are added up. Not inlined: 512 bytes
 * of stack are for all the calls that are open at a time. */
SN_GLOBAL int sn_rt_sum_begin(void)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	struct sn_rt_sum_key key;
	struct sn_rt_sum sum = { 0 };

	if (!s)
		return 0;
	key = sn_rt_make_sum_key(s);
	sum.state = sn_rt_sum_tag(&key);
	sum.sent = s->record.time;
	sum.word = s->record.word;
	sum.tid = s->record.tid;
	sum.uid = s->record.uid;
	sum.gid = s->record.gid;
	sum.call = (__u16)s->record.args[0];
	sum.flags = s->record.flags & SN_RT_SUM_WAYS;
	sum.cgroup = s->record.cgroup;
	__builtin_memcpy(sum.comm, s->record.comm, sizeof(sum.comm));
	bpf_map_update_elem(&sn_rt_sums, &key, &sum, BPF_NOEXIST);
	return 0;
}

#define SN_RT_ANON_INODE_MAGIC 0x09041934

/* Pipes, sockets and the like are no files; what has the one inode of anonymous
 * ones says that it is regular since Linux 6.17. */
static __always_inline int sn_rt_is_file(struct inode *inode)
{
	__u32 type = BPF_CORE_READ(inode, i_mode) & SN_RT_TYPE;

	if (BPF_CORE_READ(inode, i_sb, s_magic) == SN_RT_ANON_INODE_MAGIC)
		return 0;
	return type == SN_RT_REGULAR || type == SN_RT_BLOCK ||
	       type == SN_RT_CHARS;
}

/* What is rare, or more than bytes, is an event each time. */
static __always_inline int sn_rt_is_summed(__s64 result, __u32 call)
{
	return sn_rt_has_flush && result >= 0 && call != SN_RT_CALL_MMAP &&
	       call != SN_RT_CALL_FTRUNCATE && call != SN_RT_CALL_FALLOCATE;
}

/* A read or write of a file that returned `result`. once: it is an event each
 * time. */
SN_GLOBAL int sn_rt_access(__u32 event, __u64 address, __s64 result, __u32 call,
			   __u32 once)
{
	struct file *file = (struct file *)address;
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	int is_sum = !once && sn_rt_is_summed(result, call);

	if (!file || !s || !sn_rt_is_file(inode) ||
	    !sn_rt_begin(event, result, call))
		return 0;
	if (call == SN_RT_CALL_MMAP)
		sn_rt_set_args(sn_rt_argument(2), sn_rt_argument(3));
	else if (result > 0)
		s->record.bytes = (__u64)result;
	if (call == SN_RT_CALL_IO_URING)
		s->record.flags |= SN_RT_IO_URING;
	sn_rt_add_inode(&s->record.file, inode);
	if (is_sum && sn_rt_sum_add(s)) {
		sn_rt_end();
		return 0;
	}
	__builtin_memset(&s->record.file, 0, sizeof(s->record.file));
	sn_rt_add_file(address, SN_RT_PLACE_EVENT, 0);
	if (sn_rt_judge()) {
		if (is_sum)
			s->record.flags |= SN_RT_FIRST;
		if (sn_rt_send() && is_sum)
			sn_rt_sum_begin();
	}
	sn_rt_end();
	return 0;
}

static __always_inline void sn_rt_access_fd(__u32 event, __u64 fd, __s64 result,
					    __u32 call)
{
	sn_rt_access(event, (__u64)sn_rt_find_file((__s32)fd), result, call, 0);
}

struct sn_rt_flushing {
	__u64 now;
	__u32 slot;
};

static __always_inline int sn_rt_send_sum(const struct sn_rt_sum_key *key,
					  const struct sn_rt_sum *sum,
					  __u64 now, __u64 n, __u64 bytes)
{
	struct sn_rt_record r = {
		.size = sizeof(r),
		.kind = SN_RT_KIND_EVENT,
		.event = (__u8)key->event,
		.flags = SN_RT_SUMMED | sum->flags,
		.time = now,
		.word = sum->word,
		.start = key->start,
		.tgid = key->tgid,
		.tid = sum->tid,
		.uid = sum->uid,
		.gid = sum->gid,
		.cgroup = sum->cgroup,
		.result = (__s64)bytes,
		.count = n,
		.bytes = bytes,
		.args = { sum->call },
		.file = { .inode = key->inode,
			  .major = (__u32)(key->dev >> 32),
			  .minor = (__u32)key->dev },
	};
	struct sn_rt_count *count = sn_rt_get_count(key->event);

	__builtin_memcpy(r.comm, sum->comm, sizeof(r.comm));
	if (bpf_ringbuf_output(&sn_rt_events, &r, sizeof(r), 0))
		return 1;
	if (count) {
		__sync_fetch_and_add(&count->generated, 1);
		__sync_fetch_and_add(&count->sent, 1);
	}
	return 0;
}

/* What finds no room stays where it is until the next time. */
static long sn_rt_flush_one(void *map, struct sn_rt_sum_key *key,
			    struct sn_rt_sum *sum, struct sn_rt_flushing *f)
{
	struct sn_rt_sum_key own = *key;
	__u64 state = SN_READ(sum->state);
	__u32 n = (__u32)state;
	__u64 bytes;

	if (own.slot != f->slot || (state & SN_RT_SUM_DEAD))
		return 0;
	if (!n && !SN_READ(sum->bytes)) {
		/* One that began after `now` is not idle. */
		if (f->now > sum->sent + SN_RT_IDLE_NS &&
		    __sync_val_compare_and_swap(&sum->state, state,
						SN_RT_SUM_DEAD) == state)
			bpf_map_delete_elem(&sn_rt_sums, &own);
		return 0;
	}
	/* Accesses that come meanwhile are of the next record. */
	__sync_fetch_and_sub(&sum->state, (__u64)n);
	bytes = __sync_lock_test_and_set(&sum->bytes, 0);
	if (sn_rt_send_sum(&own, sum, f->now, n, bytes)) {
		__sync_fetch_and_add(&sum->bytes, bytes);
		__sync_fetch_and_add(&sum->state, (__u64)n);
		return 0;
	}
	sum->sent = f->now;
	return 0;
}
