/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Text to number and back for the values of YAML files and command lines.
 * Pure: no allocation, no locale. A number is decimal digits without sign,
 * blank or leading zero. */

#include <stddef.h>
#include <stdint.h>

enum {
	/* Room for every text that the format functions write. */
	CP_CONFIG_UNITS_TEXT_BYTES = 32,
};

/* Answers of the parse functions besides 0; *ret keeps its value then. */
enum {
	CP_CONFIG_UNITS_E_SYNTAX = 1, /* not of this form */
	CP_CONFIG_UNITS_E_RANGE, /* does not fit into 64 bits */
};

int cp_config_units_parse_uint(const char *text, uint64_t *ret);

/* A number and ns, us, ms, s, m, h or d ("250ms"); a bare "0" is accepted.
 * The result is in nanoseconds, so 584 years are the most. */
int cp_config_units_parse_duration(const char *text, uint64_t *ret_ns);

/* A number and nothing, B, KiB, MiB, GiB or TiB. */
int cp_config_units_parse_size(const char *text, uint64_t *ret_bytes);

/* Write the shortest form that parses back to the same value, always
 * NUL-terminated. Return buffer. */
char *cp_config_units_format_duration(uint64_t ns,
				      char buffer[CP_CONFIG_UNITS_TEXT_BYTES]);
char *cp_config_units_format_size(uint64_t bytes,
				  char buffer[CP_CONFIG_UNITS_TEXT_BYTES]);
