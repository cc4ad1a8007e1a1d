/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Judging events by a set of rules: what changes while it is done. Counts
 * and windows of rates are those of a rule's name, so that they outlive a set.
 * Pure: the time comes with the event.
 *
 * What an event does not tell although it is there (a path that was cut, an
 * executable that is not known) fits in `match` and does not in `exceptions`, so
 * that nobody hides behind it. Not so parents, pods, namespaces and names of
 * destinations, which are often not known: these fit nowhere then. */

#include <stddef.h>
#include <stdint.h>

#include "controld/dns/name.h"
#include "controld/policy/cidr.h"
#include "controld/rules/rules.h"
#include "sentinel/v1/runtime.pb-c.h"

enum {
	CP_RULES_STATE_TEXT_BYTES = 1024, /* of an output, with its NUL */
	CP_RULES_STATE_WINDOWS_MAX = 4096, /* keys of rates, of all rules */
	CP_RULES_STATE_WINDOWS_BYTES_MAX = 4 << 20,
};

struct cp_rules_subject {
	const Sentinel__V1__RuntimeEvent *event;
	/* The process that made this one, asked for only where a rule has to
	 * know. NULL, also as its answer: not known. Good for the call. */
	const Sentinel__V1__RuntimeProcess *(*get_parent)(
		void *userdata, const Sentinel__V1__RuntimeProcess *process);
	/* The n-th name by which this process learnt the address (a host prefix),
	 * asked for only where a rule has to know. NULL: none is known. */
	bool (*get_name)(void *userdata, const struct cp_policy_cidr *address,
			 size_t n, struct cp_dns_name *ret);
	void *userdata;
};

struct cp_rules_hit {
	size_t rule; /* index in the set */
	/* The rule's output: UTF-8, control characters as \xNN. */
	const char *text;
	uint64_t count; /* events that it stands for: 1, or those of a rate */
};

/* hit: for the call only. It must not judge, nor change the set. */
typedef void (*cp_rules_hit_fn)(void *userdata, const struct cp_rules_hit *hit);

struct cp_rules_count {
	uint64_t hits;
	uint64_t last_ns; /* of the last one, as judge() was told; 0: none */
};

struct cp_rules_state;

/* Takes a reference of its own. -ENOMEM. */
int cp_rules_state_new(struct cp_rules_state **ret, struct cp_rules *rules);
struct cp_rules_state *cp_rules_state_free(struct cp_rules_state *state);
SN_DEFINE_CLEANUP(struct cp_rules_state, cp_rules_state_free)

/* From now on by this set. -ENOMEM: as before. */
int cp_rules_state_put(struct cp_rules_state *state, struct cp_rules *rules);
/* The set in force, borrowed. */
struct cp_rules *cp_rules_state_get(const struct cp_rules_state *state);

/* Calls hit for each enabled rule that the event hits, in the order of the file;
 * gaps and other events without a process hit none. now_ns: any clock that does
 * not go back. Returns how many there were. */
size_t cp_rules_state_judge(struct cp_rules_state *state,
			    const struct cp_rules_subject *subject,
			    uint64_t now_ns, cp_rules_hit_fn hit,
			    void *userdata);

/* index below the count of the set. */
struct cp_rules_count
cp_rules_state_get_count(const struct cp_rules_state *state, size_t index);

/* Keys of rates that had to make room: what was counted of them is lost. */
uint64_t cp_rules_state_get_forgotten(const struct cp_rules_state *state);
