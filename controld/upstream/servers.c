/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/servers.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "controld/config/schema_value.h"
#include "shared/util.h"

enum {
	ADDRESS_BYTES = INET6_ADDRSTRLEN,
	LABEL_MAX = 63,
	LINE_BYTES = 1024,
	LINES_MAX = 4096, /* of a resolv.conf; then it is something else */
};

static const char tls_prefix[] = "tls://";
static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

/* Text under examination; every refusal quotes all of it. */
struct input {
	char shown[CP_CONFIG_SCHEMA_VALUE_SHOWN_BYTES];
	struct sn_diag *diag;
};

static int refuse(const struct input *in, const char *why)
{
	sn_diag_set(in->diag, NULL, "'%s' %s", in->shown, why);
	return CP_UPSTREAM_SERVERS_E_REFUSED;
}

/* Digits only, 1 to 65535. */
static int parse_port(const struct input *in, const char *text, uint16_t *ret)
{
	size_t n = strlen(text);
	unsigned int value = 0;

	if (n == 0 || n > 5 || strspn(text, "0123456789") != n)
		return refuse(in, "has no port from 1 to 65535 after ':'");
	for (size_t i = 0; i < n; i++)
		value = value * 10 + (unsigned int)(text[i] - '0');
	if (value == 0 || value > UINT16_MAX || text[0] == '0')
		return refuse(in, "has no port from 1 to 65535 after ':'");
	*ret = (uint16_t)value;
	return 0;
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/* Letters, digits and inner hyphens; *is_number tells of the last label. */
static bool is_host_name(const char *name, bool *is_number)
{
	while (*name) {
		size_t n = strcspn(name, ".");

		if (n == 0 || n > LABEL_MAX || name[0] == '-' ||
		    name[n - 1] == '-')
			return false;
		for (size_t i = 0; i < n; i++)
			if (!is_letter_or_digit(name[i]) && name[i] != '-')
				return false;
		*is_number = strspn(name, "0123456789") == n;
		name += n;
		if (*name == '.' && *++name == '\0')
			return false;
	}
	return true;
}

/* Certificates are compared without regard to case and without a last dot. */
static int parse_name(const struct input *in, const char *text,
		      struct cp_dns_upstream *ret)
{
	size_t n = strlen(text);
	bool is_number = false;

	if (n > 0 && text[n - 1] == '.')
		n--;
	if (n == 0 || n >= sizeof(ret->name))
		return refuse(in, "has no name of a certificate after '#'");
	for (size_t i = 0; i < n; i++)
		ret->name[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ?
					      text[i] - 'A' + 'a' :
					      text[i]);
	if (!is_host_name(ret->name, &is_number) || is_number)
		return refuse(in, "has no host name such as dns.example.com "
				  "after '#'");
	return 0;
}

static int check_address(const struct input *in,
			 const struct cp_dns_upstream *server)
{
	static const uint8_t zero[16];
	const uint8_t *a = server->address;
	bool is_v4 = server->family == SN_FAMILY_IPV4;

	if (memcmp(a, zero, sizeof(zero)) == 0 || (is_v4 && a[0] == 0))
		return refuse(in, "is an unspecified address");
	if (is_v4 ? a[0] >= 224 : a[0] == 0xff)
		return refuse(in, "is a multicast or reserved address");
	if (!is_v4 && memcmp(a, v4_mapped, sizeof(v4_mapped)) == 0)
		return refuse(in, "is a v4-mapped address; write the IPv4 "
				  "address");
	return 0;
}

static int parse_address(const struct input *in, const char *text,
			 struct cp_dns_upstream *ret)
{
	if (strchr(text, '%'))
		return refuse(in, "has a scope; a server is reached by its "
				  "address alone");
	if (inet_pton(AF_INET, text, ret->address) == 1)
		ret->family = SN_FAMILY_IPV4;
	else if (inet_pton(AF_INET6, text, ret->address) == 1)
		ret->family = SN_FAMILY_IPV6;
	else
		return refuse(in, "is not a server such as 192.0.2.1, "
				  "[2001:db8::1]:5353 or "
				  "tls://192.0.2.1#dns.example.com");
	return check_address(in, ret);
}

/* "address", "address:port" (IPv4) or "[address]:port"; buffer is cut up. */
static int parse_place(const struct input *in, char *buffer,
		       struct cp_dns_upstream *ret)
{
	char *address = buffer;
	char *port = NULL;
	char *colon = strchr(buffer, ':');

	if (buffer[0] == '[') {
		char *end = strchr(buffer, ']');

		if (!end || (end[1] != '\0' && end[1] != ':') ||
		    !memchr(buffer, ':', (size_t)(end - buffer)))
			return refuse(in,
				      "has no IPv6 address in its brackets");
		address++;
		*end = '\0';
		port = end[1] == ':' ? end + 2 : NULL;
	} else if (colon && !strchr(colon + 1, ':')) {
		*colon = '\0';
		port = colon + 1;
	}
	if (port) {
		int r = parse_port(in, port, &ret->port);

		if (r)
			return r;
	}
	return parse_address(in, address, ret);
}

int cp_upstream_servers_parse(const char *text, struct cp_dns_upstream *ret,
			      struct sn_diag *diag)
{
	struct cp_dns_upstream server = { .port = CP_UPSTREAM_SERVERS_PORT };
	struct input in = { .diag = diag };
	char buffer[CP_UPSTREAM_SERVERS_TEXT_BYTES];
	char *name;
	int r;

	(void)cp_config_schema_value_show(text, in.shown);
	if (strncasecmp(text, tls_prefix, strlen(tls_prefix)) == 0) {
		server.is_tls = 1;
		server.port = CP_UPSTREAM_SERVERS_TLS_PORT;
		text += strlen(tls_prefix);
	}
	if (strlen(text) >= sizeof(buffer))
		return refuse(&in, "is too long for a server");
	(void)strcpy(buffer, text);

	name = strchr(buffer, '#');
	if (name)
		*name++ = '\0';
	if (!name && server.is_tls)
		return refuse(&in, "lacks '#' and the name that the server's "
				   "certificate must have");
	if (name && !server.is_tls)
		return refuse(&in, "has a name, which goes with tls:// only");

	r = parse_place(&in, buffer, &server);
	if (r == 0 && name)
		r = parse_name(&in, name, &server);
	if (r)
		return r;
	*ret = server;
	return 0;
}

char *cp_upstream_servers_format(const struct cp_dns_upstream *server,
				 char buffer[CP_UPSTREAM_SERVERS_TEXT_BYTES])
{
	bool is_v4 = server->family == SN_FAMILY_IPV4;
	uint16_t usual = server->is_tls ? CP_UPSTREAM_SERVERS_TLS_PORT :
					  CP_UPSTREAM_SERVERS_PORT;
	bool has_port = server->port != usual;
	bool has_brackets = has_port && !is_v4;
	char address[ADDRESS_BYTES] = "";
	char port[8] = "";

	(void)inet_ntop(is_v4 ? AF_INET : AF_INET6, server->address, address,
			sizeof(address));
	if (has_port)
		(void)snprintf(port, sizeof(port), ":%u",
			       (unsigned int)server->port);
	(void)snprintf(buffer, CP_UPSTREAM_SERVERS_TEXT_BYTES, "%s%s%s%s%s%s%s",
		       server->is_tls ? tls_prefix : "",
		       has_brackets ? "[" : "", address,
		       has_brackets ? "]" : "", port, server->is_tls ? "#" : "",
		       server->name);
	return buffer;
}

static bool is_listed(const struct cp_dns_upstream *server,
		      const struct cp_dns_upstream *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (server->family == list[i].family &&
		    memcmp(server->address, list[i].address,
			   sizeof(server->address)) == 0)
			return true;
	return false;
}

/* The address of a nameserver line, or NULL. */
static const char *nameserver_of(char *line)
{
	static const char blank[] = " \t\r\n";
	static const char keyword[] = "nameserver";
	char *address;

	if (strncmp(line, keyword, strlen(keyword)) != 0)
		return NULL;
	address = line + strlen(keyword);
	if (strspn(address, blank) == 0)
		return NULL;
	address += strspn(address, blank);
	address[strcspn(address, blank)] = '\0';
	return address;
}

/* The rest of a line that is longer than the buffer is no line of its own. */
static bool read_line(FILE *file, char line[LINE_BYTES])
{
	if (!fgets(line, LINE_BYTES, file))
		return false;
	if (!strchr(line, '\n')) {
		int c;

		do {
			c = getc(file);
		} while (c != '\n' && c != EOF);
	}
	return true;
}

int cp_upstream_servers_read(const char *path,
			     const struct cp_dns_upstream *skip, size_t n_skip,
			     struct cp_dns_upstream ret[CP_DNS_UPSTREAMS_MAX],
			     size_t *n)
{
	char line[LINE_BYTES];
	size_t n_found = 0;
	FILE *file;
	int r = 0;

	file = fopen(path, "re");
	if (!file)
		return sn_trace(-errno);
	for (int i = 0; i < LINES_MAX && n_found < CP_DNS_UPSTREAMS_MAX &&
			read_line(file, line);
	     i++) {
		const char *address = nameserver_of(line);
		struct cp_dns_upstream server = {
			.port = CP_UPSTREAM_SERVERS_PORT,
		};
		struct sn_diag unsaid;
		struct input in = { .diag = &unsaid };

		if (address && parse_address(&in, address, &server) == 0 &&
		    !is_listed(&server, skip, n_skip) &&
		    !is_listed(&server, ret, n_found))
			ret[n_found++] = server;
	}
	if (ferror(file))
		r = -EIO;
	(void)fclose(file);
	if (r < 0)
		return sn_trace(r);
	*n = n_found;
	return 0;
}
