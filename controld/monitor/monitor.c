/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/monitor/monitor.h"

#include <stdlib.h>
#include <string.h>

#include "controld/health/health.h"
#include "controld/metrics/metrics.h"
#include "controld/rest/rest.h"
#include "shared/log.h"

struct cp_monitor {
	struct cp_metrics *metrics; /* NULL: off */
	struct cp_health *health; /* NULL: off */
	struct cp_rest *const *rest;
	char *keys[CP_METRICS_SERIES_LABELS_MAX]; /* the configuration goes */
	unsigned int n_open;
	uv_timer_t later; /* so that its end comes from the loop */
	void (*closed)(void *userdata);
	void *closed_userdata;
};

static void put_others(void *userdata, struct cp_metrics_page *page)
{
	const struct cp_monitor *monitor = userdata;
	const struct cp_rest *rest = *monitor->rest;
	struct cp_http_stats stats;
	const char *name;

	if (monitor->health) {
		cp_health_get_http(monitor->health, &stats);
		cp_metrics_host_put_http(page, "health", &stats);
	}
	for (size_t i = 0; rest && cp_rest_get_http(rest, i, &name, &stats);
	     i++)
		cp_metrics_host_put_http(page, name, &stats);
}

/* Reports whether the address can be taken; it was when the configuration was
 * read. */
static int take_address(const char *name, const char *text,
			struct cp_http_address *ret)
{
	struct sn_diag diag = { 0 };

	if (cp_http_address_parse(text, ret, &diag) != 0)
		return -EINVAL;
	if (!cp_http_address_is_loopback(ret))
		sn_log(SN_LOG_WARNING,
		       "http-address name=%s: it is not loopback, whoever "
		       "reaches it may read",
		       name);
	return 0;
}

static int open_metrics(struct cp_monitor *monitor,
			const struct cp_monitor_options *options)
{
	const struct cp_config *config = options->config;
	struct cp_metrics_options metrics = {
		.loop = options->loop,
		.manager = options->manager,
		.host = options->host,
		.connections_max = config->metrics.max_connections,
		.attachments_max = config->metrics.attachments,
		.put_others = put_others,
		.userdata = monitor,
	};
	int r;

	if (!config->metrics.listen[0])
		return 0;
	for (size_t i = 0; i < config->metrics.labels.n_items; i++) {
		monitor->keys[i] = strdup(config->metrics.labels.items[i]);
		if (!monitor->keys[i])
			return -ENOMEM;
		metrics.labels.keys[metrics.labels.n++] = monitor->keys[i];
	}
	r = take_address("metrics", config->metrics.listen, &metrics.address);
	return r < 0 ? r : cp_metrics_new(&monitor->metrics, &metrics);
}

static int open_health(struct cp_monitor *monitor,
		       const struct cp_monitor_options *options)
{
	const struct cp_config *config = options->config;
	struct cp_health_options health = {
		.loop = options->loop,
		.manager = options->manager,
		.state = options->host.state,
		.dns = options->host.dns,
		.control = options->host.control,
		.needs_control = config->health.control_plane,
		.version = options->host.version,
		.connections_max = config->health.max_connections,
	};
	int r;

	if (!config->health.listen[0])
		return 0;
	r = take_address("health", config->health.listen, &health.address);
	return r < 0 ? r : cp_health_new(&monitor->health, &health);
}

int cp_monitor_new(struct cp_monitor **ret,
		   const struct cp_monitor_options *options)
{
	struct cp_monitor *monitor = calloc(1, sizeof(*monitor));
	int r;

	if (!monitor)
		return -ENOMEM;
	(void)uv_timer_init(options->loop, &monitor->later);
	monitor->later.data = monitor;
	monitor->rest = options->rest;
	/* Its owner closes what was opened, also when this fails. */
	*ret = monitor;
	r = open_metrics(monitor, options);
	if (r == 0)
		r = open_health(monitor, options);
	return r;
}

static void closed_one(void *userdata)
{
	struct cp_monitor *monitor = userdata;

	if (--monitor->n_open > 0)
		return;
	for (size_t i = 0; i < SN_ARRAY_SIZE(monitor->keys); i++)
		free(monitor->keys[i]);
	monitor->closed(monitor->closed_userdata);
	free(monitor);
}

static void handle_closed(uv_handle_t *handle)
{
	closed_one(handle->data);
}

void cp_monitor_close(struct cp_monitor *monitor,
		      void (*closed)(void *userdata), void *userdata)
{
	monitor->closed = closed;
	monitor->closed_userdata = userdata;
	monitor->n_open = 1;
	if (monitor->health) {
		monitor->n_open++;
		cp_health_close(sn_steal(&monitor->health), closed_one,
				monitor);
	}
	if (monitor->metrics) {
		monitor->n_open++;
		cp_metrics_close(sn_steal(&monitor->metrics), closed_one,
				 monitor);
	}
	uv_close((uv_handle_t *)&monitor->later, handle_closed);
}
