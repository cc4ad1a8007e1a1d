/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A record of the kernel's ring of runtime events, checked and with its strings
 * found (struct sn_rt_record). Pure. */

#include <stddef.h>

#include "controld/runtime/rules.h"

struct cp_runtime_record {
	const struct sn_rt_record *head;
	/* at is never NULL; of a path that is not there size is 0. */
	struct cp_runtime_bytes path, base;
	struct cp_runtime_bytes path2, base2;
	struct cp_runtime_bytes arguments;
};

/* bytes: aligned to 8, size of them. -EBADMSG: no kernel program of this ABI
 * writes that. *ret points into bytes. */
int cp_runtime_record_read(const void *bytes, size_t size,
			   struct cp_runtime_record *ret);
