/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* GET /healthz and GET /readyz: is this process able to do its work, and is what
 * should be enforced enforced, as the kernel was last seen? 200 or 503, and in
 * the body (JSON) every reason, by attachment id. */

#include "controld/http/http.h"

struct cp_attach;
struct cp_control;
struct cp_dns_server;
struct cp_health;
struct cp_state;

enum {
	CP_HEALTH_REASONS_MAX = 32, /* that the body names */
	/* The kernel is looked at every CP_ATTACH_COLLECT_POLL_MS; what is known
	 * of it may be this old. */
	CP_HEALTH_STALE_S = 10,
};

struct cp_health_options {
	uv_loop_t *loop;
	struct cp_attach *manager;
	const struct cp_state *state;
	const struct cp_dns_server *dns;
	const struct cp_control *control; /* NULL: none is configured */
	bool needs_control; /* not ready without it */
	const char *version;
	struct cp_http_address address;
	size_t connections_max;
};

int cp_health_new(struct cp_health **ret,
		  const struct cp_health_options *options);
/* Then calls closed (may be NULL) from the loop. */
void cp_health_close(struct cp_health *health, void (*closed)(void *userdata),
		     void *userdata);
void cp_health_get_http(const struct cp_health *health,
			struct cp_http_stats *ret);
