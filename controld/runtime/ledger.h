/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kernel's count of what it meant to tell, by event and by what became of
 * it, from the mapping that sentinel-dp hands out; it only grows, also when
 * another kernel table takes the place of the one before. */

#include <stdint.h>

#include "shared/abi.h"
#include "shared/util.h"

/* By enum sn_rt_event; records of kind PROCESS at 0. */
struct cp_runtime_ledger_counts {
	struct sn_rt_count of[SN_RT_EVENT_SLOTS];
};

struct cp_runtime_ledger;

int cp_runtime_ledger_new(struct cp_runtime_ledger **ret);
struct cp_runtime_ledger *
cp_runtime_ledger_free(struct cp_runtime_ledger *ledger);
SN_DEFINE_CLEANUP(struct cp_runtime_ledger, cp_runtime_ledger_free)

/* fd: as FDS hands it out; may be closed afterwards. -errno: nothing changes. */
int cp_runtime_ledger_open(struct cp_runtime_ledger *ledger, int fd,
			   uint32_t n_cpus);

/* What was added since the last call, of all CPUs; the first time of a mapping
 * everything that is in it. */
void cp_runtime_ledger_read(struct cp_runtime_ledger *ledger,
			    struct cp_runtime_ledger_counts *added);
/* All that there was so far; what was added stays to be read. */
void cp_runtime_ledger_get(const struct cp_runtime_ledger *ledger,
			   struct cp_runtime_ledger_counts *ret);
