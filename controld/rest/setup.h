/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* REST as the configuration states it. */

#include "controld/config/config.h"
#include "controld/rest/rest.h"
#include "shared/diag.h"

struct cp_api;

struct cp_rest_setup {
	uv_loop_t *loop;
	struct cp_api *api;
	const char *run_dir; /* of rest.sock; borrowed for the call */
	gid_t gid;
	const char *version;
};

/* *ret is NULL if nothing of it is configured. diag is filled for what is not
 * plainly the machine. */
int cp_rest_setup_new(struct cp_rest **ret, const struct cp_rest_setup *setup,
		      const struct cp_config *config, struct sn_diag *diag);
