/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rules/env.h"

#define RULE(name) .offset = offsetof(struct cp_rules_file_rule, name)
#define RATE(name) .offset = offsetof(struct cp_rules_file_rate, name)

enum {
	NODES_MAX = 400000,
	TAGS_MAX = 16,
	EXCEPTIONS_MAX = 64, /* of a rule */
};

const char *const cp_rules_file_keys[CP_RULES_KEY_COUNT] = {
#define CP_RULES_KEY(id, key, alias, text) [CP_RULES_KEY_##id] = key,
#include "controld/rules/keys.def"
#undef CP_RULES_KEY
};

static const struct cp_config_schema_item match_items[] = {
#define CP_RULES_KEY(id, key_, alias_, text)                   \
	{                                                      \
		.key = key_,                                   \
		.alias = alias_,                               \
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,         \
		.offset = offsetof(struct cp_rules_file_match, \
				   keys[CP_RULES_KEY_##id]),   \
		.min = 1,                                      \
		.max = CP_RULES_VALUES_MAX,                    \
		.description = text,                           \
	},
#include "controld/rules/keys.def"
#undef CP_RULES_KEY
	{ .key = NULL },
};

static const struct cp_config_schema_item list_items[] = {
	{
		.key = "name",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		.offset = offsetof(struct cp_rules_file_list, name),
		.required = true,
		.min = 1,
		.max = CP_RULES_NAME_BYTES - 1,
		.description = "By which others name it, behind a $.",
	},
	{
		.key = "items",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		.offset = offsetof(struct cp_rules_file_list, items),
		.required = true,
		.min = 1,
		.max = CP_RULES_VALUES_MAX,
		.description = "Values, and lists before this one.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item macro_items[] = {
	{
		.key = "name",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		.offset = offsetof(struct cp_rules_file_macro, name),
		.required = true,
		.min = 1,
		.max = CP_RULES_NAME_BYTES - 1,
		.description = "By which blocks use it.",
	},
	{
		.key = "match",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		.offset = offsetof(struct cp_rules_file_macro, match),
		.required = true,
		.items = match_items,
		.description = "Keys as of rules; it may use macros before it.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item rate_items[] = {
	{
		.key = "count",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		RATE(count),
		.required = true,
		.min = 2,
		.max = CP_RULES_FILE_RATE_MAX,
		.description = "So many events are one hit.",
	},
	{
		.key = "window",
		.type = CP_CONFIG_SCHEMA_TYPE_DURATION,
		RATE(window_ns),
		.required = true,
		.unit_ns = 1,
		.min = 1000000,
		.max = 86400 * SN_NS_PER_S,
		.description = "If they come within this time.",
	},
	{
		.key = "by",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		RATE(by),
		.min = 1,
		.max = 6,
		.description = "And have the same of each of these: process, "
			       "executable, uid, cgroup, container, path.",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item rule_items[] = {
	{
		.key = "name",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		RULE(name),
		.required = true,
		.min = 1,
		.max = CP_RULES_NAME_BYTES - 1,
		.description = "What findings say of the rule that they hit.",
	},
	{
		.key = "description",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		RULE(description),
		.fallback = "",
		.description = "For people who read the rules.",
	},
	{
		.key = "enabled",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		RULE(enabled),
		.fallback = "true",
		.description = "Is it in force?",
	},
	{
		.key = "severity",
		.type = CP_CONFIG_SCHEMA_TYPE_ENUM,
		RULE(severity),
		.names = cp_rules_severities,
		.fallback = "warning",
		.description = "Of its findings.",
	},
	{
		.key = "tags",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		RULE(tags),
		.min = 1,
		.max = TAGS_MAX,
		.description = "What findings carry along.",
	},
	{
		.key = "event",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		RULE(event),
		.min = 1,
		.description = "What is judged (file_open and so on).",
	},
	{
		.key = "events",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		RULE(events),
		.min = 1,
		.max = SN_RT_EVENT_COUNT,
		.description = "The same for several.",
	},
	{
		.key = "match",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		RULE(match),
		.items = match_items,
		.description = "All of these have to fit, of each list one.",
	},
	{
		.key = "exceptions",
		.type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
		RULE(exceptions),
		.min = 1,
		.max = EXCEPTIONS_MAX,
		.items = match_items,
		.element_size = sizeof(struct cp_rules_file_match),
		.description =
			"Blocks of the same keys; what one of them fits is "
			"no hit.",
	},
	{
		.key = "rate",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		RULE(rate),
		.items = rate_items,
		.description = "Only what comes often is a hit.",
	},
	{
		.key = "output",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		RULE(output),
		.min = 1,
		.max = 1024,
		.description =
			"What findings say; {process.comm} is that field of the "
			"event as trace -o json has it, {parent.comm} one of "
			"the process that made it, {{ a brace.",
	},
	{ .key = NULL },
};

/* Arrays double when their number is a power of two. */
static int append(struct cp_config_schema_array *array, void *element,
		  size_t size)
{
	size_t n = array->n_items;
	void *items = array->items;

	if ((n & (n - 1)) == 0) {
		items = reallocarray(items, n ? 2 * n : 1, size);
		if (!items)
			return -ENOMEM;
		array->items = items;
	}
	(void)memcpy((char *)items + n * size, element, size);
	(void)memset(element, 0, size);
	array->n_items++;
	return 0;
}

/* Elements of all three arrays begin with their line and name. */
struct named {
	unsigned int line;
	char *name;
};
_Static_assert(offsetof(struct cp_rules_file_list, name) ==
			       offsetof(struct named, name) &&
		       offsetof(struct cp_rules_file_macro, name) ==
			       offsetof(struct named, name) &&
		       offsetof(struct cp_rules_file_rule, name) ==
			       offsetof(struct named, name),
	       "names are found by struct named");

static int take(struct cp_config_schema_array *array, void *element,
		size_t size, unsigned int line, struct sn_diag *diag)
{
	struct named *named = element;

	for (size_t i = 0; i < array->n_items; i++) {
		const struct named *other =
			(const void *)((const char *)array->items + i * size);

		if (strcmp(other->name, named->name) != 0)
			continue;
		sn_diag_set(diag, "name", "the one in line %u is '%s' too",
			    other->line, named->name);
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	named->line = line;
	return append(array, element, size);
}

static int take_list(void *userdata, void *element, unsigned int line,
		     struct sn_diag *diag)
{
	struct cp_rules_file *file = userdata;

	return take(&file->lists, element, sizeof(struct cp_rules_file_list),
		    line, diag);
}

static int take_macro(void *userdata, void *element, unsigned int line,
		      struct sn_diag *diag)
{
	struct cp_rules_file *file = userdata;

	return take(&file->macros, element, sizeof(struct cp_rules_file_macro),
		    line, diag);
}

static int take_rule(void *userdata, void *element, unsigned int line,
		     struct sn_diag *diag)
{
	struct cp_rules_file *file = userdata;
	const struct cp_rules_file_rule *rule = element;

	if (!rule->event == !rule->events.n_items) {
		sn_diag_set(diag, NULL, "needs one of 'event' and 'events'");
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	return take(&file->rules, element, sizeof(*rule), line, diag);
}

const struct cp_config_schema_item cp_rules_file_items[] = {
	{
		.key = "lists",
		.type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
		.min = 1,
		.max = CP_RULES_ENV_LISTS_MAX,
		.items = list_items,
		.element_size = sizeof(struct cp_rules_file_list),
		.each = take_list,
		.description =
			"Values with a name: $name stands for them in any "
			"list of a block.",
	},
	{
		.key = "macros",
		.type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
		.min = 1,
		.max = CP_RULES_ENV_MACROS_MAX,
		.items = macro_items,
		.element_size = sizeof(struct cp_rules_file_macro),
		.each = take_macro,
		.description = "Blocks with a name, for 'use' and 'use_any'.",
	},
	{
		.key = "rules",
		.type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
		.required = true,
		.max = CP_RULES_MAX,
		.items = rule_items,
		.element_size = sizeof(struct cp_rules_file_rule),
		.each = take_rule,
		.description = "What is a finding.",
	},
	{ .key = NULL },
};

static int fill(const struct cp_config_yaml *yaml, const char *name,
		struct cp_rules_file *ret, struct sn_diag *diag)
{
	const struct cp_config_yaml_node *root = cp_config_yaml_get_root(yaml);
	struct cp_rules_file file = { 0 };
	int r;

	r = cp_config_schema_fill(cp_rules_file_items, root, name, &file, &file,
				  sizeof(file), diag);
	if (r) {
		cp_rules_file_done(&file);
		return r > 0 ? CP_RULES_E_REFUSED : r;
	}
	*ret = file;
	return 0;
}

static const struct cp_config_yaml_limits limits = {
	.max_bytes = CP_RULES_BYTES_MAX,
	.max_nodes = NODES_MAX,
};

int cp_rules_file_parse(const char *text, size_t size, const char *name,
			struct cp_rules_file *ret, struct sn_diag *diag)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	int r = cp_config_yaml_parse(text, size, name, &limits, &yaml, diag);

	if (r == 0)
		return fill(yaml, name, ret, diag);
	return r > 0 ? CP_RULES_E_REFUSED : r;
}

int cp_rules_file_load(const char *path, struct cp_rules_file *ret,
		       struct sn_diag *diag)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	int r = cp_config_yaml_load(path, &limits, &yaml, diag);

	if (r == 0)
		return fill(yaml, path, ret, diag);
	return r > 0 ? CP_RULES_E_REFUSED : r;
}

static void free_all(const struct cp_config_schema_item *items,
		     struct cp_config_schema_array *array, size_t size)
{
	for (size_t i = 0; i < array->n_items; i++)
		cp_config_schema_done(items, (char *)array->items + i * size);
	free(array->items);
}

void cp_rules_file_done(struct cp_rules_file *file)
{
	free_all(list_items, &file->lists, sizeof(struct cp_rules_file_list));
	free_all(macro_items, &file->macros,
		 sizeof(struct cp_rules_file_macro));
	free_all(rule_items, &file->rules, sizeof(struct cp_rules_file_rule));
	*file = (struct cp_rules_file){ 0 };
}
