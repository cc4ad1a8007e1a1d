/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/op.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/attach/learn.h"
#include "controld/attach/reconcile.h"
#include "controld/attach/remote.h"
#include "controld/link/batch.h"
#include "controld/link/scan.h"

int cp_attach_op_new(struct cp_attach_op **ret, struct cp_attach *manager,
		     const char *id, void (*run)(struct cp_attach_op *op),
		     cp_attach_done done, void *userdata)
{
	struct cp_attach_op *op;

	if (manager->n_ops >= CP_ATTACH_OPS_MAX && done)
		return -ENOBUFS;
	op = calloc(1, sizeof(*op));
	if (!op)
		return -ENOMEM;
	op->manager = manager;
	op->run = run;
	op->done = done;
	op->userdata = userdata;
	if (id) {
		/* What is too long is no id, and is not found. */
		(void)snprintf(op->id, sizeof(op->id), "%s", id);
		if (strlen(id) > CP_ATTACH_ID_CHARS)
			op->id[0] = '!';
	}
	manager->n_ops++;
	*ret = op;
	return 0;
}

struct cp_attach_op *cp_attach_op_free(struct cp_attach_op *op)
{
	if (!op)
		return NULL;
	op->manager->n_ops--;
	cp_policy_free(op->policy);
	cp_policy_free(op->previous);
	free(op->lapsed);
	free(op->domains);
	cp_dns_learnt_free(op->learnt);
	cp_dns_learnt_free(op->previous_learnt);
	cp_attach_rows_done(&op->list);
	cp_attach_rows_done(&op->touched);
	free(op);
	return NULL;
}

static void answer(struct cp_attach_op *op)
{
	if (op->item)
		(void)snprintf(op->result.id, sizeof(op->result.id), "%s",
			       op->item->id_text);
	if (op->done)
		op->done(op->userdata, &op->result);
}

void cp_attach_op_submit(struct cp_attach_op *op)
{
	TAILQ_INSERT_TAIL(&op->manager->incoming, op, entry);
	(void)uv_async_send(&op->manager->kick);
}

static void mark_ready(struct cp_attach_item *item)
{
	struct cp_attach *manager = item->manager;

	if (!item->running && !TAILQ_EMPTY(&item->ops) && !item->is_in_ready) {
		TAILQ_INSERT_TAIL(&manager->ready, item, ready);
		item->is_in_ready = true;
	}
	if (!manager->is_done)
		(void)uv_async_send(&manager->kick);
}

struct cp_attach_op *cp_attach_op_enqueue(struct cp_attach_item *item,
					  void (*run)(struct cp_attach_op *op),
					  bool first)
{
	struct cp_attach_op *op;

	if (cp_attach_op_new(&op, item->manager, NULL, run, NULL, NULL) < 0)
		return NULL;
	op->item = item;
	op->is_internal = true;
	if (first)
		TAILQ_INSERT_HEAD(&item->ops, op, entry);
	else
		TAILQ_INSERT_TAIL(&item->ops, op, entry);
	mark_ready(item);
	return op;
}

/* False: the operation was answered. */
static bool admit(struct cp_attach_op *op)
{
	struct cp_attach *manager = op->manager;

	if (!op->item && op->id[0])
		op->item = cp_attach_item_find(manager, op->id);
	if (manager->is_closing) {
		cp_attach_op_fail(op, CP_ATTACH_CODE_UNAVAILABLE,
				  "sentinel-cp is stopping");
	} else if (op->id[0] && (!op->item || op->item->is_new)) {
		op->item = NULL;
		cp_attach_op_fail(op, CP_ATTACH_CODE_NOT_FOUND,
				  "no attachment has this id");
	} else if (!manager->is_ready && !op->is_internal) {
		cp_attach_op_fail_errno(op, -ENOTCONN, NULL);
	} else if (!op->item || !cp_attach_remote_refuse(op)) {
		return true;
	}
	/* A new attachment has not been in anybody's hands. */
	if (op->item && op->item->is_new) {
		cp_attach_item_drop(op->item);
		op->item = NULL;
	}
	answer(op);
	cp_attach_op_free(op);
	return false;
}

static void take_incoming(struct cp_attach *manager)
{
	struct cp_attach_ops taken = TAILQ_HEAD_INITIALIZER(taken);
	struct cp_attach_op *op;

	TAILQ_CONCAT(&taken, &manager->incoming, entry);
	while ((op = TAILQ_FIRST(&taken))) {
		TAILQ_REMOVE(&taken, op, entry);
		if (!admit(op))
			continue;
		TAILQ_INSERT_TAIL(&op->item->ops, op, entry);
		mark_ready(op->item);
	}
}

void cp_attach_op_kick(struct cp_attach *manager)
{
	struct cp_attach_item *item;

	take_incoming(manager);
	cp_attach_reconcile_step(manager);
	if (manager->is_scanning)
		return;
	/* Each attachment once, so that a chain of operations which fail at
	 * once does not keep the loop. */
	for (size_t n = manager->n_items;
	     n > 0 && manager->n_running < CP_ATTACH_RUNNING_MAX; n--) {
		struct cp_attach_op *op;

		item = TAILQ_FIRST(&manager->ready);
		if (!item)
			break;
		TAILQ_REMOVE(&manager->ready, item, ready);
		item->is_in_ready = false;
		op = TAILQ_FIRST(&item->ops);
		if (!op || item->running)
			continue;
		TAILQ_REMOVE(&item->ops, op, entry);
		item->running = op;
		manager->n_running++;
		op->run(op);
	}
	if (!TAILQ_EMPTY(&manager->ready) &&
	    manager->n_running < CP_ATTACH_RUNNING_MAX)
		(void)uv_async_send(&manager->kick);
}

void cp_attach_op_cancel(struct cp_attach_item *item)
{
	struct cp_attach_op *op;

	while ((op = TAILQ_FIRST(&item->ops))) {
		TAILQ_REMOVE(&item->ops, op, entry);
		if (op->is_settling)
			cp_attach_reconcile_settled(item->manager);
		cp_attach_op_fail(op, CP_ATTACH_CODE_NOT_FOUND,
				  "the attachment has ended");
		answer(op);
		cp_attach_op_free(op);
	}
}

void cp_attach_op_finish(struct cp_attach_op *op)
{
	struct cp_attach *manager = op->manager;
	struct cp_attach_item *item = op->item;

	assert(item->running == op);
	if (cp_attach_remote_finish(op))
		return;
	/* Both are the running operation's. */
	item->shadow = (struct cp_attach_learn_shadow){ .learnt = NULL };
	cp_attach_learn_release(item);
	item->running = NULL;
	manager->n_running--;
	if (op->is_settling)
		cp_attach_reconcile_settled(manager);
	if (op->result.code == CP_ATTACH_CODE_OK && !op->is_internal &&
	    !op->drops_item && !op->dry_run)
		cp_attach_observe_changed(item);
	answer(op);
	if (op->drops_item) {
		cp_attach_op_cancel(item);
		cp_attach_item_drop(item);
	} else {
		mark_ready(item);
	}
	cp_attach_op_free(op);
	(void)uv_async_send(&manager->kick);
}

void cp_attach_op_fail(struct cp_attach_op *op, enum cp_attach_code code,
		       const char *format, ...)
{
	va_list args;

	op->result.code = code;
	va_start(args, format);
	(void)vsnprintf(op->result.diag.text, sizeof(op->result.diag.text),
			format, args);
	va_end(args);
}

bool cp_attach_op_is_link_error(int r)
{
	return r == -ENOTCONN || r == -ECONNRESET;
}

static void fail_link(struct cp_attach_op *op)
{
	const struct cp_attach *manager = op->manager;
	const char *why = manager->last_error;

	/* Requests are answered before the manager is told of the break. */
	if (!why[0] && manager->link)
		why = cp_link_why(manager->link);

	if (manager->link && cp_link_is_up(manager->link))
		cp_attach_op_fail(op, CP_ATTACH_CODE_UNAVAILABLE,
				  "policies are being compared with those that "
				  "sentinel-dp enforces; try again");
	else
		cp_attach_op_fail(op, CP_ATTACH_CODE_UNAVAILABLE,
				  "sentinel-dp is not connected: %s; the last "
				  "policy stays enforced",
				  why[0] ? why : "not yet");
}

void cp_attach_op_refuse_waiting(struct cp_attach *manager)
{
	struct cp_attach_ops refused = TAILQ_HEAD_INITIALIZER(refused);
	struct cp_attach_op *op, *next;

	for (size_t i = 0; i < manager->n_items; i++) {
		struct cp_attach_item *item = manager->items[i];

		for (op = TAILQ_FIRST(&item->ops); op; op = next) {
			next = TAILQ_NEXT(op, entry);
			/* A new attachment's goes on to end it. */
			if (op->is_internal || item->is_new)
				continue;
			TAILQ_REMOVE(&item->ops, op, entry);
			TAILQ_INSERT_TAIL(&refused, op, entry);
		}
	}
	while ((op = TAILQ_FIRST(&refused))) {
		TAILQ_REMOVE(&refused, op, entry);
		fail_link(op);
		answer(op);
		cp_attach_op_free(op);
	}
}

void cp_attach_op_fail_errno(struct cp_attach_op *op, int r, const char *what)
{
	if (cp_attach_op_is_link_error(r))
		fail_link(op);
	else if (r == -ENOBUFS)
		cp_attach_op_fail(op, CP_ATTACH_CODE_UNAVAILABLE,
				  "too many requests wait for sentinel-dp");
	else if (r == -ENOSPC)
		cp_attach_op_fail(op, CP_ATTACH_CODE_EXHAUSTED,
				  "no room for %s in the kernel's tables "
				  "(sentinel-dp --rules, --prefixes); nothing "
				  "was changed",
				  what);
	else if (r == -ENOMEM)
		cp_attach_op_fail(op, CP_ATTACH_CODE_EXHAUSTED,
				  "out of memory; nothing was changed");
	else
		cp_attach_op_fail(op, CP_ATTACH_CODE_INTERNAL,
				  "sentinel-dp refused %s: %s", what,
				  strerror(-r));
}

static void take_answer(void *userdata, const struct cp_link_answer *link)
{
	struct cp_attach_op *op = userdata;

	if (link->status == 0 && op->asked == SN_IPC_ATTACH)
		memcpy(&op->attached, link->body, sizeof(op->attached));
	op->step(op, link->status);
}

void cp_attach_op_request(struct cp_attach_op *op, enum sn_ipc_type type,
			  const void *body, int fd, cp_attach_op_step step)
{
	int r = -ENOTCONN;

	op->step = step;
	op->asked = type;
	if (op->manager->link)
		r = cp_link_request(op->manager->link, type, body, NULL, 0, fd,
				    take_answer, op);
	if (r < 0)
		step(op, r);
}

static void rows_done(void *userdata, const struct cp_link_batch_result *result)
{
	struct cp_attach_op *op = userdata;

	/* The answers of TABLE_DEL UNUSED: what stays in use is left out. */
	for (uint32_t i = 0; op->lapsed && result->deleted; i++) {
		if (i >= result->n_rows)
			break;
		if (result->deleted[i] == SN_IPC_DELETED_IN_USE)
			op->lapsed[op->cursor + i].family = SN_FAMILY_NONE;
	}
	op->step(op, result->status);
}

void cp_attach_op_rows(struct cp_attach_op *op, enum sn_ipc_type type,
		       const struct sn_ipc_table *body, void *rows,
		       uint32_t n_rows, cp_attach_op_step step)
{
	int r = -ENOTCONN;

	op->step = step;
	if (op->manager->link)
		r = cp_link_batch_send(op->manager->link, type, body, rows,
				       n_rows, rows_done, op);
	if (r < 0) {
		free(rows);
		step(op, r);
	}
}

static void synced(void *userdata, int error)
{
	struct cp_attach_op *op = userdata;

	op->step(op, error);
}

void cp_attach_op_sync(struct cp_attach_op *op, cp_attach_op_step step)
{
	int r;

	op->step = step;
	r = cp_state_sync(op->manager->options.store, synced, op);
	if (r < 0)
		step(op, r);
}

static void swept(void *userdata, int status, uint64_t deleted)
{
	struct cp_attach_op *op = userdata;

	(void)deleted;
	op->step(op, status);
}

void cp_attach_op_sweep(struct cp_attach_op *op, enum sn_table table,
			uint32_t generation, cp_attach_op_step step)
{
	struct sn_ipc_page page = {
		.table = table,
		.slot = op->item->slot,
		.generation = generation,
	};
	int r = -ENOTCONN;

	op->step = step;
	if (op->manager->link)
		r = cp_link_scan_table(op->manager->link, SN_IPC_TABLE_SWEEP,
				       &page, NULL, swept, op);
	if (r < 0)
		step(op, r);
}
