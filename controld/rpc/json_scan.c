/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/json_scan.h"

/* Behind the string that begins at `at`. */
static size_t skip_string(const char *text, size_t size, size_t at)
{
	for (at++; at < size && text[at] != '"'; at++)
		if (text[at] == '\\')
			at++;
	return at;
}

int cp_rpc_json_scan(const char *text, size_t size)
{
	size_t depth = 0, n_values = 1;

	for (size_t at = 0; at < size; at++) {
		switch (text[at]) {
		case '"':
			at = skip_string(text, size, at);
			break;
		case '[':
		case '{':
			if (++depth > CP_RPC_JSON_SCAN_DEPTH_MAX)
				return CP_RPC_JSON_SCAN_E_DEPTH;
			n_values++;
			break;
		case ']':
		case '}':
			depth -= depth > 0;
			break;
		case ',':
		case ':':
			n_values++;
			break;
		}
	}
	return n_values > CP_RPC_JSON_SCAN_VALUES_MAX ?
		       CP_RPC_JSON_SCAN_E_VALUES :
		       0;
}
