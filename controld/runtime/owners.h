/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which attachment the cgroup of a process belongs to, and what it was attached
 * with. Answers are kept for a second, or until an attachment is made or ends, and
 * as many as 256 cgroups are looked up in that time: attachments are compared by
 * their paths, one after the other. */

#include "controld/attach/attach.h"
#include "controld/runtime/rules.h"

enum { CP_RUNTIME_OWNERS_NAME_BYTES = 254 }; /* as names in Kubernetes */

/* Texts are "" if they are not known. */
struct cp_runtime_owner {
	char attachment[CP_ATTACH_ID_CHARS + 1];
	char pod[CP_RUNTIME_OWNERS_NAME_BYTES]; /* metadata k8s.io/pod */
	char namespace[CP_RUNTIME_OWNERS_NAME_BYTES]; /* k8s.io/namespace */
};

struct cp_runtime_owners;

/* Where the hierarchy of cgroups is mounted; "": nowhere. */
typedef void (*cp_runtime_owners_mount_fn)(char *ret, size_t ret_bytes);

/* Observes the manager, which is to live longer. */
int cp_runtime_owners_new(struct cp_runtime_owners **ret,
			  struct cp_attach *manager,
			  cp_runtime_owners_mount_fn find_mount);
struct cp_runtime_owners *
cp_runtime_owners_free(struct cp_runtime_owners *owners);
SN_DEFINE_CLEANUP(struct cp_runtime_owners, cp_runtime_owners_free)

/* A second has passed. */
void cp_runtime_owners_forget(struct cp_runtime_owners *owners);

/* path: of the cgroup with this id, from the root of the hierarchy on. *ret is
 * good until the next call. */
const struct cp_runtime_owner *
cp_runtime_owners_find(struct cp_runtime_owners *owners, uint64_t cgroup,
		       struct cp_runtime_bytes path);
