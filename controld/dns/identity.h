/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The slot that an address of the resolver's ranges stands for (shared/abi.h).
 * The kernel vouches for these addresses: the filter of a listener lets nothing
 * else in. Pure. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "controld/dns/answer.h"
#include "shared/abi.h"

/* Source of what comes by the TC path; 0: no slot has it. */
uint32_t cp_dns_identity_of_source4(const struct sn_dns *dns,
				    const struct in_addr *source);
uint32_t cp_dns_identity_of_source6(const struct sn_dns *dns,
				    const struct in6_addr *source);

/* Destination of what comes by the cgroup path, whatever its alias. */
uint32_t cp_dns_identity_of_loopback4(const struct in_addr *destination);
uint32_t cp_dns_identity_of_loopback6(const struct sn_dns *dns,
				      const struct in6_addr *destination);

/* Is it of the ranges, which are the resolvers' alone? */
bool cp_dns_identity_is_reserved(const struct sn_dns *dns,
				 const struct cp_dns_address *address);

/* The resolver's own addresses on the TC path. */
struct in_addr cp_dns_identity_resolver4(const struct sn_dns *dns);
struct in6_addr cp_dns_identity_resolver6(const struct sn_dns *dns);
