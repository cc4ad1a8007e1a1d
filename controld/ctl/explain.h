/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sentinelctl explain. */

#include <stdbool.h>
#include <stdint.h>

#include "controld/ctl/session.h"

enum { CP_CTL_EXPLAIN_HOST_BYTES = 1100 };

/* DESTINATION[:PORT][/PROTO]; IPv6 with a port in brackets. */
struct cp_ctl_explain_target {
	char host[CP_CTL_EXPLAIN_HOST_BYTES];
	bool is_address;
	bool has_port;
	uint32_t protocol;
	uint32_t port; /* 0: the protocol has none */
};

/* False: it is none, *why says what is wrong with it. An address without a port
 * is asked for with 443/tcp. */
bool cp_ctl_explain_parse(const char *text, struct cp_ctl_explain_target *ret,
			  const char **why);

enum cp_ctl_exit cp_ctl_explain_show(struct cp_ctl_session *session);
