/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/processes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

LIST_HEAD(bucket, cp_runtime_process);
TAILQ_HEAD(ages, cp_runtime_process);

struct cp_runtime_processes {
	size_t n;
	size_t n_max;
	size_t n_bytes; /* of texts */
	uint64_t n_evicted;
	struct ages living; /* the one heard of longest ago first */
	struct ages ended; /* in the order of their ends */
	size_t n_buckets; /* a power of two */
	struct bucket buckets[];
};

int cp_runtime_processes_new(struct cp_runtime_processes **ret, size_t n_max)
{
	struct cp_runtime_processes *processes;
	size_t n_buckets = 1;

	while (n_buckets < n_max)
		n_buckets *= 2;
	processes = calloc(1, sizeof(*processes) +
				      n_buckets * sizeof(struct bucket));
	if (!processes)
		return -ENOMEM;
	processes->n_max = n_max;
	processes->n_buckets = n_buckets;
	TAILQ_INIT(&processes->living);
	TAILQ_INIT(&processes->ended);
	*ret = processes;
	return 0;
}

static struct ages *ages_of(struct cp_runtime_processes *processes,
			    const struct cp_runtime_process *process)
{
	return process->exited ? &processes->ended : &processes->living;
}

static size_t size_of(const struct cp_runtime_process *process)
{
	return process->exe_path.size + process->exe_base.size +
	       process->cgroup_path.size;
}

static void drop(struct cp_runtime_processes *processes,
		 struct cp_runtime_process *process)
{
	processes->n_bytes -= size_of(process);
	TAILQ_REMOVE(ages_of(processes, process), process, by_age);
	LIST_REMOVE(process, in_bucket);
	processes->n--;
	free(process);
}

struct cp_runtime_processes *
cp_runtime_processes_free(struct cp_runtime_processes *processes)
{
	struct cp_runtime_process *process;

	if (!processes)
		return NULL;
	while ((process = TAILQ_FIRST(&processes->living)) ||
	       (process = TAILQ_FIRST(&processes->ended)))
		drop(processes, process);
	free(processes);
	return NULL;
}

/* Starts differ in all of their bits, numbers follow each other. */
static struct bucket *bucket_of(struct cp_runtime_processes *processes,
				uint32_t tgid, uint64_t start)
{
	uint64_t h = (start ^ tgid) * 0x9e3779b97f4a7c15ULL;

	return &processes->buckets[(h >> 32) & (processes->n_buckets - 1)];
}

static struct cp_runtime_process *find(struct cp_runtime_processes *processes,
				       uint32_t tgid, uint64_t start)
{
	struct cp_runtime_process *process;

	LIST_FOREACH(process, bucket_of(processes, tgid, start), in_bucket) {
		if (process->tgid == tgid && process->start == start)
			return process;
	}
	return NULL;
}

/* Copies to *at, which moves. */
static struct cp_runtime_bytes keep(char **at, struct cp_runtime_bytes bytes)
{
	struct cp_runtime_bytes kept = { *at, bytes.size };

	(void)memcpy(*at, bytes.at, bytes.size);
	*at += bytes.size;
	return kept;
}

static struct cp_runtime_process *make(const struct cp_runtime_record *record)
{
	const struct sn_rt_record *head = record->head;
	struct cp_runtime_process *process =
		malloc(sizeof(*process) + record->path.size +
		       record->base.size + record->path2.size);
	char *at = (char *)(process + 1);

	if (!process)
		return NULL;
	*process = (struct cp_runtime_process){
		.start = head->start,
		.tgid = head->tgid,
		.parent_tgid = (uint32_t)head->args[0],
		.parent_start = head->args[1],
		.mount_ns = head->args[2],
		.pid_ns = head->args[3],
		.cgroup = head->cgroup,
		.uid = head->uid,
		.gid = head->gid,
		.exe = head->file,
		.is_cgroup_cut = head->file2.flags & SN_RT_PATH_CUT,
		.exe_path = keep(&at, record->path),
		.exe_base = keep(&at, record->base),
		.cgroup_path = keep(&at, record->path2),
	};
	(void)memcpy(process->comm, head->comm, sizeof(process->comm));
	/* The front of a cut path is missing, and with it what is believed. */
	if (!process->is_cgroup_cut)
		cp_runtime_container_read(process->cgroup_path.at,
					  process->cgroup_path.size,
					  &process->container);
	return process;
}

static void make_room(struct cp_runtime_processes *processes, size_t bytes)
{
	while (processes->n > 0 &&
	       (processes->n >= processes->n_max ||
		processes->n_bytes + bytes > CP_RUNTIME_PROCESSES_BYTES_MAX)) {
		struct cp_runtime_process *process =
			TAILQ_FIRST(&processes->ended);

		if (!process) {
			process = TAILQ_FIRST(&processes->living);
			processes->n_evicted++;
		}
		drop(processes, process);
	}
}

int cp_runtime_processes_put(struct cp_runtime_processes *processes,
			     const struct cp_runtime_record *record)
{
	const struct sn_rt_record *head = record->head;
	struct cp_runtime_process *fresh = make(record);
	struct cp_runtime_process *old;

	if (!fresh)
		return -ENOMEM;
	old = find(processes, head->tgid, head->start);
	if (old)
		drop(processes, old);
	make_room(processes, size_of(fresh));
	processes->n_bytes += size_of(fresh);
	LIST_INSERT_HEAD(bucket_of(processes, fresh->tgid, fresh->start), fresh,
			 in_bucket);
	TAILQ_INSERT_TAIL(&processes->living, fresh, by_age);
	processes->n++;
	return 0;
}

const struct cp_runtime_process *
cp_runtime_processes_get(struct cp_runtime_processes *processes, uint32_t tgid,
			 uint64_t start)
{
	struct cp_runtime_process *process = find(processes, tgid, start);

	if (process && !process->exited) {
		TAILQ_REMOVE(&processes->living, process, by_age);
		TAILQ_INSERT_TAIL(&processes->living, process, by_age);
	}
	return process;
}

void cp_runtime_processes_end(struct cp_runtime_processes *processes,
			      uint32_t tgid, uint64_t start, uint64_t now)
{
	struct cp_runtime_process *process = find(processes, tgid, start);

	if (!process || process->exited)
		return;
	TAILQ_REMOVE(&processes->living, process, by_age);
	process->exited = now ? now : 1;
	TAILQ_INSERT_TAIL(&processes->ended, process, by_age);
}

size_t cp_runtime_processes_count(const struct cp_runtime_processes *processes)
{
	return processes->n;
}

uint64_t
cp_runtime_processes_evicted(const struct cp_runtime_processes *processes)
{
	return processes->n_evicted;
}
