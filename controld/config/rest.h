/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The option `rest`, for the table in controld/config/config.c. */

#include <stdbool.h>

#include "controld/config/schema.h"

struct cp_config_rest {
	bool socket;
	uint64_t max_connections;
	struct cp_config_schema_strings hosts;
};

extern const struct cp_config_schema_item cp_config_rest_items[];
