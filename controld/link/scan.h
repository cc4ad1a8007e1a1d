/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Pages through a table or the list of targets to the end, one request
 * unanswered at a time. */

#include "controld/link/link.h"

enum {
	/* More pages than any table has; a dp that never says "done" is cut. */
	CP_LINK_SCAN_PAGES_MAX = 1 << 20,
};

typedef void (*cp_link_scan_row_fn)(void *userdata, const void *key,
				    const void *value);
typedef void (*cp_link_scan_target_fn)(void *userdata,
				       const struct sn_ipc_target *target);

/* status: 0 at the end; dp's error, -ECONNRESET, -ELOOP (too many pages), or
 * what cp_link_request() returned. deleted: of all TABLE_SWEEP pages. */
typedef void (*cp_link_scan_done_fn)(void *userdata, int status,
				     uint64_t deleted);

/* type: SN_IPC_TABLE_GET or SN_IPC_TABLE_SWEEP (row is NULL then); page: the
 * first one, cursor zero. Keys and values may be unaligned for their structs:
 * copy them. Entries that change meanwhile may be met twice or not at all. */
int cp_link_scan_table(struct cp_link *link, enum sn_ipc_type type,
		       const struct sn_ipc_page *page, cp_link_scan_row_fn row,
		       cp_link_scan_done_fn done, void *userdata);

int cp_link_scan_list(struct cp_link *link, cp_link_scan_target_fn target,
		      cp_link_scan_done_fn done, void *userdata);
