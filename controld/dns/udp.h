/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Queries by UDP on one listener: received and answered many at a time. A reply
 * that the socket has no room for is dropped, as the network may do. */

#include <uv.h>

#include "controld/dns/listen.h"
#include "controld/dns/origin.h"

struct cp_dns_udp;

typedef void (*cp_dns_udp_query_fn)(void *userdata,
				    const struct cp_dns_origin *origin,
				    const uint8_t *message, size_t size);

struct cp_dns_udp_options {
	uv_loop_t *loop;
	enum cp_dns_listen_kind kind;
	const struct sn_dns *dns; /* copied */
	cp_dns_udp_query_fn query;
	void *userdata;
};

/* Takes fd, also on failure. */
int cp_dns_udp_new(struct cp_dns_udp **ret,
		   const struct cp_dns_udp_options *options, int fd);

/* Stops at once; frees itself when no query of its is under way any more and
 * the handles are closed, and then calls closed (may be NULL). */
void cp_dns_udp_close(struct cp_dns_udp *udp, void (*closed)(void *userdata),
		      void *userdata);
