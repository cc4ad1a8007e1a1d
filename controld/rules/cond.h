/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One key of a block with its values, compiled. Macros are the block's. */

#include "controld/policy/ports.h"
#include "controld/rules/env.h"
#include "controld/rules/glob.h"
#include "controld/rules/set.h"
#include "controld/rules/view.h"

enum cp_rules_fit {
	CP_RULES_FIT_NO,
	CP_RULES_FIT_YES,
	CP_RULES_FIT_UNKNOWN, /* what it is about is there and not known */
};

struct cp_rules_cond {
	enum cp_rules_key key;
	struct cp_rules_texts texts;
	/* What of these there is depends on the key. */
	uint32_t bits;
	struct cp_rules_set *set; /* texts, or the bytes of numbers below */
	uint32_t *numbers; /* by text: of users, of macros */
	struct cp_rules_glob **globs;
	struct cp_policy_ports *ports;
	struct cp_policy_cidr *cidrs;
	struct cp_rules_remote_name *names; /* two by text */
	uint64_t lengths[3]; /* of CIDRs: bits 0 to 128; labels of names */
};

/* 0, -ENOMEM, or CP_RULES_E_REFUSED with line, field and text of *diag. done is
 * due in any case. */
int cp_rules_cond_init(struct cp_rules_cond *cond, enum cp_rules_key key,
		       const struct cp_config_schema_strings *source,
		       struct cp_rules_env *env, struct sn_diag *diag);
void cp_rules_cond_done(struct cp_rules_cond *cond);

/* Does it judge either path of an event? */
bool cp_rules_cond_is_path(enum cp_rules_key key);
/* One of these. */
enum cp_rules_fit cp_rules_cond_judge_path(const struct cp_rules_cond *cond,
					   const struct cp_rules_text *path);
/* Any other one but macros. */
enum cp_rules_fit cp_rules_cond_judge(const struct cp_rules_cond *cond,
				      struct cp_rules_view *view);

/* The field by which the kernel can decide it, or 0. */
enum sn_rt_field cp_rules_cond_field(enum cp_rules_key key);
/* The bytes of one of its values there, a text or a number of 32 bits: what fits
 * the condition is that value, or for paths that or what is below. index below
 * texts.n. */
const void *cp_rules_cond_get_value(const struct cp_rules_cond *cond,
				    size_t index, size_t *size);
/* Its values there: no less fits them. */
int cp_rules_cond_put_wanted(const struct cp_rules_cond *cond,
			     struct cp_runtime_rules *wanted,
			     uint64_t (*find)(const char *cgroup),
			     struct sn_diag *diag);
