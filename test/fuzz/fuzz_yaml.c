/* SPDX-License-Identifier: Apache-2.0 */

/* Whatever the text is: the reader and the walk end, keep their limits, leak
 * nothing, and a refusal has a text. The schema has each type once; element
 * callbacks refuse some elements, so that both ways out are taken. */

#include "controld/config/config.h"
#include "controld/config/schema.h"

#include <stdlib.h>
#include <string.h>

struct element {
	char *name;
	struct cp_config_schema_strings words;
	struct cp_config_schema_array below;
	uint64_t ttl_ns;
};

struct object {
	bool flag;
	uint64_t number;
	char *path;
	struct cp_config_schema_array kept;
	struct element inner;
};

static int take_element(void *userdata, void *element, unsigned int line,
			struct sn_diag *diag)
{
	struct element *taken = element;
	size_t *n = userdata;

	if (line == 0)
		abort();
	if (taken->name && strcmp(taken->name, "no") == 0) {
		sn_diag_set(diag, "name", "is no name");
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	free(sn_steal(&taken->name));
	*n += taken->words.n_items;
	return 0;
}

static const struct cp_config_schema_item below_items[] = {
	{
		.key = "name",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		.offset = offsetof(struct element, name),
		.required = true,
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item element_items[] = {
	{
		.key = "name",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		.offset = offsetof(struct element, name),
		.fallback = "x",
	},
	{
		.key = "words",
		.type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
		.offset = offsetof(struct element, words),
		.max = 8,
	},
	{
		.key = "below",
		.type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
		.offset = offsetof(struct element, below),
		.items = below_items,
		.element_size = sizeof(struct element),
	},
	{
		.key = "ttl",
		.type = CP_CONFIG_SCHEMA_TYPE_DURATION,
		.offset = offsetof(struct element, ttl_ns),
		.unit_ns = 1,
		.fallback = "5m",
	},
	{ .key = NULL },
};

static const struct cp_config_schema_item object_items[] = {
	{
		.key = "flag",
		.type = CP_CONFIG_SCHEMA_TYPE_BOOL,
		.offset = offsetof(struct object, flag),
	},
	{
		.key = "number",
		.type = CP_CONFIG_SCHEMA_TYPE_UINT,
		.offset = offsetof(struct object, number),
		.max = 1000,
	},
	{
		.key = "path",
		.type = CP_CONFIG_SCHEMA_TYPE_PATH,
		.offset = offsetof(struct object, path),
	},
	{
		.key = "kept",
		.type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
		.offset = offsetof(struct object, kept),
		.items = element_items,
		.element_size = sizeof(struct element),
	},
	{
		.key = "each",
		.type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
		.items = element_items,
		.element_size = sizeof(struct element),
		.each = take_element,
	},
	{
		.key = "inner",
		.type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
		.offset = offsetof(struct object, inner),
		.items = element_items,
	},
	{ .key = NULL },
};

static void check_answer(int r, const struct sn_diag *diag)
{
	if (r < 0 || (r > 0 && !diag->text[0]))
		abort();
}

static size_t count_nodes(const struct cp_config_yaml_node *node)
{
	size_t n = 1;

	if (cp_config_yaml_get_type(node) == CP_CONFIG_YAML_TYPE_SCALAR) {
		if (strlen(cp_config_yaml_get_text(node)) !=
		    cp_config_yaml_get_count(node))
			abort();
		return n;
	}
	node = cp_config_yaml_get_first(node);
	for (; node; node = cp_config_yaml_get_next(node))
		n += count_nodes(node);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cp_config_yaml_limits limits = {
		.max_bytes = 65536,
		.max_nodes = 512,
	};
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	const struct cp_config_yaml_node *root;
	struct sn_diag diag = { 0 };
	struct cp_config config;
	struct object object;
	size_t n_words = 0;
	int r;

	r = cp_config_yaml_parse((const char *)data, size, "fuzz", &limits,
				 &yaml, &diag);
	check_answer(r, &diag);
	if (r)
		return 0;

	root = cp_config_yaml_get_root(yaml);
	if (root && count_nodes(root) > limits.max_nodes)
		abort();
	r = cp_config_schema_fill(object_items, root, "fuzz", &n_words, &object,
				  sizeof(object), &diag);
	check_answer(r, &diag);
	cp_config_schema_done(object_items, &object);
	r = cp_config_schema_fill(cp_config_items, root, "fuzz", NULL, &config,
				  sizeof(config), &diag);
	check_answer(r, &diag);
	cp_config_schema_done(cp_config_items, &config);
	return 0;
}
