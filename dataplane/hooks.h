/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which programs of shared/runtime.def need not be tried: this kernel lacks the
 * tracepoint or function that they name, or lets none be on functions, or nobody
 * asks for them. Each sets the errno of these; the others' stay. */

#include <stdbool.h>

#include "shared/runtime.h"

/* functions: false if none may be on a function (ECANCELED). */
void dp_hooks_find_missing(bool functions, int errors[SN_PROGRAM_COUNT]);

/* compat: false if 32-bit calls need not be seen (ECANCELED). Where they cannot:
 * EOPNOTSUPP. */
void dp_hooks_find_unwanted(bool compat, int errors[SN_PROGRAM_COUNT]);
