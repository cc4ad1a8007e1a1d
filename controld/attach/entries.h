/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Entries of many addresses, written as policy and learnt names now have
 * them. */

#include "controld/attach/op.h"

/* Has the kernel entries for names of this attachment? */
bool cp_attach_entries_has(const struct cp_attach_item *item);

/* Those of op->list: first the empty ones are deleted, then the others put.
 * narrows: the revision rises with the last. With op->drops_learnt names are
 * left out. written goes on, at once if there is nothing to do. */
void cp_attach_entries_write(struct cp_attach_op *op, bool narrows,
			     cp_attach_op_step written);
