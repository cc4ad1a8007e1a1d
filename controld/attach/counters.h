/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Counters and events of the kernel, read from mappings that sentinel-dp hands
 * over; no request is made to read them. They are never reset, so each
 * attachment has a base. */

#include "controld/attach/info.h"
#include "controld/link/link.h"

struct cp_attach_counters;

/* answer: of FDS. The mappings stay good when sentinel-dp goes away. Events
 * are told to observers as they come. */
int cp_attach_counters_new(struct cp_attach_counters **ret,
			   struct cp_attach *manager,
			   const struct cp_link_answer *answer);
/* Ends polling and unmaps; frees itself in the last close callback. */
void cp_attach_counters_close(struct cp_attach_counters *counters);

/* Makes the totals of an attachment that just got its slot begin at 0. */
void cp_attach_counters_rebase(struct cp_attach_item *item);

/* Since the attachment was made; false, and zero, while nothing is mapped. */
bool cp_attach_counters_get(const struct cp_attach_item *item,
			    struct cp_attach_totals *ret);

/* Adds what n slots from first on ever counted, which never falls, to ret. False:
 * there is no such slot, or nothing is mapped. */
bool cp_attach_counters_add(const struct cp_attach *manager, uint32_t first,
			    uint32_t n, struct cp_attach_totals *ret);

/* Of all slots, by enum sn_reason. */
uint64_t cp_attach_counters_sum_reason(const struct cp_attach *manager,
				       enum sn_reason reason);
