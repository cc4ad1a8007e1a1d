/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What can be read of an attachment and of the manager, at any time. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "controld/dns/learnt.h"
#include "controld/policy/policy.h"
#include "shared/abi.h"
#include "shared/ipc.h"

struct cp_attach;
struct cp_attach_item;

enum cp_attach_state {
	CP_ATTACH_STATE_ENFORCED = 1,
	CP_ATTACH_STATE_DETACHED_DP = 2, /* the last policy stays enforced */
	CP_ATTACH_STATE_WAITING = 3, /* the target is not there */
	CP_ATTACH_STATE_REPAIRING = 4, /* the kernel differs from the policy */
};

enum { CP_ATTACH_INFO_DNS_ENDS = 3 }; /* allowed, blocked, failed */

enum { CP_ATTACH_NOTES_MAX = 8 };

struct cp_attach_pair {
	char *key;
	char *value;
};

/* Since the attachment was made. */
struct cp_attach_totals {
	struct sn_counters counters;
	struct sn_reasons reasons;
};

/* Borrowed pointers, good until the loop goes on. */
struct cp_attach_info {
	const char *id;
	const char *target;
	enum sn_target_type type;
	enum sn_role role;
	const struct cp_policy *policy;
	const struct cp_attach_pair *metadata;
	size_t n_metadata;
	int64_t attached_at_s; /* Unix time */
	enum cp_attach_state state;
	uint32_t generation;
	size_t n_rules; /* live ones */
	bool is_steered; /* port 53 goes to the attachment's resolver */
	enum cp_dns_mode dns_mode; /* the one in force, never NONE */
	/* One that reaches the resolver, the same for all attachments; "": none
	 * does. */
	char dns_address[INET_ADDRSTRLEN];
	size_t n_domains; /* domain rules */
	size_t n_learnt_names; /* live ones */
	size_t n_learnt_addresses;
	uint64_t dns_ends[CP_ATTACH_INFO_DNS_ENDS]; /* queries */
	int32_t position; /* as in struct sn_ipc_target */
	const char *notes[CP_ATTACH_NOTES_MAX];
	size_t n_notes;
	bool is_counted; /* totals are known: the counters are mapped */
	struct cp_attach_totals totals;
};

struct cp_attach_status {
	bool is_connected;
	bool is_ready; /* kernel and policies have been compared */
	bool has_hello;
	const char *last_error; /* why not connected */
	struct sn_ipc_hello_answer hello; /* of the last connection */
	uint64_t n_attachments;
	uint64_t n_waiting;
	uint64_t n_rules; /* prefixes in sn_rules, by the policies */
	uint64_t n_prefixes;
	uint64_t n_flows; /* as of the last poll */
	uint64_t n_slots_dirty;
	uint64_t events_lost;
	uint64_t events_limited;
	uint64_t polled_ns; /* positions are as of then; 0: never */
	uint64_t n_connected; /* times, since sentinel-cp started */
	struct sn_ipc_stats_answer stats; /* as of the last poll */
	size_t n_ops; /* changes that wait or run */
	size_t n_ops_running;
	size_t n_learns; /* that wait or run */
	uint64_t n_names_writes; /* of learnt.pb, that ended well */
	uint64_t n_names_failed;
	struct cp_dns_learnt_limits quotas;
	uint32_t flow_quota;
	uint64_t max_attachments;
};

void cp_attach_info_get(const struct cp_attach_item *item,
			struct cp_attach_info *ret);
/* Only these, where all of it would be too dear. */
const char *cp_attach_info_get_id(const struct cp_attach_item *item);
void cp_attach_info_get_status(const struct cp_attach *manager,
			       struct cp_attach_status *ret);

/* The same in two steps, for those who walk the attachments themselves: without
 * what is summed over them, and (a call each) what one adds. */
void cp_attach_info_get_base(const struct cp_attach *manager,
			     struct cp_attach_status *ret);
void cp_attach_info_count(const struct cp_attach_item *item,
			  struct cp_attach_status *ret);

/* The tables of the kernel that can become full; none before sentinel-dp has said
 * what it has. */
typedef void (*cp_attach_info_table_fn)(void *userdata, const char *name,
					uint64_t entries, uint64_t capacity);
void cp_attach_info_each_table(const struct cp_attach_status *status,
			       cp_attach_info_table_fn fn, void *userdata);

/* The little that tells whether an attachment is enforced, of each of them:
 * cheap enough to be asked for often. */
struct cp_attach_condition {
	const char *id; /* borrowed */
	enum cp_attach_state state;
	int32_t position; /* as in struct sn_ipc_target */
	bool lacks_resolver; /* port 53 is steered, and cannot be */
};
void cp_attach_info_each_condition(
	const struct cp_attach *manager,
	void (*fn)(void *userdata, const struct cp_attach_condition *condition),
	void *userdata);
