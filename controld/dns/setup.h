/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The resolver as the configuration states it. */

#include "controld/config/config.h"
#include "controld/dns/server.h"

/* As cp_dns_server_new(). */
int cp_dns_setup_new(struct cp_dns_server **ret, uv_loop_t *loop,
		     struct cp_attach *manager, const struct cp_config *config,
		     struct sn_diag *diag);
void cp_dns_setup_reload(struct cp_dns_server *server,
			 const struct cp_config *config);
