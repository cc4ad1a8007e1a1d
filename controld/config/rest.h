/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The option `rest`, for the table in controld/config/config.c. */

#include <stdbool.h>

#include "controld/config/schema.h"

struct cp_config_rest {
	bool socket;
	char *listen; /* "": not over TLS; else cp_http_address_parse() takes it */
	char *certificate; /* "": not stated, as those below */
	char *key;
	char *client_ca;
	char *callers;
	uint64_t max_connections;
	struct cp_config_schema_strings hosts;
};

/* Callback of the mapping. */
int cp_config_rest_check(const void *field, struct sn_diag *diag);

extern const struct cp_config_schema_item cp_config_rest_items[];
