/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The configuration, and the files that it names. What is refused is told on
 * standard error. */

#include "controld/daemon/internal.h"
#include "controld/dns/doh.h"

/* Also puts the log's settings into force. 0 or an exit status. */
int cp_daemon_settings_load(struct cp_daemon *daemon);
/* The configuration again; -EINVAL: it is refused and the one before stays. Else
 * *before is the caller's, to be freed when all parts have the new one. */
int cp_daemon_settings_reload(struct cp_daemon *daemon,
			      struct cp_config **before);

/* An absent list at the usual place is an empty one. *ret: NULL then. */
int cp_daemon_settings_load_doh(const struct cp_daemon *daemon,
				struct cp_dns_doh **ret, struct sn_diag *diag);
