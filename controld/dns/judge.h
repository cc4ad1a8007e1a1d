/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What changed rules make of learnt names, for learnt.c; see there for what the
 * calls mean. Pure. */

#include <stdbool.h>
#include <stddef.h>

#include "controld/dns/pairs.h"
#include "controld/dns/rules.h"

bool cp_dns_judge_is_current(const struct cp_dns_pairs *pairs,
			     const struct cp_dns_rules *rules,
			     bool keep_unruled);
size_t cp_dns_judge_apply(struct cp_dns_pairs *pairs,
			  const struct cp_dns_rules *rules, bool keep_unruled,
			  void (*changed)(void *userdata,
					  const struct cp_dns_address *address),
			  void *userdata);
