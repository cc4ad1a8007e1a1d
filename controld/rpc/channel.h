/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A gRPC client for the loop: a connection to one server at a time, on which
 * calls are made (controld/rpc/outcall.h). Everything runs on the loop's
 * thread; reading files is left to a worker, the network to gRPC's threads.
 *
 * TLS is 1.3 (see core.c). The server's certificate must lead to the stated
 * authorities, bear the host's name, and have a pinned key if there are pins.
 * gRPC's retries and proxies and the servers' service configuration are switched
 * off: the caller alone decides when to connect again, by opening the channel
 * anew. */

#include <uv.h>

#include "controld/rpc/peer.h"
#include "controld/rpc/secrets.h"
#include "controld/rpc/url.h"
#include "shared/diag.h"

struct cp_rpc_channel;

struct cp_rpc_channel_options {
	struct cp_rpc_url url;
	/* Borrowed until the channel is opened anew or closed. ca is needed
	 * for TLS; certificate and key go together; token goes with every
	 * call ("authorization: Bearer"). */
	struct cp_rpc_secrets_files files;
	struct cp_rpc_peer_pin pins[CP_RPC_PEER_PINS_MAX];
	size_t n_pins;
	/* Messages over this end their call. */
	size_t max_message_bytes;
	/* A service's method whose answers have a limit of their own, with
	 * many of them at one time; NULL: none has. Borrowed as files are. */
	const char *small_service;
	const char *small_method;
	size_t max_small_bytes;
	/* A ping after so long without a sign of the server, and how long its
	 * answer (as well as any acknowledgement of TCP's) may take. */
	unsigned int keepalive_ms;
	unsigned int keepalive_timeout_ms;
};

/* r: 0, or diag says why it cannot be opened. */
typedef void (*cp_rpc_channel_opened)(void *userdata, int r,
				      const struct sn_diag *diag);

int cp_rpc_channel_new(struct cp_rpc_channel **ret, uv_loop_t *loop);

/* Reads the files and puts a new connection in the place of the old one, whose
 * calls go on until they end or are cancelled. opened is called once, from the
 * loop; it says nothing about the server, which is first spoken to by a call.
 * One at a time. -errno: could not be started, opened is not called. */
int cp_rpc_channel_open(struct cp_rpc_channel *channel,
			const struct cp_rpc_channel_options *options,
			cp_rpc_channel_opened opened, void *userdata);

/* Cancels all calls, each of which ends by its callback, and frees the
 * channel; then calls closed (may be NULL) from the loop. A pending opened is
 * not called any more. */
void cp_rpc_channel_close(struct cp_rpc_channel *channel,
			  void (*closed)(void *userdata), void *userdata);
