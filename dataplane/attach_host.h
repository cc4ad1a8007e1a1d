/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The host as a target: programs on the tracepoints of those events that its
 * current block wants, by shared/runtime.def, and nothing on the others. Links
 * are pinned as `links/<slot>-<program>-<hook>-<instance>`. They cannot be moved
 * to another program: new ones are made beside the old, and the instance in
 * sn_rt_host says which of both do anything. */

#include "dataplane/attach.h"

void dp_attach_host_init(struct dp_attach *attach);
void dp_attach_host_done(struct dp_attach *attach);

/* 0, -EPERM: no --runtime, -EEXIST: the host is attached. */
int dp_attach_host_check(const struct dp_attach *attach,
			 const struct sn_ipc_attach *request, int fd);

/* Whether it is the one whose rules hold. */
bool dp_attach_host_is_slot(const struct dp_attach *attach, uint32_t slot);

/* Names the slot whose rules hold; 0: none, and programs do nothing. */
void dp_attach_host_set_slot(const struct dp_attach *attach, uint32_t slot);

/* Puts programs on the hooks of these events where they are not yet. Returns 0,
 * or the first -errno: what is attached is as before, and maybe more. */
int dp_attach_host_open(struct dp_attach *attach, uint32_t slot,
			uint64_t events);

/* Takes them off the hooks that none of these events needs; off BTF tracepoints
 * a moment later, by dp_attach_host_expire. */
int dp_attach_host_close(struct dp_attach *attach, uint32_t slot,
			 uint64_t events);

/* The same for those of the current block. */
int dp_attach_host_settle(struct dp_attach *attach, uint32_t slot);

/* Closes the links whose moment is over. */
void dp_attach_host_expire(struct dp_attach *attach);
/* For poll(2): -1: there is none, else how long until the next one's is. */
int dp_attach_host_get_timeout_ms(const struct dp_attach *attach);

/* After an earlier process: the hooks of what the current block wants, with the
 * programs of this build. 0, or -errno: some hooks are missing. */
int dp_attach_host_recover(struct dp_attach *attach, uint32_t slot);

/* Whether a pin is of a link that is in use. */
bool dp_attach_host_has_link(const struct dp_attach *attach, uint32_t slot,
			     const char *name);

/* Removes a pin that no attachment has. Its link may be of a program that is put
 * on its hook again at once. */
int dp_attach_host_remove_stray(struct dp_attach *attach, uint32_t slot,
				const char *name);

/* sn_ipc_target.position. */
int32_t dp_attach_host_get_position(const struct dp_attach *attach,
				    uint32_t slot);
