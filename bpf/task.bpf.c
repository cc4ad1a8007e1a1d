/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */

/* Tells sentinel-dp which cgroups a process is in, without a text interface. */

#include "bpf/lib/env.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { DEPTH_MAX = 64 };

/* In the pid namespace of the reader; written by sentinel-dp before a read. */
__u32 sn_task_pid;

static __always_inline __u32 pid_in_reader_namespace(struct task_struct *task)
{
	struct task_struct *reader =
		(struct task_struct *)bpf_get_current_task();
	struct pid *own = BPF_CORE_READ(reader, thread_pid);
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	unsigned int level = BPF_CORE_READ(own, level);
	struct upid upid;

	if (!pid || level > BPF_CORE_READ(pid, level))
		return 0;
	if (bpf_core_read(&upid, sizeof(upid), &pid->numbers[level]))
		return 0;
	return (__u32)upid.nr;
}

/* Writes __u64 cgroup ids, the task's own first, the root last. A process that
 * is not found writes nothing, which sentinel-dp takes as a refusal. */
SEC("iter/task")
int sn_task_cgroups(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct cgroup *cgroup;

	if (!task || pid_in_reader_namespace(task) != sn_task_pid)
		return 0;
	if (BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return 0;
	cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	for (int i = 0; i < DEPTH_MAX; i++) {
		__u64 id;

		if (!cgroup)
			break;
		id = BPF_CORE_READ(cgroup, kn, id);
		bpf_seq_write(ctx->meta->seq, &id, sizeof(id));
		/* self.parent is the css of the parent cgroup, which begins
		 * with its self. */
		cgroup = (struct cgroup *)BPF_CORE_READ(cgroup, self.parent);
	}
	return 0;
}
