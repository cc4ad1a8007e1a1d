/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/link/scan.h"

#include <stdlib.h>
#include <string.h>

#include "shared/util.h"

struct scan {
	struct cp_link *link;
	enum sn_ipc_type type;
	struct sn_ipc_page page;
	struct sn_ipc_list list;
	cp_link_scan_row_fn row;
	cp_link_scan_target_fn target;
	cp_link_scan_done_fn done;
	void *userdata;
	uint64_t deleted;
	uint32_t n_pages;
};

static void answered(void *userdata, const struct cp_link_answer *answer);

static int send_page(struct scan *scan)
{
	const void *body = scan->type == SN_IPC_LIST ?
				   (const void *)&scan->list :
				   (const void *)&scan->page;

	return cp_link_request(scan->link, scan->type, body, NULL, 0, -1,
			       answered, scan);
}

/* Returns true after the last page. */
static bool take_targets(struct scan *scan, const struct cp_link_answer *answer)
{
	const struct sn_ipc_list_answer *body = answer->body;
	const struct sn_ipc_target *targets = answer->rows;

	for (uint32_t i = 0; i < answer->n_rows; i++)
		scan->target(scan->userdata, &targets[i]);
	scan->list.first_slot = body->next_slot;
	return body->next_slot == 0;
}

static bool take_rows(struct scan *scan, const struct cp_link_answer *answer)
{
	const struct sn_table_info *info = &sn_tables_info[scan->page.table];
	const struct sn_ipc_page_answer *body = answer->body;
	const uint8_t *row = answer->rows;

	for (uint32_t i = 0; scan->row && i < answer->n_rows; i++) {
		scan->row(scan->userdata, row, row + info->key_bytes);
		row += info->key_bytes + info->value_bytes;
	}
	scan->deleted += body->deleted;
	(void)memcpy(scan->page.cursor, body->cursor,
		     sizeof(scan->page.cursor));
	return body->done != 0;
}

static void answered(void *userdata, const struct cp_link_answer *answer)
{
	struct scan *scan = userdata;
	int status = answer->status;
	bool is_last = true;

	if (status == 0 && !answer->body)
		status = -EPROTO;
	if (status == 0) {
		is_last = scan->type == SN_IPC_LIST ?
				  take_targets(scan, answer) :
				  take_rows(scan, answer);
		if (!is_last && ++scan->n_pages >= CP_LINK_SCAN_PAGES_MAX)
			status = -ELOOP;
	}
	if (status == 0 && !is_last) {
		status = send_page(scan);
		if (status == 0)
			return;
	}
	scan->done(scan->userdata, status, scan->deleted);
	free(scan);
}

static int start(const struct scan *scan)
{
	struct scan *copy = malloc(sizeof(*copy));
	int r;

	if (!copy)
		return -ENOMEM;
	*copy = *scan;
	r = send_page(copy);
	if (r < 0)
		free(copy);
	return r;
}

int cp_link_scan_table(struct cp_link *link, enum sn_ipc_type type,
		       const struct sn_ipc_page *page, cp_link_scan_row_fn row,
		       cp_link_scan_done_fn done, void *userdata)
{
	const struct scan scan = {
		.link = link,
		.type = type,
		.page = *page,
		.row = row,
		.done = done,
		.userdata = userdata,
	};

	if ((type != SN_IPC_TABLE_GET && type != SN_IPC_TABLE_SWEEP) ||
	    page->table >= SN_TABLE_COUNT)
		return -EINVAL;
	return start(&scan);
}

int cp_link_scan_list(struct cp_link *link, cp_link_scan_target_fn target,
		      cp_link_scan_done_fn done, void *userdata)
{
	const struct scan scan = {
		.link = link,
		.type = SN_IPC_LIST,
		.target = target,
		.done = done,
		.userdata = userdata,
	};

	return start(&scan);
}
