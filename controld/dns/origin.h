/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a query came from and how its reply gets back: one small value that the
 * transports make and the query path keeps until it replies. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cp_dns_origin;

struct cp_dns_origin_ops {
	/* Takes one whole reply; called exactly once for each query, at any
	 * time, from the loop. size 0: there is none. */
	void (*reply)(const struct cp_dns_origin *origin,
		      const uint8_t *message, size_t size);
	bool is_datagram; /* replies are cut to what the client takes */
};

struct cp_dns_origin {
	const struct cp_dns_origin_ops *ops;
	void *owner; /* the transport's */
	uint32_t slot; /* who asks, as the kernel vouches */
	uint64_t began_ns; /* filled in by the query path */
	struct sockaddr_in6 peer; /* UDP; IPv4 as struct sockaddr_in in it */
	struct in6_addr local; /* UDP: what was asked, IPv4 in four bytes */
};
