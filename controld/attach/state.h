/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An attachment as the state file keeps it
 * (proto/sentinel/state/v1/state.proto). */

#include "controld/attach/item.h"

/* Puts the attachment into the store's table; a sync makes it durable. */
int cp_attach_state_put(struct cp_attach_item *item);
void cp_attach_state_del(struct cp_attach_item *item);

/* Every attachment of the store goes into the registry. -EBADMSG and diag for
 * one that cannot be read. */
int cp_attach_state_load(struct cp_attach *manager, struct sn_diag *diag);
