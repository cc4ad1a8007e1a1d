/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/handlers.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/check.h"
#include "dataplane/table.h"
#include "shared/log.h"
#include "shared/util.h"
#include "shared/version.h"

enum {
	ID_TEXT_BYTES = 2 * SN_ID_BYTES + 1,
	/* A page that has less room than this is sent: a hash's bucket must
	 * fit into what one batch asks for. */
	PAGE_ROWS_MIN = 64,
	FILTERS_END = SN_IPC_FDS_MAX - 2, /* in an answer to FDS */
};

/* What a handler works on; fixed and rows point into the two records. */
struct call {
	const void *request;
	const uint8_t *request_rows;
	uint32_t n_request_rows;
	const int *fds;
	size_t n_fds;
	struct sn_ipc_status *status;
	void *answer;
	uint8_t *rows;
	size_t rows_bytes; /* room */
	uint32_t n_rows;
	struct dp_handlers_answer *out;
};

static int refuse_row(struct call *call, uint32_t index)
{
	call->status->index = index;
	return -EINVAL;
}

static int hello(struct dp_handlers *handlers, struct call *call)
{
	const struct sn_ipc_hello *request = call->request;
	struct sn_ipc_hello_answer *answer = call->answer;
	const struct dp_object *object = handlers->object;

	answer->protocol = SN_IPC_PROTOCOL;
	answer->abi = SN_ABI_VERSION;
	answer->n_slots = object->n_slots;
	answer->n_cpus = object->n_cpus;
	answer->allow_host_role = handlers->attach->allow_host_role;
	answer->tcx = handlers->attach->tcx;
	answer->runtime = object->runtime;
	answer->tracefs = handlers->attach->tracefs->has;
	answer->perf_error = handlers->attach->tracefs->error;
	dp_tracefs_get_missing(handlers->attach->tracefs,
			       answer->hooks_missing);
	answer->dns = dp_dns_get(handlers->dns);
	(void)snprintf(answer->version, sizeof(answer->version), "%s",
		       SN_VERSION);
	for (size_t i = 0; i < SN_TABLE_COUNT; i++)
		answer->capacity[i] = object->maps[i] < 0 ? 0 :
							    object->capacity[i];
	for (size_t i = 0; i < SN_PROGRAM_COUNT; i++)
		answer->program_error[i] = object->program_errors[i];
	if (request->protocol != SN_IPC_PROTOCOL ||
	    request->abi != SN_ABI_VERSION) {
		sn_log(SN_LOG_ERROR,
		       "hello-refused protocol=%u abi=%u expected=%u,%u: "
		       "sentinel-cp is of another version",
		       request->protocol, request->abi, SN_IPC_PROTOCOL,
		       SN_ABI_VERSION);
		return -EPROTONOSUPPORT;
	}
	handlers->state = SN_IPC_STATE_READY;
	return 0;
}
_Static_assert((int)SN_TABLE_COUNT <= (int)SN_IPC_TABLES_MAX, "HELLO");
_Static_assert((int)SN_PROGRAM_COUNT <= (int)SN_IPC_PROGRAMS_MAX, "HELLO");

static void describe(const struct dp_handlers *handlers, uint32_t slot,
		     struct sn_ipc_target *row)
{
	const struct dp_slots *slots = handlers->slots;
	const struct sn_target *target = &slots->targets[slot];

	(void)memset(row, 0, sizeof(*row));
	(void)memcpy(row->id, target->id, SN_ID_BYTES);
	row->object = target->object;
	row->attached_at = target->attached_at;
	row->slot = slot;
	row->generation = dp_slots_get_generation(slots, slot);
	row->revision = (uint32_t)slots->words[slot];
	row->staged = dp_slots_get_staged(slots, slot);
	row->next_generation = target->next_generation;
	if (row->generation)
		row->policy = slots->policies[2 * slot + (row->generation & 1)];
	row->position = dp_attach_get_position(handlers->attach, slot);
	row->type = target->type;
	row->role = target->role;
	row->state = target->state;
}

static int list(struct dp_handlers *handlers, struct call *call)
{
	const struct sn_ipc_list *request = call->request;
	struct sn_ipc_list_answer *answer = call->answer;
	const size_t room = call->rows_bytes / sizeof(struct sn_ipc_target);
	struct sn_ipc_target *rows = (void *)call->rows;

	for (uint32_t slot = SN_MAX(request->first_slot, 1U);
	     slot < handlers->slots->n; slot++) {
		if (!dp_slots_get(handlers->slots, slot))
			continue;
		if (call->n_rows == room) {
			answer->next_slot = slot;
			break;
		}
		describe(handlers, slot, &rows[call->n_rows++]);
	}
	return 0;
}

static void write_id(const uint8_t id[SN_ID_BYTES], char text[ID_TEXT_BYTES])
{
	for (size_t i = 0; i < SN_ID_BYTES; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", id[i]);
}

static int attach(struct dp_handlers *handlers, struct call *call)
{
	const struct sn_ipc_attach *request = call->request;
	struct sn_ipc_attach_answer *answer = call->answer;
	const char *type = request->type == SN_TARGET_TC   ? "tc" :
			   request->type == SN_TARGET_HOST ? "host" :
							     "cgroup";
	char id[ID_TEXT_BYTES];
	int r;

	if (!handlers->slots->n_free)
		dp_reap_finish(handlers->reap);
	r = dp_attach_add(handlers->attach, request,
			  call->n_fds ? call->fds[0] : -1, handlers->peer,
			  answer);
	dp_reap_wake(handlers->reap);
	write_id(request->id, id);
	if (r < 0)
		sn_log(SN_LOG_WARNING,
		       "attach-refused id=%s type=%s ifindex=%u error='%s': "
		       "nothing is attached",
		       id, type, request->ifindex, strerror(-r));
	else
		sn_log(SN_LOG_INFO,
		       "attached id=%s slot=%u type=%s object=%llu "
		       "generation=%u position=%d",
		       id, answer->slot, type,
		       (unsigned long long)answer->object, answer->generation,
		       answer->position);
	return r;
}

static int detach(struct dp_handlers *handlers, struct call *call)
{
	const struct sn_ipc_detach *request = call->request;
	const struct sn_target *target =
		dp_slots_get(handlers->slots, request->slot);
	char id[ID_TEXT_BYTES];
	int r;

	if (!target || memcmp(target->id, request->id, SN_ID_BYTES) != 0)
		return -ENOENT;
	write_id(request->id, id);
	r = dp_attach_remove(handlers->attach, request->slot);
	if (r < 0) {
		sn_log(SN_LOG_ERROR,
		       "detach-failed id=%s slot=%u error='%s': it stays "
		       "listed, and a hook of it may be open",
		       id, request->slot, strerror(-r));
		return r;
	}
	dp_reap_wake(handlers->reap);
	sn_log(SN_LOG_INFO, "detached id=%s slot=%u", id, request->slot);
	return 0;
}

/* For TABLE_PUT and TABLE_DEL: whose rows, and are all of them legal? Nothing
 * is applied otherwise. */
static int check_batch(const struct dp_handlers *handlers, struct call *call,
		       bool putting)
{
	const struct sn_ipc_table *request = call->request;
	const enum sn_table table = (enum sn_table)request->table;
	uint32_t flags = SN_IPC_TABLE_NARROW;
	uint32_t index = call->n_request_rows;
	int r;

	if (!putting)
		flags |= SN_IPC_TABLE_UNUSED;
	if (sn_tables_info[table].writer != SN_TABLE_WRITER_CP ||
	    !dp_table_is_open(handlers->object, table) ||
	    (request->flags & ~flags))
		return refuse_row(call, index);
	if (!dp_slots_get(handlers->slots, request->slot))
		return -ENOENT;
	r = dp_slots_check_generation(handlers->slots, request->slot,
				      request->generation, !putting);
	if (r < 0)
		return r;
	r = dp_check_rows(table, request->slot, request->generation,
			  call->request_rows, call->n_request_rows, putting,
			  &index);
	return r < 0 ? refuse_row(call, index) : 0;
}

static void finish_batch(struct dp_handlers *handlers, const struct call *call)
{
	const struct sn_ipc_table *request = call->request;

	if (request->flags & SN_IPC_TABLE_NARROW)
		dp_slots_narrow(handlers->slots, request->slot);
}

static int table_put(struct dp_handlers *handlers, struct call *call)
{
	const struct sn_ipc_table *request = call->request;
	int r;

	r = check_batch(handlers, call, true);
	if (r < 0)
		return r;
	if (call->n_request_rows &&
	    request->generation !=
		    dp_slots_get_generation(handlers->slots, request->slot))
		dp_slots_set_staged(handlers->slots, request->slot,
				    (enum sn_table)request->table, true);
	r = dp_table_put(handlers->object, (enum sn_table)request->table,
			 call->request_rows, call->n_request_rows,
			 &call->status->applied);
	/* What was detached leaves its room before anybody is refused. */
	if (r == -ENOSPC && handlers->slots->n_dirty) {
		dp_reap_finish_all(handlers->reap);
		r = dp_table_put(handlers->object,
				 (enum sn_table)request->table,
				 call->request_rows, call->n_request_rows,
				 &call->status->applied);
	}
	/* Also after a failure: part of it may have narrowed. */
	finish_batch(handlers, call);
	call->status->index = call->status->applied;
	return r;
}

static int table_del(struct dp_handlers *handlers, struct call *call)
{
	const struct sn_ipc_table *request = call->request;
	int r;

	r = check_batch(handlers, call, false);
	if (r < 0)
		return r;
	r = dp_table_delete(handlers->object, (enum sn_table)request->table,
			    call->request_rows, call->n_request_rows,
			    request->flags & SN_IPC_TABLE_UNUSED, call->rows);
	finish_batch(handlers, call);
	if (r < 0)
		return r;
	call->n_rows = call->n_request_rows;
	for (uint32_t i = 0; i < call->n_rows; i++)
		call->status->applied += call->rows[i] == SN_IPC_DELETED_GONE;
	return 0;
}

struct page {
	const struct sn_ipc_page *request;
	struct call *call;
	enum sn_table table;
};

static bool copy_row(void *arg, const void *key, const void *value)
{
	const struct page *page = arg;
	const struct sn_table_info *info = &sn_tables_info[page->table];
	size_t stride = info->key_bytes + info->value_bytes;
	uint8_t *row = page->call->rows + page->call->n_rows * stride;

	if (!dp_table_is_of(page->table, key, page->request->slot,
			    page->request->generation))
		return false;
	(void)memcpy(row, key, info->key_bytes);
	(void)memcpy(row + info->key_bytes, value, info->value_bytes);
	page->call->n_rows++;
	return false;
}

static int get_page(struct dp_handlers *handlers, struct page *page)
{
	const struct sn_table_info *info = &sn_tables_info[page->table];
	struct sn_ipc_page_answer *answer = page->call->answer;
	const uint32_t room = (uint32_t)(page->call->rows_bytes /
					 (info->key_bytes + info->value_bytes));
	uint32_t n_seen = 0, n_deleted = 0;
	bool done = false;

	(void)memcpy(answer->cursor, page->request->cursor,
		     sizeof(answer->cursor));
	while (!done && n_seen < DP_TABLE_STEP &&
	       room - page->call->n_rows >= PAGE_ROWS_MIN) {
		int r = dp_table_step(handlers->object, handlers->slots,
				      page->table, answer->cursor,
				      room - page->call->n_rows, copy_row, page,
				      &n_seen, &n_deleted, &done);

		if (r < 0)
			return r;
	}
	answer->done = done;
	return 0;
}

static int table_get(struct dp_handlers *handlers, struct call *call)
{
	const struct sn_ipc_page *request = call->request;
	struct sn_ipc_page_answer *answer = call->answer;
	struct page page = {
		.request = request,
		.call = call,
		.table = (enum sn_table)request->table,
	};
	const struct sn_table_info *info = &sn_tables_info[page.table];

	if (!dp_table_is_open(handlers->object, page.table) ||
	    (request->flags & ~(uint32_t)SN_IPC_PAGE_KEYS))
		return refuse_row(call, 0);
	if (!(request->flags & SN_IPC_PAGE_KEYS))
		return call->n_request_rows ? refuse_row(call, 0) :
					      get_page(handlers, &page);
	if (call->n_request_rows >
	    call->rows_bytes / (info->key_bytes + info->value_bytes))
		return refuse_row(call, call->n_request_rows);
	answer->done = 1;
	return dp_table_get(handlers->object, page.table, call->request_rows,
			    call->n_request_rows, call->rows, &call->n_rows);
}

struct sweep {
	const struct sn_ipc_page *request;
	enum sn_table table;
	uint32_t kept_generation; /* 0: none */
	uint64_t now;
};

static bool is_swept(void *arg, const void *key, const void *value)
{
	const struct sweep *sweep = arg;

	if (!dp_table_is_of(sweep->table, key, sweep->request->slot,
			    sweep->request->generation))
		return false;
	if (sweep->request->flags & SN_IPC_PAGE_IDLE)
		return dp_table_is_idle(sweep->table, key, value, sweep->now);
	return !sweep->kept_generation ||
	       !dp_table_is_of(sweep->table, key, 0, sweep->kept_generation);
}

static int check_sweep(const struct dp_handlers *handlers,
		       const struct sn_ipc_page *request, struct sweep *sweep)
{
	bool is_cp = sn_tables_info[sweep->table].writer == SN_TABLE_WRITER_CP;

	if (!dp_table_is_open(handlers->object, sweep->table) ||
	    (request->flags & ~(uint32_t)SN_IPC_PAGE_IDLE))
		return -EINVAL;
	if (is_cp && (!request->slot || (request->flags & SN_IPC_PAGE_IDLE)))
		return -EINVAL;
	if (!is_cp && request->generation)
		return -EINVAL;
	if (request->slot && !dp_slots_get(handlers->slots, request->slot))
		return -ENOENT;
	if (!is_cp)
		return 0;
	sweep->kept_generation =
		dp_slots_get_generation(handlers->slots, request->slot);
	if (request->generation &&
	    request->generation == sweep->kept_generation)
		return -EBUSY;
	return 0;
}

static int table_sweep(struct dp_handlers *handlers, struct call *call)
{
	const struct sn_ipc_page *request = call->request;
	struct sn_ipc_page_answer *answer = call->answer;
	struct sweep sweep = {
		.request = request,
		.table = (enum sn_table)request->table,
		.now = dp_table_get_now(),
	};
	uint32_t n_seen = 0;
	bool done = false;
	int r;

	r = check_sweep(handlers, request, &sweep);
	if (r < 0)
		return r;
	if (dp_table_has_flush(handlers->object, sweep.table)) {
		answer->done = 1;
		return dp_table_flush(handlers->object);
	}
	(void)memcpy(answer->cursor, request->cursor, sizeof(answer->cursor));
	r = dp_table_step(handlers->object, handlers->slots, sweep.table,
			  answer->cursor, DP_TABLE_STEP, is_swept, &sweep,
			  &n_seen, &answer->deleted, &done);
	if (r < 0)
		return r;
	if (done && request->slot &&
	    (!request->generation ||
	     request->generation ==
		     handlers->slots->targets[request->slot].next_generation))
		dp_slots_set_staged(handlers->slots, request->slot, sweep.table,
				    false);
	answer->done = done;
	call->status->applied = answer->deleted;
	return 0;
}

static int flip(struct dp_handlers *handlers, struct call *call)
{
	const struct sn_ipc_flip *request = call->request;
	const struct sn_target *target =
		dp_slots_get(handlers->slots, request->slot);
	struct sn_policy policy = request->policy;
	int r;

	if (!target)
		return -ENOENT;
	r = target->type == SN_TARGET_HOST ? dp_check_host_policy(&policy) :
					     dp_check_policy(&policy);
	/* The resolver's own questions leave by the host's interfaces. */
	if (policy.dns && target->role == SN_ROLE_HOST)
		r = -EINVAL;
	if (r >= 0)
		r = dp_attach_prepare(handlers->attach, request->slot, &policy);
	if (r >= 0)
		r = dp_slots_flip(handlers->slots, request->slot, &policy);
	if (r < 0) {
		dp_attach_settle(handlers->attach, request->slot);
		return r;
	}
	call->status->applied = 1;
	dp_attach_settle(handlers->attach, request->slot);
	return 0;
}

static int fds(struct dp_handlers *handlers, struct call *call)
{
	static const enum sn_table tables[] = { SN_TABLE_COUNTERS,
						SN_TABLE_REASONS,
						SN_TABLE_EVENTS };
	struct sn_ipc_fds_answer *answer = call->answer;
	size_t n = 0;

	for (size_t i = 0; i < SN_ARRAY_SIZE(tables); i++)
		call->out->fds[n++] = handlers->object->maps[tables[i]];
	for (size_t i = 0; i < SN_PROGRAM_COUNT && n < FILTERS_END; i++) {
		if (sn_programs_info[i].hook == SN_PROGRAM_HOOK_SOCKET_FILTER &&
		    handlers->object->programs[i] >= 0)
			call->out->fds[n++] = handlers->object->programs[i];
	}
	if (handlers->object->runtime) {
		call->out->fds[n++] =
			handlers->object->maps[SN_TABLE_RT_EVENTS];
		call->out->fds[n++] =
			handlers->object->maps[SN_TABLE_RT_LEDGER];
		answer->runtime_bytes =
			handlers->object->capacity[SN_TABLE_RT_EVENTS];
	}
	call->out->n_fds = n;
	answer->n_fds = (uint32_t)n;
	answer->n_slots = handlers->object->n_slots;
	answer->n_cpus = handlers->object->n_cpus;
	answer->events_bytes = handlers->object->capacity[SN_TABLE_EVENTS];
	return 0;
}

static int stats(struct dp_handlers *handlers, struct call *call)
{
	struct sn_ipc_stats_answer *answer = call->answer;

	for (uint32_t slot = 1; slot < handlers->slots->n; slot++)
		answer->flows += handlers->slots->usage[slot].flows;
	answer->slots_attached = handlers->slots->n_attached;
	answer->slots_dirty = handlers->slots->n_dirty;
	answer->records_refused = handlers->n_records_refused;
	answer->peers_refused = handlers->n_peers_refused;
	return 0;
}

static int dispatch(struct dp_handlers *handlers, enum sn_ipc_type type,
		    struct call *call)
{
	switch (type) {
	case SN_IPC_HELLO:
		return hello(handlers, call);
	case SN_IPC_LIST:
		return list(handlers, call);
	case SN_IPC_ATTACH:
		return attach(handlers, call);
	case SN_IPC_DETACH:
		return detach(handlers, call);
	case SN_IPC_TABLE_PUT:
		return table_put(handlers, call);
	case SN_IPC_TABLE_DEL:
		return table_del(handlers, call);
	case SN_IPC_TABLE_GET:
		return table_get(handlers, call);
	case SN_IPC_TABLE_SWEEP:
		return table_sweep(handlers, call);
	case SN_IPC_FLIP:
		return flip(handlers, call);
	case SN_IPC_FDS:
		return fds(handlers, call);
	case SN_IPC_STATS:
		return stats(handlers, call);
	case SN_IPC_TYPE_END:
		break;
	}
	return -EINVAL;
}

static size_t get_answer_row(const struct sn_ipc_info *info,
			     const struct call *call)
{
	uint32_t table;

	if (info->answer_row != SN_IPC_ROW_TABLE)
		return info->answer_row;
	(void)memcpy(&table, call->request, sizeof(table));
	return sn_tables_info[table].key_bytes +
	       sn_tables_info[table].value_bytes;
}

void dp_handlers_answer(struct dp_handlers *handlers, const void *record,
			const int *request_fds, size_t n_fds,
			struct dp_handlers_answer *answer)
{
	const struct sn_ipc_header *header = record;
	const struct sn_ipc_info *info = sn_ipc_info_get(header->type);
	struct sn_ipc_header *out = (void *)answer->record;
	struct sn_ipc_status *status = (void *)(out + 1);
	struct call call = {
		.request = header + 1,
		.n_request_rows = header->n_rows,
		.fds = request_fds,
		.n_fds = n_fds,
		.status = status,
		.answer = status + 1,
		.out = answer,
	};
	size_t fixed = sizeof(*out) + sizeof(*status) + info->answer_bytes;

	(void)memset(answer->record, 0, fixed);
	answer->n_fds = 0;
	call.request_rows = (const uint8_t *)call.request + info->request_bytes;
	call.rows = answer->record + fixed;
	call.rows_bytes = SN_IPC_RECORD_BYTES - fixed;
	status->status =
		dispatch(handlers, (enum sn_ipc_type)header->type, &call);
	if (status->status < 0)
		call.n_rows = 0;
	answer->size = fixed + call.n_rows * get_answer_row(info, &call);
	out->type = header->type;
	out->is_answer = 1;
	out->seq = header->seq;
	out->size = (uint32_t)answer->size;
	out->n_rows = call.n_rows;
}
