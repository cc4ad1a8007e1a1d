/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/wire_write.h"

#include <stdlib.h>
#include <string.h>

#include "shared/util.h"

enum { BYTES_FIRST = 256, VARINT_BYTES = 10 };

enum wire {
	WIRE_VARINT = 0,
	WIRE_64BIT = 1,
	WIRE_BYTES = 2,
	WIRE_32BIT = 5,
};

static int put_bytes(struct cp_rpc_wire_write *wire, const void *data,
		     size_t size)
{
	size_t capacity = wire->capacity ? wire->capacity : BYTES_FIRST;
	uint8_t *grown;

	while (capacity - wire->size < size)
		capacity *= 2;
	if (capacity != wire->capacity) {
		grown = realloc(wire->data, capacity);
		if (!grown)
			return sn_trace(-ENOMEM);
		wire->data = grown;
		wire->capacity = capacity;
	}
	if (size > 0)
		(void)memcpy(wire->data + wire->size, data, size);
	wire->size += size;
	return 0;
}

static size_t write_varint(uint8_t to[VARINT_BYTES], uint64_t value)
{
	size_t n = 0;

	for (; value > 0x7f; value >>= 7)
		to[n++] = (uint8_t)(value | 0x80);
	to[n++] = (uint8_t)value;
	return n;
}

static int put_varint(struct cp_rpc_wire_write *wire, uint64_t value)
{
	uint8_t bytes[VARINT_BYTES];

	return put_bytes(wire, bytes, write_varint(bytes, value));
}

static int put_tag(struct cp_rpc_wire_write *wire,
		   const ProtobufCFieldDescriptor *field, enum wire type)
{
	return put_varint(wire, (uint64_t)field->id << 3 | type);
}

int cp_rpc_wire_write_number(struct cp_rpc_wire_write *wire,
			     const ProtobufCFieldDescriptor *field,
			     uint64_t value)
{
	int r = put_tag(wire, field, WIRE_VARINT);

	return r ? r : put_varint(wire, value);
}

/* The machine is little-endian, as the wire is. */
int cp_rpc_wire_write_fixed(struct cp_rpc_wire_write *wire,
			    const ProtobufCFieldDescriptor *field,
			    const void *value, size_t size)
{
	int r = put_tag(wire, field, size == 4 ? WIRE_32BIT : WIRE_64BIT);

	return r ? r : put_bytes(wire, value, size);
}

int cp_rpc_wire_write_bytes(struct cp_rpc_wire_write *wire,
			    const ProtobufCFieldDescriptor *field,
			    const void *data, size_t size)
{
	int r = put_tag(wire, field, WIRE_BYTES);

	if (r == 0)
		r = put_varint(wire, size);
	return r ? r : put_bytes(wire, data, size);
}

int cp_rpc_wire_write_begin(struct cp_rpc_wire_write *wire,
			    const ProtobufCFieldDescriptor *field, size_t *from)
{
	int r = put_tag(wire, field, WIRE_BYTES);

	*from = wire->size;
	return r;
}

/* What was written since `from` gets its length before it. */
int cp_rpc_wire_write_end(struct cp_rpc_wire_write *wire, size_t from)
{
	uint8_t bytes[VARINT_BYTES];
	size_t size = wire->size - from;
	size_t n = write_varint(bytes, size);
	int r = put_bytes(wire, bytes, n);

	if (r)
		return r;
	(void)memmove(wire->data + from + n, wire->data + from, size);
	(void)memcpy(wire->data + from, bytes, n);
	return 0;
}

void cp_rpc_wire_write_done(struct cp_rpc_wire_write *wire)
{
	free(wire->data);
	*wire = (struct cp_rpc_wire_write){ 0 };
}
