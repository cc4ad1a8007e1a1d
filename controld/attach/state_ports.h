/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Ports of rules in the state file, for state.c and state_dns.c. */

#include "controld/policy/ports.h"
#include "sentinel/state/v1/state.pb-c.h"

/* messages and pointers: room for n. */
void cp_attach_state_ports_pack(const struct cp_policy_ports *ports, size_t n,
				Sentinel__State__V1__Port *messages,
				Sentinel__State__V1__Port **pointers);

/* -EBADMSG: they are too many, or one is no range of ports. */
int cp_attach_state_ports_unpack(
	Sentinel__State__V1__Port *const *messages, size_t n_messages,
	struct cp_policy_ports ret[CP_POLICY_PORTS_MAX], uint8_t *n);
