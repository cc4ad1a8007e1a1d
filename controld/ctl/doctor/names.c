// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/doctor/names.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controld/config/config.h"
#include "controld/upstream/servers.h"

#define CONFIG "/etc/sentinel/sentinel-cp.yaml"

enum {
	PATIENCE_MS = 2000, /* for an answer or a connection */
};

/* Type NS of the root, which every server can answer or refuse. */
static const uint8_t query[] = { 0x73, 0x6e, 1, 0, 0, 1, 0, 0, 0,
				 0,    0,    0, 0, 0, 2, 0, 1 };

static socklen_t make_address(const struct cp_dns_upstream *server,
			      struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *four = (struct sockaddr_in *)ret;

	(void)memset(ret, 0, sizeof(*ret));
	if (server->family == SN_FAMILY_IPV6) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(server->port);
		(void)memcpy(&six->sin6_addr, server->address, 16);
		return sizeof(*six);
	}
	four->sin_family = AF_INET;
	four->sin_port = htons(server->port);
	(void)memcpy(&four->sin_addr, server->address, 4);
	return sizeof(*four);
}

/* 0 or -errno. A server with TLS has only to take a connection. */
static int ask(const struct cp_dns_upstream *server)
{
	struct sockaddr_storage address;
	socklen_t size = make_address(server, &address);
	sn_cleanup(sn_closep) int fd =
		socket(address.ss_family,
		       (server->is_tls ? SOCK_STREAM : SOCK_DGRAM) |
			       SOCK_CLOEXEC | SOCK_NONBLOCK,
		       0);
	struct pollfd look = { .fd = fd,
			       .events = server->is_tls ? POLLOUT : POLLIN };
	socklen_t error_size = sizeof(int);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, size) < 0 &&
	    errno != EINPROGRESS)
		return -errno;
	if (!server->is_tls && send(fd, query, sizeof(query), 0) < 0)
		return -errno;
	if (poll(&look, 1, PATIENCE_MS) != 1)
		return -ETIMEDOUT;
	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size);
	return -error;
}

static void look_at_server(struct cp_ctl_doctor_findings *findings,
			   const struct cp_dns_upstream *server)
{
	char text[CP_UPSTREAM_SERVERS_TEXT_BYTES];
	int r = ask(server);

	(void)cp_upstream_servers_format(server, text);
	if (r == 0)
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_OK, "name server", NULL,
			"%s %s", text,
			server->is_tls ? "takes connections" : "answers");
	else
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_WARN, "name server",
			"see dns.upstreams in the configuration, and the "
			"network",
			"%s: %s", text, strerror(-r));
}

void cp_ctl_doctor_names_look(struct cp_ctl_doctor_findings *findings)
{
	const char *path = findings->session->options.config;
	sn_cleanup(cp_config_freep) struct cp_config *config = NULL;
	struct cp_dns_upstream servers[CP_DNS_UPSTREAMS_MAX];
	struct sn_diag diag = { .text = "" };
	char text[1024];
	size_t n = 0;
	int r;

	r = cp_config_load(path ? path : CONFIG, &config, &diag);
	if (r == -ENOENT && !path)
		r = cp_config_default(&config);
	if (r) {
		cp_ctl_doctor_findings_put(
			findings,
			r == -EACCES ? CP_CTL_DOCTOR_WARN : CP_CTL_DOCTOR_FAIL,
			"configuration",
			"sentinel-cp --check-config tells all mistakes", "%s",
			diag.text[0] ?
				sn_diag_format(&diag, text, sizeof(text)) :
				strerror(-r));
		return;
	}
	cp_ctl_doctor_findings_put(findings, CP_CTL_DOCTOR_OK, "configuration",
				   NULL, "%s", path ? path : CONFIG);
	for (size_t i = 0;
	     i < config->dns.upstreams.n_items && n < CP_DNS_UPSTREAMS_MAX; i++)
		n += cp_upstream_servers_parse(config->dns.upstreams.items[i],
					       &servers[n], &diag) == 0;
	if (n == 0)
		(void)cp_upstream_servers_read(config->dns.resolv_conf, NULL, 0,
					       servers, &n);
	if (n == 0)
		cp_ctl_doctor_findings_put(
			findings, CP_CTL_DOCTOR_FAIL, "name server",
			"name some: dns.upstreams in the configuration",
			"there is none: no name can be resolved");
	for (size_t i = 0; i < n; i++)
		look_at_server(findings, &servers[i]);
}
