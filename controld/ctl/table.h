/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Aligned columns for people: a header row, two spaces between columns, no
 * blanks at the end of a line. Rows are gathered and written a page at a time,
 * so that a long listing needs bounded memory. */

#include <stddef.h>
#include <stdio.h>

#include "shared/util.h"

enum {
	CP_CTL_TABLE_COLUMNS_MAX = 12,
	CP_CTL_TABLE_PAGE_ROWS = 2000,
};

struct cp_ctl_table;

/* headers: n_columns static texts; NULL: no header row. */
int cp_ctl_table_new(struct cp_ctl_table **ret, FILE *out,
		     const char *const *headers, size_t n_columns);
struct cp_ctl_table *cp_ctl_table_free(struct cp_ctl_table *table);
SN_DEFINE_CLEANUP(struct cp_ctl_table, cp_ctl_table_free)

/* The next cell of the row, copied; control bytes are shown as '?', since they
 * would reach the terminal. Empty ones are shown as "-". */
int cp_ctl_table_put(struct cp_ctl_table *table, const char *text);
int cp_ctl_table_putf(struct cp_ctl_table *table, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* An empty line will come before the header. */
void cp_ctl_table_space(struct cp_ctl_table *table);

/* Writes what was not written yet; the header even if there is no row. */
int cp_ctl_table_flush(struct cp_ctl_table *table);

/* The columns that a terminal needs for UTF-8 text without wide characters. */
size_t cp_ctl_table_width(const char *text);

/* Replaces control bytes by '?'. Returns text. */
char *cp_ctl_table_clean(char *text);
