/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/query.h"

#include <stdlib.h>
#include <string.h>

#include "controld/http/call.h"
#include "controld/rest/hex.h"
#include "controld/rpc/json_read.h"
#include "shared/util.h"

struct walk {
	const ProtobufCMessageDescriptor *type;
	json_t *object;
	struct sn_diag *diag;
	int r;
};

static void decrefp(json_t **value)
{
	json_decref(*value);
	*value = NULL;
}

/* *ret: freed with free(). False: it is malformed, has NUL, or no memory. */
static bool unescape(const char *text, char **ret)
{
	sn_cleanup(sn_freep) char *copy = malloc(strlen(text) + 1);
	size_t n = 0;

	if (!copy)
		return false;
	for (; *text; text++) {
		int high, low;

		if (*text != '%') {
			copy[n++] = *text;
			continue;
		}
		high = cp_rest_hex_digit(text[1]);
		low = high < 0 ? -1 : cp_rest_hex_digit(text[2]);
		if (low < 0 || high + low == 0)
			return false;
		copy[n++] = (char)(high << 4 | low);
		text += 2;
	}
	copy[n] = '\0';
	*ret = sn_steal(&copy);
	return true;
}

static int refuse(struct sn_diag *diag, const char *field, const char *text)
{
	sn_diag_set(diag, field, "%s", text);
	return CP_REST_QUERY_E_INVALID;
}

/* What a query has are strings; integers and enums are read from these. */
static json_t *make_value(const ProtobufCFieldDescriptor *field,
			  const char *text)
{
	if (field->type != PROTOBUF_C_TYPE_BOOL)
		return json_string(text);
	if (strcmp(text, "true") == 0)
		return json_true();
	return strcmp(text, "false") == 0 ? json_false() : json_string(text);
}

static int put(json_t *object, const ProtobufCFieldDescriptor *field,
	       json_t *given, struct sn_diag *diag)
{
	sn_cleanup(decrefp) json_t *value = given;
	json_t *there = json_object_get(object, field->name);

	if (!value)
		return refuse(diag, field->name, "is not UTF-8");
	if (field->label != PROTOBUF_C_LABEL_REPEATED) {
		if (there)
			return refuse(diag, field->name, "is there twice");
		return json_object_set(object, field->name, value) ? -ENOMEM :
								     0;
	}
	if (!there) {
		if (json_object_set_new(object, field->name, json_array()))
			return -ENOMEM;
		there = json_object_get(object, field->name);
	}
	return json_array_append(there, value) ? -ENOMEM : 0;
}

int cp_rest_query_put(const ProtobufCMessageDescriptor *type, const char *key,
		      const char *value, json_t *object, struct sn_diag *diag)
{
	const ProtobufCFieldDescriptor *field =
		cp_rpc_json_read_find(type, key);
	sn_cleanup(sn_freep) char *text = NULL;

	if (!field)
		return refuse(diag, key, "is not known");
	if (field->type == PROTOBUF_C_TYPE_MESSAGE ||
	    field->type == PROTOBUF_C_TYPE_FLOAT ||
	    field->type == PROTOBUF_C_TYPE_DOUBLE)
		return refuse(diag, field->name,
			      "cannot be stated in a query; use POST");
	if (!value)
		return refuse(diag, field->name, "has no value");
	if (!unescape(value, &text))
		return refuse(diag, field->name,
			      "is not escaped as it must be");
	return put(object, field, make_value(field, text), diag);
}

static bool visit(void *userdata, const char *key, const char *value)
{
	struct walk *walk = userdata;

	walk->r = cp_rest_query_put(walk->type, key, value, walk->object,
				    walk->diag);
	return walk->r == 0;
}

int cp_rest_query_read(const struct cp_http_call *call,
		       const ProtobufCMessageDescriptor *type, json_t **ret,
		       struct sn_diag *diag)
{
	sn_cleanup(decrefp) json_t *object = json_object();
	struct walk walk = { .type = type, .object = object, .diag = diag };

	if (!object)
		return sn_trace(-ENOMEM);
	cp_http_call_visit_query(call, visit, &walk);
	if (walk.r == 0)
		*ret = sn_steal(&object);
	return walk.r;
}
