/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The inside of REST, for the files of this folder. All of it belongs to the
 * loop's thread. */

#include <jansson.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "controld/http/call.h"
#include "controld/rest/callers.h"
#include "controld/rest/rest.h"
#include "controld/rest/throttle.h"
#include "controld/rpc/listen.h"
#include "controld/rpc/secrets.h"
#include "controld/rpc/transport.h"
#include "shared/diag.h"

struct cp_rest_call;

enum cp_rest_kind {
	CP_REST_KIND_METHOD,
	CP_REST_KIND_DOCUMENT,
	CP_REST_KIND_PAGE,
};

/* Beside the route of the same index. */
struct cp_rest_target {
	enum cp_rest_kind kind;
	const struct cp_rpc_method *method;
	const struct cp_rest_page *page;
};

struct cp_rest_listener {
	struct cp_rest *rest;
	const char *name;
	bool is_remote; /* over TLS; else the Unix socket */
	struct cp_http *http; /* NULL: there is none */
	struct cp_rpc_listen socket; /* the Unix socket's */
};

struct cp_rest {
	struct cp_rest_options options;
	char socket_path[CP_REST_PATH_BYTES];
	char hosts[CP_REST_HOSTS_MAX][CP_REST_HOST_BYTES];
	size_t n_hosts;
	uid_t uid;
	struct cp_http_route *routes;
	struct cp_rest_target *targets;
	size_t n_routes;
	char *document;
	struct cp_rest_listener local;
	struct cp_rest_listener remote;
	struct cp_rpc_secrets secrets; /* what the remote one has */
	struct cp_http_tls tls; /* the same, as it wants it */
	struct cp_rest_callers *callers; /* NULL: nobody, over TLS */
	struct cp_rest_throttle throttle;
	LIST_HEAD(, cp_rest_call) calls;
	uv_timer_t pulse;
	uv_timer_t drain;
	unsigned int n_open; /* handles and listeners */
	bool is_stopping;
	uint64_t drain_until_ms;
	void (*closed)(void *userdata);
	void *closed_userdata;
};

/* Who asks; of the HTTP call, set by the guard. */
struct cp_rest_caller {
	struct ucred peer;
	enum cp_rpc_role role;
	char name[CP_REST_NAME_BYTES];
	/* Over TLS: of what it showed. */
	bool is_remote;
	enum cp_rest_callers_kind kind;
	uint8_t hash[CP_REST_CALLERS_HASH_BYTES];
	int64_t until_s; /* its own end, beside that of the list */
};
