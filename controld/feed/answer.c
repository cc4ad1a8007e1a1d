/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/feed/answer.h"

#include <string.h>

#include "controld/rpc/message.h"
#include "sentinel/v1/detector.pb-c.h"

/* Not in the middle of a character. */
static void copy_reason(const char *reason, struct cp_feed_answer *ret)
{
	size_t size = strlen(reason);

	if (size >= sizeof(ret->reason)) {
		ret->is_reason_cut = true;
		size = sizeof(ret->reason) - 1;
		while (size > 0 && ((unsigned char)reason[size] & 0xc0) == 0x80)
			size--;
	}
	(void)memcpy(ret->reason, reason, size);
	ret->reason[size] = '\0';
}

bool cp_feed_answer_read(const void *data, size_t size,
			 struct cp_feed_answer *ret)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message = NULL;
	const Sentinel__V1__DetectionResponse *answer;
	struct sn_diag diag = { .text = "" };

	if (cp_rpc_message_unpack_answer(
		    &sentinel__v1__detection_response__descriptor, data, size,
		    &message, &diag) != 0)
		return false;
	answer = (const void *)message;
	(void)memset(ret, 0, sizeof(*ret));
	if (strlen(answer->event_id) == sizeof(ret->id) - 1)
		(void)memcpy(ret->id, answer->event_id, sizeof(ret->id));
	ret->is_anomaly = answer->anomaly;
	ret->is_score_wrong = !(answer->score >= 0 && answer->score <= 1);
	ret->score = ret->is_score_wrong ? 0 : answer->score;
	copy_reason(answer->reason, ret);
	return true;
}
