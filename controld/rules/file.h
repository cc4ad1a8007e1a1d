/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The text of rules as a tree of C structs, by controld/config's tables: types,
 * keys and bounds are checked here, what values mean in controld/rules/block.h.
 * Pure. */

#include "controld/config/schema.h"
#include "controld/rules/rules.h"

enum cp_rules_key {
#define CP_RULES_KEY(id, key, alias, text) CP_RULES_KEY_##id,
#include "controld/rules/keys.def"
#undef CP_RULES_KEY
	CP_RULES_KEY_COUNT,
};

extern const char *const cp_rules_file_keys[CP_RULES_KEY_COUNT];

/* A block; what is not named has no items. */
struct cp_rules_file_match {
	struct cp_config_schema_strings keys[CP_RULES_KEY_COUNT];
};

struct cp_rules_file_list {
	unsigned int line; /* set by the walk, as in the next two */
	char *name;
	struct cp_config_schema_strings items;
};

struct cp_rules_file_macro {
	unsigned int line;
	char *name;
	struct cp_rules_file_match match;
};

/* How often an event must come before it is a hit; count 0: once. */
struct cp_rules_file_rate {
	uint64_t count;
	uint64_t window_ns;
	struct cp_config_schema_strings by;
};

struct cp_rules_file_rule {
	unsigned int line;
	char *name;
	char *description;
	bool enabled;
	unsigned int severity; /* enum cp_rules_severity */
	struct cp_config_schema_strings tags;
	char *event; /* "" or one event more */
	struct cp_config_schema_strings events;
	struct cp_rules_file_match match;
	struct cp_config_schema_array exceptions; /* cp_rules_file_match */
	struct cp_rules_file_rate rate;
	char *output; /* NULL: that of cp_rules_file_output */
};

struct cp_rules_file {
	struct cp_config_schema_array lists; /* cp_rules_file_list */
	struct cp_config_schema_array macros; /* cp_rules_file_macro */
	struct cp_config_schema_array rules; /* cp_rules_file_rule */
};

enum {
	CP_RULES_FILE_RATE_MAX = 256, /* events in a window */
};

/* For the manual. */
extern const struct cp_config_schema_item cp_rules_file_items[];

/* 0, -errno, or CP_RULES_E_REFUSED with *diag set. */
int cp_rules_file_parse(const char *text, size_t size, const char *name,
			struct cp_rules_file *ret, struct sn_diag *diag);
/* The same of a regular file. */
int cp_rules_file_load(const char *path, struct cp_rules_file *ret,
		       struct sn_diag *diag);
void cp_rules_file_done(struct cp_rules_file *file);
