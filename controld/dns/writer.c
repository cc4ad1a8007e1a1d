/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/writer.h"

#include <string.h>

_Static_assert(CP_DNS_WRITER_PLACES == UINT8_MAX + 1, "a byte wraps round");

enum {
	POINTER = 0xc0,
	POINTER_MAX = 0x3fff, /* the farthest offset that one can tell */
};

void cp_dns_writer_init(struct cp_dns_writer *writer, uint8_t *message,
			size_t size, size_t room)
{
	writer->message = message;
	writer->size = size;
	writer->room = room;
	writer->is_full = false;
	writer->n_known = 0;
	(void)memset(writer->places, 0, sizeof(writer->places));
}

void cp_dns_writer_put(struct cp_dns_writer *writer, const void *bytes,
		       size_t size)
{
	if (writer->is_full || size > writer->room - writer->size) {
		writer->is_full = true;
		return;
	}
	(void)memcpy(writer->message + writer->size, bytes, size);
	writer->size += size;
}

void cp_dns_writer_put_pointer(struct cp_dns_writer *writer, uint16_t at)
{
	cp_dns_writer_put16(writer, POINTER << 8 | (unsigned int)at);
}

void cp_dns_writer_put16(struct cp_dns_writer *writer, unsigned int value)
{
	uint8_t bytes[2];

	cp_dns_wire_put16(bytes, value);
	cp_dns_writer_put(writer, bytes, sizeof(bytes));
}

/* Names. */

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* The hash of a name from that of the name without its first label. */
static uint32_t hash_label(uint32_t hash, const uint8_t *label)
{
	for (size_t i = 0; i <= label[0]; i++)
		hash = (hash ^ lower(label[i])) * 16777619U;
	return hash ^ hash >> 15;
}

/* Is the name that was written at `at` this one? */
static bool is_at(const struct cp_dns_writer *writer, size_t at,
		  const uint8_t *wire)
{
	const uint8_t *message = writer->message;

	for (;;) {
		size_t n = message[at];

		if ((n & POINTER) == POINTER) {
			at = (n & ~(size_t)POINTER) << 8 | message[at + 1];
			continue;
		}
		for (size_t i = 0; i <= n; i++) {
			if (lower(message[at + i]) != lower(wire[i]))
				return false;
		}
		if (n == 0)
			return true;
		at += n + 1;
		wire += n + 1;
	}
}

/* The offset of the name in the message, 0: it is not known. A hash, because
 * each of a thousand names may ask for each of its 127 suffixes. */
static size_t find(const struct cp_dns_writer *writer, uint32_t hash,
		   const uint8_t *wire)
{
	uint8_t i = (uint8_t)hash;
	unsigned int known;

	for (; writer->places[i]; i++) {
		known = writer->places[i] - 1u;
		if (writer->known_hash[known] == hash &&
		    is_at(writer, writer->known_at[known], wire))
			return writer->known_at[known];
	}
	return 0;
}

static void know(struct cp_dns_writer *writer, uint32_t hash, size_t at)
{
	uint8_t i = (uint8_t)hash;

	if (writer->n_known >= CP_DNS_WRITER_KNOWN_MAX || at > POINTER_MAX)
		return;
	writer->known_hash[writer->n_known] = hash;
	writer->known_at[writer->n_known++] = (uint16_t)at;
	while (writer->places[i])
		i++;
	writer->places[i] = (uint8_t)writer->n_known;
}

uint16_t cp_dns_writer_put_name(struct cp_dns_writer *writer,
				const struct cp_dns_name *name, bool compress)
{
	uint32_t hashes[CP_DNS_NAME_LABELS_MAX + 1];
	uint8_t offsets[CP_DNS_NAME_LABELS_MAX + 1];
	size_t begin = writer->size;
	size_t pointer = 0;
	unsigned int n = 0, n_written;
	uint32_t hash = 2166136261U;

	for (size_t i = 0; name->wire[i]; i += 1u + name->wire[i])
		offsets[n++] = (uint8_t)i;
	for (unsigned int i = n; i-- > 0;) {
		hash = hash_label(hash, name->wire + offsets[i]);
		hashes[i] = hash;
	}
	offsets[n] = (uint8_t)(name->size - 1);
	for (n_written = 0; compress && n_written < n; n_written++) {
		pointer = find(writer, hashes[n_written],
			       name->wire + offsets[n_written]);
		if (pointer)
			break;
	}
	if (!compress)
		n_written = n;

	cp_dns_writer_put(writer, name->wire, offsets[n_written]);
	if (pointer)
		cp_dns_writer_put_pointer(writer, (uint16_t)pointer);
	else
		cp_dns_writer_put(writer, "", 1);
	for (unsigned int i = 0; i < n_written && !writer->is_full; i++)
		know(writer, hashes[i], begin + offsets[i]);
	if (n_written == 0)
		begin = pointer;
	return begin <= POINTER_MAX ? (uint16_t)begin : 0;
}

/* Data. */

/* Bytes, character strings, names, bytes. */
struct shape {
	uint8_t prefix;
	uint8_t n_strings;
	uint8_t n_names;
	int8_t suffix; /* -1: any number */
	bool compress;
};

/* The types whose names may have been compressed (RFC 3597 4); others have
 * none or must have them written out. */
static struct shape shape_of(uint16_t type)
{
	switch (type) {
	case 2: /* NS */
	case 3: /* MD */
	case 4: /* MF */
	case 5: /* CNAME */
	case 7: /* MB */
	case 8: /* MG */
	case 9: /* MR */
	case 12: /* PTR */
		return (struct shape){ .n_names = 1, .compress = true };
	case 6: /* SOA */
		return (struct shape){
			.n_names = 2,
			.suffix = 20,
			.compress = true,
		};
	case 14: /* MINFO */
		return (struct shape){ .n_names = 2, .compress = true };
	case 15: /* MX */
		return (struct shape){
			.prefix = 2,
			.n_names = 1,
			.compress = true,
		};
	case 17: /* RP */
		return (struct shape){ .n_names = 2 };
	case 18: /* AFSDB */
	case 21: /* RT */
	case 36: /* KX */
		return (struct shape){ .prefix = 2, .n_names = 1 };
	case 24: /* SIG */
		return (struct shape){
			.prefix = 18,
			.n_names = 1,
			.suffix = -1,
		};
	case 26: /* PX */
		return (struct shape){ .prefix = 2, .n_names = 2 };
	case 30: /* NXT */
		return (struct shape){ .n_names = 1, .suffix = -1 };
	case 33: /* SRV */
		return (struct shape){ .prefix = 6, .n_names = 1 };
	case 35: /* NAPTR */
		return (struct shape){
			.prefix = 4,
			.n_strings = 3,
			.n_names = 1,
		};
	case 39: /* DNAME */
		return (struct shape){ .n_names = 1 };
	default:
		return (struct shape){ .suffix = -1 };
	}
}

int cp_dns_writer_put_rdata(struct cp_dns_writer *writer,
			    const uint8_t *message,
			    const struct cp_dns_wire_record *record)
{
	struct shape shape = shape_of(record->type);
	size_t at = record->rdata_at;
	size_t end = at + record->rdata_size;
	size_t n = shape.prefix;

	/* All in front of the names. */
	for (unsigned int i = 0; i < shape.n_strings; i++) {
		if (n >= end - at)
			return CP_DNS_WRITER_E_REFUSED;
		n += 1u + message[at + n];
	}
	if (n > end - at)
		return CP_DNS_WRITER_E_REFUSED;
	cp_dns_writer_put(writer, message + at, n);
	at += n;
	for (unsigned int i = 0; i < shape.n_names; i++) {
		struct cp_dns_name name;

		if (cp_dns_name_read_cased(message, end, at, &name, &at) != 0)
			return CP_DNS_WRITER_E_REFUSED;
		cp_dns_writer_put_name(writer, &name, shape.compress);
	}
	if (shape.suffix >= 0 && end - at != (size_t)shape.suffix)
		return CP_DNS_WRITER_E_REFUSED;
	cp_dns_writer_put(writer, message + at, end - at);
	return 0;
}
