/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/dns.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "controld/attach/domains.h"
#include "controld/attach/learn.h"
#include "controld/attach/rows.h"
#include "shared/tables.h"

_Static_assert((int)CP_ATTACH_INFO_DNS_ENDS == (int)CP_ATTACH_DNS_END_COUNT,
	       "one count for each end");

/* Listeners. */

void cp_attach_dns_step(struct cp_attach *manager)
{
	struct cp_attach_dns_path path = {
		.dns = &manager->hello.dns,
		.filter_tc = manager->path_fds[0],
		.filter_cgroup = manager->path_fds[1],
	};

	/* Queries that waited in the listeners' sockets must find attachments
	 * and a way into the kernel. */
	if (!manager->is_path_new || !manager->path_fn || !manager->is_ready ||
	    manager->is_closing)
		return;
	manager->is_path_new = false;
	manager->path_fn(manager->path_userdata, &path);
}

void cp_attach_dns_watch_path(struct cp_attach *manager,
			      cp_attach_dns_path_fn fn, void *userdata)
{
	manager->path_fn = fn;
	manager->path_userdata = userdata;
	if (!fn || (manager->path_fds[0] < 0 && manager->path_fds[1] < 0) ||
	    manager->is_closing)
		return;
	manager->is_path_new = true;
	(void)uv_async_send(&manager->kick);
}

/* The filters follow the counters, reasons and events, as far as they
 * loaded. */
static int take_fd(const struct cp_attach *manager, enum sn_program program,
		   const struct cp_link_answer *answer, size_t *at)
{
	if (manager->hello.program_error[program] != 0 || *at >= answer->n_fds)
		return -1;
	return fcntl(answer->fds[(*at)++], F_DUPFD_CLOEXEC, 3);
}

void cp_attach_dns_put_fds(struct cp_attach *manager,
			   const struct cp_link_answer *answer)
{
	size_t at = 3;

	sn_closep(&manager->path_fds[0]);
	sn_closep(&manager->path_fds[1]);
	manager->path_fds[0] =
		take_fd(manager, SN_PROGRAM_DNS_FILTER_TC, answer, &at);
	manager->path_fds[1] =
		take_fd(manager, SN_PROGRAM_DNS_FILTER_CGROUP, answer, &at);
	manager->is_path_new = true;
	(void)uv_async_send(&manager->kick);
}

/* Views. */

static bool is_steered(const struct cp_attach_item *item)
{
	return item && item->policy && item->block.generation &&
	       item->block.dns == SN_DNS_STEERING_ON && !item->is_gone;
}

bool cp_attach_dns_get(struct cp_attach *manager, uint32_t slot,
		       struct cp_attach_dns_view *ret)
{
	const struct cp_attach_item *item =
		cp_attach_item_by_slot(manager, slot);
	struct cp_policy_settings settings;

	if (!is_steered(item))
		return false;
	settings = cp_policy_get_settings(item->policy);
	*ret = (struct cp_attach_dns_view){
		.item = item,
		.id = item->id_text,
		.type = item->type,
		.address_mode = settings.mode,
		.audit = settings.audit,
		.settings = cp_policy_get_dns(item->policy),
		.rules = cp_policy_get_domains(item->policy),
		.learns = cp_attach_rows_learns(item->policy),
	};
	(void)memcpy(&ret->number, item->id, sizeof(ret->number));
	ret->mode = cp_dns_settings_mode(ret->settings, settings.mode);
	return true;
}

enum cp_attach_dns_say cp_attach_dns_judge(const struct cp_attach_item *item,
					   const struct cp_dns_address *address,
					   uint64_t now_ns)
{
	if (cp_attach_rows_allows(item->policy, address, now_ns))
		return CP_ATTACH_DNS_SAY_OPENS;
	return cp_attach_rows_denies(item->policy, address) ?
		       CP_ATTACH_DNS_SAY_DENIES :
		       CP_ATTACH_DNS_SAY_NOTHING;
}

bool cp_attach_dns_is_learnt(struct cp_attach *manager, uint32_t slot,
			     const struct cp_dns_name *name,
			     const struct cp_dns_address *addresses,
			     size_t n_addresses, uint64_t life_ns)
{
	const struct cp_attach_item *item =
		cp_attach_item_by_slot(manager, slot);
	uint64_t now_ns = cp_attach_item_now(manager);

	if (!is_steered(item))
		return false;
	/* What is denied stays in the set and has no entry. */
	for (size_t i = 0; i < n_addresses; i++)
		if (cp_attach_dns_judge(item, &addresses[i], now_ns) ==
		    CP_ATTACH_DNS_SAY_DENIES)
			return false;
	return cp_dns_learnt_has(item->learnt, name, addresses, n_addresses,
				 now_ns + life_ns);
}

int cp_attach_dns_learn(struct cp_attach *manager,
			const struct cp_attach_dns_learn *request,
			cp_attach_dns_learn_fn fn, void *userdata)
{
	return cp_attach_learn_submit(manager, request, fn, userdata);
}

void cp_attach_dns_count(struct cp_attach *manager, uint32_t slot,
			 enum cp_attach_dns_end end)
{
	struct cp_attach_item *item = cp_attach_item_by_slot(manager, slot);

	if (!item)
		return;
	item->dns_ends[end]++;
	item->is_dns_changed = true;
}

bool cp_attach_dns_next_learnt(const struct cp_attach_item *item,
			       const struct cp_dns_learnt_row *after,
			       struct cp_dns_learnt_row *ret)
{
	uint64_t now_ns = cp_attach_item_now(item->manager);

	while (cp_dns_learnt_next_row(item->learnt, after, now_ns, ret)) {
		if (!cp_attach_rows_denies(item->policy, &ret->address))
			return true;
		after = ret;
	}
	return false;
}

/* Changes. */

static int change_domains(struct cp_attach *manager, const char *id,
			  const struct cp_dns_rule *rule,
			  void (*run)(struct cp_attach_op *op),
			  cp_attach_done done, void *userdata)
{
	struct cp_attach_op *op;
	int r;

	r = cp_attach_op_new(&op, manager, id, run, done, userdata);
	if (r < 0)
		return sn_trace(r);
	op->scope = CP_ATTACH_OP_SCOPE_RULES;
	op->domains = calloc(1, sizeof(*op->domains));
	if (!op->domains) {
		cp_attach_op_free(op);
		return -ENOMEM;
	}
	op->domains->rule = *rule;
	cp_attach_op_submit(op);
	return 0;
}

int cp_attach_dns_add_domain(struct cp_attach *manager, const char *id,
			     const struct cp_dns_rule *rule,
			     cp_attach_done done, void *userdata)
{
	return change_domains(manager, id, rule, cp_attach_domains_add_run,
			      done, userdata);
}

int cp_attach_dns_remove_domains(struct cp_attach *manager, const char *id,
				 const struct cp_dns_rule *rule,
				 cp_attach_done done, void *userdata)
{
	return change_domains(manager, id, rule, cp_attach_domains_remove_run,
			      done, userdata);
}

int cp_attach_dns_set_mode(struct cp_attach *manager, const char *id,
			   enum cp_dns_mode mode, cp_attach_done done,
			   void *userdata)
{
	struct cp_attach_op *op;
	int r;

	r = cp_attach_op_new(&op, manager, id, cp_attach_domains_mode_run, done,
			     userdata);
	if (r < 0)
		return sn_trace(r);
	op->scope = CP_ATTACH_OP_SCOPE_POLICY;
	op->dns_mode = mode;
	cp_attach_op_submit(op);
	return 0;
}

bool cp_attach_dns_get_name(const struct cp_attach_item *item,
			    const struct cp_dns_address *address, size_t n,
			    bool lapsed, struct cp_dns_learnt_row *ret)
{
	if (!lapsed && cp_attach_rows_denies(item->policy, address))
		return false;
	return cp_dns_learnt_get_row(
		item->learnt, address, n,
		lapsed ? 0 : cp_attach_item_now(item->manager), ret);
}
