/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "shared/util.h"

static int refuse(const char *text, struct sn_diag *diag)
{
	sn_diag_set(diag, NULL,
		    "'%.64s' is not ADDRESS:PORT (127.0.0.1:9102, [::1]:9102)",
		    text);
	return CP_HTTP_ADDRESS_E_REFUSED;
}

/* 1 to 65535, digits only; 0: it is not. */
static in_port_t parse_port(const char *text)
{
	unsigned int port = 0;

	for (; *text; text++) {
		if (*text < '0' || *text > '9' || port > UINT16_MAX)
			return 0;
		port = port * 10 + (unsigned int)(*text - '0');
	}
	return port > UINT16_MAX ? 0 : (in_port_t)port;
}

int cp_http_address_parse(const char *text, struct cp_http_address *ret,
			  struct sn_diag *diag)
{
	struct cp_http_address address = { .size = 0 };
	struct sockaddr_in *in4 = (struct sockaddr_in *)&address.storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address.storage;
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	in_port_t port;
	size_t size;

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return refuse(text, diag);
	port = parse_port(colon + 1);
	size = (size_t)(colon - text);
	if (port == 0 || size == 0)
		return refuse(text, diag);
	(void)memcpy(host, text, size);
	host[size] = '\0';
	if (host[0] == '[' && host[size - 1] == ']') {
		host[size - 1] = '\0';
		if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1)
			return refuse(text, diag);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		address.size = sizeof(*in6);
	} else {
		if (inet_pton(AF_INET, host, &in4->sin_addr) != 1)
			return refuse(text, diag);
		in4->sin_family = AF_INET;
		in4->sin_port = htons(port);
		address.size = sizeof(*in4);
	}
	*ret = address;
	return 0;
}

bool cp_http_address_is_loopback(const struct cp_http_address *address)
{
	const struct sockaddr_in *in4 =
		(const struct sockaddr_in *)&address->storage;
	const struct sockaddr_in6 *in6 =
		(const struct sockaddr_in6 *)&address->storage;

	if (address->storage.ss_family == AF_INET)
		return ntohl(in4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

int cp_http_address_listen(const struct cp_http_address *address, int backlog)
{
	sn_cleanup(sn_closep) int fd = -1;
	int yes = 1;

	fd = socket(address->storage.ss_family,
		    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, (const struct sockaddr *)&address->storage,
		 address->size) < 0 ||
	    listen(fd, backlog) < 0)
		return -errno;
	return sn_steal_fd(&fd);
}
