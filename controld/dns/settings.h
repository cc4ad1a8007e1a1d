/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a policy says of name resolution besides its domain rules. Pure data;
 * part of struct cp_policy, so that it changes together with the rest. */

#include <stdbool.h>
#include <stdint.h>

#include "shared/abi.h"

enum cp_dns_mode {
	CP_DNS_MODE_NONE = 0, /* not stated: as the address mode, see below */
	CP_DNS_MODE_DISABLED = 1, /* forward, learn nothing */
	CP_DNS_MODE_ALLOWLIST = 2,
	CP_DNS_MODE_DENYLIST = 3,
	CP_DNS_MODE_PROXY = 4, /* the control plane decides name by name */
};

/* What a name that is not allowed is answered with. */
enum cp_dns_denied {
	CP_DNS_DENIED_NONE = 0, /* not stated: the daemon's (dns.denied) */
	CP_DNS_DENIED_REFUSED = 1,
	CP_DNS_DENIED_NXDOMAIN = 2,
	CP_DNS_DENIED_SINKHOLE = 3, /* 0.0.0.0 and :: */
};

/* Address hints and ech of HTTPS and SVCB records (RFC 9460). */
enum cp_dns_hints {
	CP_DNS_HINTS_STRIP = 0,
	CP_DNS_HINTS_LEARN = 1, /* learnt like A and AAAA; ech stays */
};

enum {
	CP_DNS_UPSTREAMS_MAX = 8,
	CP_DNS_UPSTREAM_NAME_BYTES = 254, /* text of a name, NUL included */
};

/* One upstream server: "9.9.9.9", "[2620:fe::fe]:5353",
 * "tls://9.9.9.9:853#dns.quad9.net". All of it is significant when compared
 * as bytes; unused bytes are zero. */
struct cp_dns_upstream {
	uint8_t family; /* enum sn_family */
	uint8_t is_tls;
	uint16_t port; /* host order */
	uint8_t address[16];
	char name[CP_DNS_UPSTREAM_NAME_BYTES]; /* TLS: to be verified */
};

struct cp_dns_settings {
	enum cp_dns_mode mode;
	enum cp_dns_denied denied;
	enum cp_dns_hints hints;
	bool no_steering; /* port 53 is judged like all else */
	bool allow_private; /* private and special addresses may be learnt */
	bool dnssec; /* of these upstreams, which must not be empty then */
	uint8_t n_upstreams; /* 0: the daemon's */
	struct cp_dns_upstream upstreams[CP_DNS_UPSTREAMS_MAX];
};

/* The mode in force: the stated one, else DISABLED, ALLOWLIST or DENYLIST as
 * the address mode is (BLOCK_ALL: ALLOWLIST). */
static inline enum cp_dns_mode
cp_dns_settings_mode(const struct cp_dns_settings *settings,
		     enum sn_mode address_mode)
{
	if (settings->mode != CP_DNS_MODE_NONE)
		return settings->mode;
	if (address_mode == SN_MODE_DISABLED)
		return CP_DNS_MODE_DISABLED;
	if (address_mode == SN_MODE_DENYLIST)
		return CP_DNS_MODE_DENYLIST;
	return CP_DNS_MODE_ALLOWLIST;
}

/* Are answers learnt? If and only if the address mode is allowlist, with or
 * without audit, the DNS mode is not disabled, and port 53 is steered. */
static inline bool
cp_dns_settings_learns(const struct cp_dns_settings *settings,
		       enum sn_mode address_mode)
{
	return address_mode == SN_MODE_ALLOWLIST && !settings->no_steering &&
	       cp_dns_settings_mode(settings, address_mode) !=
		       CP_DNS_MODE_DISABLED;
}
