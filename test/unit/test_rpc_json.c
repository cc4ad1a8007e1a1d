/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/json.h"

#include <stdlib.h>
#include <string.h>

#include "sentinel/state/v1/state.pb-c.h"
#include "sentinel/v1/daemon.pb-c.h"
#include "shared/util.h"
#include "test/unit/t.h"

static void t_json_eq(const ProtobufCMessage *message, const char *expected)
{
	json_t *value = NULL;
	char *text;

	t_eq(cp_rpc_json_from_message(message, CP_RPC_JSON_STYLE_PLAIN, &value),
	     0);
	text = json_dumps(value, JSON_COMPACT);
	t_str_eq(text, expected);
	free(text);
	json_decref(value);
}

static void empty_values_are_printed(void)
{
	Sentinel__V1__AttachRequest request;

	sentinel__v1__attach_request__init(&request);
	t_json_eq(&request.base,
		  "{\"interface_name\":\"\",\"cgroup_path\":\"\","
		  "\"metadata\":{},\"audit\":false,\"policy\":null}");
}

static void a_policy_keeps_the_order_of_its_rules(void)
{
	char cidr[] = "10.0.0.0/8";
	char other[] = "::/0";
	char port[] = "443/tcp";
	char *ports[] = { port };
	Sentinel__V1__Policy policy;
	Sentinel__V1__Rule first;
	Sentinel__V1__Rule second;
	Sentinel__V1__Rule *rules[] = { &first, &second };

	sentinel__v1__policy__init(&policy);
	sentinel__v1__rule__init(&first);
	sentinel__v1__rule__init(&second);
	first.verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
	first.cidr = cidr;
	first.ports = ports;
	first.n_ports = 1;
	second.verdict = SENTINEL__V1__VERDICT__VERDICT_DENY;
	second.cidr = other;
	second.ttl_seconds = UINT64_MAX;
	policy.mode = SENTINEL__V1__MODE__MODE_BLOCK_ALL;
	policy.audit = 1;
	policy.rules = rules;
	policy.n_rules = 2;
	t_json_eq(&policy.base,
		  "{\"mode\":\"block-all\",\"audit\":true,\"rules\":["
		  "{\"verdict\":\"allow\",\"cidr\":\"10.0.0.0/8\",\"ports\":"
		  "[\"443/tcp\"],\"ttl_seconds\":0,\"id\":0,\"owner\":\"\","
		  "\"remaining_seconds\":0},"
		  "{\"verdict\":\"deny\",\"cidr\":\"::/0\",\"ports\":[],"
		  "\"ttl_seconds\":\"18446744073709551615\",\"id\":0,"
		  "\"owner\":\"\",\"remaining_seconds\":0}],"
		  "\"dns\":null}");
}

static void maps_are_objects(void)
{
	char key[] = "team";
	char value[] = "a \"b\"";
	Sentinel__V1__AttachRequest request;
	Sentinel__V1__AttachRequest__MetadataEntry entry;
	Sentinel__V1__AttachRequest__MetadataEntry *entries[] = { &entry };
	Sentinel__V1__Policy policy;

	sentinel__v1__attach_request__init(&request);
	sentinel__v1__attach_request__metadata_entry__init(&entry);
	sentinel__v1__policy__init(&policy);
	entry.key = key;
	entry.value = value;
	request.metadata = entries;
	request.n_metadata = 1;
	request.role = SENTINEL__V1__ROLE__ROLE_HOST;
	request.policy = &policy;
	t_json_eq(&request.base,
		  "{\"interface_name\":\"\",\"cgroup_path\":\"\","
		  "\"role\":\"host\",\"metadata\":{\"team\":\"a \\\"b\\\"\"},"
		  "\"audit\":false,"
		  "\"policy\":{\"audit\":false,\"rules\":[],"
		  "\"dns\":null}}");
}

static void integers_keep_their_sign_and_width(void)
{
	Sentinel__V1__Attachment attachment;
	json_t *value = NULL;

	sentinel__v1__attachment__init(&attachment);
	attachment.attached_at = INT64_MIN;
	attachment.packets_allowed = INT64_MAX;
	attachment.packets_blocked = (uint64_t)INT64_MAX + 1;
	attachment.rules = UINT32_MAX;
	t_eq(cp_rpc_json_from_message(&attachment.base, CP_RPC_JSON_STYLE_PLAIN,
				      &value),
	     0);
	t_true(json_integer_value(json_object_get(value, "attached_at")) ==
	       INT64_MIN);
	t_true(json_integer_value(json_object_get(value, "packets_allowed")) ==
	       INT64_MAX);
	t_str_eq(json_string_value(json_object_get(value, "packets_blocked")),
		 "9223372036854775808");
	t_true(json_integer_value(json_object_get(value, "rules")) ==
	       UINT32_MAX);
	json_decref(value);
}

static void enum_names_lose_their_type(void)
{
	char name[16];

	t_str_eq(
		cp_rpc_json_enum_name(&sentinel__v1__target_type__descriptor,
				      SENTINEL__V1__TARGET_TYPE__TARGET_TYPE_TC,
				      name, sizeof(name)),
		"tc");
	t_str_eq(
		cp_rpc_json_enum_name(
			&sentinel__v1__attachment_state__descriptor,
			SENTINEL__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_DETACHED_DP,
			name, sizeof(name)),
		"detached-dp");
	t_str_eq(cp_rpc_json_enum_name(&sentinel__v1__mode__descriptor, 0, name,
				       sizeof(name)),
		 "");
	t_true(!cp_rpc_json_enum_name(&sentinel__v1__mode__descriptor, 77, name,
				      sizeof(name)));
	t_true(!cp_rpc_json_enum_name(&sentinel__v1__mode__descriptor,
				      SENTINEL__V1__MODE__MODE_BLOCK_ALL, name,
				      9));
}

static void an_unknown_enum_value_is_its_number(void)
{
	Sentinel__V1__SetModeRequest request;

	sentinel__v1__set_mode_request__init(&request);
	request.mode = (Sentinel__V1__Mode)77;
	t_json_eq(&request.base, "{\"id\":\"\",\"mode\":77,\"audit\":false}");
}

static void style_proto3_is_as_protobuf_has_it(void)
{
	Sentinel__V1__ApplyRequest request;
	Sentinel__V1__Policy policy;
	Sentinel__V1__Rule rule;
	Sentinel__V1__Rule *rules[] = { &rule };
	json_t *value = NULL;
	char *text;

	sentinel__v1__apply_request__init(&request);
	sentinel__v1__policy__init(&policy);
	sentinel__v1__rule__init(&rule);
	rule.verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
	rule.ttl_seconds = UINT64_MAX;
	policy.mode = (Sentinel__V1__Mode)77;
	policy.rules = rules;
	policy.n_rules = 1;
	request.policy = &policy;
	t_eq(cp_rpc_json_from_message(&request.base, CP_RPC_JSON_STYLE_PROTO3,
				      &value),
	     0);
	text = json_dumps(value, JSON_COMPACT);
	t_str_eq(text,
		 "{\"id\":\"\",\"policy\":{\"mode\":77,\"audit\":false,"
		 "\"inbound\":\"INBOUND_UNSPECIFIED\",\"rules\":[{\"verdict\":"
		 "\"VERDICT_ALLOW\",\"cidr\":\"\",\"ports\":[],"
		 "\"ttlSeconds\":\"18446744073709551615\",\"id\":0,"
		 "\"owner\":\"\",\"remainingSeconds\":\"0\"}]},"
		 "\"dryRun\":false}");
	free(text);
	json_decref(value);
}

static void bytes_are_base64_in_style_proto3(void)
{
	static const char *const expected[] = { "", "/w==", "//4=", "//79" };
	Sentinel__State__V1__LearntPair pair =
		SENTINEL__STATE__V1__LEARNT_PAIR__INIT;
	uint8_t data[] = { 0xff, 0xfe, 0xfd };

	for (size_t n = 0; n < SN_ARRAY_SIZE(expected); n++) {
		json_t *value = NULL;

		pair.name.data = data;
		pair.name.len = n;
		t_eq(cp_rpc_json_from_message(&pair.base,
					      CP_RPC_JSON_STYLE_PROTO3, &value),
		     0);
		t_str_eq(json_string_value(json_object_get(value, "name")),
			 expected[n]);
		json_decref(value);
	}
}

T_MAIN("rpc_json", empty_values_are_printed,
       a_policy_keeps_the_order_of_its_rules, maps_are_objects,
       integers_keep_their_sign_and_width, enum_names_lose_their_type,
       an_unknown_enum_value_is_its_number, style_proto3_is_as_protobuf_has_it,
       bytes_are_base64_in_style_proto3)
