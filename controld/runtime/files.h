/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Paths of files that processes read and write: the kernel tells a path with
 * the first access only, and sums those that follow by device and inode.
 * Bounded: what was not heard of for longest makes room, and its sums are told
 * without a path. Pure. */

#include "controld/runtime/record.h"

enum {
	CP_RUNTIME_FILES_MAX = 32768,
	CP_RUNTIME_FILES_BYTES_MAX = 8 << 20, /* of paths */
};

struct cp_runtime_files;

int cp_runtime_files_new(struct cp_runtime_files **ret);
struct cp_runtime_files *cp_runtime_files_free(struct cp_runtime_files *files);
SN_DEFINE_CLEANUP(struct cp_runtime_files, cp_runtime_files_free)

/* Keeps the record's file as that of its process; the one that was known for
 * the same device and inode is replaced. -ENOMEM. */
int cp_runtime_files_put(struct cp_runtime_files *files,
			 const struct cp_runtime_record *record);

/* Gives a record without a path the one that is known: head becomes a copy of
 * the record's with that file, and record points to it. Texts are good until
 * the next put. Returns whether one was known. */
bool cp_runtime_files_find(struct cp_runtime_files *files,
			   struct cp_runtime_record *record,
			   struct sn_rt_record *head);

size_t cp_runtime_files_count(const struct cp_runtime_files *files);
