/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Colours of words, on terminals only and never if NO_COLOR is set. */

#include <stdio.h>

enum cp_ctl_colour {
	CP_CTL_COLOUR_RED = 31, /* as terminals number them */
	CP_CTL_COLOUR_GREEN = 32,
	CP_CTL_COLOUR_YELLOW = 33,
};

void cp_ctl_colour_begin(FILE *out, enum cp_ctl_colour colour);
void cp_ctl_colour_end(FILE *out);
