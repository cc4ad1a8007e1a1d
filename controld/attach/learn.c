/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/learn.h"

#include <stdlib.h>
#include <string.h>

#include "controld/attach/domains.h"
#include "controld/attach/op.h"
#include "controld/attach/rows.h"

enum {
	KEY_BYTES = sizeof(struct sn_rule_key),
	ROW_BYTES = KEY_BYTES + sizeof(struct sn_rule_value),
};
_Static_assert(CP_ATTACH_LEARN_ADDRESSES_MAX *ROW_BYTES +
			       sizeof(struct sn_ipc_header) +
			       sizeof(struct sn_ipc_table) <=
		       SN_IPC_RECORD_BYTES,
	       "one record");

struct cp_attach_learn {
	TAILQ_ENTRY(cp_attach_learn) entry;
	struct cp_attach *manager;
	struct cp_attach_item *item; /* NULL: it has ended */
	cp_attach_dns_learn_fn fn;
	void *userdata;
	enum cp_attach_dns_learn_code code;
	uint64_t life_ns;
	uint64_t expires_ns;
	bool by_control_plane;
	struct cp_dns_name name;
	size_t n;
	struct cp_dns_address addresses[];
};

/* Ends it; the answer comes with the next step. */
static void end(struct cp_attach_learn *learn,
		enum cp_attach_dns_learn_code code)
{
	struct cp_attach *manager = learn->manager;

	if (learn->item)
		learn->item->n_learns--;
	learn->item = NULL;
	learn->code = code;
	TAILQ_INSERT_TAIL(&manager->learnt, learn, entry);
	if (!manager->is_done)
		(void)uv_async_send(&manager->kick);
}

static enum cp_attach_dns_learn_code code_of(int r)
{
	if (r == 0)
		return CP_ATTACH_DNS_LEARN_OK;
	if (r == -ENOSPC)
		return CP_ATTACH_DNS_LEARN_FULL;
	if (r > 0)
		return CP_ATTACH_DNS_LEARN_QUOTA;
	return CP_ATTACH_DNS_LEARN_UNAVAILABLE;
}

/* Do CIDR rules keep one of the addresses closed? Then the answer that has it
 * must not be given. */
static bool has_denied(const struct cp_attach_learn *learn)
{
	const struct cp_attach_item *item = learn->item;
	uint64_t now_ns = cp_attach_item_now(item->manager);

	for (size_t i = 0; i < learn->n; i++)
		if (cp_attach_dns_judge(item, &learn->addresses[i], now_ns) ==
		    CP_ATTACH_DNS_SAY_DENIES)
			return true;
	return false;
}

static void answered(void *userdata, const struct cp_link_answer *answer)
{
	struct cp_attach_learn *learn = userdata;
	struct cp_attach_item *item = learn->item;
	enum cp_attach_dns_learn_code code = code_of(answer->status);

	if (item) {
		TAILQ_REMOVE(&item->asking, learn, entry);
		/* The set may be another one than at the time of asking: what
		 * became current since then has what was learnt meanwhile. */
		if (answer->status == 0)
			cp_dns_learnt_confirm(item->learnt, &learn->name,
					      learn->addresses, learn->n,
					      learn->expires_ns);
		item->is_dns_changed = true;
		if (answer->status == 0 && has_denied(learn))
			code = CP_ATTACH_DNS_LEARN_DENIED;
	}
	end(learn, code);
}

static bool is_allowed(const struct cp_attach_learn *learn,
		       const struct cp_policy *policy,
		       struct cp_dns_match *match)
{
	enum cp_dns_mode mode = cp_dns_settings_mode(
		cp_policy_get_dns(policy), cp_policy_get_settings(policy).mode);

	cp_dns_rules_match(cp_policy_get_domains(policy), &learn->name, match);
	switch (match->verdict) {
	case SN_VERDICT_ALLOW:
		return true;
	case SN_VERDICT_DENY:
		return false;
	case SN_VERDICT_NONE:
		break;
	}
	return mode == CP_DNS_MODE_DENYLIST ||
	       (mode == CP_DNS_MODE_PROXY && learn->by_control_plane);
}

/* Into one set, if its policy allows the name. */
static int put(const struct cp_attach_learn *learn,
	       struct cp_dns_learnt *learnt, const struct cp_policy *policy,
	       uint64_t now_ns)
{
	uint8_t room[CP_ATTACH_LEARN_ADDRESSES_MAX];
	struct cp_dns_match match;

	if (!is_allowed(learn, policy, &match))
		return 0;
	for (size_t i = 0; i < learn->n; i++)
		room[i] = cp_attach_rows_room(policy, &learn->addresses[i]);
	return cp_dns_learnt_put(learnt, &learn->name, &match, learn->addresses,
				 learn->n, room, learn->expires_ns, now_ns);
}

/* The shadow comes first: what it has beyond the set that is current is what
 * its policy would have opened, while the other way round an answer could be
 * given that does not hold when the shadow becomes current. */
static int put_all(struct cp_attach_learn *learn, uint64_t now_ns)
{
	struct cp_attach_item *item = learn->item;
	struct cp_attach_learn_shadow *shadow = &item->shadow;
	int r = 0;

	learn->expires_ns = now_ns + learn->life_ns;
	if (shadow->touched)
		r = cp_attach_rows_reserve(shadow->touched, learn->n);
	if (r == 0 && shadow->learnt)
		r = put(learn, shadow->learnt, shadow->policy, now_ns);
	for (size_t i = 0; r == 0 && shadow->touched && i < learn->n; i++)
		cp_attach_rows_add(shadow->touched, &learn->addresses[i]);
	if (r == 0)
		r = put(learn, item->learnt, item->policy, now_ns);
	return r;
}

static int ask(struct cp_attach_learn *learn)
{
	struct cp_attach_item *item = learn->item;
	struct sn_ipc_table body = {
		.table = SN_TABLE_RULES,
		.slot = item->slot,
		.generation = item->generation,
	};
	sn_cleanup(sn_freep) uint8_t *rows = malloc(learn->n * ROW_BYTES);
	uint32_t n = 0;

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < learn->n; i++) {
		struct cp_policy_cidr cidr =
			cp_attach_rows_cidr(&learn->addresses[i]);
		uint8_t *at = rows + n * ROW_BYTES;
		struct cp_policy_compile_row row;

		/* CIDR rules open it, and names must not. */
		if (cp_attach_rows_denies(item->policy, &learn->addresses[i]))
			continue;
		/* CIDR rules may have taken all the room meanwhile. */
		if (cp_attach_rows_compile(item->policy, item->learnt, &cidr,
					   &item->block, item->slot, &row) != 0)
			return -ENOSPC;
		memcpy(at, &row.key, KEY_BYTES);
		memcpy(at + KEY_BYTES, &row.value, sizeof(row.value));
		n++;
	}
	return cp_link_request(item->manager->link, SN_IPC_TABLE_PUT, &body,
			       rows, n, -1, answered, learn);
}

static bool is_enforced(const struct cp_attach_item *item)
{
	const struct cp_attach *manager = item->manager;

	return manager->is_ready && manager->link && item->slot &&
	       item->block.generation && !item->is_gone && !item->is_detaching;
}

/* More lapsed addresses than may be kept are got rid of without waiting for
 * the timer. */
static void trim(struct cp_attach_item *item, uint64_t now_ns)
{
	struct cp_dns_address address;

	if (item->is_trimming ||
	    !cp_dns_learnt_over(item->learnt, now_ns, &address))
		return;
	if (cp_attach_op_enqueue(item, cp_attach_domains_lapse_run, false))
		item->is_trimming = true;
}

/* It is in no list. */
static void begin(struct cp_attach_learn *learn)
{
	struct cp_attach_item *item = learn->item;
	uint64_t now_ns = cp_attach_item_now(item->manager);
	struct cp_dns_match match;
	int r;

	if (!cp_attach_rows_learns(item->policy) || learn->n == 0) {
		end(learn, CP_ATTACH_DNS_LEARN_OK);
		return;
	}
	if (!is_enforced(item)) {
		end(learn, CP_ATTACH_DNS_LEARN_UNAVAILABLE);
		return;
	}
	if (!is_allowed(learn, item->policy, &match) || has_denied(learn)) {
		end(learn, CP_ATTACH_DNS_LEARN_DENIED);
		return;
	}
	r = put_all(learn, now_ns);
	if (r == 0)
		r = ask(learn);
	if (r != 0) {
		end(learn, code_of(r));
		return;
	}
	TAILQ_INSERT_TAIL(&item->asking, learn, entry);
	trim(item, now_ns);
}

static struct cp_attach_learn *
new_learn(struct cp_attach *manager, const struct cp_attach_dns_learn *request)
{
	struct cp_attach_learn *learn;

	learn = calloc(1, sizeof(*learn) + request->n_addresses *
						   sizeof(*learn->addresses));
	if (!learn)
		return NULL;
	learn->manager = manager;
	learn->life_ns = request->life_ns;
	learn->by_control_plane = request->by_control_plane;
	learn->name = *request->name;
	learn->n = request->n_addresses;
	if (learn->n > 0)
		memcpy(learn->addresses, request->addresses,
		       learn->n * sizeof(*learn->addresses));
	return learn;
}

int cp_attach_learn_submit(struct cp_attach *manager,
			   const struct cp_attach_dns_learn *request,
			   cp_attach_dns_learn_fn fn, void *userdata)
{
	struct cp_attach_item *item =
		cp_attach_item_by_slot(manager, request->slot);
	struct cp_attach_learn *learn;

	if (manager->n_learns >= CP_ATTACH_LEARN_MAX ||
	    (item && item->n_learns >= CP_ATTACH_LEARN_ITEM_MAX) ||
	    request->n_addresses > CP_ATTACH_LEARN_ADDRESSES_MAX)
		return -ENOBUFS;
	learn = new_learn(manager, request);
	if (!learn)
		return -ENOMEM;
	learn->fn = fn;
	learn->userdata = userdata;
	manager->n_learns++;
	if (!item) {
		end(learn, CP_ATTACH_DNS_LEARN_UNAVAILABLE);
		return 0;
	}
	learn->item = item;
	item->n_learns++;
	if (item->holds_learns || item->is_releasing)
		TAILQ_INSERT_TAIL(&item->learns, learn, entry);
	else
		begin(learn);
	return 0;
}

void cp_attach_learn_hold(struct cp_attach_item *item)
{
	item->holds_learns = true;
}

void cp_attach_learn_release(struct cp_attach_item *item)
{
	struct cp_attach *manager = item->manager;

	item->holds_learns = false;
	if (TAILQ_EMPTY(&item->learns) || item->is_releasing)
		return;
	TAILQ_INSERT_TAIL(&manager->releasing, item, releasing);
	item->is_releasing = true;
	if (!manager->is_done)
		(void)uv_async_send(&manager->kick);
}

static void end_waiting(struct cp_attach_item *item)
{
	struct cp_attach_learn *learn;

	while ((learn = TAILQ_FIRST(&item->learns))) {
		TAILQ_REMOVE(&item->learns, learn, entry);
		end(learn, CP_ATTACH_DNS_LEARN_UNAVAILABLE);
	}
}

void cp_attach_learn_cancel(struct cp_attach_item *item)
{
	struct cp_attach_learn *learn;

	end_waiting(item);
	if (item->is_releasing)
		TAILQ_REMOVE(&item->manager->releasing, item, releasing);
	item->is_releasing = false;
	/* Their answers come, and find nobody. */
	while ((learn = TAILQ_FIRST(&item->asking))) {
		TAILQ_REMOVE(&item->asking, learn, entry);
		learn->item = NULL;
	}
}

void cp_attach_learn_refuse(struct cp_attach *manager)
{
	for (size_t i = 0; i < manager->n_items; i++)
		end_waiting(manager->items[i]);
}

static void go_on(struct cp_attach_item *item)
{
	struct cp_attach_learn *learn;

	while (!item->holds_learns && (learn = TAILQ_FIRST(&item->learns))) {
		TAILQ_REMOVE(&item->learns, learn, entry);
		begin(learn);
	}
}

void cp_attach_learn_step(struct cp_attach *manager)
{
	struct cp_attach_learns ended = TAILQ_HEAD_INITIALIZER(ended);
	struct cp_attach_learn *learn;
	struct cp_attach_item *item;

	while ((item = TAILQ_FIRST(&manager->releasing))) {
		TAILQ_REMOVE(&manager->releasing, item, releasing);
		item->is_releasing = false;
		go_on(item);
	}
	/* Whoever is answered may ask again. */
	TAILQ_CONCAT(&ended, &manager->learnt, entry);
	while ((learn = TAILQ_FIRST(&ended))) {
		TAILQ_REMOVE(&ended, learn, entry);
		manager->n_learns--;
		learn->fn(learn->userdata, learn->code);
		free(learn);
	}
}
