/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Handlers of the methods about names (on_call of controld/rpc/server.h). */

#include "controld/dns/learnt.h"
#include "controld/rpc/call.h"
#include "sentinel/v1/daemon.pb-c.h"

#define CP_API_DOMAIN(name)                                 \
	void cp_api_domain_##name(struct cp_rpc_call *call, \
				  const ProtobufCMessage *message, void *user)

CP_API_DOMAIN(allow);
CP_API_DOMAIN(deny);
CP_API_DOMAIN(remove);
CP_API_DOMAIN(set_mode);
CP_API_DOMAIN(read_rules);
CP_API_DOMAIN(read_learnt);

/* A row as answers carry it, in one allocation that free() releases; NULL: no
 * memory. */
Sentinel__V1__Learnt *
cp_api_domain_make_learnt(const struct cp_dns_learnt_row *row, uint64_t now_ns);
