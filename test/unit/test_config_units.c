/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/units.h"

#include "controld/config/nearest.h"
#include "shared/util.h"
#include "test/unit/t.h"

static const char *const malformed[] = {
	"",    "-1s",  "+1s",	" 1s",	"1s ",	"1 s",
	"s",   "1",    "1x",	"1S",	"1.5s", "1h30m",
	"01s", "1e3s", "0x10s", "1sec", "1,0s", "\xef\xbc\x91s",
};

static void duration_takes_every_unit(void)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} cases[] = {
		{ "0", 0 },
		{ "0s", 0 },
		{ "7ns", 7 },
		{ "7us", 7000 },
		{ "7ms", 7000000 },
		{ "60s", 60 * SN_NS_PER_S },
		{ "5m", 300 * SN_NS_PER_S },
		{ "2h", 7200 * SN_NS_PER_S },
		{ "36525d", 36525ULL * 86400 * SN_NS_PER_S },
		{ "18446744073709551615ns", UINT64_MAX },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		uint64_t ns = 1;

		t_eq(cp_config_units_parse_duration(cases[i].text, &ns), 0);
		t_true(ns == cases[i].ns);
	}
}

static void duration_refuses_other_forms_and_keeps_the_value(void)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(malformed); i++) {
		uint64_t ns = 42;

		t_eq(cp_config_units_parse_duration(malformed[i], &ns),
		     CP_CONFIG_UNITS_E_SYNTAX);
		t_eq(ns, 42);
	}
}

static void duration_refuses_what_overflows(void)
{
	uint64_t ns = 42;

	t_eq(cp_config_units_parse_duration("18446744073709551616ns", &ns),
	     CP_CONFIG_UNITS_E_RANGE);
	t_eq(cp_config_units_parse_duration("18446744074s", &ns),
	     CP_CONFIG_UNITS_E_RANGE);
	t_eq(cp_config_units_parse_duration("213504d", &ns),
	     CP_CONFIG_UNITS_E_RANGE);
	t_eq(cp_config_units_parse_duration("99999999999999999999999999999999d",
					    &ns),
	     CP_CONFIG_UNITS_E_RANGE);
	t_eq(ns, 42);
	t_eq(cp_config_units_parse_duration("213503d", &ns), 0);
}

static void size_takes_bytes_and_binary_units(void)
{
	uint64_t bytes = 1;

	t_eq(cp_config_units_parse_size("0", &bytes), 0);
	t_eq(bytes, 0);
	t_eq(cp_config_units_parse_size("4096", &bytes), 0);
	t_eq(bytes, 4096);
	t_eq(cp_config_units_parse_size("3B", &bytes), 0);
	t_eq(bytes, 3);
	t_eq(cp_config_units_parse_size("64KiB", &bytes), 0);
	t_eq(bytes, 65536);
	t_eq(cp_config_units_parse_size("4MiB", &bytes), 0);
	t_eq(bytes, 4194304);
	t_eq(cp_config_units_parse_size("1GiB", &bytes), 0);
	t_eq(bytes, 1073741824);
	t_eq(cp_config_units_parse_size("2TiB", &bytes), 0);
	t_eq(bytes, 2199023255552);
}

static void size_refuses_decimal_and_short_units(void)
{
	static const char *const texts[] = { "4MB", "4M",  "4k",   "4mib",
					     "",    "-4B", "4 MiB" };
	uint64_t bytes = 42;

	for (size_t i = 0; i < SN_ARRAY_SIZE(texts); i++)
		t_eq(cp_config_units_parse_size(texts[i], &bytes),
		     CP_CONFIG_UNITS_E_SYNTAX);
	t_eq(cp_config_units_parse_size("16777216TiB", &bytes),
	     CP_CONFIG_UNITS_E_RANGE);
	t_eq(bytes, 42);
}

static void uint_takes_all_of_64_bits_and_no_more(void)
{
	uint64_t value = 42;

	t_eq(cp_config_units_parse_uint("18446744073709551615", &value), 0);
	t_true(value == UINT64_MAX);
	t_eq(cp_config_units_parse_uint("18446744073709551616", &value),
	     CP_CONFIG_UNITS_E_RANGE);
	t_eq(cp_config_units_parse_uint("12a", &value),
	     CP_CONFIG_UNITS_E_SYNTAX);
	t_eq(cp_config_units_parse_uint("010", &value),
	     CP_CONFIG_UNITS_E_SYNTAX);
	t_true(value == UINT64_MAX);
}

static void format_picks_the_largest_whole_unit(void)
{
	char text[CP_CONFIG_UNITS_TEXT_BYTES];

	t_str_eq(cp_config_units_format_duration(0, text), "0s");
	t_str_eq(cp_config_units_format_duration(90 * SN_NS_PER_S, text),
		 "90s");
	t_str_eq(cp_config_units_format_duration(7200 * SN_NS_PER_S, text),
		 "2h");
	t_str_eq(cp_config_units_format_duration(UINT64_MAX, text),
		 "18446744073709551615ns");
	t_str_eq(cp_config_units_format_size(0, text), "0B");
	t_str_eq(cp_config_units_format_size(1536, text), "1536B");
	t_str_eq(cp_config_units_format_size(4 << 20, text), "4MiB");
}

static void format_and_parse_are_inverse(void)
{
	uint64_t value = 1;

	for (unsigned int i = 0; i < 200; i++) {
		char text[CP_CONFIG_UNITS_TEXT_BYTES];
		uint64_t back = 0;

		value = value * 6364136223846793005ULL + 1442695040888963407ULL;
		(void)cp_config_units_format_duration(value >> i % 64, text);
		t_eq(cp_config_units_parse_duration(text, &back), 0);
		t_true(back == value >> i % 64);
		(void)cp_config_units_format_size(value >> i % 64, text);
		t_eq(cp_config_units_parse_size(text, &back), 0);
		t_true(back == value >> i % 64);
	}
}

static void distance_counts_slips(void)
{
	t_eq(cp_config_nearest_distance("", ""), 0);
	t_eq(cp_config_nearest_distance("", "abc"), 3);
	t_eq(cp_config_nearest_distance("level", "level"), 0);
	t_eq(cp_config_nearest_distance("levle", "level"), 1);
	t_eq(cp_config_nearest_distance("evel", "level"), 1);
	t_eq(cp_config_nearest_distance("levels", "level"), 1);
	t_eq(cp_config_nearest_distance("kitten", "sitting"), 3);
	t_eq(cp_config_nearest_distance("01234567890123456789012345678901"
					"234567890",
					"a"),
	     CP_CONFIG_NEAREST_MAX_BYTES);
}

static void offer_keeps_the_nearest_and_ignores_the_far(void)
{
	const char *best = NULL;

	cp_config_nearest_offer("reconect_min", "collect_interval", &best);
	t_null(best);
	cp_config_nearest_offer("reconect_min", "reconnect_max", &best);
	t_str_eq(best, "reconnect_max");
	cp_config_nearest_offer("reconect_min", "reconnect_min", &best);
	t_str_eq(best, "reconnect_min");
	cp_config_nearest_offer("reconect_min", "reconnect_max", &best);
	t_str_eq(best, "reconnect_min");
}

T_MAIN("config_units", duration_takes_every_unit,
       duration_refuses_other_forms_and_keeps_the_value,
       duration_refuses_what_overflows, size_takes_bytes_and_binary_units,
       size_refuses_decimal_and_short_units,
       uint_takes_all_of_64_bits_and_no_more,
       format_picks_the_largest_whole_unit, format_and_parse_are_inverse,
       distance_counts_slips, offer_keeps_the_nearest_and_ignores_the_far)
