/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/special.h"

#include <string.h>

struct range {
	uint8_t bytes[16];
	uint8_t bits;
};

static const struct range special4[] = {
	{ { 0 }, 8 }, /* this network, unspecified */
	{ { 10 }, 8 },
	{ { 100, 64 }, 10 }, /* CGNAT; metadata at 100.100.100.200 */
	{ { 127 }, 8 },
	{ { 168, 63, 129, 16 }, 32 }, /* the host of an Azure machine */
	{ { 169, 254 }, 16 }, /* link-local, metadata */
	{ { 172, 16 }, 12 },
	{ { 192, 0, 0 }, 24 }, /* IETF protocols */
	{ { 192, 88, 99 }, 24 }, /* 6to4 relays */
	{ { 192, 168 }, 16 },
	{ { 198, 18 }, 15 }, /* benchmarks; the resolver's own */
	{ { 224 }, 3 }, /* multicast, reserved, broadcast */
};

static const struct range special6[] = {
	{ { 0 }, 96 }, /* unspecified, loopback, v4-compatible */
	{ { [10] = 0xff, 0xff }, 96 }, /* v4-mapped: no address on the wire */
	{ { [8] = 0xff, 0xff }, 96 }, /* v4-translated (RFC 2765) */
	{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48 }, /* local NAT64 */
	{ { 0x01, 0x00 }, 64 }, /* discard */
	{ { 0x20, 0x01, 0x00, 0x00 }, 32 }, /* Teredo */
	{ { 0xfc }, 7 }, /* ULA; metadata of clouds */
	{ { 0xfe, 0x80 }, 10 },
	{ { 0xfe, 0xc0 }, 10 }, /* site-local */
	{ { 0xff }, 8 },
};

/* IPv6 addresses with an IPv4 address in them. */
static const struct range nat64 = { { 0x00, 0x64, 0xff, 0x9b }, 96 };
static const struct range sixtofour = { { 0x20, 0x02 }, 16 };

static bool is_in(const struct range *range, const uint8_t *bytes)
{
	size_t whole = range->bits / 8;
	unsigned int rest = range->bits % 8;

	return memcmp(range->bytes, bytes, whole) == 0 &&
	       (rest == 0 ||
		((range->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0);
}

static bool is_in_any(const struct range *ranges, size_t n,
		      const uint8_t *bytes)
{
	for (size_t i = 0; i < n; i++) {
		if (is_in(&ranges[i], bytes))
			return true;
	}
	return false;
}

bool cp_dns_special_has(const struct cp_dns_address *address)
{
	const uint8_t *bytes = address->bytes;

	if (address->family == SN_FAMILY_IPV4)
		return is_in_any(special4, SN_ARRAY_SIZE(special4), bytes);
	if (is_in(&nat64, bytes))
		return is_in_any(special4, SN_ARRAY_SIZE(special4), bytes + 12);
	if (is_in(&sixtofour, bytes))
		return is_in_any(special4, SN_ARRAY_SIZE(special4), bytes + 2);
	return is_in_any(special6, SN_ARRAY_SIZE(special6), bytes);
}

static bool meets_any(const struct range *ranges, size_t n,
		      const uint8_t *bytes, uint8_t bits)
{
	for (size_t i = 0; i < n; i++) {
		struct range range = ranges[i];

		range.bits = SN_MIN(range.bits, bits);
		if (is_in(&range, bytes))
			return true;
	}
	return false;
}

bool cp_dns_special_meets(const struct cp_dns_address *address, uint8_t bits)
{
	const uint8_t *bytes = address->bytes;

	if (address->family == SN_FAMILY_IPV4)
		return meets_any(special4, SN_ARRAY_SIZE(special4), bytes,
				 bits);
	return meets_any(special6, SN_ARRAY_SIZE(special6), bytes, bits) ||
	       meets_any(&nat64, 1, bytes, bits) ||
	       meets_any(&sixtofour, 1, bytes, bits);
}
