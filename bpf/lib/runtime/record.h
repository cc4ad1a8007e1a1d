/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#pragma once

/* A record from its begin to the ring. Every event that a rule may want and that
 * is not sent is counted by its cause. */

#include "bpf/lib/runtime/match.h"
#include "bpf/lib/runtime/registers.h"

enum { SN_RT_TRIES = 3 };

/* USER_HZ: the unit of start times in /proc. */
#define SN_RT_TICK_NS 10000000ULL

static __always_inline int sn_rt_is_left_out(const struct sn_rt_settings *set,
					     __u32 tgid, __u64 start)
{
	for (int i = 0; i < SN_RT_LEFT_OUT_MAX; i++) {
		if (set->left_out[i].tgid == tgid &&
		    set->left_out[i].start_ticks == start / SN_RT_TICK_NS)
			return 1;
	}
	return 0;
}

/* The word, and the settings of its generation. Returns 1 if there are any. */
static __always_inline int sn_rt_load(struct sn_rt_scratch *s)
{
	struct sn_rt_settings_key key = { .slot = s->slot };
	struct sn_rt_settings *set;
	__u32 slot = s->slot;
	__u64 *word = bpf_map_lookup_elem(&sn_words, &slot);

	if (!word)
		return 0;
	s->record.word = SN_READ(*word);
	sn_read_barrier();
	key.generation = SN_WORD_GENERATION(s->record.word);
	set = bpf_map_lookup_elem(&sn_rt_settings, &key);
	if (!set)
		return 0;
	s->settings = *set;
	return 1;
}

/* 1: the word is still the one that was judged under. */
static __always_inline int sn_rt_is_current(const struct sn_rt_scratch *s)
{
	__u32 slot = s->slot;
	__u64 *word;

	sn_barrier();
	word = bpf_map_lookup_elem(&sn_words, &slot);
	return word && SN_READ(*word) == s->record.word;
}

#define SN_RT_PF_IO_WORKER 0x10
#define SN_RT_PF_KTHREAD   0x200000

/* Whether the current thread is the kernel's own. */
static __always_inline int sn_rt_is_kernel(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return (BPF_CORE_READ(task, flags) & SN_RT_PF_KTHREAD) != 0;
}

/* Who asked for what a worker of a ring does: its own credentials are those with
 * which it began. NULL: the current thread is none. */
static __always_inline struct cred *sn_rt_get_asker(struct task_struct *task)
{
	struct io_worker *worker;
	struct io_kiocb *request;
	struct io_wq_work *work;

	if (!bpf_core_type_exists(struct io_worker) ||
	    !(BPF_CORE_READ(task, flags) & SN_RT_PF_IO_WORKER))
		return NULL;
	/* What polls the queue of a ring is none of these, and has no such. */
	worker = (struct io_worker *)BPF_CORE_READ(task, worker_private);
	work = BPF_CORE_READ(worker, cur_work);
	if (!work)
		return NULL;
	request = (void *)work - bpf_core_field_offset(struct io_kiocb, work);
	return (struct cred *)BPF_CORE_READ(request, creds);
}

static __always_inline void sn_rt_describe(struct sn_rt_record *r)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 ids = bpf_get_current_pid_tgid();
	__u64 user = bpf_get_current_uid_gid();
	struct cred *asker = sn_rt_get_asker(task);

	r->cpu = bpf_get_smp_processor_id();
	r->time = bpf_ktime_get_boot_ns();
	r->start = BPF_CORE_READ(task, group_leader, start_boottime);
	r->tgid = (__u32)(ids >> 32);
	r->tid = (__u32)ids;
	r->uid = asker ? BPF_CORE_READ(asker, uid.val) : (__u32)user;
	r->gid = asker ? BPF_CORE_READ(asker, gid.val) : (__u32)(user >> 32);
	r->cgroup = bpf_get_current_cgroup_id();
	bpf_get_current_comm(r->comm, sizeof(r->comm));
}

static __always_inline void sn_rt_end(void)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);

	if (s)
		SN_WRITE(s->in_use, 0);
}

/* ERESTARTSYS to ERESTART_RESTARTBLOCK: the process sees none of these. The call
 * is made again, or was cut short by a signal. */
static __always_inline int sn_rt_is_interrupted(__s64 result)
{
	return result <= -512 && result >= -516;
}

/* Whether these are the programs that do anything, and for whom. */
static __always_inline __u32 sn_rt_get_slot(void)
{
	__u32 zero = 0;
	struct sn_rt_host *host = bpf_map_lookup_elem(&sn_rt_host, &zero);

	if (!host || SN_READ(host->instance) != sn_rt_instance)
		return 0;
	return SN_READ(host->slot);
}

/* By the rules that are current now. Returns 1 if one is left. */
static __always_inline int sn_rt_judge_subject(struct sn_rt_scratch *s)
{
	return sn_rt_load(s) &&
	       !sn_rt_is_left_out(&s->settings, s->record.tgid,
				  s->record.start) &&
	       sn_rt_match_subject();
}

/* Begins the record of an event of the current process. Returns 1 if a rule may
 * want it; then sn_rt_send() or sn_rt_end() has to follow. */
SN_GLOBAL int sn_rt_begin(__u32 event, __s64 result, __u64 call)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	__u32 slot = sn_rt_get_slot();
	struct sn_rt_count *count;

	if (!s || !slot || sn_rt_is_interrupted(result))
		return 0;
	if (__sync_lock_test_and_set(&s->in_use, 1)) {
		count = sn_rt_get_count(event);
		if (count) {
			__sync_fetch_and_add(&count->generated, 1);
			__sync_fetch_and_add(&count->failed, 1);
		}
		return 0;
	}
	__builtin_memset(&s->record, 0, sizeof(s->record));
	s->used = 0;
	s->slot = slot;
	s->record.kind = SN_RT_KIND_EVENT;
	s->record.event = (__u8)event;
	s->record.result = result;
	s->record.count = 1;
	s->record.args[0] = call;
	if (sn_rt_has_compat && call != SN_RT_CALL_NONE &&
	    call != SN_RT_CALL_IO_URING && sn_rt_is_compat())
		s->record.flags = SN_RT_COMPAT;
	sn_rt_describe(&s->record);
	if (sn_rt_judge_subject(s))
		return 1;
	/* What is not wanted may be wanted by the rules that came meanwhile. */
	for (int i = 0; i < SN_RT_TRIES && !sn_rt_is_current(s); i++) {
		if (sn_rt_judge_subject(s))
			return 1;
	}
	/* Changed under each try: sn_rt_judge() has some more, then it is sent. */
	if (!sn_rt_is_current(s))
		return 1;
	sn_rt_end();
	return 0;
}

/* Judges by the files too, and again if the rules were exchanged meanwhile.
 * Returns 1 if the event is wanted. */
SN_GLOBAL int sn_rt_judge(void)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	int wanted;

	if (!s)
		return 0;
	wanted = sn_rt_match_files();
	for (int i = 0; i < SN_RT_TRIES; i++) {
		if (sn_rt_is_current(s)) {
			if (wanted && s->unsure)
				s->record.flags |= SN_RT_UNSURE;
			return wanted;
		}
		wanted = sn_rt_judge_subject(s) && sn_rt_match_files();
	}
	s->record.flags |= SN_RT_UNSURE;
	return 1;
}

/* 1: the subject may send a record now. A subject that was forgotten begins with
 * its whole burst. */
static __always_inline int sn_rt_spend(struct sn_rt_scratch *s)
{
	struct sn_rt_subject key = {
		.slot = s->slot,
		.uid = s->record.uid,
		.cgroup = s->record.cgroup,
	};
	__u64 step = s->settings.budget_ns;
	__u64 now = s->record.time;
	__u64 *due, next;

	if (!step)
		return 1;
	due = bpf_map_lookup_elem(&sn_rt_budgets, &key);
	if (!due) {
		next = now + step;
		bpf_map_update_elem(&sn_rt_budgets, &key, &next, BPF_NOEXIST);
		return 1;
	}
	for (int i = 0; i < SN_RT_TRIES; i++) {
		__u64 old = SN_READ(*due);

		next = (old > now ? old : now) + step;
		if (next > now + s->settings.burst_ns + step)
			return 0;
		if (__sync_val_compare_and_swap(due, old, next) == old)
			return 1;
	}
	return 0; /* as many others just took theirs */
}

/* Hands the record of `place` over. Returns 1 if there was no room. */
static __always_inline int sn_rt_output(struct sn_rt_scratch *s, __u32 event)
{
	struct sn_rt_count *count = sn_rt_get_count(event);
	__u32 bytes;
	long r;

	bytes = (sizeof(s->record) + s->used + 7) & ~7U;
	if (bytes > sizeof(s->record) + SN_RT_STRINGS + SN_RT_PATH_MAX)
		bytes = sizeof(s->record) + SN_RT_STRINGS + SN_RT_PATH_MAX;
	s->record.size = bytes;
	r = bpf_ringbuf_output(&sn_rt_events, s, bytes, 0);
	if (count) {
		__sync_fetch_and_add(&count->generated, 1);
		if (r)
			__sync_fetch_and_add(&count->ring_full, 1);
		else
			__sync_fetch_and_add(&count->sent, 1);
	}
	return r != 0;
}

struct sn_rt_climb {
	struct cgroup *cgroup;
	__u32 at;
	__u32 flags;
};

static long sn_rt_climb_step(__u32 i, struct sn_rt_climb *c)
{
	struct sn_rt_buffer *b = sn_rt_get_buffer();
	struct cgroup *cgroup = c->cgroup;
	struct cgroup_subsys_state *above = BPF_CORE_READ(cgroup, self.parent);
	const char *name = BPF_CORE_READ(cgroup, kn, name);
	__u32 len;
	long n;

	if (!b || !above)
		return 1; /* the root has no name */
	n = bpf_probe_read_kernel_str(b->base + SN_RT_PATH_MAX, SN_RT_NAME_MAX,
				      name);
	if (n <= 0 || (__u32)n > c->at) {
		c->flags |= SN_RT_PATH_CUT;
		return 1;
	}
	c->at -= (__u32)n;
	len = (__u32)(n - 1) & (SN_RT_NAME_MAX - 1);
	barrier_var(len);
	bpf_probe_read_kernel(b->path + ((c->at + 1) & (SN_RT_PATH_MAX - 1)),
			      len, b->base + SN_RT_PATH_MAX);
	b->path[c->at & (SN_RT_PATH_MAX - 1)] = '/';
	/* self.parent is the css of the parent cgroup, which begins with it. */
	c->cgroup = (struct cgroup *)above;
	return 0;
}

static __always_inline void sn_rt_add_cgroup(struct sn_rt_scratch *s)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct sn_rt_buffer *b = sn_rt_get_buffer();
	struct sn_rt_climb c = {
		.cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp),
		.at = SN_RT_PATH_MAX,
	};

	if (!b)
		return;
	bpf_loop(SN_RT_PATH_MAX / 2, sn_rt_climb_step, &c, 0);
	if (c.at == SN_RT_PATH_MAX)
		b->path[--c.at & (SN_RT_PATH_MAX - 1)] = '/';
	s->record.file2.flags = c.flags;
	s->record.file2.path_bytes =
		(__u16)sn_rt_append(s, b->path + (c.at & (SN_RT_PATH_MAX - 1)),
				    SN_RT_PATH_MAX - c.at);
}

/* Sends who the current process is. Returns 1 if there was no room. */
SN_GLOBAL int sn_rt_introduce(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	struct sn_rt_scratch *p = sn_rt_get(SN_RT_PLACE_PROCESS);
	struct file *exe = sn_rt_get_exe();
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct pid_namespace *space = NULL;

	if (!s || !p)
		return 1;
	__builtin_memset(&p->record, 0, sizeof(p->record));
	p->used = 0;
	p->slot = s->slot;
	p->record.kind = SN_RT_KIND_PROCESS;
	p->record.word = s->record.word;
	sn_rt_describe(&p->record);
	p->record.time = s->record.time;
	p->record.args[0] = BPF_CORE_READ(parent, tgid);
	p->record.args[1] = BPF_CORE_READ(parent, group_leader, start_boottime);
	p->record.args[2] = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	bpf_core_read(&space, sizeof(space), &pid->numbers[level].ns);
	p->record.args[3] = BPF_CORE_READ(space, ns.inum);
	if (exe)
		sn_rt_add_file((__u64)exe, SN_RT_PLACE_PROCESS, 0);
	sn_rt_add_cgroup(p);
	return sn_rt_output(p, SN_RT_EVENT_NONE);
}

/* Introduces the process if that was not done in this epoch, or not since it
 * executed a program, whether or not a rule wants that. */
static __always_inline void sn_rt_introduce_once(struct sn_rt_scratch *s)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 program = task->self_exec_id;
	struct sn_rt_process *process;

	process = bpf_task_storage_get(&sn_rt_processes, task->group_leader, 0,
				       BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (process && SN_READ(process->epoch) == s->settings.epoch &&
	    SN_READ(process->program) == program)
		return;
	/* What found no room is tried again before the next event. */
	if (sn_rt_introduce() || !process)
		return;
	SN_WRITE(process->epoch, s->settings.epoch);
	SN_WRITE(process->program, program);
}

/* Sends the event that was judged, within the subject's budget. Returns 1 if it
 * was sent. */
static __always_inline int sn_rt_send(void)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	struct sn_rt_count *count;

	if (!s)
		return 0;
	if (!sn_rt_spend(s)) {
		count = sn_rt_get_count(s->record.event);
		if (count) {
			__sync_fetch_and_add(&count->generated, 1);
			__sync_fetch_and_add(&count->over_budget, 1);
		}
		return 0;
	}
	sn_rt_introduce_once(s);
	return !sn_rt_output(s, s->record.event);
}

/* The rest of an event whose record is filled in. */
static __always_inline void sn_rt_finish(void)
{
	if (sn_rt_judge())
		(void)sn_rt_send();
	sn_rt_end();
}
