/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The methods of an API as JSON over HTTP, made of the rows that gRPC serves
 * them from: a row is a route, and its handler the same. `POST /v1/Method` takes
 * the request as its body; methods for viewers are `GET /v1/Method?field=value`
 * as well. Server streams are server-sent events. Client streams are not
 * offered: a body has an end, so they would be ordinary calls. What there is
 * says /openapi.json, made of the same rows.
 *
 * Who asks is judged by the head of a request, before its body is read: on the
 * Unix socket by the credentials of the process, as gRPC does. */

#include <sys/types.h>
#include <uv.h>

#include "controld/http/http.h"
#include "controld/rest/callers.h"
#include "controld/rpc/secrets.h"
#include "controld/rpc/server.h"

struct cp_rest;

enum {
	CP_REST_BODY_MAX = 1 << 20, /* of a request; gRPC takes more */
	CP_REST_NAME_BYTES = 64, /* of a caller */
	CP_REST_PATH_BYTES = 108, /* of a socket's address */
	CP_REST_HOSTS_MAX = 16,
	CP_REST_HOST_BYTES = 254,
	CP_REST_STREAMS_PER_CALLER = 8, /* no admin; see CP_API_WATCHES_MAX */
	CP_REST_PULSE_MS = 10000, /* something is sent on each stream */
};

/* A file that is served to everybody who reaches the server. */
struct cp_rest_page {
	const char *path;
	const char *type;
	const void *data;
	size_t size;
	const char *security_policy; /* Content-Security-Policy, or NULL */
	const char *tag; /* ETag, quoted; NULL: it is not to be kept */
};

/* Tables, and strings without a word beside them, outlive it. */
struct cp_rest_options {
	uv_loop_t *loop;
	const struct cp_rpc_method *methods;
	size_t n_methods;
	void *user; /* of the methods */
	const char *version; /* of the document */
	const struct cp_rest_page *pages;
	size_t n_pages;
	size_t connections_max; /* of each listener; half may be streams */

	/* Names of this host that callers may use besides localhost and addresses;
	 * copied. */
	const char *const *hosts;
	size_t n_hosts;

	const char *socket_path; /* copied; NULL: no Unix socket */
	gid_t gid; /* as in struct cp_rpc_server_options */

	bool has_remote; /* over TLS */
	struct cp_http_address address;
};

int cp_rest_new(struct cp_rest **ret, const struct cp_rest_options *options);

bool cp_rest_has_remote(const struct cp_rest *rest);

/* Who may call over TLS, from the next request on; at first nobody. Streams of
 * who may not any more end. Takes the list. */
void cp_rest_put_callers(struct cp_rest *rest, struct cp_rest_callers *callers);

/* Certificate, key and perhaps authorities of callers, which it takes; at first
 * there are none, and no listener. With other ones than before it begins anew,
 * and its connections are cut. */
void cp_rest_put_secrets(struct cp_rest *rest, struct cp_rpc_secrets *secrets);

/* Refuses what comes, gives the calls under way drain_ms to end, cancels the
 * rest, and frees it; then calls closed from the loop. */
void cp_rest_close(struct cp_rest *rest, unsigned int drain_ms,
		   void (*closed)(void *userdata), void *userdata);

/* False: there is no such listener. */
bool cp_rest_get_http(const struct cp_rest *rest, size_t index,
		      const char **name, struct cp_http_stats *ret);
