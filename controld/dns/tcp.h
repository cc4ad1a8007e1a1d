/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Queries by TCP (RFC 7766) on all listeners of that kind. Any number of
 * queries may be sent without waiting, and the answers come as they are ready.
 * Connections are bounded, in all and for each attachment: above that the one
 * that was idle longest goes. All have turns, however much one sends. A client
 * that does not read is not read from, and is closed when it stays so. A
 * connection ends with its attachment: what is left of it is not asked for the
 * slot's next one. */

#include <uv.h>

#include "controld/dns/listen.h"
#include "controld/dns/udp.h"

struct cp_dns_tcp;

enum {
	CP_DNS_TCP_SLOT_MAX = 64, /* connections of one attachment */
	CP_DNS_TCP_QUERIES_MAX = 64, /* unanswered ones of a connection */
	CP_DNS_TCP_TURN_MAX = 32, /* queries of one before others have a turn */
	CP_DNS_TCP_WRITE_MAX = 256 * 1024, /* bytes that may wait to be read */
	CP_DNS_TCP_IDLE_MS = 10000,
};

struct cp_dns_tcp_options {
	uv_loop_t *loop;
	size_t connections_max;
	uint32_t idle_ms; /* 0: CP_DNS_TCP_IDLE_MS */
	uint32_t n_slots;
	cp_dns_udp_query_fn query;
	/* A number of the attachment that has the slot, never given again; 0:
	 * none has it. */
	uint64_t (*owner)(void *userdata, uint32_t slot);
	void *userdata;
};

struct cp_dns_tcp_stats {
	uint64_t n_accepted;
	uint64_t n_refused; /* of no attachment */
	uint64_t n_evicted; /* over a bound */
	uint64_t n_expired; /* idle, not reading, or detached */
	uint32_t n_connections;
};

int cp_dns_tcp_new(struct cp_dns_tcp **ret,
		   const struct cp_dns_tcp_options *options);

/* Takes fd, also on failure; replaces the listener of that kind. */
int cp_dns_tcp_listen(struct cp_dns_tcp *tcp, enum cp_dns_listen_kind kind,
		      const struct sn_dns *dns, int fd);
void cp_dns_tcp_unlisten(struct cp_dns_tcp *tcp, enum cp_dns_listen_kind kind);

/* Closes everything; frees itself with the last handle and unanswered query,
 * then calls closed (may be NULL). */
void cp_dns_tcp_close(struct cp_dns_tcp *tcp, void (*closed)(void *userdata),
		      void *userdata);

void cp_dns_tcp_get_stats(const struct cp_dns_tcp *tcp,
			  struct cp_dns_tcp_stats *ret);
