/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is kept for each attachment of which something was blocked: its rate,
 * its names, what it wanted. Pure. */

#include <stdbool.h>
#include <stdint.h>

#include "controld/events/names.h"
#include "controld/events/record.h"
#include "controld/events/seen.h"

struct cp_events_site {
	struct cp_events_site *next; /* in the table's chain */
	char id[CP_EVENTS_ID_BYTES];
	uint64_t second; /* of the rate's window */
	uint32_t n_in_second;
	uint64_t n_limited; /* not told yet */
	struct cp_events_names *names;
	struct cp_events_seen *seen;
};

enum { CP_EVENTS_SITE_CHAINS = 1024 };

/* All zero is empty. */
struct cp_events_sites {
	struct cp_events_site *chains[CP_EVENTS_SITE_CHAINS];
};
void cp_events_site_done(struct cp_events_sites *sites);

/* NULL: there is none (get), no memory (need). */
struct cp_events_site *cp_events_site_get(const struct cp_events_sites *sites,
					  const char *id);
struct cp_events_site *cp_events_site_need(struct cp_events_sites *sites,
					   const char *id);
void cp_events_site_drop(struct cp_events_sites *sites, const char *id);

/* Has it room for one more in this second? Counts it, one way or the other. */
bool cp_events_site_admit(struct cp_events_site *site, uint32_t rate,
			  int64_t now_ms);
