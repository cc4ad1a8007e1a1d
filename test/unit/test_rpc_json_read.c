/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/json.h"
#include "controld/rpc/json_scan.h"
#include "controld/rpc/message.h"
#include "sentinel/state/v1/state.pb-c.h"
#include "sentinel/v1/daemon.pb-c.h"
#include "test/unit/t.h"

static ProtobufCMessage *read_good(const ProtobufCMessageDescriptor *type,
				   const char *text)
{
	ProtobufCMessage *message = NULL;
	struct sn_diag diag = { 0 };

	t_eq(cp_rpc_json_read_text(type, text, strlen(text), &message, &diag),
	     0);
	t_str_eq(diag.text, "");
	return message;
}

static void t_refused(const ProtobufCMessageDescriptor *type, const char *text,
		      const char *field, const char *why)
{
	ProtobufCMessage *message = NULL;
	struct sn_diag diag = { 0 };

	t_eq(cp_rpc_json_read_text(type, text, strlen(text), &message, &diag),
	     CP_RPC_JSON_READ_E_INVALID);
	t_true(!message);
	t_str_eq(diag.field, field);
	t_true(strstr(diag.text, why) != NULL);
}

static void a_request_is_read_by_either_key(void)
{
	static const char *const texts[] = {
		"{\"interfaceName\": \"w0\", \"role\": \"ROLE_HOST\"}",
		"{\"interface_name\": \"w0\", \"role\": 2, \"policy\": null}",
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(texts); i++) {
		sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message =
			read_good(&sentinel__v1__attach_request__descriptor,
				  texts[i]);
		const Sentinel__V1__AttachRequest *request =
			(const void *)message;

		t_str_eq(request->interface_name, "w0");
		t_eq(request->role, SENTINEL__V1__ROLE__ROLE_HOST);
		t_true(!request->policy);
		t_str_eq(request->cgroup_path, "");
	}
}

static void an_empty_body_is_an_empty_message(void)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message =
		read_good(&sentinel__v1__list_request__descriptor, "");

	t_eq(((const Sentinel__V1__ListRequest *)(const void *)message)
		     ->page_size,
	     0);
}

static void what_is_printed_is_read_again(void)
{
	static const char text[] =
		"{\"interfaceName\":\"\",\"cgroupPath\":\"/a\\\"\\u00fc\","
		"\"role\":\"ROLE_UNSPECIFIED\",\"metadata\":{\"k\":\"v\","
		"\"team\":\"blue\"},\"mode\":\"MODE_ALLOWLIST\",\"audit\":true,"
		"\"policy\":{\"mode\":\"MODE_UNSPECIFIED\",\"audit\":false,"
		"\"inbound\":\"INBOUND_UNSPECIFIED\",\"rules\":[{\"verdict\":"
		"\"VERDICT_DENY\",\"cidr\":\"::/0\",\"ports\":[\"1\",\"2\"],"
		"\"ttlSeconds\":\"18446744073709551615\",\"id\":4294967295,"
		"\"owner\":\"\",\"remainingSeconds\":\"0\"}]}}";
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message =
		read_good(&sentinel__v1__attach_request__descriptor, text);
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *again = NULL;
	json_t *value = NULL;
	char *first, *second;

	t_eq(cp_rpc_json_from_message(message, CP_RPC_JSON_STYLE_PROTO3,
				      &value),
	     0);
	first = json_dumps(value, JSON_COMPACT);
	json_decref(value);
	again = read_good(&sentinel__v1__attach_request__descriptor, first);
	t_eq(cp_rpc_json_from_message(again, CP_RPC_JSON_STYLE_PROTO3, &value),
	     0);
	second = json_dumps(value, JSON_COMPACT);
	json_decref(value);
	t_str_eq(first, second);
	t_true(strstr(first, "\"ttlSeconds\":\"18446744073709551615\"") !=
	       NULL);
	t_true(strstr(first, "\"VERDICT_DENY\"") != NULL);
	free(first);
	free(second);
}

static void numbers_are_whole_and_in_range(void)
{
	static const char *const good[] = { "7", "\"7\"", "7.0", "70e-1" };
	static const char *const bad[] = { "7.5",     "-1",	 "4294967296",
					   "\"\"",    "\"07\"",	 "\" 7\"",
					   "\"0x7\"", "\"7.0\"", "1e300",
					   "true",    "[7]" };
	const ProtobufCMessageDescriptor *type =
		&sentinel__v1__list_request__descriptor;
	char text[64];

	for (size_t i = 0; i < SN_ARRAY_SIZE(good); i++) {
		sn_cleanup(cp_rpc_message_freep)
			ProtobufCMessage *message = NULL;

		(void)snprintf(text, sizeof(text), "{\"pageSize\":%s}",
			       good[i]);
		message = read_good(type, text);
		t_eq(((const Sentinel__V1__ListRequest *)(const void *)message)
			     ->page_size,
		     7);
	}
	for (size_t i = 0; i < SN_ARRAY_SIZE(bad); i++) {
		(void)snprintf(text, sizeof(text), "{\"pageSize\":%s}", bad[i]);
		t_refused(type, text, "page_size", "whole number");
	}
	t_refused(&sentinel__v1__allow_cidrrequest__descriptor,
		  "{\"ttlSeconds\":\"18446744073709551616\"}", "ttl_seconds",
		  "range");
}

static void a_refusal_names_the_field(void)
{
	static const struct {
		const char *text;
		const char *field;
		const char *why;
	} cases[] = {
		{ "{\"x\":1}", "x", "not known" },
		{ "{\"policy\":{\"rules\":[{},{\"cidr\":1}]}}",
		  "policy.rules[1].cidr", "must be a string, not a number" },
		{ "{\"policy\":{\"rules\":[null]}}", "policy.rules[0]",
		  "null" },
		{ "{\"policy\":{\"rules\":{}}}", "policy.rules",
		  "must be a list, not an object" },
		{ "{\"policy\":[]}", "policy", "must be an object" },
		{ "{\"metadata\":{\"a\":1}}", "metadata[\"a\"]", "string" },
		{ "{\"metadata\":{\"a\":null}}", "metadata[\"a\"]", "null" },
		{ "{\"metadata\":[]}", "metadata", "object" },
		{ "{\"audit\":\"true\"}", "audit", "true or false" },
		{ "{\"audit\":1}", "audit", "true or false" },
		{ "{\"role\":\"HOST\"}", "role", "ROLE_WORKLOAD" },
		{ "{\"role\":9}", "role", "must be one of" },
		{ "{\"cgroupPath\":\"a\",\"cgroup_path\":\"a\"}", "cgroup_path",
		  "twice" },
		{ "{\"audit\":true,\"audit\":false}", "", "duplicate" },
		{ "{\"cgroupPath\":\"\\u0000\"}", "", "not JSON" },
		{ "{\"cgroupPath\":\"\xff\"}", "", "not JSON" },
		{ "{} {}", "", "not JSON" },
		{ "[]", "", "must be an object" },
		{ "1", "", "not JSON" },
		{ "{\"policy\":", "", "not JSON" },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++)
		t_refused(&sentinel__v1__attach_request__descriptor,
			  cases[i].text, cases[i].field, cases[i].why);
}

static void bytes_are_base64_of_either_alphabet(void)
{
	static const struct {
		const char *text;
		const char *bytes; /* NULL: refused */
		size_t size;
	} cases[] = {
		{ "", "", 0 },
		{ "AA==", "\0", 1 },
		{ "AA", "\0", 1 },
		{ "+/8=", "\xfb\xff", 2 },
		{ "-_8", "\xfb\xff", 2 },
		{ "AQID", "\1\2\3", 3 },
		{ "AQIDBA==", "\1\2\3\4", 4 },
		{ "A", NULL, 0 },
		{ "AB==", NULL, 0 },
		{ "AA=", NULL, 0 },
		{ "A===", NULL, 0 },
		{ "AA==AA==", NULL, 0 },
		{ "A A=", NULL, 0 },
	};
	const ProtobufCMessageDescriptor *type =
		&sentinel__state__v1__learnt_pair__descriptor;
	char text[64];

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		sn_cleanup(cp_rpc_message_freep)
			ProtobufCMessage *message = NULL;
		const ProtobufCBinaryData *bytes;

		(void)snprintf(text, sizeof(text), "{\"name\":\"%s\"}",
			       cases[i].text);
		if (!cases[i].bytes) {
			t_refused(type, text, "name", "base64");
			continue;
		}
		message = read_good(type, text);
		bytes = &((const Sentinel__State__V1__LearntPair *)(const void *)
				  message)
				 ->name;
		t_eq(bytes->len, cases[i].size);
		t_true(bytes->len == 0 ||
		       memcmp(bytes->data, cases[i].bytes, bytes->len) == 0);
	}
}

static void what_costs_too_much_is_not_parsed(void)
{
	const ProtobufCMessageDescriptor *type =
		&sentinel__v1__attach_request__descriptor;
	size_t size = 2 * CP_RPC_JSON_SCAN_VALUES_MAX;
	char *text = malloc(size + 1);

	(void)memset(text, '[', size);
	text[size] = '\0';
	t_refused(type, text, "", "nested");
	text[0] = '[';
	for (size_t i = 1; i < size; i++)
		text[i] = i % 2 ? '1' : ',';
	t_refused(type, text, "", "keys and values");
	free(text);
	/* Brackets within strings are none. */
	t_eq(cp_rpc_json_scan("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"",
			      41),
	     0);
	t_eq(cp_rpc_json_scan("\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"",
			      40),
	     0);
	t_eq(cp_rpc_json_scan("\"\\", 2), 0);
	t_eq(cp_rpc_json_scan("\"", 1), 0);
}

T_MAIN("rpc_json_read", a_request_is_read_by_either_key,
       an_empty_body_is_an_empty_message, what_is_printed_is_read_again,
       numbers_are_whole_and_in_range, a_refusal_names_the_field,
       bytes_are_base64_of_either_alphabet, what_costs_too_much_is_not_parsed)
