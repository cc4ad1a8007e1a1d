/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define POSITION     "position"
#define POSITION_NEW "position.tmp"
#define SUFFIX	     ".spool"

enum {
	FOLDER_MODE = 0700,
	FILE_MODE = 0600,
	DIGITS = 16,
	NAME_BYTES = DIGITS + sizeof(SUFFIX),
};

static void print_name(uint64_t first, char ret[NAME_BYTES])
{
	(void)snprintf(ret, NAME_BYTES, "%016llx" SUFFIX,
		       (unsigned long long)first);
}

static bool parse_name(const char *name, uint64_t *ret)
{
	char again[NAME_BYTES];
	unsigned long long first;

	if (sscanf(name, "%16llx", &first) != 1)
		return false;
	print_name(first, again);
	*ret = first;
	return strcmp(name, again) == 0;
}

int cp_feed_folder_open(const char *path, struct sn_diag *diag)
{
	sn_cleanup(sn_closep) int fd = -1;
	int r;

	if (mkdir(path, FOLDER_MODE) < 0 && errno != EEXIST) {
		r = -errno;
		sn_diag_set(diag, NULL, "cannot make %s: %s", path,
			    strerror(-r));
		return r;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = -errno;
		sn_diag_set(diag, NULL, "%s: %s", path,
			    r == -EWOULDBLOCK ? "is in use" : strerror(-r));
		return r;
	}
	return sn_steal_fd(&fd);
}

int cp_feed_folder_create(int fd, uint64_t first)
{
	uint8_t head[CP_FEED_RECORD_FILE_BYTES];
	sn_cleanup(sn_closep) int file = -1;
	char name[NAME_BYTES];
	ssize_t n;

	print_name(first, name);
	file = openat(fd, name,
		      O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
		      FILE_MODE);
	if (file < 0)
		return -errno;
	cp_feed_record_write_file(head);
	n = write(file, head, sizeof(head));
	if (n != (ssize_t)sizeof(head)) {
		int r = n < 0 ? -errno : -ENOSPC;

		(void)unlinkat(fd, name, 0);
		return r;
	}
	return sn_steal_fd(&file);
}

int cp_feed_folder_open_file(int fd, uint64_t first)
{
	char name[NAME_BYTES];
	int file;

	print_name(first, name);
	file = openat(fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return file < 0 ? -errno : file;
}

void cp_feed_folder_remove(int fd, uint64_t first)
{
	char name[NAME_BYTES];

	print_name(first, name);
	(void)unlinkat(fd, name, 0);
}

/* Counts what is in the file; size: up to which it is sound. */
static void count(const uint8_t *data, size_t size, uint64_t below,
		  struct cp_feed_folder_file *file)
{
	struct cp_feed_record record;
	size_t at = CP_FEED_RECORD_FILE_BYTES;

	file->read_at = at;
	file->size = at;
	while (cp_feed_record_next(data, size, &at, file->last, &record) ==
	       CP_FEED_RECORD_END_NONE) {
		file->n++;
		file->last = record.sequence;
		file->size = at;
		if (record.sequence >= below)
			continue;
		file->n_read = file->n;
		file->read_at = at;
		file->read_after = record.sequence;
	}
}

/* 0, or it is no file of ours: size stays 0. */
static int scan_file(int fd, uint64_t below, struct cp_feed_folder_file *file,
		     uint64_t *n_cut)
{
	sn_cleanup(sn_closep) int inner = -1;
	struct stat status;
	uint8_t *data;
	size_t size;

	inner = cp_feed_folder_open_file(fd, file->first);
	if (inner < 0)
		return inner;
	if (fstat(inner, &status) < 0)
		return -errno;
	size = (size_t)status.st_size;
	if (!S_ISREG(status.st_mode) || size == 0)
		return 0;
	data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, inner, 0);
	if (data == MAP_FAILED)
		return -errno;
	if (cp_feed_record_check_file(data, size))
		count(data, size, below, file);
	(void)munmap(data, size);
	if (file->size == size)
		return 0;
	(*n_cut)++;
	return ftruncate(inner, (off_t)file->size) < 0 ? -errno : 0;
}

static void insert(struct cp_feed_folder_files *files,
		   struct cp_feed_folder_file *fresh)
{
	struct cp_feed_folder_file *file;

	TAILQ_FOREACH_REVERSE(file, files, cp_feed_folder_files, link) {
		if (file->first < fresh->first)
			break;
	}
	if (file)
		TAILQ_INSERT_AFTER(files, file, fresh, link);
	else
		TAILQ_INSERT_HEAD(files, fresh, link);
}

static int add(int fd, const char *name, uint64_t below,
	       struct cp_feed_folder_files *files, uint64_t *n_cut)
{
	sn_cleanup(sn_freep) struct cp_feed_folder_file *file = NULL;
	uint64_t first;
	int r;

	if (!parse_name(name, &first))
		return 0;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	file->first = first;
	r = scan_file(fd, below, file, n_cut);
	if (r < 0)
		return r;
	/* Nothing is left to be done with it. */
	if (file->n == file->n_read) {
		cp_feed_folder_remove(fd, first);
		return 0;
	}
	insert(files, sn_steal(&file));
	return 0;
}

int cp_feed_folder_scan(int fd, uint64_t below,
			struct cp_feed_folder_files *ret, uint64_t *n_cut,
			struct sn_diag *diag)
{
	int inner = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = inner < 0 ? NULL : fdopendir(inner);
	unsigned int n = 0;
	struct dirent *entry;
	int r = 0;

	if (!folder) {
		r = -errno;
		sn_closep(&inner);
		sn_diag_set(diag, NULL, "cannot be read: %s", strerror(-r));
		return r;
	}
	while (r == 0 && n++ < CP_FEED_SPOOL_FILES_MAX &&
	       (entry = readdir(folder))) {
		r = add(fd, entry->d_name, below, ret, n_cut);
		if (r < 0)
			sn_diag_set(diag, NULL, "%s: %s", entry->d_name,
				    strerror(-r));
	}
	(void)closedir(folder);
	return r;
}

uint64_t cp_feed_folder_load(int fd)
{
	uint8_t data[CP_FEED_RECORD_POSITION_BYTES + 1];
	sn_cleanup(sn_closep) int file = -1;
	uint64_t below = 0;
	ssize_t n;

	file = openat(fd, POSITION, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	n = file < 0 ? -1 : read(file, data, sizeof(data));
	if (n > 0)
		(void)cp_feed_record_read_position(data, (size_t)n, &below);
	return below;
}

int cp_feed_folder_save(int fd, uint64_t below)
{
	uint8_t data[CP_FEED_RECORD_POSITION_BYTES];
	sn_cleanup(sn_closep) int file = -1;
	ssize_t n;

	cp_feed_record_write_position(below, data);
	file = openat(fd, POSITION_NEW,
		      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		      FILE_MODE);
	if (file < 0)
		return -errno;
	n = write(file, data, sizeof(data));
	if (n != (ssize_t)sizeof(data))
		return n < 0 ? -errno : -ENOSPC;
	return renameat(fd, POSITION_NEW, fd, POSITION) < 0 ? -errno : 0;
}
