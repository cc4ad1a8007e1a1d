/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/owners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controld/attach/observe.h"

enum { PLACES = 256, MOUNT_BYTES = 2 * SN_RT_PATH_MAX };

struct place {
	uint64_t cgroup; /* 0: free */
	struct cp_runtime_owner owner;
};

struct cp_runtime_owners {
	struct cp_attach *manager;
	struct cp_attach_observer observer;
	cp_runtime_owners_mount_fn find_mount;
	char mount[MOUNT_BYTES]; /* of the hierarchy */
	unsigned int n_looked; /* in this second */
	struct place places[PLACES];
};

static const struct cp_runtime_owner nobody;

/* With the bound begun anew: whoever makes and ends attachments does more work
 * for each than as many comparisons are. */
static void clear(struct cp_runtime_owners *owners)
{
	owners->n_looked = 0;
	for (size_t i = 0; i < PLACES; i++)
		owners->places[i].cgroup = 0;
}

static void attached(void *userdata, const struct cp_attach_item *item)
{
	(void)item;
	clear(userdata);
}

static void ended(void *userdata, const struct cp_attach_item *item,
		  bool is_gone)
{
	(void)item;
	(void)is_gone;
	clear(userdata);
}

int cp_runtime_owners_new(struct cp_runtime_owners **ret,
			  struct cp_attach *manager,
			  cp_runtime_owners_mount_fn find_mount)
{
	struct cp_runtime_owners *owners = calloc(1, sizeof(*owners));

	if (!owners)
		return -ENOMEM;
	owners->manager = manager;
	owners->find_mount = find_mount;
	find_mount(owners->mount, sizeof(owners->mount));
	owners->observer = (struct cp_attach_observer){
		.userdata = owners,
		.attached = attached,
		.ended = ended,
	};
	cp_attach_observe_add(manager, &owners->observer);
	*ret = owners;
	return 0;
}

struct cp_runtime_owners *
cp_runtime_owners_free(struct cp_runtime_owners *owners)
{
	if (!owners)
		return NULL;
	cp_attach_observe_remove(&owners->observer);
	free(owners);
	return NULL;
}

void cp_runtime_owners_forget(struct cp_runtime_owners *owners)
{
	if (owners->n_looked == 0)
		return;
	clear(owners);
	owners->find_mount(owners->mount, sizeof(owners->mount));
}

/* How much of the path is the attachment's; 0: it is not in it. */
static size_t measure(const struct cp_runtime_owners *owners,
		      const struct cp_attach_info *info,
		      struct cp_runtime_bytes path)
{
	size_t mount = strlen(owners->mount);
	const char *inside = info->target + mount;
	size_t size;

	if (info->type != SN_TARGET_CGROUP || mount == 0 ||
	    strncmp(info->target, owners->mount, mount) != 0)
		return 0;
	size = strlen(inside);
	if (size > path.size || memcmp(path.at, inside, size) != 0 ||
	    (size < path.size && path.at[size] != '/'))
		return 0;
	return size;
}

static void copy(const char *text, char ret[CP_RUNTIME_OWNERS_NAME_BYTES])
{
	if (strlen(text) < CP_RUNTIME_OWNERS_NAME_BYTES)
		(void)memcpy(ret, text, strlen(text) + 1);
}

static void fill(const struct cp_attach_info *info,
		 struct cp_runtime_owner *ret)
{
	*ret = nobody;
	(void)memcpy(ret->attachment, info->id,
		     strnlen(info->id, CP_ATTACH_ID_CHARS));
	for (size_t i = 0; i < info->n_metadata; i++) {
		const struct cp_attach_pair *pair = &info->metadata[i];

		if (strcmp(pair->key, "k8s.io/pod") == 0)
			copy(pair->value, ret->pod);
		if (strcmp(pair->key, "k8s.io/namespace") == 0)
			copy(pair->value, ret->namespace);
	}
}

/* The nearest one. */
static void look(const struct cp_runtime_owners *owners,
		 struct cp_runtime_bytes path, struct cp_runtime_owner *ret)
{
	const struct cp_attach_item *item;
	struct cp_attach_info info;
	size_t best = 0;

	*ret = nobody;
	for (item = cp_attach_get_next(owners->manager, NULL); item;
	     item = cp_attach_get_next(owners->manager, info.id)) {
		size_t size;

		cp_attach_info_get(item, &info);
		size = measure(owners, &info, path);
		if (size <= best)
			continue;
		best = size;
		fill(&info, ret);
	}
}

const struct cp_runtime_owner *
cp_runtime_owners_find(struct cp_runtime_owners *owners, uint64_t cgroup,
		       struct cp_runtime_bytes path)
{
	struct place *place = &owners->places[cgroup % PLACES];

	if (place->cgroup == cgroup)
		return &place->owner;
	if (!path.at || cgroup == 0 || owners->n_looked == PLACES)
		return &nobody;
	owners->n_looked++;
	place->cgroup = cgroup;
	look(owners, path, &place->owner);
	return &place->owner;
}
