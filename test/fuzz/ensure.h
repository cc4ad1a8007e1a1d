/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What holds whatever the input is. If it does not, the fuzzer says so, and
 * libFuzzer keeps the input. */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static inline void ensure(bool holds, const char *what)
{
	if (holds)
		return;
	(void)fprintf(stderr, "%s\n", what);
	abort();
}

/* For a condition that says enough itself. */
#define require(holds) ensure((holds), #holds)
