/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Slots: who holds which, their generations and policies. The arrays are the
 * memory of the kernel's maps, so what is stored here is in force at once; the
 * module itself makes no system call and needs no root to be tested.
 *
 * next_generation of a target is the number that is staged next. It only ever
 * rises, over all holders of the slot, and is `staged` from the first row that
 * names it until it is flipped or swept out of every table. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/tables.h"

struct dp_slots {
	uint32_t n; /* 1..n - 1 can be given out */
	__u64 *words;
	struct sn_policy *policies;
	struct sn_usage *usage;
	struct sn_target *targets;
	uint32_t *staged; /* a bit per enum sn_table with rows of it */
	uint32_t *free; /* ring of n: never used first, then longest free */
	uint32_t free_head;
	uint32_t n_free;
	uint32_t n_attached;
	uint32_t n_dirty;
};

/* Takes the arrays as they are: an earlier process' slots keep their state.
 * Returns 0 or -ENOMEM. */
int dp_slots_init(struct dp_slots *slots, uint32_t n, __u64 *words,
		  struct sn_policy *policies, struct sn_usage *usage,
		  struct sn_target *targets);
void dp_slots_done(struct dp_slots *slots);

/* An attached slot's target, else NULL; any number is taken. */
struct sn_target *dp_slots_get(const struct dp_slots *slots, uint32_t slot);
/* The attached slot with this id or object, or 0. */
uint32_t dp_slots_find_id(const struct dp_slots *slots,
			  const uint8_t id[SN_ID_BYTES]);
uint32_t dp_slots_find_interface(const struct dp_slots *slots,
				 uint32_t ifindex);
/* 0, -EEXIST: attached already, -EBUSY: an attached one above or below. */
int dp_slots_check_cgroup(const struct dp_slots *slots, __u64 id,
			  const __u64 *ancestors, size_t n_ancestors);

/* A free slot, closed and marked ATTACHING with this target; 0: none. Keeps
 * the slot's own next_generation. */
uint32_t dp_slots_take(struct dp_slots *slots, const struct sn_target *target,
		       uint32_t flow_quota);
void dp_slots_set_attached(struct dp_slots *slots, uint32_t slot);
/* Closes it; its entries are still there: DIRTY. */
void dp_slots_close(struct dp_slots *slots, uint32_t slot);
/* DIRTY to FREE, once nothing names it any more. */
void dp_slots_free(struct dp_slots *slots, uint32_t slot);

/* The generation in force, 0: none. */
uint32_t dp_slots_get_generation(const struct dp_slots *slots, uint32_t slot);
uint32_t dp_slots_get_staged(const struct dp_slots *slots, uint32_t slot);
/* May rows of this generation be put (or, if deleting, deleted)? 0 or
 * -ESTALE. */
int dp_slots_check_generation(const struct dp_slots *slots, uint32_t slot,
			      uint32_t generation, bool deleting);
/* Rows of next_generation are, or are no longer, in this table. */
void dp_slots_set_staged(struct dp_slots *slots, uint32_t slot,
			 enum sn_table table, bool staged);
/* Makes policy->generation current. 0 or -ESTALE: it is not the next one. */
int dp_slots_flip(struct dp_slots *slots, uint32_t slot,
		  const struct sn_policy *policy);
/* Every flow of the slot is judged again at its next packet. */
void dp_slots_narrow(struct dp_slots *slots, uint32_t slot);
/* An entry of sn_flows was deleted. */
void dp_slots_flow_gone(struct dp_slots *slots, uint32_t slot);
