/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The parts of the daemon, in the order in which they use each other. A new
 * one is a pointer in struct cp_daemon, its functions here, and a row of the
 * table. */

#include "controld/daemon/internal.h"

/* Stops at the first that fails; those before it are still to be closed. */
int cp_daemon_parts_open(struct cp_daemon *daemon, struct sn_diag *diag);
/* The configuration has changed. */
void cp_daemon_parts_reload(struct cp_daemon *daemon);
/* One after the other, from the loop, which then has nothing left to do. */
void cp_daemon_parts_close(struct cp_daemon *daemon);
/* After the loop has ended. */
void cp_daemon_parts_free(struct cp_daemon *daemon);
