/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/slots.h"

#include <stdlib.h>
#include <string.h>

#include "shared/util.h"

static void put_free(struct dp_slots *slots, uint32_t slot)
{
	slots->free[(slots->free_head + slots->n_free) % slots->n] = slot;
	slots->n_free++;
}

/* An unknown state is a torn or foreign record: nothing is known to be
 * attached under it, so its entries are swept before it is used. */
static void adopt(struct dp_slots *slots, uint32_t slot)
{
	struct sn_target *target = &slots->targets[slot];
	uint32_t generation = SN_WORD_GENERATION(slots->words[slot]);

	switch ((enum sn_target_state)target->state) {
	case SN_TARGET_FREE:
		return;
	case SN_TARGET_ATTACHING:
	case SN_TARGET_ATTACHED:
		/* A death between the two stores of a flip. */
		if (target->next_generation <= generation)
			target->next_generation = generation + 1;
		/* Or between the rows of a narrowing batch and its bump. */
		dp_slots_narrow(slots, slot);
		slots->n_attached++;
		return;
	case SN_TARGET_DIRTY:
		break;
	}
	target->state = SN_TARGET_DIRTY;
	slots->n_dirty++;
}

int dp_slots_init(struct dp_slots *slots, uint32_t n, __u64 *words,
		  struct sn_policy *policies, struct sn_usage *usage,
		  struct sn_target *targets)
{
	(void)memset(slots, 0, sizeof(*slots));
	slots->n = n;
	slots->words = words;
	slots->policies = policies;
	slots->usage = usage;
	slots->targets = targets;
	slots->staged = calloc(n, sizeof(*slots->staged));
	slots->free = calloc(n, sizeof(*slots->free));
	if (!slots->staged || !slots->free) {
		dp_slots_done(slots);
		return -ENOMEM;
	}
	for (uint32_t slot = 1; slot < n; slot++) {
		adopt(slots, slot);
		if (targets[slot].state == SN_TARGET_FREE &&
		    !targets[slot].next_generation)
			put_free(slots, slot);
	}
	for (uint32_t slot = 1; slot < n; slot++) {
		if (targets[slot].state == SN_TARGET_FREE &&
		    targets[slot].next_generation)
			put_free(slots, slot);
	}
	return 0;
}

void dp_slots_done(struct dp_slots *slots)
{
	free(slots->staged);
	free(slots->free);
	slots->staged = NULL;
	slots->free = NULL;
}

struct sn_target *dp_slots_get(const struct dp_slots *slots, uint32_t slot)
{
	if (slot == 0 || slot >= slots->n ||
	    slots->targets[slot].state != SN_TARGET_ATTACHED)
		return NULL;
	return &slots->targets[slot];
}

uint32_t dp_slots_find_id(const struct dp_slots *slots,
			  const uint8_t id[SN_ID_BYTES])
{
	for (uint32_t slot = 1; slot < slots->n; slot++) {
		const struct sn_target *target = dp_slots_get(slots, slot);

		if (target && memcmp(target->id, id, SN_ID_BYTES) == 0)
			return slot;
	}
	return 0;
}

uint32_t dp_slots_find_interface(const struct dp_slots *slots, uint32_t ifindex)
{
	for (uint32_t slot = 1; slot < slots->n; slot++) {
		const struct sn_target *target = dp_slots_get(slots, slot);

		if (target && target->type == SN_TARGET_TC &&
		    target->object == ifindex)
			return slot;
	}
	return 0;
}

static bool is_among(__u64 id, const __u64 *ids, size_t n_ids)
{
	for (size_t i = 0; i < n_ids; i++) {
		if (ids[i] == id)
			return true;
	}
	return false;
}

int dp_slots_check_cgroup(const struct dp_slots *slots, __u64 id,
			  const __u64 *ancestors, size_t n_ancestors)
{
	for (uint32_t slot = 1; slot < slots->n; slot++) {
		const struct sn_target *target = dp_slots_get(slots, slot);

		if (!target || target->type != SN_TARGET_CGROUP)
			continue;
		if (target->object == id)
			return -EEXIST;
		if (is_among(target->object, ancestors, n_ancestors) ||
		    is_among(id, target->ancestors,
			     SN_MIN(target->n_ancestors, SN_ANCESTORS_MAX)))
			return -EBUSY;
	}
	return 0;
}

static void store_word(struct dp_slots *slots, uint32_t slot, __u64 word)
{
	__atomic_store_n(&slots->words[slot], word, __ATOMIC_RELEASE);
}

uint32_t dp_slots_take(struct dp_slots *slots, const struct sn_target *target,
		       uint32_t flow_quota)
{
	struct sn_target record = *target;
	struct sn_target *into;
	uint32_t slot;

	if (!slots->n_free)
		return 0;
	slot = slots->free[slots->free_head];
	slots->free_head = (slots->free_head + 1) % slots->n;
	slots->n_free--;

	store_word(slots, slot, 0);
	slots->usage[slot] = (struct sn_usage){ .flow_quota = flow_quota };
	slots->staged[slot] = 0;
	into = &slots->targets[slot];
	/* The state is written last: a record is whole or FREE. */
	record.state = SN_TARGET_FREE;
	record.next_generation = SN_MAX(into->next_generation, 1U);
	*into = record;
	__atomic_store_n(&into->state, SN_TARGET_ATTACHING, __ATOMIC_RELEASE);
	slots->n_attached++;
	return slot;
}

void dp_slots_set_attached(struct dp_slots *slots, uint32_t slot)
{
	__atomic_store_n(&slots->targets[slot].state, SN_TARGET_ATTACHED,
			 __ATOMIC_RELEASE);
}

void dp_slots_close(struct dp_slots *slots, uint32_t slot)
{
	store_word(slots, slot, 0);
	slots->staged[slot] = 0;
	/* A staged number had entries, which the sweep will remove. */
	__atomic_store_n(&slots->targets[slot].state, SN_TARGET_DIRTY,
			 __ATOMIC_RELEASE);
	slots->n_attached--;
	slots->n_dirty++;
}

void dp_slots_free(struct dp_slots *slots, uint32_t slot)
{
	slots->usage[slot] = (struct sn_usage){ 0 };
	__atomic_store_n(&slots->targets[slot].state, SN_TARGET_FREE,
			 __ATOMIC_RELEASE);
	slots->n_dirty--;
	put_free(slots, slot);
}

uint32_t dp_slots_get_generation(const struct dp_slots *slots, uint32_t slot)
{
	return SN_WORD_GENERATION(slots->words[slot]);
}

uint32_t dp_slots_get_staged(const struct dp_slots *slots, uint32_t slot)
{
	return slots->staged[slot] ? slots->targets[slot].next_generation : 0;
}

int dp_slots_check_generation(const struct dp_slots *slots, uint32_t slot,
			      uint32_t generation, bool deleting)
{
	uint32_t next = slots->targets[slot].next_generation;

	if (generation == 0 || generation > next)
		return -ESTALE;
	if (generation == next || deleting ||
	    generation == dp_slots_get_generation(slots, slot))
		return 0;
	return -ESTALE;
}

void dp_slots_set_staged(struct dp_slots *slots, uint32_t slot,
			 enum sn_table table, bool staged)
{
	uint32_t bit = 1U << table;

	if (staged)
		slots->staged[slot] |= bit;
	else
		slots->staged[slot] &= ~bit;
}
_Static_assert((int)SN_TABLE_COUNT <= 32, "one bit each");

int dp_slots_flip(struct dp_slots *slots, uint32_t slot,
		  const struct sn_policy *policy)
{
	struct sn_target *target = &slots->targets[slot];
	uint32_t generation = policy->generation;
	struct sn_policy *block;

	if (generation != target->next_generation || generation == UINT32_MAX)
		return -ESTALE;
	block = &slots->policies[2 * slot + (generation & 1)];
	__atomic_store_n(&block->generation, 0, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	(void)memcpy((char *)block + sizeof(block->generation),
		     (const char *)policy + sizeof(policy->generation),
		     sizeof(*block) - sizeof(block->generation));
	__atomic_store_n(&block->generation, generation, __ATOMIC_RELEASE);
	store_word(slots, slot, SN_WORD(generation, 0));
	/* adopt() makes up for a death right here. */
	__atomic_store_n(&target->next_generation, generation + 1,
			 __ATOMIC_RELEASE);
	slots->staged[slot] = 0;
	return 0;
}

_Static_assert(offsetof(struct sn_policy, generation) == 0, "copied apart");

void dp_slots_narrow(struct dp_slots *slots, uint32_t slot)
{
	__u64 word = slots->words[slot];
	uint32_t generation = SN_WORD_GENERATION(word);

	if (generation)
		store_word(slots, slot,
			   SN_WORD(generation, (uint32_t)word + 1U));
}

void dp_slots_flow_gone(struct dp_slots *slots, uint32_t slot)
{
	uint32_t *flows;
	uint32_t seen;

	if (slot >= slots->n)
		return;
	flows = &slots->usage[slot].flows;
	seen = __atomic_load_n(flows, __ATOMIC_RELAXED);
	while (seen &&
	       !__atomic_compare_exchange_n(flows, &seen, seen - 1, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}
