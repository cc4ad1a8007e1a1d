/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/wire.h"

enum {
	FIXED_BYTES = 10, /* type, class, TTL, size of the data */
};

int cp_dns_wire_read_rest(const uint8_t *message, size_t size, size_t at,
			  size_t *offset, struct cp_dns_wire_record *ret)
{
	const uint8_t *p = message + at;

	if (size - at < FIXED_BYTES)
		return CP_DNS_WIRE_E_REFUSED;
	at += FIXED_BYTES;
	*ret = (struct cp_dns_wire_record){
		.ttl_s = cp_dns_wire_get32(p + 4),
		.owner_at = (uint16_t)*offset,
		.type = cp_dns_wire_get16(p),
		.class = cp_dns_wire_get16(p + 2),
		.rdata_at = (uint16_t)at,
		.rdata_size = cp_dns_wire_get16(p + 8),
	};
	if (ret->rdata_size > size - at)
		return CP_DNS_WIRE_E_REFUSED;
	*offset = at + ret->rdata_size;
	return 0;
}

int cp_dns_wire_read_record(const uint8_t *message, size_t size, size_t *offset,
			    struct cp_dns_wire_record *ret,
			    struct cp_dns_name *owner)
{
	size_t at;

	if (cp_dns_name_read(message, size, *offset, owner, &at) != 0)
		return CP_DNS_WIRE_E_REFUSED;
	return cp_dns_wire_read_rest(message, size, at, offset, ret);
}
