/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An attachment as answers carry it. */

#include "controld/attach/info.h"
#include "sentinel/v1/daemon.pb-c.h"
#include "shared/util.h"

/* One allocation with its arrays; strings are borrowed from the attachment. */
struct cp_api_view {
	Sentinel__V1__Attachment message;
	Sentinel__V1__Attachment__MetadataEntry *pairs;
	Sentinel__V1__Attachment__MetadataEntry **pair_ptrs;
	Sentinel__V1__ReasonCount reasons[SN_REASON_COUNT];
	Sentinel__V1__ReasonCount *reason_ptrs[SN_REASON_COUNT];
	char *notes[CP_ATTACH_NOTES_MAX];
	char dns_address[INET_ADDRSTRLEN];
};

int cp_api_view_new(struct cp_api_view **ret,
		    const struct cp_attach_info *info);
struct cp_api_view *cp_api_view_free(struct cp_api_view *view);
SN_DEFINE_CLEANUP(struct cp_api_view, cp_api_view_free)
