/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/message.h"

#include <string.h>

#include "sentinel/v1/daemon.pb-c.h"
#include "test/unit/t.h"

/* Bytes of a message that no encoder would write. */
struct wire {
	uint8_t data[4096];
	size_t size;
};

static void put(struct wire *wire, const void *data, size_t size)
{
	t_true(size <= sizeof(wire->data) - wire->size);
	(void)memcpy(wire->data + wire->size, data, size);
	wire->size += size;
}

static void put_varint(struct wire *wire, uint64_t value)
{
	uint8_t byte;

	do {
		byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		put(wire, &byte, 1);
		value >>= 7;
	} while (value);
}

static void put_number(struct wire *wire, unsigned int field, uint64_t value)
{
	put_varint(wire, field << 3);
	put_varint(wire, value);
}

static void put_bytes(struct wire *wire, unsigned int field, const void *data,
		      size_t size)
{
	put_varint(wire, field << 3 | 2);
	put_varint(wire, size);
	put(wire, data, size);
}

static void put_text(struct wire *wire, unsigned int field, const char *text)
{
	put_bytes(wire, field, text, strlen(text));
}

static void put_wire(struct wire *wire, unsigned int field,
		     const struct wire *inner)
{
	put_bytes(wire, field, inner->data, inner->size);
}

/* An AttachRequest whose policy has two good rules and then this one. */
static void put_third_rule(struct wire *wire, const struct wire *rule)
{
	struct wire good = { .size = 0 };
	struct wire policy = { .size = 0 };

	put_number(&good, 1, 1);
	put_text(&good, 2, "10.0.0.0/8");
	put_wire(&policy, 4, &good);
	put_wire(&policy, 4, &good);
	put_wire(&policy, 4, rule);
	put_wire(wire, 7, &policy);
}

static int unpack(const struct wire *wire, Sentinel__V1__AttachRequest **ret,
		  struct sn_diag *diag)
{
	ProtobufCMessage *message = NULL;
	int r;

	r = cp_rpc_message_unpack(&sentinel__v1__attach_request__descriptor,
				  wire->data, wire->size, &message, diag);
	*ret = (Sentinel__V1__AttachRequest *)message;
	return r;
}

static void t_refused(const struct wire *wire, const char *field,
		      const char *text)
{
	Sentinel__V1__AttachRequest *request;
	struct sn_diag diag = { 0 };

	t_eq(unpack(wire, &request, &diag), CP_RPC_MESSAGE_E_INVALID);
	t_true(!request);
	t_str_eq(diag.field, field);
	t_str_eq(diag.text, text);
}

static void a_good_message_is_unpacked(void)
{
	Sentinel__V1__AttachRequest *request;
	struct wire rule = { .size = 0 };
	struct wire wire = { .size = 0 };
	struct sn_diag diag;

	put_number(&rule, 1, 2);
	put_text(&rule, 2, "2001:db8::/32");
	put_text(&rule, 3, "443/tcp");
	put_text(&rule, 3, "53");
	put_text(&wire, 1, "v\xc3\xa9th0");
	put_third_rule(&wire, &rule);

	t_eq(unpack(&wire, &request, &diag), 0);
	t_str_eq(request->interface_name, "v\xc3\xa9th0");
	t_eq(request->policy->n_rules, 3);
	t_eq(request->policy->rules[2]->verdict,
	     SENTINEL__V1__VERDICT__VERDICT_DENY);
	t_eq(request->policy->rules[2]->n_ports, 2);
	t_str_eq(request->policy->rules[2]->ports[0], "443/tcp");
	(void)cp_rpc_message_free(&request->base);
}

static void an_empty_message_is_unpacked(void)
{
	Sentinel__V1__AttachRequest *request;
	struct wire wire = { .size = 0 };
	struct sn_diag diag;

	t_eq(unpack(&wire, &request, &diag), 0);
	t_str_eq(request->cgroup_path, "");
	t_true(!request->policy);
	(void)cp_rpc_message_free(&request->base);
}

static void a_nul_is_refused_and_the_path_names_the_field(void)
{
	struct wire rule = { .size = 0 };
	struct wire wire = { .size = 0 };

	put_bytes(&rule, 2, "10.0.0.0/8\0/32", 14);
	put_third_rule(&wire, &rule);
	t_refused(&wire, "policy.rules[2].cidr", "holds a NUL byte");
}

static void bad_utf8_is_refused(void)
{
	static const char *const bad[] = {
		"\x80",
		"\xc0\xaf",
		"\xc3",
		"\xe0\x80\x80",
		"\xed\xa0\x80",
		"\xe2\x82",
		"\xf0\x80\x80\x80",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff",
		"\xc3\x28",
		"\xe2\x82\x28",
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(bad); i++) {
		struct wire wire = { .size = 0 };

		put_text(&wire, 1, bad[i]);
		t_refused(&wire, "interface_name", "is not valid UTF-8");
	}
}

static void edges_of_utf8_are_accepted(void)
{
	static const char *const good[] = {
		"\x7f",		"\xc2\x80",	    "\xdf\xbf",
		"\xe0\xa0\x80", "\xed\x9f\xbf",	    "\xee\x80\x80",
		"\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(good); i++) {
		Sentinel__V1__AttachRequest *request;
		struct wire wire = { .size = 0 };
		struct sn_diag diag;

		put_text(&wire, 1, good[i]);
		t_eq(unpack(&wire, &request, &diag), 0);
		t_str_eq(request->interface_name, good[i]);
		(void)cp_rpc_message_free(&request->base);
	}
}

static void unknown_fields_are_refused_at_each_level(void)
{
	struct wire top = { .size = 0 };
	struct wire rule = { .size = 0 };
	struct wire in_rule = { .size = 0 };
	struct wire entry = { .size = 0 };
	struct wire in_map = { .size = 0 };

	put_number(&top, 99, 1);
	t_refused(&top, "", "unknown field 99 of AttachRequest");
	put_text(&rule, 77, "x");
	put_third_rule(&in_rule, &rule);
	t_refused(&in_rule, "policy.rules[2]", "unknown field 77 of Rule");
	put_text(&entry, 1, "key");
	put_number(&entry, 3, 1);
	put_wire(&in_map, 4, &entry);
	t_refused(&in_map, "metadata[0]", "unknown field 3 of MetadataEntry");
}

static void unknown_enum_values_are_refused(void)
{
	struct wire wire = { .size = 0 };
	struct wire negative = { .size = 0 };

	put_number(&wire, 5, 5);
	t_refused(&wire, "mode", "has a value that is not known");
	put_number(&negative, 5, UINT64_MAX);
	t_refused(&negative, "mode", "has a value that is not known");
}

static void numbers_that_would_be_truncated_are_refused(void)
{
	struct wire mode = { .size = 0 };
	struct wire wire = { .size = 0 };
	ProtobufCMessage *message = NULL;
	struct sn_diag diag;

	/* Cut to 32 bits this would be MODE_ALLOWLIST. */
	put_number(&mode, 5, (UINT64_C(1) << 32) + 2);
	t_refused(&mode, "mode", "does not fit 32 bits");
	put_number(&wire, 1, UINT64_C(1) << 32);
	t_eq(cp_rpc_message_unpack(&sentinel__v1__list_request__descriptor,
				   wire.data, wire.size, &message, &diag),
	     CP_RPC_MESSAGE_E_INVALID);
	t_str_eq(diag.field, "page_size");
}

static void singular_fields_may_not_be_there_twice(void)
{
	struct wire number = { .size = 0 };
	struct wire policy = { .size = 0 };
	struct wire empty = { .size = 0 };

	put_number(&number, 5, 4);
	put_number(&number, 5, 1);
	t_refused(&number, "mode", "is there twice");
	put_wire(&policy, 7, &empty);
	put_wire(&policy, 7, &empty);
	t_refused(&policy, "policy", "is there twice");
}

static void malformed_bytes_are_refused(void)
{
	struct wire type = { .size = 0 };
	struct wire group = { .size = 0 };
	struct wire zero = { .size = 0 };
	struct wire tag = { .size = 0 };
	struct wire length = { .size = 0 };
	struct wire number = { .size = 0 };

	put_text(&type, 5, "x");
	t_refused(&type, "mode", "has the wrong wire type");
	put(&group, "\x0b\x0c", 2);
	t_refused(&group, "", "has a wire type that proto3 does not have");
	put(&zero, "\x00\x01", 2);
	t_refused(&zero, "", "has a malformed tag");
	put(&tag, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
	t_refused(&tag, "", "has a malformed tag");
	put(&length, "\x0a\x7fx", 3);
	t_refused(&length, "", "is cut short");
	put(&number, "\x28\x80", 2);
	t_refused(&number, "", "has a malformed number");
}

static void an_answer_may_have_fields_and_values_that_we_do_not_know(void)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message = NULL;
	struct wire wire = { .size = 0 };
	struct sn_diag diag;

	put_text(&wire, 1, "abcd");
	put_number(&wire, 5, 77);
	put_number(&wire, 99, 1);
	t_eq(cp_rpc_message_unpack_answer(&sentinel__v1__attachment__descriptor,
					  wire.data, wire.size, &message,
					  &diag),
	     0);
	t_eq(((Sentinel__V1__Attachment *)message)->mode, 77);
}

static void an_answer_may_not_have_a_nul(void)
{
	ProtobufCMessage *message = NULL;
	struct wire wire = { .size = 0 };
	struct sn_diag diag;

	put_bytes(&wire, 1, "a\0b", 3);
	t_eq(cp_rpc_message_unpack_answer(&sentinel__v1__attachment__descriptor,
					  wire.data, wire.size, &message,
					  &diag),
	     CP_RPC_MESSAGE_E_INVALID);
	t_true(!message);
}

static void empty_sub_messages_cannot_use_up_memory(void)
{
	enum { SIZE = 1 << 20 };
	uint8_t *data = malloc(SIZE);
	ProtobufCMessage *message = NULL;
	struct sn_diag diag;

	t_true(data != NULL);
	for (size_t i = 0; i < SIZE; i += 2) {
		data[i] = 4 << 3 | 2;
		data[i + 1] = 0;
	}
	t_eq(cp_rpc_message_unpack(&sentinel__v1__policy__descriptor, data,
				   SIZE, &message, &diag),
	     CP_RPC_MESSAGE_E_MEMORY);
	t_true(!message);
	free(data);
}

/* 1,000,000 bytes hold some 60,000 of these, which is the densest list of
 * rules that somebody could mean. */
static void a_long_list_of_short_rules_is_within_the_limit(void)
{
	enum { N = 60000 };
	Sentinel__V1__Policy policy;
	Sentinel__V1__Rule rule;
	char cidr[] = "1.0.0.0/8";
	ProtobufCMessage *message = NULL;
	struct sn_diag diag;
	uint8_t *data;
	size_t size;

	sentinel__v1__policy__init(&policy);
	sentinel__v1__rule__init(&rule);
	rule.verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
	rule.cidr = cidr;
	policy.n_rules = N;
	policy.rules = calloc(N, sizeof(*policy.rules));
	t_true(policy.rules != NULL);
	for (size_t i = 0; i < N; i++)
		policy.rules[i] = &rule;
	size = sentinel__v1__policy__get_packed_size(&policy);
	data = malloc(size);
	t_true(data != NULL);
	(void)sentinel__v1__policy__pack(&policy, data);
	t_eq(cp_rpc_message_unpack(&sentinel__v1__policy__descriptor, data,
				   size, &message, &diag),
	     0);
	t_eq(((Sentinel__V1__Policy *)message)->n_rules, N);
	(void)cp_rpc_message_free(message);
	free(policy.rules);
	free(data);
}

/* A type that holds itself, which the API's own types do not. */
static const ProtobufCMessageDescriptor nest_type;

struct nest {
	ProtobufCMessage base;
	struct nest *inner;
	size_t n_numbers;
	int32_t *numbers;
};

static const ProtobufCFieldDescriptor nest_fields[] = {
	{
		.name = "inner",
		.id = 1,
		.label = PROTOBUF_C_LABEL_NONE,
		.type = PROTOBUF_C_TYPE_MESSAGE,
		.offset = offsetof(struct nest, inner),
		.descriptor = &nest_type,
	},
	{
		.name = "numbers",
		.id = 2,
		.label = PROTOBUF_C_LABEL_REPEATED,
		.type = PROTOBUF_C_TYPE_INT32,
		.quantifier_offset = offsetof(struct nest, n_numbers),
		.offset = offsetof(struct nest, numbers),
		.flags = PROTOBUF_C_FIELD_FLAG_PACKED,
	},
};

static const unsigned int nest_names[] = { 0, 1 };
static const ProtobufCIntRange nest_ranges[] = { { 1, 0 }, { 0, 2 } };

static const ProtobufCMessageDescriptor nest_type = {
	.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
	.name = "Nest",
	.short_name = "Nest",
	.c_name = "nest",
	.package_name = "",
	.sizeof_message = sizeof(struct nest),
	.n_fields = 2,
	.fields = nest_fields,
	.fields_sorted_by_name = nest_names,
	.n_field_ranges = 1,
	.field_ranges = nest_ranges,
};

static void nesting_is_limited(void)
{
	for (unsigned int depth = CP_RPC_WIRE_MAX_DEPTH;
	     depth <= CP_RPC_WIRE_MAX_DEPTH + 1; depth++) {
		struct wire wire = { .size = 0 };
		ProtobufCMessage *message = NULL;
		struct sn_diag diag;
		bool fits = depth == CP_RPC_WIRE_MAX_DEPTH;

		for (unsigned int i = 1; i < depth; i++) {
			struct wire outer = { .size = 0 };

			put_wire(&outer, 1, &wire);
			wire = outer;
		}
		t_eq(cp_rpc_message_unpack(&nest_type, wire.data, wire.size,
					   &message, &diag),
		     fits ? 0 : CP_RPC_MESSAGE_E_INVALID);
		t_eq(message != NULL, fits);
		(void)cp_rpc_message_free(message);
	}
}

static void packed_lists_are_checked_element_by_element(void)
{
	struct wire list = { .size = 0 };
	struct wire wire = { .size = 0 };
	ProtobufCMessage *message = NULL;
	struct sn_diag diag;

	put_number(&wire, 2, 1);
	put_varint(&list, 2);
	put_varint(&list, UINT64_MAX); /* -1 */
	put_wire(&wire, 2, &list);
	t_eq(cp_rpc_message_unpack(&nest_type, wire.data, wire.size, &message,
				   &diag),
	     0);
	t_eq(((struct nest *)message)->n_numbers, 3);
	t_eq(((struct nest *)message)->numbers[2], -1);
	message = cp_rpc_message_free(message);

	put_varint(&list, UINT64_C(1) << 40);
	wire.size = 0;
	put_wire(&wire, 2, &list);
	t_eq(cp_rpc_message_unpack(&nest_type, wire.data, wire.size, &message,
				   &diag),
	     CP_RPC_MESSAGE_E_INVALID);
	t_str_eq(diag.field, "numbers[2]");
}

T_MAIN("rpc_message", a_good_message_is_unpacked, an_empty_message_is_unpacked,
       a_nul_is_refused_and_the_path_names_the_field, bad_utf8_is_refused,
       edges_of_utf8_are_accepted, unknown_fields_are_refused_at_each_level,
       unknown_enum_values_are_refused,
       numbers_that_would_be_truncated_are_refused,
       singular_fields_may_not_be_there_twice, malformed_bytes_are_refused,
       an_answer_may_have_fields_and_values_that_we_do_not_know,
       an_answer_may_not_have_a_nul, empty_sub_messages_cannot_use_up_memory,
       a_long_list_of_short_rules_is_within_the_limit, nesting_is_limited,
       packed_lists_are_checked_element_by_element)
