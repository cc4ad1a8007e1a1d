/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/daemon/parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controld/api/status.h"
#include "controld/attach/doh.h"
#include "controld/control/setup.h"
#include "controld/daemon/settings.h"
#include "controld/dns/setup.h"
#include "controld/events/setup.h"
#include "controld/rest/setup.h"
#include "shared/log.h"
#include "shared/version.h"

enum {
	DRAIN_MS = 5000, /* for calls in flight when the daemon stops */
	MS_TO_NS = 1000000,
};

typedef void (*closed_cb)(void *userdata);

/* The state file. */

static int open_state(struct cp_daemon *daemon, struct sn_diag *diag)
{
	int r;

	r = cp_state_load(&daemon->state, &daemon->loop, daemon->state_path,
			  daemon->config->state.group_interval_ms * MS_TO_NS,
			  diag);
	if (r != 0)
		return r < 0 ? r : -EBADMSG;
	return cp_state_identity_get(daemon->state, daemon->daemon_id);
}

static void close_state(struct cp_daemon *daemon, closed_cb closed)
{
	if (daemon->state)
		cp_state_close(sn_steal(&daemon->state), closed, daemon);
	else
		closed(daemon);
}

/* The attachments. */

static struct cp_attach_options manager_options(struct cp_daemon *daemon)
{
	const struct cp_config *config = daemon->config;

	return (struct cp_attach_options){
		.loop = &daemon->loop,
		.socket_path = daemon->dp_socket,
		.store = daemon->state,
		.reconnect_min_ns =
			config->dataplane.reconnect_min_ms * MS_TO_NS,
		.reconnect_max_ns =
			config->dataplane.reconnect_max_ms * MS_TO_NS,
		.collect_interval_ms = config->dataplane.collect_interval_ms,
		.max_attachments = config->limits.attachments,
		.max_rules = config->limits.rules_per_policy,
		.flow_quota = (uint32_t)config->limits.flows_per_attachment,
		.learnt = {
			.names = config->dns.quotas.names,
			.addresses = config->dns.quotas.addresses,
			.addresses_per_name =
				config->dns.quotas.addresses_per_name,
		},
		.learnt_path = daemon->learnt_path,
	};
}

static int open_manager(struct cp_daemon *daemon, struct sn_diag *diag)
{
	struct cp_attach_options options = manager_options(daemon);

	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = NULL;
	int r;

	r = cp_daemon_settings_load_doh(daemon, &doh, diag);
	if (r == 0)
		r = cp_attach_new(&daemon->manager, &options, diag);
	if (r == 0)
		cp_attach_doh_put(daemon->manager, sn_steal(&doh));
	return r;
}

/* A list that is refused, or not there any more, changes nothing. */
static void reload_doh(struct cp_daemon *daemon)
{
	sn_cleanup(cp_dns_doh_freep) struct cp_dns_doh *doh = NULL;
	struct sn_diag diag = { 0 };
	char text[sizeof(diag.file) + sizeof(diag.text) + 32];
	size_t n_addresses;
	int r;

	r = cp_dns_doh_load(daemon->config->dns.doh_list, &doh, &diag);
	if (r == -ENOENT && !cp_attach_doh_get(daemon->manager))
		return;
	if (r != 0) {
		sn_log(SN_LOG_ERROR,
		       "doh-list error='%s': the list before stays",
		       diag.text[0] ?
			       sn_diag_format(&diag, text, sizeof(text)) :
			       strerror(-r));
		return;
	}
	(void)cp_dns_doh_get_addresses(doh, &n_addresses);
	sn_log(SN_LOG_INFO, "doh-list names=%zu addresses=%zu",
	       cp_dns_doh_count_names(doh), n_addresses);
	cp_attach_doh_put(daemon->manager, sn_steal(&doh));
}

static void reload_manager(struct cp_daemon *daemon)
{
	struct cp_attach_options options = manager_options(daemon);

	cp_attach_reload(daemon->manager, &options);
	reload_doh(daemon);
}

static void close_manager(struct cp_daemon *daemon, closed_cb closed)
{
	if (daemon->manager)
		cp_attach_close(sn_steal(&daemon->manager), closed, daemon);
	else
		closed(daemon);
}

/* Events. */

static int open_events(struct cp_daemon *daemon, struct sn_diag *diag)
{
	(void)diag;
	return cp_events_setup_new(&daemon->events, daemon->manager,
				   daemon->config);
}

static void reload_events(struct cp_daemon *daemon)
{
	cp_events_setup_reload(daemon->events, daemon->config);
}

static void close_events(struct cp_daemon *daemon, closed_cb closed)
{
	daemon->events = cp_events_free(daemon->events);
	closed(daemon);
}

/* Runtime events. */

static int open_runtime(struct cp_daemon *daemon, struct sn_diag *diag)
{
	const struct cp_runtime_options options = {
		.loop = &daemon->loop,
		.manager = daemon->manager,
		.config = &daemon->config->runtime,
	};

	(void)diag;
	return cp_runtime_new(&daemon->runtime, &options);
}

static void reload_runtime(struct cp_daemon *daemon)
{
	cp_runtime_reload(daemon->runtime, &daemon->config->runtime);
}

static void close_runtime(struct cp_daemon *daemon, closed_cb closed)
{
	if (daemon->runtime)
		cp_runtime_close(sn_steal(&daemon->runtime), closed, daemon);
	else
		closed(daemon);
}

/* What is found in them. */

static int open_findings(struct cp_daemon *daemon, struct sn_diag *diag)
{
	const struct cp_findings_options options = {
		.loop = &daemon->loop,
		.runtime = daemon->runtime,
		.config = &daemon->config->detection,
		.logs_names = daemon->config->log.workload_names,
	};

	(void)diag;
	return cp_findings_new(&daemon->findings, &options);
}

static void reload_findings(struct cp_daemon *daemon)
{
	cp_findings_reload(daemon->findings, &daemon->config->detection,
			   daemon->config->log.workload_names);
}

static void close_findings(struct cp_daemon *daemon, closed_cb closed)
{
	if (daemon->findings)
		cp_findings_close(sn_steal(&daemon->findings), closed, daemon);
	else
		closed(daemon);
}

static int open_detection(struct cp_daemon *daemon, struct sn_diag *diag)
{
	const struct cp_findings_detection_options options = {
		.runtime = daemon->runtime,
		.findings = daemon->findings,
		.manager = daemon->manager,
		.config = &daemon->config->detection,
	};

	return cp_findings_detection_new(&daemon->detection, &options, diag);
}

static void reload_detection(struct cp_daemon *daemon)
{
	cp_findings_detection_configure(daemon->detection,
					&daemon->config->detection);
}

static void close_detection(struct cp_daemon *daemon, closed_cb closed)
{
	daemon->detection = cp_findings_detection_free(daemon->detection);
	closed(daemon);
}

/* Detectors. */

static int open_feeds(struct cp_daemon *daemon, struct sn_diag *diag)
{
	const struct cp_feed_set_options options = {
		.loop = &daemon->loop,
		.runtime = daemon->runtime,
		.findings = daemon->findings,
		.config = daemon->config,
	};

	(void)diag;
	return cp_feed_set_new(&daemon->feeds, &options);
}

static void reload_feeds(struct cp_daemon *daemon)
{
	cp_feed_set_reload(daemon->feeds, daemon->config);
}

static void close_feeds(struct cp_daemon *daemon, closed_cb closed)
{
	if (daemon->feeds)
		cp_feed_set_close(sn_steal(&daemon->feeds), closed, daemon);
	else
		closed(daemon);
}

/* The resolver. */

static int open_dns(struct cp_daemon *daemon, struct sn_diag *diag)
{
	return cp_dns_setup_new(&daemon->dns, &daemon->loop, daemon->manager,
				daemon->config, diag);
}

static void reload_dns(struct cp_daemon *daemon)
{
	cp_dns_setup_reload(daemon->dns, daemon->config);
}

static void close_dns(struct cp_daemon *daemon, closed_cb closed)
{
	if (daemon->dns)
		cp_dns_server_close(sn_steal(&daemon->dns), closed, daemon);
	else
		closed(daemon);
}

/* The control plane's stream. */

static void
visit_status(void *userdata,
	     void (*visit)(void *visitor,
			   const Sentinel__V1__GetStatusResponse *status),
	     void *visitor)
{
	struct cp_daemon *daemon = userdata;

	if (daemon->api)
		cp_api_status_visit(daemon->api, visit, visitor);
	else
		visit(visitor, NULL);
}

static int open_control(struct cp_daemon *daemon, struct sn_diag *diag)
{
	struct cp_control_options options = {
		.loop = &daemon->loop,
		.manager = daemon->manager,
		.daemon_id = daemon->daemon_id,
		.version = SN_VERSION,
		.visit_status = visit_status,
		.userdata = daemon,
	};
	int r;

	r = cp_control_setup_new(&daemon->control, &options, daemon->config);
	if (r < 0)
		sn_diag_set(diag, "control", "cannot be started: %s",
			    strerror(-r));
	if (daemon->control)
		cp_dns_server_put_proxy(daemon->dns,
					cp_control_get_proxy(daemon->control));
	return r;
}

static void reload_control(struct cp_daemon *daemon)
{
	if (daemon->control)
		cp_control_reload(daemon->control,
				  daemon->config->limits.rules_per_policy);
}

static void close_control(struct cp_daemon *daemon, closed_cb closed)
{
	cp_dns_server_put_proxy(daemon->dns, NULL);
	if (daemon->control)
		cp_control_stop(daemon->control, closed, daemon);
	else
		closed(daemon);
}

static void free_control(struct cp_daemon *daemon)
{
	daemon->control = cp_control_free(daemon->control);
}

/* Metrics and health. */

static int open_monitor(struct cp_daemon *daemon, struct sn_diag *diag)
{
	struct cp_monitor_options options = {
		.loop = &daemon->loop,
		.manager = daemon->manager,
		.host = {
			.state = daemon->state,
			.dns = daemon->dns,
			.events = daemon->events,
			.runtime = daemon->runtime,
			.findings = daemon->findings,
			.detection = daemon->detection,
			.feeds = daemon->feeds,
			.control = daemon->control,
			.version = SN_VERSION,
		},
		.rest = &daemon->rest,
		.config = daemon->config,
	};

	(void)diag;
	return cp_monitor_new(&daemon->monitor, &options);
}

static void close_monitor(struct cp_daemon *daemon, closed_cb closed)
{
	if (daemon->monitor)
		cp_monitor_close(sn_steal(&daemon->monitor), closed, daemon);
	else
		closed(daemon);
}

/* What was, for those who begin to look. */

static int open_history(struct cp_daemon *daemon, struct sn_diag *diag)
{
	struct cp_history_options options = {
		.loop = &daemon->loop,
		.manager = daemon->manager,
		.dns = daemon->dns,
	};

	(void)diag;
	return cp_history_new(&daemon->history, &options);
}

static void close_history(struct cp_daemon *daemon, closed_cb closed)
{
	if (daemon->history)
		cp_history_close(sn_steal(&daemon->history), closed, daemon);
	else
		closed(daemon);
}

/* The local API. */

static int open_api(struct cp_daemon *daemon, struct sn_diag *diag)
{
	const struct cp_config *config = daemon->config;
	struct cp_api_options options = {
		.loop = &daemon->loop,
		.manager = daemon->manager,
		.path = daemon->api_socket,
		.gid = daemon->gid,
		.version = SN_VERSION,
		.daemon_id = daemon->daemon_id,
		.control = daemon->control,
		.events = daemon->events,
		.history = daemon->history,
		.runtime = daemon->runtime,
		.findings = daemon->findings,
		.detection = daemon->detection,
		.feeds = daemon->feeds,
		.dns = daemon->dns,
		.warning = daemon->warning[0] ? daemon->warning : NULL,
		.max_message_bytes = config->api.max_message_bytes,
		.max_connections = config->api.max_connections,
		.max_policy_bytes = config->api.max_policy_bytes,
		.max_rules = config->limits.rules_per_policy,
	};

	return cp_api_new(&daemon->api, &options, diag);
}

static void reload_api(struct cp_daemon *daemon)
{
	cp_api_reload(daemon->api, daemon->config->limits.rules_per_policy);
}

static void close_api(struct cp_daemon *daemon, closed_cb closed)
{
	if (daemon->api)
		cp_api_stop(daemon->api, DRAIN_MS, closed, daemon);
	else
		closed(daemon);
}

static void free_api(struct cp_daemon *daemon)
{
	cp_api_free(sn_steal(&daemon->api));
}

/* The same over HTTP. */

static int open_rest(struct cp_daemon *daemon, struct sn_diag *diag)
{
	const struct cp_rest_setup setup = {
		.loop = &daemon->loop,
		.api = daemon->api,
		.run_dir = daemon->options->run_dir,
		.gid = daemon->gid,
		.version = SN_VERSION,
	};

	return cp_rest_setup_new(&daemon->rest, &setup, daemon->config, diag);
}

static void reload_rest(struct cp_daemon *daemon)
{
	if (daemon->rest)
		cp_rest_setup_reload(daemon->rest, daemon->config);
}

static void close_rest(struct cp_daemon *daemon, closed_cb closed)
{
	if (daemon->rest)
		cp_rest_close(sn_steal(&daemon->rest), DRAIN_MS, closed,
			      daemon);
	else
		closed(daemon);
}

/* Each is opened after those that it uses and closed before them: what was
 * begun is answered, and what was answered is on disk. */
static const struct {
	int (*open)(struct cp_daemon *daemon, struct sn_diag *diag);
	void (*reload)(struct cp_daemon *daemon); /* NULL: nothing to do */
	/* Then calls closed. Also after an open that failed. */
	void (*close)(struct cp_daemon *daemon, closed_cb closed);
	/* What others refer to until the loop has ended; NULL: nothing. */
	void (*free)(struct cp_daemon *daemon);
} parts[] = {
	{ open_state, NULL, close_state, NULL },
	{ open_manager, reload_manager, close_manager, NULL },
	{ open_events, reload_events, close_events, NULL },
	{ open_runtime, reload_runtime, close_runtime, NULL },
	{ open_findings, reload_findings, close_findings, NULL },
	{ open_detection, reload_detection, close_detection, NULL },
	{ open_feeds, reload_feeds, close_feeds, NULL },
	{ open_dns, reload_dns, close_dns, NULL },
	{ open_control, reload_control, close_control, free_control },
	{ open_monitor, NULL, close_monitor, NULL },
	{ open_history, NULL, close_history, NULL },
	{ open_api, reload_api, close_api, free_api },
	{ open_rest, reload_rest, close_rest, NULL },
};

int cp_daemon_parts_open(struct cp_daemon *daemon, struct sn_diag *diag)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(parts); i++) {
		int r;

		*diag = (struct sn_diag){ .text = "" };
		daemon->n_parts = i + 1;
		r = parts[i].open(daemon, diag);
		if (r != 0)
			return r;
	}
	return 0;
}

void cp_daemon_parts_reload(struct cp_daemon *daemon)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(parts); i++)
		if (parts[i].reload)
			parts[i].reload(daemon);
}

static void close_last(void *userdata)
{
	struct cp_daemon *daemon = userdata;

	if (daemon->n_parts > 0)
		parts[--daemon->n_parts].close(daemon, close_last);
}

void cp_daemon_parts_close(struct cp_daemon *daemon)
{
	close_last(daemon);
}

void cp_daemon_parts_free(struct cp_daemon *daemon)
{
	for (size_t i = 0; i < SN_ARRAY_SIZE(parts); i++)
		if (parts[i].free)
			parts[i].free(daemon);
}
