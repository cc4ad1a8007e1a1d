/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Upstream servers as text, and those of resolv.conf(5). Pure but for the
 * file. */

#include <stddef.h>

#include "controld/dns/settings.h"
#include "shared/diag.h"

enum {
	CP_UPSTREAM_SERVERS_E_REFUSED = 1, /* diag->text says why */
	CP_UPSTREAM_SERVERS_TEXT_BYTES = 320,
	CP_UPSTREAM_SERVERS_PORT = 53,
	CP_UPSTREAM_SERVERS_TLS_PORT = 853,
};

/* "192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:5353", and
 * "tls://" before any of these with "#name" behind it, which is required.
 * Refused: names, port 0, unspecified and multicast addresses, scopes. */
int cp_upstream_servers_parse(const char *text, struct cp_dns_upstream *ret,
			      struct sn_diag *diag);

/* Parses back to the same value. Returns buffer. */
char *cp_upstream_servers_format(const struct cp_dns_upstream *server,
				 char buffer[CP_UPSTREAM_SERVERS_TEXT_BYTES]);

/* The first CP_DNS_UPSTREAMS_MAX nameserver lines that can be used; those that
 * point at the resolver itself (skip, n_skip) are left out. 0 (also with none
 * found) or -errno of the file. */
int cp_upstream_servers_read(const char *path,
			     const struct cp_dns_upstream *skip, size_t n_skip,
			     struct cp_dns_upstream ret[CP_DNS_UPSTREAMS_MAX],
			     size_t *n);
