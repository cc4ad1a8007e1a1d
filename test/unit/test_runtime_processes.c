// SPDX-License-Identifier: Apache-2.0
#include "controld/runtime/processes.h"

#include "test/unit/t.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A record of kind PROCESS with the strings behind it. */
struct raw {
	struct sn_rt_record head;
	char strings[512];
};

static size_t put_string(struct raw *raw, size_t at, const char *text)
{
	size_t n = strlen(text);

	(void)memcpy(raw->strings + at, text, n);
	return at + n;
}

static struct cp_runtime_record make(struct raw *raw, uint32_t tgid,
				     uint64_t start, const char *exe,
				     const char *cgroup)
{
	struct cp_runtime_record record;
	size_t at = 0;

	(void)memset(raw, 0, sizeof(*raw));
	at = put_string(raw, at, exe);
	at = put_string(raw, at, cgroup);
	raw->head = (struct sn_rt_record){
		.size = (uint32_t)((sizeof(raw->head) + at + 7) & ~(size_t)7),
		.kind = SN_RT_KIND_PROCESS,
		.tgid = tgid,
		.start = start,
		.uid = 33,
		.gid = 34,
		.cgroup = 99,
		.args = { 1, 2, 3, 4 },
		.comm = "web",
		.file = { .inode = 5,
			  .major = 8,
			  .path_bytes = (uint16_t)strlen(exe),
			  .inside_bytes = (uint16_t)strlen(exe) },
		.file2 = { .path_bytes = (uint16_t)strlen(cgroup) },
	};
	t_eq(cp_runtime_record_read(raw, raw->head.size, &record), 0);
	return record;
}

static void put(struct cp_runtime_processes *processes, uint32_t tgid,
		uint64_t start, const char *exe)
{
	struct raw raw;
	struct cp_runtime_record record = make(&raw, tgid, start, exe, "/a");

	t_eq(cp_runtime_processes_put(processes, &record), 0);
}

static struct cp_runtime_processes *new_processes(size_t n)
{
	struct cp_runtime_processes *processes = NULL;

	t_eq(cp_runtime_processes_new(&processes, n), 0);
	return processes;
}

static void introduction_is_kept_with_its_container(void)
{
	sn_cleanup(cp_runtime_processes_freep) struct cp_runtime_processes
		*processes = new_processes(4);
	const struct cp_runtime_process *process;
	const char *cgroup = "/docker/" ID "/in";
	struct raw raw;
	struct cp_runtime_record record =
		make(&raw, 10, 500, "/usr/bin/web", cgroup);

	t_eq(cp_runtime_processes_put(processes, &record), 0);
	(void)memset(&raw, 0xff, sizeof(raw)); /* the ring goes on */
	process = cp_runtime_processes_get(processes, 10, 500);
	t_not_null(process);
	t_eq(process->parent_tgid, 1);
	t_eq(process->parent_start, 2);
	t_eq(process->mount_ns, 3);
	t_eq(process->pid_ns, 4);
	t_eq(process->uid, 33);
	t_eq(process->gid, 34);
	t_eq(process->cgroup, 99);
	t_eq(process->exe.inode, 5);
	t_eq(process->exe_path.size, strlen("/usr/bin/web"));
	t_mem_eq(process->exe_path.at, "/usr/bin/web", process->exe_path.size);
	t_mem_eq(process->cgroup_path.at, cgroup, strlen(cgroup));
	t_str_eq(process->container.id, ID);
	t_str_eq(process->comm, "web");
}

/* Without its front a path could begin with a name that a process chose. */
static void cut_cgroup_is_no_container(void)
{
	sn_cleanup(cp_runtime_processes_freep) struct cp_runtime_processes
		*processes = new_processes(4);
	struct raw raw;
	struct cp_runtime_record record =
		make(&raw, 10, 500, "/bin/sh", "/docker/" ID);

	raw.head.file2.flags = SN_RT_PATH_CUT;
	t_eq(cp_runtime_processes_put(processes, &record), 0);
	t_str_eq(cp_runtime_processes_get(processes, 10, 500)->container.id,
		 "");
}

static void number_that_is_used_again_is_another_process(void)
{
	sn_cleanup(cp_runtime_processes_freep) struct cp_runtime_processes
		*processes = new_processes(4);

	put(processes, 10, 500, "/bin/old");
	put(processes, 10, 900, "/bin/new");
	t_eq(cp_runtime_processes_count(processes), 2);
	t_mem_eq(cp_runtime_processes_get(processes, 10, 500)->exe_path.at,
		 "/bin/old", 8);
	t_mem_eq(cp_runtime_processes_get(processes, 10, 900)->exe_path.at,
		 "/bin/new", 8);
	t_null(cp_runtime_processes_get(processes, 10, 700));
}

static void exec_replaces_what_was_known(void)
{
	sn_cleanup(cp_runtime_processes_freep) struct cp_runtime_processes
		*processes = new_processes(4);

	put(processes, 10, 500, "/bin/sh");
	put(processes, 10, 500, "/bin/ls");
	t_eq(cp_runtime_processes_count(processes), 1);
	t_mem_eq(cp_runtime_processes_get(processes, 10, 500)->exe_path.at,
		 "/bin/ls", 7);
}

static void ended_ones_make_room_first_then_the_quietest(void)
{
	sn_cleanup(cp_runtime_processes_freep) struct cp_runtime_processes
		*processes = new_processes(3);

	put(processes, 1, 100, "/bin/a");
	put(processes, 2, 200, "/bin/b");
	put(processes, 3, 300, "/bin/c");
	cp_runtime_processes_end(processes, 3, 300, 1000);
	t_not_null(cp_runtime_processes_get(processes, 3, 300));
	put(processes, 4, 400, "/bin/d");
	t_null(cp_runtime_processes_get(processes, 3, 300));
	t_eq(cp_runtime_processes_evicted(processes), 0);
	t_not_null(cp_runtime_processes_get(processes, 1, 100));
	put(processes, 5, 500, "/bin/e");
	t_null(cp_runtime_processes_get(processes, 2, 200));
	t_not_null(cp_runtime_processes_get(processes, 1, 100));
	t_eq(cp_runtime_processes_evicted(processes), 1);
	t_eq(cp_runtime_processes_count(processes), 3);
}

static void texts_have_a_bound_as_well(void)
{
	sn_cleanup(cp_runtime_processes_freep) struct cp_runtime_processes
		*processes = new_processes(1 << 18);
	const uint32_t n = 100000;
	char exe[500];

	(void)memset(exe, 'e', sizeof(exe));
	exe[sizeof(exe) - 1] = '\0';
	for (uint32_t i = 1; i <= n; i++)
		put(processes, i, 1000 * i, exe);
	t_true(cp_runtime_processes_count(processes) > n / 2);
	t_true(cp_runtime_processes_count(processes) * sizeof(exe) <=
	       CP_RUNTIME_PROCESSES_BYTES_MAX);
	t_eq(cp_runtime_processes_evicted(processes) +
		     cp_runtime_processes_count(processes),
	     n);
	t_null(cp_runtime_processes_get(processes, 1, 1000));
	t_not_null(cp_runtime_processes_get(processes, n, 1000 * n));
}

T_MAIN("runtime_processes", introduction_is_kept_with_its_container,
       cut_cgroup_is_no_container, number_that_is_used_again_is_another_process,
       exec_replaces_what_was_known,
       ended_ones_make_room_first_then_the_quietest, texts_have_a_bound_as_well)
