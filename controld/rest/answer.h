/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Answers as JSON, {"code": "NOT_FOUND", "message": "..."} for what failed. */

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "shared/diag.h"

#define CP_REST_ANSWER_TYPE "application/json"

enum {
	CP_REST_ANSWER_ERROR_BYTES = 2048,
};

struct cp_http_call;

/* The HTTP status of a grpc_status_code. */
unsigned int cp_rest_answer_status(int code);

/* *ret is freed with free(). */
int cp_rest_answer_print(const ProtobufCMessage *message, char **ret);

/* In ASCII, whatever text has; always NUL-terminated. Returns its length. */
size_t cp_rest_answer_print_error(const char *code, const char *text, char *to,
				  size_t size);

void cp_rest_answer_message(struct cp_http_call *call,
			    const ProtobufCMessage *message);
void cp_rest_answer_fail(struct cp_http_call *call, int code, const char *text);
void cp_rest_answer_refuse(struct cp_http_call *call,
			   const struct sn_diag *diag);

/* Callback of controld/http/http.h. */
void cp_rest_answer_put_refusal(unsigned int status, const char *text, char *to,
				size_t size);
