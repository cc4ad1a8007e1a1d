// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/yaml.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <yaml.h>

enum {
	NUMBER_BYTES = 40,
	WIDTH = 1 << 20, /* no folding: a line is easier for tools */
};

/* Everything that libyaml is given to write goes here. */
static int take(void *userdata, unsigned char *buffer, size_t size)
{
	return fwrite(buffer, 1, size, userdata) == size;
}

static bool put_scalar(yaml_emitter_t *emitter, const char *text, size_t size,
		       bool is_string)
{
	/* A string that a reader would take for something else (null, 12, yes)
	 * is quoted; all others may be. */
	yaml_scalar_style_t style = is_string ?
					    YAML_DOUBLE_QUOTED_SCALAR_STYLE :
					    YAML_PLAIN_SCALAR_STYLE;
	yaml_event_t event;
	yaml_char_t *value;

	(void)memcpy(&value, &text, sizeof(value));
	return yaml_scalar_event_initialize(&event, NULL, NULL, value,
					    (int)size, 1, 1, style) &&
	       yaml_emitter_emit(emitter, &event);
}

static bool put(yaml_emitter_t *emitter, const json_t *value);

static bool put_list(yaml_emitter_t *emitter, const json_t *list)
{
	yaml_event_t event;

	if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
						  YAML_BLOCK_SEQUENCE_STYLE) ||
	    !yaml_emitter_emit(emitter, &event))
		return false;
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (!put(emitter, json_array_get(list, i)))
			return false;
	}
	return yaml_sequence_end_event_initialize(&event) &&
	       yaml_emitter_emit(emitter, &event);
}

static bool put_object(yaml_emitter_t *emitter, const json_t *object)
{
	yaml_event_t event;
	const char *key;
	json_t *copy, *value;

	(void)memcpy(&copy, &object, sizeof(copy));
	if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
						 YAML_BLOCK_MAPPING_STYLE) ||
	    !yaml_emitter_emit(emitter, &event))
		return false;
	json_object_foreach(copy, key, value)
	{
		if (!put_scalar(emitter, key, strlen(key), false) ||
		    !put(emitter, value))
			return false;
	}
	return yaml_mapping_end_event_initialize(&event) &&
	       yaml_emitter_emit(emitter, &event);
}

static bool put(yaml_emitter_t *emitter, const json_t *value)
{
	char text[NUMBER_BYTES] = "null";

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return put_object(emitter, value);
	case JSON_ARRAY:
		return put_list(emitter, value);
	case JSON_STRING:
		return put_scalar(emitter, json_string_value(value),
				  json_string_length(value), true);
	case JSON_INTEGER:
		(void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
			       json_integer_value(value));
		break;
	case JSON_REAL:
		(void)snprintf(text, sizeof(text), "%.17g",
			       json_real_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		(void)snprintf(text, sizeof(text), "%s",
			       json_is_true(value) ? "true" : "false");
		break;
	case JSON_NULL:
		break;
	}
	return put_scalar(emitter, text, strlen(text), false);
}

static bool put_document(yaml_emitter_t *emitter, const json_t *value,
			 bool is_element)
{
	yaml_event_t event;
	bool ok;

	ok = yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) &&
	     yaml_emitter_emit(emitter, &event) &&
	     yaml_document_start_event_initialize(&event, NULL, NULL, NULL,
						  1) &&
	     yaml_emitter_emit(emitter, &event);
	if (ok && is_element)
		ok = yaml_sequence_start_event_initialize(
			     &event, NULL, NULL, 1,
			     YAML_BLOCK_SEQUENCE_STYLE) &&
		     yaml_emitter_emit(emitter, &event);
	ok = ok && put(emitter, value);
	if (ok && is_element)
		ok = yaml_sequence_end_event_initialize(&event) &&
		     yaml_emitter_emit(emitter, &event);
	return ok && yaml_document_end_event_initialize(&event, 1) &&
	       yaml_emitter_emit(emitter, &event) &&
	       yaml_stream_end_event_initialize(&event) &&
	       yaml_emitter_emit(emitter, &event);
}

int cp_ctl_yaml_write(FILE *out, const json_t *value, int is_element)
{
	yaml_emitter_t emitter;
	bool ok;

	if (!yaml_emitter_initialize(&emitter))
		return -ENOMEM;
	yaml_emitter_set_output(&emitter, take, out);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, WIDTH);
	ok = put_document(&emitter, value, is_element);
	yaml_emitter_delete(&emitter);
	return ok ? 0 : -EIO;
}
