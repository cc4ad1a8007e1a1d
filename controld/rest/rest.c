/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/rest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/rest/answer.h"
#include "controld/rest/call.h"
#include "controld/rest/guard.h"
#include "controld/rest/internal.h"
#include "controld/rest/openapi.h"
#include "shared/log.h"
#include "shared/util.h"

enum {
	STATUS_OK = 200,
	STATUS_NOT_MODIFIED = 304,
	/* Of a method two, and the document. */
	ROUTES_PER_METHOD = 2,
	DRAIN_LOOK_MS = 20,
};

/* Routes. */

static void answer_document(void *userdata, struct cp_http_call *call)
{
	const struct cp_rest_listener *listener = userdata;
	const char *document = listener->rest->document;

	cp_http_call_reply(call, STATUS_OK, CP_REST_ANSWER_TYPE, document,
			   strlen(document));
}

static void answer_page(void *userdata, struct cp_http_call *call)
{
	const struct cp_rest_listener *listener = userdata;
	const struct cp_rest *rest = listener->rest;
	const struct cp_rest_page *page =
		rest->targets[cp_http_call_get_route(call) - rest->routes].page;
	const char *has = cp_http_call_get_header(call, "If-None-Match");

	if (page->security_policy)
		cp_http_call_add_header(call, "Content-Security-Policy",
					page->security_policy);
	cp_http_call_add_header(call, "Referrer-Policy", "no-referrer");
	/* Who opens it in a window of theirs gets no hold of that. */
	cp_http_call_add_header(call, "Cross-Origin-Opener-Policy",
				"same-origin");
	if (page->tag) {
		cp_http_call_add_header(call, "ETag", page->tag);
		cp_http_call_add_header(call, "Cache-Control", "no-cache");
	}
	if (page->tag && has && strcmp(has, page->tag) == 0)
		cp_http_call_reply(call, STATUS_NOT_MODIFIED, page->type, NULL,
				   0);
	else
		cp_http_call_reply(call, STATUS_OK, page->type, page->data,
				   page->size);
}

/* path: NULL, or one that the route takes. */
static int add_route(struct cp_rest *rest, const char *verb, char *path,
		     size_t body_max, cp_http_fn fn,
		     struct cp_rest_target target)
{
	if (!path)
		return sn_trace(-ENOMEM);
	rest->routes[rest->n_routes] = (struct cp_http_route){
		.method = verb,
		.path = path,
		.body_max = body_max,
		.fn = fn,
	};
	rest->targets[rest->n_routes++] = target;
	return 0;
}

static int add_method(struct cp_rest *rest, const struct cp_rpc_method *method)
{
	const struct cp_rest_target target = { .kind = CP_REST_KIND_METHOD,
					       .method = method };
	char *path = NULL;
	int r;

	if (!cp_rest_openapi_is_offered(method))
		return 0;
	r = cp_rest_openapi_path(method, &path);
	if (r == 0)
		r = add_route(rest, "POST", path, CP_REST_BODY_MAX,
			      cp_rest_call_begin, target);
	if (r == 0 && cp_rest_openapi_has_get(method))
		r = add_route(rest, "GET", strdup(path), 0, cp_rest_call_begin,
			      target);
	return r;
}

static int add_routes(struct cp_rest *rest)
{
	const struct cp_rest_options *options = &rest->options;
	size_t n =
		options->n_methods * ROUTES_PER_METHOD + options->n_pages + 1;
	int r;

	rest->routes = calloc(n, sizeof(*rest->routes));
	rest->targets = calloc(n, sizeof(*rest->targets));
	if (!rest->routes || !rest->targets)
		return sn_trace(-ENOMEM);
	r = add_route(rest, "GET", strdup("/openapi.json"), 0, answer_document,
		      (struct cp_rest_target){ .kind = CP_REST_KIND_DOCUMENT });
	for (size_t i = 0; r == 0 && i < options->n_methods; i++)
		r = add_method(rest, &options->methods[i]);
	for (size_t i = 0; r == 0 && i < options->n_pages; i++)
		r = add_route(
			rest, "GET", strdup(options->pages[i].path), 0,
			answer_page,
			(struct cp_rest_target){ .kind = CP_REST_KIND_PAGE,
						 .page = &options->pages[i] });
	return r;
}

/* Listeners. */

/* HTTP owns and closes what it is given; the socket's file is ours. */
static int listen_local(void *userdata)
{
	struct cp_rest_listener *listener = userdata;
	const struct cp_rest_options *options = &listener->rest->options;
	struct sn_diag diag = { 0 };
	int fd, r;

	r = cp_rpc_listen_init(&listener->socket, options->socket_path,
			       options->gid, &diag);
	if (r) {
		sn_log(SN_LOG_DEBUG, "rest-socket error='%s'", diag.text);
		return r == CP_RPC_LISTEN_E_BUSY ? -EADDRINUSE :
		       r > 0			 ? -EINVAL :
						   r;
	}
	fd = fcntl(listener->socket.fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		r = -errno;
		cp_rpc_listen_done(&listener->socket);
		return r;
	}
	return fd;
}

static struct cp_http_options http_options(struct cp_rest_listener *listener)
{
	const struct cp_rest *rest = listener->rest;

	return (struct cp_http_options){
		.loop = rest->options.loop,
		.name = listener->name,
		.guard = cp_rest_guard,
		.put_refusal = cp_rest_answer_put_refusal,
		.refusal_type = CP_REST_ANSWER_TYPE,
		.routes = rest->routes,
		.n_routes = rest->n_routes,
		.userdata = listener,
		.connections_max = rest->options.connections_max,
	};
}

static int open_local(struct cp_rest *rest)
{
	struct cp_http_options options;
	int r;

	if (!rest->options.socket_path)
		return 0;
	options = http_options(&rest->local);
	options.listen = listen_local;
	r = cp_http_new(&rest->local.http, &options);
	rest->n_open += r == 0;
	return r;
}

static void open_remote(struct cp_rest *rest)
{
	struct cp_http_options options = http_options(&rest->remote);

	rest->tls = (struct cp_http_tls){
		.certificate = rest->secrets.certificate,
		.key = rest->secrets.key,
		.client_ca = rest->secrets.ca,
	};
	options.address = rest->options.address;
	options.tls = &rest->tls;
	if (cp_http_new(&rest->remote.http, &options) == 0)
		rest->n_open++;
	else
		sn_log(SN_LOG_ERROR, "rest-tls error='out of memory'");
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : !a && !b;
}

static void closed_one(void *userdata);

bool cp_rest_has_remote(const struct cp_rest *rest)
{
	return rest->options.has_remote;
}

void cp_rest_put_callers(struct cp_rest *rest, struct cp_rest_callers *callers)
{
	cp_rest_callers_free(rest->callers);
	rest->callers = callers;
	cp_rest_call_look_again(rest);
}

void cp_rest_put_secrets(struct cp_rest *rest, struct cp_rpc_secrets *secrets)
{
	struct cp_rpc_secrets *now = &rest->secrets;

	if (rest->remote.http &&
	    is_same(now->certificate, secrets->certificate) &&
	    is_same(now->key, secrets->key) && is_same(now->ca, secrets->ca)) {
		cp_rpc_secrets_done(secrets);
		return;
	}
	if (rest->remote.http)
		cp_http_close(sn_steal(&rest->remote.http), closed_one, rest);
	cp_rpc_secrets_done(now);
	*now = *secrets;
	*secrets = (struct cp_rpc_secrets){ 0 };
	open_remote(rest);
}

static void pulse(uv_timer_t *timer)
{
	struct cp_rest *rest = sn_container_of(timer, struct cp_rest, pulse);

	cp_rest_call_look_again(rest);
	cp_rest_call_pulse(rest);
}

static void copy_options(struct cp_rest *rest,
			 const struct cp_rest_options *options)
{
	rest->options = *options;
	rest->options.hosts = NULL;
	if (options->socket_path) {
		(void)snprintf(rest->socket_path, sizeof(rest->socket_path),
			       "%s", options->socket_path);
		rest->options.socket_path = rest->socket_path;
	}
	while (rest->n_hosts <
	       SN_MIN(options->n_hosts, (size_t)CP_REST_HOSTS_MAX)) {
		(void)snprintf(rest->hosts[rest->n_hosts], CP_REST_HOST_BYTES,
			       "%s", options->hosts[rest->n_hosts]);
		rest->n_hosts++;
	}
}

int cp_rest_new(struct cp_rest **ret, const struct cp_rest_options *options)
{
	struct cp_rest *rest = calloc(1, sizeof(*rest));
	int r;

	if (!rest)
		return sn_trace(-ENOMEM);
	copy_options(rest, options);
	rest->uid = geteuid();
	LIST_INIT(&rest->calls);
	rest->local = (struct cp_rest_listener){
		.rest = rest,
		.name = "rest",
		.socket = CP_RPC_LISTEN_NONE,
	};
	rest->remote = (struct cp_rest_listener){
		.rest = rest,
		.name = "rest-tls",
		.is_remote = true,
		.socket = CP_RPC_LISTEN_NONE,
	};
	rest->n_open = 2; /* the timers */
	(void)uv_timer_init(options->loop, &rest->pulse);
	(void)uv_timer_init(options->loop, &rest->drain);
	(void)uv_timer_start(&rest->pulse, pulse, CP_REST_PULSE_MS,
			     CP_REST_PULSE_MS);
	r = cp_rest_openapi_print(options->methods, options->n_methods,
				  options->version, &rest->document);
	if (r == 0)
		r = add_routes(rest);
	if (r == 0)
		r = open_local(rest);
	if (r < 0) {
		cp_rest_close(rest, 0, NULL, NULL);
		return r;
	}
	*ret = rest;
	return 0;
}

/* The end. */

static void free_rest(struct cp_rest *rest)
{
	void (*closed)(void *userdata) = rest->closed;
	void *userdata = rest->closed_userdata;

	cp_rpc_listen_done(&rest->local.socket);
	for (size_t i = 0; i < rest->n_routes; i++) {
		char *path;

		(void)memcpy(&path, &rest->routes[i].path, sizeof(path));
		free(path);
	}
	free(rest->routes);
	free(rest->targets);
	free(rest->document);
	cp_rest_callers_free(rest->callers);
	cp_rpc_secrets_done(&rest->secrets);
	free(rest);
	if (closed)
		closed(userdata);
}

static void closed_one(void *userdata)
{
	struct cp_rest *rest = userdata;

	if (--rest->n_open == 0)
		free_rest(rest);
}

static void pulse_closed(uv_handle_t *handle)
{
	closed_one(sn_container_of((void *)handle, struct cp_rest, pulse));
}

static void drain_closed(uv_handle_t *handle)
{
	closed_one(sn_container_of((void *)handle, struct cp_rest, drain));
}

static void cut(struct cp_rest *rest)
{
	cp_rest_call_cancel_all(rest);
	if (rest->local.http)
		cp_http_close(sn_steal(&rest->local.http), closed_one, rest);
	if (rest->remote.http)
		cp_http_close(sn_steal(&rest->remote.http), closed_one, rest);
	uv_close((uv_handle_t *)&rest->pulse, pulse_closed);
	uv_close((uv_handle_t *)&rest->drain, drain_closed);
}

/* Looks at what is left a few times, so that those who end need not tell. */
static void drain(uv_timer_t *timer)
{
	struct cp_rest *rest = sn_container_of(timer, struct cp_rest, drain);
	uint64_t now_ms = uv_now(rest->options.loop);

	if (cp_rest_call_is_idle(rest) || now_ms >= rest->drain_until_ms)
		cut(rest);
}

void cp_rest_close(struct cp_rest *rest, unsigned int drain_ms,
		   void (*closed)(void *userdata), void *userdata)
{
	rest->is_stopping = true;
	rest->closed = closed;
	rest->closed_userdata = userdata;
	rest->drain_until_ms = uv_now(rest->options.loop) + drain_ms;
	cp_rest_call_cancel_streams(rest);
	(void)uv_timer_start(&rest->drain, drain, 0, DRAIN_LOOK_MS);
}

bool cp_rest_get_http(const struct cp_rest *rest, size_t index,
		      const char **name, struct cp_http_stats *ret)
{
	const struct cp_rest_listener *const listeners[] = { &rest->local,
							     &rest->remote };

	if (index >= SN_ARRAY_SIZE(listeners))
		return false;
	*name = listeners[index]->name;
	*ret = (struct cp_http_stats){ 0 };
	if (listeners[index]->http)
		cp_http_get_stats(listeners[index]->http, ret);
	return true;
}
