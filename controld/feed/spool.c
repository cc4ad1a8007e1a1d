/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/spool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "controld/feed/folder.h"

enum {
	BATCH = 512, /* records of one writev(2); IOV_MAX is 1,024 */
	READ_BYTES = 4 * CP_FEED_RECORD_EVENT_MAX, /* of one pread(2) */
	FILE_MIN_BYTES = 128 << 10,
};

struct cp_feed_spool {
	uint64_t max_bytes;
	uint64_t file_bytes; /* at which another file is begun */
	bool is_synced;
	bool keeps; /* no file goes for another one */
	int folder; /* fd */
	int writing; /* fd of the last file; -1: the next write begins one */
	int reading; /* fd; -1: none is open */
	struct cp_feed_folder_file *read_file; /* that `reading` is of */
	struct cp_feed_folder_files files; /* oldest first */
	uint64_t saved; /* what the file `position` says */
	uint8_t *room; /* READ_BYTES */
	struct cp_feed_spool_stats stats;
};

static void close_reading(struct cp_feed_spool *spool)
{
	sn_closep(&spool->reading);
	spool->read_file = NULL;
}

static void forget(struct cp_feed_spool *spool,
		   struct cp_feed_folder_file *file)
{
	if (spool->read_file == file)
		close_reading(spool);
	spool->stats.n_bytes -= file->size;
	spool->stats.n_files--;
	TAILQ_REMOVE(&spool->files, file, link);
	free(file);
}

static void remove_file(struct cp_feed_spool *spool,
			struct cp_feed_folder_file *file)
{
	cp_feed_folder_remove(spool->folder, file->first);
	forget(spool, file);
}

struct cp_feed_spool *cp_feed_spool_free(struct cp_feed_spool *spool)
{
	struct cp_feed_folder_file *file;

	if (!spool)
		return NULL;
	while ((file = TAILQ_FIRST(&spool->files)))
		forget(spool, file);
	sn_closep(&spool->writing);
	sn_closep(&spool->reading);
	sn_closep(&spool->folder);
	free(spool->room);
	free(spool);
	return NULL;
}

static void sum_up(struct cp_feed_spool *spool)
{
	struct cp_feed_spool_stats *stats = &spool->stats;
	const struct cp_feed_folder_file *file;

	stats->last_sequence = spool->saved > 0 ? spool->saved - 1 : 0;
	TAILQ_FOREACH(file, &spool->files, link) {
		stats->n_files++;
		stats->n_bytes += file->size;
		stats->n_unread += file->n - file->n_read;
		stats->last_sequence = SN_MAX(stats->last_sequence, file->last);
	}
}

int cp_feed_spool_new(struct cp_feed_spool **ret,
		      const struct cp_feed_spool_options *options,
		      struct sn_diag *diag)
{
	sn_cleanup(cp_feed_spool_freep) struct cp_feed_spool *spool = NULL;
	int r;

	assert(options->max_bytes >= CP_FEED_SPOOL_MIN_BYTES);
	spool = calloc(1, sizeof(*spool));
	if (!spool)
		return sn_trace(-ENOMEM);
	spool->max_bytes = options->max_bytes;
	spool->file_bytes = SN_MAX(options->max_bytes / CP_FEED_SPOOL_FILES,
				   (uint64_t)FILE_MIN_BYTES);
	spool->is_synced = options->is_synced;
	spool->writing = -1;
	spool->reading = -1;
	TAILQ_INIT(&spool->files);
	spool->folder = cp_feed_folder_open(options->path, diag);
	if (spool->folder < 0)
		return spool->folder;
	spool->room = malloc(READ_BYTES);
	if (!spool->room)
		return sn_trace(-ENOMEM);
	spool->saved = cp_feed_folder_load(spool->folder);
	r = cp_feed_folder_scan(spool->folder, spool->saved, &spool->files,
				&spool->stats.n_cut, diag);
	if (r < 0)
		return r;
	sum_up(spool);
	*ret = sn_steal(&spool);
	return 0;
}

/* Writing. */

void cp_feed_spool_begin(struct cp_feed_spool *spool)
{
	sn_closep(&spool->writing);
}

uint64_t cp_feed_spool_keep(struct cp_feed_spool *spool)
{
	uint64_t used = spool->stats.n_bytes +
			2 * CP_FEED_SPOOL_FILES * CP_FEED_RECORD_FILE_BYTES;

	spool->keeps = true;
	return used < spool->max_bytes ? spool->max_bytes - used : 0;
}

static void drop_oldest(struct cp_feed_spool *spool)
{
	struct cp_feed_folder_file *file = TAILQ_FIRST(&spool->files);

	spool->stats.gone_sequence =
		SN_MAX(spool->stats.gone_sequence, file->last);
	spool->stats.n_dropped += file->n - file->n_read;
	spool->stats.n_unread -= file->n - file->n_read;
	remove_file(spool, file);
}

static int begin_file(struct cp_feed_spool *spool, uint64_t first)
{
	struct cp_feed_folder_file *file;
	int fd;

	cp_feed_spool_begin(spool);
	while (!spool->keeps && !TAILQ_EMPTY(&spool->files) &&
	       spool->stats.n_bytes + spool->file_bytes > spool->max_bytes)
		drop_oldest(spool);
	file = calloc(1, sizeof(*file));
	if (!file)
		return sn_trace(-ENOMEM);
	fd = cp_feed_folder_create(spool->folder, first);
	if (fd >= 0 && spool->is_synced && fsync(spool->folder) < 0) {
		int r = -errno;

		cp_feed_folder_remove(spool->folder, first);
		(void)close(fd);
		fd = r;
	}
	if (fd < 0) {
		free(file);
		return fd;
	}
	spool->writing = fd;
	file->first = first;
	file->size = CP_FEED_RECORD_FILE_BYTES;
	file->read_at = file->size;
	spool->stats.n_bytes += file->size;
	spool->stats.n_files++;
	TAILQ_INSERT_TAIL(&spool->files, file, link);
	return 0;
}

/* How many of n fit into the last file; at least one is tried. */
static size_t choose(const struct cp_feed_spool *spool,
		     const struct cp_feed_spool_item *items, size_t n,
		     uint64_t *bytes)
{
	const struct cp_feed_folder_file *file =
		TAILQ_LAST(&spool->files, cp_feed_folder_files);
	size_t i = 0;

	*bytes = 0;
	while (i < SN_MIN(n, (size_t)BATCH)) {
		uint64_t size =
			CP_FEED_RECORD_HEAD_BYTES + items[i].record.size;

		if (i > 0 && file->size + *bytes + size > spool->file_bytes)
			break;
		*bytes += size;
		i++;
	}
	return i;
}

static int write_bytes(struct cp_feed_spool *spool,
		       const struct cp_feed_spool_item *items, size_t n,
		       uint64_t bytes)
{
	uint8_t heads[BATCH][CP_FEED_RECORD_HEAD_BYTES];
	struct iovec parts[2 * BATCH];
	ssize_t written;

	for (size_t i = 0; i < n; i++) {
		const struct cp_feed_record *record = &items[i].record;
		union {
			const uint8_t *from;
			void *to;
		} data = { .from = record->data };

		cp_feed_record_write_head(record, heads[i]);
		parts[2 * i] = (struct iovec){ heads[i], sizeof(heads[i]) };
		parts[2 * i + 1] = (struct iovec){ data.to, record->size };
	}
	written = writev(spool->writing, parts, (int)(2 * n));
	if (written != (ssize_t)bytes)
		return written < 0 ? -errno : -ENOSPC;
	return spool->is_synced && fdatasync(spool->writing) < 0 ? -errno : 0;
}

static void account(struct cp_feed_spool *spool,
		    struct cp_feed_folder_file *file,
		    const struct cp_feed_spool_item *item)
{
	uint64_t size = CP_FEED_RECORD_HEAD_BYTES + item->record.size;

	file->size += size;
	file->last = item->record.sequence;
	spool->stats.n_bytes += size;
	spool->stats.last_sequence =
		SN_MAX(spool->stats.last_sequence, file->last);
	file->n++;
	if (item->is_read && file->n_read + 1 == file->n) {
		file->n_read = file->n;
		file->read_at = file->size;
		file->read_after = file->last;
	} else {
		spool->stats.n_unread++;
	}
}

/* One batch, whole or not at all. */
static int write_batch(struct cp_feed_spool *spool,
		       const struct cp_feed_spool_item *items, size_t n,
		       size_t *n_written)
{
	struct cp_feed_folder_file *file =
		TAILQ_LAST(&spool->files, cp_feed_folder_files);
	uint64_t bytes;
	size_t count;
	int r = 0;

	if (spool->writing < 0 || file->size >= spool->file_bytes)
		r = begin_file(spool, items[0].record.sequence);
	if (r < 0)
		return r;
	file = TAILQ_LAST(&spool->files, cp_feed_folder_files);
	count = choose(spool, items, n, &bytes);
	r = write_bytes(spool, items, count, bytes);
	if (r < 0) {
		(void)!ftruncate(spool->writing, (off_t)file->size);
		/* The file is ended: nothing may stand behind half a record
		 * that could not be cut back, and what is written later may
		 * have to go where these are missing. */
		cp_feed_spool_begin(spool);
		if (file->n == 0)
			remove_file(spool, file);
		return r;
	}
	for (size_t i = 0; i < count; i++)
		account(spool, file, &items[i]);
	*n_written += count;
	return 0;
}

int cp_feed_spool_write(struct cp_feed_spool *spool,
			const struct cp_feed_spool_item *items, size_t n,
			size_t *n_written)
{
	int r = 0;

	*n_written = 0;
	while (r == 0 && *n_written < n)
		r = write_batch(spool, items + *n_written, n - *n_written,
				n_written);
	spool->stats.error = r;
	return r;
}

/* Reading. */

/* The rest of a file cannot be told from what it is not. */
static void give_up(struct cp_feed_spool *spool,
		    struct cp_feed_folder_file *file)
{
	spool->stats.n_broken += file->n - file->n_read;
	spool->stats.n_unread -= file->n - file->n_read;
	file->n_read = file->n;
	file->read_at = file->size;
	close_reading(spool);
}

static struct cp_feed_folder_file *find_unread(struct cp_feed_spool *spool)
{
	struct cp_feed_folder_file *file;

	TAILQ_FOREACH(file, &spool->files, link) {
		if (file->n_read < file->n)
			return file;
	}
	return NULL;
}

static int open_reading(struct cp_feed_spool *spool,
			struct cp_feed_folder_file *file)
{
	if (spool->read_file == file)
		return 0;
	close_reading(spool);
	spool->reading = cp_feed_folder_open_file(spool->folder, file->first);
	if (spool->reading < 0)
		return spool->reading;
	spool->read_file = file;
	return 0;
}

struct reading {
	size_t max_bytes;
	size_t n_bytes; /* handed out */
	cp_feed_spool_fn fn;
	void *userdata;
};

/* What one pread(2) brings. 1: it is enough. */
static int read_some(struct cp_feed_spool *spool,
		     struct cp_feed_folder_file *file, struct reading *reading)
{
	size_t want = SN_MIN((size_t)READ_BYTES,
			     (size_t)(file->size - file->read_at));
	ssize_t n =
		pread(spool->reading, spool->room, want, (off_t)file->read_at);
	uint64_t n_before = file->n_read;
	struct cp_feed_record record;
	size_t at = 0;

	while (n > 0 && reading->n_bytes < reading->max_bytes &&
	       cp_feed_record_next(spool->room, (size_t)n, &at,
				   file->read_after,
				   &record) == CP_FEED_RECORD_END_NONE) {
		int r = reading->fn(reading->userdata, &record);

		if (r != 0)
			return r;
		reading->n_bytes += record.size;
		file->n_read++;
		file->read_at += CP_FEED_RECORD_HEAD_BYTES + record.size;
		file->read_after = record.sequence;
		spool->stats.n_unread--;
	}
	if (file->n_read == n_before && reading->n_bytes < reading->max_bytes)
		give_up(spool, file);
	return 0;
}

/* It is ours that there is not enough of, and not the file's fault. */
static bool is_passing(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

int cp_feed_spool_read(struct cp_feed_spool *spool, size_t max_bytes,
		       cp_feed_spool_fn fn, void *userdata)
{
	struct reading reading = { max_bytes, 0, fn, userdata };
	struct cp_feed_folder_file *file;
	int r = 0;

	while (r == 0 && reading.n_bytes < max_bytes &&
	       (file = find_unread(spool))) {
		r = open_reading(spool, file);
		if (r == 0) {
			r = read_some(spool, file, &reading);
		} else if (!is_passing(r)) {
			give_up(spool, file);
			r = 0;
		}
	}
	return r;
}

void cp_feed_spool_trim(struct cp_feed_spool *spool, uint64_t below, bool saves)
{
	struct cp_feed_folder_file *file = TAILQ_FIRST(&spool->files);

	while (file && file->n_read == file->n && file->last < below &&
	       (spool->writing < 0 || TAILQ_NEXT(file, link))) {
		remove_file(spool, file);
		file = TAILQ_FIRST(&spool->files);
	}
	if (saves && below > spool->saved &&
	    cp_feed_folder_save(spool->folder, below) == 0)
		spool->saved = below;
}

void cp_feed_spool_get_stats(const struct cp_feed_spool *spool,
			     struct cp_feed_spool_stats *ret)
{
	*ret = spool->stats;
	ret->below = spool->saved;
}
