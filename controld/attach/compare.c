/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/compare.h"

#include <string.h>

#include "controld/attach/rows.h"

void cp_attach_compare_begin(struct cp_attach_item *item)
{
	item->adopted = cp_dns_learnt_free(item->adopted);
	/* A kernel that enforces another policy does not tell what names have
	 * opened under this one. */
	if (item->is_recovering || !cp_attach_rows_learns(item->policy) ||
	    item->generation != item->listed.generation ||
	    item->block.mode != SN_MODE_ALLOWLIST ||
	    item->block.dns != SN_DNS_STEERING_ON)
		return;
	if (cp_dns_learnt_new(&item->adopted, &item->manager->options.learnt) <
	    0)
		item->is_different = true;
}

/* A row of a wholly lapsed prefix that the model has dropped: it is taken
 * back, so that it is asked for until no flow rests on it. */
static bool take_back(struct cp_attach_item *item,
		      const struct cp_policy_compile_row *row, uint64_t now_ns)
{
	for (uint8_t i = 0; i < SN_MIN(row->value.n_items, SN_ITEMS_MAX); i++) {
		uint64_t expires = (uint64_t)row->value.items[i].expires
				   << SN_EXPIRES_SHIFT;

		if (expires == 0 || expires > now_ns)
			return false;
	}
	if (cp_policy_compile_adopt(item->policy, row, now_ns) != 0)
		return false;
	item->n_matched++;
	item->retry_lapsed_ns = now_ns;
	return true;
}

static bool same_item(const struct sn_rule_item *a,
		      const struct sn_rule_item *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Takes the items of the wanted row out of the other. False: one of them is
 * missing. */
static bool take_out(const struct sn_rule_value *wanted,
		     struct sn_rule_value *value)
{
	for (uint8_t i = 0; i < wanted->n_items; i++) {
		uint8_t at = 0;

		while (at < value->n_items &&
		       !same_item(&value->items[at], &wanted->items[i]))
			at++;
		if (at == value->n_items)
			return false;
		value->n_items--;
		memmove(&value->items[at], &value->items[at + 1],
			(size_t)(value->n_items - at) * sizeof(*value->items));
	}
	return true;
}

/* What is left of a row without its CIDR rules. False: some of it is not a
 * name's; the rest is taken in all the same. */
static bool adopt(struct cp_attach_item *item,
		  const struct cp_policy_cidr *cidr,
		  struct sn_rule_value *value, uint64_t now_ns)
{
	const struct cp_dns_rules *rules = cp_policy_get_domains(item->policy);
	bool keeps = cp_attach_rows_keeps_unruled(item->policy, item->policy);
	struct cp_dns_address address;
	uint8_t n = 0;

	if (value->n_items == 0)
		return true;
	if (!item->adopted || !cp_attach_rows_address(cidr, &address))
		return false;
	for (uint8_t i = 0; i < value->n_items; i++) {
		if (cp_dns_learnt_is_plausible(&value->items[i], rules, keeps))
			value->items[n++] = value->items[i];
	}
	if (cp_dns_learnt_adopt(item->adopted, item->learnt, &address,
				value->items, n, now_ns) < 0)
		return false;
	return n == value->n_items;
}

static bool is_denied(const struct cp_attach_item *item,
		      const struct cp_policy_cidr *cidr)
{
	struct cp_dns_address address;

	return cp_attach_rows_address(cidr, &address) &&
	       cp_attach_rows_denies(item->policy, &address);
}

void cp_attach_compare_row(struct cp_attach_item *item,
			   const struct cp_policy_compile_row *row)
{
	uint64_t now_ns = cp_attach_item_now(item->manager);
	struct cp_policy_compile_row wanted;
	struct cp_policy_cidr cidr;
	struct sn_rule_value rest = row->value;
	bool is_absent;

	if (item->is_recovering) {
		if (cp_policy_compile_adopt(item->policy, row, now_ns) != 0)
			item->is_different = true;
		return;
	}
	if (cp_policy_compile_get_cidr(row, &cidr) != 0 ||
	    row->value.n_items > SN_ITEMS_MAX) {
		item->is_different = true;
		return;
	}
	is_absent = cp_policy_compile_row(item->policy, &cidr, &item->block,
					  item->slot, &wanted) != 0;
	if (wanted.table != row->table ||
	    memcmp(&wanted.key, &row->key, sizeof(row->key)) != 0 ||
	    !take_out(&wanted.value, &rest)) {
		item->is_different = true;
		return;
	}
	if (adopt(item, &cidr, &rest, now_ns)) {
		item->n_matched += !is_absent;
		if (rest.n_items > 0 && is_denied(item, &cidr))
			item->is_different = true;
	} else if (!is_absent || !take_back(item, row, now_ns))
		item->is_different = true;
}

/* The kernel has no entries of addresses that CIDR rules keep closed: what is
 * known of them is all there is. Losing it costs names. */
static void keep_denied(struct cp_attach_item *item)
{
	const struct cp_policy *policy = item->policy;
	sn_cleanup(sn_freep) struct cp_dns_address *addresses = NULL;
	uint64_t now_ns = cp_attach_item_now(item->manager);
	struct sn_rule_item items[SN_ITEMS_MAX];
	size_t n;

	if (cp_dns_learnt_list_addresses(item->learnt, &addresses, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		uint8_t n_items;

		if (!cp_attach_rows_denies(policy, &addresses[i]) ||
		    cp_dns_learnt_items(item->adopted, &addresses[i],
					SN_ITEMS_MAX, items) > 0)
			continue;
		n_items = cp_dns_learnt_items(item->learnt, &addresses[i],
					      SN_ITEMS_MAX, items);
		(void)cp_dns_learnt_adopt(item->adopted, item->learnt,
					  &addresses[i], items, n_items,
					  now_ns);
	}
}

void cp_attach_compare_end(struct cp_attach_item *item)
{
	if (!item->adopted)
		return;
	keep_denied(item);
	cp_dns_learnt_free(item->learnt);
	item->learnt = sn_steal(&item->adopted);
	item->retry_learnt_ns = 0;
	item->is_dns_changed = true;
}
