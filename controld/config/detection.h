/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The option `detection`, for the table in controld/config/config.c. */

#include "controld/config/schema.h"

struct cp_config_detection {
	char *rules; /* file; "": none */
	uint64_t memory_bytes;
	uint64_t rate; /* 0: no bound */
	uint64_t burst;
};

extern const struct cp_config_schema_item cp_config_detection_items[];
