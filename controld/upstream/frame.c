/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/util.h"

/* A large message does not keep its memory for an idle stream's life. */
static int make_room(struct cp_upstream_frame *frame)
{
	size_t room = SN_MAX(frame->wanted, (size_t)CP_UPSTREAM_FRAME_KEEP);
	uint8_t *bytes;

	if (room == frame->room)
		return 0;
	bytes = malloc(room);
	if (!bytes)
		return -ENOMEM;
	free(frame->bytes);
	frame->bytes = bytes;
	frame->room = room;
	return 0;
}

/* 0 once the length is known and there is room for the message. */
static int take_length(struct cp_upstream_frame *frame, const uint8_t **data,
		       size_t *size)
{
	while (frame->n_length < sizeof(frame->length)) {
		if (*size == 0)
			return CP_UPSTREAM_FRAME_E_MORE;
		frame->length[frame->n_length++] = *(*data)++;
		(*size)--;
		if (frame->n_length < sizeof(frame->length))
			continue;
		frame->wanted = (size_t)frame->length[0] << 8 |
				frame->length[1];
		if (frame->wanted < CP_UPSTREAM_FRAME_MIN)
			return CP_UPSTREAM_FRAME_E_BROKEN;
		return make_room(frame);
	}
	return 0;
}

int cp_upstream_frame_take(struct cp_upstream_frame *frame,
			   const uint8_t **data, size_t *size,
			   uint8_t **message, size_t *message_size)
{
	size_t n;
	int r;

	r = take_length(frame, data, size);
	if (r)
		return r;
	n = SN_MIN(*size, frame->wanted - frame->n);
	if (n > 0)
		(void)memcpy(frame->bytes + frame->n, *data, n);
	frame->n += n;
	*data += n;
	*size -= n;
	if (frame->n < frame->wanted)
		return CP_UPSTREAM_FRAME_E_MORE;

	*message = frame->bytes;
	*message_size = frame->wanted;
	frame->n = 0;
	frame->n_length = 0;
	return 0;
}

void cp_upstream_frame_done(struct cp_upstream_frame *frame)
{
	free(frame->bytes);
	*frame = (struct cp_upstream_frame){ .bytes = NULL };
}
