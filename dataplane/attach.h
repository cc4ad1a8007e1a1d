/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Attachments: slot record, interface or cgroup record, links and their pins,
 * in an order that leaves nothing open and nothing unknown wherever the process
 * dies. A target's record is ATTACHING until its last link is pinned as
 * `links/<slot>-<program>`; a start undoes what is ATTACHING. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/object.h"
#include "dataplane/options.h"
#include "dataplane/slots.h"
#include "dataplane/tracefs.h"
#include "shared/ipc.h"

struct dp_attach {
	struct dp_object *object;
	struct dp_slots *slots;
	const struct dp_pins *pins;
	int socket; /* for ioctl(2) about interfaces */
	int task_link; /* of the iterator sn_task_cgroups, or -1 */
	bool allow_host_role;
	bool tcx; /* new interfaces get TCX links, else clsact filters */
	bool netlink; /* clsact filters may exist */
	const struct dp_tracefs *tracefs;
	uint32_t instance; /* of runtime programs that are on hooks */
	bool hooked[SN_RUNTIME_HOOK_COUNT]; /* they are on this one */
	int kept[SN_RUNTIME_HOOK_COUNT]; /* links without a pin, or -1 */
	uint64_t kept_until[SN_RUNTIME_HOOK_COUNT];
};

/* Returns 0, or -errno and *diag. */
int dp_attach_init(struct dp_attach *attach, struct dp_object *object,
		   struct dp_slots *slots, const struct dp_options *options,
		   const struct dp_tracefs *tracefs, struct sn_diag *diag);
void dp_attach_done(struct dp_attach *attach);

/* After an earlier process: undoes what was ATTACHING, removes pins of nobody,
 * moves links to the programs of this build if they are new. 0 or -errno. */
int dp_attach_recover(struct dp_attach *attach);

/* Carries out one ATTACH; fd is the cgroup's directory or -1. A free slot must
 * be there (-EMLINK). Returns 0 or an errno of shared/ipc.h; nothing is
 * attached then. */
int dp_attach_add(struct dp_attach *attach, const struct sn_ipc_attach *request,
		  int fd, pid_t peer, struct sn_ipc_attach_answer *answer);

/* Ends an attachment, also one whose interface or cgroup is gone. Returns 0, or
 * -errno: it stays, and can be tried again. */
int dp_attach_remove(struct dp_attach *attach, uint32_t slot);

/* Before a FLIP: programs for what the host's new block wants. 0 or -errno. */
int dp_attach_prepare(struct dp_attach *attach, uint32_t slot,
		      const struct sn_policy *policy);
/* After it, done or refused: none for what the current one does not want. Both
 * do nothing for other targets. */
void dp_attach_settle(struct dp_attach *attach, uint32_t slot);

/* sn_ipc_target.position. */
int32_t dp_attach_get_position(const struct dp_attach *attach, uint32_t slot);
