/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Detection rules: which runtime events are findings. A rule names events, a
 * block of what has to fit (of every key one value), and blocks that take an
 * event out again. What of it the kernel can decide goes there as a rule of
 * controld/runtime/rules.h, which wants no less; the rest is judged here, by an
 * index (controld/rules/state.h). Pure: text to a set that never changes. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/runtime/rules.h"
#include "shared/diag.h"
#include "shared/util.h"

enum {
	CP_RULES_MAX = SN_RT_RULES_MAX,
	CP_RULES_BYTES_MAX = 1 << 20, /* of a file */
	CP_RULES_VALUES_MAX = 65536, /* of all lists, after what they include */
	CP_RULES_NAME_BYTES = CP_RUNTIME_RULES_NAME_BYTES,
};

/* Answers besides 0 and -errno; nothing is changed then. */
enum {
	CP_RULES_E_REFUSED = 1, /* *diag says where and why */
	CP_RULES_E_FULL, /* the kernel's part has no more room */
};

enum cp_rules_severity {
	CP_RULES_SEVERITY_DEBUG,
	CP_RULES_SEVERITY_INFO,
	CP_RULES_SEVERITY_NOTICE,
	CP_RULES_SEVERITY_WARNING,
	CP_RULES_SEVERITY_ERROR,
	CP_RULES_SEVERITY_CRITICAL,
};

/* "debug" and so on, ended by NULL. */
extern const char *const cp_rules_severities[];

/* Texts are UTF-8 without control characters, and the set's. */
struct cp_rules_rule {
	const char *name; /* no other one has it */
	const char *description; /* "": none */
	bool enabled;
	enum cp_rules_severity severity;
	uint64_t events; /* SN_RT_EVENT_BIT() */
	char *const *tags;
	size_t n_tags;
	unsigned int line; /* where it begins in its file */
};

struct cp_rules;

/* name: of the text, for diag. *ret has one reference. */
int cp_rules_load(struct cp_rules **ret, const char *text, size_t size,
		  const char *name, struct sn_diag *diag);
/* The same of a regular file; diag is set for -errno too if it cannot be
 * read. */
int cp_rules_load_file(struct cp_rules **ret, const char *path,
		       struct sn_diag *diag);

/* Not atomic: one thread. unref accepts NULL and returns it. */
struct cp_rules *cp_rules_ref(struct cp_rules *rules);
struct cp_rules *cp_rules_unref(struct cp_rules *rules);
SN_DEFINE_CLEANUP(struct cp_rules, cp_rules_unref)

/* In the order of the file, enabled or not. */
size_t cp_rules_count(const struct cp_rules *rules);
/* index below the count. */
const struct cp_rules_rule *cp_rules_get(const struct cp_rules *rules,
					 size_t index);
/* SN_RT_EVENT_BIT() of what enabled rules name. */
uint64_t cp_rules_events(const struct cp_rules *rules);

/* Adds the kernel's part of each enabled rule to wanted: a rule of the same
 * name that wants all that this one may hit, and more. Cgroups get the ids that
 * find says, NULL: 0. If it fails, wanted is to be thrown away. */
int cp_rules_put_wanted(const struct cp_rules *rules,
			struct cp_runtime_rules *wanted,
			uint64_t (*find)(const char *cgroup),
			struct sn_diag *diag);
