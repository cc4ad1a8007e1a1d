/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls that come by gRPC; for server.c only. */

#include <grpc/grpc.h>

struct cp_rpc_server;

/* Takes a call of gRPC, for the named method. */
void cp_rpc_incall_start(struct cp_rpc_server *server, grpc_call *call,
			 grpc_slice path);
