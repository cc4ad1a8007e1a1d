/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Completions for shells, from the tables of commands and options. Ids are
 * asked for when they are completed. */

#include "controld/ctl/session.h"

enum cp_ctl_exit cp_ctl_completion_print(struct cp_ctl_session *session);
