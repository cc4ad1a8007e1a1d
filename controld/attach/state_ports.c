/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/state_ports.h"

#include <errno.h>

void cp_attach_state_ports_pack(const struct cp_policy_ports *ports, size_t n,
				Sentinel__State__V1__Port *messages,
				Sentinel__State__V1__Port **pointers)
{
	for (size_t i = 0; i < n; i++) {
		sentinel__state__v1__port__init(&messages[i]);
		messages[i].protocol = ports[i].protocol;
		messages[i].low = ports[i].low;
		messages[i].high = ports[i].high;
		pointers[i] = &messages[i];
	}
}

int cp_attach_state_ports_unpack(
	Sentinel__State__V1__Port *const *messages, size_t n_messages,
	struct cp_policy_ports ret[CP_POLICY_PORTS_MAX], uint8_t *n)
{
	if (n_messages > CP_POLICY_PORTS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < n_messages; i++) {
		const Sentinel__State__V1__Port *one = messages[i];

		if (one->protocol > UINT8_MAX || one->high > UINT16_MAX ||
		    one->low > one->high)
			return -EBADMSG;
		ret[i] = (struct cp_policy_ports){
			.low = (uint16_t)one->low,
			.high = (uint16_t)one->high,
			.protocol = (uint8_t)one->protocol,
		};
	}
	*n = (uint8_t)n_messages;
	return 0;
}
