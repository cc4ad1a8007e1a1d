/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whole policies: run functions of apply and set-mode, and the way of any
 * other change that the running block has no room for. */

#include "controld/attach/op.h"

void cp_attach_apply_policy_run(struct cp_attach_op *op);
void cp_attach_apply_mode_run(struct cp_attach_op *op);

/* Replaces the item's policy by op->policy: stage, flip, save; then the
 * operation finishes, with the result that was set before. If the state file
 * cannot be written, the old policy is staged again. */
void cp_attach_apply_replace(struct cp_attach_op *op);

/* A run function: stages item->policy once more. */
void cp_attach_apply_again_run(struct cp_attach_op *op);
