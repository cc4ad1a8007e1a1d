/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct entry {
	LIST_ENTRY(entry) in_bucket;
	TAILQ_ENTRY(entry) by_age;
	uint64_t start;
	uint32_t tgid;
	struct sn_rt_file file;
	char text[]; /* path, base */
};

LIST_HEAD(bucket, entry);

struct cp_runtime_files {
	size_t n;
	size_t n_bytes;
	TAILQ_HEAD(, entry) ages; /* the one heard of longest ago first */
	struct bucket buckets[CP_RUNTIME_FILES_MAX];
};

int cp_runtime_files_new(struct cp_runtime_files **ret)
{
	struct cp_runtime_files *files = calloc(1, sizeof(*files));

	if (!files)
		return -ENOMEM;
	TAILQ_INIT(&files->ages);
	*ret = files;
	return 0;
}

static size_t size_of(const struct entry *entry)
{
	return (size_t)entry->file.path_bytes + entry->file.base_bytes;
}

static void drop(struct cp_runtime_files *files, struct entry *entry)
{
	TAILQ_REMOVE(&files->ages, entry, by_age);
	LIST_REMOVE(entry, in_bucket);
	files->n--;
	files->n_bytes -= size_of(entry);
	free(entry);
}

struct cp_runtime_files *cp_runtime_files_free(struct cp_runtime_files *files)
{
	struct entry *entry;

	if (!files)
		return NULL;
	while ((entry = TAILQ_FIRST(&files->ages)))
		drop(files, entry);
	free(files);
	return NULL;
}

static struct bucket *bucket_of(struct cp_runtime_files *files,
				const struct sn_rt_record *head)
{
	uint64_t h = head->start ^ head->tgid;

	h = (h ^ head->file.inode) * 0x9e3779b97f4a7c15ULL;
	h = (h ^ SN_RT_DEV(head->file.major, head->file.minor)) *
	    0x9e3779b97f4a7c15ULL;
	return &files->buckets[(h >> 32) % CP_RUNTIME_FILES_MAX];
}

static struct entry *find(struct cp_runtime_files *files,
			  const struct sn_rt_record *head)
{
	struct entry *entry;

	LIST_FOREACH(entry, bucket_of(files, head), in_bucket) {
		if (entry->tgid == head->tgid && entry->start == head->start &&
		    entry->file.inode == head->file.inode &&
		    entry->file.major == head->file.major &&
		    entry->file.minor == head->file.minor)
			return entry;
	}
	return NULL;
}

int cp_runtime_files_put(struct cp_runtime_files *files,
			 const struct cp_runtime_record *record)
{
	const struct sn_rt_record *head = record->head;
	size_t size = record->path.size + record->base.size;
	struct entry *fresh = malloc(sizeof(*fresh) + size);
	struct entry *old = find(files, head);

	if (!fresh)
		return -ENOMEM;
	if (old)
		drop(files, old);
	while (files->n > 0 &&
	       (files->n >= CP_RUNTIME_FILES_MAX ||
		files->n_bytes + size > CP_RUNTIME_FILES_BYTES_MAX))
		drop(files, TAILQ_FIRST(&files->ages));
	fresh->start = head->start;
	fresh->tgid = head->tgid;
	fresh->file = head->file;
	(void)memcpy(fresh->text, record->path.at, record->path.size);
	(void)memcpy(fresh->text + record->path.size, record->base.at,
		     record->base.size);
	LIST_INSERT_HEAD(bucket_of(files, head), fresh, in_bucket);
	TAILQ_INSERT_TAIL(&files->ages, fresh, by_age);
	files->n++;
	files->n_bytes += size;
	return 0;
}

bool cp_runtime_files_find(struct cp_runtime_files *files,
			   struct cp_runtime_record *record,
			   struct sn_rt_record *head)
{
	struct entry *entry = find(files, record->head);

	if (!entry)
		return false;
	TAILQ_REMOVE(&files->ages, entry, by_age);
	TAILQ_INSERT_TAIL(&files->ages, entry, by_age);
	*head = *record->head;
	head->file = entry->file;
	record->head = head;
	record->path = (struct cp_runtime_bytes){ entry->text,
						  entry->file.path_bytes };
	record->base =
		(struct cp_runtime_bytes){ entry->text + entry->file.path_bytes,
					   entry->file.base_bytes };
	return true;
}

size_t cp_runtime_files_count(const struct cp_runtime_files *files)
{
	return files->n;
}
