/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/json_read.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/json.h"
#include "controld/rpc/json_scan.h"
#include "controld/rpc/message.h"
#include "controld/rpc/wire_write.h"

enum {
	/* Messages, lists and maps within each other. */
	STEPS_MAX = CP_RPC_JSON_SCAN_DEPTH_MAX + 1,
	SHOWN_CHARS = 64, /* of a key that is not ours */
};

/* One of: a field, an element of a list, a key of a map. */
struct step {
	const char *name;
	size_t index;
	const char *key;
};

struct walk {
	struct sn_diag *diag;
	struct cp_rpc_wire_write wire;
	struct step steps[STEPS_MAX];
	size_t n_steps;
};

static void decrefp(json_t **value)
{
	json_decref(*value);
	*value = NULL;
}

/* Refusals. */

static void write_path(const struct walk *walk, char *path, size_t size)
{
	size_t used = 0;

	path[0] = '\0';
	for (size_t i = 0; i < walk->n_steps && used < size; i++) {
		const struct step *step = &walk->steps[i];
		int n;

		if (step->name)
			n = snprintf(path + used, size - used, "%s%s",
				     used ? "." : "", step->name);
		else if (step->key)
			n = snprintf(path + used, size - used, "[\"%.*s\"]",
				     SHOWN_CHARS, step->key);
		else
			n = snprintf(path + used, size - used, "[%zu]",
				     step->index);
		used += (size_t)SN_MAX(n, 0);
	}
}

static int refuse(struct walk *walk, const char *text)
{
	char path[SN_DIAG_FILE_BYTES];

	write_path(walk, path, sizeof(path));
	sn_diag_set(walk->diag, path, "%s", text);
	return CP_RPC_JSON_READ_E_INVALID;
}

static const char *describe(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a truth value";
	case JSON_NULL:
		return "null";
	}
	return "something else";
}

static int refuse_type(struct walk *walk, const char *wanted,
		       const json_t *value)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "must be %s, not %s", wanted,
		       describe(value));
	return refuse(walk, text);
}

static int enter(struct walk *walk, struct step step)
{
	if (walk->n_steps == STEPS_MAX)
		return refuse(walk, "is nested too deeply");
	walk->steps[walk->n_steps++] = step;
	return 0;
}

/* Values. */

static bool is_digits(const char *text, bool is_signed)
{
	size_t n;

	if (is_signed && *text == '-')
		text++;
	n = strspn(text, "0123456789");
	return n > 0 && !text[n] && (n == 1 || text[0] != '0');
}

/* Numbers with a fraction of zero are whole, as far as a double tells. */
static bool from_real(double value, int64_t *ret)
{
	static const double limit = 9007199254740992.0; /* 2^53 */

	if (!(fabs(value) <= limit) || trunc(value) != value)
		return false;
	*ret = (int64_t)value;
	return true;
}

static int read_signed(struct walk *walk, const json_t *value, int64_t min,
		       int64_t max, int64_t *ret)
{
	int64_t number = 0;
	bool fits = true;

	if (json_is_integer(value)) {
		number = json_integer_value(value);
	} else if (json_is_real(value)) {
		fits = from_real(json_real_value(value), &number);
	} else if (json_is_string(value) &&
		   is_digits(json_string_value(value), true)) {
		errno = 0;
		number = strtoll(json_string_value(value), NULL, 10);
		fits = errno == 0;
	} else {
		return refuse_type(walk, "a whole number", value);
	}
	if (!fits || number < min || number > max)
		return refuse(walk, "is no whole number of its range");
	*ret = number;
	return 0;
}

static int read_unsigned(struct walk *walk, const json_t *value, uint64_t max,
			 uint64_t *ret)
{
	const char *text = json_string_value(value);
	int64_t number = 0;
	int r;

	if (!text || !is_digits(text, false)) {
		r = read_signed(walk, value, 0, INT64_MAX, &number);
		if (r)
			return r;
		*ret = (uint64_t)number;
	} else {
		errno = 0;
		*ret = strtoull(text, NULL, 10);
		if (errno)
			return refuse(walk, "is no whole number of its range");
	}
	return *ret > max ? refuse(walk, "is no whole number of its range") : 0;
}

static uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static int put_signed(struct walk *walk, const ProtobufCFieldDescriptor *field,
		      const json_t *value, int64_t min, int64_t max)
{
	int64_t number;
	int32_t narrow;
	int r = read_signed(walk, value, min, max, &number);

	if (r)
		return r;
	narrow = (int32_t)number;
	if (field->type == PROTOBUF_C_TYPE_SFIXED32)
		return cp_rpc_wire_write_fixed(&walk->wire, field, &narrow,
					       sizeof(narrow));
	if (field->type == PROTOBUF_C_TYPE_SFIXED64)
		return cp_rpc_wire_write_fixed(&walk->wire, field, &number,
					       sizeof(number));
	if (field->type == PROTOBUF_C_TYPE_SINT32 ||
	    field->type == PROTOBUF_C_TYPE_SINT64)
		return cp_rpc_wire_write_number(&walk->wire, field,
						zigzag(number));
	return cp_rpc_wire_write_number(&walk->wire, field, (uint64_t)number);
}

static int put_unsigned(struct walk *walk,
			const ProtobufCFieldDescriptor *field,
			const json_t *value, uint64_t max)
{
	uint64_t number;
	uint32_t narrow;
	int r = read_unsigned(walk, value, max, &number);

	if (r)
		return r;
	narrow = (uint32_t)number;
	if (field->type == PROTOBUF_C_TYPE_FIXED32)
		return cp_rpc_wire_write_fixed(&walk->wire, field, &narrow,
					       sizeof(narrow));
	if (field->type == PROTOBUF_C_TYPE_FIXED64)
		return cp_rpc_wire_write_fixed(&walk->wire, field, &number,
					       sizeof(number));
	return cp_rpc_wire_write_number(&walk->wire, field, number);
}

static int put_real(struct walk *walk, const ProtobufCFieldDescriptor *field,
		    const json_t *value)
{
	const char *text = json_string_value(value);
	double number;
	float narrow;

	if (json_is_number(value))
		number = json_number_value(value);
	else if (text && strcmp(text, "NaN") == 0)
		number = (double)NAN;
	else if (text && strcmp(text, "Infinity") == 0)
		number = (double)INFINITY;
	else if (text && strcmp(text, "-Infinity") == 0)
		number = (double)-INFINITY;
	else
		return refuse_type(walk, "a number", value);
	narrow = (float)number;
	if (field->type == PROTOBUF_C_TYPE_FLOAT)
		return cp_rpc_wire_write_fixed(&walk->wire, field, &narrow,
					       sizeof(narrow));
	return cp_rpc_wire_write_fixed(&walk->wire, field, &number,
				       sizeof(number));
}

static int refuse_enum(struct walk *walk, const ProtobufCEnumDescriptor *type)
{
	char text[SN_DIAG_TEXT_BYTES] = "must be one of";
	size_t used = strlen(text);

	for (unsigned int i = 0; i < type->n_values && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "%s %s", i ? "," : "",
					 type->values[i].name);
	return refuse(walk, text);
}

static int put_enum(struct walk *walk, const ProtobufCFieldDescriptor *field,
		    const json_t *value)
{
	const ProtobufCEnumDescriptor *type = field->descriptor;
	const ProtobufCEnumValue *known = NULL;
	int64_t number;

	if (json_is_string(value))
		known = protobuf_c_enum_descriptor_get_value_by_name(
			type, json_string_value(value));
	else if (json_is_number(value) &&
		 read_signed(walk, value, INT32_MIN, INT32_MAX, &number) == 0)
		known = protobuf_c_enum_descriptor_get_value(type, (int)number);
	if (!known)
		return refuse_enum(walk, type);
	return cp_rpc_wire_write_number(&walk->wire, field,
					(uint64_t)(int64_t)known->value);
}

/* Of one character in either alphabet, or -1. */
static int digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* The end may be padded; what is left of the last digit must be zero. */
static int put_base64(struct walk *walk, const ProtobufCFieldDescriptor *field,
		      const json_t *value)
{
	const char *text = json_string_value(value);
	sn_cleanup(sn_freep) uint8_t *data = NULL;
	size_t size = json_string_length(value), n = 0;
	uint32_t bits = 0;

	if (!text)
		return refuse_type(walk, "a string of base64", value);
	data = malloc(size + 1);
	if (!data)
		return sn_trace(-ENOMEM);
	if (size % 4 == 0)
		for (int i = 0; i < 2 && size > 0 && text[size - 1] == '='; i++)
			size--;
	for (size_t i = 0; i < size; i++) {
		int digit = digit_of(text[i]);

		if (digit < 0)
			return refuse(walk, "is not base64");
		bits = bits << 6 | (uint32_t)digit;
		if (i % 4 > 0)
			data[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
	}
	if (size % 4 == 1 || (size % 4 == 2 && bits & 15) ||
	    (size % 4 == 3 && bits & 3))
		return refuse(walk, "is not base64");
	return cp_rpc_wire_write_bytes(&walk->wire, field, data, n);
}

static int put_message(struct walk *walk,
		       const ProtobufCMessageDescriptor *type,
		       const json_t *value);

static int put_inner(struct walk *walk, const ProtobufCFieldDescriptor *field,
		     const json_t *value)
{
	size_t from;
	int r = cp_rpc_wire_write_begin(&walk->wire, field, &from);

	if (r == 0)
		r = put_message(walk, field->descriptor, value);
	return r ? r : cp_rpc_wire_write_end(&walk->wire, from);
}

static int put_string(struct walk *walk, const ProtobufCFieldDescriptor *field,
		      const json_t *value)
{
	if (!json_is_string(value))
		return refuse_type(walk, "a string", value);
	return cp_rpc_wire_write_bytes(&walk->wire, field,
				       json_string_value(value),
				       json_string_length(value));
}

static int put_bool(struct walk *walk, const ProtobufCFieldDescriptor *field,
		    const json_t *value)
{
	if (!json_is_boolean(value))
		return refuse_type(walk, "true or false", value);
	return cp_rpc_wire_write_number(&walk->wire, field,
					json_is_true(value));
}

static int put_value(struct walk *walk, const ProtobufCFieldDescriptor *field,
		     const json_t *value)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return put_signed(walk, field, value, INT32_MIN, INT32_MAX);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return put_signed(walk, field, value, INT64_MIN, INT64_MAX);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return put_unsigned(walk, field, value, UINT32_MAX);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return put_unsigned(walk, field, value, UINT64_MAX);
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE:
		return put_real(walk, field, value);
	case PROTOBUF_C_TYPE_BOOL:
		return put_bool(walk, field, value);
	case PROTOBUF_C_TYPE_ENUM:
		return put_enum(walk, field, value);
	case PROTOBUF_C_TYPE_STRING:
		return put_string(walk, field, value);
	case PROTOBUF_C_TYPE_BYTES:
		return put_base64(walk, field, value);
	case PROTOBUF_C_TYPE_MESSAGE:
		return put_inner(walk, field, value);
	}
	return refuse(walk, "is of a type that JSON has no form for");
}

/* Lists, maps, messages. */

static int put_list(struct walk *walk, const ProtobufCFieldDescriptor *field,
		    const json_t *list)
{
	const json_t *value;
	size_t i;
	int r = 0;

	if (!json_is_array(list))
		return refuse_type(walk, "a list", list);
	json_array_foreach(list, i, value)
	{
		r = enter(walk, (struct step){ .index = i });
		if (r == 0 && json_is_null(value))
			r = refuse(walk, "must not be null");
		if (r == 0)
			r = put_value(walk, field, value);
		if (r)
			return r;
		walk->n_steps--;
	}
	return 0;
}

/* Keys are strings in JSON, whatever they are in the message. */
static int put_key(struct walk *walk, const ProtobufCFieldDescriptor *field,
		   const char *key)
{
	sn_cleanup(decrefp) json_t *value = NULL;

	if (field->type == PROTOBUF_C_TYPE_BOOL && !strcmp(key, "true"))
		value = json_true();
	else if (field->type == PROTOBUF_C_TYPE_BOOL && !strcmp(key, "false"))
		value = json_false();
	else
		value = json_string(key);
	return value ? put_value(walk, field, value) : sn_trace(-ENOMEM);
}

static int put_entry(struct walk *walk, const ProtobufCFieldDescriptor *field,
		     const char *key, const json_t *value)
{
	const ProtobufCMessageDescriptor *entry = field->descriptor;
	size_t from;
	int r = enter(walk, (struct step){ .key = key });

	if (r == 0 && json_is_null(value))
		r = refuse(walk, "must not be null");
	if (r == 0)
		r = cp_rpc_wire_write_begin(&walk->wire, field, &from);
	if (r == 0)
		r = put_key(walk, &entry->fields[0], key);
	if (r == 0)
		r = put_value(walk, &entry->fields[1], value);
	if (r == 0)
		r = cp_rpc_wire_write_end(&walk->wire, from);
	if (r == 0)
		walk->n_steps--;
	return r;
}

static int put_map(struct walk *walk, const ProtobufCFieldDescriptor *field,
		   const json_t *object)
{
	const char *key;
	const json_t *value;
	json_t *borrowed;
	int r;

	if (!json_is_object(object))
		return refuse_type(walk, "an object", object);
	/* The library only reads what it walks over. */
	(void)memcpy(&borrowed, &object, sizeof(borrowed));
	json_object_foreach(borrowed, key, value)
	{
		r = put_entry(walk, field, key, value);
		if (r)
			return r;
	}
	return 0;
}

const ProtobufCFieldDescriptor *
cp_rpc_json_read_find(const ProtobufCMessageDescriptor *type, const char *key)
{
	char name[CP_RPC_JSON_NAME_BYTES];

	for (unsigned int i = 0; i < type->n_fields; i++)
		if (!strcmp(cp_rpc_json_name(&type->fields[i], name), key) ||
		    !strcmp(type->fields[i].name, key))
			return &type->fields[i];
	return NULL;
}

/* Under its other key, if it has one. */
static bool is_twice(const ProtobufCFieldDescriptor *field, const char *key,
		     const json_t *object)
{
	char name[CP_RPC_JSON_NAME_BYTES];

	(void)cp_rpc_json_name(field, name);
	return strcmp(name, field->name) != 0 && strcmp(key, name) == 0 &&
	       json_object_get(object, field->name);
}

static int put_field(struct walk *walk, const ProtobufCMessageDescriptor *type,
		     const json_t *object, const char *key, const json_t *value)
{
	const ProtobufCFieldDescriptor *field =
		cp_rpc_json_read_find(type, key);
	char shown[SHOWN_CHARS + 1];
	int r;

	(void)snprintf(shown, sizeof(shown), "%s", key);
	r = enter(walk, (struct step){ .name = field ? field->name : shown });
	if (r)
		return r;
	if (!field)
		r = refuse(walk, "is not known");
	else if (is_twice(field, key, object))
		r = refuse(walk, "is there twice");
	else if (json_is_null(value))
		r = 0;
	else if (field->label != PROTOBUF_C_LABEL_REPEATED)
		r = put_value(walk, field, value);
	else if (cp_rpc_json_is_map(field))
		r = put_map(walk, field, value);
	else
		r = put_list(walk, field, value);
	walk->n_steps--;
	return r;
}

static int put_message(struct walk *walk,
		       const ProtobufCMessageDescriptor *type,
		       const json_t *value)
{
	const char *key;
	json_t *object, *inner;
	int r;

	if (!json_is_object(value))
		return refuse_type(walk, "an object", value);
	(void)memcpy(&object, &value, sizeof(object));
	json_object_foreach(object, key, inner)
	{
		r = put_field(walk, type, object, key, inner);
		if (r)
			return r;
	}
	return 0;
}

int cp_rpc_json_read_value(const ProtobufCMessageDescriptor *type,
			   const json_t *value, ProtobufCMessage **ret,
			   struct sn_diag *diag)
{
	struct walk walk = { .diag = diag };
	int r;

	r = put_message(&walk, type, value);
	if (r == 0)
		r = cp_rpc_message_unpack(type, walk.wire.data, walk.wire.size,
					  ret, diag);
	cp_rpc_wire_write_done(&walk.wire);
	return r > 0 ? CP_RPC_JSON_READ_E_INVALID : r;
}

/* Duplicates, NUL, bad UTF-8 and whatever follows are refused by the parser. */
static int parse(const char *text, size_t size, json_t **ret,
		 struct sn_diag *diag)
{
	json_error_t error;

	switch (cp_rpc_json_scan(text, size)) {
	case 0:
		break;
	case CP_RPC_JSON_SCAN_E_DEPTH:
		sn_diag_set(diag, NULL, "the JSON is nested over %d deep",
			    CP_RPC_JSON_SCAN_DEPTH_MAX);
		return CP_RPC_JSON_READ_E_INVALID;
	default:
		sn_diag_set(diag, NULL, "the JSON has over %d keys and values",
			    CP_RPC_JSON_SCAN_VALUES_MAX);
		return CP_RPC_JSON_READ_E_INVALID;
	}
	*ret = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (*ret)
		return 0;
	if (json_error_code(&error) == json_error_out_of_memory)
		return sn_trace(-ENOMEM);
	sn_diag_set(diag, NULL, "the body is not JSON: line %d, column %d: %s",
		    error.line, error.column, error.text);
	return CP_RPC_JSON_READ_E_INVALID;
}

int cp_rpc_json_read_text(const ProtobufCMessageDescriptor *type,
			  const char *text, size_t size, ProtobufCMessage **ret,
			  struct sn_diag *diag)
{
	sn_cleanup(decrefp) json_t *value = NULL;
	int r = 0;

	if (size > 0)
		r = parse(text, size, &value, diag);
	else
		value = json_object();
	if (r)
		return r;
	return value ? cp_rpc_json_read_value(type, value, ret, diag) :
		       sn_trace(-ENOMEM);
}
