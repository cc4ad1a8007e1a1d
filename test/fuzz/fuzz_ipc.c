/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as a record from the peer: the checks that stand between it and
 * the kernel's tables must neither crash nor read beyond its end. */

#include <stdlib.h>
#include <string.h>

#include "dataplane/check.h"
#include "shared/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rows(const uint8_t *record,
		       const struct sn_ipc_header *header)
{
	const uint8_t *fixed = record + sizeof(*header);
	struct sn_ipc_table table;
	uint32_t index = 0;

	if (header->type != SN_IPC_TABLE_PUT &&
	    header->type != SN_IPC_TABLE_DEL)
		return;
	(void)memcpy(&table, fixed, sizeof(table));
	if (dp_check_rows((enum sn_table)table.table, table.slot,
			  table.generation, fixed + sizeof(table),
			  header->n_rows, header->type == SN_IPC_TABLE_PUT,
			  &index) < 0 &&
	    index >= header->n_rows)
		abort();
}

static void check_flip(const uint8_t *record,
		       const struct sn_ipc_header *header)
{
	struct sn_ipc_flip flip;

	if (header->type != SN_IPC_FLIP)
		return;
	(void)memcpy(&flip, record + sizeof(*header), sizeof(flip));
	if (dp_check_policy(&flip.policy) == 0 &&
	    (flip.policy.n_lengths4 > SN_LENGTHS_MAX ||
	     flip.policy.n_lengths6 > SN_LENGTHS_MAX))
		abort();
}

/* The first byte chooses the state and whether the size in the header is made
 * right, so that inputs of any length get past the first check. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sn_ipc_header header;
	enum sn_ipc_state state;
	const char *why = NULL;
	uint8_t *record;

	if (size < 1 + sizeof(header) || size > 1 + SN_IPC_RECORD_BYTES)
		return 0;
	record = malloc(size - 1);
	if (!record)
		return 0;
	(void)memcpy(record, data + 1, size - 1);
	(void)memcpy(&header, record, sizeof(header));
	if (data[0] & 1)
		header.size = (uint32_t)(size - 1);
	(void)memcpy(record, &header, sizeof(header));
	state = data[0] & 2 ? SN_IPC_STATE_NEW : SN_IPC_STATE_READY;

	if (sn_ipc_check_request(record, size - 1, data[0] >> 6, state, &why) ==
	    0) {
		check_rows(record, &header);
		check_flip(record, &header);
	}
	(void)sn_ipc_check_answer(record, size - 1, data[0] >> 6, &why);
	free(record);
	return 0;
}
