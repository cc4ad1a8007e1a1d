/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Generations: a whole policy written beside the running one, made current
 * with one store, and the old one deleted afterwards. What names have opened is
 * written with it, as far as the new policy allows the names; learning goes on
 * meanwhile (learn.h). */

#include "controld/attach/op.h"

/* Writes op->policy (borrowed; op->item->policy if it is NULL) as the item's
 * next generation and makes it current; then calls staged, from the loop or at
 * once. On success block and generation of the item are the new ones. On
 * failure what was written is swept away and the running policy stands; with
 * a link error that is left to reconciling. */
void cp_attach_stage_run(struct cp_attach_op *op, cp_attach_op_step staged);

/* Puts item->policy, block and generation aside in op->previous, ... and makes
 * op->policy the item's. What was learnt under the policy before is kept up
 * until the operation finishes. */
void cp_attach_stage_commit(struct cp_attach_op *op);
/* Takes that back: policy and learnt names are again those of before, with what
 * was learnt since then. */
void cp_attach_stage_go_back(struct cp_attach_op *op);

/* Queues the deletion of the rows of op->previous, which it takes. */
void cp_attach_stage_retire(struct cp_attach_op *op);

/* A run function: sweeps all but the current generation out of the slot. */
void cp_attach_stage_sweep_run(struct cp_attach_op *op);
