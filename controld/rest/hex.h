/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a hexadecimal digit of either case stands for; -1: c is none. */
static inline int cp_rest_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
