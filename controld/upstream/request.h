/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The course of one question: which server when, and how it ends. */

#include "controld/upstream/internal.h"

int cp_upstream_request_new(struct cp_upstream_set *set,
			    const struct cp_upstream_question *question,
			    cp_upstream_fn fn, void *userdata,
			    struct cp_upstream_request **ret);
/* Takes it out of everything without a word. */
struct cp_upstream_request *
cp_upstream_request_free(struct cp_upstream_request *request);
/* Tells the user and frees it. The message is cleaned by the caller. */
void cp_upstream_request_finish(struct cp_upstream_request *request,
				const struct cp_upstream_answer *answer);
/* The deadline has passed. */
void cp_upstream_request_time_out(struct cp_upstream_request *request);

/* What the message of this try is. */
struct cp_upstream_query
cp_upstream_request_query(const struct cp_upstream_try *try);

/* From udp.c and stream.c, which have let go of the try before. Each may end
 * the request, and with it the try. */

/* A message that matches; is_truncated also if it did not fit the buffer. */
void cp_upstream_request_answered(struct cp_upstream_try *try, uint8_t *message,
				  size_t size, bool is_truncated);
/* FORMERR or NOTIMP without a question. */
void cp_upstream_request_bare(struct cp_upstream_try *try);
/* Something is wrong with the answers by UDP: a stream cannot be forged. */
void cp_upstream_request_distrust(struct cp_upstream_try *try);
/* The server cannot be spoken to (CP_UPSTREAM_E_*), or we lack what it takes
 * (-errno), which says nothing of the server. */
void cp_upstream_request_failed(struct cp_upstream_try *try, int why);
