/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/setup.h"

#include "controld/upstream/servers.h"

enum { SLOTS = 1 << 18 }; /* the most that sentinel-dp can be given */

static void read_config(const struct cp_config *config,
			struct cp_dns_server_options *options)
{
	struct sn_diag diag = { .line = 0 };

	options->upstream = (struct cp_upstream_options){
		.timeout_ms = (uint32_t)config->dns.timeouts.question_ms,
		.try_ms = (uint32_t)config->dns.timeouts.retry_ms,
		.tcp_idle_ms = (uint32_t)config->dns.timeouts.tcp_idle_ms,
	};
	options->resolv_conf = config->dns.resolv_conf;
	options->cache_bytes = config->dns.cache_bytes;
	options->ttl_floor_s = (uint32_t)config->dns.ttl_floor_s;
	options->grace_s = (uint32_t)config->dns.grace_s;
	options->denied = cp_config_get_denied(config);
	options->tcp_connections_max = config->dns.max_tcp_connections;
	options->tcp_idle_ms = (uint32_t)config->dns.timeouts.tcp_idle_ms;
	options->n_slots = SLOTS;
	/* They were checked when the configuration was read. */
	for (size_t i = 0; i < config->dns.upstreams.n_items; i++)
		(void)cp_upstream_servers_parse(
			config->dns.upstreams.items[i],
			&options->servers[options->n_servers++], &diag);
}

int cp_dns_setup_new(struct cp_dns_server **ret, uv_loop_t *loop,
		     struct cp_attach *manager, const struct cp_config *config,
		     struct sn_diag *diag)
{
	struct cp_dns_server_options options = { .loop = loop,
						 .manager = manager };

	read_config(config, &options);
	return cp_dns_server_new(ret, &options, diag);
}

void cp_dns_setup_reload(struct cp_dns_server *server,
			 const struct cp_config *config)
{
	struct cp_dns_server_options options = { .n_servers = 0 };

	read_config(config, &options);
	cp_dns_server_reload(server, &options);
}
