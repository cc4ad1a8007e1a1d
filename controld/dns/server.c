/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/dns/identity.h"
#include "controld/dns/udp.h"
#include "controld/upstream/servers.h"
#include "shared/log.h"

enum {
	RETRY_MS = 3000, /* for listeners that could not be opened */
	RESOLV_CONF_MS = 5000, /* how often it is looked at */
};

struct cp_dns_server {
	struct cp_dns_server_options options;
	char *resolv_conf;
	struct cp_upstream *upstream;
	struct cp_dns_resolve *resolve;
	struct cp_dns_tcp *tcp;
	struct cp_dns_udp *udp[CP_DNS_LISTEN_COUNT];
	bool is_open[CP_DNS_LISTEN_COUNT];
	struct sn_dns dns; /* for which listeners are open */
	bool has_dns;
	bool has_restored;
	int filter_tc; /* own copies of the programs' fds */
	int filter_cgroup;
	int told[CP_DNS_LISTEN_COUNT]; /* errors that were logged */
	char last_error[SN_DIAG_TEXT_BYTES];
	size_t n_upstreams;
	uv_timer_t retry;
	uv_timer_t look; /* at resolv.conf */
	/* What the worker reads and writes, and what it found before. */
	uv_work_t reading;
	struct sn_dns reading_dns;
	struct cp_dns_upstream found[CP_DNS_UPSTREAMS_MAX];
	size_t n_found;
	bool is_reading;
	struct cp_dns_upstream before[CP_DNS_UPSTREAMS_MAX];
	size_t n_before;
	bool has_read;
	unsigned int n_pending; /* handles, sockets, engine, work */
	bool is_closing;
	void (*closed)(void *userdata);
	void *closed_userdata;
};

static void end_if_done(struct cp_dns_server *server)
{
	void (*closed)(void *userdata) = server->closed;
	void *userdata = server->closed_userdata;

	if (!server->is_closing || server->n_pending || server->is_reading)
		return;
	sn_closep(&server->filter_tc);
	sn_closep(&server->filter_cgroup);
	free(server->resolv_conf);
	free(server);
	if (closed)
		closed(userdata);
}

static void part_closed(void *userdata)
{
	struct cp_dns_server *server = userdata;

	server->n_pending--;
	end_if_done(server);
}

static void on_query(void *userdata, const struct cp_dns_origin *origin,
		     const uint8_t *message, size_t size)
{
	struct cp_dns_server *server = userdata;

	cp_dns_resolve_query(server->resolve, origin, message, size);
}

static bool is_wanted(const struct cp_dns_server *server,
		      enum cp_dns_listen_kind kind)
{
	if (!server->has_dns)
		return false;
	if (cp_dns_listen_is_cgroup(kind))
		return server->filter_cgroup >= 0;
	return server->filter_tc >= 0 && server->dns.has_tc;
}

static void close_listener(struct cp_dns_server *server,
			   enum cp_dns_listen_kind kind)
{
	if (!server->is_open[kind])
		return;
	server->is_open[kind] = false;
	cp_dns_listen_unstore(kind, &server->dns);
	if (cp_dns_listen_is_tcp(kind)) {
		cp_dns_tcp_unlisten(server->tcp, kind);
		return;
	}
	cp_dns_udp_close(sn_steal(&server->udp[kind]), part_closed, server);
}

/* Takes fd. */
static int start_listener(struct cp_dns_server *server,
			  enum cp_dns_listen_kind kind, int fd)
{
	struct cp_dns_udp_options options = {
		.loop = server->options.loop,
		.kind = kind,
		.dns = &server->dns,
		.query = on_query,
		.userdata = server,
	};
	int r;

	if (cp_dns_listen_is_tcp(kind))
		return cp_dns_tcp_listen(server->tcp, kind, &server->dns, fd);
	r = cp_dns_udp_new(&server->udp[kind], &options, fd);
	if (r == 0)
		server->n_pending++;
	return r;
}

/* fd: one from the store, or -1. */
static int open_listener(struct cp_dns_server *server,
			 enum cp_dns_listen_kind kind, int fd)
{
	int filter = cp_dns_listen_is_cgroup(kind) ? server->filter_cgroup :
						     server->filter_tc;
	struct sn_diag diag = { .line = 0 };
	bool is_new = fd < 0;
	int r;

	if (is_new)
		fd = cp_dns_listen_open(kind, &server->dns, filter, &diag);
	if (fd < 0) {
		if (server->told[kind] != fd)
			sn_log(SN_LOG_WARNING,
			       "dns-listener error='%s': tried again; what "
			       "asks there waits",
			       diag.text);
		server->told[kind] = fd;
		(void)snprintf(server->last_error, sizeof(server->last_error),
			       "%s", diag.text);
		return fd;
	}
	server->told[kind] = 0;
	/* Kept is what is in use: each try that fails would leave one more. */
	r = start_listener(server, kind, fd);
	if (r == 0 && is_new)
		cp_dns_listen_store(kind, &server->dns, fd);
	else if (r < 0 && !is_new)
		cp_dns_listen_unstore(kind, &server->dns);
	server->is_open[kind] = r == 0;
	return r;
}

static void on_retry(uv_timer_t *timer);

static void open_listeners(struct cp_dns_server *server)
{
	int fds[CP_DNS_LISTEN_COUNT];
	bool is_missing = false;

	(void)memset(fds, 0xff, sizeof(fds));
	if (!server->has_restored)
		cp_dns_listen_restore(&server->dns, fds);
	server->has_restored = true;
	for (int i = 0; i < CP_DNS_LISTEN_COUNT; i++) {
		enum cp_dns_listen_kind kind = (enum cp_dns_listen_kind)i;

		if (server->is_open[i] || !is_wanted(server, kind)) {
			sn_closep(&fds[i]);
			continue;
		}
		if (open_listener(server, kind, fds[i]) < 0)
			is_missing = true;
	}
	if (is_missing)
		(void)uv_timer_start(&server->retry, on_retry, RETRY_MS, 0);
	else
		server->last_error[0] = '\0';
}

static void on_retry(uv_timer_t *timer)
{
	open_listeners(timer->data);
}

/* Is there a difference that sockets or filters see? The mark of packets on
 * their way back is not among them, nor is the rate. */
static bool is_same(const struct sn_dns *a, const struct sn_dns *b)
{
	struct sn_dns x = *a, y = *b;

	x.mark = y.mark = 0;
	x.query_ns = y.query_ns = 0;
	return memcmp(&x, &y, sizeof(x)) == 0;
}

static void keep_filter(int *own, int fd)
{
	sn_closep(own);
	if (fd >= 0)
		*own = dup(fd);
}

static void on_path(void *userdata, const struct cp_attach_dns_path *path)
{
	struct cp_dns_server *server = userdata;

	if (server->has_dns && !is_same(&server->dns, path->dns)) {
		for (int i = 0; i < CP_DNS_LISTEN_COUNT; i++)
			close_listener(server, (enum cp_dns_listen_kind)i);
	}
	keep_filter(&server->filter_tc, path->filter_tc);
	keep_filter(&server->filter_cgroup, path->filter_cgroup);
	server->dns = *path->dns;
	server->has_dns = true;
	open_listeners(server);
}

static void put_upstreams(struct cp_dns_server *server,
			  const struct cp_dns_upstream *servers, size_t n)
{
	int r = cp_dns_resolve_put_upstreams(server->resolve, servers, n,
					     false);

	if (r < 0) {
		sn_log(SN_LOG_ERROR,
		       "dns-upstreams error='%s': the ones before stay",
		       strerror(-r));
		return;
	}
	if (n == 0)
		sn_log(SN_LOG_WARNING,
		       "dns-upstreams n=0: neither the configuration nor %s "
		       "names a server, so that names fail",
		       server->resolv_conf);
	else
		sn_log(SN_LOG_INFO, "dns-upstreams n=%zu", n);
	server->n_upstreams = n;
}

/* Our own addresses in resolv.conf would send questions round in a circle. */
static size_t list_own(const struct sn_dns *dns, struct cp_dns_upstream own[2])
{
	struct in_addr resolver4 = cp_dns_identity_resolver4(dns);
	struct in6_addr resolver6 = cp_dns_identity_resolver6(dns);

	(void)memset(own, 0, 2 * sizeof(*own));
	own[0].family = SN_FAMILY_IPV4;
	own[0].port = CP_UPSTREAM_SERVERS_PORT;
	(void)memcpy(own[0].address, &resolver4, sizeof(resolver4));
	own[1].family = SN_FAMILY_IPV6;
	own[1].port = CP_UPSTREAM_SERVERS_PORT;
	(void)memcpy(own[1].address, &resolver6, sizeof(resolver6));
	return 2;
}

/* On a worker. */
static void read_file(uv_work_t *work)
{
	struct cp_dns_server *server = work->data;
	struct cp_dns_upstream own[2];
	size_t n_own = list_own(&server->reading_dns, own);

	server->n_found = 0;
	if (cp_upstream_servers_read(server->resolv_conf, own, n_own,
				     server->found, &server->n_found) < 0)
		server->n_found = 0;
}

static void file_read(uv_work_t *work, int status)
{
	struct cp_dns_server *server = work->data;
	size_t n = server->n_found;
	size_t bytes = n * sizeof(server->found[0]);

	server->is_reading = false;
	if (server->is_closing) {
		end_if_done(server);
		return;
	}
	/* A file that is being rewritten has no server for a moment. */
	if (status < 0 ||
	    (server->has_read &&
	     (n == 0 || (n == server->n_before &&
			 memcmp(server->before, server->found, bytes) == 0))))
		return;
	server->has_read = true;
	server->n_before = n;
	(void)memcpy(server->before, server->found, bytes);
	put_upstreams(server, server->found, n);
}

static void on_look(uv_timer_t *timer)
{
	struct cp_dns_server *server = timer->data;

	if (server->is_reading)
		return;
	server->reading.data = server;
	server->reading_dns = server->dns;
	server->is_reading = uv_queue_work(server->options.loop,
					   &server->reading, read_file,
					   file_read) == 0;
}

static void begin(struct cp_dns_server *server)
{
	(void)uv_timer_init(server->options.loop, &server->retry);
	(void)uv_timer_init(server->options.loop, &server->look);
	server->retry.data = server;
	server->look.data = server;
	server->n_pending += 2;
	if (server->options.n_servers > 0)
		put_upstreams(server, server->options.servers,
			      server->options.n_servers);
	else
		(void)uv_timer_start(&server->look, on_look, 0, RESOLV_CONF_MS);
	cp_attach_dns_watch_path(server->options.manager, on_path, server);
}

static struct cp_dns_server *free_half(struct cp_dns_server *server)
{
	if (!server)
		return NULL;
	cp_dns_resolve_free(server->resolve);
	if (server->tcp)
		cp_dns_tcp_close(server->tcp, NULL, NULL);
	if (server->upstream)
		cp_upstream_close(server->upstream, NULL, NULL);
	free(server->resolv_conf);
	free(server);
	return NULL;
}
SN_DEFINE_CLEANUP(struct cp_dns_server, free_half)

static uint64_t owner_of(void *userdata, uint32_t slot)
{
	struct cp_dns_server *server = userdata;
	struct cp_attach_dns_view view;

	if (!cp_attach_dns_get(server->options.manager, slot, &view))
		return 0;
	return view.number;
}

static int open_parts(struct cp_dns_server *server, struct sn_diag *diag)
{
	const struct cp_dns_server_options *options = &server->options;
	struct cp_dns_resolve_options resolve = {
		.manager = options->manager,
		.cache_bytes = options->cache_bytes,
		.ttl_floor_s = options->ttl_floor_s,
		.grace_s = options->grace_s,
		.denied = options->denied,
		.n_slots = options->n_slots,
	};
	struct cp_dns_tcp_options tcp = {
		.loop = options->loop,
		.connections_max = options->tcp_connections_max,
		.idle_ms = options->tcp_idle_ms,
		.n_slots = options->n_slots,
		.query = on_query,
		.owner = owner_of,
		.userdata = server,
	};
	int r;

	r = cp_upstream_new(&server->upstream, &options->upstream, diag);
	if (r < 0)
		return r;
	resolve.upstream = server->upstream;
	r = cp_dns_resolve_new(&server->resolve, &resolve);
	return r < 0 ? r : cp_dns_tcp_new(&server->tcp, &tcp);
}

int cp_dns_server_new(struct cp_dns_server **ret,
		      const struct cp_dns_server_options *options,
		      struct sn_diag *diag)
{
	sn_cleanup(free_halfp) struct cp_dns_server *server = NULL;
	int r;

	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->options = *options;
	server->options.upstream.loop = options->loop;
	server->filter_tc = -1;
	server->filter_cgroup = -1;
	server->resolv_conf = strdup(options->resolv_conf);
	if (!server->resolv_conf)
		return -ENOMEM;
	r = open_parts(server, diag);
	if (r < 0)
		return r;
	server->n_pending = 2; /* upstream, tcp */
	begin(server);
	*ret = sn_steal(&server);
	return 0;
}

void cp_dns_server_reload(struct cp_dns_server *server,
			  const struct cp_dns_server_options *options)
{
	struct cp_dns_resolve_options resolve = {
		.ttl_floor_s = options->ttl_floor_s,
		.grace_s = options->grace_s,
		.denied = options->denied,
	};

	cp_dns_resolve_reload(server->resolve, &resolve);
}

void cp_dns_server_put_proxy(struct cp_dns_server *server,
			     struct cp_dns_proxy *proxy)
{
	cp_dns_resolve_put_proxy(server->resolve, proxy);
}

static void timer_closed(uv_handle_t *handle)
{
	part_closed(handle->data);
}

void cp_dns_server_close(struct cp_dns_server *server,
			 void (*closed)(void *userdata), void *userdata)
{
	server->is_closing = true;
	server->closed = closed;
	server->closed_userdata = userdata;
	cp_attach_dns_watch_path(server->options.manager, NULL, NULL);
	server->resolve = cp_dns_resolve_free(server->resolve);
	for (int i = 0; i < CP_DNS_LISTEN_COUNT; i++) {
		if (server->udp[i])
			cp_dns_udp_close(sn_steal(&server->udp[i]), part_closed,
					 server);
	}
	cp_dns_tcp_close(sn_steal(&server->tcp), part_closed, server);
	cp_upstream_close(sn_steal(&server->upstream), part_closed, server);
	uv_close((uv_handle_t *)&server->retry, timer_closed);
	uv_close((uv_handle_t *)&server->look, timer_closed);
}

void cp_dns_server_get_status(const struct cp_dns_server *server,
			      struct cp_dns_server_status *ret)
{
	(void)memset(ret, 0, sizeof(*ret));
	cp_dns_resolve_get_stats(server->resolve, &ret->resolve);
	cp_dns_tcp_get_stats(server->tcp, &ret->tcp);
	cp_upstream_get_stats(server->upstream, &ret->upstream);
	ret->n_upstreams = server->n_upstreams;
	(void)memcpy(ret->last_error, server->last_error,
		     sizeof(ret->last_error));
	for (int i = 0; i < CP_DNS_LISTEN_COUNT; i++) {
		ret->n_listeners += server->is_open[i];
		ret->n_listeners_wanted +=
			is_wanted(server, (enum cp_dns_listen_kind)i);
	}
}
