/* SPDX-License-Identifier: Apache-2.0 */

/* What the kernel's programs send of processes is read by its lengths: whatever
 * they say, nothing outside the record is touched, an introduction that is taken
 * is found again, and an event makes a message that can be read again. */

#include <stdlib.h>
#include <string.h>

#include "controld/rpc/message.h"
#include "controld/runtime/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool held)
{
	if (!held)
		abort();
}

static void touch(struct cp_runtime_bytes bytes)
{
	char *copy = malloc(bytes.size + 1);

	require(copy);
	(void)memcpy(copy, bytes.at, bytes.size);
	free(copy);
}

static void introduce(const struct cp_runtime_record *record)
{
	struct cp_runtime_processes *processes = NULL;
	const struct cp_runtime_process *process;

	require(cp_runtime_processes_new(&processes, 1) == 0);
	require(cp_runtime_processes_put(processes, record) == 0);
	process = cp_runtime_processes_get(processes, record->head->tgid,
					   record->head->start);
	require(process && process->exe_path.size == record->path.size);
	require(memchr(process->container.id, '\0',
		       sizeof(process->container.id)));
	require(memchr(process->container.pod_uid, '\0',
		       sizeof(process->container.pod_uid)));
	(void)cp_runtime_processes_free(processes);
}

/* The strings are to be UTF-8 whatever the bytes were. */
static void tell(const struct cp_runtime_record *record)
{
	struct cp_runtime_event event = {
		.record = record,
		.matched = &(const struct sn_rt_bits){ .words = { 0 } },
	};
	struct cp_runtime_rules *rules = NULL;
	struct cp_runtime_mounts *mounts = NULL;
	struct cp_runtime_message *message = NULL;
	const Sentinel__V1__RuntimeEvent *told;
	ProtobufCMessage *again = NULL;
	struct sn_diag diag;
	uint8_t *bytes;
	size_t size;

	require(cp_runtime_rules_new(&rules) == 0);
	require(cp_runtime_mounts_new(&mounts) == 0);
	event.rules = rules;
	event.mounts = mounts;
	require(cp_runtime_message_new(&message, &event) == 0);
	told = cp_runtime_message_get(message);
	size = sentinel__v1__runtime_event__get_packed_size(told);
	bytes = malloc(size + 1);
	require(bytes);
	(void)sentinel__v1__runtime_event__pack(told, bytes);
	require(cp_rpc_message_unpack(&sentinel__v1__runtime_event__descriptor,
				      bytes, size, &again, &diag) == 0);
	(void)cp_rpc_message_free(again);
	free(bytes);
	(void)cp_runtime_message_free(message);
	(void)cp_runtime_mounts_free(mounts);
	(void)cp_runtime_rules_free(rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cp_runtime_record record;
	uint64_t *bytes = malloc(size + 1);

	require(bytes);
	(void)memcpy(bytes, data, size);
	/* The ring tells the size; the field has to agree, and mostly does. */
	if (size >= sizeof(struct sn_rt_record) && !(data[size - 1] & 1))
		((struct sn_rt_record *)bytes)->size = (uint32_t)size;
	if (cp_runtime_record_read(bytes, size, &record) == 0) {
		touch(record.path);
		touch(record.base);
		touch(record.path2);
		touch(record.base2);
		touch(record.arguments);
		if (record.head->kind == SN_RT_KIND_PROCESS)
			introduce(&record);
		else
			tell(&record);
	}
	free(bytes);
	return 0;
}
