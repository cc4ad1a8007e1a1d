/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a call is to those who carry it: gRPC (incall.c), HTTP
 * (controld/rest/call.c). Handlers see controld/rpc/call.h only. */

#include "controld/rpc/call.h"
#include "controld/rpc/server.h"

/* As the functions of controld/rpc/call.h of the same name, which have checked
 * that the method is of the kind that may. */
struct cp_rpc_transport {
	void (*reply)(struct cp_rpc_call *call,
		      const ProtobufCMessage *message);
	void (*fail)(struct cp_rpc_call *call, int code, const char *text);
	void (*next)(struct cp_rpc_call *call); /* NULL: no client streams */
	int (*send)(struct cp_rpc_call *call, const ProtobufCMessage *message);
	void (*finish)(struct cp_rpc_call *call);
};

static inline bool cp_rpc_method_client_streams(const struct cp_rpc_method *row)
{
	return row->kind == CP_RPC_KIND_CLIENT_STREAM ||
	       row->kind == CP_RPC_KIND_BOTH_STREAM;
}

static inline bool cp_rpc_method_server_streams(const struct cp_rpc_method *row)
{
	return row->kind == CP_RPC_KIND_SERVER_STREAM ||
	       row->kind == CP_RPC_KIND_BOTH_STREAM;
}

/* Embedded in the object of the transport. */
struct cp_rpc_call {
	const struct cp_rpc_transport *transport;
	const struct cp_rpc_method *method;
	struct ucred peer;
	const char *name; /* of the peer, if it has one; outlives the call */
	ProtobufCMessage *message; /* the transport frees what is left */
	void *data;
};
