/* SPDX-License-Identifier: Apache-2.0 */

/* bench-runtime-message FD BYTES FILE: takes the records of sentinel-dp's ring
 * until its standard input ends, makes of each the message that sentinel-cp
 * makes of it, and appends them packed to FILE. Prints one JSON line: for each
 * event how many there were, and the bytes of all of them. */

#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "controld/runtime/message.h"
#include "shared/ring.h"
#include "shared/runtime.h"

enum { PROCESSES = 16384, PACKED_BYTES = 1 << 17 };

static struct {
	struct cp_runtime_rules *rules;
	struct cp_runtime_mounts *mounts;
	struct cp_runtime_processes *processes;
	FILE *file;
	uint64_t n_introduced;
	struct {
		uint64_t n;
		uint64_t bytes;
	} events[SN_RT_EVENT_COUNT];
} sink;

static uint8_t packed[PACKED_BYTES];

static void write_message(const struct cp_runtime_record *record)
{
	/* As long as those of a stream that has gone on for a while. */
	char cursor[] = "0123456789abcdef-1000000";
	const struct sn_rt_bits matched = { .words = { 1 } };
	struct cp_runtime_event event = {
		.record = record,
		.process = cp_runtime_processes_get(sink.processes,
						    record->head->tgid,
						    record->head->start),
		.mounts = sink.mounts,
		.rules = sink.rules,
		.matched = &matched,
		.wall_ns =
			(int64_t)time(NULL) * (int64_t)SN_NS_PER_S + 999999999,
		.run = UINT64_MAX,
		.number = sink.events[record->head->event].n,
	};
	sn_cleanup(
		cp_runtime_message_freep) struct cp_runtime_message *message =
		NULL;
	Sentinel__V1__RuntimeEvent with_cursor;
	size_t size;

	if (cp_runtime_message_new(&message, &event))
		errx(1, "no memory");
	with_cursor = *cp_runtime_message_get(message);
	with_cursor.cursor = cursor;
	size = sentinel__v1__runtime_event__get_packed_size(&with_cursor);
	if (size > sizeof(packed))
		errx(1, "wrong: a message of %zu bytes", size);
	(void)sentinel__v1__runtime_event__pack(&with_cursor, packed);
	if (fwrite(packed, size, 1, sink.file) != 1)
		err(1, "write");
	sink.events[record->head->event].n++;
	sink.events[record->head->event].bytes += size;
}

static void take(void *userdata, const void *bytes, size_t size)
{
	struct cp_runtime_record record;

	(void)userdata;
	if (cp_runtime_record_read(bytes, size, &record))
		errx(1, "wrong: a record of %zu bytes", size);
	if (record.head->kind == SN_RT_KIND_EVENT) {
		write_message(&record);
		return;
	}
	sink.n_introduced++;
	if (cp_runtime_processes_put(sink.processes, &record))
		errx(1, "no memory");
}

static void drain(struct sn_ring *ring)
{
	unsigned int n;

	do {
		if (sn_ring_read(ring, 1024, &n, take, NULL))
			errx(1, "wrong: the ring is broken");
	} while (n);
}

static void start(const char *path)
{
	struct sn_diag diag;

	sink.file = fopen(path, "a");
	if (!sink.file)
		err(1, "%s", path);
	if (cp_runtime_rules_new(&sink.rules) ||
	    cp_runtime_rules_add(sink.rules, "watch", &diag) ||
	    cp_runtime_mounts_new(&sink.mounts) ||
	    cp_runtime_mounts_load(sink.mounts, "/proc/self/mountinfo") ||
	    cp_runtime_processes_new(&sink.processes, PROCESSES))
		errx(1, "cannot start");
}

static void finish(void)
{
	if (fclose(sink.file))
		err(1, "write");
	(void)printf("{\"introduced\": %llu",
		     (unsigned long long)sink.n_introduced);
	for (size_t i = 1; i < SN_RT_EVENT_COUNT; i++)
		(void)printf(", \"%s\": [%llu, %llu]",
			     sn_runtime_events[i].name,
			     (unsigned long long)sink.events[i].n,
			     (unsigned long long)sink.events[i].bytes);
	(void)printf("}\n");
	(void)cp_runtime_rules_free(sink.rules);
	(void)cp_runtime_mounts_free(sink.mounts);
	(void)cp_runtime_processes_free(sink.processes);
}

int main(int argc, char **argv)
{
	sn_cleanup(sn_ring_freep) struct sn_ring *ring = NULL;
	struct pollfd ready[2] = { { .events = POLLIN },
				   { .fd = STDIN_FILENO, .events = POLLIN } };

	if (argc != 4)
		errx(2, "usage: bench-runtime-message FD BYTES FILE");
	ready[0].fd = atoi(argv[1]);
	if (sn_ring_new(&ring, ready[0].fd, strtoul(argv[2], NULL, 10)))
		errx(1, "cannot read the ring");
	start(argv[3]);
	while (!ready[1].revents) {
		if (poll(ready, 2, -1) < 0)
			err(1, "poll");
		drain(ring);
	}
	finish();
	return 0;
}
