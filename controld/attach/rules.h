/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Changes of one prefix in the running generation: run functions. */

#include "controld/attach/op.h"

/* op->rule is added. Widening changes bump nothing, narrowing ones make every
 * flow be judged again. A prefix length that the running block does not list
 * needs a whole new generation. */
void cp_attach_rules_add_run(struct cp_attach_op *op);

/* Rules with prefix, owner and (if any) ports of op->rule are removed. */
void cp_attach_rules_remove_run(struct cp_attach_op *op);

/* Entries whose rules have all lapsed, and on which no flow rests any more,
 * leave the kernel and the model; a bounded number a run. */
void cp_attach_rules_lapse_run(struct cp_attach_op *op);
