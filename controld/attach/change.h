/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A small change of an attachment as the state file keeps it: a message Change
 * (proto/sentinel/state/v1/state.proto) behind the Attachment, so that one rule
 * of many costs no packing of all. */

#include "controld/attach/item.h"

/* Into the store's table, as cp_attach_state_put(), which it becomes when
 * enough was appended. cidr: the prefix whose rules changed; NULL: none. */
int cp_attach_change_put(struct cp_attach_item *item,
			 const struct cp_policy_cidr *cidr);

/* The same for the domain rules of a name. */
int cp_attach_change_put_domain(struct cp_attach_item *item,
				const struct cp_dns_name *name);

/* Applies what was appended. -EBADMSG. */
int cp_attach_change_load(struct cp_attach_item *item, const void *blob,
			  size_t size);
