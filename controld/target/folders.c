/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/target/folders.h"

#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "controld/target/name.h"
#include "shared/util.h"

/* inotify_add_watch(2) is called on the loop: cgroup directories are memory,
 * and the path was looked up by a worker before. */

enum {
	EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
		 IN_ONLYDIR,
	PLACE_TRIES = 64, /* somebody makes directories as fast as we look */
	READS_PER_EVENT = 16,
	BUFFER_BYTES = 16384,
};

/* Lives while n_users, places and whoever iterates over them, is not 0. */
struct cp_target_folders_dir {
	int wd; /* -1: the kernel has dropped it */
	unsigned int n_users;
	LIST_HEAD(, cp_target_folders_place) places;
};

static int compare(const void *a, const void *b)
{
	const struct cp_target_folders_dir *one = a, *other = b;

	return (one->wd > other->wd) - (one->wd < other->wd);
}

static struct cp_target_folders_dir *find(struct cp_target_folders *folders,
					  int wd)
{
	struct cp_target_folders_dir key = { .wd = wd };
	void *node = tfind(&key, &folders->dirs, compare);

	return node ? *(struct cp_target_folders_dir **)node : NULL;
}

static void put_dir(struct cp_target_folders *folders,
		    struct cp_target_folders_dir *dir)
{
	if (--dir->n_users > 0)
		return;
	if (dir->wd >= 0) {
		(void)tdelete(dir, &folders->dirs, compare);
		(void)inotify_rm_watch(folders->fd, dir->wd);
	}
	free(dir);
}

/* One more user of the directory at the first `bytes` of path. */
static int get_dir(struct cp_target_folders *folders, const char *path,
		   size_t bytes, struct cp_target_folders_dir **ret)
{
	struct cp_target_folders_dir *dir;
	char name[PATH_MAX];
	int wd;

	(void)memcpy(name, path, bytes);
	name[bytes] = '\0';
	wd = inotify_add_watch(folders->fd, name, EVENTS);
	if (wd < 0)
		return -errno;
	dir = find(folders, wd);
	if (!dir) {
		dir = calloc(1, sizeof(*dir));
		if (dir)
			dir->wd = wd;
		if (!dir || !tsearch(dir, &folders->dirs, compare)) {
			free(dir);
			(void)inotify_rm_watch(folders->fd, wd);
			return -ENOMEM;
		}
	}
	dir->n_users++;
	*ret = dir;
	return 0;
}

static bool is_missing(int r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

/* The longest existing directory above path; *bytes is its length. */
static int get_nearest(struct cp_target_folders *folders, const char *path,
		       size_t *bytes, struct cp_target_folders_dir **ret)
{
	size_t at = strlen(path);
	int r;

	do {
		at = cp_target_name_parent(path, at);
		r = get_dir(folders, path, at, ret);
	} while (is_missing(r) && at > 1);
	*bytes = at;
	return r;
}

/* Where the component below the first `bytes` of path begins. */
static const char *next_name(const char *path, size_t bytes)
{
	return path + bytes + (bytes > 1 ? 1 : 0);
}

/* Whether that is another directory by now, or there is one further down: what
 * was made or removed before it was watched sent no event. */
static bool has_changed(struct cp_target_folders *folders, const char *path,
			size_t bytes, const struct cp_target_folders_dir *was)
{
	const char *next = next_name(path, bytes);
	size_t next_bytes = strcspn(next, "/");
	struct cp_target_folders_dir *dir;
	bool is_same;

	if (get_dir(folders, path, bytes, &dir) < 0)
		return true;
	is_same = dir == was;
	put_dir(folders, dir);
	if (!is_same || !next[next_bytes])
		return !is_same;
	if (get_dir(folders, path, (size_t)(next - path) + next_bytes, &dir) <
	    0)
		return false;
	put_dir(folders, dir);
	return true;
}

static void leave(struct cp_target_folders *folders,
		  struct cp_target_folders_place *place)
{
	if (!place->dir)
		return;
	LIST_REMOVE(place, link);
	put_dir(folders, place->dir);
	place->dir = NULL;
}

/* Takes the reference to dir. */
static void enter(struct cp_target_folders_user *user,
		  struct cp_target_folders_place *place,
		  struct cp_target_folders_dir *dir, size_t bytes)
{
	place->user = user;
	place->dir = dir;
	place->bytes = bytes;
	LIST_INSERT_HEAD(&dir->places, place, link);
}

void cp_target_folders_remove(struct cp_target_folders *folders,
			      struct cp_target_folders_user *user)
{
	leave(folders, &user->nearest);
	leave(folders, &user->above);
}

bool cp_target_folders_has(const struct cp_target_folders_user *user)
{
	return user->nearest.dir != NULL;
}

int cp_target_folders_put(struct cp_target_folders *folders,
			  struct cp_target_folders_user *user)
{
	struct cp_target_folders_dir *nearest, *above = NULL;
	size_t bytes = 0, above_bytes = 0;
	int r;

	for (int i = 0;; i++) {
		r = get_nearest(folders, user->path, &bytes, &nearest);
		if (r < 0)
			break;
		if (bytes > 1) {
			above_bytes = cp_target_name_parent(user->path, bytes);
			r = get_dir(folders, user->path, above_bytes, &above);
		}
		if (r == 0 &&
		    (i == PLACE_TRIES ||
		     !has_changed(folders, user->path, bytes, nearest)))
			break;
		put_dir(folders, nearest);
		if (above)
			put_dir(folders, above);
		above = NULL;
		if (r < 0 && (!is_missing(r) || i == PLACE_TRIES))
			break;
	}
	cp_target_folders_remove(folders, user);
	if (r < 0)
		return r;
	enter(user, &user->nearest, nearest, bytes);
	if (above)
		enter(user, &user->above, above, above_bytes);
	return 0;
}

static bool names_next(const struct cp_target_folders_place *place,
		       const char *name)
{
	const char *next = next_name(place->user->path, place->bytes);
	size_t bytes = strlen(name);

	return strncmp(next, name, bytes) == 0 &&
	       (next[bytes] == '\0' || next[bytes] == '/');
}

/* name NULL: all users, the directory itself is gone. What is entered anew
 * comes to the head and is not met again. */
static void tell_users(struct cp_target_folders *folders,
		       struct cp_target_folders_dir *dir, const char *name)
{
	struct cp_target_folders_place *place, *next;

	for (place = LIST_FIRST(&dir->places); place; place = next) {
		struct cp_target_folders_user *user = place->user;

		next = LIST_NEXT(place, link);
		/* Its other place may be in this list too. */
		while (next && next->user == user)
			next = LIST_NEXT(next, link);
		if (name && !names_next(place, name))
			continue;
		(void)cp_target_folders_put(folders, user);
		folders->changed(folders, user);
	}
}

static void handle(struct cp_target_folders *folders,
		   const struct inotify_event *event)
{
	struct cp_target_folders_dir *dir;

	if (event->mask & IN_Q_OVERFLOW) {
		folders->all_changed(folders);
		return;
	}
	dir = find(folders, event->wd);
	if (!dir)
		return;
	dir->n_users++;
	if (event->mask & IN_IGNORED) {
		(void)tdelete(dir, &folders->dirs, compare);
		dir->wd = -1;
		tell_users(folders, dir, NULL);
	} else if (event->len > 0) {
		tell_users(folders, dir, event->name);
	}
	put_dir(folders, dir);
}

static void polled(uv_poll_t *poll, int status, int events)
{
	struct cp_target_folders *folders =
		sn_container_of(poll, struct cp_target_folders, poll);
	_Alignas(struct inotify_event) char buffer[BUFFER_BYTES];

	(void)status;
	(void)events;
	for (int i = 0; i < READS_PER_EVENT; i++) {
		ssize_t n = read(folders->fd, buffer, sizeof(buffer));
		size_t at = 0;

		if (n <= 0)
			break;
		while (at < (size_t)n) {
			const struct inotify_event *event =
				(const void *)(buffer + at);

			handle(folders, event);
			at += sizeof(*event) + event->len;
		}
	}
}

int cp_target_folders_init(struct cp_target_folders *folders, uv_loop_t *loop)
{
	int r;

	folders->dirs = NULL;
	folders->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (folders->fd < 0)
		return sn_trace(-errno);
	r = uv_poll_init(loop, &folders->poll, folders->fd);
	if (r < 0) {
		sn_closep(&folders->fd);
		return sn_trace(r);
	}
	/* Fails only for handles that are being closed. */
	(void)uv_poll_start(&folders->poll, UV_READABLE, polled);
	return 0;
}

static void closed(uv_handle_t *handle)
{
	struct cp_target_folders *folders =
		sn_container_of((void *)handle, struct cp_target_folders, poll);

	folders->closed(folders);
}

void cp_target_folders_close(struct cp_target_folders *folders)
{
	(void)uv_poll_stop(&folders->poll);
	uv_close((uv_handle_t *)&folders->poll, closed);
	sn_closep(&folders->fd);
}
