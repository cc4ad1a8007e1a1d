/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */

/* Processes: exec, fork, exit, and what traces them. */

#include "bpf/lib/runtime/compat.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void sn_rt_add_arguments(struct task_struct *task)
{
	struct sn_rt_scratch *s = sn_rt_get(SN_RT_PLACE_EVENT);
	__u64 from = BPF_CORE_READ(task, mm, arg_start);
	__u64 bytes = BPF_CORE_READ(task, mm, arg_end) - from;
	__u32 at;

	if (!s || !(s->settings.flags & SN_RT_SETTING_ARGUMENTS))
		return;
	if (bytes > SN_RT_ARGUMENTS_MAX) {
		bytes = SN_RT_ARGUMENTS_MAX;
		s->record.flags |= SN_RT_ARGUMENTS_CUT;
	}
	at = s->used;
	barrier_var(at);
	barrier_var(bytes);
	if (at > SN_RT_STRINGS || bytes > SN_RT_ARGUMENTS_MAX ||
	    bpf_probe_read_user(s->strings + at, (__u32)bytes,
				(const void *)from))
		return;
	s->record.arguments_bytes = (__u16)bytes;
	s->used = at + (__u32)bytes;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sn_rt_exec, struct task_struct *task, pid_t old_pid,
	     struct linux_binprm *bprm)
{
	struct file *exe = sn_rt_get_exe();

	if (!sn_rt_begin(SN_RT_EVENT_PROCESS_EXEC, 0, SN_RT_CALL_NONE))
		return 0;
	if (exe)
		sn_rt_add_file((__u64)exe, SN_RT_PLACE_EVENT, 0);
	sn_rt_add_string(SN_RT_AT_FDCWD, (__u64)BPF_CORE_READ(bprm, filename),
			 SN_RT_STRING_SECOND);
	sn_rt_add_arguments(task);
	sn_rt_finish();
	return 0;
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_exec_failed, struct sn_rt_exit *ctx)
{
	__u32 call = sn_rt_get_call(ctx);

	if (ctx->ret >= 0 || sn_rt_was_told(SN_RT_EVENT_PROCESS_EXEC) ||
	    !sn_rt_begin(SN_RT_EVENT_PROCESS_EXEC, ctx->ret, call))
		return 0;
	sn_rt_add_strings(call);
	sn_rt_finish();
	return 0;
}

/* Threads are no processes. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(sn_rt_fork, struct task_struct *parent, struct task_struct *child)
{
	if (child->pid != child->tgid ||
	    !sn_rt_begin(SN_RT_EVENT_PROCESS_FORK, 0, SN_RT_CALL_NONE))
		return 0;
	sn_rt_set_args((__u32)child->tgid, child->start_boottime);
	sn_rt_finish();
	return 0;
}

/* Of the last thread. Two that end at once both find that none is left: the
 * storage of the process says which came first. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(sn_rt_exit, struct task_struct *task)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct sn_rt_process *process;
	__u32 code;

	if (BPF_CORE_READ(task, signal, live.counter) > 0 ||
	    !sn_rt_begin(SN_RT_EVENT_PROCESS_EXIT, 0, SN_RT_CALL_NONE))
		return 0;
	process = bpf_task_storage_get(&sn_rt_processes, current->group_leader,
				       0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (process && __sync_lock_test_and_set(&process->exited, 1)) {
		sn_rt_end();
		return 0;
	}
	code = BPF_CORE_READ(task, signal, group_exit_code);
	sn_rt_set_args(code ? code : BPF_CORE_READ(task, exit_code), 0);
	sn_rt_finish();
	return 0;
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_ptrace, struct sn_rt_exit *ctx)
{
	if (sn_rt_was_told(SN_RT_EVENT_PTRACE) ||
	    !sn_rt_begin(SN_RT_EVENT_PTRACE, ctx->ret, sn_rt_get_call(ctx)))
		return 0;
	sn_rt_set_args(sn_rt_argument(0), sn_rt_argument(1));
	sn_rt_finish();
	return 0;
}

/* What of these is a 32-bit call. */
__noinline int sn_rt_compat_process(__s64 ret, __u32 call)
{
	struct sn_rt_exit exit = { .ret = ret, .call = call };

	SN_RT_SEE(PROCESS_EXEC, &exit, sn_rt_exec_failed);
	SN_RT_SEE(PTRACE, &exit, sn_rt_ptrace);
	return 0;
}
