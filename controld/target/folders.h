/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tells when a directory may have come or gone, by inotify on its parent (or,
 * while that is missing, on the nearest directory above it that exists) and on
 * the one above, because a cgroup directory that is removed says nothing to
 * its own watch. Many children of one parent share a watch. Embedded in its
 * owner. */

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

struct cp_target_folders_dir;

/* One watched directory of a user; bytes: of the user's path. */
struct cp_target_folders_place {
	LIST_ENTRY(cp_target_folders_place) link;
	struct cp_target_folders_user *user;
	struct cp_target_folders_dir *dir; /* NULL: not in use */
	size_t bytes;
};

/* A directory of interest, embedded in its owner. The owner sets path (see
 * cp_target_name_is_cgroup(), stays as it is while placed); the rest belongs
 * to this module and begins as zero. */
struct cp_target_folders_user {
	const char *path;
	struct cp_target_folders_place nearest;
	struct cp_target_folders_place above;
};

/* changed: look again; it may place and remove no user. all_changed: the same
 * for every user, events were lost. */
struct cp_target_folders {
	uv_poll_t poll;
	int fd;
	void *dirs; /* tsearch(3), by watch descriptor */
	void (*changed)(struct cp_target_folders *folders,
			struct cp_target_folders_user *user);
	void (*all_changed)(struct cp_target_folders *folders);
	void (*closed)(struct cp_target_folders *folders);
};

/* The three functions are set by the caller before. After success only
 * cp_target_folders_close() ends it, after failure there is nothing to undo. */
int cp_target_folders_init(struct cp_target_folders *folders, uv_loop_t *loop);

/* Watches from now on, so look after it. A placed user is placed anew. -ENOSPC:
 * no inotify watch is left; the user is not placed then. */
int cp_target_folders_put(struct cp_target_folders *folders,
			  struct cp_target_folders_user *user);
bool cp_target_folders_has(const struct cp_target_folders_user *user);
void cp_target_folders_remove(struct cp_target_folders *folders,
			      struct cp_target_folders_user *user);

/* All users must have been removed. Calls folders->closed from the loop. */
void cp_target_folders_close(struct cp_target_folders *folders);
