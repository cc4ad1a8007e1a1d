/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is asked of a request's head beyond what the library asks: everything
 * that could make another reader of the same bytes, a proxy, see another
 * request (RFC 9112 5 and 6.3), is refused rather than interpreted. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CP_HTTP_CHECK_PATH_MAX = 512,
	CP_HTTP_CHECK_HEADERS_MAX = 64,
};

/* One request's head; zero at first. */
struct cp_http_check {
	unsigned int n_headers;
	unsigned int n_lengths;
	unsigned int n_encodings;
	unsigned int n_hosts;
	unsigned int deciders; /* those that came, of what may come once */
	uint64_t length; /* Content-Length */
	bool is_wrong;
};

/* One header of it. value may be NULL. */
void cp_http_check_header(struct cp_http_check *check, const char *key,
			  const char *value);

/* 0: it may be routed; else the HTTP status to refuse it with. */
unsigned int cp_http_check_done(const struct cp_http_check *check,
				const char *version, const char *path);

/* Does a body follow? */
bool cp_http_check_has_body(const struct cp_http_check *check);
