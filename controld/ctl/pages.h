/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Listings that come in pages: List, GetRules, GetDomains and ListLearnt. Their
 * requests have page_size and page_token, and id unless they list attachments;
 * their answers have the elements and next_page_token. */

#include "controld/ctl/output.h"
#include "controld/ctl/table.h"

struct cp_ctl_pages {
	const char *method;
	const ProtobufCMessageDescriptor *request;
	const ProtobufCMessageDescriptor *response;
	const char *elements; /* the answer's field */
	uint32_t size; /* of a page */
	/* One row. 0 or -errno. */
	int (*put)(struct cp_ctl_table *table, const ProtobufCMessage *element);
};

/* Every page in turn, to the table, or as JSON if that is wanted; array
 * goes on where the listing before ended. id: NULL, or whole. *n (may be NULL)
 * counts elements. */
enum cp_ctl_exit cp_ctl_pages_print(struct cp_ctl_session *session,
				    const struct cp_ctl_pages *pages, char *id,
				    struct cp_ctl_table *table,
				    struct cp_ctl_output_array *array,
				    size_t *n);
