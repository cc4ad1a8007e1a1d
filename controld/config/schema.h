/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Fills a C struct from a YAML tree as a table says. A schema is an array of
 * items, one for each key of a mapping, ended by an item whose key is NULL.
 * Everything that the table does not admit is refused with file, line and the
 * dotted name of the option: unknown keys, wrong types, values out of range,
 * null. Strings and arrays belong to the filled object, which
 * cp_config_schema_done() releases by the same table.
 *
 *	struct rule { char *allow; uint64_t ttl_s; };
 *	static const struct cp_config_schema_item rule_items[] = {
 *		{ .key = "allow", .type = CP_CONFIG_SCHEMA_TYPE_STRING,
 *		  .offset = offsetof(struct rule, allow), .required = true,
 *		  .description = "Prefix that is allowed." },
 *		{ .key = "ttl", .type = CP_CONFIG_SCHEMA_TYPE_DURATION,
 *		  .offset = offsetof(struct rule, ttl_s),
 *		  .unit_ns = SN_NS_PER_S, .min = 1, .fallback = "5m",
 *		  .description = "Life of the rule." },
 *		{ .key = NULL },
 *	};
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/config/yaml.h"
#include "shared/diag.h"

enum {
	CP_CONFIG_SCHEMA_MAX_ITEMS = 64, /* of one table */
	CP_CONFIG_SCHEMA_MAX_STRING = 4095, /* bytes, unless max says less */
};

/* Answers of cp_config_schema_fill() and of callbacks besides 0 and -errno. */
enum {
	CP_CONFIG_SCHEMA_E_REFUSED = 1, /* diag says where and why */
};

/* The comment names the C type of the field at offset. */
enum cp_config_schema_type {
	CP_CONFIG_SCHEMA_TYPE_BOOL, /* bool: true or false */
	CP_CONFIG_SCHEMA_TYPE_UINT, /* uint64_t */
	CP_CONFIG_SCHEMA_TYPE_SIZE, /* uint64_t, bytes */
	CP_CONFIG_SCHEMA_TYPE_DURATION, /* uint64_t, in unit_ns */
	CP_CONFIG_SCHEMA_TYPE_ENUM, /* unsigned int, index into names */
	CP_CONFIG_SCHEMA_TYPE_STRING, /* char *, NULL if absent */
	CP_CONFIG_SCHEMA_TYPE_PATH, /* char *, absolute */
	CP_CONFIG_SCHEMA_TYPE_STRINGS, /* cp_config_schema_strings */
	CP_CONFIG_SCHEMA_TYPE_MAPPING, /* struct that items describes */
	CP_CONFIG_SCHEMA_TYPE_SEQUENCE, /* cp_config_schema_array, or none
					 * if each is set */
};

struct cp_config_schema_strings {
	char **items;
	unsigned int *lines; /* where each stands, for later messages */
	size_t n_items;
};

struct cp_config_schema_array {
	void *items; /* n_items structs of element_size bytes */
	size_t n_items;
};

/* Judges the filled field (for a mapping or element: the filled struct).
 * Refusing, it sets the text of diag and, if it wants, the field below this
 * one; the walk adds file, line and the names above. */
typedef int (*cp_config_schema_check)(const void *field, struct sn_diag *diag);

/* Takes one filled element of a sequence. The element is released after the
 * call, so what is kept is taken out with sn_steal(). Refuses like a check,
 * and may set diag->line to a line inside the element. */
typedef int (*cp_config_schema_each)(void *userdata, void *element,
				     unsigned int line, struct sn_diag *diag);

struct cp_config_schema_item {
	const char *key; /* NULL ends the table */
	const char *alias; /* the same key as others spell it, or NULL */
	const char *description; /* one sentence for the manual */
	size_t offset; /* of the field in the struct of this table */
	enum cp_config_schema_type type;
	bool required;
	bool reloadable; /* takes effect without a restart */

	/* Numbers: the value; durations: in unit_ns; strings: bytes; lists
	 * and sequences: elements. max 0 means no more than the type has. */
	uint64_t min;
	uint64_t max;

	/* The value if the key is absent, written as in a file; NULL leaves
	 * the field zero. Not for lists, sequences and mappings. */
	const char *fallback;

	/* Duration: nanoseconds that one in the field stands for. A text that
	 * is not a whole number of them is refused. */
	uint64_t unit_ns;

	const char *const *names; /* enum: ended by NULL */
	const struct cp_config_schema_item *items; /* mapping, sequence */
	size_t element_size; /* sequence */
	cp_config_schema_check check; /* may be NULL */
	cp_config_schema_each each; /* sequence, may be NULL */
};

/* Zeroes the object and sets the fallbacks. Returns 0 or -ENOMEM. A fallback
 * that its own item refuses is a defect of the table and asserted. */
int cp_config_schema_init(const struct cp_config_schema_item *items,
			  void *object, size_t object_size);

/* Initialises the object and sets what the mapping node has; node NULL is an
 * empty mapping. A required key is asked for where its mapping stands, so not
 * in an absent one, unless that is the top. file names the source in diag.
 * The object is released again on failure; what was handed to an each
 * callback stays with its owner. */
int cp_config_schema_fill(const struct cp_config_schema_item *items,
			  const struct cp_config_yaml_node *node,
			  const char *file, void *userdata, void *object,
			  size_t object_size, struct sn_diag *diag);

/* Releases what the object owns and sets the freed fields to zero. */
void cp_config_schema_done(const struct cp_config_schema_item *items,
			   void *object);
