/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/ancestors.h"

#include <string.h>
#include <unistd.h>

#include "controld/runtime/internal.h"
#include "controld/runtime/message.h"
#include "controld/runtime/proc.h"

void cp_runtime_ancestors_init(struct cp_runtime_ancestors *ancestors,
			       struct cp_runtime *runtime,
			       const Sentinel__V1__RuntimeProcess *process)
{
	*ancestors = (struct cp_runtime_ancestors){ .runtime = runtime };
	if (!process)
		return;
	ancestors->pid = process->parent_pid;
	ancestors->start = process->parent_start_ns;
	ancestors->start_max = process->start_ns;
}

void cp_runtime_ancestors_done(struct cp_runtime_ancestors *ancestors)
{
	for (size_t i = 0; i < ancestors->n; i++)
		cp_runtime_message_free(ancestors->of[i]);
	ancestors->n = 0;
	ancestors->is_whole = true;
}

static uint64_t ns_per_tick(void)
{
	return SN_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* As a message has it, of which only the process is used. */
static int add(struct cp_runtime_ancestors *ancestors,
	       const struct cp_runtime_process *process)
{
	struct sn_rt_record head = {
		.kind = SN_RT_KIND_PROCESS,
		.tgid = process->tgid,
		.tid = process->tgid,
		.start = process->start,
		.uid = process->uid,
		.gid = process->gid,
		.cgroup = process->cgroup,
	};
	const struct cp_runtime_bytes none = { "", 0 };
	const struct cp_runtime_record record = {
		&head, none, none, none, none, none,
	};
	const struct sn_rt_bits matched = { .words = { 0 } };
	const struct cp_runtime_event event = {
		.record = &record,
		.process = process,
		.mounts = ancestors->runtime->mounts,
		.rules = NULL,
		.matched = &matched,
	};
	int r;

	(void)memcpy(head.comm, process->comm, sizeof(head.comm));
	r = cp_runtime_message_new(&ancestors->of[ancestors->n], &event);
	if (r < 0)
		return r;
	ancestors->n++;
	ancestors->pid = process->parent_tgid;
	ancestors->start = process->parent_start;
	ancestors->start_max = process->start;
	return 0;
}

/* A number is given out again, so that the start has to fit: exactly, or, of the
 * parent of one that is from /proc as well, as well as can be told. */
static bool add_living(struct cp_runtime_ancestors *ancestors)
{
	struct cp_runtime_process process = { .tgid = ancestors->pid };
	const uint64_t tick = ns_per_tick();
	struct cp_runtime_proc proc;

	if (!cp_runtime_proc_has_host() ||
	    cp_runtime_proc_read((pid_t)ancestors->pid, &proc) < 0)
		return false;
	if (ancestors->start ? proc.start_ticks != ancestors->start / tick :
			       proc.start_ticks > ancestors->start_max / tick)
		return false;
	process.start = ancestors->start ? ancestors->start :
					   proc.start_ticks * tick;
	process.parent_tgid = proc.parent;
	process.uid = proc.uid;
	process.gid = proc.gid;
	process.exe_path = (struct cp_runtime_bytes){ "", 0 };
	process.exe_base = process.exe_path;
	process.cgroup_path =
		(struct cp_runtime_bytes){ proc.cgroup, strlen(proc.cgroup) };
	cp_runtime_container_read(proc.cgroup, process.cgroup_path.size,
				  &process.container);
	(void)memcpy(process.comm, proc.comm, sizeof(process.comm));
	return add(ancestors, &process) == 0;
}

static bool add_next(struct cp_runtime_ancestors *ancestors)
{
	const struct cp_runtime_process *known;

	if (ancestors->is_whole || ancestors->pid == 0 ||
	    ancestors->n >= CP_RUNTIME_ANCESTORS_MAX)
		return false;
	known = cp_runtime_processes_get(ancestors->runtime->processes,
					 ancestors->pid, ancestors->start);
	return known ? add(ancestors, known) == 0 : add_living(ancestors);
}

const Sentinel__V1__RuntimeProcess *
cp_runtime_ancestors_get(struct cp_runtime_ancestors *ancestors, size_t index)
{
	while (ancestors->n <= index) {
		ancestors->is_whole = !add_next(ancestors);
		if (ancestors->is_whole)
			return NULL;
	}
	return cp_runtime_message_get(ancestors->of[index])->process;
}
