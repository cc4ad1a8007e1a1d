/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* All feeds, as the configuration states them (`detectors`). A reload changes
 * what they want; other changes need a restart. */

#include "controld/config/config.h"
#include "controld/feed/feed.h"
#include "controld/findings/findings.h"

struct cp_feed_set;

struct cp_feed_set_options {
	uv_loop_t *loop;
	struct cp_runtime *runtime;
	const struct cp_config *config;
	struct cp_findings *findings; /* NULL: nobody is told of anomalies */
};

int cp_feed_set_new(struct cp_feed_set **ret,
		    const struct cp_feed_set_options *options);
void cp_feed_set_reload(struct cp_feed_set *set,
			const struct cp_config *config);
size_t cp_feed_set_count(const struct cp_feed_set *set);
void cp_feed_set_get_status(const struct cp_feed_set *set, size_t index,
			    struct cp_feed_status *ret);
/* Ends the runtime's reading, then each feed; calls closed from the loop. */
void cp_feed_set_close(struct cp_feed_set *set, void (*closed)(void *userdata),
		       void *userdata);
