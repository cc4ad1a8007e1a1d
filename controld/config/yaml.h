/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* YAML text to a small tree that owns its nodes. The accepted language is the
 * data part of YAML: block and flow mappings, sequences and scalars in UTF-8.
 * Refused are anchors, aliases, tags, directives, a second document, a key
 * given twice and a key that is not a scalar. Work and memory are bounded by
 * the limits whatever the text is, so it may come from a peer. Thread-safe:
 * no state outside the document. */

#include <stdbool.h>
#include <stddef.h>

#include "shared/diag.h"
#include "shared/util.h"

enum {
	CP_CONFIG_YAML_MAX_BYTES = 64 << 20, /* of one document */
	CP_CONFIG_YAML_MAX_NODES = 10000000, /* 24 bytes each */
	CP_CONFIG_YAML_MAX_DEPTH = 16, /* nested sequences and mappings */
	CP_CONFIG_YAML_MAX_KEYS = 64, /* of one mapping */
};

/* What one caller admits; 0 or more than the constant above means it. */
struct cp_config_yaml_limits {
	size_t max_bytes;
	size_t max_nodes;
};

/* Answers besides 0 and -errno. */
enum {
	CP_CONFIG_YAML_E_REFUSED = 1, /* diag says where and why */
};

enum cp_config_yaml_type {
	CP_CONFIG_YAML_TYPE_SCALAR,
	CP_CONFIG_YAML_TYPE_SEQUENCE,
	CP_CONFIG_YAML_TYPE_MAPPING,
};

struct cp_config_yaml;
struct cp_config_yaml_node;

/* text need not end in NUL. file names it in diag. */
int cp_config_yaml_parse(const char *text, size_t size, const char *file,
			 const struct cp_config_yaml_limits *limits,
			 struct cp_config_yaml **ret, struct sn_diag *diag);

/* The same from a regular file. diag is filled for -errno too, if the file
 * cannot be opened or read. */
int cp_config_yaml_load(const char *path,
			const struct cp_config_yaml_limits *limits,
			struct cp_config_yaml **ret, struct sn_diag *diag);

struct cp_config_yaml *cp_config_yaml_free(struct cp_config_yaml *yaml);
SN_DEFINE_CLEANUP(struct cp_config_yaml, cp_config_yaml_free)

/* NULL if the document is empty or only null. */
const struct cp_config_yaml_node *
cp_config_yaml_get_root(const struct cp_config_yaml *yaml);

enum cp_config_yaml_type
cp_config_yaml_get_type(const struct cp_config_yaml_node *node);

/* 1-based line where the node begins. */
unsigned int cp_config_yaml_get_line(const struct cp_config_yaml_node *node);

/* The text of a scalar, NUL-terminated and without other NUL. */
const char *cp_config_yaml_get_text(const struct cp_config_yaml_node *node);

/* Elements of a sequence, keys of a mapping, bytes of a scalar. */
size_t cp_config_yaml_get_count(const struct cp_config_yaml_node *node);

/* Children of a collection, NULL after the last. Those of a mapping are key,
 * value, key, value. */
const struct cp_config_yaml_node *
cp_config_yaml_get_first(const struct cp_config_yaml_node *node);
const struct cp_config_yaml_node *
cp_config_yaml_get_next(const struct cp_config_yaml_node *node);

/* A scalar written without quotes and not as a block. */
bool cp_config_yaml_is_plain(const struct cp_config_yaml_node *node);

/* Nothing, ~ or null, written plain. */
bool cp_config_yaml_is_null(const struct cp_config_yaml_node *node);
