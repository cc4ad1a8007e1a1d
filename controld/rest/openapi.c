/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/openapi.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/json.h"
#include "shared/util.h"

#define JSON_TYPE   "application/json"
#define STREAM_TYPE "text/event-stream"

/* Jansson takes NULL for a value that could not be made and then fails itself,
 * so one look at the end is enough. */
struct document {
	json_t *paths;
	json_t *schemas;
	json_t *left_out;
	bool is_broken;
};

static const char *const roles[] = {
	[CP_RPC_ROLE_ADMIN] = "admin",
	[CP_RPC_ROLE_OPERATOR] = "operator",
	[CP_RPC_ROLE_VIEWER] = "viewer",
};

static const char *name_of(const struct cp_rpc_method *method)
{
	const char *slash = strrchr(method->path, '/');

	return slash ? slash + 1 : method->path;
}

int cp_rest_openapi_path(const struct cp_rpc_method *method, char **ret)
{
	return asprintf(ret, "/v1/%s", name_of(method)) < 0 ?
		       sn_trace(-ENOMEM) :
		       0;
}

bool cp_rest_openapi_has_get(const struct cp_rpc_method *method)
{
	return method->role == CP_RPC_ROLE_VIEWER;
}

bool cp_rest_openapi_is_offered(const struct cp_rpc_method *method)
{
	return method->kind != CP_RPC_KIND_CLIENT_STREAM;
}

static void set(struct document *document, json_t *object, const char *key,
		json_t *value)
{
	if (json_object_set_new(object, key, value))
		document->is_broken = true;
}

static void add(struct document *document, json_t *list, json_t *value)
{
	if (json_array_append_new(list, value))
		document->is_broken = true;
}

/* Schemas. */

static void put_message(struct document *document,
			const ProtobufCMessageDescriptor *type);

static json_t *make_ref(const char *name)
{
	return json_pack("{s: s+}", "$ref", "#/components/schemas/", name);
}

static json_t *make_enum(struct document *document,
			 const ProtobufCEnumDescriptor *type)
{
	json_t *names = json_array();

	for (unsigned int i = 0; i < type->n_values; i++)
		add(document, names, json_string(type->values[i].name));
	return json_pack("{s: s, s: o}", "type", "string", "enum", names);
}

static json_t *make_value(struct document *document,
			  const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return json_pack("{s: s, s: s, s: i, s: i}", "type", "integer",
				 "format", "int32", "minimum", INT32_MIN,
				 "maximum", INT32_MAX);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return json_pack("{s: s, s: s, s: i, s: I}", "type", "integer",
				 "format", "uint32", "minimum", 0, "maximum",
				 (json_int_t)UINT32_MAX);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return json_pack("{s: s, s: s, s: s}", "type", "string",
				 "format", "int64", "pattern", "^-?[0-9]+$");
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return json_pack("{s: s, s: s, s: s}", "type", "string",
				 "format", "uint64", "pattern", "^[0-9]+$");
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE:
		return json_pack("{s: s}", "type", "number");
	case PROTOBUF_C_TYPE_BOOL:
		return json_pack("{s: s}", "type", "boolean");
	case PROTOBUF_C_TYPE_ENUM:
		return make_enum(document, field->descriptor);
	case PROTOBUF_C_TYPE_STRING:
		return json_pack("{s: s}", "type", "string");
	case PROTOBUF_C_TYPE_BYTES:
		return json_pack("{s: s, s: s}", "type", "string",
				 "contentEncoding", "base64");
	case PROTOBUF_C_TYPE_MESSAGE:
		put_message(document, field->descriptor);
		return make_ref(
			((const ProtobufCMessageDescriptor *)field->descriptor)
				->short_name);
	}
	return NULL;
}

static json_t *make_field(struct document *document,
			  const ProtobufCFieldDescriptor *field)
{
	const ProtobufCMessageDescriptor *entry = field->descriptor;

	if (field->label != PROTOBUF_C_LABEL_REPEATED)
		return make_value(document, field);
	if (cp_rpc_json_is_map(field))
		return json_pack("{s: s, s: o}", "type", "object",
				 "additionalProperties",
				 make_value(document, &entry->fields[1]));
	return json_pack("{s: s, s: o}", "type", "array", "items",
			 make_value(document, field));
}

/* Messages may contain themselves, so the name is taken first. */
static void put_message(struct document *document,
			const ProtobufCMessageDescriptor *type)
{
	char name[CP_RPC_JSON_NAME_BYTES];
	json_t *properties;

	if (json_object_get(document->schemas, type->short_name))
		return;
	properties = json_object();
	set(document, document->schemas, type->short_name,
	    json_pack("{s: s, s: O, s: b}", "type", "object", "properties",
		      properties, "additionalProperties", 0));
	for (unsigned int i = 0; i < type->n_fields; i++)
		set(document, properties,
		    cp_rpc_json_name(&type->fields[i], name),
		    make_field(document, &type->fields[i]));
	json_decref(properties);
}

/* Operations. */

static json_t *make_content(const char *type, const char *schema)
{
	return json_pack("{s: {s: {s: o}}}", "content", type, "schema",
			 make_ref(schema));
}

static json_t *make_responses(struct document *document,
			      const struct cp_rpc_method *method)
{
	bool is_stream = method->kind == CP_RPC_KIND_SERVER_STREAM;
	const char *schema = method->response->short_name;
	json_t *good =
		make_content(is_stream ? STREAM_TYPE : JSON_TYPE, schema);
	json_t *bad = make_content(JSON_TYPE, "Error");

	put_message(document, method->response);
	set(document, good, "description",
	    json_string(is_stream ?
				"Events whose data is the schema's, until the "
				"stream ends; an event named `error` has an "
				"Error and is the last one." :
				"The call succeeded."));
	set(document, bad, "description",
	    json_string("The call failed and changed nothing."));
	return json_pack("{s: o, s: o}", "200", good, "default", bad);
}

static json_t *make_operation(struct document *document,
			      const struct cp_rpc_method *method,
			      const char *prefix)
{
	return json_pack("{s: s+, s: s, s: o}", "operationId", prefix,
			 name_of(method), "x-role", roles[method->role],
			 "responses", make_responses(document, method));
}

static json_t *make_resume(void)
{
	return json_pack("{s: s, s: s, s: s, s: {s: s}}", "name",
			 "Last-Event-ID", "in", "header", "description",
			 "The id of the last event that was read: only what "
			 "comes behind it.",
			 "schema", "type", "string");
}

static json_t *make_post(struct document *document,
			 const struct cp_rpc_method *method)
{
	json_t *operation = make_operation(document, method, "");

	put_message(document, method->request);
	set(document, operation, "requestBody",
	    make_content(JSON_TYPE, method->request->short_name));
	if (method->resume)
		set(document, operation, "parameters",
		    json_pack("[o]", make_resume()));
	return operation;
}

static bool is_in_query(const ProtobufCFieldDescriptor *field)
{
	return field->type != PROTOBUF_C_TYPE_MESSAGE &&
	       field->type != PROTOBUF_C_TYPE_FLOAT &&
	       field->type != PROTOBUF_C_TYPE_DOUBLE;
}

static json_t *make_get(struct document *document,
			const struct cp_rpc_method *method)
{
	json_t *operation = make_operation(document, method, "get");
	json_t *parameters = json_array();
	char name[CP_RPC_JSON_NAME_BYTES];

	for (unsigned int i = 0; i < method->request->n_fields; i++) {
		const ProtobufCFieldDescriptor *field =
			&method->request->fields[i];

		if (!is_in_query(field))
			continue;
		add(document, parameters,
		    json_pack("{s: s, s: s, s: o}", "name",
			      cp_rpc_json_name(field, name), "in", "query",
			      "schema", make_field(document, field)));
	}
	if (method->resume)
		add(document, parameters, make_resume());
	set(document, operation, "parameters", parameters);
	return operation;
}

static void put_method(struct document *document,
		       const struct cp_rpc_method *method)
{
	sn_cleanup(sn_freep) char *path = NULL;
	json_t *item;

	if (!cp_rest_openapi_is_offered(method)) {
		add(document, document->left_out,
		    json_pack("{s: s, s: s}", "method", name_of(method),
			      "reason",
			      "a stream of the client's: over HTTP it would be "
			      "one body, bounded like any other; gRPC has it"));
		return;
	}
	item = json_object();
	if (cp_rest_openapi_path(method, &path) < 0) {
		document->is_broken = true;
		json_decref(item);
		return;
	}
	set(document, item, "post", make_post(document, method));
	if (cp_rest_openapi_has_get(method))
		set(document, item, "get", make_get(document, method));
	set(document, document->paths, path, item);
}

static void put_own(struct document *document)
{
	set(document, document->paths, "/openapi.json",
	    json_pack("{s: {s: s, s: s, s: {s: {s: s, s: {s: {}}}}}}", "get",
		      "operationId", "getDocument", "x-role", "viewer",
		      "responses", "200", "description", "This document.",
		      "content", JSON_TYPE));
	set(document, document->schemas, "Error",
	    json_pack("{s: s, s: {s: {s: s, s: s}, s: {s: s}}, s: [s, s]}",
		      "type", "object", "properties", "code", "type", "string",
		      "description", "The name of a gRPC status.", "message",
		      "type", "string", "required", "code", "message"));
}

static json_t *make_all(struct document *document, const char *version)
{
	return json_pack(
		"{s: s, s: {s: s, s: s, s: s}, s: O, s: {s: O, s: {s: {s: s, "
		"s: s}, s: {s: s}}}, s: [{s: []}, {s: []}, {}], s: O}",
		"openapi", "3.1.0", "info", "title", "Sentinel", "version",
		version, "description",
		"sentinel.v1.DaemonService as JSON. Requests are messages of "
		"the .proto files in protobuf's own mapping; roles are viewer, "
		"operator and admin, each with what those before it may.",
		"paths", document->paths, "components", "schemas",
		document->schemas, "securitySchemes", "bearer", "type", "http",
		"scheme", "bearer", "certificate", "type", "mutualTLS",
		"security", "bearer", "certificate", "x-not-offered",
		document->left_out);
}

int cp_rest_openapi_print(const struct cp_rpc_method *methods, size_t n,
			  const char *version, char **ret)
{
	struct document document = {
		.paths = json_object(),
		.schemas = json_object(),
		.left_out = json_array(),
	};
	json_t *all;
	char *text = NULL;

	for (size_t i = 0; i < n; i++)
		put_method(&document, &methods[i]);
	put_own(&document);
	all = make_all(&document, version);
	if (all && !document.is_broken)
		text = json_dumps(all, JSON_INDENT(2));
	json_decref(all);
	json_decref(document.paths);
	json_decref(document.schemas);
	json_decref(document.left_out);
	if (!text)
		return sn_trace(-ENOMEM);
	*ret = text;
	return 0;
}
