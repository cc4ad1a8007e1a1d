/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/filter.h"

#include <stdio.h>
#include <string.h>

#include "controld/feed/copy.h"
#include "controld/feed/internal.h"
#include "shared/log.h"

static struct cp_feed *feed_of(struct cp_runtime_observer *observer)
{
	return sn_container_of(observer, struct cp_feed, observer);
}

static void put_error(struct cp_feed *feed, const char *why)
{
	(void)snprintf(feed->filter_error, sizeof(feed->filter_error), "%s",
		       why);
}

int cp_feed_filter_put_wanted(struct cp_runtime_observer *observer,
			      struct cp_runtime_rules *rules,
			      uint64_t (*find)(const char *cgroup))
{
	const struct cp_feed *feed = feed_of(observer);
	struct sn_diag diag = { .text = "" };

	if (!feed->filter.enabled || feed->is_withheld)
		return 0;
	return cp_config_runtime_add_rule(rules, &feed->filter, find, &diag);
}

/* Giving way. */

static void withhold(struct cp_feed *feed, const char *why)
{
	if (strcmp(feed->filter_error, why) != 0)
		sn_log(SN_LOG_ERROR,
		       "detector name=%s: %s; it gets no events before there "
		       "is room",
		       feed->options.name, why);
	put_error(feed, why);
	feed->is_withheld = true;
	feed->retry_ms = uv_now(feed->options.loop) +
			 cp_rpc_backoff_next(&feed->filter_backoff,
					     cp_rpc_backoff_random());
}

static void say_before_stays(struct cp_feed *feed, const char *why)
{
	put_error(feed, why);
	sn_log(SN_LOG_ERROR,
	       "detector name=%s filter error='%s': the filter before stays",
	       feed->options.name, feed->filter_error);
}

static void put_back(struct cp_feed *feed, const char *why)
{
	say_before_stays(feed, why);
	cp_feed_copy_filter_done(&feed->filter);
	feed->filter = feed->before;
	feed->before = (struct cp_config_runtime_rule){ .name = NULL };
	feed->has_before = false;
}

static void give_way(struct cp_feed *feed, const char *why)
{
	feed->is_changing = false;
	feed->observer.version++;
	if (feed->has_before)
		put_back(feed, why);
	else
		withhold(feed, why);
}

static void keep(struct cp_feed *feed)
{
	if (!feed->has_before && feed->filter_error[0])
		sn_log(SN_LOG_INFO,
		       "detector name=%s: there is room; it gets events",
		       feed->options.name);
	cp_feed_copy_filter_done(&feed->before);
	feed->has_before = false;
	feed->is_changing = false;
	feed->filter_error[0] = '\0';
	feed->filter_backoff.last_ms = 0;
}

/* Wanting. */

int cp_feed_filter_want(struct cp_feed *feed)
{
	int r;

	feed->is_withheld = false;
	feed->is_changing = true;
	feed->observer.version++;
	r = feed->runtime ? cp_runtime_observer_changed(feed->runtime) :
			    cp_runtime_observe(feed->source, &feed->observer);
	if (r != 0) {
		give_way(feed, r < 0 ? strerror(-r) : "too many rules");
		return r;
	}
	feed->runtime = feed->source;
	/* Nothing is never too much. */
	if (!feed->filter.enabled)
		keep(feed);
	return 0;
}

void cp_feed_filter_changed(struct cp_runtime_observer *observer)
{
	struct cp_feed *feed = feed_of(observer);
	const struct cp_runtime *runtime = feed->source;

	if (!feed->is_changing)
		return;
	if (cp_runtime_get_version(runtime, observer) == observer->version) {
		keep(feed);
	} else if (cp_runtime_get_refused_version(runtime, observer) ==
		   observer->version) {
		give_way(feed, cp_runtime_why_refused(runtime));
		(void)cp_runtime_observer_changed(feed->source);
	}
}

void cp_feed_filter_check(struct cp_feed *feed)
{
	if (feed->is_withheld && uv_now(feed->options.loop) >= feed->retry_ms)
		(void)cp_feed_filter_want(feed);
}

/* Takes fresh. */
static void take(struct cp_feed *feed, struct cp_config_runtime_rule *fresh)
{
	bool was_changing = feed->is_changing;

	if (feed->is_changing || feed->is_withheld) {
		cp_feed_copy_filter_done(&feed->filter);
	} else {
		feed->before = feed->filter;
		feed->has_before = true;
	}
	if (feed->is_withheld)
		feed->filter_error[0] = '\0';
	feed->filter = *fresh;
	/* What was on its way before it is not wanted either. */
	if (cp_feed_filter_want(feed) != 0 && was_changing)
		(void)cp_runtime_observer_changed(feed->source);
}

void cp_feed_filter_put(struct cp_feed *feed,
			const struct cp_config_runtime_rule *filter)
{
	struct cp_config_runtime_rule fresh = { .name = NULL };

	if (cp_feed_copy_filter(filter, &fresh) < 0)
		say_before_stays(feed, strerror(ENOMEM));
	else
		take(feed, &fresh);
}

const char *cp_feed_filter_why_none(const struct cp_feed *feed)
{
	if (!feed->filter.enabled)
		return "";
	if (!feed->runtime || feed->is_withheld)
		return feed->filter_error;
	return cp_runtime_get_version(feed->runtime, &feed->observer) ?
		       "" :
		       "its rule is not in force";
}

void cp_feed_filter_done(struct cp_feed *feed)
{
	cp_feed_copy_filter_done(&feed->filter);
	cp_feed_copy_filter_done(&feed->before);
}
