/* SPDX-License-Identifier: Apache-2.0 */

/* What is ours between HTTP and the handlers. The first byte chooses what the
 * rest is: a body, a query, or a list of callers. What is accepted prints as
 * JSON that is accepted again and prints the same; what is refused says why. */

#include <stdlib.h>
#include <string.h>

#include "controld/rest/answer.h"
#include "controld/rest/callers.h"
#include "controld/rest/query.h"
#include "controld/rpc/json.h"
#include "controld/rpc/json_read.h"
#include "controld/rpc/message.h"
#include "sentinel/state/v1/state.pb-c.h"
#include "sentinel/v1/daemon.pb-c.h"
#include "test/fuzz/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KIND_QUERY = 6, KIND_CALLERS = 7, KINDS = 8 };

static const ProtobufCMessageDescriptor *const types[] = {
	&sentinel__v1__attach_request__descriptor,
	&sentinel__v1__apply_request__descriptor,
	&sentinel__v1__watch_events_request__descriptor,
	&sentinel__v1__lease_request__descriptor,
	/* Of no request; it has bytes, signed numbers and other maps. */
	&sentinel__state__v1__daemon__descriptor,
	&sentinel__v1__get_status_response__descriptor,
};

/* Whatever a refusal says, it is JSON. */
static void check_refusal(const struct sn_diag *diag)
{
	char text[CP_REST_ANSWER_ERROR_BYTES];
	json_t *value;
	size_t n = cp_rest_answer_print_error("INVALID_ARGUMENT", diag->text,
					      text, sizeof(text));

	require(diag->text[0] && n < sizeof(text) && strlen(text) == n);
	value = json_loadb(text, n, 0, NULL);
	require(value != NULL);
	json_decref(value);
	(void)cp_rest_answer_print_error("X", diag->field, text, 64);
	require(strlen(text) < 64);
}

static void check_message(const ProtobufCMessage *message)
{
	ProtobufCMessage *again = NULL;
	char *first = NULL, *second = NULL;
	struct sn_diag diag = { 0 };
	int r;

	require(cp_rest_answer_print(message, &first) == 0);
	r = cp_rpc_json_read_text(message->descriptor, first, strlen(first),
				  &again, &diag);
	/* What is left out may be printed, so that it can become too much. */
	require(r == 0 || strstr(diag.text, "keys and values") ||
		strstr(diag.text, "memory"));
	if (r == 0) {
		require(cp_rest_answer_print(again, &second) == 0);
		require(strcmp(first, second) == 0);
	}
	(void)cp_rpc_message_free(again);
	free(first);
	free(second);
}

static void check_body(const ProtobufCMessageDescriptor *type, const char *text,
		       size_t size)
{
	ProtobufCMessage *message = NULL;
	struct sn_diag diag = { 0 };
	int r = cp_rpc_json_read_text(type, text, size, &message, &diag);

	require(r == 0 || r == CP_RPC_JSON_READ_E_INVALID);
	require((r == 0) == (message != NULL));
	if (message)
		check_message(message);
	else
		check_refusal(&diag);
	(void)cp_rpc_message_free(message);
}

/* Pairs by lines, key and value by '='. */
static void check_query(char *text)
{
	const ProtobufCMessageDescriptor *type =
		&sentinel__v1__watch_events_request__descriptor;
	json_t *object = json_object();
	ProtobufCMessage *message = NULL;
	struct sn_diag diag = { 0 };
	char *line;
	int r = 0;

	while (r == 0 && (line = strsep(&text, "\n"))) {
		char *value = line;
		const char *key = strsep(&value, "=");

		r = cp_rest_query_put(type, key, value, object, &diag);
	}
	if (r == 0)
		r = cp_rpc_json_read_value(type, object, &message, &diag);
	json_decref(object);
	require(r >= 0);
	if (message)
		check_message(message);
	else
		check_refusal(&diag);
	(void)cp_rpc_message_free(message);
}

static void check_callers(const char *text)
{
	struct cp_rest_callers *callers = NULL;
	struct sn_diag diag = { 0 };
	int r = cp_rest_callers_parse(text, &callers, &diag);

	require(r == 0 || (r == CP_REST_CALLERS_E_REFUSED && diag.line > 0));
	if (r == 0)
		require(cp_rest_callers_count(callers) <= CP_REST_CALLERS_MAX);
	cp_rest_callers_free(callers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int kind;
	char *text;

	if (size == 0)
		return 0;
	kind = data[0] % KINDS;
	text = malloc(size);
	require(text != NULL);
	(void)memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (kind == KIND_QUERY)
		check_query(text);
	else if (kind == KIND_CALLERS)
		check_callers(text);
	else
		check_body(types[kind], text, size - 1);
	free(text);
	return 0;
}
