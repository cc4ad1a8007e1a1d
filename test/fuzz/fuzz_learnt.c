/* SPDX-License-Identifier: Apache-2.0 */
/* What a record of learnt.pb says: names and the addresses that they have
 * opened. After a reboot it is written into the kernel, so whatever it says, it
 * must open no more than answers for the same names could have. */

#include <stdlib.h>
#include <string.h>

#include "controld/attach/names.h"
#include "controld/attach/rows.h"
#include "controld/dns/special.h"
#include "test/fuzz/ensure.h"

enum { NAMES = 4, ADDRESSES = 8, PER_NAME = 3 };
#define NOW_NS (1000 * SN_NS_PER_S)
#define END_NS (NOW_NS + CP_ATTACH_NAMES_LIFE_MAX_S * SN_NS_PER_S)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t get_now(void)
{
	return NOW_NS;
}

static void add_domain(struct cp_policy *policy, enum sn_verdict verdict,
		       const char *name, uint16_t port)
{
	struct cp_dns_rule rule = {
		.verdict = (uint8_t)verdict,
		.owner = CP_POLICY_OWNER_LOCAL,
		.subdomains = true,
		.n_ports = port > 0,
	};
	struct sn_diag diag = { .text = "" };

	if (port)
		rule.ports[0] = (struct cp_policy_ports){ .low = port,
							  .high = port,
							  .protocol = 6 };
	ensure(cp_dns_name_parse(name, &rule.name, &diag) == 0 &&
		       cp_policy_add_domain(policy, &rule, NULL, NULL) == 0,
	       "domain");
}

/* Rule 1 is a.test, 2 is b.test for one port, 3 not no.a.test, and 4 denies
 * 203.0.113.0/24. */
static struct cp_policy *make_policy(void)
{
	struct cp_policy_rule deny = {
		.cidr = { .family = SN_FAMILY_IPV4,
			  .length = 24,
			  .address = { 203, 0, 113 } },
		.owner = CP_POLICY_OWNER_LOCAL,
		.verdict = SN_VERDICT_DENY,
	};
	struct cp_policy *policy;

	ensure(cp_policy_new(&policy, 16) == 0, "memory");
	add_domain(policy, SN_VERDICT_ALLOW, "a.test", 0);
	add_domain(policy, SN_VERDICT_ALLOW, "b.test", 443);
	add_domain(policy, SN_VERDICT_DENY, "no.a.test", 0);
	ensure(cp_policy_add(policy, &deny, NULL, NULL) == 0, "rule");
	return policy;
}

/* Each name is allowed, for the ports of its rule, and has an end. */
static void check_names(const struct cp_attach_item *item)
{
	const struct cp_dns_rules *rules = cp_policy_get_domains(item->policy);
	struct cp_dns_learnt_row row, next;
	size_t n = 0;

	while (cp_dns_learnt_next_row(item->learnt, n > 0 ? &row : NULL, NOW_NS,
				      &next)) {
		struct cp_dns_match match;

		row = next;
		n++;
		cp_dns_rules_match(rules, &row.name, &match);
		ensure(match.verdict == SN_VERDICT_ALLOW, "a refused name");
		ensure(row.expires_ns > NOW_NS && row.expires_ns <= END_NS,
		       "a life");
		ensure(row.rule_id == 1 ?
			       row.n_ports == 0 :
			       row.rule_id == 2 && row.n_ports == 1 &&
				       row.ports[0].low == 443 &&
				       row.ports[0].high == 443,
		       "ports");
	}
	ensure(n <= (size_t)NAMES * PER_NAME, "quotas");
}

static void check_item(const struct sn_rule_item *item)
{
	ensure(item->verdict == SN_VERDICT_ALLOW, "a verdict");
	ensure(item->expires > 0 &&
		       item->expires <= cp_policy_compile_expires(END_NS),
	       "an end");
	ensure(item->rule_id == 1 ||
		       (item->rule_id == 2 && item->port_low == 443 &&
			item->port_high == 443 && item->protocol == 6),
	       "the ports of an item");
}

/* What the kernel would get: nothing of addresses that are denied or special. */
static void check_row(const struct cp_attach_item *item,
		      const struct cp_dns_address *address)
{
	struct cp_policy_cidr cidr = cp_attach_rows_cidr(address);
	bool is_shut = cp_dns_special_has(address) ||
		       (address->family == SN_FAMILY_IPV4 &&
			memcmp(address->bytes, "\313\0\161", 3) == 0);
	struct cp_policy_compile_row row;
	int r = cp_attach_rows_compile(item->policy, item->learnt, &cidr,
				       &item->block, 1, &row);

	ensure((r != 0) == is_shut, "an entry, or none");
	for (uint8_t i = 0; r == 0 && i < row.value.n_items; i++)
		check_item(&row.value.items[i]);
}

static void check(const struct cp_attach_item *item)
{
	struct cp_dns_address *addresses = NULL;
	size_t n = 0;

	check_names(item);
	ensure(cp_dns_learnt_list_addresses(item->learnt, &addresses, &n) == 0,
	       "memory");
	ensure(n <= ADDRESSES, "addresses over the quota");
	for (size_t i = 0; i < n; i++)
		check_row(item, &addresses[i]);
	free(addresses);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t id[SN_ID_BYTES] = { 1 };
	struct cp_attach manager = {
		.options = { .now_ns = get_now,
			     .learnt = { .names = NAMES,
					 .addresses = ADDRESSES,
					 .addresses_per_name = PER_NAME } },
		.boot_id = "boot",
	};
	struct cp_state_record record = { .kind = CP_STATE_RECORD_PUT,
					  .blob = data,
					  .size = size };
	struct cp_attach_item *item;
	int r;

	ensure(cp_attach_item_new(&item, &manager, id, SN_TARGET_TC, "t") == 0,
	       "memory");
	item->policy = make_policy();
	cp_attach_item_compile_block(item, item->policy, 1, NULL, &item->block);
	ensure(cp_attach_item_add(item) == 0, "registry");
	record.key = item->id_text;
	r = cp_attach_names_take(&manager, &record);
	ensure(r == 0 || r == -EBADMSG, "an error of no record");
	check(item);
	cp_attach_item_drop(item);
	free(manager.items);
	return 0;
}
