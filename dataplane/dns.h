/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kernel's side of name resolution that belongs to no attachment: the
 * record sn_dns[0], and the program sn_dns_return on the resolver's interface,
 * whose link is pinned as `dns/sn_dns_return`. Without the veth pair that argv
 * names interfaces have no resolver (has_tc is 0), which is no error: where
 * their port 53 is steered it is dropped. */

#include "dataplane/attach.h"

struct dp_dns {
	const struct dp_attach *attach;
	const struct dp_options *options;
	struct sn_dns *record; /* the programs' own */
	struct sn_dns found; /* what the last look at the pair found */
	uint64_t next_check;
};

/* Fills the record in and attaches, or adopts the link of an earlier process.
 * Its mark stays too: answers that carry it are on their way. Returns 0, or
 * -errno and *diag. */
int dp_dns_init(struct dp_dns *dns, const struct dp_attach *attach,
		const struct dp_options *options, struct sn_diag *diag);
/* The record as cp may know it. */
struct sn_dns dp_dns_get(const struct dp_dns *dns);

/* The pair may be made again at any time, and the program taken off it: looks at
 * most every few seconds, and attaches. What failed is tried again. True: the
 * record has changed, cp must be told. */
bool dp_dns_check(struct dp_dns *dns);
/* For poll(2): when to look next. */
int dp_dns_get_timeout_ms(const struct dp_dns *dns);
