/* SPDX-License-Identifier: Apache-2.0 */

/* What the kernel's programs send of processes is read by its lengths: whatever
 * they say, nothing outside the record is touched, an introduction that is taken
 * is found again, an event makes a message that can be read again, and what is judged,
 * redacted and kept of it stays within its bounds. */

#include <stdlib.h>
#include <string.h>

#include "controld/rpc/message.h"
#include "controld/runtime/files.h"
#include "controld/runtime/judge.h"
#include "controld/runtime/message.h"
#include "controld/runtime/redact.h"
#include "test/fuzz/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* The path that a string means is no longer than it, and means itself. */
static void judge(const struct cp_runtime_record *record)
{
	struct cp_runtime_rules *rules = NULL;
	struct sn_rt_bits bits;
	struct sn_diag diag = { .text = "" };
	char *once = malloc(record->path.size + 1);
	char *twice = malloc(record->path.size + 1);
	size_t n, m;

	require(once && twice);
	n = cp_runtime_judge_clean(record->path, once);
	require(n <= record->path.size + 1);
	m = cp_runtime_judge_clean((struct cp_runtime_bytes){ once, n }, twice);
	require(m == n && memcmp(once, twice, n) == 0);
	free(once);
	free(twice);
	require(cp_runtime_rules_new(&rules) == 0);
	require(cp_runtime_rules_add(rules, "all", &diag) == 0);
	require(cp_runtime_rules_put_event(rules, "file_open", &diag) == 0);
	require(cp_runtime_rules_put_path(rules, SN_RT_FIELD_PATH, "/etc",
					  &diag) == 0);
	(void)cp_runtime_judge(rules, record, NULL, &bits);
	(void)cp_runtime_rules_free(rules);
}

static void redact(const struct cp_runtime_record *record)
{
	struct cp_runtime_redact *patterns = NULL;
	struct cp_runtime_redact_result *result = NULL;
	struct sn_diag diag = { .text = "" };

	require(cp_runtime_redact_new(&patterns) == 0);
	require(cp_runtime_redact_add(patterns, "a[^ ]*", &diag) == 0);
	require(cp_runtime_redact_apply(patterns, record->arguments.at,
					record->arguments.size, &result) == 0);
	for (size_t i = 0; i < result->n; i++)
		require(!strchr(result->texts[i], 'a') ||
			strstr(result->texts[i], "[redacted]"));
	free(result);
	(void)cp_runtime_redact_free(patterns);
}

static void remember(const struct cp_runtime_record *record)
{
	struct cp_runtime_files *files = NULL;
	struct cp_runtime_record again = *record;
	struct sn_rt_record head;

	require(cp_runtime_files_new(&files) == 0);
	require(cp_runtime_files_put(files, record) == 0);
	require(cp_runtime_files_find(files, &again, &head));
	require(again.path.size == record->path.size);
	touch(again.path);
	touch(again.base);
	(void)cp_runtime_files_free(files);
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
		if (record.head->kind == SN_RT_KIND_EVENT) {
			judge(&record);
			redact(&record);
			remember(&record);
		}
	}
	free(bytes);
	return 0;
}
