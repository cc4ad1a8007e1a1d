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
	uintptr_t next; /* where the next header stands */
	bool is_wrong;
};

/* The library reads a head into one buffer, ends each part there with NUL, and
 * hands on where these begin. What it hands on has to be all of what came: the
 * next three look whether the parts lie side by side. They do not where a line
 * was folded (its text is then put behind the name of the header above), where a
 * NUL ends a part early or even the head, and where LF came without CR. None of
 * them reads what lies between.
 *
 * has_query: the path has one, which is not looked at. */
void cp_http_check_line(struct cp_http_check *check, const char *method,
			const char *path, bool has_query, const char *version);
/* The headers in their order. value may be NULL. */
void cp_http_check_place(struct cp_http_check *check, const char *key,
			 const char *value);
/* size: of the whole head, from its method on. */
void cp_http_check_end(struct cp_http_check *check, const char *method,
		       size_t size);

/* One header of it. value may be NULL. */
void cp_http_check_header(struct cp_http_check *check, const char *key,
			  const char *value);

/* 0: it may be routed; else the HTTP status to refuse it with. */
unsigned int cp_http_check_done(const struct cp_http_check *check,
				const char *version, const char *path);

/* Does a body follow? */
bool cp_http_check_has_body(const struct cp_http_check *check);
