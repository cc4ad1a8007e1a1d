/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The options `metrics` and `health`, for the table in controld/config/config.c. */

#include "controld/config/schema.h"

extern const struct cp_config_schema_item cp_config_monitor_metrics[];
extern const struct cp_config_schema_item cp_config_monitor_health[];
