/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/json.h"

#include <ctype.h>
#include <inttypes.h>
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

static json_t *from_enum(const ProtobufCFieldDescriptor *field, int value)
{
	char name[ENUM_NAME_BYTES];

	if (!cp_rpc_json_enum_name(field->descriptor, value, name,
				   sizeof(name)))
		return json_integer(value);
	return json_string(name);
}

static json_t *from_unsigned(uint64_t value)
{
	char text[24];

	if (value <= INT64_MAX)
		return json_integer((json_int_t)value);
	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return json_string(text);
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

static json_t *from_inner(const ProtobufCMessage *inner)
{
	json_t *value = NULL;

	if (!inner)
		return json_null();
	(void)cp_rpc_json_from_message(inner, &value);
	return value;
}

/* at: the value of the field, or one element of its list. */
static json_t *from_value(const ProtobufCFieldDescriptor *field, const void *at)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return json_integer(*(const int32_t *)at);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return json_integer(*(const int64_t *)at);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return json_integer(*(const uint32_t *)at);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return from_unsigned(*(const uint64_t *)at);
	case PROTOBUF_C_TYPE_FLOAT:
		return json_real((double)*(const float *)at);
	case PROTOBUF_C_TYPE_DOUBLE:
		return json_real(*(const double *)at);
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(*(const protobuf_c_boolean *)at);
	case PROTOBUF_C_TYPE_ENUM:
		return from_enum(field, *(const int *)at);
	case PROTOBUF_C_TYPE_STRING:
		return from_string(*(char *const *)at);
	case PROTOBUF_C_TYPE_BYTES:
		return from_bytes(at);
	case PROTOBUF_C_TYPE_MESSAGE:
		return from_inner(*(ProtobufCMessage *const *)at);
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
static bool is_map(const ProtobufCFieldDescriptor *field)
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

static int put_entry(json_t *object, const ProtobufCMessage *entry)
{
	const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;
	const char *base = (const char *)entry;
	sn_cleanup(decrefp) json_t *key = NULL;
	char number[24];

	key = from_value(&fields[0], base + fields[0].offset);
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
		       from_value(&fields[1], base + fields[1].offset)) ?
		       -ENOMEM :
		       0;
}

static json_t *from_map(ProtobufCMessage *const *entries, size_t n)
{
	sn_cleanup(decrefp) json_t *object = NULL;

	object = json_object();
	if (!object)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (put_entry(object, entries[i]))
			return NULL;
	return sn_steal(&object);
}

static json_t *from_list(const ProtobufCFieldDescriptor *field,
			 const char *elements, size_t n)
{
	sn_cleanup(decrefp) json_t *list = NULL;
	size_t size = size_of(field->type);

	list = json_array();
	if (!list)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(
			    list, from_value(field, elements + i * size)))
			return NULL;
	return sn_steal(&list);
}

static bool is_left_out(const ProtobufCMessage *message,
			const ProtobufCFieldDescriptor *field)
{
	const char *base = (const char *)message;
	char name[ENUM_NAME_BYTES];

	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t
				 *)(const void *)(base +
						  field->quantifier_offset) !=
		       field->id;
	if (field->type != PROTOBUF_C_TYPE_ENUM ||
	    *(const int *)(const void *)(base + field->offset))
		return false;
	return cp_rpc_json_enum_name(field->descriptor, 0, name,
				     sizeof(name)) &&
	       !name[0];
}

static json_t *from_field(const ProtobufCMessage *message,
			  const ProtobufCFieldDescriptor *field)
{
	const char *base = (const char *)message;
	const void *at = base + field->offset;
	size_t n;

	if (field->label != PROTOBUF_C_LABEL_REPEATED)
		return from_value(field, at);
	n = *(const size_t *)(const void *)(base + field->quantifier_offset);
	if (is_map(field))
		return from_map(*(ProtobufCMessage * *const *)at, n);
	return from_list(field, *(char *const *)at, n);
}

int cp_rpc_json_from_message(const ProtobufCMessage *message, json_t **ret)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	sn_cleanup(decrefp) json_t *object = NULL;

	object = json_object();
	if (!object)
		return -ENOMEM;
	for (unsigned int i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];

		if (field->label != PROTOBUF_C_LABEL_REPEATED &&
		    is_left_out(message, field))
			continue;
		if (json_object_set_new(object, field->name,
					from_field(message, field)))
			return -ENOMEM;
	}
	*ret = sn_steal(&object);
	return 0;
}
