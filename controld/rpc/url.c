/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/url.h"

#include <arpa/inet.h>
#include <string.h>

#include "shared/util.h"

#define DIGITS "0123456789"
#define NAME_CHARS                   \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"abcdefghijklmnopqrstuvwxyz" DIGITS ".-_"

#define refuse(diag, ...) \
	(sn_diag_set(diag, NULL, __VA_ARGS__), CP_RPC_URL_E_REFUSED)

static int parse_port(const char *text, uint16_t *ret, struct sn_diag *diag)
{
	unsigned int port = 0;
	size_t n = strspn(text, DIGITS);

	if (n == 0 || n > 5 || text[n])
		return refuse(diag, "must end with a port: https://host:port");
	for (size_t i = 0; i < n; i++)
		port = 10 * port + (unsigned int)(text[i] - '0');
	if (port == 0 || port > UINT16_MAX)
		return refuse(diag, "port %u is not 1 to 65535", port);
	*ret = (uint16_t)port;
	return 0;
}

static int parse_host(const char *text, size_t n, bool is_bracketed,
		      struct cp_rpc_url *ret, struct sn_diag *diag)
{
	uint8_t address[16];

	if (n == 0 || n >= sizeof(ret->host))
		return refuse(diag, "the host's name must have 1 to %zu bytes",
			      sizeof(ret->host) - 1);
	(void)memcpy(ret->host, text, n);
	ret->host[n] = '\0';
	if (is_bracketed) {
		ret->kind = CP_RPC_URL_KIND_IPV6;
		if (inet_pton(AF_INET6, ret->host, address) != 1)
			return refuse(diag, "'%s' is no IPv6 address",
				      ret->host);
		return 0;
	}
	ret->kind = CP_RPC_URL_KIND_NAME;
	if (inet_pton(AF_INET, ret->host, address) == 1)
		ret->kind = CP_RPC_URL_KIND_IPV4;
	if (strspn(ret->host, NAME_CHARS) != n)
		return refuse(diag, "'%s' is no name of a host", ret->host);
	return 0;
}

int cp_rpc_url_parse(const char *text, struct cp_rpc_url *ret,
		     struct sn_diag *diag)
{
	static const char tls[] = "https://", plain[] = "http://";
	const char *host = NULL, *end;
	bool is_bracketed;
	int r;

	*ret = (struct cp_rpc_url){ .is_tls = true };
	if (strncmp(text, tls, strlen(tls)) == 0) {
		host = text + strlen(tls);
	} else if (strncmp(text, plain, strlen(plain)) == 0) {
		host = text + strlen(plain);
		ret->is_tls = false;
	} else {
		return refuse(diag, "must be https://host:port, or "
				    "http://host:port for plain text");
	}
	is_bracketed = *host == '[';
	host += is_bracketed;
	end = strchr(host, is_bracketed ? ']' : ':');
	if (!end || (is_bracketed && end[1] != ':'))
		return refuse(diag, "must end with a port: https://host:port");
	r = parse_host(host, (size_t)(end - host), is_bracketed, ret, diag);
	return r ? r : parse_port(end + 1 + is_bracketed, &ret->port, diag);
}
