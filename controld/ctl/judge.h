/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a policy would make of a destination, as if its name had just been
 * asked for. Pure. */

#include "controld/dns/answer.h"
#include "controld/policy/policy.h"

struct cp_ctl_judge_destination {
	const struct cp_dns_name *name; /* NULL: it goes to the address */
	const struct cp_dns_address *address; /* NULL: it is only asked for */
	uint8_t protocol;
	uint16_t port;
};

struct cp_ctl_judge_verdict {
	bool passes; /* audit aside */
	const char *reason; /* as in events */
};

struct cp_ctl_judge_verdict
cp_ctl_judge(const struct cp_policy *policy,
	     const struct cp_ctl_judge_destination *destination);
