/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* libunbound's pluggable event base over our loop. Handles of one activation
 * of an event live in a piece of memory of their own, because libuv closes
 * them later than libunbound frees its event. */

#include <unbound.h>

#include <unbound-event.h>

#include "controld/upstream/internal.h"

struct cp_upstream_event_base {
	struct ub_event_base base; /* first, as libunbound knows it */
	struct cp_upstream *upstream;
};

void cp_upstream_event_init(struct cp_upstream_event_base *base,
			    struct cp_upstream *upstream);
