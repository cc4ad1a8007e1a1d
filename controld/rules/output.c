/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rules/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rpc/utf8.h"

enum {
	PIECES_MAX = 64,
	DEPTH_MAX = 4, /* process.executable.path has 3 */
	NAME_BYTES = 64,
};

/* Plain text, then a field. */
struct piece {
	const char *at;
	size_t size;
	bool is_parent; /* the field is one of the process above */
	size_t n; /* 0: there is no field */
	const ProtobufCFieldDescriptor *way[DEPTH_MAX];
};

struct cp_rules_output {
	size_t n;
	struct piece pieces[];
};

const char *const cp_rules_output_default =
	"{event} by {process.comm} (pid {process.pid}, uid {process.uid}): "
	"{file.path}";

struct cp_rules_output *cp_rules_output_free(struct cp_rules_output *output)
{
	free(output);
	return NULL;
}

/* Reading the text. */

static int refuse(struct sn_diag *diag, const char *why, const char *what,
		  size_t size)
{
	sn_diag_set(diag, NULL, "%s '%.*s'", why,
		    (int)SN_MIN(size, (size_t)NAME_BYTES), what);
	return CP_RULES_E_REFUSED;
}

static bool is_list(const ProtobufCFieldDescriptor *field)
{
	return field->label == PROTOBUF_C_LABEL_REPEATED;
}

static bool is_message(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_MESSAGE;
}

/* Of lists only those of texts can be told. */
static bool can_be_told(const ProtobufCFieldDescriptor *field)
{
	return !is_message(field) && field->type != PROTOBUF_C_TYPE_BYTES &&
	       (!is_list(field) || field->type == PROTOBUF_C_TYPE_STRING);
}

/* name: size bytes, as it stands between the braces. */
static int find_field(struct piece *piece, const char *name, size_t size,
		      struct sn_diag *diag)
{
	const ProtobufCMessageDescriptor *type =
		&sentinel__v1__runtime_event__descriptor;
	const char *at = name, *end = name + size;

	if (size > 7 && strncmp(name, "parent.", 7) == 0) {
		piece->is_parent = true;
		type = &sentinel__v1__runtime_process__descriptor;
		at += 7;
	}
	while (type && piece->n < DEPTH_MAX) {
		const char *dot = memchr(at, '.', (size_t)(end - at));
		size_t part = (size_t)((dot ? dot : end) - at);
		const ProtobufCFieldDescriptor *field;
		char key[NAME_BYTES];

		if (part >= sizeof(key))
			break;
		(void)memcpy(key, at, part);
		key[part] = '\0';
		field = protobuf_c_message_descriptor_get_field_by_name(type,
									key);
		if (!field)
			break;
		piece->way[piece->n++] = field;
		if (!dot && can_be_told(field))
			return 0;
		if (!dot || !is_message(field))
			break;
		type = field->descriptor;
		at = dot + 1;
	}
	return refuse(diag, "there is no field", name, size);
}

/* One piece at *at, which moves behind it. "{{" ends plain text with the first
 * of both. */
static int read_piece(struct piece *piece, const char **at,
		      struct sn_diag *diag)
{
	const char *begin = *at, *open = strchr(begin, '{'), *close;
	int r;

	piece->at = begin;
	piece->size = open ? (size_t)(open - begin) : strlen(begin);
	*at = begin + piece->size;
	if (!open)
		return 0;
	if (open[1] == '{') {
		piece->size++;
		*at = open + 2;
		return 0;
	}
	close = strchr(open, '}');
	if (!close)
		return refuse(diag, "there is no '}' behind", open,
			      strlen(open));
	r = find_field(piece, open + 1, (size_t)(close - open - 1), diag);
	*at = close + 1;
	return r;
}

int cp_rules_output_new(struct cp_rules_output **ret, const char *text,
			struct sn_diag *diag)
{
	struct piece pieces[PIECES_MAX] = { 0 };
	struct cp_rules_output *output;
	size_t n = 0;

	for (const char *at = text; *at;) {
		int r;

		if (n == PIECES_MAX) {
			sn_diag_set(diag, NULL, "has more than %d fields",
				    PIECES_MAX - 1);
			return CP_RULES_E_REFUSED;
		}
		r = read_piece(&pieces[n++], &at, diag);
		if (r)
			return r;
	}
	output = malloc(sizeof(*output) + n * sizeof(pieces[0]));
	if (!output)
		return -ENOMEM;
	output->n = n;
	(void)memcpy(output->pieces, pieces, n * sizeof(pieces[0]));
	*ret = output;
	return 0;
}

/* Writing it. */

struct writer {
	char *at;
	size_t left; /* with room for the NUL */
	bool is_full;
};

/* All of it or nothing, so that no character is cut; then nothing more. */
static void write_bytes(struct writer *writer, const char *bytes, size_t size)
{
	writer->is_full |= size >= writer->left;
	if (writer->is_full)
		return;
	(void)memcpy(writer->at, bytes, size);
	writer->at += size;
	writer->left -= size;
}

/* What others chose: a terminal or a log takes it for nothing else. */
static void write_text(struct writer *writer, const char *text, size_t size)
{
	for (size_t i = 0; i < size;) {
		const uint8_t *at = (const uint8_t *)text + i;
		size_t n = cp_rpc_utf8_length(at, size - i);
		/* C1 controls are two bytes. */
		bool is_control = n == 0 || *at < ' ' || *at == 0x7f ||
				  (*at == 0xc2 && at[1] < 0xa0);
		char shown[8];

		n = is_control ? 1 : n;
		if (is_control)
			(void)snprintf(shown, sizeof(shown), "\\x%02x", *at);
		write_bytes(writer, is_control ? shown : (const char *)at,
			    is_control ? strlen(shown) : n);
		i += n;
	}
}

static void write_number(struct writer *writer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void write_number(struct writer *writer, const char *format, ...)
{
	char shown[32];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(shown, sizeof(shown), format, args);
	va_end(args);
	write_bytes(writer, shown, strlen(shown));
}

static void write_texts(struct writer *writer,
			const ProtobufCFieldDescriptor *field,
			const ProtobufCMessage *message)
{
	const char *base = (const char *)message;
	char **texts;
	size_t n;

	(void)memcpy(&n, base + field->quantifier_offset, sizeof(n));
	(void)memcpy(&texts, base + field->offset, sizeof(texts));
	for (size_t i = 0; i < n; i++) {
		write_text(writer, " ", i > 0);
		write_text(writer, texts[i], strlen(texts[i]));
	}
	if (n == 0)
		write_text(writer, "-", 1);
}

static void write_enum(struct writer *writer,
		       const ProtobufCFieldDescriptor *field, int number)
{
	const ProtobufCEnumValue *value =
		protobuf_c_enum_descriptor_get_value(field->descriptor, number);

	if (value)
		write_text(writer, value->name, strlen(value->name));
	else
		write_number(writer, "%d", number);
}

static void write_field(struct writer *writer,
			const ProtobufCFieldDescriptor *field,
			const ProtobufCMessage *message)
{
	const void *at = (const char *)message + field->offset;
	const char *text;

	if (is_list(field)) {
		write_texts(writer, field, message);
		return;
	}
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		(void)memcpy(&text, at, sizeof(text));
		text = text && text[0] ? text : "-";
		write_text(writer, text, strlen(text));
		break;
	case PROTOBUF_C_TYPE_BOOL:
		text = *(const protobuf_c_boolean *)at ? "true" : "false";
		write_text(writer, text, strlen(text));
		break;
	case PROTOBUF_C_TYPE_ENUM:
		write_enum(writer, field, *(const int *)at);
		break;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		write_number(writer, "%" PRId32, *(const int32_t *)at);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		write_number(writer, "%" PRIu32, *(const uint32_t *)at);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		write_number(writer, "%" PRId64, *(const int64_t *)at);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		write_number(writer, "%" PRIu64, *(const uint64_t *)at);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		break;
	}
}

static void write_piece(struct writer *writer, const struct piece *piece,
			struct cp_rules_view *view)
{
	const Sentinel__V1__RuntimeProcess *parent;
	const ProtobufCMessage *message = &view->event->base;

	write_bytes(writer, piece->at, piece->size);
	if (piece->n == 0)
		return;
	if (piece->is_parent) {
		parent = cp_rules_view_get_parent(view);
		message = parent ? &parent->base : NULL;
	}
	for (size_t i = 0; message && i + 1 < piece->n; i++)
		(void)memcpy(&message,
			     (const char *)message + piece->way[i]->offset,
			     sizeof(message));
	if (message)
		write_field(writer, piece->way[piece->n - 1], message);
	else
		write_text(writer, "-", 1);
}

void cp_rules_output_format(const struct cp_rules_output *output,
			    struct cp_rules_view *view, char *ret, size_t size)
{
	struct writer writer = { .at = ret, .left = size };

	for (size_t i = 0; i < output->n; i++)
		write_piece(&writer, &output->pieces[i], view);
	*writer.at = '\0';
}
