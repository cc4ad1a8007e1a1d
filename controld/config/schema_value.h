/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One scalar option: text to field, under the item's type, range and check. */

#include "controld/config/schema.h"

enum {
	CP_CONFIG_SCHEMA_VALUE_SHOWN_BYTES = 64,
};

/* Sets the field, which is owned and initialised by the caller; a string that
 * it held is freed. plain says that the text was written without quotes.
 * Returns 0, -ENOMEM, what the item's check answered, or
 * CP_CONFIG_SCHEMA_E_REFUSED with field and text of diag set. */
int cp_config_schema_value_put(const struct cp_config_schema_item *item,
			       const char *text, bool plain, void *field,
			       struct sn_diag *diag);

/* True for the types that are written as one scalar. */
bool cp_config_schema_value_is_scalar(enum cp_config_schema_type type);

/* What a value of this type looks like, for messages and the manual. */
const char *cp_config_schema_value_get_form(enum cp_config_schema_type type);

/* Writes a bound or value of a numeric item with its unit. */
char *cp_config_schema_value_format(const struct cp_config_schema_item *item,
				    uint64_t value, char *buffer, size_t size);

/* Copies text for a message: what is not printable ASCII becomes '?', and
 * what is too long is cut. Returns buffer. */
char *
cp_config_schema_value_show(const char *text,
			    char buffer[CP_CONFIG_SCHEMA_VALUE_SHOWN_BYTES]);
