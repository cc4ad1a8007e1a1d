/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/daemon/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/daemon/internal.h"
#include "controld/daemon/parts.h"
#include "controld/daemon/prepare.h"
#include "controld/daemon/settings.h"
#include "controld/privilege/privilege.h"
#include "controld/rpc/core.h"
#include "shared/log.h"
#include "shared/version.h"

static void stop(struct cp_daemon *daemon)
{
	if (daemon->is_stopping)
		return;
	daemon->is_stopping = true;
	uv_close((uv_handle_t *)&daemon->on_term, NULL);
	uv_close((uv_handle_t *)&daemon->on_int, NULL);
	uv_close((uv_handle_t *)&daemon->on_hup, NULL);
	cp_daemon_parts_close(daemon);
}

static void on_signal(uv_signal_t *handle, int number)
{
	sn_log(SN_LOG_INFO, "stopping signal=%d", number);
	stop(handle->data);
}

/* A configuration that is refused changes nothing. Options that are not
 * reloadable keep their values until a restart. */
static void on_reload(uv_signal_t *handle, int number)
{
	struct cp_daemon *daemon = handle->data;
	struct cp_config *before;

	(void)number;
	if (cp_daemon_settings_reload(daemon, &before) < 0) {
		sn_log(SN_LOG_ERROR, "reload refused: the running "
				     "configuration stays");
		return;
	}
	cp_daemon_parts_reload(daemon);
	cp_config_free(before);
	sn_log(SN_LOG_INFO, "reloaded");
}

static int open_all(struct cp_daemon *daemon)
{
	struct sn_diag diag = { 0 };
	char text[sizeof(diag.file) + sizeof(diag.text) + 32];
	int r;

	r = cp_daemon_parts_open(daemon, &diag);
	if (r == 0)
		sn_log(SN_LOG_INFO, "started version=%s daemon_id=%s api=%s",
		       SN_VERSION, daemon->daemon_id, daemon->api_socket);
	else
		sn_log(SN_LOG_ERROR, "start error='%s'",
		       diag.text[0] ?
			       sn_diag_format(&diag, text, sizeof(text)) :
			       strerror(r < 0 ? -r : EINVAL));
	return r;
}

static int run(struct cp_daemon *daemon)
{
	int r;

	r = uv_loop_init(&daemon->loop);
	if (r < 0)
		return EXIT_FAILURE;
	(void)uv_signal_init(&daemon->loop, &daemon->on_term);
	(void)uv_signal_init(&daemon->loop, &daemon->on_int);
	(void)uv_signal_init(&daemon->loop, &daemon->on_hup);
	daemon->on_term.data = daemon;
	daemon->on_int.data = daemon;
	daemon->on_hup.data = daemon;
	(void)uv_signal_start(&daemon->on_term, on_signal, SIGTERM);
	(void)uv_signal_start(&daemon->on_int, on_signal, SIGINT);
	cp_rpc_core_init();
	r = open_all(daemon);
	if (r != 0)
		stop(daemon);
	else
		(void)uv_signal_start(&daemon->on_hup, on_reload, SIGHUP);
	(void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
	cp_daemon_parts_free(daemon);
	cp_rpc_core_done();
	(void)uv_loop_close(&daemon->loop);
	if (r == 0)
		sn_log(SN_LOG_INFO, "stopped");
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int start(struct cp_daemon *daemon)
{
	int r;

	r = cp_daemon_settings_load(daemon);
	if (r != 0)
		return r;
	if (daemon->options->check_config) {
		(void)puts("OK");
		return EXIT_SUCCESS;
	}
	if (cp_privilege_is_root() && !daemon->options->allow_root) {
		(void)fputs("sentinel-cp: refuses to run as root; start it as "
			    "user sentinel, or with --allow-root\n",
			    stderr);
		return EXIT_FAILURE;
	}
	if (cp_daemon_prepare(daemon) < 0)
		return EXIT_FAILURE;
	return run(daemon);
}

int cp_daemon_run(const struct cp_daemon_options *options)
{
	static struct cp_daemon daemon;
	int r;

	daemon.options = options;
	r = start(&daemon);
	cp_config_free(daemon.config);
	return r;
}
