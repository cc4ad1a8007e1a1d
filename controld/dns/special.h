/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private, loopback, link-local, ULA, CGNAT, metadata, multicast, unspecified,
 * broadcast, v4-mapped, v4-compatible, 6to4 and NAT64 forms of these: not to be
 * learnt unless something opens them. The documentation ranges are ordinary
 * addresses. Pure. */

#include "controld/dns/answer.h"

bool cp_dns_special_has(const struct cp_dns_address *address);
/* Is one of those that begin with so many bits of the address special? Of IPv6
 * ones around IPv4 addresses it is said of all. */
bool cp_dns_special_meets(const struct cp_dns_address *address, uint8_t bits);
