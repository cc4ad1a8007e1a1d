/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A folder with a store in it and a loop to run it. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/state/journal.h"
#include "controld/state/state.h"
#include "test/unit/t.h"

enum { LIMIT_MS = 20000 };

struct place {
	uv_loop_t loop;
	uv_timer_t pulse;
	char folder[64];
	char path[96];
	char journal[112];
	struct cp_state *state;
	struct sn_diag diag;
	unsigned int n_closed;
};

static inline void pulse(uv_timer_t *timer)
{
	(void)timer;
}

#define RUN_UNTIL(place, condition)                                    \
	do {                                                           \
		uint64_t end_ = uv_hrtime() / 1000000 + LIMIT_MS;      \
		while (!(condition)) {                                 \
			if (uv_hrtime() / 1000000 > end_)              \
				t_fail("'%s' never came", #condition); \
			(void)uv_run(&(place)->loop, UV_RUN_ONCE);     \
		}                                                      \
	} while (0)

static inline void place_init(struct place *place)
{
	(void)memset(place, 0, sizeof(*place));
	(void)strcpy(place->folder, "/tmp/sentinel-test-XXXXXX");
	t_not_null(mkdtemp(place->folder));
	(void)snprintf(place->path, sizeof(place->path), "%s/state.pb",
		       place->folder);
	(void)snprintf(place->journal, sizeof(place->journal), "%s.journal",
		       place->path);
	t_eq(uv_loop_init(&place->loop), 0);
	t_eq(uv_timer_init(&place->loop, &place->pulse), 0);
	t_eq(uv_timer_start(&place->pulse, pulse, 2, 2), 0);
}

static inline void place_done(struct place *place)
{
	DIR *folder = opendir(place->folder);
	struct dirent *entry;

	t_not_null(folder);
	while ((entry = readdir(folder)))
		(void)unlinkat(dirfd(folder), entry->d_name, 0);
	(void)closedir(folder);
	(void)rmdir(place->folder);
	uv_close((uv_handle_t *)&place->pulse, NULL);
	(void)uv_run(&place->loop, UV_RUN_DEFAULT);
	t_eq(uv_loop_close(&place->loop), 0);
}

static inline int load(struct place *place, uint64_t group_ms)
{
	return cp_state_load(&place->state, &place->loop, place->path,
			     group_ms * 1000000, &place->diag);
}

static inline void closed(void *userdata)
{
	struct place *place = userdata;

	place->n_closed++;
}

static inline void close_state(struct place *place)
{
	unsigned int before = place->n_closed;

	cp_state_close(place->state, closed, place);
	t_eq(place->n_closed, before);
	RUN_UNTIL(place, place->n_closed == before + 1);
	place->state = NULL;
}

struct synced {
	unsigned int n;
	int error;
	unsigned int *order; /* shared counter */
	unsigned int turn; /* its value when called */
};

static inline void synced(void *userdata, int error)
{
	struct synced *result = userdata;

	result->n++;
	result->error = error;
	if (result->order)
		result->turn = ++*result->order;
}

static inline int sync_now(struct place *place)
{
	struct synced result = { 0 };

	t_eq(cp_state_sync(place->state, synced, &result), 0);
	t_eq(result.n, 0);
	RUN_UNTIL(place, result.n == 1);
	return result.error;
}

static inline void put(struct place *place, const char *key, const char *text)
{
	t_eq(cp_state_put(place->state, key, text, strlen(text)), 0);
}

static inline void expect(struct place *place, const char *key,
			  const char *text)
{
	size_t size;
	const void *blob = cp_state_get(place->state, key, &size);

	if (!text) {
		t_null(blob);
		return;
	}
	t_not_null(blob);
	t_eq(size, strlen(text));
	t_mem_eq(blob, text, size);
}

static inline void reload(struct place *place)
{
	close_state(place);
	t_eq(load(place, 0), 0);
}

static inline size_t read_bytes(const char *path, uint8_t *bytes, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	t_true(fd >= 0);
	n = read(fd, bytes, size);
	t_true(n >= 0);
	(void)close(fd);
	return (size_t)n;
}

/* The number of the state file. */
static inline unsigned int load_number(const struct place *place)
{
	uint8_t bytes[16];

	t_eq(read_bytes(place->path, bytes, sizeof(bytes)), sizeof(bytes));
	return cp_state_record_get32(bytes + 12);
}

/* How many writes there were: the number of the state file and the frames in
 * its journal. */
static inline unsigned int count_writes(const struct place *place)
{
	uint8_t bytes[8192];
	unsigned int n = load_number(place);
	size_t size = read_bytes(place->journal, bytes, sizeof(bytes));

	for (size_t at = CP_STATE_JOURNAL_HEADER_BYTES; at < size; n++)
		at += CP_STATE_JOURNAL_FRAME_BYTES +
		      cp_state_record_get32(bytes + at + 4);
	return n;
}
