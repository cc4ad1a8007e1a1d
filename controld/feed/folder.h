/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The folder of a spool: which files there are and what is in them. Blocking. */

#include <sys/queue.h>

#include "controld/feed/record.h"
#include "controld/feed/spool.h"

/* A file. */
struct cp_feed_folder_file {
	TAILQ_ENTRY(cp_feed_folder_file) link;
	uint64_t first; /* sequence, by which it is named */
	uint64_t last;
	uint64_t size;
	uint64_t n; /* records */
	uint64_t n_read;
	uint64_t read_at; /* offset of the first one that is not read */
	uint64_t read_after; /* sequence of the one before */
};

TAILQ_HEAD(cp_feed_folder_files, cp_feed_folder_file);

/* Opens and locks the folder: an fd, or -errno and *diag. */
int cp_feed_folder_open(const char *path, struct sn_diag *diag);

/* The files in the order of their names, each read once; below: what was
 * answered. *n_cut: files whose end was cut off. */
int cp_feed_folder_scan(int fd, uint64_t below,
			struct cp_feed_folder_files *ret, uint64_t *n_cut,
			struct sn_diag *diag);
/* A new one: an fd, or -errno. */
int cp_feed_folder_create(int fd, uint64_t first);
int cp_feed_folder_open_file(int fd, uint64_t first);
void cp_feed_folder_remove(int fd, uint64_t first);

/* The file `position`; 0: there is none that can be read. */
uint64_t cp_feed_folder_load(int fd);
int cp_feed_folder_save(int fd, uint64_t below);
