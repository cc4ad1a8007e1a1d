/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kernel's side of name resolution that belongs to no attachment: the
 * record sn_dns[0]. Without the veth pair of argv interfaces have no resolver
 * (has_tc is 0), which is no error: their port 53 is dropped. */

#include "dataplane/attach.h"

struct dp_dns {
	const struct dp_attach *attach;
	const struct dp_options *options;
	struct sn_dns *record; /* the programs' own */
};

/* Fills the record in. A mark that an earlier process chose stays: answers that
 * carry it are on their way. Returns 0, or -errno and *diag. */
int dp_dns_init(struct dp_dns *dns, const struct dp_attach *attach,
		const struct dp_options *options, struct sn_diag *diag);
/* The record as cp may know it. */
struct sn_dns dp_dns_get(const struct dp_dns *dns);
