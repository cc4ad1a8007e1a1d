/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The processes that the kernel introduced, by number and start: a number alone
 * is given out again. Bounded: the one that was not heard of for longest makes
 * room. Events of a process that is not known are told without what is here.
 * Pure. */

#include <stdbool.h>
#include <sys/queue.h>

#include "controld/runtime/container.h"
#include "controld/runtime/record.h"

struct cp_runtime_process {
	LIST_ENTRY(cp_runtime_process) in_bucket;
	TAILQ_ENTRY(cp_runtime_process) by_age;
	uint64_t start; /* CLOCK_BOOTTIME ns */
	uint32_t tgid;
	uint32_t parent_tgid; /* 0: none */
	uint64_t parent_start;
	uint64_t cgroup;
	uint64_t mount_ns; /* inodes of the namespaces */
	uint64_t pid_ns;
	uint32_t uid; /* when it was introduced */
	uint32_t gid;
	uint64_t exited; /* CLOCK_BOOTTIME ns; 0: not that we know */
	struct cp_runtime_container container;
	struct sn_rt_file exe;
	bool is_cgroup_cut;
	/* Into one allocation behind this struct. */
	struct cp_runtime_bytes exe_path;
	struct cp_runtime_bytes exe_base;
	struct cp_runtime_bytes cgroup_path;
	char comm[SN_COMM_BYTES]; /* when it was introduced */
};

enum { CP_RUNTIME_PROCESSES_BYTES_MAX = 32 << 20 /* of all texts */ };

struct cp_runtime_processes;

/* n_max: at least 1. */
int cp_runtime_processes_new(struct cp_runtime_processes **ret, size_t n_max);
struct cp_runtime_processes *
cp_runtime_processes_free(struct cp_runtime_processes *processes);
SN_DEFINE_CLEANUP(struct cp_runtime_processes, cp_runtime_processes_free)

/* A record of kind PROCESS: a new one, or one that executed another program.
 * -ENOMEM: what was known of it is kept. */
int cp_runtime_processes_put(struct cp_runtime_processes *processes,
			     const struct cp_runtime_record *record);

/* NULL: not known. Good until the next put. */
const struct cp_runtime_process *
cp_runtime_processes_get(struct cp_runtime_processes *processes, uint32_t tgid,
			 uint64_t start);

/* It has ended: it makes room before any that lives. */
void cp_runtime_processes_end(struct cp_runtime_processes *processes,
			      uint32_t tgid, uint64_t start, uint64_t now);

size_t cp_runtime_processes_count(const struct cp_runtime_processes *processes);
/* Living ones that had to make room. */
uint64_t
cp_runtime_processes_evicted(const struct cp_runtime_processes *processes);
