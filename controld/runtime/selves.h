/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The processes whose doings are no events: ours and sentinel-dp. */

#include <sys/types.h>

#include "shared/abi.h"

/* peer: sentinel-dp's number in our pid namespace, 0: not known. In another
 * namespace than the first nobody can be named: numbers are somebody else's
 * there, and all of ret is zero. */
void cp_runtime_selves_get(pid_t peer,
			   struct sn_rt_left_out ret[SN_RT_LEFT_OUT_MAX]);
