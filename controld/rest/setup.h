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

/* *ret is NULL if nothing of it is configured, or no more than a socket whose
 * path does not fit, which is told. diag is filled for what is not plainly the
 * machine.
 *
 * The files that the listener over TLS needs are read; where one is refused, it is
 * told, and there is no listener, or nobody who may call. */
int cp_rest_setup_new(struct cp_rest **ret, const struct cp_rest_setup *setup,
		      const struct cp_config *config, struct sn_diag *diag);

/* Reads them again; what is refused leaves what was read before. */
void cp_rest_setup_reload(struct cp_rest *rest, const struct cp_config *config);
