/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/collect.h"

#include <string.h>

#include "controld/attach/apply.h"
#include "controld/attach/domains.h"
#include "controld/attach/op.h"
#include "controld/attach/rules.h"
#include "controld/attach/target.h"
#include "controld/link/scan.h"
#include "shared/log.h"

static void swept(void *userdata, int status, uint64_t deleted)
{
	struct cp_attach *manager = userdata;

	manager->is_sweeping = false;
	manager->n_tasks--;
	if (status < 0 && !cp_attach_op_is_link_error(status))
		sn_log(SN_LOG_WARNING, "sweep error=%s", strerror(-status));
	else if (deleted > 0)
		sn_log(SN_LOG_DEBUG, "sweep idle_flows=%llu",
		       (unsigned long long)deleted);
}

static void sweep_flows(struct cp_attach *manager)
{
	struct sn_ipc_page page = {
		.table = SN_TABLE_FLOWS,
		.flags = SN_IPC_PAGE_IDLE,
	};

	if (manager->is_sweeping)
		return;
	if (cp_link_scan_table(manager->link, SN_IPC_TABLE_SWEEP, &page, NULL,
			       swept, manager) == 0) {
		manager->is_sweeping = true;
		manager->n_tasks++;
	}
}

static bool is_idle(const struct cp_attach_item *item)
{
	return !item->running && TAILQ_EMPTY(&item->ops) && !item->is_new;
}

static bool has_lapsed(const struct cp_attach_item *item, uint64_t now_ns)
{
	if (item->retry_lapsed_ns && item->retry_lapsed_ns <= now_ns)
		return true;
	return cp_policy_count(item->policy) -
		       cp_policy_count_live(item->policy, now_ns) !=
	       item->n_lapsed;
}

void cp_attach_collect_lapsed(struct cp_attach *manager)
{
	uint64_t now_ns = cp_attach_item_now(manager);

	if (!manager->is_ready)
		return;
	for (size_t i = 0; i < manager->n_items; i++) {
		struct cp_attach_item *item = manager->items[i];

		if (!is_idle(item))
			continue;
		if (item->is_gone)
			(void)cp_attach_op_enqueue(
				item, cp_attach_target_gone_run, false);
		else if (item->is_suspect && item->slot == 0)
			(void)cp_attach_op_enqueue(
				item, cp_attach_target_again_run, false);
		else if (item->is_suspect)
			(void)cp_attach_op_enqueue(
				item, cp_attach_apply_again_run, false);
		else if (has_lapsed(item, now_ns))
			(void)cp_attach_op_enqueue(
				item, cp_attach_rules_lapse_run, false);
		else if (cp_attach_domains_has_lapsed(item, now_ns))
			(void)cp_attach_op_enqueue(
				item, cp_attach_domains_lapse_run, false);
	}
}

static void put_position(void *userdata, const struct sn_ipc_target *target)
{
	struct cp_attach *manager = userdata;
	struct cp_attach_item *item;

	item = cp_attach_item_by_slot(manager, target->slot);
	if (!item || memcmp(item->id, target->id, SN_ID_BYTES) != 0)
		return;
	if (target->position <= SN_IPC_POSITION_GONE &&
	    item->position > SN_IPC_POSITION_GONE)
		sn_log(SN_LOG_ERROR,
		       "position id=%s target=%s: our program is gone from a "
		       "hook; detach and attach it again",
		       item->id_text, sn_log_target(item->target));
	else if (target->position > 0 && item->position <= 0)
		sn_log(SN_LOG_WARNING,
		       "position id=%s target=%s: %d other programs run before "
		       "ours",
		       item->id_text, sn_log_target(item->target),
		       target->position);
	item->position = target->position;
	if (cp_attach_item_is_lost(item) && !item->is_gone && is_idle(item)) {
		item->is_gone = true;
		(void)cp_attach_op_enqueue(item, cp_attach_target_gone_run,
					   false);
	}
}

static void polled(void *userdata, int status, uint64_t deleted)
{
	struct cp_attach *manager = userdata;

	(void)deleted;
	if (status == 0)
		manager->polled_ns = cp_attach_item_now(manager);
	manager->is_polling = false;
	manager->n_tasks--;
}

static void got_stats(void *userdata, const struct cp_link_answer *answer)
{
	struct cp_attach *manager = userdata;

	if (answer->status == 0)
		memcpy(&manager->stats, answer->body, sizeof(manager->stats));
	manager->n_tasks--;
}

void cp_attach_collect_positions(struct cp_attach *manager)
{
	static const struct sn_ipc_empty none;

	if (!manager->is_ready || manager->is_polling)
		return;
	if (cp_link_request(manager->link, SN_IPC_STATS, &none, NULL, 0, -1,
			    got_stats, manager) == 0)
		manager->n_tasks++;
	if (cp_link_scan_list(manager->link, put_position, polled, manager) ==
	    0) {
		manager->is_polling = true;
		manager->n_tasks++;
	}
}

static void collect(uv_timer_t *timer)
{
	struct cp_attach *manager = timer->data;

	if (!manager->is_ready || manager->is_closing)
		return;
	cp_attach_collect_lapsed(manager);
	sweep_flows(manager);
}

static void poll_positions(uv_timer_t *timer)
{
	struct cp_attach *manager = timer->data;

	if (manager->is_closing)
		return;
	if (manager->has_scan_failed) {
		manager->wants_scan = true;
		(void)uv_async_send(&manager->kick);
	}
	cp_attach_collect_positions(manager);
}

int cp_attach_collect_start(struct cp_attach *manager)
{
	uint64_t ms = manager->options.collect_interval_ms;
	int r;

	r = uv_timer_start(&manager->collect_timer, collect, ms, ms);
	if (r < 0)
		return r;
	return uv_timer_start(&manager->poll_timer, poll_positions,
			      CP_ATTACH_COLLECT_POLL_MS,
			      CP_ATTACH_COLLECT_POLL_MS);
}

void cp_attach_collect_stop(struct cp_attach *manager)
{
	(void)uv_timer_stop(&manager->collect_timer);
	(void)uv_timer_stop(&manager->poll_timer);
}
