// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/table.h"

#include "controld/ctl/output.h"
#include "test/unit/t.h"

static const char *const headers[] = { "A", "LONG", "C" };

struct sink {
	FILE *file;
	char *text;
	size_t size;
};

static void open_sink(struct sink *sink)
{
	*sink = (struct sink){ .text = NULL };
	sink->file = open_memstream(&sink->text, &sink->size);
	t_true(sink->file != NULL);
}

static void sink_is(struct sink *sink, const char *wanted)
{
	t_eq(fclose(sink->file), 0);
	t_str_eq(sink->text, wanted);
	free(sink->text);
}

static void put_row(struct cp_ctl_table *table, const char *a, const char *b,
		    const char *c)
{
	t_eq(cp_ctl_table_put(table, a), 0);
	t_eq(cp_ctl_table_put(table, b), 0);
	t_eq(cp_ctl_table_put(table, c), 0);
}

static void columns_are_aligned_without_blanks_at_the_end(void)
{
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;
	struct sink sink;

	open_sink(&sink);
	t_eq(cp_ctl_table_new(&table, sink.file, headers, 3), 0);
	put_row(table, "wide one", "1", "");
	put_row(table, "", "22222", "end");
	t_eq(cp_ctl_table_flush(table), 0);
	t_eq(cp_ctl_table_flush(table), 0);
	sink_is(&sink, "A         LONG   C\n"
		       "wide one  1      -\n"
		       "-         22222  end\n");
}

static void a_table_without_rows_is_its_header(void)
{
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;
	struct sink sink;

	open_sink(&sink);
	t_eq(cp_ctl_table_new(&table, sink.file, headers, 3), 0);
	t_eq(cp_ctl_table_flush(table), 0);
	sink_is(&sink, "A  LONG  C\n");
}

static void what_would_steer_the_terminal_is_replaced(void)
{
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;
	struct sink sink;

	open_sink(&sink);
	t_eq(cp_ctl_table_new(&table, sink.file, NULL, 1), 0);
	t_eq(cp_ctl_table_put(table, "a\033[31mb\nc\177"), 0);
	t_eq(cp_ctl_table_putf(table, "%d%%", 7), 0);
	t_eq(cp_ctl_table_flush(table), 0);
	sink_is(&sink, "a?[31mb?c?\n7%\n");
}

static void characters_count_and_not_bytes(void)
{
	t_eq(cp_ctl_table_width(""), 0);
	t_eq(cp_ctl_table_width("abc"), 3);
	t_eq(cp_ctl_table_width("g\xc3\xbcnther"), 7);
}

static void long_tables_are_written_by_the_page(void)
{
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;
	struct sink sink;
	unsigned int n_lines = 0;

	open_sink(&sink);
	t_eq(cp_ctl_table_new(&table, sink.file, headers, 3), 0);
	for (int i = 0; i < CP_CTL_TABLE_PAGE_ROWS; i++)
		put_row(table, "a", "b", "c");
	(void)fflush(sink.file);
	t_eq(sink.size, 0);
	put_row(table, "wider", "b", "c");
	(void)fflush(sink.file);
	t_true(sink.size > 0);
	t_eq(cp_ctl_table_flush(table), 0);
	t_eq(fclose(sink.file), 0);
	for (const char *at = sink.text; *at; at++)
		n_lines += *at == '\n';
	t_eq(n_lines, CP_CTL_TABLE_PAGE_ROWS + 2);
	t_not_null(strstr(sink.text, "\nwider  b     c\n"));
	free(sink.text);
}

static void seconds_have_two_units_at_most(void)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} cases[] = {
		{ 0, "-" },
		{ 1, "1s" },
		{ 60, "1m" },
		{ 61, "1m 1s" },
		{ 3600, "1h" },
		{ 3601, "1h" },
		{ 90061, "1d 1h" },
		{ 86400 * 36525ULL, "36525d" },
		{ UINT64_MAX, "213503982334601d 7h" },
	};
	char text[CP_CTL_OUTPUT_TEXT_BYTES];

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++)
		t_str_eq(cp_ctl_output_seconds(cases[i].seconds, text),
			 cases[i].text);
}

static void unknown_enum_values_are_numbers(void)
{
	char text[CP_CTL_OUTPUT_TEXT_BYTES];

	t_str_eq(cp_ctl_output_enum(&sentinel__v1__mode__descriptor, 4, text),
		 "block-all");
	t_str_eq(cp_ctl_output_enum(&sentinel__v1__attachment_state__descriptor,
				    4, text),
		 "repairing");
	t_str_eq(cp_ctl_output_enum(&sentinel__v1__mode__descriptor, 77, text),
		 "77");
	t_str_eq(cp_ctl_output_mode(SENTINEL__V1__MODE__MODE_DENYLIST, true,
				    text),
		 "denylist(audit)");
}

static void texts_of_any_bytes_become_json(void)
{
	static const struct {
		const char *text, *json;
	} cases[] = {
		{ "", "" },
		{ "a\xc3\xa9", "a\xc3\xa9" },
		{ "\xc3\xa9 \xff", "?? ?" },
		{ "cut\xe2\x82", "cut??" },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		json_t *value = cp_ctl_output_text(cases[i].text);

		t_str_eq(json_string_value(value), cases[i].json);
		json_decref(value);
	}
}

T_MAIN("ctl_table", columns_are_aligned_without_blanks_at_the_end,
       a_table_without_rows_is_its_header,
       what_would_steer_the_terminal_is_replaced,
       characters_count_and_not_bytes, long_tables_are_written_by_the_page,
       seconds_have_two_units_at_most, unknown_enum_values_are_numbers,
       texts_of_any_bytes_become_json)
