/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/state.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "controld/state/file.h"

/* Entries are a sorted array of counted, immutable blobs. A write takes a copy
 * of the array, so the worker reads what nobody changes; only the loop counts.
 * `version` rises with each change, `written` is the version on disk, and a
 * waiter is answered when a write that had its version ends. */

_Static_assert((int)CP_STATE_KEY_MAX == (int)CP_STATE_FILE_KEY_MAX, "key");

#define NS_PER_MS	  1000000ULL
#define RECORD_HEAD_BYTES 8

struct blob {
	unsigned int n_users;
	size_t size;
	char key[CP_STATE_KEY_MAX + 1];
	uint8_t data[];
};

struct table {
	struct blob **blobs;
	size_t n;
	size_t capacity;
};

struct waiter {
	struct waiter *next;
	cp_state_sync_fn fn;
	void *userdata;
	uint64_t version;
};

/* One write; only `error` is the worker's to set. */
struct job {
	uv_work_t work;
	struct table table;
	struct cp_state_file_record *records;
	uint64_t version;
	int error;
};

struct cp_state {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct job job;
	struct table table;
	struct waiter *first_waiter;
	struct waiter **last_waiter;
	char *name;
	int dir_fd;
	int lock_fd;
	uint64_t bytes;
	uint64_t version;
	uint64_t written;
	uint64_t group_ms;
	uint64_t ended_ms; /* of the last write */
	bool has_ended; /* there was a write */
	bool is_new;
	bool is_writing;
	bool is_closing;
	bool may_write; /* closing: the last attempt is still to come */
	void (*closed)(void *userdata);
	void *closed_userdata;
};

static void advance(struct cp_state *state);

static void blob_put(struct blob *blob)
{
	if (--blob->n_users == 0)
		free(blob);
}

static void table_clear(struct table *table)
{
	for (size_t i = 0; i < table->n; i++)
		blob_put(table->blobs[i]);
	free(table->blobs);
	*table = (struct table){ 0 };
}

/* Where key is or belongs. */
static size_t find(const struct table *table, const char *key, bool *found)
{
	size_t low = 0, high = table->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(table->blobs[middle]->key, key);

		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = false;
	return low;
}

static int table_grow(struct table *table)
{
	size_t capacity = SN_MAX(table->capacity * 2, (size_t)64);
	struct blob **blobs;

	if (table->n < table->capacity)
		return 0;
	blobs = realloc(table->blobs, capacity * sizeof(struct blob *));
	if (!blobs)
		return -ENOMEM;
	table->blobs = blobs;
	table->capacity = capacity;
	return 0;
}

static uint64_t cost(const struct blob *blob)
{
	return RECORD_HEAD_BYTES + strlen(blob->key) + blob->size;
}

static int make_blob(struct blob **ret, const char *key, const void *data,
		     size_t size)
{
	size_t key_bytes = strnlen(key, CP_STATE_KEY_MAX + 1);
	struct blob *blob;

	if (key_bytes == 0 || key_bytes > CP_STATE_KEY_MAX)
		return -EINVAL;
	if (size > CP_STATE_FILE_BYTES_MAX)
		return -ENOSPC;
	blob = malloc(sizeof(*blob) + size);
	if (!blob)
		return -ENOMEM;
	blob->n_users = 1;
	blob->size = size;
	(void)memcpy(blob->key, key, key_bytes + 1);
	if (size > 0)
		(void)memcpy(blob->data, data, size);
	*ret = blob;
	return 0;
}

int cp_state_put(struct cp_state *state, const char *key, const void *data,
		 size_t size)
{
	struct table *table = &state->table;
	struct blob *blob;
	bool found;
	size_t at;
	uint64_t before = 0;
	int r;

	r = make_blob(&blob, key, data, size);
	if (r < 0)
		return r;
	at = find(table, key, &found);
	if (found)
		before = cost(table->blobs[at]);
	if (state->bytes - before + cost(blob) + CP_STATE_FILE_HEADER_BYTES >
		    CP_STATE_FILE_BYTES_MAX ||
	    (!found && table->n >= CP_STATE_ENTRIES_MAX))
		r = -ENOSPC;
	else if (!found)
		r = table_grow(table);
	if (r < 0) {
		blob_put(blob);
		return r;
	}
	if (found) {
		blob_put(table->blobs[at]);
	} else {
		(void)memmove(&table->blobs[at + 1], &table->blobs[at],
			      (table->n - at) * sizeof(struct blob *));
		table->n++;
	}
	table->blobs[at] = blob;
	state->bytes = state->bytes - before + cost(blob);
	state->version++;
	return 0;
}

void cp_state_del(struct cp_state *state, const char *key)
{
	struct table *table = &state->table;
	bool found;
	size_t at = find(table, key, &found);

	if (!found)
		return;
	state->bytes -= cost(table->blobs[at]);
	blob_put(table->blobs[at]);
	table->n--;
	(void)memmove(&table->blobs[at], &table->blobs[at + 1],
		      (table->n - at) * sizeof(struct blob *));
	state->version++;
}

const void *cp_state_get(const struct cp_state *state, const char *key,
			 size_t *size)
{
	bool found;
	size_t at = find(&state->table, key, &found);

	if (!found)
		return NULL;
	*size = state->table.blobs[at]->size;
	return state->table.blobs[at]->data;
}

void cp_state_each(const struct cp_state *state,
		   void (*fn)(void *userdata, const char *key, const void *blob,
			      size_t size),
		   void *userdata)
{
	for (size_t i = 0; i < state->table.n; i++) {
		const struct blob *blob = state->table.blobs[i];

		fn(userdata, blob->key, blob->data, blob->size);
	}
}

bool cp_state_is_new(const struct cp_state *state)
{
	return state->is_new;
}

/* Calls those whose version is at most `version`. They may ask again. */
static void answer_waiters(struct cp_state *state, uint64_t version, int error)
{
	struct waiter *waiter = state->first_waiter;
	struct waiter **end = &state->first_waiter;

	/* Versions rise along the list. */
	while (*end && (*end)->version <= version)
		end = &(*end)->next;
	if (end == &state->first_waiter)
		return;
	state->first_waiter = *end;
	if (!state->first_waiter)
		state->last_waiter = &state->first_waiter;
	*end = NULL;
	while (waiter) {
		struct waiter *next = waiter->next;

		waiter->fn(waiter->userdata, error);
		free(waiter);
		waiter = next;
	}
}

static void job_clear(struct job *job)
{
	free(job->records);
	job->records = NULL;
	table_clear(&job->table);
}

static void work(uv_work_t *request)
{
	struct cp_state *state =
		sn_container_of(request, struct cp_state, job.work);
	struct job *job = &state->job;

	job->error = cp_state_file_stage(state->dir_fd, state->name,
					 job->records, job->table.n);
	if (job->error == 0)
		job->error = cp_state_file_commit(state->dir_fd, state->name);
}

static void end_write(struct cp_state *state, int error)
{
	uint64_t version = state->job.version;

	job_clear(&state->job);
	state->is_writing = false;
	state->has_ended = true;
	state->ended_ms = uv_now(state->loop);
	if (error == 0)
		state->written = version;
	state->may_write = state->is_closing && error == 0 &&
			   state->version != state->written;
	answer_waiters(state, version, error);
	advance(state);
}

static void worked(uv_work_t *request, int status)
{
	struct cp_state *state =
		sn_container_of(request, struct cp_state, job.work);

	end_write(state, status < 0 ? status : state->job.error);
}

/* Copies the array of blobs for the worker. */
static int fill_job(struct cp_state *state)
{
	const struct table *table = &state->table;
	struct job *job = &state->job;

	job->table.blobs = malloc((table->n + 1) * sizeof(struct blob *));
	job->records = calloc(table->n + 1, sizeof(*job->records));
	if (!job->table.blobs || !job->records)
		return -ENOMEM;
	for (size_t i = 0; i < table->n; i++) {
		struct blob *blob = table->blobs[i];

		blob->n_users++;
		job->table.blobs[i] = blob;
		job->records[i] = (struct cp_state_file_record){ blob->key,
								 blob->data,
								 blob->size };
	}
	job->table.n = table->n;
	return 0;
}

static void start_write(struct cp_state *state)
{
	int r;

	state->is_writing = true;
	state->job.version = state->version;
	r = fill_job(state);
	if (r == 0)
		r = uv_queue_work(state->loop, &state->job.work, work, worked);
	if (r < 0)
		end_write(state, r);
}

static void timer_closed(uv_handle_t *handle)
{
	struct cp_state *state =
		sn_container_of((void *)handle, struct cp_state, timer);

	if (state->closed)
		state->closed(state->closed_userdata);
	table_clear(&state->table);
	(void)close(state->lock_fd);
	(void)close(state->dir_fd);
	free(state->name);
	free(state);
}

static void ring(uv_timer_t *timer)
{
	struct cp_state *state = sn_container_of(timer, struct cp_state, timer);

	if (state->version != state->written &&
	    (state->first_waiter || state->may_write)) {
		start_write(state);
		return;
	}
	answer_waiters(state, state->written, 0);
	advance(state);
}

/* What is next, unless a write is under way. Nothing is called from here, so
 * that cp_state_sync() and cp_state_close() may use it. */
static void advance(struct cp_state *state)
{
	uint64_t now = uv_now(state->loop);
	uint64_t pause_ms = 0;

	if (state->is_writing)
		return;
	if (state->is_closing && !state->first_waiter && !state->may_write) {
		if (!uv_is_closing((uv_handle_t *)&state->timer))
			uv_close((uv_handle_t *)&state->timer, timer_closed);
		return;
	}
	if (!state->first_waiter && !state->may_write)
		return;
	if (uv_is_active((uv_handle_t *)&state->timer) && !state->is_closing)
		return;
	if (state->version != state->written && state->has_ended &&
	    !state->is_closing && now < state->ended_ms + state->group_ms)
		pause_ms = state->ended_ms + state->group_ms - now;
	(void)uv_timer_start(&state->timer, ring, pause_ms, 0);
}

int cp_state_sync(struct cp_state *state, cp_state_sync_fn fn, void *userdata)
{
	struct waiter *waiter = malloc(sizeof(*waiter));

	if (!waiter)
		return -ENOMEM;
	*waiter = (struct waiter){ .fn = fn,
				   .userdata = userdata,
				   .version = state->version };
	*state->last_waiter = waiter;
	state->last_waiter = &waiter->next;
	advance(state);
	return 0;
}

void cp_state_close(struct cp_state *state, void (*closed)(void *userdata),
		    void *closed_userdata)
{
	assert(!state->is_closing);
	state->is_closing = true;
	state->may_write = state->version != state->written;
	state->closed = closed;
	state->closed_userdata = closed_userdata;
	advance(state);
}

static int take_record(void *userdata,
		       const struct cp_state_file_record *record)
{
	return cp_state_put(userdata, record->key, record->blob, record->size);
}

static struct cp_state *half_free(struct cp_state *state)
{
	if (!state)
		return NULL;
	table_clear(&state->table);
	sn_closep(&state->lock_fd);
	sn_closep(&state->dir_fd);
	free(state->name);
	free(state);
	return NULL;
}

SN_DEFINE_CLEANUP(struct cp_state, half_free)

/* Opens the directory and takes the lock. */
static int open_places(struct cp_state *state, const char *path,
		       struct sn_diag *diag)
{
	const char *slash = strrchr(path, '/');
	sn_cleanup(sn_freep) char *folder = NULL;
	char lock[256];
	int r = 0;

	folder = slash ? strndup(path, (size_t)(slash - path) + 1) :
			 strdup(".");
	state->name = strdup(slash ? slash + 1 : path);
	if (!folder || !state->name)
		return -ENOMEM;
	if (!state->name[0] || snprintf(lock, sizeof(lock), "%s.lock",
					state->name) >= (int)sizeof(lock))
		return -EINVAL;
	state->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state->dir_fd < 0)
		return -errno;
	state->lock_fd = openat(state->dir_fd, lock,
				O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
				0600);
	if (state->lock_fd < 0)
		return -errno;
	if (flock(state->lock_fd, LOCK_EX | LOCK_NB) < 0)
		r = -errno;
	if (r == -EWOULDBLOCK) {
		sn_diag_set(diag, NULL, "is in use by another process");
		return CP_STATE_E_IN_USE;
	}
	return r;
}

static int read_table(struct cp_state *state, struct sn_diag *diag)
{
	sn_cleanup(sn_freep) void *data = NULL;
	size_t size;
	int r;

	r = cp_state_file_read(state->dir_fd, state->name, &data, &size, diag);
	if (r == -ENOENT) {
		state->is_new = true;
		return 0;
	}
	if (r == 0)
		r = cp_state_file_parse(data, size, take_record, state, diag);
	if (r == CP_STATE_FILE_E_REFUSED)
		return CP_STATE_E_REFUSED;
	return r;
}

int cp_state_load(struct cp_state **ret, uv_loop_t *loop, const char *path,
		  uint64_t group_ns, struct sn_diag *diag)
{
	sn_cleanup(half_freep) struct cp_state *state = NULL;
	int r;

	*diag = (struct sn_diag){ 0 };
	sn_diag_at(diag, path, 0);
	state = calloc(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	state->loop = loop;
	state->last_waiter = &state->first_waiter;
	state->dir_fd = -1;
	state->lock_fd = -1;
	state->group_ms = group_ns / NS_PER_MS;
	r = open_places(state, path, diag);
	if (r == 0)
		r = read_table(state, diag);
	if (r == 0)
		r = uv_timer_init(loop, &state->timer);
	if (r != 0) {
		if (!diag->text[0])
			sn_diag_set(diag, NULL, "cannot be used: %s",
				    strerror(-r));
		return r;
	}
	state->written = state->version;
	*ret = sn_steal(&state);
	return 0;
}
