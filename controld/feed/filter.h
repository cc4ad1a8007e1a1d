/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a feed wants of the kernel. A filter that does not go in beside others
 * gives way to them: the one before stays in force; where there is none it is
 * tried again now and then, since others may want less by then. For controld/feed
 * only. */

#include "controld/feed/feed.h"

/* Wants the filter, of source, and observes it first unless the feed does. 0,
 * -errno, or CP_RUNTIME_E_FULL: it gives way. */
int cp_feed_filter_want(struct cp_feed *feed);
/* A tick of the feed: is it time to try again? */
void cp_feed_filter_check(struct cp_feed *feed);
/* Why the feed gets no events; "": it does, or is not to have any. */
const char *cp_feed_filter_why_none(const struct cp_feed *feed);
/* The feed wants other events now; status and log say if they are refused. */
void cp_feed_filter_put(struct cp_feed *feed,
			const struct cp_config_runtime_rule *filter);
void cp_feed_filter_done(struct cp_feed *feed);

/* Of the observer (controld/runtime/runtime.h). */
int cp_feed_filter_put_wanted(struct cp_runtime_observer *observer,
			      struct cp_runtime_rules *rules,
			      uint64_t (*find)(const char *cgroup));
void cp_feed_filter_changed(struct cp_runtime_observer *observer);
