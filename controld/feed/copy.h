/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Options of a feed that outlive whoever stated them: a configuration is
 * replaced by each reload. */

#include "controld/feed/feed.h"

/* Fill *ret, which is to be released also after a failure; 0 or -ENOMEM. The
 * filter is not copied with the options. */
int cp_feed_copy_options(const struct cp_feed_options *options,
			 struct cp_feed_options *ret);
void cp_feed_copy_done(struct cp_feed_options *options);

int cp_feed_copy_filter(const struct cp_config_runtime_rule *filter,
			struct cp_config_runtime_rule *ret);
void cp_feed_copy_filter_done(struct cp_config_runtime_rule *filter);
