/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/wire.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "controld/rpc/utf8.h"
#include "shared/util.h"

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_64BIT = 1,
	WIRE_BYTES = 2,
	WIRE_32BIT = 5,
};

enum {
	SEEN_WORDS = CP_RPC_WIRE_MAX_FIELDS / 64,
	MAX_FIELD_NUMBER = (1 << 29) - 1,
};

struct cursor {
	const uint8_t *at;
	const uint8_t *end;
};

/* One field as it stands on the wire; data and size are set for all types but
 * varints. */
struct item {
	uint32_t number;
	unsigned int wire;
	uint64_t value;
	struct cursor data;
};

/* One message that is being walked. Frames live on the stack and link to the
 * message around them, so that a refusal can spell the path. */
struct frame {
	const struct frame *up;
	const ProtobufCMessageDescriptor *type;
	const uint8_t *start;
	const uint8_t *item_start;
	const ProtobufCFieldDescriptor *field;
	uint64_t seen[SEEN_WORDS];
	unsigned int depth;
	/* Position within a packed list. */
	size_t packed_index;
};

struct walk {
	enum cp_rpc_wire_mode mode;
	struct sn_diag *diag;
};

static bool read_varint(struct cursor *cursor, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 70; shift += 7) {
		uint8_t byte;

		if (cursor->at == cursor->end)
			return false;
		byte = *cursor->at++;
		if (shift == 63 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

static bool take_bytes(struct cursor *cursor, uint64_t size, struct item *item)
{
	if (size > (uint64_t)(cursor->end - cursor->at))
		return false;
	item->data.at = cursor->at;
	item->data.end = cursor->at + size;
	cursor->at += size;
	return true;
}

/* Reads one whole field; returns NULL, or why it cannot be read. */
static const char *read_item(struct cursor *cursor, struct item *item)
{
	uint64_t tag;
	uint64_t size;

	if (!read_varint(cursor, &tag) || tag >> 3 > MAX_FIELD_NUMBER ||
	    tag >> 3 == 0)
		return "has a malformed tag";
	*item = (struct item){ .number = (uint32_t)(tag >> 3),
			       .wire = (unsigned int)(tag & 7) };
	switch (item->wire) {
	case WIRE_VARINT:
		if (!read_varint(cursor, &item->value))
			return "has a malformed number";
		return NULL;
	case WIRE_64BIT:
		return take_bytes(cursor, 8, item) ? NULL : "is cut short";
	case WIRE_32BIT:
		return take_bytes(cursor, 4, item) ? NULL : "is cut short";
	case WIRE_BYTES:
		if (!read_varint(cursor, &size) ||
		    !take_bytes(cursor, size, item))
			return "is cut short";
		return NULL;
	default:
		return "has a wire type that proto3 does not have";
	}
}

static unsigned int position_of(const struct frame *frame)
{
	struct cursor cursor = { frame->start, frame->item_start };
	unsigned int n = 0;
	struct item item;

	while (cursor.at < cursor.end && !read_item(&cursor, &item))
		if (item.number == frame->field->id)
			n++;
	return n;
}

static size_t write_path(const struct frame *frame, char *path, size_t size)
{
	size_t used = 0;
	int n;

	if (frame->up)
		used = write_path(frame->up, path, size);
	if (!frame->field || used >= size)
		return used;
	n = snprintf(path + used, size - used, "%s%s", used ? "." : "",
		     frame->field->name);
	used += (size_t)n;
	if (frame->field->label != PROTOBUF_C_LABEL_REPEATED || used >= size)
		return used;
	n = snprintf(path + used, size - used, "[%zu]",
		     position_of(frame) + frame->packed_index);
	return used + (size_t)n;
}

static int refuse(const struct walk *walk, const struct frame *frame,
		  const char *text)
{
	char path[SN_DIAG_FILE_BYTES] = "";

	(void)write_path(frame, path, sizeof(path));
	sn_diag_set(walk->diag, path, "%s", text);
	return CP_RPC_WIRE_E_INVALID;
}

static int refuse_unknown(const struct walk *walk, const struct frame *frame,
			  uint32_t number)
{
	char path[SN_DIAG_FILE_BYTES] = "";

	(void)write_path(frame, path, sizeof(path));
	sn_diag_set(walk->diag, path, "unknown field %u of %s", number,
		    frame->type->short_name);
	return CP_RPC_WIRE_E_INVALID;
}

static const char *check_string(struct cursor text)
{
	if (text.at == text.end)
		return NULL;
	if (memchr(text.at, 0, (size_t)(text.end - text.at)))
		return "holds a NUL byte";
	while (text.at < text.end) {
		size_t n = cp_rpc_utf8_length(text.at,
					      (size_t)(text.end - text.at));

		if (!n)
			return "is not valid UTF-8";
		text.at += n;
	}
	return NULL;
}

static const char *check_varint(const struct walk *walk,
				const ProtobufCFieldDescriptor *field,
				uint64_t value)
{
	bool is_enum = field->type == PROTOBUF_C_TYPE_ENUM;
	int64_t number = (int64_t)value;

	if (is_enum || field->type == PROTOBUF_C_TYPE_INT32) {
		if (number < INT32_MIN || number > INT32_MAX)
			return "does not fit 32 bits";
	} else if (field->type == PROTOBUF_C_TYPE_UINT32 ||
		   field->type == PROTOBUF_C_TYPE_SINT32) {
		if (value > UINT32_MAX)
			return "does not fit 32 bits";
	}
	if (is_enum && walk->mode == CP_RPC_WIRE_MODE_COMMAND &&
	    !protobuf_c_enum_descriptor_get_value(field->descriptor,
						  (int)number))
		return "has a value that is not known";
	return NULL;
}

static enum wire_type wire_type_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return WIRE_32BIT;
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return WIRE_64BIT;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return WIRE_BYTES;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_BOOL:
	case PROTOBUF_C_TYPE_ENUM:
		break;
	}
	return WIRE_VARINT;
}

static int check_packed(const struct walk *walk, struct frame *frame,
			struct cursor list)
{
	enum wire_type wire = wire_type_of(frame->field->type);
	size_t size = (size_t)(list.end - list.at);
	const char *text = NULL;

	if (wire != WIRE_VARINT)
		return size % (wire == WIRE_64BIT ? 8 : 4) ?
			       refuse(walk, frame, "is cut short") :
			       0;
	while (list.at < list.end && !text) {
		uint64_t value;

		if (!read_varint(&list, &value))
			text = "has a malformed number";
		else
			text = check_varint(walk, frame->field, value);
		if (!text)
			frame->packed_index++;
	}
	if (text)
		return refuse(walk, frame, text);
	frame->packed_index = 0;
	return 0;
}

/* Marks the field as seen; false if it, or another member of its oneof, was
 * there already. */
static bool mark_seen(struct frame *frame)
{
	const ProtobufCMessageDescriptor *type = frame->type;
	const ProtobufCFieldDescriptor *field = frame->field;
	size_t index = (size_t)(field - type->fields);

	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return true;
	for (size_t i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *other = &type->fields[i];
		bool same =
			i == index ||
			((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
			 (other->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
			 field->quantifier_offset == other->quantifier_offset);

		if (same && (frame->seen[i / 64] & UINT64_C(1) << (i % 64)))
			return false;
	}
	frame->seen[index / 64] |= UINT64_C(1) << (index % 64);
	return true;
}

static int check_message(const struct walk *walk, struct frame *frame,
			 struct cursor cursor);

static int check_inner(const struct walk *walk, const struct frame *frame,
		       struct cursor data)
{
	struct frame inner = {
		.up = frame,
		.type = frame->field->descriptor,
		.depth = frame->depth + 1,
	};

	if (inner.depth > CP_RPC_WIRE_MAX_DEPTH)
		return refuse(walk, frame, "is nested too deep");
	return check_message(walk, &inner, data);
}

static int check_field(const struct walk *walk, struct frame *frame,
		       const struct item *item)
{
	const ProtobufCFieldDescriptor *field = frame->field;
	enum wire_type wire = wire_type_of(field->type);
	const char *text = NULL;

	if (!mark_seen(frame))
		return refuse(walk, frame, "is there twice");
	if (item->wire == WIRE_BYTES && wire != WIRE_BYTES &&
	    field->label == PROTOBUF_C_LABEL_REPEATED)
		return check_packed(walk, frame, item->data);
	if (item->wire != wire)
		return refuse(walk, frame, "has the wrong wire type");
	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		return check_inner(walk, frame, item->data);
	if (field->type == PROTOBUF_C_TYPE_STRING)
		text = check_string(item->data);
	else if (wire == WIRE_VARINT)
		text = check_varint(walk, field, item->value);
	return text ? refuse(walk, frame, text) : 0;
}

static int check_message(const struct walk *walk, struct frame *frame,
			 struct cursor cursor)
{
	assert(frame->type->n_fields <= CP_RPC_WIRE_MAX_FIELDS);

	frame->start = cursor.at;
	while (cursor.at < cursor.end) {
		const char *text;
		struct item item;
		int r;

		frame->field = NULL;
		frame->item_start = cursor.at;
		text = read_item(&cursor, &item);
		if (text)
			return refuse(walk, frame, text);
		frame->field = protobuf_c_message_descriptor_get_field(
			frame->type, item.number);
		if (!frame->field) {
			if (walk->mode == CP_RPC_WIRE_MODE_ANSWER)
				continue;
			return refuse_unknown(walk, frame, item.number);
		}
		r = check_field(walk, frame, &item);
		if (r)
			return r;
	}
	return 0;
}

int cp_rpc_wire_check(const ProtobufCMessageDescriptor *type,
		      const uint8_t *data, size_t size,
		      enum cp_rpc_wire_mode mode, struct sn_diag *diag)
{
	struct walk walk = { .mode = mode, .diag = diag };
	struct frame frame = { .type = type, .depth = 1 };
	struct cursor cursor = { data, data };

	if (size)
		cursor.end += size;
	return check_message(&walk, &frame, cursor);
}
