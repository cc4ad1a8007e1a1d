/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/state/state.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "controld/state/journal.h"
#include "controld/state/table.h"

/* Changes are applied to the table and noted for the journal. A write takes
 * either what was noted, or (`wants_file`) a share of every blob of the table;
 * then nothing needs to be noted. `version` rises with each change, `written`
 * is the version on disk, and a waiter is answered when a write that had its
 * version ends. */

_Static_assert((int)CP_STATE_KEY_MAX == (int)CP_STATE_RECORD_KEY_MAX, "key");

#define NS_PER_MS 1000000ULL

struct blobs {
	struct cp_state_blob **blobs;
	size_t n;
	size_t capacity;
	uint64_t bytes; /* of their records */
};

struct waiter {
	struct waiter *next;
	cp_state_sync_fn fn;
	void *userdata;
	uint64_t version;
};

/* One write. While it runs, only the worker uses the journal and `id`. */
struct job {
	uv_work_t work;
	struct blobs blobs;
	struct cp_state_record *records;
	bool is_file; /* the whole table */
	uint64_t version;
	int error;
};

struct cp_state {
	uv_loop_t *loop;
	uv_timer_t timer;
	struct job job;
	struct cp_state_table table;
	struct cp_state_journal journal;
	struct cp_state_file_id id; /* of the file on disk */
	struct blobs noted;
	uint64_t journal_bytes; /* when no write runs */
	struct cp_state_stats stats;
	bool wants_file; /* the next write is the whole table */
	struct waiter *first_waiter;
	struct waiter **last_waiter;
	char *name;
	int dir_fd;
	int lock_fd;
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
static void start_write(struct cp_state *state);

static void blobs_clear(struct blobs *list)
{
	for (size_t i = 0; i < list->n; i++)
		cp_state_blob_free(list->blobs[i]);
	free(list->blobs);
	*list = (struct blobs){ 0 };
}

static int blobs_reserve(struct blobs *list, size_t capacity)
{
	struct cp_state_blob **blobs;

	if (capacity <= list->capacity)
		return 0;
	blobs = realloc(list->blobs, capacity * sizeof(struct cp_state_blob *));
	if (!blobs)
		return -ENOMEM;
	list->blobs = blobs;
	list->capacity = capacity;
	return 0;
}

/* There is room. */
static void blobs_add(struct blobs *list, struct cp_state_blob *blob)
{
	struct cp_state_record record = cp_state_blob_record(blob);

	list->blobs[list->n++] = cp_state_blob_share(blob);
	list->bytes += cp_state_record_bytes(&record);
}

static void want_file(struct cp_state *state)
{
	state->wants_file = true;
	blobs_clear(&state->noted);
}

/* For the next frame; without room, or when that would be more than the table
 * itself, the table is written. */
static void note(struct cp_state *state, struct cp_state_blob *blob)
{
	struct blobs *noted = &state->noted;
	size_t capacity = noted->capacity;

	state->version++;
	if (state->wants_file)
		return;
	if (noted->n == capacity)
		capacity = capacity * 2 + 16;
	if (blobs_reserve(noted, capacity) < 0) {
		want_file(state);
		return;
	}
	blobs_add(noted, blob);
	if (noted->bytes > CP_STATE_JOURNAL_RECORDS_MAX ||
	    state->journal_bytes + noted->bytes >
		    SN_MAX(state->table.bytes,
			   (uint64_t)CP_STATE_JOURNAL_BYTES_MIN))
		want_file(state);
}

/* Whether the table may have one blob more beside `freed_bytes` less. */
static bool has_room(const struct cp_state *state, uint64_t freed_bytes,
		     const struct cp_state_blob *blob)
{
	struct cp_state_record record = cp_state_blob_record(blob);

	return state->table.bytes - freed_bytes +
		       cp_state_record_bytes(&record) +
		       CP_STATE_FILE_HEADER_BYTES <=
	       CP_STATE_FILE_BYTES_MAX;
}

static uint64_t entry_bytes(const struct cp_state_entry *entry)
{
	struct cp_state_record first = cp_state_blob_record(entry->blobs[0]);

	return cp_state_record_bytes(&first) + entry->appended_bytes;
}

int cp_state_put(struct cp_state *state, const char *key, const void *data,
		 size_t size)
{
	sn_cleanup(cp_state_blob_freep) struct cp_state_blob *blob = NULL;
	const struct cp_state_entry *entry;
	int r;

	if (size > CP_STATE_FILE_BYTES_MAX)
		return -ENOSPC;
	r = cp_state_blob_new(&blob, CP_STATE_RECORD_PUT, key, data, size);
	if (r < 0)
		return r;
	entry = cp_state_table_find(&state->table, key);
	if (!has_room(state, entry ? entry_bytes(entry) : 0, blob) ||
	    (!entry && state->table.n >= CP_STATE_ENTRIES_MAX))
		return -ENOSPC;
	r = cp_state_table_apply(&state->table, blob);
	if (r == 0)
		note(state, blob);
	return r;
}

int cp_state_append(struct cp_state *state, const char *key, const void *data,
		    size_t size)
{
	sn_cleanup(cp_state_blob_freep) struct cp_state_blob *blob = NULL;
	const struct cp_state_entry *entry;
	int r;

	entry = cp_state_table_find(&state->table, key);
	if (!entry || entry->appended_bytes + size >
			      SN_MAX((uint64_t)CP_STATE_APPENDED_BYTES_MIN,
				     entry->blobs[0]->size))
		return CP_STATE_E_PUT;
	r = cp_state_blob_new(&blob, CP_STATE_RECORD_APPEND, key, data, size);
	if (r < 0)
		return r;
	if (!has_room(state, 0, blob))
		return -ENOSPC;
	r = cp_state_table_apply(&state->table, blob);
	if (r == 0)
		note(state, blob);
	return r;
}

void cp_state_del(struct cp_state *state, const char *key)
{
	sn_cleanup(cp_state_blob_freep) struct cp_state_blob *blob = NULL;

	if (!cp_state_table_find(&state->table, key))
		return;
	cp_state_table_del(&state->table, key);
	if (cp_state_blob_new(&blob, CP_STATE_RECORD_DEL, key, NULL, 0) == 0) {
		note(state, blob);
	} else {
		state->version++;
		want_file(state);
	}
}

const void *cp_state_get(const struct cp_state *state, const char *key,
			 size_t *size)
{
	const struct cp_state_entry *entry;

	entry = cp_state_table_find(&state->table, key);
	if (!entry)
		return NULL;
	*size = entry->blobs[0]->size;
	return entry->blobs[0]->data;
}

void cp_state_each(const struct cp_state *state,
		   void (*fn)(void *userdata, const char *key, const void *blob,
			      size_t size),
		   void *userdata)
{
	for (size_t i = 0; i < state->table.n; i++) {
		const struct cp_state_entry *entry = &state->table.entries[i];

		for (size_t k = 0; k < entry->n_blobs; k++) {
			const struct cp_state_blob *blob = entry->blobs[k];

			fn(userdata, blob->key, blob->data, blob->size);
		}
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
	blobs_clear(&job->blobs);
}

/* Without a journal the next write is a file again. */
static int write_file(struct cp_state *state)
{
	const struct job *job = &state->job;
	struct cp_state_file_id id = { .number = state->id.number + 1 };
	int r;

	r = cp_state_file_stage(state->dir_fd, state->name, job->records,
				job->blobs.n, &id);
	if (r == 0)
		r = cp_state_file_commit(state->dir_fd, state->name);
	if (r < 0)
		return r;
	state->id = id;
	(void)cp_state_journal_start(&state->journal, state->dir_fd,
				     state->name, &id);
	return 0;
}

static void work(uv_work_t *request)
{
	struct cp_state *state =
		sn_container_of(request, struct cp_state, job.work);
	struct job *job = &state->job;

	if (job->is_file)
		job->error = write_file(state);
	else
		job->error = cp_state_journal_append(
			&state->journal, job->records, job->blobs.n);
}

static void end_write(struct cp_state *state, int error)
{
	bool is_again = error == -ESTALE && !state->job.is_file;
	uint64_t version = state->job.version;

	if (!is_again) {
		state->stats.n_writes += error == 0;
		state->stats.n_files += error == 0 && state->job.is_file;
		state->stats.n_failed += error < 0;
		state->stats.last_error = error;
	}
	job_clear(&state->job);
	if (error < 0 || state->journal.fd < 0)
		want_file(state);
	state->journal_bytes = state->journal.size;
	if (is_again) {
		start_write(state);
		return;
	}
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

static int share_table(const struct cp_state_table *table, struct blobs *list)
{
	int r = blobs_reserve(list, table->n_blobs + 1);

	for (size_t i = 0; r == 0 && i < table->n; i++)
		for (size_t k = 0; k < table->entries[i].n_blobs; k++)
			blobs_add(list, table->entries[i].blobs[k]);
	return r;
}

static int fill_job(struct cp_state *state)
{
	struct job *job = &state->job;
	int r = 0;

	job->version = state->version;
	job->is_file = state->wants_file;
	if (job->is_file) {
		r = share_table(&state->table, &job->blobs);
	} else {
		job->blobs = state->noted;
		state->noted = (struct blobs){ 0 };
	}
	job->records = calloc(job->blobs.n + 1, sizeof(*job->records));
	if (r < 0 || !job->records)
		return -ENOMEM;
	for (size_t i = 0; i < job->blobs.n; i++)
		job->records[i] = cp_state_blob_record(job->blobs.blobs[i]);
	return 0;
}

static void start_write(struct cp_state *state)
{
	int r;

	state->is_writing = true;
	r = fill_job(state);
	/* What changes from here on is for the journal of the new file. */
	if (state->wants_file)
		state->journal_bytes = 0;
	else
		state->journal_bytes += state->job.blobs.bytes;
	state->wants_file = false;
	if (r == 0)
		r = uv_queue_work(state->loop, &state->job.work, work, worked);
	if (r < 0)
		end_write(state, r);
}

static struct cp_state *half_free(struct cp_state *state)
{
	if (!state)
		return NULL;
	cp_state_journal_close(&state->journal);
	cp_state_table_clear(&state->table);
	blobs_clear(&state->noted);
	sn_closep(&state->lock_fd);
	sn_closep(&state->dir_fd);
	free(state->name);
	free(state);
	return NULL;
}

static void timer_closed(uv_handle_t *handle)
{
	struct cp_state *state =
		sn_container_of((void *)handle, struct cp_state, timer);

	if (state->closed)
		state->closed(state->closed_userdata);
	half_free(state);
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

static int take_record(void *userdata, const struct cp_state_record *record)
{
	sn_cleanup(cp_state_blob_freep) struct cp_state_blob *blob = NULL;
	struct cp_state *state = userdata;
	int r;

	r = cp_state_blob_new(&blob, record->kind, record->key, record->blob,
			      record->size);
	return r < 0 ? r : cp_state_table_apply(&state->table, blob);
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

/* Only a journal whose last frame is whole may grow. */
static int read_journal(struct cp_state *state, const char *path,
			struct sn_diag *diag)
{
	char file[SN_DIAG_FILE_BYTES];
	int r;

	(void)snprintf(file, sizeof(file), "%s.journal", path);
	sn_diag_at(diag, file, 0);
	r = cp_state_journal_open(state->dir_fd, state->name, &state->id,
				  take_record, state, &state->journal, diag);
	state->wants_file = r != 0;
	state->journal_bytes = state->journal.size;
	if (r == CP_STATE_JOURNAL_E_REFUSED)
		return CP_STATE_E_REFUSED;
	return r < 0 ? r : 0;
}

static int read_table(struct cp_state *state, const char *path,
		      struct sn_diag *diag)
{
	sn_cleanup(sn_freep) void *data = NULL;
	size_t size;
	int r;

	r = cp_state_file_read(state->dir_fd, state->name, &data, &size, diag);
	if (r == -ENOENT) {
		state->is_new = true;
		state->wants_file = true;
		return 0;
	}
	if (r == 0)
		r = cp_state_file_parse(data, size, take_record, state,
					&state->id, diag);
	if (r == CP_STATE_FILE_E_REFUSED)
		return CP_STATE_E_REFUSED;
	return r < 0 ? r : read_journal(state, path, diag);
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
	state->journal.fd = -1;
	state->group_ms = group_ns / NS_PER_MS;
	r = open_places(state, path, diag);
	if (r == 0)
		r = read_table(state, path, diag);
	if (r == 0)
		r = uv_timer_init(loop, &state->timer);
	if (r != 0) {
		if (!diag->text[0])
			sn_diag_set(diag, NULL, "cannot be used: %s",
				    strerror(-r));
		return r;
	}
	*ret = sn_steal(&state);
	return 0;
}

void cp_state_get_stats(const struct cp_state *state,
			struct cp_state_stats *ret)
{
	const struct waiter *waiter;

	*ret = state->stats;
	ret->journal_bytes = state->journal_bytes;
	for (waiter = state->first_waiter; waiter; waiter = waiter->next)
		ret->n_waiting++;
}
