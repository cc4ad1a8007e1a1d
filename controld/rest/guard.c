/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rest/guard.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "controld/rest/internal.h"
#include "controld/rest/remote.h"
#include "shared/util.h"

enum {
	STATUS_FORBIDDEN = 403,
	STATUS_UNSUPPORTED_TYPE = 415,
	STATUS_MISDIRECTED = 421,
	STATUS_INTERNAL = 500,
	STATUS_UNAVAILABLE = 503,
	HOST_BYTES = 256,
};

/* "name", "name:port", "[::1]:port" without the port; false: it is none of
 * these. */
static bool take_host(const char *text, char ret[HOST_BYTES])
{
	const char *end = text[0] == '[' ? strchr(text, ']') : NULL;
	size_t size, n_digits;

	if (text[0] == '[' && !end)
		return false;
	size = end ? (size_t)(end - text) + 1 : strcspn(text, ":");
	if (size == 0 || size >= HOST_BYTES)
		return false;
	if (text[size] == ':') {
		n_digits = strspn(text + size + 1, "0123456789");
		if (n_digits == 0 || n_digits > 5 || text[size + 1 + n_digits])
			return false;
	} else if (text[size]) {
		return false;
	}
	(void)memcpy(ret, text, size);
	ret[size] = '\0';
	return true;
}

static bool is_address(const char *host)
{
	char inner[INET6_ADDRSTRLEN + 1];
	struct in6_addr address;
	size_t size = strlen(host);

	if (host[0] != '[')
		return inet_pton(AF_INET, host, &address) == 1;
	if (size < 2 || size - 2 >= sizeof(inner))
		return false;
	(void)memcpy(inner, host + 1, size - 2);
	inner[size - 2] = '\0';
	return inet_pton(AF_INET6, inner, &address) == 1;
}

/* A page of another site can have its own name lead to us; it cannot choose
 * what its browser then states as host. */
static bool is_our_host(const struct cp_rest *rest,
			const struct cp_http_call *call)
{
	const char *text = cp_http_call_get_header(call, "Host");
	char host[HOST_BYTES];

	/* Only HTTP/1.0 may be without. */
	if (!text)
		return true;
	if (!take_host(text, host))
		return false;
	for (size_t i = 0; i < rest->n_hosts; i++)
		if (strcasecmp(host, rest->hosts[i]) == 0)
			return true;
	return strcasecmp(host, "localhost") == 0 || is_address(host);
}

/* Browsers say where a page comes from that asks; others need not. There is no
 * other site that may. */
static bool is_our_origin(const struct cp_http_call *call)
{
	const char *origin = cp_http_call_get_header(call, "Origin");
	const char *site = cp_http_call_get_header(call, "Sec-Fetch-Site");
	const char *host = cp_http_call_get_header(call, "Host");
	const char *scheme = cp_http_call_get_tls(call) ? "https://" :
							  "http://";

	if (site && strcmp(site, "same-origin") != 0 &&
	    strcmp(site, "none") != 0)
		return false;
	return !origin ||
	       (host && strncmp(origin, scheme, strlen(scheme)) == 0 &&
		strcasecmp(origin + strlen(scheme), host) == 0);
}

/* A link on a page of another site leads to a whole page of ours, which may not
 * be framed, and asks for the rest by itself. */
static bool is_followed_link(const struct cp_rest_target *target,
			     const struct cp_http_call *call)
{
	const char *dest = cp_http_call_get_header(call, "Sec-Fetch-Dest");

	return target->kind == CP_REST_KIND_PAGE && dest &&
	       strcmp(dest, "document") == 0 &&
	       !cp_http_call_get_header(call, "Origin");
}

/* What a page of another site can send without being asked is not JSON. */
static bool is_json(const struct cp_http_call *call)
{
	const char *type = cp_http_call_get_header(call, "Content-Type");
	size_t size = type ? strcspn(type, "; \t") : 0;

	if (size != strlen("application/json") ||
	    strncasecmp(type, "application/json", size) != 0)
		return false;
	type += size + strspn(type + size, "; \t");
	return !type[0] || strcasecmp(type, "charset=utf-8") == 0;
}

/* Whoever may call over gRPC, and all that may be called there. */
static unsigned int judge_process(const struct cp_rest_listener *listener,
				  const struct cp_http_call *call,
				  struct cp_rest_caller *caller,
				  const char **text)
{
	const struct cp_rest *rest = listener->rest;
	int fd = cp_http_call_get_socket(call);
	socklen_t size = sizeof(caller->peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &caller->peer, &size) ==
		    0 &&
	    cp_rpc_listen_admits(fd, &caller->peer, rest->uid,
				 rest->options.gid)) {
		caller->role = CP_RPC_ROLE_ADMIN;
		return 0;
	}
	*text = "this user may not call";
	return STATUS_FORBIDDEN;
}

static unsigned int judge_method(const struct cp_http_call *call,
				 const struct cp_rpc_method *method,
				 const struct cp_rest_caller *caller,
				 const char **text)
{
	const struct cp_http_route *route = cp_http_call_get_route(call);

	if (caller->role > method->role) {
		*text = "the role of the caller does not have this call";
		return STATUS_FORBIDDEN;
	}
	if (strcmp(route->method, "POST") == 0 && !is_json(call)) {
		*text = "Content-Type must be application/json";
		return STATUS_UNSUPPORTED_TYPE;
	}
	return 0;
}

static unsigned int judge_caller(const struct cp_rest_listener *listener,
				 struct cp_http_call *call,
				 const struct cp_rest_target *target,
				 const char **text)
{
	struct cp_rest_caller *caller = calloc(1, sizeof(*caller));
	unsigned int status;

	if (!caller)
		return STATUS_INTERNAL;
	cp_http_call_set_data(call, caller, free);
	status = listener->is_remote ?
			 cp_rest_remote_judge(listener, call, caller, text) :
			 judge_process(listener, call, caller, text);
	if (!status && target->kind == CP_REST_KIND_METHOD)
		status = judge_method(call, target->method, caller, text);
	return status;
}

unsigned int cp_rest_guard(void *userdata, struct cp_http_call *call,
			   const char **text)
{
	const struct cp_rest_listener *listener = userdata;
	const struct cp_rest *rest = listener->rest;
	const struct cp_rest_target *target =
		&rest->targets[cp_http_call_get_route(call) - rest->routes];

	if (rest->is_stopping) {
		*text = "sentinel-cp is stopping";
		return STATUS_UNAVAILABLE;
	}
	if (!is_our_host(rest, call)) {
		*text = "Host is no name of this server";
		return STATUS_MISDIRECTED;
	}
	if (!is_our_origin(call) && !is_followed_link(target, call)) {
		*text = "pages of other sites may not ask";
		return STATUS_FORBIDDEN;
	}
	return target->kind == CP_REST_KIND_PAGE ?
		       0 :
		       judge_caller(listener, call, target, text);
}
