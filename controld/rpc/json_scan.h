/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a JSON text would cost, before it is parsed: a parser makes some hundred
 * bytes of "{}," and a frame of its stack of "[". Pure; the text need not be
 * JSON. */

#include <stddef.h>

enum {
	CP_RPC_JSON_SCAN_DEPTH_MAX = 32,
	CP_RPC_JSON_SCAN_VALUES_MAX = 100000, /* keys count as well */
};

/* Answers. */
enum {
	CP_RPC_JSON_SCAN_E_DEPTH = 1,
	CP_RPC_JSON_SCAN_E_VALUES,
};

int cp_rpc_json_scan(const char *text, size_t size);
