/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Under which name a workload got an address last, for those that its learnt
 * set does not have: answers under audit and in a denylist are not learnt. Bounded:
 * the one that was not answered for longest goes first. Pure. */

#include <stddef.h>

#include "controld/dns/answer.h"
#include "controld/dns/name.h"
#include "shared/util.h"

enum { CP_EVENTS_NAMES_MAX = 512 }; /* addresses */

struct cp_events_names;

int cp_events_names_new(struct cp_events_names **ret);
struct cp_events_names *cp_events_names_free(struct cp_events_names *names);
SN_DEFINE_CLEANUP(struct cp_events_names, cp_events_names_free)

/* -ENOMEM. */
int cp_events_names_put(struct cp_events_names *names,
			const struct cp_dns_address *address,
			const struct cp_dns_name *name);
/* NULL: not known. */
const struct cp_dns_name *
cp_events_names_get(const struct cp_events_names *names,
		    const struct cp_dns_address *address);
