/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Does a rule want what the kernel sent? It sends more where it could not tell.
 * Pure. */

#include "controld/runtime/processes.h"
#include "controld/runtime/record.h"

/* record: of kind EVENT. process: NULL if it is not known. Returns whether a
 * rule matches, and which. */
bool cp_runtime_judge(const struct cp_runtime_rules *rules,
		      const struct cp_runtime_record *record,
		      const struct cp_runtime_process *process,
		      struct sn_rt_bits *ret);

/* The path that a string means if no part of it is a link: without empty parts,
 * "." and "..". ret: one byte more than path has. Returns how many there are. */
size_t cp_runtime_judge_clean(struct cp_runtime_bytes path, char *ret);
