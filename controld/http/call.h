/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One request, as its route sees it. What is borrowed from it lives until the
 * reply. */

#include <sys/types.h>

#include "controld/http/http.h"

/* The body, or NULL if it is empty. */
const void *cp_http_call_get_body(const struct cp_http_call *call,
				  size_t *size);

const struct cp_http_route *
cp_http_call_get_route(const struct cp_http_call *call);

/* A header, or NULL. Those that decide anything are there once at most, see
 * controld/http/check.h. */
const char *cp_http_call_get_header(const struct cp_http_call *call,
				    const char *name);

/* What stands behind '?', in its order, nothing unescaped but '+'. value: NULL
 * without '='. Until visit answers false. */
void cp_http_call_visit_query(const struct cp_http_call *call,
			      bool (*visit)(void *userdata, const char *key,
					    const char *value),
			      void *userdata);

/* The connection's, for its options only; -1: it has ended. */
int cp_http_call_get_socket(const struct cp_http_call *call);

/* The gnutls_session_t of it, or NULL. */
void *cp_http_call_get_tls(const struct cp_http_call *call);

/* What the guard knows of it, NULL at first; free_data comes with its end. */
void cp_http_call_set_data(struct cp_http_call *call, void *data,
			   void (*free_data)(void *data));
void *cp_http_call_get_data(const struct cp_http_call *call);

/* For the answer that follows, refusals included; both are constants. At most
 * 8. */
void cp_http_call_add_header(struct cp_http_call *call, const char *name,
			     const char *value);

/* Exactly one reply for each call, which is gone then. type: Content-Type, a
 * constant. The body is copied. */
void cp_http_call_reply(struct cp_http_call *call, unsigned int status,
			const char *type, const void *body, size_t size);

/* An answer that is read as it is sent: read() fills up to n bytes from `at` on,
 * which rises without gaps, and returns their number (0: it is broken off);
 * release() comes when no byte is needed any more, always once. */
struct cp_http_source {
	uint64_t size;
	size_t (*read)(void *userdata, uint64_t at, char *to, size_t n);
	void (*release)(void *userdata);
	void *userdata;
};
void cp_http_call_reply_source(struct cp_http_call *call, unsigned int status,
			       const char *type,
			       const struct cp_http_source *source);

/* What read() of a stream answers besides a number of bytes. */
#define CP_HTTP_CALL_WAIT ((size_t)0) /* until cp_http_call_wake() */
#define CP_HTTP_CALL_END  ((size_t)-1)

/* An answer without a size (source->size is not looked at), which may take as
 * long as the peer takes what there is within request_ms: who wants to keep it
 * has to have something to send at least that often. The call lives until
 * release(), which may come within this. */
void cp_http_call_reply_stream(struct cp_http_call *call, const char *type,
			       const struct cp_http_source *source);
void cp_http_call_wake(struct cp_http_call *call);
