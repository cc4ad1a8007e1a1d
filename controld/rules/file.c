/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RULE(name) .offset = offsetof(struct cp_rules_file_rule, name)

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

static int take_rule(void *userdata, void *element, unsigned int line,
		     struct sn_diag *diag)
{
	struct cp_rules_file *file = userdata;
	struct cp_rules_file_rule *rule = element;
	const struct cp_rules_file_rule *others = file->rules.items;

	if (!rule->event == !rule->events.n_items) {
		sn_diag_set(diag, NULL, "needs one of 'event' and 'events'");
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	for (size_t i = 0; i < file->rules.n_items; i++) {
		if (strcmp(others[i].name, rule->name) != 0)
			continue;
		sn_diag_set(diag, "name", "the rule in line %u is '%s' too",
			    others[i].line, rule->name);
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	rule->line = line;
	return append(&file->rules, rule, sizeof(*rule));
}

const struct cp_config_schema_item cp_rules_file_items[] = {
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

void cp_rules_file_done(struct cp_rules_file *file)
{
	struct cp_rules_file_rule *rules = file->rules.items;

	for (size_t i = 0; i < file->rules.n_items; i++)
		cp_config_schema_done(rule_items, &rules[i]);
	free(rules);
	*file = (struct cp_rules_file){ 0 };
}
