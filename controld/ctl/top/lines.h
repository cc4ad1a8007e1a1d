/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The lines of `top` for a terminal of some width: columns that do not fit are
 * left out, the least important first. Pure. */

#include "controld/ctl/top/model.h"

enum {
	CP_CTL_TOP_LINES_WIDTH_MAX = 512, /* columns that are used at most */
	CP_CTL_TOP_LINES_BYTES = 4 * CP_CTL_TOP_LINES_WIDTH_MAX + 1,
	CP_CTL_TOP_LINES_PLAIN = 132, /* for what is no terminal */
};

void cp_ctl_top_lines_head(size_t width, char line[CP_CTL_TOP_LINES_BYTES]);
void cp_ctl_top_lines_row(const struct cp_ctl_top_row *row, size_t width,
			  char line[CP_CTL_TOP_LINES_BYTES]);
/* The first line of all. */
void cp_ctl_top_lines_sum(const struct cp_ctl_top_model *model, size_t width,
			  char line[CP_CTL_TOP_LINES_BYTES]);

/* "0", "7.5", "12k", "3.4M": at most 5 columns. */
enum { CP_CTL_TOP_LINES_RATE_BYTES = 16 };
char *cp_ctl_top_lines_rate(double rate,
			    char text[CP_CTL_TOP_LINES_RATE_BYTES]);
