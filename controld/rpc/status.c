/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/status.h"

#include <grpc/status.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "shared/util.h"

static const char *const names[] = {
	[GRPC_STATUS_OK] = "OK",
	[GRPC_STATUS_CANCELLED] = "CANCELLED",
	[GRPC_STATUS_UNKNOWN] = "UNKNOWN",
	[GRPC_STATUS_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
	[GRPC_STATUS_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
	[GRPC_STATUS_NOT_FOUND] = "NOT_FOUND",
	[GRPC_STATUS_ALREADY_EXISTS] = "ALREADY_EXISTS",
	[GRPC_STATUS_PERMISSION_DENIED] = "PERMISSION_DENIED",
	[GRPC_STATUS_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
	[GRPC_STATUS_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
	[GRPC_STATUS_ABORTED] = "ABORTED",
	[GRPC_STATUS_OUT_OF_RANGE] = "OUT_OF_RANGE",
	[GRPC_STATUS_UNIMPLEMENTED] = "UNIMPLEMENTED",
	[GRPC_STATUS_INTERNAL] = "INTERNAL",
	[GRPC_STATUS_UNAVAILABLE] = "UNAVAILABLE",
	[GRPC_STATUS_DATA_LOSS] = "DATA_LOSS",
	[GRPC_STATUS_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

void cp_rpc_status_set(struct cp_rpc_status *status, int code,
		       const char *format, ...)
{
	va_list args;

	status->code = code;
	va_start(args, format);
	(void)vsnprintf(status->text, sizeof(status->text), format, args);
	va_end(args);
}

const char *cp_rpc_status_name(int code)
{
	if (code < 0 || (size_t)code >= SN_ARRAY_SIZE(names))
		return names[GRPC_STATUS_UNKNOWN];
	return names[code];
}
