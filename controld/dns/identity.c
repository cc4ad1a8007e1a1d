/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/identity.h"

#include <string.h>

enum {
	RANGE6_BYTES = 8, /* a /64 */
	SLOT_BYTES = 4, /* at the end of an IPv6 address */
};

static uint32_t read_base4(const struct sn_dns *dns)
{
	uint32_t base;

	(void)memcpy(&base, dns->range4, sizeof(base));
	return ntohl(base);
}

static uint32_t read_slot6(const struct in6_addr *address)
{
	uint32_t slot;

	(void)memcpy(&slot, address->s6_addr + 16 - SLOT_BYTES, sizeof(slot));
	return ntohl(slot);
}

uint32_t cp_dns_identity_of_source4(const struct sn_dns *dns,
				    const struct in_addr *source)
{
	uint32_t offset = ntohl(source->s_addr) - read_base4(dns);
	uint64_t size = 1ULL << (32 - dns->range4_bits);

	if (offset >= size || offset < SN_DNS_SLOT_FIRST)
		return 0;
	return offset - SN_DNS_SLOT_FIRST;
}

uint32_t cp_dns_identity_of_source6(const struct sn_dns *dns,
				    const struct in6_addr *source)
{
	static const uint8_t none[16 - RANGE6_BYTES - SLOT_BYTES];
	uint32_t offset = read_slot6(source);

	if (memcmp(source->s6_addr, dns->range6, RANGE6_BYTES) != 0 ||
	    memcmp(source->s6_addr + RANGE6_BYTES, none, sizeof(none)) != 0 ||
	    offset < SN_DNS_SLOT_FIRST)
		return 0;
	return offset - SN_DNS_SLOT_FIRST;
}

uint32_t cp_dns_identity_of_loopback4(const struct in_addr *destination)
{
	uint32_t address = ntohl(destination->s_addr);
	uint32_t mask = UINT32_MAX << (32 - SN_DNS_LOOPBACK4_BITS);

	if ((address & mask) != SN_DNS_LOOPBACK4)
		return 0;
	return address & 0xffff;
}

uint32_t cp_dns_identity_of_loopback6(const struct sn_dns *dns,
				      const struct in6_addr *destination)
{
	if (memcmp(destination->s6_addr, dns->loopback6, RANGE6_BYTES) != 0)
		return 0;
	return read_slot6(destination);
}

bool cp_dns_identity_is_reserved(const struct sn_dns *dns,
				 const struct cp_dns_address *address)
{
	uint32_t loopback_mask = UINT32_MAX << (32 - SN_DNS_LOOPBACK4_BITS);
	uint32_t number;

	if (address->family == SN_FAMILY_IPV6)
		return memcmp(address->bytes, dns->loopback6, RANGE6_BYTES) ==
			       0 ||
		       (dns->has_tc &&
			memcmp(address->bytes, dns->range6, RANGE6_BYTES) == 0);
	(void)memcpy(&number, address->bytes, sizeof(number));
	number = ntohl(number);
	return (number & loopback_mask) == SN_DNS_LOOPBACK4 ||
	       (dns->has_tc &&
		number - read_base4(dns) < 1ULL << (32 - dns->range4_bits));
}

struct in_addr cp_dns_identity_resolver4(const struct sn_dns *dns)
{
	return (struct in_addr){ htonl(read_base4(dns) + 1) };
}

struct in6_addr cp_dns_identity_resolver6(const struct sn_dns *dns)
{
	struct in6_addr address;

	(void)memcpy(address.s6_addr, dns->range6, sizeof(address.s6_addr));
	address.s6_addr[15] = 1;
	return address;
}
