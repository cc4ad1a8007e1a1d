/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Writes a message with compressed names (RFC 1035 4.1.4) and record data that
 * comes from another message. What does not fit sets is_full, and nothing is
 * written any more. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/dns/name.h"
#include "controld/dns/wire.h"

enum {
	CP_DNS_WRITER_KNOWN_MAX = 64, /* names that others may point to */
	CP_DNS_WRITER_PLACES = 256, /* of a hash of them; a power of two */
};

/* Answers of cp_dns_writer_put_rdata() besides 0. */
enum {
	CP_DNS_WRITER_E_REFUSED = 1, /* names in the data are malformed */
};

struct cp_dns_writer {
	uint8_t *message;
	size_t size;
	size_t room;
	bool is_full;
	unsigned int n_known;
	uint32_t known_hash[CP_DNS_WRITER_KNOWN_MAX];
	uint16_t known_at[CP_DNS_WRITER_KNOWN_MAX];
	uint8_t places[CP_DNS_WRITER_PLACES]; /* index + 1, 0: empty */
};

void cp_dns_writer_init(struct cp_dns_writer *writer, uint8_t *message,
			size_t size, size_t room);
void cp_dns_writer_put(struct cp_dns_writer *writer, const void *bytes,
		       size_t size);
void cp_dns_writer_put16(struct cp_dns_writer *writer, unsigned int value);

/* The name keeps its case where it is written out; others are found without
 * regard to case. compress false: written out, but others may point to it.
 * Returns where the name is, for cp_dns_writer_put_pointer(); 0: too far. */
uint16_t cp_dns_writer_put_name(struct cp_dns_writer *writer,
				const struct cp_dns_name *name, bool compress);

void cp_dns_writer_put_pointer(struct cp_dns_writer *writer, uint16_t at);

/* The data of a record of `message`, without its size in front. Names within
 * are decompressed, and compressed again in the types of RFC 1035 only (RFC
 * 3597 4). */
int cp_dns_writer_put_rdata(struct cp_dns_writer *writer,
			    const uint8_t *message,
			    const struct cp_dns_wire_record *record);
