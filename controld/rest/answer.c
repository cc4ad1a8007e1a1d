/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/answer.h"

#include <grpc/status.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/http/call.h"
#include "controld/rpc/json.h"
#include "controld/rpc/status.h"
#include "shared/util.h"

enum {
	STATUS_OK = 200,
	STATUS_BAD_REQUEST = 400,
	STATUS_UNAUTHORIZED = 401,
	STATUS_FORBIDDEN = 403,
	STATUS_NOT_FOUND = 404,
	STATUS_NOT_ALLOWED = 405,
	STATUS_CONFLICT = 409,
	STATUS_TOO_LARGE = 413,
	STATUS_URI_TOO_LONG = 414,
	STATUS_TOO_MANY = 429,
	STATUS_HEADERS_TOO_LARGE = 431,
	STATUS_CLOSED = 499,
	STATUS_INTERNAL = 500,
	STATUS_NOT_IMPLEMENTED = 501,
	STATUS_UNAVAILABLE = 503,
	STATUS_TIMEOUT = 504,
};

static const struct {
	int code;
	unsigned int status;
} statuses[] = {
	{ GRPC_STATUS_OK, STATUS_OK },
	{ GRPC_STATUS_CANCELLED, STATUS_CLOSED },
	{ GRPC_STATUS_INVALID_ARGUMENT, STATUS_BAD_REQUEST },
	{ GRPC_STATUS_UNAUTHENTICATED, STATUS_UNAUTHORIZED },
	{ GRPC_STATUS_PERMISSION_DENIED, STATUS_FORBIDDEN },
	{ GRPC_STATUS_NOT_FOUND, STATUS_NOT_FOUND },
	{ GRPC_STATUS_ALREADY_EXISTS, STATUS_CONFLICT },
	{ GRPC_STATUS_ABORTED, STATUS_CONFLICT },
	{ GRPC_STATUS_RESOURCE_EXHAUSTED, STATUS_TOO_MANY },
	{ GRPC_STATUS_UNIMPLEMENTED, STATUS_NOT_IMPLEMENTED },
	{ GRPC_STATUS_UNAVAILABLE, STATUS_UNAVAILABLE },
	{ GRPC_STATUS_DEADLINE_EXCEEDED, STATUS_TIMEOUT },
	{ GRPC_STATUS_FAILED_PRECONDITION, STATUS_BAD_REQUEST },
	{ GRPC_STATUS_OUT_OF_RANGE, STATUS_BAD_REQUEST },
};

unsigned int cp_rest_answer_status(int code)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(statuses); i++)
		if (statuses[i].code == code)
			return statuses[i].status;
	return STATUS_INTERNAL;
}

static const char *name_of(unsigned int status)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == status)
			return cp_rpc_status_name(statuses[i].code);
	if (status == STATUS_NOT_ALLOWED)
		return "UNIMPLEMENTED";
	return status < STATUS_INTERNAL ? "INVALID_ARGUMENT" : "INTERNAL";
}

/* Of what is refused before anybody could say why. */
static const char *text_of(unsigned int status)
{
	switch (status) {
	case STATUS_NOT_FOUND:
		return "there is no such path";
	case STATUS_NOT_ALLOWED:
		return "the path does not have this method";
	case STATUS_TOO_LARGE:
		return "the body is larger than it may be";
	case STATUS_URI_TOO_LONG:
		return "the path is longer than it may be";
	case STATUS_HEADERS_TOO_LARGE:
		return "there are more headers than there may be";
	default:
		return "the head of the request is malformed";
	}
}

int cp_rest_answer_print(const ProtobufCMessage *message, char **ret)
{
	json_t *value = NULL;
	char *text = NULL;

	if (cp_rpc_json_from_message(message, CP_RPC_JSON_STYLE_PROTO3,
				     &value) == 0)
		text = json_dumps(value, JSON_COMPACT);
	json_decref(value);
	if (!text)
		return sn_trace(-ENOMEM);
	*ret = text;
	return 0;
}

/* A text may repeat what a stranger sent, and may have been cut within a
 * character. */
size_t cp_rest_answer_print_error(const char *code, const char *text, char *to,
				  size_t size)
{
	size_t n = (size_t)snprintf(to, size, "{\"code\":\"%s\",\"message\":\"",
				    code);

	for (; *text && n + sizeof("\\\"\"}") < size; text++) {
		if (*text == '"' || *text == '\\')
			to[n++] = '\\';
		to[n++] = *text >= ' ' && *text <= '~' ? *text : '?';
	}
	to[n++] = '"';
	to[n++] = '}';
	to[n] = '\0';
	return n;
}

void cp_rest_answer_message(struct cp_http_call *call,
			    const ProtobufCMessage *message)
{
	sn_cleanup(sn_freep) char *text = NULL;

	if (cp_rest_answer_print(message, &text) == 0)
		cp_http_call_reply(call, STATUS_OK, CP_REST_ANSWER_TYPE, text,
				   strlen(text));
	else
		cp_rest_answer_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				    "out of memory");
}

void cp_rest_answer_fail(struct cp_http_call *call, int code, const char *text)
{
	char body[CP_REST_ANSWER_ERROR_BYTES];
	size_t n = cp_rest_answer_print_error(cp_rpc_status_name(code), text,
					      body, sizeof(body));

	cp_http_call_reply(call, cp_rest_answer_status(code),
			   CP_REST_ANSWER_TYPE, body, n);
}

void cp_rest_answer_refuse(struct cp_http_call *call,
			   const struct sn_diag *diag)
{
	char text[sizeof(diag->field) + sizeof(diag->text) + 4];

	(void)snprintf(text, sizeof(text), "%s%s%s", diag->field,
		       diag->field[0] ? ": " : "", diag->text);
	cp_rest_answer_fail(call, GRPC_STATUS_INVALID_ARGUMENT, text);
}

void cp_rest_answer_put_refusal(unsigned int status, const char *text, char *to,
				size_t size)
{
	(void)cp_rest_answer_print_error(
		name_of(status), text ? text : text_of(status), to, size);
}
