/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An event as rules look at it: texts are made ready (cleaned, hashed at the
 * boundaries of paths) when the first rule asks for them. */

#include "controld/policy/cidr.h"
#include "controld/rules/state.h"

enum cp_rules_source {
	CP_RULES_SOURCE_FILE,
	CP_RULES_SOURCE_TARGET,
	CP_RULES_SOURCE_EXECUTABLE,
	CP_RULES_SOURCE_CGROUP,
	CP_RULES_SOURCE_COMM,
	CP_RULES_SOURCE_CALL,
	CP_RULES_SOURCE_NAMESPACE,
	CP_RULES_SOURCE_POD,
	CP_RULES_SOURCE_PARENT_COMM,
	CP_RULES_SOURCE_PARENT_EXECUTABLE,
	CP_RULES_SOURCE_COUNT,
};

enum cp_rules_known {
	CP_RULES_KNOWN_ABSENT, /* there is none: no value fits */
	CP_RULES_KNOWN_NOT, /* there is one, which the event does not tell */
	CP_RULES_KNOWN_YES,
};

struct cp_rules_bound {
	uint64_t hash; /* cp_rules_set_hash() of the first size bytes */
	size_t size;
};

struct cp_rules_text {
	enum cp_rules_known known;
	/* If not known: the last bytes of it, or NULL. "/" is empty. */
	const char *at;
	size_t size;
	uint64_t hash; /* of all of it */
	/* Of an absolute path: its prefixes that end at a boundary, up to as many
	 * as rules may name. */
	size_t n_bounds;
	struct cp_rules_bound bounds[SN_RT_DEPTH_MAX];
};

enum { CP_RULES_VIEW_NAMES_MAX = 64 }; /* of an address */

struct cp_rules_view_names {
	size_t n;
	bool is_cut; /* there are more */
	struct cp_dns_name names[CP_RULES_VIEW_NAMES_MAX];
};

struct cp_rules_view {
	const struct cp_rules_subject *subject;
	const Sentinel__V1__RuntimeEvent *event;
	const Sentinel__V1__RuntimeProcess *process;
	enum sn_rt_event kind;
	uint32_t ready; /* 1 << enum cp_rules_source */
	bool has_parent; /* was asked for */
	bool has_address; /* was read */
	bool is_address;
	bool has_names; /* were asked for */
	struct cp_policy_cidr address;
	struct cp_rules_view_names names;
	const Sentinel__V1__RuntimeProcess *parent;
	struct cp_rules_text texts[CP_RULES_SOURCE_COUNT];
	char file[SN_RT_PATH_MAX + 1]; /* cleaned */
	char target[SN_RT_PATH_MAX + 1];
};

/* False: it is none that rules judge. The subject is used until the next. */
bool cp_rules_view_set(struct cp_rules_view *view,
		       const struct cp_rules_subject *subject);

const struct cp_rules_text *cp_rules_view_get(struct cp_rules_view *view,
					      enum cp_rules_source source);

/* The host prefix of the other end, or of what is bound; NULL: there is none. */
const struct cp_policy_cidr *
cp_rules_view_get_address(struct cp_rules_view *view);

/* By which the process learnt the address that it connects to; none of another
 * event. */
const struct cp_rules_view_names *
cp_rules_view_get_names(struct cp_rules_view *view);

/* NULL: not known. */
const Sentinel__V1__RuntimeProcess *
cp_rules_view_get_parent(struct cp_rules_view *view);
