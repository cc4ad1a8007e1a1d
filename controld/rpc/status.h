/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a call ended. */

enum { CP_RPC_STATUS_TEXT_BYTES = 1024 };

/* code: a grpc_status_code, 0 when the call succeeded. text: what the server
 * (or the library) says about it, NUL-terminated, longer texts cut. */
struct cp_rpc_status {
	int code;
	char text[CP_RPC_STATUS_TEXT_BYTES];
};

void cp_rpc_status_set(struct cp_rpc_status *status, int code,
		       const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "OK", "INVALID_ARGUMENT", ...; "UNKNOWN" for a code that has no name. */
const char *cp_rpc_status_name(int code);
