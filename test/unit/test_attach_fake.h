/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A sentinel-dp without a kernel, on the test's own loop: its tables are an
 * array of rows, and it can be told to refuse, or to break the link at, the
 * n-th request from now on. */

#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#include "shared/ipc.h"
#include "shared/util.h"
#include "test/unit/t.h"

enum {
	FAKE_SLOTS = 8,
	FAKE_ROWS = 4096,
	FAKE_KEY = 32,
	FAKE_VALUE = sizeof(struct sn_rule_value),
};

enum fake_cut { FAKE_CUT_NONE, FAKE_CUT_BEFORE, FAKE_CUT_AFTER };

struct fake_row {
	uint32_t table;
	uint8_t key[FAKE_KEY];
	struct sn_rule_value value;
};

struct fake_slot {
	struct sn_ipc_target target;
	struct sn_policy policy;
};

struct fake {
	uv_loop_t *loop;
	int listen_fd, fd;
	uv_poll_t listen_poll;
	uv_poll_t *poll;
	uint8_t in[SN_IPC_RECORD_BYTES], out[SN_IPC_RECORD_BYTES];
	enum sn_ipc_state state;
	struct fake_slot slots[FAKE_SLOTS];
	struct fake_row rows[FAKE_ROWS];
	size_t n_rows, capacity;
	uint32_t next_generation;
	int counters_fd, reasons_fd, events_fd;

	unsigned int n_requests; /* since fake_arm(), HELLO not counted */
	unsigned int fail_at; /* 0: never */
	int fail_with;
	unsigned int cut_at;
	enum fake_cut cut;
	void (*at_cut)(void *userdata); /* or NULL */
	void *at_cut_userdata;
	/* Before the n-th request is handled; 0: never. */
	unsigned int hook_at;
	void (*hook)(void *userdata);
	void *hook_userdata;
	bool in_use; /* lapsed entries are */
	bool is_clsact; /* no TCX links */
	unsigned int n_puts, n_flips, n_attaches;
	unsigned int n_narrowed; /* batches after which flows are judged again */
};

static inline void fake_arm(struct fake *fake, unsigned int fail_at,
			    int fail_with, unsigned int cut_at,
			    enum fake_cut cut)
{
	fake->n_requests = 0;
	fake->fail_at = fail_at;
	fake->fail_with = fail_with;
	fake->cut_at = cut_at;
	fake->cut = cut;
}

/* Slot and generation of a row's key. */
static inline void fake_key(const struct fake_row *row, uint32_t *slot,
			    uint32_t *generation)
{
	size_t at = row->table == SN_TABLE_PREFIXES ? 4 : 0;

	memcpy(slot, row->key + at, 4);
	memcpy(generation, row->key + at + 4, 4);
}

static inline struct fake_row *fake_find(struct fake *fake, uint32_t table,
					 const void *key)
{
	for (size_t i = 0; i < fake->n_rows; i++) {
		if (fake->rows[i].table == table &&
		    memcmp(fake->rows[i].key, key, FAKE_KEY) == 0)
			return &fake->rows[i];
	}
	return NULL;
}

static inline void fake_delete(struct fake *fake, struct fake_row *row)
{
	*row = fake->rows[--fake->n_rows];
}

/* Rows of a slot; generation 0: all of them. */
static inline size_t fake_count(struct fake *fake, uint32_t slot,
				uint32_t generation)
{
	size_t n = 0;

	for (size_t i = 0; i < fake->n_rows; i++) {
		uint32_t s, g;

		fake_key(&fake->rows[i], &s, &g);
		n += s == slot && (generation == 0 || g == generation);
	}
	return n;
}

static inline void fake_free_handle(uv_handle_t *handle)
{
	free(handle);
}

static inline void fake_hang_up(struct fake *fake)
{
	if (fake->poll)
		uv_close((uv_handle_t *)fake->poll, fake_free_handle);
	fake->poll = NULL;
	sn_closep(&fake->fd);
}

struct fake_answer {
	int status;
	uint32_t index, applied;
	uint8_t *body; /* into out */
	uint8_t *rows;
	uint32_t n_rows;
	size_t row_bytes;
	int fds[SN_IPC_FDS_MAX];
	size_t n_fds;
};

static inline struct fake_slot *fake_by_slot(struct fake *fake, uint32_t slot)
{
	if (slot == 0 || slot >= FAKE_SLOTS ||
	    fake->slots[slot].target.state != SN_TARGET_ATTACHED)
		return NULL;
	return &fake->slots[slot];
}

static inline void fake_hello(struct fake *fake, struct fake_answer *answer)
{
	struct sn_ipc_hello_answer body = {
		.protocol = SN_IPC_PROTOCOL,
		.abi = SN_ABI_VERSION,
		.n_slots = FAKE_SLOTS,
		.n_cpus = 1,
		.tcx = !fake->is_clsact,
		.version = "fake",
	};

	fake->state = SN_IPC_STATE_READY;
	body.capacity[SN_TABLE_RULES] = (uint32_t)fake->capacity;
	memcpy(answer->body, &body, sizeof(body));
}

static inline void fake_list(struct fake *fake, struct fake_answer *answer)
{
	for (uint32_t i = 1; i < FAKE_SLOTS; i++) {
		struct sn_ipc_target row = fake->slots[i].target;

		if (row.state != SN_TARGET_ATTACHED)
			continue;
		row.next_generation = fake->slots[i].policy.generation + 1;
		if (row.generation)
			row.policy = fake->slots[i].policy;
		memcpy(answer->rows + answer->n_rows++ * sizeof(row), &row,
		       sizeof(row));
	}
	answer->row_bytes = sizeof(struct sn_ipc_target);
}

static inline void fake_attach(struct fake *fake, const void *in,
			       struct fake_answer *answer)
{
	struct sn_ipc_attach body;
	struct sn_ipc_attach_answer reply = { .position = 0 };
	uint32_t slot = 0;

	memcpy(&body, in, sizeof(body));
	fake->n_attaches++;
	for (uint32_t i = 1; i < FAKE_SLOTS; i++) {
		struct sn_ipc_target *target = &fake->slots[i].target;

		if (target->state == SN_TARGET_ATTACHED &&
		    target->type == body.type &&
		    (body.type == SN_TARGET_CGROUP ||
		     target->object == body.ifindex)) {
			answer->status = -EEXIST;
			return;
		}
		if (target->state != SN_TARGET_ATTACHED && slot == 0)
			slot = i;
	}
	if (slot == 0) {
		answer->status = -EMLINK;
		return;
	}
	fake->next_generation += 10;
	fake->slots[slot] = (struct fake_slot){
		.target = { .object = body.ifindex ? body.ifindex : 1,
			    .slot = slot,
			    .generation = body.initial_mode ?
						  fake->next_generation :
						  0,
			    .type = body.type,
			    .role = body.role,
			    .state = SN_TARGET_ATTACHED },
	};
	memcpy(fake->slots[slot].target.id, body.id, SN_ID_BYTES);
	fake->slots[slot].policy.generation = fake->next_generation;
	reply.slot = slot;
	reply.object = fake->slots[slot].target.object;
	reply.generation = fake->next_generation;
	memcpy(answer->body, &reply, sizeof(reply));
}

static inline void fake_detach(struct fake *fake, const void *in,
			       struct fake_answer *answer)
{
	struct sn_ipc_detach body;
	struct fake_slot *slot;

	memcpy(&body, in, sizeof(body));
	slot = fake_by_slot(fake, body.slot);
	if (!slot || memcmp(slot->target.id, body.id, SN_ID_BYTES) != 0) {
		answer->status = -ENOENT;
		return;
	}
	slot->target.state = SN_TARGET_FREE;
	for (size_t i = fake->n_rows; i > 0; i--) {
		uint32_t s, g;

		fake_key(&fake->rows[i - 1], &s, &g);
		if (s == body.slot)
			fake_delete(fake, &fake->rows[i - 1]);
	}
}

static inline bool fake_is_generation(struct fake_slot *slot, uint32_t g)
{
	uint32_t current = slot->policy.generation;

	if (g == current + 1)
		slot->target.staged = g;
	return g == current || g == current + 1;
}

static inline void fake_put(struct fake *fake, const void *in,
			    const uint8_t *rows, uint32_t n_rows,
			    struct fake_answer *answer)
{
	struct sn_ipc_table body;
	struct fake_slot *slot;

	memcpy(&body, in, sizeof(body));
	slot = fake_by_slot(fake, body.slot);
	fake->n_puts++;
	fake->n_narrowed += (body.flags & SN_IPC_TABLE_NARROW) != 0;
	if (!slot || !fake_is_generation(slot, body.generation)) {
		answer->status = slot ? -ESTALE : -ENOENT;
		return;
	}
	for (uint32_t i = 0; i < n_rows; i++) {
		const uint8_t *key = rows + i * (FAKE_KEY + FAKE_VALUE);
		struct fake_row *row = fake_find(fake, body.table, key);

		if (!row && fake->n_rows >= fake->capacity) {
			answer->status = -ENOSPC;
			answer->index = i;
			answer->applied = i;
			return;
		}
		if (!row)
			row = &fake->rows[fake->n_rows++];
		row->table = body.table;
		memcpy(row->key, key, FAKE_KEY);
		memcpy(&row->value, key + FAKE_KEY, FAKE_VALUE);
		row->value.tag = 77; /* what dp writes is not ours */
	}
	answer->applied = n_rows;
	answer->index = n_rows;
}

static inline void fake_del(struct fake *fake, const void *in,
			    const uint8_t *rows, uint32_t n_rows,
			    struct fake_answer *answer)
{
	struct sn_ipc_table body;

	memcpy(&body, in, sizeof(body));
	fake->n_narrowed += (body.flags & SN_IPC_TABLE_NARROW) != 0;
	for (uint32_t i = 0; i < n_rows; i++) {
		struct fake_row *row =
			fake_find(fake, body.table, rows + i * FAKE_KEY);

		answer->rows[i] = SN_IPC_DELETED_ABSENT;
		if (!row)
			continue;
		answer->rows[i] = SN_IPC_DELETED_IN_USE;
		if ((body.flags & SN_IPC_TABLE_UNUSED) && fake->in_use)
			continue;
		answer->rows[i] = SN_IPC_DELETED_GONE;
		fake_delete(fake, row);
	}
	answer->n_rows = n_rows;
	answer->row_bytes = 1;
	answer->applied = n_rows;
	answer->index = n_rows;
}

static inline void fake_get(struct fake *fake, const void *in,
			    struct fake_answer *answer)
{
	struct sn_ipc_page_answer reply = { .done = 1 };
	struct sn_ipc_page body;
	size_t from = 0, row_bytes = FAKE_KEY + FAKE_VALUE;

	memcpy(&body, in, sizeof(body));
	memcpy(&from, body.cursor, sizeof(from));
	for (size_t i = from; i < fake->n_rows; i++) {
		struct fake_row *row = &fake->rows[i];

		if (answer->n_rows == 100) {
			reply.done = 0;
			memcpy(reply.cursor, &i, sizeof(i));
			break;
		}
		if (row->table != body.table)
			continue;
		memcpy(answer->rows + answer->n_rows * row_bytes, row->key,
		       FAKE_KEY);
		memcpy(answer->rows + answer->n_rows * row_bytes + FAKE_KEY,
		       &row->value, FAKE_VALUE);
		answer->n_rows++;
	}
	answer->row_bytes = row_bytes;
	memcpy(answer->body, &reply, sizeof(reply));
}

static inline void fake_sweep(struct fake *fake, const void *in,
			      struct fake_answer *answer)
{
	struct sn_ipc_page_answer reply = { .done = 1 };
	struct sn_ipc_page body;
	struct fake_slot *slot;

	memcpy(&body, in, sizeof(body));
	slot = fake_by_slot(fake, body.slot);
	for (size_t i = fake->n_rows; i > 0 && slot; i--) {
		struct fake_row *row = &fake->rows[i - 1];
		uint32_t s, g;

		fake_key(row, &s, &g);
		if (row->table == body.table && s == body.slot &&
		    g != slot->policy.generation &&
		    (body.generation == 0 || body.generation == g)) {
			fake_delete(fake, row);
			reply.deleted++;
		}
	}
	if (slot && body.generation != slot->policy.generation)
		slot->target.staged = 0;
	memcpy(answer->body, &reply, sizeof(reply));
}

static inline void fake_flip(struct fake *fake, const void *in,
			     struct fake_answer *answer)
{
	struct sn_ipc_flip body;
	struct fake_slot *slot;

	memcpy(&body, in, sizeof(body));
	slot = fake_by_slot(fake, body.slot);
	fake->n_flips++;
	if (!slot || body.policy.generation != slot->policy.generation + 1) {
		answer->status = -ESTALE;
		return;
	}
	slot->policy = body.policy;
	slot->target.generation = body.policy.generation;
	slot->target.staged = 0;
}

static inline void fake_fds(struct fake *fake, struct fake_answer *answer)
{
	struct sn_ipc_fds_answer reply = {
		.n_fds = 3,
		.n_slots = FAKE_SLOTS,
		.n_cpus = 1,
		.events_bytes = 4096,
	};

	answer->fds[0] = fake->counters_fd;
	answer->fds[1] = fake->reasons_fd;
	answer->fds[2] = fake->events_fd;
	answer->n_fds = 3;
	memcpy(answer->body, &reply, sizeof(reply));
}

static inline void fake_handle(struct fake *fake, uint16_t type,
			       const uint8_t *body, const uint8_t *rows,
			       uint32_t n_rows, struct fake_answer *answer)
{
	switch ((enum sn_ipc_type)type) {
	case SN_IPC_HELLO:
		fake_hello(fake, answer);
		break;
	case SN_IPC_LIST:
		fake_list(fake, answer);
		break;
	case SN_IPC_ATTACH:
		fake_attach(fake, body, answer);
		break;
	case SN_IPC_DETACH:
		fake_detach(fake, body, answer);
		break;
	case SN_IPC_TABLE_PUT:
		fake_put(fake, body, rows, n_rows, answer);
		break;
	case SN_IPC_TABLE_DEL:
		fake_del(fake, body, rows, n_rows, answer);
		break;
	case SN_IPC_TABLE_GET:
		fake_get(fake, body, answer);
		break;
	case SN_IPC_TABLE_SWEEP:
		fake_sweep(fake, body, answer);
		break;
	case SN_IPC_FLIP:
		fake_flip(fake, body, answer);
		break;
	case SN_IPC_FDS:
		fake_fds(fake, answer);
		break;
	case SN_IPC_STATS:
	case SN_IPC_TYPE_END:
		break;
	}
}

/* Is this the request that something is to happen at? */
static inline bool fake_is_due(const struct fake *fake, uint16_t type,
			       unsigned int at)
{
	return type != SN_IPC_HELLO && at && fake->n_requests == at;
}

/* False: the link was cut. */
static inline bool fake_answer(struct fake *fake, size_t size)
{
	struct sn_ipc_header header, out = { .is_answer = 1 };
	struct sn_ipc_status status = { 0 };
	struct fake_answer answer = { 0 };
	const struct sn_ipc_info *info;
	const char *why = "";
	bool is_cut;
	int r;

	memcpy(&header, fake->in, sizeof(header));
	if (sn_ipc_check_request(fake->in, size, header.type == SN_IPC_ATTACH,
				 fake->state, &why) < 0)
		t_fail("malformed request: %s", why);
	info = sn_ipc_info_get(header.type);
	memset(fake->out, 0, sizeof(fake->out));
	answer.body = fake->out + sizeof(out) + sizeof(status);
	answer.rows = answer.body + info->answer_bytes;
	if (header.type != SN_IPC_HELLO)
		fake->n_requests++;
	is_cut = fake_is_due(fake, header.type, fake->cut_at);
	if (fake_is_due(fake, header.type, fake->hook_at))
		fake->hook(fake->hook_userdata);
	if (is_cut && fake->at_cut)
		fake->at_cut(fake->at_cut_userdata);
	if (is_cut && fake->cut == FAKE_CUT_BEFORE)
		return false;
	if (fake_is_due(fake, header.type, fake->fail_at))
		answer.status = fake->fail_with;
	else
		fake_handle(fake, header.type, fake->in + sizeof(header),
			    fake->in + sizeof(header) + info->request_bytes,
			    header.n_rows, &answer);
	if (is_cut)
		return false;
	status.status = answer.status;
	status.index = answer.index;
	status.applied = answer.applied;
	out.type = header.type;
	out.seq = header.seq;
	out.n_rows = answer.n_rows;
	out.size =
		(uint32_t)(sizeof(out) + sizeof(status) + info->answer_bytes +
			   answer.n_rows * answer.row_bytes);
	memcpy(fake->out, &out, sizeof(out));
	memcpy(fake->out + sizeof(out), &status, sizeof(status));
	r = sn_ipc_send(fake->fd, fake->out, out.size, answer.fds,
			answer.n_fds);
	t_true(r == 0 || r == -EPIPE); /* cp may close without waiting */
	return true;
}

static inline void fake_readable(uv_poll_t *poll, int status, int events)
{
	struct fake *fake = poll->data;
	int fds[SN_IPC_FDS_MAX];
	size_t size, n_fds;

	(void)status;
	(void)events;
	while (fake->fd >= 0) {
		int r = sn_ipc_receive(fake->fd, fake->in, &size, fds, &n_fds);

		if (r == -EAGAIN)
			return;
		for (size_t i = 0; r == 0 && i < n_fds; i++)
			(void)close(fds[i]);
		if (r < 0 || size == 0 || !fake_answer(fake, size)) {
			fake_hang_up(fake);
			return;
		}
	}
}

static inline void fake_accept(uv_poll_t *poll, int status, int events)
{
	struct fake *fake = poll->data;
	int fd;

	(void)status;
	(void)events;
	fd = accept4(fake->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	fake_hang_up(fake);
	fake->fd = fd;
	fake->state = SN_IPC_STATE_NEW;
	fake->poll = calloc(1, sizeof(*fake->poll));
	t_not_null(fake->poll);
	t_eq(uv_poll_init(fake->loop, fake->poll, fd), 0);
	fake->poll->data = fake;
	t_eq(uv_poll_start(fake->poll, UV_READABLE, fake_readable), 0);
}

static inline int fake_memory(size_t bytes)
{
	int fd = memfd_create("fake", MFD_CLOEXEC);

	t_true(fd >= 0);
	t_eq(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static inline struct fake *fake_new(uv_loop_t *loop, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct fake *fake = calloc(1, sizeof(*fake));

	t_not_null(fake);
	fake->loop = loop;
	fake->fd = -1;
	fake->capacity = FAKE_ROWS;
	fake->counters_fd =
		fake_memory(FAKE_SLOTS * sizeof(struct sn_counters));
	fake->reasons_fd = fake_memory(FAKE_SLOTS * sizeof(struct sn_reasons));
	fake->events_fd = fake_memory(16384);
	fake->listen_fd = socket(
		AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	t_eq(bind(fake->listen_fd, (struct sockaddr *)&address,
		  sizeof(address)),
	     0);
	t_eq(listen(fake->listen_fd, 4), 0);
	t_eq(uv_poll_init(loop, &fake->listen_poll, fake->listen_fd), 0);
	fake->listen_poll.data = fake;
	t_eq(uv_poll_start(&fake->listen_poll, UV_READABLE, fake_accept), 0);
	return fake;
}

static inline void fake_free(struct fake *fake)
{
	fake_hang_up(fake);
	uv_close((uv_handle_t *)&fake->listen_poll, NULL);
	(void)uv_run(fake->loop, UV_RUN_NOWAIT);
	(void)close(fake->listen_fd);
	(void)close(fake->counters_fd);
	(void)close(fake->reasons_fd);
	(void)close(fake->events_fd);
	free(fake);
}
