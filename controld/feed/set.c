/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/set.h"

#include <stdlib.h>
#include <string.h>

#include "controld/feed/filter.h"
#include "controld/feed/report.h"
#include "controld/feed/tell.h"
#include "shared/log.h"

enum { HOSTNAME_BYTES = 256 };

struct cp_feed_set {
	struct cp_runtime *runtime;
	struct cp_findings *findings;
	struct cp_findings_listener listener;
	struct cp_feed *all[CP_CONFIG_DETECTORS_MAX];
	size_t n;
	size_t n_open;
	void (*closed)(void *userdata);
	void *closed_userdata;
};

static void found(void *userdata, const char *detector,
		  const struct cp_feed_answer *answer, const void *event,
		  size_t event_bytes)
{
	struct cp_feed_set *set = userdata;

	cp_feed_report_put(set->findings, detector, answer, event, event_bytes);
}

static void finding_made(struct cp_findings_listener *listener,
			 const Sentinel__V1__Finding *finding)
{
	struct cp_feed_set *set =
		sn_container_of(listener, struct cp_feed_set, listener);

	for (size_t i = 0; i < set->n; i++)
		cp_feed_tell_put(set->all[i], finding);
}

static void put_options(const struct cp_config_detector *detector,
			struct cp_feed_options *ret)
{
	const struct cp_config_detector_spool *spool = &detector->spool;

	ret->name = detector->filter.name;
	ret->url = detector->url;
	ret->filter = &detector->filter;
	ret->max_message_bytes = detector->max_message_bytes;
	ret->queue_bytes = detector->queue_bytes;
	ret->window = detector->window;
	ret->is_silent = detector->answers == 1;
	ret->connect_timeout_ms = detector->connect_timeout_ms;
	ret->answer_timeout_ms = detector->answer_timeout_ms;
	ret->keepalive_ms = detector->keepalive_ms;
	ret->keepalive_timeout_ms = detector->keepalive_timeout_ms;
	ret->backoff_min_ms = detector->reconnect_min_ms;
	ret->backoff_max_ms = detector->reconnect_max_ms;
	ret->spool = spool->path[0] ? spool->path : NULL;
	ret->spool_bytes = spool->max_bytes;
	ret->mode = spool->path[0] ? (enum cp_feed_mode)spool->mode :
				     CP_FEED_MODE_OVERFLOW;
}

static int add(struct cp_feed_set *set,
	       const struct cp_feed_set_options *options,
	       const struct cp_config_detector *detector)
{
	char hostname[HOSTNAME_BYTES] = "";
	struct cp_config_tls_parts parts;
	struct cp_feed_options feed = {
		.loop = options->loop,
		.hostname = hostname,
		.found = set->findings ? found : NULL,
		.userdata = set,
	};
	int r;

	(void)gethostname(hostname, sizeof(hostname) - 1);
	cp_config_tls_get_parts(&detector->tls, detector->token_file, &parts);
	feed.files = parts.files;
	feed.pins = parts.pins;
	feed.n_pins = parts.n_pins;
	put_options(detector, &feed);
	r = cp_feed_new(&set->all[set->n], &feed);
	if (r < 0)
		return r;
	cp_feed_tell_switch(set->all[set->n], detector->findings);
	r = cp_feed_start(set->all[set->n++], options->runtime);
	return r < 0 ? r : 0;
}

int cp_feed_set_new(struct cp_feed_set **ret,
		    const struct cp_feed_set_options *options)
{
	const struct cp_config_schema_array *array =
		&options->config->detectors;
	const struct cp_config_detector *all = array->items;
	struct cp_feed_set *set = calloc(1, sizeof(*set));
	int r = 0;

	if (!set)
		return sn_trace(-ENOMEM);
	set->runtime = options->runtime;
	set->findings = options->findings;
	set->listener.found = finding_made;
	if (set->findings)
		cp_findings_listen(set->findings, &set->listener);
	/* Also after a failure: it is closed from the loop. */
	*ret = set;
	for (size_t i = 0; r == 0 && i < array->n_items; i++)
		r = add(set, options, &all[i]);
	return r;
}

static const struct cp_config_detector *find(const struct cp_config *config,
					     const char *name)
{
	const struct cp_config_detector *all = config->detectors.items;

	for (size_t i = 0; i < config->detectors.n_items; i++) {
		if (strcmp(all[i].filter.name, name) == 0)
			return &all[i];
	}
	return NULL;
}

static bool has(const struct cp_feed_set *set, const char *name)
{
	for (size_t i = 0; i < set->n; i++) {
		struct cp_feed_status status;

		cp_feed_get_status(set->all[i], &status);
		if (strcmp(status.name, name) == 0)
			return true;
	}
	return false;
}

static void say_new(const struct cp_feed_set *set,
		    const struct cp_config *config)
{
	const struct cp_config_detector *all = config->detectors.items;

	for (size_t i = 0; i < config->detectors.n_items; i++) {
		if (!has(set, all[i].filter.name))
			sn_log(SN_LOG_WARNING,
			       "detector name=%s: gets no events before a "
			       "restart",
			       all[i].filter.name);
	}
}

void cp_feed_set_reload(struct cp_feed_set *set, const struct cp_config *config)
{
	say_new(set, config);
	for (size_t i = 0; i < set->n; i++) {
		const struct cp_config_detector *detector;
		struct cp_feed_status status;

		cp_feed_get_status(set->all[i], &status);
		detector = find(config, status.name);
		if (!detector) {
			sn_log(SN_LOG_WARNING,
			       "detector name=%s: goes on until a restart",
			       status.name);
			continue;
		}
		cp_feed_filter_put(set->all[i], &detector->filter);
		cp_feed_tell_switch(set->all[i], detector->findings);
	}
}

size_t cp_feed_set_count(const struct cp_feed_set *set)
{
	return set->n;
}

void cp_feed_set_get_status(const struct cp_feed_set *set, size_t index,
			    struct cp_feed_status *ret)
{
	cp_feed_get_status(set->all[index], ret);
}

static void one_closed(void *userdata)
{
	struct cp_feed_set *set = userdata;
	void (*closed)(void *userdata) = set->closed;

	userdata = set->closed_userdata;
	if (--set->n_open > 0)
		return;
	free(set);
	closed(userdata);
}

void cp_feed_set_close(struct cp_feed_set *set, void (*closed)(void *userdata),
		       void *userdata)
{
	set->closed = closed;
	set->closed_userdata = userdata;
	set->n_open = set->n + 1;
	if (set->findings)
		cp_findings_unlisten(&set->listener);
	if (set->runtime)
		cp_runtime_end(set->runtime);
	for (size_t i = 0; i < set->n; i++)
		cp_feed_close(set->all[i], one_closed, set);
	one_closed(set);
}
