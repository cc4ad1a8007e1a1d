/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The store of events as the configuration wants it. */

#include "controld/config/config.h"
#include "controld/events/events.h"

int cp_events_setup_new(struct cp_events **ret, struct cp_attach *manager,
			const struct cp_config *config);
void cp_events_setup_reload(struct cp_events *events,
			    const struct cp_config *config);
