/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where to listen, as configured: "127.0.0.1:9102", "[::1]:9102". Names are not
 * looked up. */

#include <stdbool.h>
#include <sys/socket.h>

#include "shared/diag.h"

struct cp_http_address {
	struct sockaddr_storage storage;
	socklen_t size;
};

/* Answers besides 0. */
enum {
	CP_HTTP_ADDRESS_E_REFUSED = 1, /* diag says why */
};

int cp_http_address_parse(const char *text, struct cp_http_address *ret,
			  struct sn_diag *diag);

/* Does only this host reach it? */
bool cp_http_address_is_loopback(const struct cp_http_address *address);

/* A listening socket that does not block, or -errno. */
int cp_http_address_listen(const struct cp_http_address *address, int backlog);
