/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/json.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/util.h"

enum { ENUM_NAME_BYTES = 64 };

static void decrefp(json_t **value)
{
	json_decref(*value);
	*value = NULL;
}

/* How much of a value's name repeats its type's: TargetType is found as
 * TARGET_TYPE_ before TC. */
static size_t enum_prefix_length(const char *type, const char *name)
{
	size_t at = 0;

	for (size_t i = 0; type[i]; i++) {
		if (i && isupper((unsigned char)type[i]) && name[at++] != '_')
			return 0;
		if (name[at++] != toupper((unsigned char)type[i]))
			return 0;
	}
	return name[at] == '_' ? at + 1 : 0;
}

char *cp_rpc_json_enum_name(const ProtobufCEnumDescriptor *type, int value,
			    char *buffer, size_t size)
{
	const ProtobufCEnumValue *known;
	const char *name;
	size_t n;

	known = protobuf_c_enum_descriptor_get_value(type, value);
	if (!known || !size)
		return NULL;
	name = known->name + enum_prefix_length(type->short_name, known->name);
	if (!value && !strcmp(name, "UNSPECIFIED"))
		name = "";
	n = strlen(name);
	if (n >= size)
		return NULL;
	for (size_t i = 0; i <= n; i++)
		buffer[i] = name[i] == '_' ?
				    '-' :
				    (char)tolower((unsigned char)name[i]);
	return buffer;
}

char *cp_rpc_json_name(const ProtobufCFieldDescriptor *field,
		       char ret[CP_RPC_JSON_NAME_BYTES])
{
	bool upper = false;
	size_t n = 0;

	for (const char *p = field->name; *p; p++) {
		if (*p == '_') {
			upper = true;
			continue;
		}
		assert(n < CP_RPC_JSON_NAME_BYTES - 1);
		ret[n++] = (char)(upper ? toupper((unsigned char)*p) : *p);
		upper = false;
	}
	ret[n] = '\0';
	return ret;
}

static json_t *from_enum(const ProtobufCFieldDescriptor *field, int value,
			 enum cp_rpc_json_style style)
{
	const ProtobufCEnumValue *known;
	char name[ENUM_NAME_BYTES];

	if (style == CP_RPC_JSON_STYLE_PROTO3) {
		known = protobuf_c_enum_descriptor_get_value(field->descriptor,
							     value);
		return known ? json_string(known->name) : json_integer(value);
	}

	if (!cp_rpc_json_enum_name(field->descriptor, value, name,
				   sizeof(name)))
		return json_integer(value);
	return json_string(name);
}

static json_t *from_unsigned(uint64_t value, enum cp_rpc_json_style style)
{
	char text[24];

	if (value <= INT64_MAX && style == CP_RPC_JSON_STYLE_PLAIN)
		return json_integer((json_int_t)value);
	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return json_string(text);
}

static json_t *from_signed(int64_t value, enum cp_rpc_json_style style)
{
	char text[24];

	if (style == CP_RPC_JSON_STYLE_PLAIN)
		return json_integer(value);
	(void)snprintf(text, sizeof(text), "%" PRId64, value);
	return json_string(text);
}

/* Not all that a real number can be is one in JSON. */
static json_t *from_real(double value)
{
	if (isfinite(value))
		return json_real(value);
	return json_string(isnan(value) ? "NaN" :
			   value > 0	? "Infinity" :
					  "-Infinity");
}

static json_t *from_base64(const ProtobufCBinaryData *bytes)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	sn_cleanup(sn_freep) char *text = NULL;
	size_t size = (bytes->len + 2) / 3 * 4, n = 0;

	text = malloc(size + 1);
	if (!text)
		return NULL;
	for (size_t i = 0; i < bytes->len; i += 3) {
		size_t left = bytes->len - i;
		uint32_t bits = (uint32_t)bytes->data[i] << 16;

		bits |= left > 1 ? (uint32_t)bytes->data[i + 1] << 8 : 0;
		bits |= left > 2 ? (uint32_t)bytes->data[i + 2] : 0;
		text[n++] = digits[bits >> 18];
		text[n++] = digits[bits >> 12 & 63];
		text[n++] = left > 1 ? digits[bits >> 6 & 63] : '=';
		text[n++] = left > 2 ? digits[bits & 63] : '=';
	}
	return json_stringn(text, n);
}

static json_t *from_bytes(const ProtobufCBinaryData *bytes)
{
	sn_cleanup(sn_freep) char *text = NULL;

	text = malloc(bytes->len * 2 + 1);
	if (!text)
		return NULL;
	for (size_t i = 0; i < bytes->len; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", bytes->data[i]);
	return json_stringn(text, bytes->len * 2);
}

static json_t *from_string(const char *text)
{
	return json_string(text ? text : "");
}

static json_t *from_inner(const ProtobufCMessage *inner,
			  enum cp_rpc_json_style style)
{
	json_t *value = NULL;

	if (!inner)
		return json_null();
	(void)cp_rpc_json_from_message(inner, style, &value);
	return value;
}

/* at: the value of the field, or one element of its list. */
static json_t *from_value(const ProtobufCFieldDescriptor *field, const void *at,
			  enum cp_rpc_json_style style)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return json_integer(*(const int32_t *)at);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return from_signed(*(const int64_t *)at, style);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return json_integer(*(const uint32_t *)at);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return from_unsigned(*(const uint64_t *)at, style);
	case PROTOBUF_C_TYPE_FLOAT:
		return from_real((double)*(const float *)at);
	case PROTOBUF_C_TYPE_DOUBLE:
		return from_real(*(const double *)at);
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(*(const protobuf_c_boolean *)at);
	case PROTOBUF_C_TYPE_ENUM:
		return from_enum(field, *(const int *)at, style);
	case PROTOBUF_C_TYPE_STRING:
		return from_string(*(char *const *)at);
	case PROTOBUF_C_TYPE_BYTES:
		return style == CP_RPC_JSON_STYLE_PROTO3 ? from_base64(at) :
							   from_bytes(at);
	case PROTOBUF_C_TYPE_MESSAGE:
		return from_inner(*(ProtobufCMessage *const *)at, style);
	}
	return NULL;
}

static size_t size_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM:
		return 4;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	}
	return 0;
}

/* The descriptor does not say that a field is a map; its entry type is named
 * after the field (blocked_reasons: BlockedReasonsEntry) and holds key and
 * value. */
bool cp_rpc_json_is_map(const ProtobufCFieldDescriptor *field)
{
	const ProtobufCMessageDescriptor *entry = field->descriptor;
	const char *name;
	bool upper = true;

	if (field->type != PROTOBUF_C_TYPE_MESSAGE || entry->n_fields != 2 ||
	    strcmp(entry->fields[0].name, "key") != 0 ||
	    strcmp(entry->fields[1].name, "value") != 0)
		return false;
	name = entry->short_name;
	for (const char *p = field->name; *p; p++) {
		if (*p == '_') {
			upper = true;
			continue;
		}
		if (*name++ != (upper ? toupper((unsigned char)*p) : *p))
			return false;
		upper = false;
	}
	return !strcmp(name, "Entry");
}

static int put_entry(json_t *object, const ProtobufCMessage *entry,
		     enum cp_rpc_json_style style)
{
	const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;
	const char *base = (const char *)entry;
	sn_cleanup(decrefp) json_t *key = NULL;
	char number[24];

	key = from_value(&fields[0], base + fields[0].offset, style);
	if (!key)
		return -ENOMEM;
	if (json_is_integer(key))
		(void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
			       json_integer_value(key));
	else if (json_is_boolean(key))
		(void)snprintf(number, sizeof(number), "%s",
			       json_is_true(key) ? "true" : "false");
	return json_object_set_new(
		       object,
		       json_is_string(key) ? json_string_value(key) : number,
		       from_value(&fields[1], base + fields[1].offset, style)) ?
		       -ENOMEM :
		       0;
}

static json_t *from_map(ProtobufCMessage *const *entries, size_t n,
			enum cp_rpc_json_style style)
{
	sn_cleanup(decrefp) json_t *object = NULL;

	object = json_object();
	if (!object)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (put_entry(object, entries[i], style))
			return NULL;
	return sn_steal(&object);
}

static json_t *from_list(const ProtobufCFieldDescriptor *field,
			 const char *elements, size_t n,
			 enum cp_rpc_json_style style)
{
	sn_cleanup(decrefp) json_t *list = NULL;
	size_t size = size_of(field->type);

	list = json_array();
	if (!list)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list,
					  from_value(field, elements + i * size,
						     style)))
			return NULL;
	return sn_steal(&list);
}

static bool is_left_out(const ProtobufCMessage *message,
			const ProtobufCFieldDescriptor *field,
			enum cp_rpc_json_style style)
{
	const char *base = (const char *)message;
	char name[ENUM_NAME_BYTES];

	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t
				 *)(const void *)(base +
						  field->quantifier_offset) !=
		       field->id;
	if (style == CP_RPC_JSON_STYLE_PROTO3)
		return field->type == PROTOBUF_C_TYPE_MESSAGE &&
		       !*(ProtobufCMessage *const
				  *)(const void *)(base + field->offset);
	if (field->type != PROTOBUF_C_TYPE_ENUM ||
	    *(const int *)(const void *)(base + field->offset))
		return false;
	return cp_rpc_json_enum_name(field->descriptor, 0, name,
				     sizeof(name)) &&
	       !name[0];
}

static json_t *from_field(const ProtobufCMessage *message,
			  const ProtobufCFieldDescriptor *field,
			  enum cp_rpc_json_style style)
{
	const char *base = (const char *)message;
	const void *at = base + field->offset;
	size_t n;

	if (field->label != PROTOBUF_C_LABEL_REPEATED)
		return from_value(field, at, style);
	n = *(const size_t *)(const void *)(base + field->quantifier_offset);
	if (cp_rpc_json_is_map(field))
		return from_map(*(ProtobufCMessage * *const *)at, n, style);
	return from_list(field, *(char *const *)at, n, style);
}

int cp_rpc_json_from_message(const ProtobufCMessage *message,
			     enum cp_rpc_json_style style, json_t **ret)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	sn_cleanup(decrefp) json_t *object = NULL;
	char camel[CP_RPC_JSON_NAME_BYTES];

	object = json_object();
	if (!object)
		return -ENOMEM;
	for (unsigned int i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		const char *name = field->name;

		if (style == CP_RPC_JSON_STYLE_PROTO3)
			name = cp_rpc_json_name(field, camel);

		if (field->label != PROTOBUF_C_LABEL_REPEATED &&
		    is_left_out(message, field, style))
			continue;
		if (json_object_set_new(object, name,
					from_field(message, field, style)))
			return -ENOMEM;
	}
	*ret = sn_steal(&object);
	return 0;
}
