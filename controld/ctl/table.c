// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct cp_ctl_table {
	FILE *out;
	const char *const *headers;
	bool has_space; /* before the header */
	size_t n_columns;
	size_t widths[CP_CTL_TABLE_COLUMNS_MAX]; /* grow only */
	char **cells;
	size_t n_cells;
};

int cp_ctl_table_new(struct cp_ctl_table **ret, FILE *out,
		     const char *const *headers, size_t n_columns)
{
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;

	assert(n_columns > 0 && n_columns <= CP_CTL_TABLE_COLUMNS_MAX);
	table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	table->out = out;
	table->headers = headers;
	table->n_columns = n_columns;
	for (size_t i = 0; headers && i < n_columns; i++)
		table->widths[i] = cp_ctl_table_width(headers[i]);
	table->cells = calloc(n_columns * CP_CTL_TABLE_PAGE_ROWS,
			      sizeof(*table->cells));
	if (!table->cells)
		return -ENOMEM;
	*ret = sn_steal(&table);
	return 0;
}

static void drop_cells(struct cp_ctl_table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	table->n_cells = 0;
}

struct cp_ctl_table *cp_ctl_table_free(struct cp_ctl_table *table)
{
	if (!table)
		return NULL;
	if (table->cells)
		drop_cells(table);
	free(table->cells);
	free(table);
	return NULL;
}

size_t cp_ctl_table_width(const char *text)
{
	size_t width = 0;

	/* Bytes 10xxxxxx continue a character. */
	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

char *cp_ctl_table_clean(char *text)
{
	for (char *at = text; *at; at++) {
		unsigned char byte = (unsigned char)*at;

		if (byte < 0x20 || byte == 0x7f)
			*at = '?';
	}
	return text;
}

static int write_cell(struct cp_ctl_table *table, size_t column,
		      const char *text)
{
	size_t width = cp_ctl_table_width(text);
	bool is_last = column == table->n_columns - 1;
	int n_blanks = is_last ? 0 : (int)(table->widths[column] - width) + 2;

	if (fprintf(table->out, "%s%*s%s", text, n_blanks, "",
		    is_last ? "\n" : "") < 0)
		return -EIO;
	return 0;
}

int cp_ctl_table_flush(struct cp_ctl_table *table)
{
	int r = 0;

	if (table->has_space)
		(void)fputc('\n', table->out);
	table->has_space = false;
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t width = cp_ctl_table_width(table->cells[i]);
		size_t column = i % table->n_columns;

		table->widths[column] = SN_MAX(table->widths[column], width);
	}
	for (size_t i = 0; table->headers && r == 0 && i < table->n_columns;
	     i++)
		r = write_cell(table, i, table->headers[i]);
	table->headers = NULL;
	for (size_t i = 0; r == 0 && i < table->n_cells; i++)
		r = write_cell(table, i % table->n_columns, table->cells[i]);
	drop_cells(table);
	return r;
}

void cp_ctl_table_space(struct cp_ctl_table *table)
{
	table->has_space = true;
}

int cp_ctl_table_put(struct cp_ctl_table *table, const char *text)
{
	char *copy;
	int r;

	if (table->n_cells == table->n_columns * CP_CTL_TABLE_PAGE_ROWS) {
		r = cp_ctl_table_flush(table);
		if (r < 0)
			return r;
	}
	copy = strdup(*text ? text : "-");
	if (!copy)
		return -ENOMEM;
	table->cells[table->n_cells++] = cp_ctl_table_clean(copy);
	return 0;
}

int cp_ctl_table_putf(struct cp_ctl_table *table, const char *format, ...)
{
	sn_cleanup(sn_freep) char *text = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return cp_ctl_table_put(table, text);
}
