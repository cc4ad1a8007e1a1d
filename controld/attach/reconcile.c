/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/reconcile.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/attach/apply.h"
#include "controld/attach/compare.h"
#include "controld/attach/counters.h"
#include "controld/attach/dns.h"
#include "controld/attach/doh.h"
#include "controld/attach/guest.h"
#include "controld/attach/learn.h"
#include "controld/attach/op.h"
#include "controld/attach/stage.h"
#include "controld/attach/state.h"
#include "controld/attach/target.h"
#include "controld/link/scan.h"
#include "shared/log.h"

/* One walk; it outlives a link that breaks in its middle. */
struct walk {
	struct cp_attach *manager;
	unsigned int epoch;
	enum sn_table table;
};

static void finish_walk(struct walk *walk)
{
	walk->manager->n_tasks--;
	free(walk);
}

/* Whether the link that the walk began on is still the present one. */
static bool is_stale(const struct walk *walk)
{
	return walk->epoch != walk->manager->epoch || walk->manager->is_closing;
}

static void become_ready(struct cp_attach *manager)
{
	manager->is_ready = true;
	sn_log(SN_LOG_INFO, "reconciled attachments=%zu", manager->n_items);
	cp_attach_doh_settle_all(manager);
	(void)uv_async_send(&manager->kick);
}

void cp_attach_reconcile_settled(struct cp_attach *manager)
{
	if (manager->n_settling > 0)
		manager->n_settling--;
	if (manager->n_settling == 0 && !manager->is_ready &&
	    !manager->is_scanning && !manager->is_closing && manager->link &&
	    cp_link_is_up(manager->link))
		become_ready(manager);
}

static void settle(struct cp_attach_item *item,
		   void (*run)(struct cp_attach_op *op))
{
	struct cp_attach_op *op = cp_attach_op_enqueue(item, run, false);

	if (!op) {
		item->is_suspect = true;
		return;
	}
	op->is_settling = true;
	item->manager->n_settling++;
}

/* Whether the kernel's block is what the model asks for; it may list more
 * prefix lengths. */
static bool is_block_equal(const struct cp_attach_item *item)
{
	const struct sn_policy *block = &item->listed.policy;
	struct sn_policy wanted;

	cp_attach_item_compile_block(item, item->policy, block->generation,
				     block, &wanted);
	return block->generation != 0 &&
	       memcmp(&wanted, block, sizeof(wanted)) == 0;
}

static bool is_equal(const struct cp_attach_item *item)
{
	size_t n_wanted = cp_attach_item_has_rows(&item->block) ?
				  cp_attach_item_count_prefixes(item) :
				  0;

	return !item->is_different && !item->has_strays &&
	       item->generation == item->listed.generation &&
	       is_block_equal(item) &&
	       (item->is_recovering || item->n_matched == n_wanted);
}

static void settle_listed(struct cp_attach_item *item)
{
	bool same = is_equal(item);
	bool has_strays = item->has_strays || item->listed.staged;

	cp_attach_compare_end(item);
	item->is_waiting = false;
	item->has_strays = has_strays;
	/* A reused slot goes on counting before its first policy. */
	item->generation = item->listed.generation ?
				   item->listed.generation :
				   item->listed.next_generation - 1;
	item->is_gone = item->is_gone || cp_attach_item_is_lost(item);
	if (item->is_gone || item->is_detaching) {
		settle(item, cp_attach_target_gone_run);
		return;
	}
	if (item->is_recovering)
		(void)cp_attach_state_put(item);
	item->is_recovering = false;
	cp_attach_target_watch(item);
	/* Until it has been written again. */
	item->is_suspect = !same;
	if (!same)
		settle(item, cp_attach_apply_again_run);
	else if (has_strays)
		settle(item, cp_attach_stage_sweep_run);
}

static void settle_absent(struct cp_attach_item *item)
{
	cp_attach_item_put_slot(item, 0);
	if (item->is_gone || item->is_detaching)
		settle(item, cp_attach_target_gone_run);
	else
		settle(item, cp_attach_target_again_run);
}

static void settle_all(struct cp_attach *manager)
{
	manager->is_scanning = false;
	/* Held until all are queued, so that the first that ends does not
	 * count as the last. */
	manager->n_settling = 1;
	for (size_t i = 0; i < manager->n_items; i++) {
		struct cp_attach_item *item = manager->items[i];

		if (item->is_new && !item->is_gone)
			continue; /* its attach has not begun */
		if (item->is_listed)
			settle_listed(item);
		else
			settle_absent(item);
	}
	cp_attach_reconcile_settled(manager);
	(void)uv_async_send(&manager->kick);
}

static void scan_failed(struct cp_attach *manager, int status)
{
	sn_log(SN_LOG_ERROR,
	       "reconcile error=%s: changes stay refused, tried again soon",
	       strerror(-status));
	manager->has_scan_failed = true;
}

static void got_row(void *userdata, const void *key, const void *value)
{
	struct walk *walk = userdata;
	struct cp_policy_compile_row row = { .table = walk->table };
	struct cp_attach_item *item;
	uint32_t slot, generation;

	if (is_stale(walk))
		return;
	memcpy(&row.key, key, sizeof(row.key));
	memcpy(&row.value, value, sizeof(row.value));
	slot = walk->table == SN_TABLE_RULES ? row.key.rule.slot :
					       row.key.prefix.slot;
	generation = walk->table == SN_TABLE_RULES ? row.key.rule.generation :
						     row.key.prefix.generation;
	item = cp_attach_item_by_slot(walk->manager, slot);
	if (!item || !item->is_listed)
		return; /* a freed slot that sentinel-dp sweeps */
	if (generation != item->listed.generation)
		item->has_strays = true;
	else
		cp_attach_compare_row(item, &row);
}

static void scanned(void *userdata, int status, uint64_t deleted);

static int scan(struct walk *walk)
{
	struct sn_ipc_page page = { .table = walk->table };

	return cp_link_scan_table(walk->manager->link, SN_IPC_TABLE_GET, &page,
				  got_row, scanned, walk);
}

static void scanned(void *userdata, int status, uint64_t deleted)
{
	struct walk *walk = userdata;
	struct cp_attach *manager = walk->manager;

	(void)deleted;
	if (is_stale(walk)) {
		finish_walk(walk);
		return;
	}
	if (status == 0 && walk->table == SN_TABLE_RULES) {
		walk->table = SN_TABLE_PREFIXES;
		status = scan(walk);
		if (status == 0)
			return;
	}
	if (status < 0)
		scan_failed(manager, status);
	else
		settle_all(manager);
	finish_walk(walk);
}

static struct cp_policy_settings settings_of(const struct sn_policy *block)
{
	return (struct cp_policy_settings){
		.mode = (enum sn_mode)block->mode,
		.inbound = (enum sn_inbound)block->inbound,
		.audit = block->audit,
	};
}

static void recover_settings(struct cp_attach_item *item,
			     const struct sn_policy *block)
{
	struct cp_policy_settings settings = settings_of(block);
	struct cp_dns_settings dns;

	memset(&dns, 0, sizeof(dns));
	/* Where a block cannot steer it does not tell what the policy said. */
	dns.no_steering = block->dns == SN_DNS_STEERING_OFF &&
			  settings.mode != SN_MODE_BLOCK_ALL &&
			  item->role != SN_ROLE_HOST;
	cp_policy_put_settings(item->policy, &settings);
	cp_policy_put_dns(item->policy, &dns);
}

/* The kernel enforces what the state file does not know: it goes on so, with
 * the mode and the rules that are read back. Metadata, a cgroup's path and, in
 * block-all, the rules (it has no rows) are lost. */
static struct cp_attach_item *adopt(struct cp_attach *manager,
				    const struct sn_ipc_target *target)
{
	sn_cleanup(cp_attach_item_freep) struct cp_attach_item *item = NULL;
	char name[32];
	int r;

	if (target->type != SN_TARGET_TC ||
	    !if_indextoname((unsigned int)target->object, name))
		(void)snprintf(name, sizeof(name), "cgroup:%llu",
			       (unsigned long long)target->object);
	r = cp_attach_item_new(&item, manager, target->id,
			       (enum sn_target_type)target->type, name);
	if (r == 0)
		r = cp_policy_new(&item->policy, manager->options.max_rules);
	if (r == 0)
		r = cp_attach_item_add(item);
	if (r < 0) {
		sn_log(SN_LOG_ERROR,
		       "recover slot=%u error=%s: it stays enforced and "
		       "unknown",
		       target->slot, strerror(-r));
		return NULL;
	}
	item->role = (enum sn_role)target->role;
	item->object = target->object;
	item->attached_boot_ns = target->attached_at;
	item->attached_wall_ns = cp_attach_item_wall_now();
	item->generation = target->generation;
	item->is_recovering = true;
	/* Closed since its first moment and never acknowledged: its attach
	 * was cut, and is undone. */
	item->is_gone = target->generation == 0;
	sn_log(SN_LOG_WARNING, "recovered id=%s target=%s slot=%u",
	       item->id_text, sn_log_target(item->target), target->slot);
	return sn_steal(&item);
}

static void got_target(void *userdata, const struct sn_ipc_target *target)
{
	struct walk *walk = userdata;
	struct cp_attach *manager = walk->manager;
	struct cp_attach_item *item;

	if (is_stale(walk) || target->state != SN_TARGET_ATTACHED ||
	    target->type == SN_TARGET_HOST)
		return;
	item = cp_attach_item_find_id(manager, target->id);
	if (!item)
		item = adopt(manager, target);
	if (!item)
		return;
	item->listed = *target;
	item->is_listed = true;
	item->is_different = item->type != (enum sn_target_type)target->type;
	item->object = target->object;
	item->position = target->position;
	cp_attach_item_put_slot(item, target->slot);
	/* What the slot counted before may be another attachment's. */
	if (item->is_recovering)
		cp_attach_counters_rebase(item);
	/* Rows are compared under the block that the kernel has. */
	item->block = target->policy;
	if (item->is_recovering && target->generation)
		recover_settings(item, &target->policy);
	cp_attach_compare_begin(item);
}

static void listed(void *userdata, int status, uint64_t deleted)
{
	struct walk *walk = userdata;

	(void)deleted;
	if (is_stale(walk)) {
		finish_walk(walk);
		return;
	}
	walk->table = SN_TABLE_RULES;
	if (status == 0)
		status = scan(walk);
	if (status < 0) {
		scan_failed(walk->manager, status);
		finish_walk(walk);
	}
}

static void got_fds(void *userdata, const struct cp_link_answer *answer)
{
	struct walk *walk = userdata;
	struct cp_attach *manager = walk->manager;
	int r = answer->status;

	if (is_stale(walk)) {
		finish_walk(walk);
		return;
	}
	if (r == 0) {
		cp_attach_dns_put_fds(manager, answer);
		cp_attach_guest_up(manager, answer);
		cp_attach_counters_close(sn_steal(&manager->counters));
		r = cp_attach_counters_new(&manager->counters, manager, answer);
	}
	if (r < 0)
		sn_log(SN_LOG_WARNING,
		       "counters error=%s: counters stay at 0, policies are "
		       "enforced",
		       strerror(-r));
	for (size_t i = 0; i < manager->n_items; i++) {
		struct cp_attach_item *item = manager->items[i];

		item->is_listed = false;
		item->has_strays = false;
		item->n_matched = 0;
		item->is_different = false;
		item->adopted = cp_dns_learnt_free(item->adopted);
	}
	r = cp_link_scan_list(manager->link, got_target, listed, walk);
	if (r < 0) {
		scan_failed(manager, r);
		finish_walk(walk);
	}
}

void cp_attach_reconcile_step(struct cp_attach *manager)
{
	static const struct sn_ipc_empty none;
	struct walk *walk;
	int r;

	if (!manager->wants_scan || manager->n_running > 0 ||
	    manager->is_closing || !manager->link ||
	    !cp_link_is_up(manager->link))
		return;
	manager->wants_scan = false;
	manager->has_scan_failed = false;
	walk = calloc(1, sizeof(*walk));
	if (!walk) {
		scan_failed(manager, -ENOMEM);
		return;
	}
	walk->manager = manager;
	walk->epoch = manager->epoch;
	manager->n_tasks++;
	r = cp_link_request(manager->link, SN_IPC_FDS, &none, NULL, 0, -1,
			    got_fds, walk);
	if (r < 0) {
		scan_failed(manager, r);
		finish_walk(walk);
	}
}

/* Operations of a walk that is over are nobody's business any more. */
static void forget_settling(struct cp_attach *manager)
{
	struct cp_attach_op *op;

	manager->n_settling = 0;
	for (size_t i = 0; i < manager->n_items; i++) {
		struct cp_attach_item *item = manager->items[i];

		if (item->running)
			item->running->is_settling = false;
		TAILQ_FOREACH(op, &item->ops, entry)
			op->is_settling = false;
	}
}

void cp_attach_reconcile_up(struct cp_attach *manager,
			    const struct sn_ipc_hello_answer *hello)
{
	struct cp_attach_item **by_slot;

	by_slot = calloc((size_t)hello->n_slots + 1, sizeof(*by_slot));
	if (!by_slot) {
		scan_failed(manager, -ENOMEM);
		return;
	}
	manager->epoch++;
	manager->n_connected++;
	free(manager->by_slot);
	manager->by_slot = by_slot;
	manager->hello = *hello;
	manager->has_hello = true;
	manager->last_error[0] = '\0';
	manager->is_ready = false;
	manager->is_scanning = true;
	manager->wants_scan = true;
	forget_settling(manager);
	sn_log(SN_LOG_INFO, "connected dp_version=%.*s slots=%u",
	       SN_IPC_VERSION_BYTES, hello->version, hello->n_slots);
	(void)uv_async_send(&manager->kick);
}

void cp_attach_reconcile_down(struct cp_attach *manager, const char *why)
{
	bool was_up = manager->is_ready || manager->is_scanning;

	manager->epoch++;
	manager->is_ready = false;
	manager->is_scanning = false;
	manager->wants_scan = false;
	forget_settling(manager);
	cp_attach_guest_down(manager);
	cp_attach_learn_refuse(manager);
	(void)snprintf(manager->last_error, sizeof(manager->last_error), "%s",
		       why);
	sn_log(SN_LOG_WARNING,
	       "sentinel-dp %s reason='%s': the last policies stay enforced",
	       was_up ? "lost" : "not connected", why);
	cp_attach_op_refuse_waiting(manager);
	(void)uv_async_send(&manager->kick);
}
