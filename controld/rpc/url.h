/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a server is: "https://host:port", or "http://host:port" for one that
 * is spoken to in plain text. Pure. */

#include <stdbool.h>
#include <stdint.h>

#include "shared/diag.h"

enum {
	CP_RPC_URL_HOST_BYTES = 254, /* RFC 1035, NUL included */
};

/* Answers of cp_rpc_url_parse() besides 0. */
enum {
	CP_RPC_URL_E_REFUSED = 1, /* diag->text says why */
};

enum cp_rpc_url_kind {
	CP_RPC_URL_KIND_NAME,
	CP_RPC_URL_KIND_IPV4,
	CP_RPC_URL_KIND_IPV6,
};

struct cp_rpc_url {
	char host[CP_RPC_URL_HOST_BYTES]; /* an IPv6 one without brackets */
	enum cp_rpc_url_kind kind;
	uint16_t port;
	bool is_tls;
};

/* The port must be stated; paths, user names and queries are refused. */
int cp_rpc_url_parse(const char *text, struct cp_rpc_url *ret,
		     struct sn_diag *diag);
