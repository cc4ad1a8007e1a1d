/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/runtime/judge.h"
#include "controld/runtime/tell.h"
#include "shared/log.h"
#include "shared/ring.h"

enum {
	RECORDS_PER_TURN = 512,
	DRAIN_MAX = 1 << 20, /* records; a ring that is filled meanwhile */
	HELD_PART = 4, /* of the ring, may be held by observers */
};

struct cp_runtime_reader {
	struct cp_runtime *runtime;
	struct sn_ring *ring;
	int fd;
	uint64_t map_id; /* 0: not known, it is no other's */
	uint64_t bytes; /* of the ring */
	uv_poll_t poll;
	bool is_waiting; /* for observers; it is not polled */
};

/* The access that comes first says which file it is. */
static void learn(struct cp_runtime *runtime, struct cp_runtime_record *record,
		  struct sn_rt_record *copy)
{
	const struct sn_rt_record *head = record->head;

	if (head->flags & SN_RT_SUMMED && record->path.size == 0)
		(void)cp_runtime_files_find(runtime->files, record, copy);
	else if (head->flags & SN_RT_FIRST && record->path.size > 0)
		(void)cp_runtime_files_put(runtime->files, record);
}

static const struct cp_runtime_set *find_set(const struct cp_runtime *runtime,
					     const struct sn_rt_record *head)
{
	const struct cp_runtime_set *set = cp_runtime_sets_get(
		&runtime->sets, SN_WORD_GENERATION(head->word));

	/* It waited since before this run, or came under a set that is long
	 * gone: what is wanted today decides. */
	return set ? set : runtime->wanted;
}

static void take_event(struct cp_runtime *runtime,
		       struct cp_runtime_record *record)
{
	const struct sn_rt_record *head = record->head;
	uint8_t event = head->event;
	const struct cp_runtime_process *process = cp_runtime_processes_get(
		runtime->processes, head->tgid, head->start);
	struct cp_runtime_telling telling = {
		.record = record,
		.process = process,
		.set = find_set(runtime, head),
	};
	struct sn_rt_record copy;
	struct sn_rt_bits matched;

	runtime->counts.received[event]++;
	learn(runtime, record, &copy);
	telling.matched = &matched;
	if (!telling.set ||
	    !cp_runtime_judge(telling.set->rules, record, process, &matched))
		runtime->counts.filtered[event]++;
	else if (cp_runtime_tell_event(runtime, &telling) < 0)
		runtime->counts.lost[event]++;
	if (event == SN_RT_EVENT_PROCESS_EXIT)
		cp_runtime_processes_end(runtime->processes, head->tgid,
					 head->start, head->time);
}

static void take(void *userdata, const void *bytes, size_t size)
{
	struct cp_runtime *runtime = userdata;
	struct cp_runtime_record record;

	if (cp_runtime_record_read(bytes, size, &record) < 0) {
		runtime->n_malformed++;
		return;
	}
	if (record.head->kind != SN_RT_KIND_PROCESS) {
		take_event(runtime, &record);
		return;
	}
	runtime->counts.received[SN_RT_EVENT_NONE]++;
	if (cp_runtime_processes_put(runtime->processes, &record) < 0)
		runtime->counts.lost[SN_RT_EVENT_NONE]++;
}

static unsigned int read_some(struct cp_runtime_reader *reader)
{
	unsigned int n = 0;

	if (sn_ring_read(reader->ring, RECORDS_PER_TURN, &n, take,
			 reader->runtime) < 0) {
		reader->runtime->n_malformed++;
		sn_log(SN_LOG_WARNING,
		       "runtime error=ring: some events were dropped");
	}
	return n;
}

/* Observers may hold the ring from a record on: all of it, if that was in the
 * ring before. */
static uint64_t find_floor(const struct cp_runtime *runtime)
{
	const struct cp_runtime_observer *observer;
	uint64_t floor = UINT64_MAX;

	LIST_FOREACH(observer, &runtime->observers, link) {
		if (observer->is_holding)
			floor = SN_MIN(floor, observer->held_from);
	}
	return floor > runtime->before_ring ? floor - runtime->before_ring : 0;
}

static void tell_batch(struct cp_runtime *runtime)
{
	struct cp_runtime_observer *observer;

	LIST_FOREACH(observer, &runtime->observers, link) {
		if (observer->batch_told)
			observer->batch_told(observer);
	}
}

/* Reads a turn and releases what nobody holds. Returns whether the ring may be
 * polled: it counts as readable while anything is held, and is not to be filled
 * by what waits for a disk. */
static bool take_turn(struct cp_runtime_reader *reader)
{
	unsigned int n = read_some(reader);
	uint64_t held;

	if (n > 0) {
		tell_batch(reader->runtime);
		cp_runtime_tell_all(reader->runtime);
	}
	sn_ring_release(reader->ring, find_floor(reader->runtime));
	held = sn_ring_held(reader->ring);
	return held == 0 ||
	       (n == RECORDS_PER_TURN && held < reader->bytes / HELD_PART);
}

static void readable(uv_poll_t *poll, int status, int events);

static void go_on(struct cp_runtime_reader *reader)
{
	reader->is_waiting = !take_turn(reader);
	if (reader->is_waiting)
		(void)uv_poll_stop(&reader->poll);
	else if (!uv_is_active((uv_handle_t *)&reader->poll))
		(void)uv_poll_start(&reader->poll, UV_READABLE, readable);
}

static void readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	go_on(poll->data);
}

void cp_runtime_reader_release(struct cp_runtime *runtime)
{
	if (runtime->reader && runtime->reader->is_waiting &&
	    !runtime->is_ended)
		go_on(runtime->reader);
}

uint64_t cp_runtime_reader_position(const struct cp_runtime *runtime)
{
	return runtime->reader ? sn_ring_position(runtime->reader->ring) : 0;
}

void cp_runtime_reader_drain(struct cp_runtime *runtime)
{
	unsigned int n = 0, all = 0;

	if (!runtime->reader || runtime->is_ended)
		return;
	do {
		n = read_some(runtime->reader);
		tell_batch(runtime);
		sn_ring_release(runtime->reader->ring, find_floor(runtime));
		all += n;
	} while (n == RECORDS_PER_TURN && all < DRAIN_MAX);
}

void cp_runtime_reader_end(struct cp_runtime *runtime)
{
	cp_runtime_reader_drain(runtime);
	if (runtime->reader)
		(void)uv_poll_stop(&runtime->reader->poll);
}

static void free_reader(struct cp_runtime_reader *reader)
{
	sn_ring_free(reader->ring);
	sn_closep(&reader->fd);
	free(reader);
}

static void poll_closed(uv_handle_t *handle)
{
	struct cp_runtime_reader *reader = handle->data;

	free_reader(reader);
}

void cp_runtime_reader_close(struct cp_runtime *runtime)
{
	struct cp_runtime_reader *reader;

	cp_runtime_reader_drain(runtime);
	reader = sn_steal(&runtime->reader);
	if (!reader)
		return;
	runtime->before_ring += sn_ring_position(reader->ring);
	/* What was read was told, and is not to be read again. */
	sn_ring_hold(reader->ring, false);
	uv_close((uv_handle_t *)&reader->poll, poll_closed);
}

/* Of a BPF map (map_id in fdinfo, kernel/bpf/syscall.c); 0: not to be had. */
static uint64_t read_map_id(int fd)
{
	char line[128];
	uint64_t id = 0;
	FILE *info;

	(void)snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
	info = fopen(line, "re");
	if (!info)
		return 0;
	while (id == 0 && fgets(line, sizeof(line), info)) {
		if (sscanf(line, "map_id: %" SCNu64, &id) != 1)
			id = 0;
	}
	(void)fclose(info);
	return id;
}

int cp_runtime_reader_open(struct cp_runtime *runtime, int fd, uint32_t bytes)
{
	struct cp_runtime_reader *reader = runtime->reader;
	uint64_t map_id = read_map_id(fd);
	int r;

	if (reader && map_id != 0 && reader->map_id == map_id)
		return 0;
	if (reader && map_id == 0)
		sn_log(SN_LOG_WARNING, "runtime: no map_id in fdinfo: what is "
				       "not on disk yet is given back");
	cp_runtime_reader_close(runtime);
	reader = calloc(1, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->runtime = runtime;
	reader->map_id = map_id;
	reader->bytes = bytes;
	reader->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	r = reader->fd < 0 ? -errno : 0;
	if (r == 0)
		r = sn_ring_new(&reader->ring, fd, bytes);
	if (r == 0)
		r = uv_poll_init(runtime->options.loop, &reader->poll,
				 reader->fd);
	if (r < 0) {
		free_reader(reader);
		return r;
	}
	reader->poll.data = reader;
	sn_ring_hold(reader->ring, true);
	runtime->reader = reader;
	r = uv_poll_start(&reader->poll, UV_READABLE, readable);
	if (r < 0)
		cp_runtime_reader_close(runtime);
	return r;
}
