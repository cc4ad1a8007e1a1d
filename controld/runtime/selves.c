/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/selves.h"

#include <string.h>
#include <unistd.h>

#include "controld/runtime/proc.h"
#include "shared/util.h"

void cp_runtime_selves_get(pid_t peer,
			   struct sn_rt_left_out ret[SN_RT_LEFT_OUT_MAX])
{
	const pid_t pids[] = { getpid(), peer };
	size_t n = 0;

	(void)memset(ret, 0, SN_RT_LEFT_OUT_MAX * sizeof(*ret));
	if (!cp_runtime_proc_has_host())
		return;
	for (size_t i = 0; i < SN_ARRAY_SIZE(pids); i++) {
		uint64_t start;

		if (pids[i] <= 0 ||
		    cp_runtime_proc_read_start(pids[i], &start) < 0)
			continue;
		ret[n++] = (struct sn_rt_left_out){
			.tgid = (uint32_t)pids[i],
			.start_ticks = start,
		};
	}
}
