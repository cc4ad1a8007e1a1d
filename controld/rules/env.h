/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What blocks are compiled in: lists and macros by name, and how much may still
 * be made. Both may name only what stands before them, so that none contains
 * itself. */

#include "controld/rules/file.h"

struct cp_rules_block;
struct cp_rules_cond;

enum {
	CP_RULES_ENV_LISTS_MAX = 256,
	CP_RULES_ENV_MACROS_MAX = 256,
	CP_RULES_ENV_GLOBS_MAX = 2048, /* of all blocks; some 2 KiB each */
};

/* Borrowed texts, with the line at which each was named. */
struct cp_rules_texts {
	size_t n;
	const char **items;
	unsigned int *lines;
};

struct cp_rules_env_list {
	const char *name;
	struct cp_rules_texts texts;
};

struct cp_rules_env_macro {
	const char *name;
	struct cp_rules_block *block;
	/* What the kernel can decide of it, as cp_rules_block_find() says. */
	const struct cp_rules_cond *by_field[SN_RT_FIELD_COUNT];
};

struct cp_rules_env {
	size_t n_values; /* of all blocks and lists */
	size_t n_globs;
	size_t n_lists;
	struct cp_rules_env_list lists[CP_RULES_ENV_LISTS_MAX];
	size_t n_macros;
	struct cp_rules_env_macro macros[CP_RULES_ENV_MACROS_MAX];
};

/* Of macros only the names; their blocks are whose compiled them. */
void cp_rules_env_done(struct cp_rules_env *env);

/* The texts, and those of the lists that "$name" names. 0, -ENOMEM, or
 * CP_RULES_E_REFUSED with line and text of *diag. */
int cp_rules_env_expand(struct cp_rules_env *env,
			const struct cp_config_schema_strings *source,
			struct cp_rules_texts *ret, struct sn_diag *diag);
void cp_rules_env_texts_done(struct cp_rules_texts *texts);

/* A list behind the others; name and source are used as long as env. */
int cp_rules_env_put_list(struct cp_rules_env *env, const char *name,
			  const struct cp_config_schema_strings *source,
			  struct sn_diag *diag);

/* Its number, or -1. */
int cp_rules_env_find_macro(const struct cp_rules_env *env, const char *name);
