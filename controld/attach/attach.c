/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/attach.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controld/attach/apply.h"
#include "controld/attach/collect.h"
#include "controld/attach/counters.h"
#include "controld/attach/dns.h"
#include "controld/attach/doh.h"
#include "controld/attach/learn.h"
#include "controld/attach/names.h"
#include "controld/attach/op.h"
#include "controld/attach/reconcile.h"
#include "controld/attach/remote.h"
#include "controld/attach/rules.h"
#include "controld/attach/state.h"
#include "controld/attach/target.h"
#include "shared/log.h"

static void finish_close(struct cp_attach *manager);

static void link_up(void *userdata, const struct sn_ipc_hello_answer *hello)
{
	cp_attach_reconcile_up(userdata, hello);
}

static void link_down(void *userdata, const char *why)
{
	cp_attach_reconcile_down(userdata, why);
}

static void target_gone(void *userdata, void *cookie, const char *reason)
{
	struct cp_attach_item *item = cookie;

	(void)userdata;
	if (item->is_gone)
		return;
	sn_log(SN_LOG_INFO, "gone id=%s target=%s reason='%s'", item->id_text,
	       sn_log_target(item->target), reason);
	item->is_gone = true;
	(void)cp_attach_op_enqueue(item, cp_attach_target_gone_run, false);
}

static void name_saved(void *userdata, int error)
{
	(void)userdata;
	if (error < 0)
		sn_log(SN_LOG_WARNING, "state file error=%s", strerror(-error));
}

static void target_renamed(void *userdata, void *cookie, const char *name)
{
	struct cp_attach_item *item = cookie;
	char *copy = strdup(name);

	(void)userdata;
	if (!copy)
		return;
	sn_log(SN_LOG_INFO, "renamed id=%s target=%s name=%s", item->id_text,
	       sn_log_target(item->target), sn_log_target(name));
	free(item->target);
	item->target = copy;
	/* After a reboot the name is all that finds the target again. */
	if (!item->is_new &&
	    (cp_attach_state_put(item) < 0 ||
	     cp_state_sync(item->manager->options.store, name_saved, NULL) < 0))
		sn_log(SN_LOG_WARNING, "state file error=memory");
}

static void target_appeared(void *userdata, void *cookie)
{
	struct cp_attach_item *item = cookie;

	(void)userdata;
	sn_log(SN_LOG_INFO, "appeared id=%s target=%s", item->id_text,
	       sn_log_target(item->target));
	(void)cp_attach_op_enqueue(item, cp_attach_target_again_run, false);
}

static void kicked(uv_async_t *kick)
{
	struct cp_attach *manager = kick->data;

	cp_attach_learn_step(manager);
	cp_attach_dns_step(manager);
	cp_attach_op_kick(manager);
	if (manager->is_closing)
		finish_close(manager);
}

static void handle_closed(uv_handle_t *handle)
{
	cp_attach_item_handle_closed(handle->data);
}

static void free_content(struct cp_attach *manager)
{
	while (manager->n_items > 0)
		cp_attach_item_drop(manager->items[manager->n_items - 1]);
	free(manager->items);
	free(manager->by_slot);
	manager->items = NULL;
	manager->by_slot = NULL;
	manager->doh = cp_dns_doh_free(manager->doh);
}

static int put_seed(struct cp_attach *manager)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return -EIO;
	manager->options.learnt.seed = seed;
	return 0;
}

static int read_boot_id(char *ret, size_t size)
{
	sn_cleanup(sn_closep) int fd = -1;
	ssize_t n;

	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, ret, size - 1);
	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	ret[n] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

/* None of these fails but for a broken loop. */
static void init_handles(struct cp_attach *manager)
{
	uv_loop_t *loop = manager->options.loop;

	(void)uv_timer_init(loop, &manager->collect_timer);
	(void)uv_timer_init(loop, &manager->poll_timer);
	manager->collect_timer.data = manager;
	manager->poll_timer.data = manager;
	manager->kick.data = manager;
	manager->n_handles += 3;
}

static int connect_all(struct cp_attach *manager)
{
	static const struct cp_link_events link_events = {
		.up = link_up,
		.down = link_down,
	};
	static const struct cp_target_watch_events watch_events = {
		.gone = target_gone,
		.renamed = target_renamed,
		.appeared = target_appeared,
	};
	const struct cp_attach_options *options = &manager->options;
	struct cp_link_options link_options = {
		.reconnect_min_ns = options->reconnect_min_ns,
		.reconnect_max_ns = options->reconnect_max_ns,
	};
	int r;

	r = cp_attach_names_start(manager);
	if (r < 0)
		return r;
	r = cp_target_watch_new(&manager->watch, options->loop, &watch_events,
				manager);
	if (r < 0)
		return r;
	r = cp_link_new(&manager->link, options->loop, options->socket_path,
			&link_options, &link_events, manager);
	if (r < 0)
		return r;
	return cp_attach_collect_start(manager);
}

int cp_attach_new(struct cp_attach **ret,
		  const struct cp_attach_options *options, struct sn_diag *diag)
{
	struct cp_attach *manager;
	int r;

	manager = calloc(1, sizeof(*manager));
	if (!manager)
		return -ENOMEM;
	manager->options = *options;
	LIST_INIT(&manager->observers);
	TAILQ_INIT(&manager->incoming);
	TAILQ_INIT(&manager->ready);
	TAILQ_INIT(&manager->releasing);
	TAILQ_INIT(&manager->learnt);
	manager->path_fds[0] = -1;
	manager->path_fds[1] = -1;
	r = put_seed(manager);
	if (r == 0)
		r = read_boot_id(manager->boot_id, sizeof(manager->boot_id));
	if (r < 0)
		sn_diag_set(diag, NULL,
			    "cannot read boot id or random bits: %s",
			    strerror(-r));
	if (r == 0)
		r = cp_attach_state_load(manager, diag);
	if (r == 0)
		r = uv_async_init(options->loop, &manager->kick, kicked);
	if (r < 0) {
		free_content(manager);
		free(manager);
		return r;
	}
	init_handles(manager);
	r = connect_all(manager);
	if (r < 0) {
		sn_diag_set(diag, NULL, "cannot watch targets or %s: %s",
			    options->socket_path, strerror(-r));
		cp_attach_close(manager, NULL, NULL);
		return r;
	}
	*ret = manager;
	return 0;
}

void cp_attach_reload(struct cp_attach *manager,
		      const struct cp_attach_options *options)
{
	manager->options.collect_interval_ms = options->collect_interval_ms;
	manager->options.max_attachments = options->max_attachments;
	manager->options.max_rules = options->max_rules;
	manager->options.flow_quota = options->flow_quota;
	manager->options.learnt = options->learnt;
	for (size_t i = 0; i < manager->n_items; i++)
		cp_dns_learnt_put_limits(manager->items[i]->learnt,
					 &options->learnt);
	if (!manager->is_closing && cp_attach_collect_start(manager) < 0)
		sn_log(SN_LOG_ERROR, "reload error=timer");
}

static void close_handles(struct cp_attach *manager)
{
	uv_close((uv_handle_t *)&manager->kick, handle_closed);
	uv_close((uv_handle_t *)&manager->collect_timer, handle_closed);
	uv_close((uv_handle_t *)&manager->poll_timer, handle_closed);
	cp_attach_names_close(manager);
}

/* The second half, once nothing runs any more. */
static void finish_close(struct cp_attach *manager)
{
	if (manager->is_done || manager->n_running > 0 ||
	    manager->n_tasks > 0 || manager->n_closing > 0)
		return;
	manager->is_done = true;
	for (size_t i = 0; i < manager->n_items; i++)
		cp_attach_op_cancel(manager->items[i]);
	free_content(manager);
	cp_attach_learn_step(manager);
	sn_closep(&manager->path_fds[0]);
	sn_closep(&manager->path_fds[1]);
	cp_attach_counters_close(sn_steal(&manager->counters));
	close_handles(manager);
}

static void part_closed(void *userdata)
{
	struct cp_attach *manager = userdata;

	manager->n_closing--;
	finish_close(manager);
}

void cp_attach_close(struct cp_attach *manager, void (*closed)(void *userdata),
		     void *userdata)
{
	assert(!manager->is_closing);
	manager->is_closing = true;
	manager->is_ready = false;
	manager->is_scanning = false;
	manager->closed = closed;
	manager->closed_userdata = userdata;
	cp_attach_collect_stop(manager);
	cp_attach_names_stop(manager);
	if (manager->link) {
		manager->n_closing++;
		cp_link_close(sn_steal(&manager->link), part_closed, manager);
	}
	if (manager->watch) {
		manager->n_closing++;
		cp_target_watch_close(sn_steal(&manager->watch), part_closed,
				      manager);
	}
	(void)uv_async_send(&manager->kick);
}

static int new_item(struct cp_attach *manager,
		    const struct cp_attach_request *request,
		    struct cp_attach_item **ret)
{
	sn_cleanup(cp_attach_item_freep) struct cp_attach_item *item = NULL;
	uint8_t id[SN_ID_BYTES];
	int r;

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return -EIO;
	r = cp_attach_item_new(&item, manager, id, request->type,
			       request->target);
	if (r == 0)
		r = cp_attach_item_put_metadata(item, request->metadata,
						request->n_metadata);
	if (r == 0)
		r = cp_attach_item_add(item);
	if (r < 0)
		return r;
	item->is_new = true;
	item->role = request->role;
	*ret = sn_steal(&item);
	return 0;
}

int cp_attach_add(struct cp_attach *manager,
		  const struct cp_attach_request *request, cp_attach_done done,
		  void *userdata)
{
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = request->policy;
	struct cp_attach_item *item;
	struct cp_attach_op *op;
	int r;

	if (manager->n_items >= manager->options.max_attachments)
		return -EDQUOT;
	r = cp_attach_op_new(&op, manager, NULL, cp_attach_target_add_run, done,
			     userdata);
	if (r < 0)
		return sn_trace(r);
	r = new_item(manager, request, &item);
	if (r < 0) {
		cp_attach_op_free(op);
		return sn_trace(r);
	}
	item->policy = sn_steal(&policy);
	cp_attach_remote_hold(item);
	r = cp_attach_doh_settle_new(item);
	if (r < 0) {
		cp_attach_op_free(op);
		cp_attach_item_drop(item);
		return sn_trace(r);
	}
	op->item = item;
	cp_attach_op_submit(op);
	return 0;
}

int cp_attach_remove(struct cp_attach *manager, const char *id,
		     cp_attach_done done, void *userdata)
{
	struct cp_attach_op *op;
	int r;

	r = cp_attach_op_new(&op, manager, id, cp_attach_target_remove_run,
			     done, userdata);
	if (r < 0)
		return sn_trace(r);
	cp_attach_op_submit(op);
	return 0;
}

int cp_attach_apply(struct cp_attach *manager, const char *id,
		    struct cp_policy *policy, bool dry_run, cp_attach_done done,
		    void *userdata)
{
	struct cp_attach_op *op;
	int r;

	r = cp_attach_op_new(&op, manager, id, cp_attach_apply_policy_run, done,
			     userdata);
	if (r < 0) {
		cp_policy_free(policy);
		return sn_trace(r);
	}
	op->scope = CP_ATTACH_OP_SCOPE_POLICY;
	op->policy = policy;
	op->dry_run = dry_run;
	op->releases = !dry_run;
	cp_attach_op_submit(op);
	return 0;
}

static int set_mode(struct cp_attach *manager, const char *id,
		    enum cp_attach_op_scope scope, enum sn_mode mode,
		    bool audit, cp_attach_done done, void *userdata)
{
	struct cp_attach_op *op;
	int r;

	r = cp_attach_op_new(&op, manager, id, cp_attach_apply_mode_run, done,
			     userdata);
	if (r < 0)
		return sn_trace(r);
	op->scope = scope;
	op->releases = scope == CP_ATTACH_OP_SCOPE_POLICY;
	op->mode = mode;
	op->audit = audit;
	cp_attach_op_submit(op);
	return 0;
}

int cp_attach_set_mode(struct cp_attach *manager, const char *id,
		       enum sn_mode mode, bool audit, cp_attach_done done,
		       void *userdata)
{
	return set_mode(manager, id, CP_ATTACH_OP_SCOPE_POLICY, mode, audit,
			done, userdata);
}

int cp_attach_block_all(struct cp_attach *manager, const char *id,
			cp_attach_done done, void *userdata)
{
	return set_mode(manager, id, CP_ATTACH_OP_SCOPE_WHOLE,
			SN_MODE_BLOCK_ALL, false, done, userdata);
}

static int change_rule(struct cp_attach *manager, const char *id,
		       const struct cp_policy_rule *rule,
		       void (*run)(struct cp_attach_op *op),
		       cp_attach_done done, void *userdata)
{
	struct cp_attach_op *op;
	int r;

	r = cp_attach_op_new(&op, manager, id, run, done, userdata);
	if (r < 0)
		return sn_trace(r);
	op->scope = CP_ATTACH_OP_SCOPE_RULES;
	op->rule = *rule;
	cp_attach_op_submit(op);
	return 0;
}

int cp_attach_add_rule(struct cp_attach *manager, const char *id,
		       const struct cp_policy_rule *rule, cp_attach_done done,
		       void *userdata)
{
	return change_rule(manager, id, rule, cp_attach_rules_add_run, done,
			   userdata);
}

int cp_attach_remove_rules(struct cp_attach *manager, const char *id,
			   const struct cp_policy_rule *rule,
			   cp_attach_done done, void *userdata)
{
	return change_rule(manager, id, rule, cp_attach_rules_remove_run, done,
			   userdata);
}

const struct cp_attach_item *cp_attach_get(struct cp_attach *manager,
					   const char *id)
{
	struct cp_attach_item *item = cp_attach_item_find(manager, id);

	return item && !item->is_new ? item : NULL;
}

const struct cp_attach_item *cp_attach_get_next(struct cp_attach *manager,
						const char *after)
{
	size_t at = after ? cp_attach_item_index_after(manager, after) : 0;

	while (at < manager->n_items && manager->items[at]->is_new)
		at++;
	return at < manager->n_items ? manager->items[at] : NULL;
}

uint64_t cp_attach_now(const struct cp_attach *manager)
{
	return cp_attach_item_now(manager);
}
