/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which runtime events are wanted. A rule holds terms, each a field and a value
 * of it: an event matches a rule if, of every field that the rule names, one
 * value fits; a rule without an event matches none. The kernel decides by tables
 * that are made from this (controld/runtime/compile.h) and may send more than is
 * wanted, never less; what it sends is judged here again. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/abi.h"
#include "shared/diag.h"
#include "shared/util.h"

enum {
	CP_RUNTIME_RULES_NAME_BYTES = 64,
	CP_RUNTIME_RULES_TERMS_MAX = 65536, /* of all rules */
};

/* Answers of the calls below besides 0 and -errno; nothing is changed then. */
enum {
	CP_RUNTIME_RULES_E_REFUSED = 1, /* *diag says what is wrong */
	CP_RUNTIME_RULES_E_FULL, /* SN_RT_RULES_MAX or TERMS_MAX is reached */
};

struct cp_runtime_term {
	uint8_t field; /* enum sn_rt_field */
	uint64_t value[2]; /* as in struct sn_rt_match_key */
	/* Of PATH, EXE_PATH and CGROUP: absolute, without a slash at its end
	 * ("" is the root), NUL-terminated. Else NULL. */
	char *path;
	size_t path_bytes;
};

struct cp_runtime_rule {
	char name[CP_RUNTIME_RULES_NAME_BYTES];
	uint32_t fields; /* 1 << enum sn_rt_field, of its terms */
	size_t n_terms;
	struct cp_runtime_term *terms;
};

struct cp_runtime_rules;

int cp_runtime_rules_new(struct cp_runtime_rules **ret);
struct cp_runtime_rules *cp_runtime_rules_free(struct cp_runtime_rules *rules);
SN_DEFINE_CLEANUP(struct cp_runtime_rules, cp_runtime_rules_free)

size_t cp_runtime_rules_count(const struct cp_runtime_rules *rules);
/* index below the count. */
const struct cp_runtime_rule *
cp_runtime_rules_get(const struct cp_runtime_rules *rules, size_t index);
/* SN_RT_EVENT_BIT() of every event that a rule names. */
uint64_t cp_runtime_rules_events(const struct cp_runtime_rules *rules);

/* A rule that has no terms yet, behind the others. */
int cp_runtime_rules_add(struct cp_runtime_rules *rules, const char *name,
			 struct sn_diag *diag);

/* A copy of a rule, of these rules or of others, behind the others; its name is
 * not looked at. */
int cp_runtime_rules_put_rule(struct cp_runtime_rules *rules,
			      const struct cp_runtime_rule *rule);

/* Each adds a term to the rule that was added last. */
int cp_runtime_rules_put_event(struct cp_runtime_rules *rules, const char *name,
			       struct sn_diag *diag);
int cp_runtime_rules_put_result(struct cp_runtime_rules *rules, bool failed);
int cp_runtime_rules_put_uid(struct cp_runtime_rules *rules, uint32_t uid);
/* At most 15 bytes, as the kernel keeps it. */
int cp_runtime_rules_put_comm(struct cp_runtime_rules *rules, const char *comm,
			      struct sn_diag *diag);
/* Paths are compared byte for byte with what the kernel makes of a file, so
 * there is one way to write each. ret: how many bytes of it count. */
int cp_runtime_rules_check_path(const char *path, size_t *ret,
				struct sn_diag *diag);
/* What is path or lies below it; field: PATH or EXE_PATH. */
int cp_runtime_rules_put_path(struct cp_runtime_rules *rules,
			      enum sn_rt_field field, const char *path,
			      struct sn_diag *diag);
/* field: DEVINO or EXE. */
int cp_runtime_rules_put_file(struct cp_runtime_rules *rules,
			      enum sn_rt_field field, uint32_t major,
			      uint32_t minor, uint64_t inode);
/* The cgroup with this id, whose path from the root of the hierarchy on is
 * path of at most SN_RT_CGROUP_LEVELS - 1 parts, and those below it. */
int cp_runtime_rules_put_cgroup(struct cp_runtime_rules *rules, uint64_t id,
				const char *path, struct sn_diag *diag);

/* Bytes that need not be text. at NULL: not known. */
struct cp_runtime_bytes {
	const char *at;
	size_t size;
};

/* What is judged. What is not known fits every value: an event is rather told
 * than lost. */
struct cp_runtime_subject {
	enum sn_rt_event event;
	bool failed;
	uint32_t uid;
	char comm[SN_COMM_BYTES]; /* zero behind its end */
	uint64_t cgroup;
	struct cp_runtime_bytes cgroup_path;
	bool has_exe;
	uint64_t exe[2]; /* SN_RT_DEV(), inode */
	struct cp_runtime_bytes exe_path;
	bool has_file; /* false: there is none, which fits no value */
	uint64_t file[2];
	struct cp_runtime_bytes path;
	bool has_target; /* a second path, one of which PATH may name */
	struct cp_runtime_bytes target;
};

/* The rules that match, by number. Returns whether there is any. */
bool cp_runtime_rules_match(const struct cp_runtime_rules *rules,
			    const struct cp_runtime_subject *subject,
			    struct sn_rt_bits *ret);
