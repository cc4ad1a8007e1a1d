/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/explain.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "controld/attach/item.h"
#include "controld/dns/identity.h"

enum {
	/* One for each length. */
	ROWS_MAX = 129,
	TRIES = 5,
};

/* LIST, then the entries of both tables, then LIST again: what was read is one
 * policy if its word is still the same. */
struct task {
	struct cp_attach *manager;
	char id[CP_ATTACH_ID_CHARS + 1];
	struct cp_attach_explain_question question;
	cp_attach_explain_fn fn;
	void *userdata;
	uint32_t slot;
	unsigned int n_tries;
	bool is_read; /* the second LIST is under way */
	struct cp_policy_match_rows source;
	uint32_t revision;
	struct cp_policy_compile_row rows[ROWS_MAX]; /* longest first */
	size_t n_rows;
};

static int ask_list(struct task *task);
static int ask_rows(struct task *task, enum sn_table table);

static void finish(struct task *task, struct cp_attach_explain_answer *answer)
{
	task->manager->n_tasks--;
	task->fn(task->userdata, answer);
	free(task);
}

static void fail(struct task *task, enum cp_attach_code code)
{
	struct cp_attach_explain_answer answer = { .code = code };

	finish(task, &answer);
}

/* Judging. */

static uint64_t ends_at(const struct sn_rule_item *item)
{
	return (uint64_t)item->expires << SN_EXPIRES_SHIFT;
}

static bool fits(const struct sn_rule_item *item,
		 const struct cp_attach_explain_question *question,
		 uint64_t now_ns)
{
	const struct cp_policy_ports ports = {
		.protocol = (uint8_t)item->protocol,
		.low = item->port_low,
		.high = item->port_high,
	};

	return (!item->expires || ends_at(item) > now_ns) &&
	       cp_policy_ports_match(&ports, question->protocol,
				     question->port);
}

/* Of items that decide alike the one that lives longest. */
static bool is_better(const struct sn_rule_item *a,
		      const struct sn_rule_item *b)
{
	return !a->expires || (b->expires && a->expires > b->expires);
}

static bool find_deciding(const struct task *task, uint64_t now_ns,
			  struct cp_attach_explain_answer *ret)
{
	for (size_t i = 0; i < task->n_rows; i++) {
		const struct sn_rule_value *value = &task->rows[i].value;

		for (uint8_t j = 0; j < value->n_items; j++) {
			const struct sn_rule_item *item = &value->items[j];

			if (!fits(item, &task->question, now_ns) ||
			    item->rule_id != ret->verdict.rule_id ||
			    (ret->is_decided && !is_better(item, &ret->item)))
				continue;
			ret->item = *item;
			ret->is_decided = true;
		}
		if (ret->is_decided)
			return cp_policy_compile_get_cidr(&task->rows[i],
							  &ret->prefix) == 0;
	}
	return false;
}

/* Rules have decided, whatever audit makes of it. */
static bool is_by_rules(const struct cp_policy_match_verdict *verdict)
{
	return verdict->reason == SN_REASON_ALLOWED ||
	       verdict->reason == SN_REASON_DENY_RULE;
}

static void judge(struct task *task, const struct cp_attach_item *item)
{
	struct cp_policy_match_packet packet = {
		.kind = CP_POLICY_MATCH_KIND_PLAIN,
		.direction = SN_EGRESS,
		.role = item->role,
		.family = (enum sn_family)task->question.remote.family,
		.protocol = task->question.protocol,
		.is_tcp_syn = task->question.protocol == IPPROTO_TCP,
		.remote_port = task->question.port,
	};
	struct cp_attach_explain_answer answer = {
		.code = CP_ATTACH_CODE_OK,
		.block = task->source.block,
		.revision = task->revision,
	};
	uint64_t now_ns = cp_attach_item_now(task->manager);
	struct cp_policy_match_source source;
	struct cp_attach_info info;

	(void)memcpy(packet.remote, task->question.remote.bytes,
		     sizeof(packet.remote));
	packet.is_remote_reserved =
		task->manager->has_hello &&
		cp_dns_identity_is_reserved(&task->manager->hello.dns,
					    &task->question.remote);
	cp_attach_info_get(item, &info);
	packet.is_late = !info.dns_address[0];
	task->source.rows = task->rows;
	task->source.n_rows = task->n_rows;
	source = cp_policy_match_source_rows(&task->source);
	answer.verdict = cp_policy_match_judge(&source, &packet, NULL, now_ns);
	if (is_by_rules(&answer.verdict))
		answer.has_entry = find_deciding(task, now_ns, &answer);
	if (!answer.has_entry && task->n_rows > 0) {
		answer.item = task->rows[0].value.items[0];
		answer.has_entry = cp_policy_compile_get_cidr(
					   &task->rows[0], &answer.prefix) == 0;
	}
	finish(task, &answer);
}

/* Reading. */

/* Keys of every length that the block knows, of one table. */
static uint32_t make_keys(const struct task *task, enum sn_table table,
			  struct sn_rule_key keys[ROWS_MAX])
{
	const struct cp_dns_address *remote = &task->question.remote;
	int longest = remote->family == SN_FAMILY_IPV4 ? 32 : 128;
	uint32_t n = 0;

	for (int length = longest; length >= 0; length--) {
		struct cp_policy_cidr cidr =
			cp_policy_cidr_around((enum sn_family)remote->family,
					      remote->bytes, (uint8_t)length);
		struct cp_policy_compile_row row;

		if (!cp_policy_compile_fits(&task->source.block, &cidr))
			continue;
		cp_policy_compile_key(&task->source.block, task->slot, &cidr,
				      &row);
		if (row.table == table)
			(void)memcpy(&keys[n++], &row.key, sizeof(keys[0]));
	}
	return n;
}

/* The trie answers a key with the longest prefix around it: what is not of the
 * length that was asked for comes under its own key. */
static void take_row(struct task *task, enum sn_table table, const uint8_t *at)
{
	struct cp_policy_compile_row *row = &task->rows[task->n_rows];
	struct cp_policy_cidr cidr;

	row->table = table;
	(void)memcpy(&row->key, at, sizeof(row->key));
	(void)memcpy(&row->value, at + sizeof(row->key), sizeof(row->value));
	if (cp_policy_compile_get_cidr(row, &cidr) == 0 &&
	    cidr.length == row->value.prefix_length && row->value.n_items > 0 &&
	    row->value.n_items <= SN_ITEMS_MAX)
		task->n_rows++;
}

static void got_rows(struct task *task, enum sn_table table,
		     const struct cp_link_answer *answer)
{
	const size_t stride =
		sizeof(struct sn_rule_key) + sizeof(struct sn_rule_value);
	int r;

	if (answer->status < 0) {
		fail(task, CP_ATTACH_CODE_UNAVAILABLE);
		return;
	}
	for (uint32_t i = 0; i < answer->n_rows && task->n_rows < ROWS_MAX; i++)
		take_row(task, table,
			 (const uint8_t *)answer->rows + i * stride);
	r = table == SN_TABLE_RULES ? ask_rows(task, SN_TABLE_PREFIXES) :
				      ask_list(task);
	if (r < 0)
		fail(task, CP_ATTACH_CODE_UNAVAILABLE);
}

static void got_rules(void *userdata, const struct cp_link_answer *answer)
{
	got_rows(userdata, SN_TABLE_RULES, answer);
}

static void got_prefixes(void *userdata, const struct cp_link_answer *answer)
{
	got_rows(userdata, SN_TABLE_PREFIXES, answer);
}

static int ask_rows(struct task *task, enum sn_table table)
{
	struct sn_ipc_page page = {
		.table = table,
		.flags = SN_IPC_PAGE_KEYS,
	};
	struct sn_rule_key keys[ROWS_MAX];
	uint32_t n = make_keys(task, table, keys);

	if (!task->manager->link)
		return -ENOTCONN;
	if (n == 0)
		return table == SN_TABLE_RULES ?
			       ask_rows(task, SN_TABLE_PREFIXES) :
			       ask_list(task);
	return cp_link_request(
		task->manager->link, SN_IPC_TABLE_GET, &page, keys, n, -1,
		table == SN_TABLE_RULES ? got_rules : got_prefixes, task);
}

/* Has anything changed since the first LIST? */
static bool is_same(const struct task *task, const struct sn_ipc_target *target)
{
	return task->revision == target->revision &&
	       memcmp(&task->source.block, &target->policy,
		      sizeof(target->policy)) == 0;
}

/* A first LIST, or one that takes the place of it. */
static void begin(struct task *task, const struct sn_ipc_target *target)
{
	if (task->n_tries++ >= TRIES) {
		fail(task, CP_ATTACH_CODE_UNAVAILABLE);
		return;
	}
	task->source.block = target->policy;
	task->revision = target->revision;
	task->n_rows = 0;
	task->is_read = true;
	if (ask_rows(task, SN_TABLE_RULES) < 0)
		fail(task, CP_ATTACH_CODE_UNAVAILABLE);
}

static void got_list(void *userdata, const struct cp_link_answer *answer)
{
	struct task *task = userdata;
	const struct cp_attach_item *item =
		cp_attach_item_find(task->manager, task->id);
	struct sn_ipc_target target;

	if (answer->status < 0) {
		fail(task, CP_ATTACH_CODE_UNAVAILABLE);
		return;
	}
	if (!item || item->slot != task->slot || answer->n_rows == 0) {
		fail(task, CP_ATTACH_CODE_NOT_FOUND);
		return;
	}
	(void)memcpy(&target, answer->rows, sizeof(target));
	if (target.slot != task->slot ||
	    memcmp(target.id, item->id, sizeof(target.id)) != 0)
		fail(task, CP_ATTACH_CODE_NOT_FOUND);
	else if (task->is_read && is_same(task, &target))
		judge(task, item);
	else
		begin(task, &target);
}

static int ask_list(struct task *task)
{
	struct sn_ipc_list body = { .first_slot = task->slot };

	if (!task->manager->link)
		return -ENOTCONN;
	return cp_link_request(task->manager->link, SN_IPC_LIST, &body, NULL, 0,
			       -1, got_list, task);
}

int cp_attach_explain(struct cp_attach *manager, const char *id,
		      const struct cp_attach_explain_question *question,
		      cp_attach_explain_fn fn, void *userdata)
{
	const struct cp_attach_item *item = cp_attach_item_find(manager, id);
	struct task *task;
	int r;

	if (!item || item->is_new)
		return -ENOENT;
	if (item->slot == 0 || !manager->link || !manager->is_ready)
		return -ENOTCONN;
	task = calloc(1, sizeof(*task));
	if (!task)
		return -ENOMEM;
	task->manager = manager;
	(void)memcpy(task->id, item->id_text, sizeof(task->id));
	task->question = *question;
	task->fn = fn;
	task->userdata = userdata;
	task->slot = item->slot;
	r = ask_list(task);
	if (r < 0) {
		free(task);
		return r;
	}
	manager->n_tasks++;
	return 0;
}
