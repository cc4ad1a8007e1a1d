/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Run functions of the operations that begin and end attachments. */

#include "controld/attach/op.h"

/* A new one: resolve, watch, ATTACH (closed, unless its mode is DISABLED),
 * stage, save. Whatever fails undoes what came before it. */
void cp_attach_target_add_run(struct cp_attach_op *op);

/* One that sentinel-dp does not have (any more): the same for a present item,
 * which waits if the target is not there. */
void cp_attach_target_again_run(struct cp_attach_op *op);

/* Asked for: the intent is saved, then DETACH, then it is forgotten. */
void cp_attach_target_remove_run(struct cp_attach_op *op);

/* The target has ended, or a detach was under way when the daemon died. */
void cp_attach_target_gone_run(struct cp_attach_op *op);

/* (Un)watches the item's target; expects it if the item waits. */
void cp_attach_target_watch(struct cp_attach_item *item);
