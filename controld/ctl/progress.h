/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tells a person at a terminal what is waited for when it takes over a second;
 * pipes and files get nothing. One wait at a time. */

/* what: stays until the end. */
void cp_ctl_progress_begin(const char *what);
void cp_ctl_progress_end(void);
