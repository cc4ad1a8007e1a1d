/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The daemon's id: random, made once for a state directory and kept in its
 * state file. */

#include "controld/state/state.h"

enum { CP_STATE_IDENTITY_BYTES = 33 }; /* hex digits and NUL */

/* -EBADMSG: what the state file has is none. */
int cp_state_identity_get(struct cp_state *state,
			  char ret[CP_STATE_IDENTITY_BYTES]);
