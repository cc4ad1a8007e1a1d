// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/cidr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "controld/config/schema_value.h"
#include "shared/util.h"

static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

static unsigned int bits_of(enum sn_family family)
{
	return family == SN_FAMILY_IPV4 ? 32 : 128;
}

/* Clears what lies beyond length; true if that changed anything. */
static bool mask(uint8_t address[16], unsigned int length)
{
	bool changed = false;

	for (unsigned int i = 0; i < 16; i++) {
		unsigned int keep =
			length > i * 8 ? SN_MIN(length - i * 8, 8U) : 0;
		uint8_t kept = address[i] & (uint8_t)(0xff00U >> keep);

		changed = changed || kept != address[i];
		address[i] = kept;
	}
	return changed;
}

/* Splits "address/length"; *length is NULL if there is no slash. */
static bool split(const char *text, char address[INET6_ADDRSTRLEN],
		  const char **length)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);

	if (n == 0 || n >= INET6_ADDRSTRLEN)
		return false;
	(void)memcpy(address, text, n);
	address[n] = '\0';
	*length = slash ? slash + 1 : NULL;
	return true;
}

static bool has_leading_zero(const char *address)
{
	bool at_start = true;

	for (const char *p = address; *p; p++) {
		if (at_start && p[0] == '0' && p[1] >= '0' && p[1] <= '9')
			return true;
		at_start = *p == '.';
	}
	return false;
}

static int refuse_address(const char *address, const char *shown,
			  struct sn_diag *diag)
{
	if (strchr(address, '%'))
		sn_diag_set(diag, NULL,
			    "'%s' has a zone; prefixes are the same on every "
			    "interface, leave out the part from '%%' on",
			    shown);
	else if (!strchr(address, ':') && has_leading_zero(address))
		sn_diag_set(diag, NULL,
			    "'%s' has a leading zero, which some programs read "
			    "as octal; write it without",
			    shown);
	else
		sn_diag_set(diag, NULL,
			    "'%s' is not an address or prefix such as "
			    "10.0.0.0/8 or 2001:db8::/32",
			    shown);
	return CP_POLICY_CIDR_E_REFUSED;
}

static int parse_length(const char *text, unsigned int max, const char *shown,
			uint8_t *ret, struct sn_diag *diag)
{
	unsigned int value = 0;
	size_t n = strlen(text);
	bool digits = n > 0 && n <= 3 && strspn(text, "0123456789") == n &&
		      (n == 1 || text[0] != '0');

	for (size_t i = 0; digits && i < n; i++)
		value = value * 10 + (unsigned int)(text[i] - '0');
	if (!digits || value > max) {
		sn_diag_set(diag, NULL,
			    "'%s' has no prefix length from 0 to %u after '/'",
			    shown, max);
		return CP_POLICY_CIDR_E_REFUSED;
	}
	*ret = (uint8_t)value;
	return 0;
}

static int refuse_host_bits(const struct cp_policy_cidr *network,
			    const char *address, const char *shown,
			    struct sn_diag *diag)
{
	char text[CP_POLICY_CIDR_TEXT_BYTES];

	sn_diag_set(diag, NULL,
		    "'%s' has host bits set: the network is %s, the single "
		    "address is %s/%u",
		    shown, cp_policy_cidr_format(network, text), address,
		    bits_of(network->family));
	return CP_POLICY_CIDR_E_REFUSED;
}

int cp_policy_cidr_parse(const char *text, struct cp_policy_cidr *ret,
			 struct sn_diag *diag)
{
	char shown[CP_CONFIG_SCHEMA_VALUE_SHOWN_BYTES];
	struct cp_policy_cidr cidr = { .family = SN_FAMILY_NONE };
	char address[INET6_ADDRSTRLEN];
	const char *length = NULL;
	int r;

	(void)cp_config_schema_value_show(text, shown);
	if (!split(text, address, &length))
		return refuse_address(text, shown, diag);

	if (inet_pton(AF_INET, address, cidr.address) == 1)
		cidr.family = SN_FAMILY_IPV4;
	else if (inet_pton(AF_INET6, address, cidr.address) == 1)
		cidr.family = SN_FAMILY_IPV6;
	else
		return refuse_address(address, shown, diag);
	if (cidr.family == SN_FAMILY_IPV6 &&
	    memcmp(cidr.address, v4_mapped, sizeof(v4_mapped)) == 0) {
		sn_diag_set(diag, NULL,
			    "'%s' is a v4-mapped address, which is not sent on "
			    "the wire; write the IPv4 address",
			    shown);
		return CP_POLICY_CIDR_E_REFUSED;
	}

	cidr.length = (uint8_t)bits_of(cidr.family);
	if (length) {
		r = parse_length(length, bits_of(cidr.family), shown,
				 &cidr.length, diag);
		if (r)
			return r;
	}
	if (mask(cidr.address, cidr.length))
		return refuse_host_bits(&cidr, address, shown, diag);
	*ret = cidr;
	return 0;
}

char *cp_policy_cidr_format(const struct cp_policy_cidr *cidr,
			    char buffer[CP_POLICY_CIDR_TEXT_BYTES])
{
	char address[INET6_ADDRSTRLEN] = "";
	int family = cidr->family == SN_FAMILY_IPV4 ? AF_INET : AF_INET6;

	(void)inet_ntop(family, cidr->address, address, sizeof(address));
	(void)snprintf(buffer, CP_POLICY_CIDR_TEXT_BYTES, "%s/%u", address,
		       cidr->length);
	return buffer;
}

int cp_policy_cidr_compare(const struct cp_policy_cidr *a,
			   const struct cp_policy_cidr *b)
{
	int order;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	order = memcmp(a->address, b->address, sizeof(a->address));
	if (order)
		return order;
	return (int)a->length - (int)b->length;
}

bool cp_policy_cidr_is_host(const struct cp_policy_cidr *cidr)
{
	return cidr->length == bits_of(cidr->family);
}

bool cp_policy_cidr_contains(const struct cp_policy_cidr *cidr,
			     const uint8_t address[16])
{
	struct cp_policy_cidr around =
		cp_policy_cidr_around(cidr->family, address, cidr->length);

	return memcmp(around.address, cidr->address, sizeof(cidr->address)) ==
	       0;
}

struct cp_policy_cidr cp_policy_cidr_around(enum sn_family family,
					    const uint8_t address[16],
					    uint8_t length)
{
	struct cp_policy_cidr cidr = {
		.family = (uint8_t)family,
		.length = length,
	};

	(void)memcpy(cidr.address, address, bits_of(family) / 8);
	(void)mask(cidr.address, length);
	return cidr;
}
