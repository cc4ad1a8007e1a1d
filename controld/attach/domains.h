/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Changes of what a policy says of names: run functions. */

#include "controld/attach/op.h"
#include "controld/dns/rules.h"

/* What an operation on domain rules is about, and what was there before. */
struct cp_attach_domains_change {
	struct cp_dns_rule rule;
	struct cp_dns_rule before[CP_DNS_RULES_PER_NAME];
	unsigned int n_before;
};

/* op->domains->rule is added, or the rules with its name, owner and (if any)
 * ports are removed. What was learnt under names that are decided otherwise now
 * changes with it, in the kernel first; learns wait until it is done. */
void cp_attach_domains_add_run(struct cp_attach_op *op);
void cp_attach_domains_remove_run(struct cp_attach_op *op);

/* The DNS mode becomes op->dns_mode, by a new generation. */
void cp_attach_domains_mode_run(struct cp_attach_op *op);

/* Entries of addresses of which no name lives, and on which no flow rests any
 * more, leave the kernel and the set; if there are too many, the oldest do in
 * any case. A bounded number a run. */
void cp_attach_domains_lapse_run(struct cp_attach_op *op);
/* Is there anything for it to do? */
bool cp_attach_domains_has_lapsed(const struct cp_attach_item *item,
				  uint64_t now_ns);
