/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The resolver of all attachments: eight listeners, the query path and the
 * upstream engine. It begins to listen when sentinel-dp says where, goes on
 * when that is away, and opens listeners anew when addresses or interfaces have
 * changed. */

#include <uv.h>

#include "controld/attach/dns.h"
#include "controld/dns/listen.h"
#include "controld/dns/resolve.h"
#include "controld/dns/tcp.h"
#include "controld/upstream/upstream.h"
#include "shared/diag.h"

struct cp_dns_server;

struct cp_dns_server_options {
	uv_loop_t *loop;
	struct cp_attach *manager;
	struct cp_upstream_options upstream; /* loop is filled in here */
	/* The daemon's servers; none: those of resolv_conf, which is looked at
	 * every few seconds. */
	struct cp_dns_upstream servers[CP_DNS_UPSTREAMS_MAX];
	size_t n_servers;
	const char *resolv_conf; /* copied */
	size_t cache_bytes;
	uint32_t ttl_floor_s;
	uint32_t grace_s;
	enum cp_dns_denied denied;
	size_t tcp_connections_max;
	uint32_t tcp_idle_ms;
	uint32_t n_slots; /* the most that sentinel-dp may have */
};

struct cp_dns_server_status {
	struct cp_dns_resolve_stats resolve;
	struct cp_dns_tcp_stats tcp;
	struct cp_upstream_stats upstream;
	size_t n_upstreams; /* the daemon's own, in force */
	unsigned int n_listeners;
	unsigned int n_listeners_wanted;
	char last_error[SN_DIAG_TEXT_BYTES]; /* of a listener; or "" */
};

/* diag is filled for every failure but -ENOMEM. */
int cp_dns_server_new(struct cp_dns_server **ret,
		      const struct cp_dns_server_options *options,
		      struct sn_diag *diag);

/* Takes over ttl_floor_s, grace_s and denied. */
void cp_dns_server_reload(struct cp_dns_server *server,
			  const struct cp_dns_server_options *options);

/* As cp_dns_resolve_put_proxy(). */
void cp_dns_server_put_proxy(struct cp_dns_server *server,
			     struct cp_dns_proxy *proxy);

/* Before the manager is closed. Queries under way get no reply; with a service
 * manager those that wait in the sockets are answered by the next process. Then
 * calls closed (may be NULL) from the loop. */
void cp_dns_server_close(struct cp_dns_server *server,
			 void (*closed)(void *userdata), void *userdata);

void cp_dns_server_get_status(const struct cp_dns_server *server,
			      struct cp_dns_server_status *ret);
