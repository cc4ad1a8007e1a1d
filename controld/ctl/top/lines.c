// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/top/lines.h"

#include <stdio.h>
#include <string.h>

#include "controld/ctl/table.h"

enum column {
	COLUMN_ID,
	COLUMN_TARGET,
	COLUMN_MODE,
	COLUMN_ALLOWED,
	COLUMN_BLOCKED,
	COLUMN_BYTES,
	COLUMN_DNS,
	COLUMN_DNS_BLOCKED,
	COLUMN_LAST,
	COLUMN_COUNT,
};

/* In the order on the screen. rank: who comes first when there is no room. */
static const struct {
	const char *head;
	size_t width; /* at least */
	unsigned int rank;
	int rate; /* enum cp_ctl_top_rate, or -1 */
} columns[COLUMN_COUNT] = {
	[COLUMN_ID] = { "ID", 8, 4, -1 },
	[COLUMN_TARGET] = { "TARGET", 6, 0, -1 },
	[COLUMN_MODE] = { "MODE", 16, 7, -1 },
	[COLUMN_ALLOWED] = { "ALLOW", 5, 2, CP_CTL_TOP_RATE_ALLOWED },
	[COLUMN_BLOCKED] = { "BLOCK", 5, 1, CP_CTL_TOP_RATE_BLOCKED },
	[COLUMN_BYTES] = { "BYTES", 5, 5, CP_CTL_TOP_RATE_BYTES },
	[COLUMN_DNS] = { "DNS", 5, 3, CP_CTL_TOP_RATE_DNS },
	[COLUMN_DNS_BLOCKED] = { "DENY", 5, 6, CP_CTL_TOP_RATE_DNS_BLOCKED },
	[COLUMN_LAST] = { "LAST BLOCKED", 14, 8, -1 },
};

char *cp_ctl_top_lines_rate(double rate, char text[CP_CTL_TOP_LINES_RATE_BYTES])
{
	static const char units[] = " kMGTP";
	size_t unit = 0;

	for (; rate >= 999.5 && unit + 2 < sizeof(units); unit++)
		rate /= 1000;
	if (rate > 0 && rate < 9.95)
		(void)snprintf(text, CP_CTL_TOP_LINES_RATE_BYTES, "%.1f%.*s",
			       rate, unit ? 1 : 0, units + unit);
	else
		(void)snprintf(text, CP_CTL_TOP_LINES_RATE_BYTES, "%.0f%.*s",
			       rate, unit ? 1 : 0, units + unit);
	return text;
}

/* Widths, 0 for a column that is left out. What is over goes to the two texts
 * without a bound. */
static void divide(size_t width, size_t widths[COLUMN_COUNT])
{
	size_t left = width, more;

	(void)memset(widths, 0, COLUMN_COUNT * sizeof(*widths));
	for (unsigned int rank = 0; rank < COLUMN_COUNT; rank++) {
		for (size_t i = 0; i < COLUMN_COUNT; i++) {
			size_t wanted = columns[i].width + (rank ? 1 : 0);

			if (columns[i].rank != rank || wanted > left)
				continue;
			widths[i] = columns[i].width;
			left -= wanted;
		}
	}
	if (!widths[COLUMN_TARGET])
		widths[COLUMN_TARGET] = left;
	else if (!widths[COLUMN_LAST])
		widths[COLUMN_TARGET] += left;
	else {
		more = left / 2;
		widths[COLUMN_TARGET] += more;
		widths[COLUMN_LAST] += left - more;
	}
}

/* Bytes of the first n characters of a text. */
static size_t bytes_of(const char *text, size_t n)
{
	size_t at = 0;

	while (text[at]) {
		if (((unsigned char)text[at] & 0xc0) != 0x80 && n-- == 0)
			break;
		at++;
	}
	return at;
}

/* A cell, cut and filled up. Of a path the end says more. */
static size_t put(char *line, size_t at, const char *text, size_t width,
		  bool is_right, bool keeps_end)
{
	size_t length = cp_ctl_table_width(text), skipped = 0, bytes;
	int blanks;

	if (length > width && keeps_end)
		skipped = bytes_of(text, length - width);
	bytes = bytes_of(text + skipped, width);
	blanks = length < width ? (int)(width - length) : 0;
	return at + (size_t)snprintf(line + at, CP_CTL_TOP_LINES_BYTES - at,
				     "%*s%.*s%*s", is_right ? blanks : 0, "",
				     (int)bytes, text + skipped,
				     is_right ? 0 : blanks, "");
}

/* row NULL: the heads. */
static const char *cell(const struct cp_ctl_top_row *row, size_t column,
			char text[CP_CTL_TOP_LINES_RATE_BYTES])
{
	if (!row)
		return columns[column].head;
	if (columns[column].rate >= 0)
		return cp_ctl_top_lines_rate(row->rates[columns[column].rate],
					     text);
	if (column == COLUMN_ID)
		return row->id;
	if (column == COLUMN_MODE)
		return row->mode;
	return column == COLUMN_TARGET ? row->target : row->last;
}

void cp_ctl_top_lines_row(const struct cp_ctl_top_row *row, size_t width,
			  char line[CP_CTL_TOP_LINES_BYTES])
{
	char text[CP_CTL_TOP_LINES_RATE_BYTES];
	size_t widths[COLUMN_COUNT], at = 0;

	divide(SN_MIN(width, (size_t)CP_CTL_TOP_LINES_WIDTH_MAX), widths);
	line[0] = '\0';
	for (size_t i = 0; i < COLUMN_COUNT; i++) {
		if (!widths[i])
			continue;
		if (at)
			at = put(line, at, "", 1, false, false);
		at = put(line, at, cell(row, i, text), widths[i],
			 columns[i].rate >= 0, row && i == COLUMN_TARGET);
	}
	while (at && line[at - 1] == ' ')
		line[--at] = '\0';
}

void cp_ctl_top_lines_head(size_t width, char line[CP_CTL_TOP_LINES_BYTES])
{
	cp_ctl_top_lines_row(NULL, width, line);
}

void cp_ctl_top_lines_sum(const struct cp_ctl_top_model *model, size_t width,
			  char line[CP_CTL_TOP_LINES_BYTES])
{
	char allowed[CP_CTL_TOP_LINES_RATE_BYTES];
	char blocked[CP_CTL_TOP_LINES_RATE_BYTES];
	char dns[CP_CTL_TOP_LINES_RATE_BYTES];
	double rates[CP_CTL_TOP_RATE_COUNT];
	char *comma;
	size_t n;

	cp_ctl_top_model_sum(model, rates, &n);
	(void)snprintf(
		line, CP_CTL_TOP_LINES_BYTES,
		"%zu attached, blocked %s/s, allowed %s/s, names %s/s", n,
		cp_ctl_top_lines_rate(rates[CP_CTL_TOP_RATE_BLOCKED], blocked),
		cp_ctl_top_lines_rate(rates[CP_CTL_TOP_RATE_ALLOWED], allowed),
		cp_ctl_top_lines_rate(rates[CP_CTL_TOP_RATE_DNS], dns));
	/* A number that is cut would be another one. */
	while (cp_ctl_table_width(line) > width && (comma = strrchr(line, ',')))
		*comma = '\0';
	line[bytes_of(line, width)] = '\0';
}
