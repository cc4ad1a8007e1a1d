/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which hooks of shared/runtime.def this kernel has for programs that name them:
 * tracepoints, and functions, on which some kernels refuse to put any. */

#include <stdbool.h>

#include "shared/runtime.h"

/* Sets the errno of each program whose hook is not there; the others' stay.
 * functions: false if none may be on a function (ECANCELED). */
void dp_hooks_find_missing(bool functions, int errors[SN_PROGRAM_COUNT]);
