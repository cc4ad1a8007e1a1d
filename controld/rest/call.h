/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls that come by HTTP, as the handlers of the API see calls: the transport
 * beside gRPC. A stream holds what its reader has not taken of one message; the
 * handler learns by on_writable when that is gone. */

#include <stdbool.h>

struct cp_http_call;
struct cp_rest;

/* Route of every method; userdata is the listener. */
void cp_rest_call_begin(void *userdata, struct cp_http_call *http);

/* So that a reader who went away, and one who stopped reading, are noticed. */
void cp_rest_call_pulse(struct cp_rest *rest);

/* Ends the streams of those who might not open them any more. */
void cp_rest_call_look_again(struct cp_rest *rest);

/* Does no handler have a call? */
bool cp_rest_call_is_idle(const struct cp_rest *rest);

/* All streams, or all calls. */
void cp_rest_call_cancel_streams(struct cp_rest *rest);
void cp_rest_call_cancel_all(struct cp_rest *rest);
