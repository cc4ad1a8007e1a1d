/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/call.h"

#include <assert.h>

#include "controld/rpc/transport.h"
#include "shared/util.h"

const struct ucred *cp_rpc_call_get_peer(const struct cp_rpc_call *call)
{
	return &call->peer;
}

const char *cp_rpc_call_get_name(const struct cp_rpc_call *call)
{
	return call->name;
}

void cp_rpc_call_set_data(struct cp_rpc_call *call, void *data)
{
	call->data = data;
}

void *cp_rpc_call_get_data(const struct cp_rpc_call *call)
{
	return call->data;
}

ProtobufCMessage *cp_rpc_call_take_message(struct cp_rpc_call *call)
{
	return sn_steal(&call->message);
}

void cp_rpc_call_reply(struct cp_rpc_call *call,
		       const ProtobufCMessage *message)
{
	assert(call->method->kind == CP_RPC_KIND_UNARY ||
	       call->method->kind == CP_RPC_KIND_CLIENT_STREAM);
	assert(message->descriptor == call->method->response);

	call->transport->reply(call, message);
}

void cp_rpc_call_fail(struct cp_rpc_call *call, int code, const char *text)
{
	assert(code != 0);

	call->transport->fail(call, code, text);
}

void cp_rpc_call_next(struct cp_rpc_call *call)
{
	assert(cp_rpc_method_client_streams(call->method));

	call->transport->next(call);
}

int cp_rpc_call_send(struct cp_rpc_call *call, const ProtobufCMessage *message)
{
	assert(cp_rpc_method_server_streams(call->method));
	assert(message->descriptor == call->method->response);

	return call->transport->send(call, message);
}

void cp_rpc_call_finish(struct cp_rpc_call *call)
{
	assert(cp_rpc_method_server_streams(call->method));

	call->transport->finish(call);
}
