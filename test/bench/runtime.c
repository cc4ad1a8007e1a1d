/* SPDX-License-Identifier: Apache-2.0 */

/* Load for runtime events, and readers that do nothing else:
 *
 * bench-runtime load FD BYTES CGROUP EVENT FILE MS RATE TAKE
 *	has EVENT (open, memfd, ptrace) happen in a process in CGROUP for MS, RATE times
 *	a second (0: as often as it can), while the records are taken from
 *	sentinel-dp's ring FD, at most TAKE a second (0: all).
 * bench-runtime bare OBJECT TRACEPOINT BYTES RECORD_BYTES CGROUP EVENT FILE MS
 *	the same with the program of ring.bpf.c on the tracepoint.
 * bench-runtime call ROUNDS
 *	times a system call that no event is about.
 * bench-runtime exec CGROUP UID FILE MS RATE
 *	executes FILE as UID.
 * bench-runtime traced
 *	counts the links of BPF programs on tracepoints of the whole host.
 *
 * Each prints one JSON line; a wrong record ends it with status 1. The work is
 * done on CPU 1 and the records are read on CPU 0. */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <err.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "shared/abi.h"
#include "shared/ring.h"
#include "test/bench/bench.h"

enum {
	CALLS = 2000, /* of one sample */
	ROUNDS_MAX = 10000,
	CPUS_MAX = 1024,
	PAUSE_NS = 200000, /* of a reader that found nothing, or of one ahead */
	NO_PID = 0x7ffffffe, /* above every pid_max */
	NS_PER_MS = 1000000,
};

struct work {
	enum sn_rt_event event;
	const char *cgroup;
	const char *file;
	uint64_t ns;
	uint64_t rate;
};

/* Of the process that works, for the one that reads. */
struct progress {
	uint64_t n_made;
	uint64_t start_ns;
	uint64_t cpu_ns;
};

struct sink {
	const struct work *work;
	pid_t worker;
	bool is_bare;
	size_t record_bytes; /* of is_bare */
	uint64_t take; /* a second; 0: all */
	uint64_t n_events;
	uint64_t n_introduced;
	uint64_t bytes; /* of events */
	uint64_t n_missing; /* of is_bare: numbers that were not seen */
	uint64_t last[CPUS_MAX]; /* time of a CPU's last record, or number */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* Of this process. */
static uint64_t cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static void pause_shortly(void)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };

	(void)nanosleep(&pause, NULL);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end)
		errx(2, "'%s' is not a number", text);
	return value;
}

static void pin(unsigned int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		err(1, "CPU %u", cpu);
}

static void enter(const char *cgroup)
{
	char path[512];
	sn_cleanup(sn_closep) int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		err(1, "%s", path);
}

static enum sn_rt_event event_of(const char *name)
{
	if (!strcmp(name, "open"))
		return SN_RT_EVENT_FILE_OPEN;
	if (!strcmp(name, "memfd"))
		return SN_RT_EVENT_MEMFD_CREATE;
	if (!strcmp(name, "ptrace"))
		return SN_RT_EVENT_PTRACE;
	errx(2, "there is no event '%s'", name);
}

static void happen(const struct work *work)
{
	long fd;

	if (work->event == SN_RT_EVENT_PTRACE) {
		if (!syscall(SYS_ptrace, PTRACE_ATTACH, NO_PID, 0, 0))
			errx(1, "ptrace found a process");
		return;
	}
	fd = work->event == SN_RT_EVENT_MEMFD_CREATE ?
		     syscall(SYS_memfd_create, "bench", 0) :
		     syscall(SYS_openat, AT_FDCWD, work->file, O_RDONLY, 0);
	if (fd < 0)
		err(1, "%s", work->file);
	(void)close((int)fd);
}

/* One execution of the file, in a process of its own. */
static void execute(const char *file)
{
	char *const arguments[] = { "file", NULL };
	char *const environment[] = { NULL };
	int status;
	pid_t child = vfork();

	if (child < 0)
		err(1, "vfork");
	if (!child) {
		(void)execve(file, arguments, environment);
		_exit(127);
	}
	if (waitpid(child, &status, 0) != child || status)
		errx(1, "%s: wait status %d", file, status);
}

/* Works until the time has passed, RATE times a second. */
static void keep_pace(const struct work *work, struct progress *progress)
{
	uint64_t cpu = cpu_ns(), start = now_ns(), now = start, due;

	__atomic_store_n(&progress->start_ns, start, __ATOMIC_RELEASE);
	for (; now - start < work->ns; now = now_ns()) {
		due = work->rate ? (now - start) * work->rate / SN_NS_PER_S :
				   progress->n_made + 16;
		if (progress->n_made >= due)
			pause_shortly();
		for (; progress->n_made < due; progress->n_made++) {
			if (work->event == SN_RT_EVENT_PROCESS_EXEC)
				execute(work->file);
			else
				happen(work);
		}
	}
	progress->cpu_ns = cpu_ns() - cpu;
}

static struct progress *new_progress(void)
{
	void *at = mmap(NULL, sizeof(struct progress), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		err(1, "mmap");
	return at;
}

static void take_bare(struct sink *sink, const struct bench_ring_record *record,
		      size_t size)
{
	/* The work is pinned, so that one CPU's numbers are all. */
	if (size != sink->record_bytes || record->number <= sink->last[0])
		errx(1, "wrong: record %llu of %zu bytes after %llu",
		     (unsigned long long)record->number, size,
		     (unsigned long long)sink->last[0]);
	sink->n_missing += record->number - sink->last[0] - 1;
	sink->last[0] = record->number;
	sink->n_events++;
	sink->bytes += size;
}

static void take(void *userdata, const void *bytes, size_t size)
{
	struct sink *sink = userdata;
	const struct sn_rt_record *record = bytes;

	if (sink->is_bare) {
		take_bare(sink, bytes, size);
		return;
	}
	if (size < sizeof(*record) || record->size != size ||
	    record->tgid != (uint32_t)sink->worker || record->cpu >= CPUS_MAX ||
	    record->time < sink->last[record->cpu] ||
	    (record->kind == SN_RT_KIND_EVENT &&
	     record->event != sink->work->event))
		errx(1, "wrong: kind %u, event %u, pid %u, %zu bytes",
		     record->kind, record->event, record->tgid, size);
	sink->last[record->cpu] = record->time;
	if (record->kind == SN_RT_KIND_PROCESS) {
		sink->n_introduced++;
		return;
	}
	sink->n_events++;
	sink->bytes += size;
}

/* Reads until the worker has ended and the ring is empty. */
static void drain(struct sink *sink, struct sn_ring *ring,
		  const struct progress *progress)
{
	uint64_t start = now_ns(), cpu = cpu_ns();
	uint64_t n_taken = 0, allowed = UINT32_MAX;
	bool has_ended = false;
	unsigned int n;
	int status;
	int r;

	for (;;) {
		if (!has_ended &&
		    waitpid(sink->worker, &status, WNOHANG) == sink->worker) {
			if (status)
				errx(1, "the work failed: %d", status);
			has_ended = true;
		}
		if (sink->take)
			allowed =
				(now_ns() - start) * sink->take / SN_NS_PER_S -
				n_taken;
		r = sn_ring_read(
			ring, (unsigned int)(allowed < 1024 ? allowed : 1024),
			&n, take, sink);
		if (r)
			errx(1, "wrong: %s", strerror(-r));
		n_taken += n;
		if (has_ended && !n && allowed)
			break;
		if (!n)
			pause_shortly();
	}
	start = __atomic_load_n(&progress->start_ns, __ATOMIC_ACQUIRE);
	(void)printf(
		"{\"made\": %llu, \"received\": %llu, \"introduced\": %llu,"
		" \"bytes\": %llu, \"seconds\": %.6f, \"cpu\": %.6f",
		(unsigned long long)progress->n_made,
		(unsigned long long)sink->n_events,
		(unsigned long long)sink->n_introduced,
		(unsigned long long)sink->bytes,
		(double)(now_ns() - start) / 1e9,
		(double)(progress->cpu_ns + cpu_ns() - cpu) / 1e9);
}

static pid_t start_work(const struct work *work, struct progress *progress)
{
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (child)
		return child;
	enter(work->cgroup);
	pin(1);
	keep_pace(work, progress);
	_exit(0);
}

static void measure(struct sink *sink, int fd, size_t ring_bytes)
{
	sn_cleanup(sn_ring_freep) struct sn_ring *ring = NULL;
	struct progress *progress = new_progress();
	int r = sn_ring_new(&ring, fd, ring_bytes);

	if (r)
		errx(1, "ring: %s", strerror(-r));
	pin(0);
	sink->worker = start_work(sink->work, progress);
	drain(sink, ring, progress);
}

static int load(char **argv)
{
	struct work work = {
		.event = event_of(argv[3]),
		.cgroup = argv[2],
		.file = argv[4],
		.ns = number(argv[5]) * NS_PER_MS,
		.rate = number(argv[6]),
	};
	struct sink sink = { .work = &work, .take = number(argv[7]) };

	measure(&sink, (int)number(argv[0]), number(argv[1]));
	(void)printf("}\n");
	return 0;
}

static int find_map(struct bpf_object *object, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(object, name);

	if (fd < 0)
		errx(1, "there is no table '%s'", name);
	return fd;
}

static struct bpf_link *attach(struct bpf_object *object, uint64_t tracepoint)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attributes),
		.config = tracepoint,
	};
	struct bpf_program *program =
		bpf_object__find_program_by_name(object, "bench_ring_tell");
	int fd = (int)syscall(SYS_perf_event_open, &attributes, -1, 0, -1,
			      PERF_FLAG_FD_CLOEXEC);
	struct bpf_link *link;

	if (fd < 0)
		err(1, "tracepoint %llu", (unsigned long long)tracepoint);
	link = bpf_program__attach_perf_event(program, fd);
	if (!link)
		err(1, "attach");
	return link;
}

static int bare(char **argv)
{
	uint32_t ring_bytes = (uint32_t)number(argv[2]);
	struct work work = {
		.event = event_of(argv[5]),
		.cgroup = argv[4],
		.file = argv[6],
		.ns = number(argv[7]) * NS_PER_MS,
	};
	struct sink sink = { .work = &work,
			     .is_bare = true,
			     .record_bytes = number(argv[3]) };
	struct bench_ring_job job = { .record_bytes =
					      (uint32_t)sink.record_bytes };
	struct bpf_object *object = bpf_object__open_file(argv[0], NULL);
	struct bpf_link *link;
	struct stat st;
	uint32_t zero = 0;
	int jobs;

	if (!object ||
	    bpf_map__set_max_entries(bpf_object__find_map_by_name(object,
								  "bench_ring"),
				     ring_bytes) ||
	    bpf_object__load(object))
		errx(1, "%s: cannot load it", argv[0]);
	if (stat(work.cgroup, &st))
		err(1, "%s", work.cgroup);
	job.cgroup = st.st_ino;
	jobs = find_map(object, "bench_ring_jobs");
	if (bpf_map_update_elem(jobs, &zero, &job, BPF_ANY))
		err(1, "job");
	link = attach(object, number(argv[1]));
	measure(&sink, find_map(object, "bench_ring"), ring_bytes);
	if (bpf_map_lookup_elem(jobs, &zero, &job))
		err(1, "job");
	(void)printf(", \"full\": %llu, \"missing\": %llu}\n",
		     (unsigned long long)job.n_full,
		     (unsigned long long)sink.n_missing);
	(void)bpf_link__destroy(link);
	bpf_object__close(object);
	return 0;
}

static int time_call(char **argv)
{
	uint64_t n_rounds = number(argv[0]);

	if (n_rounds < 1 || n_rounds > ROUNDS_MAX)
		errx(2, "rounds: 1 to %d", ROUNDS_MAX);
	pin(1);
	(void)printf("{\"samples\": [");
	for (uint64_t i = 0; i < n_rounds; i++) {
		uint64_t start = now_ns();

		for (int call = 0; call < CALLS; call++)
			(void)syscall(SYS_getppid);
		(void)printf("%s%.2f", i ? ", " : "",
			     (double)(now_ns() - start) / CALLS);
	}
	(void)printf("]}\n");
	return 0;
}

static int exec_many(char **argv)
{
	struct work work = {
		.event = SN_RT_EVENT_PROCESS_EXEC,
		.file = argv[2],
		.ns = number(argv[3]) * NS_PER_MS,
		.rate = number(argv[4]),
	};
	struct progress progress = { 0 };
	uid_t uid = (uid_t)number(argv[1]);

	enter(argv[0]);
	pin(1);
	if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		err(1, "user %s", argv[1]);
	keep_pace(&work, &progress);
	(void)printf("{\"made\": %llu, \"seconds\": %.6f}\n",
		     (unsigned long long)progress.n_made,
		     (double)(now_ns() - progress.start_ns) / 1e9);
	return 0;
}

static int count_links(char **argv)
{
	uint32_t id = 0, n = 0;

	(void)argv;
	while (!bpf_link_get_next_id(id, &id)) {
		struct bpf_link_info info = { 0 };
		uint32_t bytes = sizeof(info);
		sn_cleanup(sn_closep) int fd = bpf_link_get_fd_by_id(id);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &bytes) &&
		    info.type == BPF_LINK_TYPE_PERF_EVENT)
			n++;
	}
	(void)printf("{\"links\": %u}\n", n);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int n_arguments;
		int (*run)(char **argv);
	} commands[] = {
		{ "load", 8, load },	      { "bare", 8, bare },
		{ "call", 1, time_call },     { "exec", 5, exec_many },
		{ "traced", 0, count_links },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(commands); i++) {
		if (argc == 2 + commands[i].n_arguments &&
		    !strcmp(argv[1], commands[i].name))
			return commands[i].run(argv + 2);
	}
	errx(2, "usage: bench-runtime load|bare|call|exec|traced ARGUMENT...");
}
