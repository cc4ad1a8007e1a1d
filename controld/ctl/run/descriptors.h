/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Descriptors of a process that begins a life of its own. */

/* Closes everything but the standard ones and `keep` (-1: nothing else). */
void cp_ctl_run_descriptors_close(int keep);

/* Makes the standard ones /dev/null. 0 or -errno. */
int cp_ctl_run_descriptors_null(void);
