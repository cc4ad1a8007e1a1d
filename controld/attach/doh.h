/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The list of DoH servers in the policies of attachments: see
 * controld/policy/doh.h. */

#include "controld/attach/attach.h"
#include "controld/dns/doh.h"

struct cp_attach_op;

/* Takes the list (NULL: nothing is listed). Every running policy is settled in
 * its turn; one that cannot be stays as it is, and that is logged. */
void cp_attach_doh_put(struct cp_attach *manager, struct cp_dns_doh *doh);
/* NULL: nothing is listed. Good until the loop goes on. */
const struct cp_dns_doh *cp_attach_doh_get(const struct cp_attach *manager);

/* For controld/attach. */

/* Before a policy takes effect; only: the one prefix that changed, or NULL.
 * False: the result of the operation says why not. */
bool cp_attach_doh_settle(struct cp_attach_op *op, struct cp_policy *policy,
			  const struct cp_policy_cidr *only);
/* The same for an attachment that begins. -ENOMEM, -ENOSPC. */
int cp_attach_doh_settle_new(struct cp_attach_item *item);
/* Kernel and policies have been compared. */
void cp_attach_doh_settle_all(struct cp_attach *manager);
