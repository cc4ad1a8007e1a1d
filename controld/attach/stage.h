/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Generations: a whole policy written beside the running one, made current
 * with one store, and the old one deleted afterwards. */

#include "controld/attach/op.h"

/* Writes op->policy (borrowed; op->item->policy if it is NULL) as the item's
 * next generation and makes it current; then calls staged, from the loop or at
 * once. On success block and generation of the item are the new ones. On
 * failure what was written is swept away and the running policy stands; with
 * a link error that is left to reconciling. */
void cp_attach_stage_run(struct cp_attach_op *op, cp_attach_op_step staged);

/* Puts item->policy, block and generation aside in op->previous, ... and makes
 * op->policy the item's. */
void cp_attach_stage_commit(struct cp_attach_op *op);

/* Queues the deletion of the rows of op->previous, which it takes. */
void cp_attach_stage_retire(struct cp_attach_op *op);

/* A run function: sweeps all but the current generation out of the slot. */
void cp_attach_stage_sweep_run(struct cp_attach_op *op);
