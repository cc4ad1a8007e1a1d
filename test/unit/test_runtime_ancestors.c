/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/ancestors.h"

#include "controld/runtime/internal.h"
#include "controld/runtime/proc.h"
#include "test/unit/t.h"

/* As much of it as knows processes. */
static void begin(struct cp_runtime *runtime)
{
	*runtime = (struct cp_runtime){ .n_told = 0 };
	t_eq(cp_runtime_processes_new(&runtime->processes, 64), 0);
	t_eq(cp_runtime_mounts_new(&runtime->mounts), 0);
}

static void end(struct cp_runtime *runtime)
{
	cp_runtime_processes_free(runtime->processes);
	cp_runtime_mounts_free(runtime->mounts);
}

static void introduce(struct cp_runtime *runtime, uint32_t pid, uint32_t parent,
		      const char *exe)
{
	const struct sn_rt_record head = {
		.kind = SN_RT_KIND_PROCESS,
		.tgid = pid,
		.start = pid * 10ULL,
		.args = { parent, parent * 10ULL },
		.comm = "shell",
		.file.inode = 1,
	};
	const struct cp_runtime_record record = {
		&head,	   { exe, strlen(exe) },
		{ "", 0 }, { "", 0 },
		{ "", 0 }, { "", 0 },
	};

	t_eq(cp_runtime_processes_put(runtime->processes, &record), 0);
}

static Sentinel__V1__RuntimeProcess child_of(uint32_t parent)
{
	Sentinel__V1__RuntimeProcess ret;

	sentinel__v1__runtime_process__init(&ret);
	ret.parent_pid = parent;
	ret.parent_start_ns = parent * 10ULL;
	ret.start_ns = UINT64_MAX;
	return ret;
}

static void parents_that_were_introduced_are_known_after_their_end(void)
{
	const Sentinel__V1__RuntimeProcess process = child_of(7003);
	struct cp_runtime_ancestors ancestors;
	const Sentinel__V1__RuntimeProcess *one;
	struct cp_runtime runtime;

	begin(&runtime);
	introduce(&runtime, 7001, 0, "/sbin/init");
	introduce(&runtime, 7002, 7001, "/usr/sbin/sshd");
	introduce(&runtime, 7003, 7002, "/bin/bash");
	cp_runtime_processes_end(runtime.processes, 7003, 70030, 1);
	cp_runtime_ancestors_init(&ancestors, &runtime, &process);
	/* In any order. */
	one = cp_runtime_ancestors_get(&ancestors, 1);
	t_str_eq(one->executable->path, "/usr/sbin/sshd");
	one = cp_runtime_ancestors_get(&ancestors, 0);
	t_str_eq(one->executable->path, "/bin/bash");
	t_eq(one->pid, 7003);
	t_eq(one->start_ns, 70030);
	t_eq(one->parent_pid, 7002);
	t_str_eq(one->comm, "shell");
	t_str_eq(cp_runtime_ancestors_get(&ancestors, 2)->executable->path,
		 "/sbin/init");
	t_null(cp_runtime_ancestors_get(&ancestors, 3));
	t_null(cp_runtime_ancestors_get(&ancestors, 9));
	cp_runtime_ancestors_done(&ancestors);
	end(&runtime);
}

static void number_of_another_process_is_not_believed(void)
{
	Sentinel__V1__RuntimeProcess process = child_of(7003);
	struct cp_runtime_ancestors ancestors;
	struct cp_runtime runtime;

	begin(&runtime);
	introduce(&runtime, 7003, 0, "/bin/bash");
	process.parent_start_ns++;
	cp_runtime_ancestors_init(&ancestors, &runtime, &process);
	t_null(cp_runtime_ancestors_get(&ancestors, 0));
	cp_runtime_ancestors_done(&ancestors);
	/* Nor one that lives under this number. */
	process.parent_pid = (uint32_t)getpid();
	cp_runtime_ancestors_init(&ancestors, &runtime, &process);
	t_null(cp_runtime_ancestors_get(&ancestors, 0));
	cp_runtime_ancestors_done(&ancestors);
	end(&runtime);
}

static void list_ends_where_processes_are_their_own_ancestors(void)
{
	const Sentinel__V1__RuntimeProcess process = child_of(7003);
	struct cp_runtime_ancestors ancestors;
	struct cp_runtime runtime;

	begin(&runtime);
	introduce(&runtime, 7003, 7003, "/bin/bash");
	cp_runtime_ancestors_init(&ancestors, &runtime, &process);
	t_not_null(cp_runtime_ancestors_get(&ancestors,
					    CP_RUNTIME_ANCESTORS_MAX - 1));
	t_null(cp_runtime_ancestors_get(&ancestors, CP_RUNTIME_ANCESTORS_MAX));
	cp_runtime_ancestors_done(&ancestors);
	end(&runtime);
}

static void process_without_a_known_parent_has_no_ancestors(void)
{
	struct cp_runtime_ancestors ancestors;
	struct cp_runtime runtime;

	begin(&runtime);
	cp_runtime_ancestors_init(&ancestors, &runtime, NULL);
	t_null(cp_runtime_ancestors_get(&ancestors, 0));
	cp_runtime_ancestors_done(&ancestors);
	end(&runtime);
}

/* What lives and was not introduced. */

static void process_is_read_from_proc(void)
{
	struct cp_runtime_proc self;
	uint64_t start;

	t_eq(cp_runtime_proc_read(getpid(), &self), 0);
	t_eq(cp_runtime_proc_read_start(getpid(), &start), 0);
	t_eq(self.start_ticks, start);
	t_eq(self.parent, getppid());
	t_eq(self.uid, getuid());
	t_eq(self.gid, getgid());
	t_str_eq(self.comm, "test_runtime_an");
	t_true(cp_runtime_proc_read(0x7ffffffe, &self) < 0);
}

static void living_parents_are_told_without_executable(void)
{
	Sentinel__V1__RuntimeProcess process = child_of((uint32_t)getpid());
	struct cp_runtime_ancestors ancestors;
	const Sentinel__V1__RuntimeProcess *one;
	struct cp_runtime runtime;
	uint64_t ticks;

	if (!cp_runtime_proc_has_host()) {
		t_note_skip(__func__, "this is not the first pid namespace");
		return;
	}
	t_eq(cp_runtime_proc_read_start(getpid(), &ticks), 0);
	process.parent_start_ns =
		ticks * (SN_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK)) + 1;
	begin(&runtime);
	cp_runtime_ancestors_init(&ancestors, &runtime, &process);
	one = cp_runtime_ancestors_get(&ancestors, 0);
	t_not_null(one);
	t_eq(one->pid, getpid());
	t_eq(one->start_ns, process.parent_start_ns);
	t_str_eq(one->comm, "test_runtime_an");
	t_null(one->executable);
	one = cp_runtime_ancestors_get(&ancestors, 1);
	t_not_null(one);
	t_eq(one->pid, getppid());
	cp_runtime_ancestors_done(&ancestors);
	end(&runtime);
}

T_MAIN("runtime_ancestors",
       parents_that_were_introduced_are_known_after_their_end,
       number_of_another_process_is_not_believed,
       list_ends_where_processes_are_their_own_ancestors,
       process_without_a_known_parent_has_no_ancestors,
       process_is_read_from_proc, living_parents_are_told_without_executable)
