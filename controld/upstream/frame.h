/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Messages of a stream: two bytes of length before each (RFC 1035 4.2.2), in
 * whatever pieces they come. Pure. */

#include <stddef.h>
#include <stdint.h>

enum {
	CP_UPSTREAM_FRAME_MIN = 12, /* a header */
	CP_UPSTREAM_FRAME_KEEP = 4096, /* room that stays between messages */
};

/* Answers of cp_upstream_frame_take() besides 0 and -ENOMEM. */
enum {
	CP_UPSTREAM_FRAME_E_MORE = 1, /* everything taken, none complete */
	CP_UPSTREAM_FRAME_E_BROKEN, /* a length that no message has */
};

/* To be zeroed before use. */
struct cp_upstream_frame {
	uint8_t *bytes;
	size_t room;
	size_t n; /* of the message so far */
	size_t wanted; /* valid with both bytes of the length */
	uint8_t length[2];
	uint8_t n_length;
};

/* Takes bytes from *data, of which *size are left, until a message is
 * complete. *message may be written to and is valid until the next call. */
int cp_upstream_frame_take(struct cp_upstream_frame *frame,
			   const uint8_t **data, size_t *size,
			   uint8_t **message, size_t *message_size);
void cp_upstream_frame_done(struct cp_upstream_frame *frame);
