/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The parent of a process, its parent and so on: those that the kernel
 * introduced, also when they have ended, and else those that /proc still has. A
 * list is made as far as it is asked for, and used before the next record is
 * read. */

#include "controld/runtime/runtime.h"

enum { CP_RUNTIME_ANCESTORS_MAX = 16 };

struct cp_runtime_message;

struct cp_runtime_ancestors {
	struct cp_runtime *runtime;
	size_t n; /* made */
	bool is_whole;
	/* The next one. */
	uint32_t pid;
	uint64_t start; /* 0: the youngest it may be is known only */
	uint64_t start_max;
	struct cp_runtime_message *of[CP_RUNTIME_ANCESTORS_MAX];
};

/* process NULL: nobody is known. */
void cp_runtime_ancestors_init(struct cp_runtime_ancestors *ancestors,
			       struct cp_runtime *runtime,
			       const Sentinel__V1__RuntimeProcess *process);
void cp_runtime_ancestors_done(struct cp_runtime_ancestors *ancestors);

/* index 0: the parent. NULL: not known, or there is none. */
const Sentinel__V1__RuntimeProcess *
cp_runtime_ancestors_get(struct cp_runtime_ancestors *ancestors, size_t index);
