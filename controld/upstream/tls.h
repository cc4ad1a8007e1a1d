/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* TLS as a client, between bytes of a socket and bytes of the protocol; no
 * loop, no file descriptor. TLS 1.2 or newer; the peer's certificate must
 * chain to a trusted one and carry the name as a subject alternative name. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/diag.h"
#include "shared/util.h"

struct cp_upstream_tls_context;
struct cp_upstream_tls_session; /* of a server, to begin again with */
struct cp_upstream_tls;

/* Answers of the calls below besides 0 and -errno. */
enum {
	CP_UPSTREAM_TLS_E_MORE = 1, /* more bytes of the peer are needed */
	CP_UPSTREAM_TLS_E_CLOSED, /* the peer said goodbye */
	CP_UPSTREAM_TLS_E_REFUSED, /* not verified, or not TLS as we take it */
};

/* ca_file: PEM; NULL: the system's. Reads files. */
int cp_upstream_tls_context_new(struct cp_upstream_tls_context **ret,
				const char *ca_file, struct sn_diag *diag);
struct cp_upstream_tls_context *
cp_upstream_tls_context_free(struct cp_upstream_tls_context *context);
SN_DEFINE_CLEANUP(struct cp_upstream_tls_context, cp_upstream_tls_context_free)

/* What a server gives for the next connection is put into *session, which the
 * caller keeps beyond the connection and frees with ..._session_free(). */
int cp_upstream_tls_new(struct cp_upstream_tls **ret,
			struct cp_upstream_tls_context *context,
			const char *name, uint64_t now_ms,
			struct cp_upstream_tls_session **session);
struct cp_upstream_tls *cp_upstream_tls_free(struct cp_upstream_tls *tls);
SN_DEFINE_CLEANUP(struct cp_upstream_tls, cp_upstream_tls_free)
struct cp_upstream_tls_session *
cp_upstream_tls_session_free(struct cp_upstream_tls_session *session);
/* The server's memory of sessions goes before the connection does. */
void cp_upstream_tls_forget(struct cp_upstream_tls *tls);

/* Bytes from the peer, to be followed by handshake or read until E_MORE. */
int cp_upstream_tls_feed(struct cp_upstream_tls *tls, const uint8_t *data,
			 size_t size);
/* 0: done and verified; also to be called once to begin. */
int cp_upstream_tls_handshake(struct cp_upstream_tls *tls);
/* After the handshake. *n is above 0 on success. */
int cp_upstream_tls_read(struct cp_upstream_tls *tls, uint8_t *buffer,
			 size_t size, size_t *n);
int cp_upstream_tls_write(struct cp_upstream_tls *tls, const uint8_t *data,
			  size_t size);
/* Says goodbye, as far as that is one call. */
void cp_upstream_tls_shutdown(struct cp_upstream_tls *tls);

/* Bytes for the peer, borrowed until ..._sent() or another call. */
size_t cp_upstream_tls_output(struct cp_upstream_tls *tls,
			      const uint8_t **data);
void cp_upstream_tls_sent(struct cp_upstream_tls *tls);
