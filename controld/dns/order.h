/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Live pairs in the order of names (as bytes) and then addresses, for learnt.c.
 * The order is made when it is asked for and names have come or gone. Pure. */

#include <stddef.h>
#include <stdint.h>

#include "controld/dns/pairs.h"

/* All zero is good for the first call. */
struct cp_dns_order {
	const struct cp_dns_pairs_name **names;
	size_t n;
	uint64_t made_at; /* n_renamed of the pairs */
};

void cp_dns_order_done(struct cp_dns_order *order);

/* The first live pair behind name and address (both NULL: the first of all), or
 * NULL: that was the last, or there is no memory. */
const struct cp_dns_pairs_pair *
cp_dns_order_next(struct cp_dns_order *order, const struct cp_dns_pairs *pairs,
		  const struct cp_dns_name *name,
		  const struct cp_dns_address *address);
