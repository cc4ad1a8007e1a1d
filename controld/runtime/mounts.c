/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/mounts.h"

#include <errno.h>
#include <libmount/libmount.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

struct mount {
	dev_t device;
	int id; /* a later mount at the same place hides the earlier one */
	size_t root_size; /* 0 for "/": every path goes on behind it with a / */
	size_t target_size;
	const char *root;
	const char *target;
};

struct cp_runtime_mounts {
	struct libmnt_table *table; /* owns the texts */
	size_t n;
	struct mount *by_device; /* then by size of the root */
	struct mount *by_target; /* then the last one first */
};

int cp_runtime_mounts_new(struct cp_runtime_mounts **ret)
{
	struct cp_runtime_mounts *mounts = calloc(1, sizeof(*mounts));

	if (!mounts)
		return -ENOMEM;
	*ret = mounts;
	return 0;
}

static void clear(struct cp_runtime_mounts *mounts)
{
	mnt_unref_table(mounts->table);
	free(mounts->by_device);
	free(mounts->by_target);
	(void)memset(mounts, 0, sizeof(*mounts));
}

struct cp_runtime_mounts *
cp_runtime_mounts_free(struct cp_runtime_mounts *mounts)
{
	if (mounts)
		clear(mounts);
	free(mounts);
	return NULL;
}

static int compare_devices(const void *a, const void *b)
{
	const struct mount *x = a;
	const struct mount *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	if (x->root_size != y->root_size)
		return x->root_size < y->root_size ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

static int compare_paths(const char *a, size_t a_size, const char *b,
			 size_t b_size)
{
	int r = memcmp(a, b, SN_MIN(a_size, b_size));

	return r ? r : (a_size > b_size) - (a_size < b_size);
}

static int compare_targets(const void *a, const void *b)
{
	const struct mount *x = a;
	const struct mount *y = b;
	int r = compare_paths(x->target, x->target_size, y->target,
			      y->target_size);

	return r ? r : (x->id < y->id) - (x->id > y->id);
}

static size_t size_of(const char *path)
{
	return strcmp(path, "/") == 0 ? 0 : strlen(path);
}

/* Fills both arrays from the table. A root that the kernel cannot name is that
 * of a folder which was removed ("/x//deleted"): nothing is to be found there. */
static int fill(struct cp_runtime_mounts *mounts, size_t n)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;

	mounts->by_device = calloc(n, sizeof(*mounts->by_device));
	mounts->by_target = calloc(n, sizeof(*mounts->by_target));
	if (!iter || !mounts->by_device || !mounts->by_target) {
		mnt_free_iter(iter);
		return -ENOMEM;
	}
	while (mounts->n < n &&
	       mnt_table_next_fs(mounts->table, iter, &fs) == 0) {
		const char *root = mnt_fs_get_root(fs);
		const char *target = mnt_fs_get_target(fs);

		if (!root || !target || root[0] != '/' || target[0] != '/' ||
		    strstr(root, "//deleted"))
			continue;
		mounts->by_device[mounts->n++] = (struct mount){
			.device = mnt_fs_get_devno(fs),
			.id = mnt_fs_get_id(fs),
			.root = root,
			.root_size = size_of(root),
			.target = target,
			.target_size = size_of(target),
		};
	}
	mnt_free_iter(iter);
	(void)memcpy(mounts->by_target, mounts->by_device,
		     mounts->n * sizeof(*mounts->by_target));
	qsort(mounts->by_device, mounts->n, sizeof(*mounts->by_device),
	      compare_devices);
	qsort(mounts->by_target, mounts->n, sizeof(*mounts->by_target),
	      compare_targets);
	return 0;
}

int cp_runtime_mounts_load(struct cp_runtime_mounts *mounts, const char *path)
{
	struct cp_runtime_mounts fresh = { .table = mnt_new_table() };
	int n;
	int r = -ENOMEM;

	if (fresh.table) {
		errno = 0;
		r = mnt_table_parse_file(fresh.table, path);
		if (r > 0)
			r = errno > 0 ? -errno : -EINVAL;
	}
	n = r < 0 ? 0 : mnt_table_get_nents(fresh.table);
	if (n > CP_RUNTIME_MOUNTS_MAX)
		r = -E2BIG;
	else if (n > 0)
		r = fill(&fresh, (size_t)n);
	if (r < 0) {
		clear(&fresh);
		return sn_trace(r);
	}
	clear(mounts);
	*mounts = fresh;
	return 0;
}

static bool is_below(const char *path, size_t size, const char *folder,
		     size_t folder_size)
{
	return size >= folder_size && memcmp(path, folder, folder_size) == 0 &&
	       (size == folder_size || path[folder_size] == '/');
}

static const struct mount *find_target(const struct cp_runtime_mounts *mounts,
				       const char *path, size_t size)
{
	size_t low = 0, high = mounts->n;

	/* The first one that is not before it: the last that was mounted. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct mount *mount = &mounts->by_target[middle];

		if (compare_paths(mount->target, mount->target_size, path,
				  size) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < mounts->n && mounts->by_target[low].target_size == size &&
	    memcmp(mounts->by_target[low].target, path, size) == 0)
		return &mounts->by_target[low];
	return NULL;
}

/* The mount in which path is seen. */
static const struct mount *find_cover(const struct cp_runtime_mounts *mounts,
				      const char *path, size_t size)
{
	const struct mount *mount = find_target(mounts, path, size);

	while (!mount && size > 0) {
		size--;
		if (path[size] == '/')
			mount = find_target(mounts, path, size);
	}
	return mount;
}

static size_t find_first(const struct cp_runtime_mounts *mounts, dev_t device)
{
	size_t low = 0, high = mounts->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (mounts->by_device[middle].device < device)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int cp_runtime_mounts_find(const struct cp_runtime_mounts *mounts,
			   uint32_t major, uint32_t minor, const char *fs_path,
			   size_t size, char *ret, size_t ret_bytes)
{
	dev_t device = makedev(major, minor);
	int answer = CP_RUNTIME_MOUNTS_E_NOWHERE;

	if (size == 1 && fs_path[0] == '/')
		size = 0;
	for (size_t i = find_first(mounts, device);
	     i < mounts->n && mounts->by_device[i].device == device; i++) {
		const struct mount *mount = &mounts->by_device[i];
		const struct mount *cover;
		size_t rest_size, n;

		if (!is_below(fs_path, size, mount->root, mount->root_size))
			continue;
		rest_size = size - mount->root_size;
		n = mount->target_size + rest_size;
		if (n + 2 > ret_bytes) {
			answer = CP_RUNTIME_MOUNTS_E_LONG;
			continue;
		}
		(void)memcpy(ret, mount->target, mount->target_size);
		(void)memcpy(ret + mount->target_size,
			     fs_path + mount->root_size, rest_size);
		cover = find_cover(mounts, ret, n);
		if (!cover || cover->id != mount->id)
			continue;
		if (n == 0)
			ret[n++] = '/';
		ret[n] = '\0';
		return 0;
	}
	return answer;
}
