/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where something is served by HTTP: an option that several sections have. */

#include "shared/diag.h"

/* Check of an option's string: an address and a port, or "", which is not at
 * all. */
int cp_config_listen_check(const void *field, struct sn_diag *diag);
