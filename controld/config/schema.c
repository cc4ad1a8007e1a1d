/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/schema.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/config/nearest.h"
#include "controld/config/schema_value.h"

/* The walk goes down the tree and the table together and remembers the way
 * as steps, from which a refusal makes the option's dotted name. Nothing is
 * formatted while values are accepted. */

struct step {
	const char *key; /* NULL: an element of a sequence */
	size_t index;
};

struct walk {
	const char *file;
	void *userdata;
	struct sn_diag *diag;
	struct step steps[CP_CONFIG_YAML_MAX_DEPTH + 1];
	size_t n_steps;
};

static int fill_mapping(struct walk *walk,
			const struct cp_config_schema_item *items,
			const struct cp_config_yaml_node *node, void *object);

static void *get_field(const struct cp_config_schema_item *item, void *object)
{
	return (char *)object + item->offset;
}

/* Writes the dotted name of the way, and of below if that is not empty. */
static void format_name(const struct walk *walk, const char *below, char *name,
			size_t size)
{
	size_t used = 0;

	name[0] = '\0';
	for (size_t i = 0; i <= walk->n_steps; i++) {
		const struct step *step = &walk->steps[i];
		const char *key = i < walk->n_steps ? step->key : below;
		int n;

		if (key && !key[0])
			break;
		if (key)
			n = snprintf(name + used, size - used, "%s%s",
				     used ? "." : "", key);
		else
			n = snprintf(name + used, size - used, "[%zu]",
				     step->index);
		used = SN_MIN(used + (size_t)n, size - 1);
	}
}

/* Makes room for what a check or callback has to say. */
static void clear_diag(struct sn_diag *diag)
{
	diag->line = 0;
	diag->field[0] = '\0';
	diag->text[0] = '\0';
}

/* Completes what a check or callback left in diag. */
static int finish_refusal(struct walk *walk, unsigned int line)
{
	struct sn_diag *diag = walk->diag;
	char name[SN_DIAG_FILE_BYTES], text[SN_DIAG_TEXT_BYTES];

	format_name(walk, diag->field, name, sizeof(name));
	(void)snprintf(text, sizeof(text), "%s",
		       diag->text[0] ? diag->text : "is refused");
	sn_diag_set(diag, name, "%s%s%s", name, name[0] ? ": " : "", text);
	sn_diag_at(diag, walk->file, diag->line ? diag->line : line);
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

static int refuse(struct walk *walk, const struct cp_config_yaml_node *node,
		  const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(struct walk *walk, const struct cp_config_yaml_node *node,
		  const char *format, ...)
{
	char text[SN_DIAG_TEXT_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	clear_diag(walk->diag);
	sn_diag_set(walk->diag, NULL, "%s", text);
	return finish_refusal(walk, node ? cp_config_yaml_get_line(node) : 0);
}

/* Lets the item's check judge the field. */
static int run_check(struct walk *walk,
		     const struct cp_config_schema_item *item,
		     const struct cp_config_yaml_node *node, const void *field)
{
	int r;

	if (!item->check)
		return 0;
	clear_diag(walk->diag);
	r = item->check(field, walk->diag);
	if (r > 0)
		return finish_refusal(walk, cp_config_yaml_get_line(node));
	return r;
}

static int refuse_type(struct walk *walk,
		       const struct cp_config_schema_item *item,
		       const struct cp_config_yaml_node *node)
{
	static const char *const found[] = {
		[CP_CONFIG_YAML_TYPE_SCALAR] = "a single value",
		[CP_CONFIG_YAML_TYPE_SEQUENCE] = "a list",
		[CP_CONFIG_YAML_TYPE_MAPPING] = "a mapping",
	};
	const char *form = cp_config_schema_value_get_form(item->type);

	if (cp_config_yaml_is_null(node))
		return refuse(walk, node, "has no value, must be %s", form);
	return refuse(walk, node, "must be %s, not %s", form,
		      found[cp_config_yaml_get_type(node)]);
}

static int fill_scalar(struct walk *walk,
		       const struct cp_config_schema_item *item,
		       const struct cp_config_yaml_node *node, void *field)
{
	int r;

	if (cp_config_yaml_get_type(node) != CP_CONFIG_YAML_TYPE_SCALAR ||
	    cp_config_yaml_is_null(node))
		return refuse_type(walk, item, node);
	clear_diag(walk->diag);
	r = cp_config_schema_value_put(item, cp_config_yaml_get_text(node),
				       cp_config_yaml_is_plain(node), field,
				       walk->diag);
	if (r > 0)
		return finish_refusal(walk, cp_config_yaml_get_line(node));
	return r;
}

/* Checks that node is a list of as many elements as the item admits. */
static int check_list(struct walk *walk,
		      const struct cp_config_schema_item *item,
		      const struct cp_config_yaml_node *node)
{
	size_t n;

	if (cp_config_yaml_get_type(node) != CP_CONFIG_YAML_TYPE_SEQUENCE)
		return refuse_type(walk, item, node);
	n = cp_config_yaml_get_count(node);
	if (n < item->min)
		return refuse(walk, node,
			      "has %zu elements, must have at least %" PRIu64,
			      n, item->min);
	if (item->max && n > item->max)
		return refuse(walk, node,
			      "has %zu elements, must have at most %" PRIu64, n,
			      item->max);
	return 0;
}

static int fill_strings(struct walk *walk,
			const struct cp_config_schema_item *item,
			const struct cp_config_yaml_node *node,
			struct cp_config_schema_strings *strings)
{
	static const struct cp_config_schema_item element = {
		.key = "",
		.type = CP_CONFIG_SCHEMA_TYPE_STRING,
		.min = 1,
	};
	size_t n;
	int r;

	r = check_list(walk, item, node);
	if (r)
		return r;
	n = cp_config_yaml_get_count(node);
	if (n > 0) {
		strings->items = calloc(n, sizeof(*strings->items));
		strings->lines = calloc(n, sizeof(*strings->lines));
		if (!strings->items || !strings->lines)
			return -ENOMEM;
	}
	for (const struct cp_config_yaml_node *child =
		     cp_config_yaml_get_first(node);
	     child; child = cp_config_yaml_get_next(child)) {
		size_t i = strings->n_items;

		walk->steps[walk->n_steps++] = (struct step){ .index = i };
		r = fill_scalar(walk, &element, child, &strings->items[i]);
		walk->n_steps--;
		if (r)
			return r;
		strings->lines[i] = cp_config_yaml_get_line(child);
		strings->n_items++;
	}
	return run_check(walk, item, node, strings);
}

/* Fills one element and, with a callback, hands it over and releases it. */
static int fill_element(struct walk *walk,
			const struct cp_config_schema_item *item,
			const struct cp_config_yaml_node *node, void *element)
{
	int r;

	(void)memset(element, 0, item->element_size);
	r = fill_mapping(walk, item->items, node, element);
	if (r == 0)
		r = run_check(walk, item, node, element);
	if (r == 0 && item->each) {
		unsigned int line = cp_config_yaml_get_line(node);

		clear_diag(walk->diag);
		r = item->each(walk->userdata, element, line, walk->diag);
		if (r > 0)
			r = finish_refusal(walk, line);
	}
	if (item->each)
		cp_config_schema_done(item->items, element);
	return r;
}

static int fill_elements(struct walk *walk,
			 const struct cp_config_schema_item *item,
			 const struct cp_config_yaml_node *node,
			 struct cp_config_schema_array *array, char *scratch)
{
	size_t i = 0;

	for (const struct cp_config_yaml_node *child =
		     cp_config_yaml_get_first(node);
	     child; child = cp_config_yaml_get_next(child), i++) {
		char *element = scratch;
		int r;

		if (!item->each) {
			element = (char *)array->items + i * item->element_size;
			/* Counted before, so that a half-filled element is
			 * released too. */
			array->n_items = i + 1;
		}
		walk->steps[walk->n_steps++] = (struct step){ .index = i };
		r = fill_element(walk, item, child, element);
		walk->n_steps--;
		if (r)
			return r;
	}
	return 0;
}

/* A sequence with a callback needs room for one element only. */
static int fill_sequence(struct walk *walk,
			 const struct cp_config_schema_item *item,
			 const struct cp_config_yaml_node *node, void *field)
{
	sn_cleanup(sn_freep) char *scratch = NULL;
	struct cp_config_schema_array *array = item->each ? NULL : field;
	size_t n;
	int r;

	r = check_list(walk, item, node);
	if (r)
		return r;
	n = cp_config_yaml_get_count(node);
	if (n == 0)
		return 0;
	if (item->each) {
		scratch = calloc(1, item->element_size);
	} else {
		array->items = calloc(n, item->element_size);
	}
	if (!(item->each ? scratch : array->items))
		return -ENOMEM;
	return fill_elements(walk, item, node, array, scratch);
}

static int fill_item(struct walk *walk,
		     const struct cp_config_schema_item *item,
		     const struct cp_config_yaml_node *node, void *object)
{
	void *field = get_field(item, object);
	int r;

	if (cp_config_schema_value_is_scalar(item->type))
		return fill_scalar(walk, item, node, field);
	if (item->type == CP_CONFIG_SCHEMA_TYPE_STRINGS)
		return fill_strings(walk, item, node, field);
	if (item->type == CP_CONFIG_SCHEMA_TYPE_SEQUENCE)
		return fill_sequence(walk, item, node, field);
	if (cp_config_yaml_get_type(node) != CP_CONFIG_YAML_TYPE_MAPPING)
		return refuse_type(walk, item, node);
	r = fill_mapping(walk, item->items, node, field);
	if (r)
		return r;
	return run_check(walk, item, node, field);
}

static int refuse_key(struct walk *walk,
		      const struct cp_config_schema_item *items,
		      const struct cp_config_yaml_node *key)
{
	char shown[CP_CONFIG_SCHEMA_VALUE_SHOWN_BYTES];
	const char *text = cp_config_yaml_get_text(key), *best = NULL;

	for (const struct cp_config_schema_item *item = items; item->key;
	     item++)
		cp_config_nearest_offer(text, item->key, &best);
	(void)cp_config_schema_value_show(text, shown);
	if (best)
		return refuse(walk, key, "unknown key '%s'; did you mean '%s'?",
			      shown, best);
	return refuse(walk, key, "unknown key '%s'", shown);
}

/* Sets the fallbacks of a zeroed object. */
static int set_fallbacks(const struct cp_config_schema_item *items,
			 void *object)
{
	struct sn_diag diag = { 0 };

	for (const struct cp_config_schema_item *item = items; item->key;
	     item++) {
		int r = 0;

		assert(item - items < CP_CONFIG_SCHEMA_MAX_ITEMS);
		if (item->type == CP_CONFIG_SCHEMA_TYPE_MAPPING)
			r = set_fallbacks(item->items, get_field(item, object));
		else if (item->fallback)
			r = cp_config_schema_value_put(item, item->fallback,
						       true,
						       get_field(item, object),
						       &diag);
		assert(r <= 0);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_required(struct walk *walk,
			  const struct cp_config_schema_item *items,
			  const struct cp_config_yaml_node *node, uint64_t seen)
{
	for (const struct cp_config_schema_item *item = items; item->key;
	     item++)
		if (item->required && !(seen >> (item - items) & 1))
			return refuse(walk, node, "key '%s' is missing",
				      item->key);
	return 0;
}

static const struct cp_config_schema_item *
find_item(const struct cp_config_schema_item *items, const char *key)
{
	while (items->key && strcmp(items->key, key) != 0 &&
	       (!items->alias || strcmp(items->alias, key) != 0))
		items++;
	return items;
}

static int fill_keys(struct walk *walk,
		     const struct cp_config_schema_item *items,
		     const struct cp_config_yaml_node *node, void *object)
{
	const struct cp_config_yaml_node *key = cp_config_yaml_get_first(node);
	const struct cp_config_yaml_node *value;
	uint64_t seen = 0;

	for (; key; key = cp_config_yaml_get_next(value)) {
		const struct cp_config_schema_item *item =
			find_item(items, cp_config_yaml_get_text(key));
		int r;

		value = cp_config_yaml_get_next(key);
		if (!item->key)
			return refuse_key(walk, items, key);
		if (seen >> (item - items) & 1)
			return refuse(walk, key,
				      "key '%s' is given as '%s' too",
				      item->key, item->alias);
		seen |= 1ULL << (item - items);
		assert(walk->n_steps < SN_ARRAY_SIZE(walk->steps));
		walk->steps[walk->n_steps++] = (struct step){ item->key, 0 };
		r = fill_item(walk, item, value, object);
		walk->n_steps--;
		if (r)
			return r;
	}
	return check_required(walk, items, node, seen);
}

/* Fills a zeroed object. */
static int fill_mapping(struct walk *walk,
			const struct cp_config_schema_item *items,
			const struct cp_config_yaml_node *node, void *object)
{
	int r;

	if (node &&
	    cp_config_yaml_get_type(node) != CP_CONFIG_YAML_TYPE_MAPPING)
		return refuse(walk, node, "must be a mapping of options");
	r = set_fallbacks(items, object);
	if (r < 0)
		return r;
	if (!node)
		return check_required(walk, items, NULL, 0);
	return fill_keys(walk, items, node, object);
}

int cp_config_schema_init(const struct cp_config_schema_item *items,
			  void *object, size_t object_size)
{
	int r;

	(void)memset(object, 0, object_size);
	r = set_fallbacks(items, object);
	if (r < 0)
		cp_config_schema_done(items, object);
	return r;
}

int cp_config_schema_fill(const struct cp_config_schema_item *items,
			  const struct cp_config_yaml_node *node,
			  const char *file, void *userdata, void *object,
			  size_t object_size, struct sn_diag *diag)
{
	struct walk walk = {
		.file = file,
		.userdata = userdata,
		.diag = diag,
	};
	int r;

	(void)memset(object, 0, object_size);
	r = fill_mapping(&walk, items, node, object);
	if (r)
		cp_config_schema_done(items, object);
	return r;
}

static void free_strings(struct cp_config_schema_strings *strings)
{
	for (size_t i = 0; i < strings->n_items; i++)
		free(strings->items[i]);
	free(strings->items);
	free(strings->lines);
	*strings = (struct cp_config_schema_strings){ 0 };
}

static void free_array(const struct cp_config_schema_item *item,
		       struct cp_config_schema_array *array)
{
	for (size_t i = 0; i < array->n_items; i++)
		cp_config_schema_done(item->items,
				      (char *)array->items +
					      i * item->element_size);
	free(array->items);
	*array = (struct cp_config_schema_array){ 0 };
}

void cp_config_schema_done(const struct cp_config_schema_item *items,
			   void *object)
{
	for (const struct cp_config_schema_item *item = items; item->key;
	     item++) {
		void *field = get_field(item, object);

		if (item->type == CP_CONFIG_SCHEMA_TYPE_STRING ||
		    item->type == CP_CONFIG_SCHEMA_TYPE_PATH)
			sn_freep(field);
		else if (item->type == CP_CONFIG_SCHEMA_TYPE_STRINGS)
			free_strings(field);
		else if (item->type == CP_CONFIG_SCHEMA_TYPE_MAPPING)
			cp_config_schema_done(item->items, field);
		else if (item->type == CP_CONFIG_SCHEMA_TYPE_SEQUENCE &&
			 !item->each)
			free_array(item, field);
	}
}
