/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/events/setup.h"

static struct cp_events_options make(struct cp_attach *manager,
				     const struct cp_config *config)
{
	return (struct cp_events_options){
		.manager = manager,
		.n_records = config->events.records,
		.rate = (uint32_t)config->events.rate,
		.redact_names = config->events.redact_names,
		.logs = config->log.events,
		.logs_names = config->log.workload_names,
	};
}

int cp_events_setup_new(struct cp_events **ret, struct cp_attach *manager,
			const struct cp_config *config)
{
	struct cp_events_options options = make(manager, config);

	return cp_events_new(ret, &options);
}

void cp_events_setup_reload(struct cp_events *events,
			    const struct cp_config *config)
{
	struct cp_events_options options = make(NULL, config);

	cp_events_reload(events, &options);
}
