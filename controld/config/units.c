/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shared/util.h"

struct unit {
	const char *name;
	uint64_t scale;
};

/* Largest first, which the format functions rely on. */
static const struct unit durations[] = {
	{ "d", 86400 * SN_NS_PER_S },
	{ "h", 3600 * SN_NS_PER_S },
	{ "m", 60 * SN_NS_PER_S },
	{ "s", SN_NS_PER_S },
	{ "ms", 1000000 },
	{ "us", 1000 },
	{ "ns", 1 },
};

static const struct unit sizes[] = {
	{ "TiB", 1ULL << 40 },
	{ "GiB", 1ULL << 30 },
	{ "MiB", 1ULL << 20 },
	{ "KiB", 1ULL << 10 },
	{ "B", 1 },
};

/* Reads the digits; *ret_end is the first byte after them. */
static int parse_number(const char *text, const char **ret_end, uint64_t *ret)
{
	const char *p = text;
	uint64_t value = 0;

	if (*p < '0' || *p > '9')
		return CP_CONFIG_UNITS_E_SYNTAX;
	if (p[0] == '0' && p[1] >= '0' && p[1] <= '9')
		return CP_CONFIG_UNITS_E_SYNTAX;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(value, 10U, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return CP_CONFIG_UNITS_E_RANGE;
	}
	*ret_end = p;
	*ret = value;
	return 0;
}

/* Without a unit the number stands alone if bare is true or it is 0. */
static int parse_scaled(const char *text, const struct unit *units, size_t n,
			bool bare, uint64_t *ret)
{
	const char *end;
	uint64_t value;
	int r;

	r = parse_number(text, &end, &value);
	if (r)
		return r;

	if (*end == '\0' && (bare || value == 0)) {
		*ret = value;
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		if (strcmp(end, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(value, units[i].scale, &value))
			return CP_CONFIG_UNITS_E_RANGE;
		*ret = value;
		return 0;
	}
	return CP_CONFIG_UNITS_E_SYNTAX;
}

static char *format_scaled(uint64_t value, const struct unit *units, size_t n,
			   char *buffer)
{
	size_t i = 0;

	while (i + 1 < n && (value == 0 || value % units[i].scale != 0))
		i++;
	(void)snprintf(buffer, CP_CONFIG_UNITS_TEXT_BYTES, "%" PRIu64 "%s",
		       value / units[i].scale, units[i].name);
	return buffer;
}

int cp_config_units_parse_uint(const char *text, uint64_t *ret)
{
	const char *end;
	uint64_t value;
	int r;

	r = parse_number(text, &end, &value);
	if (r)
		return r;
	if (*end)
		return CP_CONFIG_UNITS_E_SYNTAX;
	*ret = value;
	return 0;
}

int cp_config_units_parse_duration(const char *text, uint64_t *ret_ns)
{
	return parse_scaled(text, durations, SN_ARRAY_SIZE(durations), false,
			    ret_ns);
}

int cp_config_units_parse_size(const char *text, uint64_t *ret_bytes)
{
	return parse_scaled(text, sizes, SN_ARRAY_SIZE(sizes), true, ret_bytes);
}

char *cp_config_units_format_duration(uint64_t ns,
				      char buffer[CP_CONFIG_UNITS_TEXT_BYTES])
{
	if (ns == 0)
		return strcpy(buffer, "0s");
	return format_scaled(ns, durations, SN_ARRAY_SIZE(durations), buffer);
}

char *cp_config_units_format_size(uint64_t bytes,
				  char buffer[CP_CONFIG_UNITS_TEXT_BYTES])
{
	return format_scaled(bytes, sizes, SN_ARRAY_SIZE(sizes), buffer);
}
