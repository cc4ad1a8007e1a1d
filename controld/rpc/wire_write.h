/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Fields of a protobuf message as they stand on the wire, one behind the other,
 * in memory that grows. Pure. */

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

/* Zero at first; what is written is data[0..size). */
struct cp_rpc_wire_write {
	uint8_t *data;
	size_t size;
	size_t capacity;
};

/* All return 0 or -ENOMEM, and then the message is not whole. */

/* Of a type that is a varint; zigzag is the caller's. */
int cp_rpc_wire_write_number(struct cp_rpc_wire_write *wire,
			     const ProtobufCFieldDescriptor *field,
			     uint64_t value);
/* size: 4 or 8. */
int cp_rpc_wire_write_fixed(struct cp_rpc_wire_write *wire,
			    const ProtobufCFieldDescriptor *field,
			    const void *value, size_t size);
int cp_rpc_wire_write_bytes(struct cp_rpc_wire_write *wire,
			    const ProtobufCFieldDescriptor *field,
			    const void *data, size_t size);

/* A message within the message is what is written between the two; *from is for
 * the second. */
int cp_rpc_wire_write_begin(struct cp_rpc_wire_write *wire,
			    const ProtobufCFieldDescriptor *field,
			    size_t *from);
int cp_rpc_wire_write_end(struct cp_rpc_wire_write *wire, size_t from);

void cp_rpc_wire_write_done(struct cp_rpc_wire_write *wire);
