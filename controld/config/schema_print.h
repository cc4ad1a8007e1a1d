/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The option reference of a schema, from the table that parses it. */

#include <stdio.h>

#include "controld/config/schema.h"

/* Writes two lines and an empty one for each option, mappings and elements
 * before their own options:
 *
 *	api.max_message: size, 64KiB to 16MiB, default 4MiB, needs a restart
 *		Largest message that a client may send.
 *
 * Returns 0, or -EIO if the stream reports an error. */
int cp_config_schema_print(FILE *out,
			   const struct cp_config_schema_item *items);
