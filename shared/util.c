/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/util.h"

#include <stdlib.h>

#include "shared/log.h"

void sn_freep(void *pointer_to_pointer)
{
	void **object = pointer_to_pointer;

	free(*object);
	*object = NULL;
}

int sn_trace_at(int r, const char *file, int line, const char *function)
{
	sn_log(SN_LOG_TRACE, "trace file=%s line=%d function=%s error=%d", file,
	       line, function, -r);
	return r;
}
