/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/server.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "controld/upstream/stream.h"
#include "controld/upstream/udp.h"

static void fill_address(struct cp_upstream_server *server)
{
	const struct cp_dns_upstream *config = &server->config;
	struct sockaddr_in *v4 = (void *)&server->address;
	struct sockaddr_in6 *v6 = (void *)&server->address;

	if (config->family == SN_FAMILY_IPV4) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(config->port);
		(void)memcpy(&v4->sin_addr, config->address,
			     sizeof(v4->sin_addr));
		server->address_size = sizeof(*v4);
	} else {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(config->port);
		(void)memcpy(&v6->sin6_addr, config->address,
			     sizeof(v6->sin6_addr));
		server->address_size = sizeof(*v6);
	}
}

int cp_upstream_server_get(struct cp_upstream *upstream,
			   const struct cp_dns_upstream *config,
			   struct cp_upstream_server **ret)
{
	struct cp_upstream_server *server;

	LIST_FOREACH(server, &upstream->servers, link)
		if (memcmp(&server->config, config, sizeof(*config)) == 0)
			break;
	if (!server) {
		server = calloc(1, sizeof(*server));
		if (!server)
			return sn_trace(-ENOMEM);
		server->upstream = upstream;
		server->config = *config;
		fill_address(server);
		TAILQ_INIT(&server->udp_queue);
		TAILQ_INIT(&server->stream_queue);
		LIST_INSERT_HEAD(&upstream->servers, server, link);
	}
	server->n_users++;
	*ret = server;
	return 0;
}

struct cp_upstream_server *
cp_upstream_server_unref(struct cp_upstream_server *server)
{
	if (!server || --server->n_users > 0)
		return NULL;
	cp_upstream_udp_keep(server, true);
	cp_upstream_stream_keep(server, true);
	if (server->is_ready)
		TAILQ_REMOVE(&server->upstream->ready, server, ready_link);
	LIST_REMOVE(server, link);
	(void)cp_upstream_tls_session_free(server->session);
	free(server);
	return NULL;
}

void cp_upstream_server_answered(struct cp_upstream_server *server)
{
	server->answered_ms = cp_upstream_now(server->upstream);
	server->down_until_ms = 0;
	server->down_ms = 0;
}

static void put_down(struct cp_upstream_server *server)
{
	const uint64_t try_ms = server->upstream->try_ms;

	if (server->down_ms == 0)
		server->down_ms = CP_UPSTREAM_SERVER_DOWN_TRIES * try_ms;
	else
		server->down_ms =
			SN_MIN(server->down_ms * 2,
			       CP_UPSTREAM_SERVER_DOWN_MAX_TRIES * try_ms);
	server->down_until_ms =
		cp_upstream_now(server->upstream) + server->down_ms;
}

void cp_upstream_server_failed(struct cp_upstream_server *server)
{
	if (!cp_upstream_server_is_down(server))
		put_down(server);
}

bool cp_upstream_server_is_down(const struct cp_upstream_server *server)
{
	return server->down_until_ms > cp_upstream_now(server->upstream);
}

bool cp_upstream_server_take_probe(struct cp_upstream_server *server)
{
	if (server->down_ms == 0 || cp_upstream_server_is_down(server))
		return false;
	put_down(server);
	return true;
}
