/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Before the first part is opened: the folder of the state, the names of files
 * and sockets, who may call, and the end of every privilege. */

#include "controld/daemon/internal.h"

/* What failed has been told. */
int cp_daemon_prepare(struct cp_daemon *daemon);
