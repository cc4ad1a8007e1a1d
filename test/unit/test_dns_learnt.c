/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/learnt.h"

#include "test/unit/test_dns_learnt.h"

static void an_address_is_open_as_its_rule_says_until_its_life_ends(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(7, SN_VERDICT_ALLOW, "a.example", 443, false),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 1);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(10, 10, 10);
	struct sn_rule_item items[SN_ITEMS_MAX];
	struct cp_dns_address lapsed[4];

	t_eq(put(learnt, rules, "a.example", 1, 2, 10 * S, 1 * S), 0);
	t_eq(items_of(learnt, 1, items), 1);
	t_eq(items[0].rule_id, 7);
	t_eq(items[0].verdict, SN_VERDICT_ALLOW);
	t_eq(items[0].protocol, IPPROTO_TCP);
	t_eq(items[0].port_low, 443);
	t_eq(items[0].port_high, 443);
	t_true(((uint64_t)items[0].expires << SN_EXPIRES_SHIFT) >= 10 * S);
	t_eq(items_of(learnt, 3, items), 0);
	t_eq(cp_dns_learnt_count_names(learnt, 9 * S), 1);
	t_eq(cp_dns_learnt_count_addresses(learnt, 9 * S), 2);
	t_eq(cp_dns_learnt_lapsed(learnt, 9 * S, lapsed, 4), 0);

	t_eq(cp_dns_learnt_count_names(learnt, 10 * S), 0);
	t_eq(cp_dns_learnt_count_addresses(learnt, 10 * S), 0);
	/* Flows may rest on it. */
	t_eq(items_of(learnt, 1, items), 1);
	t_eq(cp_dns_learnt_lapsed(learnt, 10 * S, lapsed, 1), 1);
	t_eq(cp_dns_learnt_lapsed(learnt, 10 * S, lapsed, 4), 2);
	cp_dns_learnt_forget(learnt, &lapsed[0]);
	t_eq(cp_dns_learnt_lapsed(learnt, 10 * S, lapsed, 4), 1);
	t_eq(items_of(learnt, lapsed[0].bytes[3], items), 1);
}

static void a_shorter_life_does_not_shorten_and_a_longer_one_revives(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(7, SN_VERDICT_ALLOW, "a.example", 0, false),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 1);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(1, 1, 1);
	struct cp_dns_address address = address_of(1);

	t_eq(put(learnt, rules, "a.example", 1, 1, 10 * S, 1 * S), 0);
	t_eq(put(learnt, rules, "a.example", 1, 1, 5 * S, 1 * S), 0);
	t_true(opens(learnt, 1, 80, 9 * S));
	t_eq(cp_dns_learnt_count_names(learnt, 20 * S), 0);
	t_eq(put(learnt, rules, "a.example", 1, 1, 30 * S, 20 * S), 0);
	t_true(opens(learnt, 1, 80, 29 * S));
	t_eq(cp_dns_learnt_count_names(learnt, 20 * S), 1);
	/* The kernel's answer about the time before is late. */
	cp_dns_learnt_forget(learnt, &address);
	t_true(opens(learnt, 1, 80, 29 * S));
	t_eq(cp_dns_learnt_lapsed(learnt, 20 * S, &address, 1), 0);
}

static void only_what_the_kernel_has_counts_as_learnt(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(7, SN_VERDICT_ALLOW, "a.example", 0, false),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 1);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(9, 9, 9);
	struct cp_dns_name name = name_of("a.example");
	struct cp_dns_name other = name_of("b.example");
	struct cp_dns_address two[] = { address_of(1), address_of(2) };

	t_eq(put(learnt, rules, "a.example", 1, 2, 10 * S, 1 * S), 0);
	t_false(cp_dns_learnt_has(learnt, &name, two, 2, 5 * S));
	cp_dns_learnt_confirm(learnt, &name, two, 1, 10 * S);
	t_true(cp_dns_learnt_has(learnt, &name, two, 1, 10 * S));
	t_false(cp_dns_learnt_has(learnt, &name, two, 2, 10 * S));
	cp_dns_learnt_confirm(learnt, &name, two, 2, 10 * S);
	t_true(cp_dns_learnt_has(learnt, &name, two, 2, 10 * S));
	t_false(cp_dns_learnt_has(learnt, &name, two, 2, 10 * S + 1));
	t_false(cp_dns_learnt_has(learnt, &other, two, 2, 1));
	t_true(cp_dns_learnt_has(learnt, &other, two, 0, 1));

	/* Longer, and not confirmed. */
	t_eq(put(learnt, rules, "a.example", 1, 1, 20 * S, 1 * S), 0);
	t_true(cp_dns_learnt_has(learnt, &name, two, 2, 10 * S));
	t_false(cp_dns_learnt_has(learnt, &name, two, 1, 20 * S));
	cp_dns_learnt_confirm_all(learnt);
	t_true(cp_dns_learnt_has(learnt, &name, two, 1, 20 * S));
	/* What is not there is left out. */
	cp_dns_learnt_confirm(learnt, &other, two, 2, 20 * S);
	t_false(cp_dns_learnt_has(learnt, &other, two, 1, 1));
}

static void quotas_are_all_or_nothing_and_count_what_lives(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(7, SN_VERDICT_ALLOW, "example", 0, true),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 1);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(2, 5, 3);
	struct sn_rule_item items[SN_ITEMS_MAX];

	t_eq(put(learnt, rules, "a.example", 0, 4, 10 * S, 1),
	     CP_DNS_LEARNT_E_PER_NAME);
	t_eq(items_of(learnt, 0, items), 0);
	t_eq(cp_dns_learnt_count_names(learnt, 1), 0);
	t_eq(put(learnt, rules, "a.example", 0, 3, 10 * S, 1), 0);
	t_eq(put(learnt, rules, "a.example", 2, 2, 10 * S, 1),
	     CP_DNS_LEARNT_E_PER_NAME);
	t_eq(put(learnt, rules, "b.example", 3, 3, 10 * S, 1),
	     CP_DNS_LEARNT_E_ADDRESSES);
	t_eq(items_of(learnt, 3, items), 0);
	/* Those that are there cost nothing. */
	t_eq(put(learnt, rules, "b.example", 2, 3, 11 * S, 1), 0);
	t_eq(put(learnt, rules, "c.example", 0, 1, 10 * S, 1),
	     CP_DNS_LEARNT_E_NAMES);
	t_eq(cp_dns_learnt_count_addresses(learnt, 1), 5);
	/* Room comes back as lives end. */
	t_eq(put(learnt, rules, "c.example", 0, 1, 20 * S, 10 * S), 0);
	t_eq(cp_dns_learnt_count_names(learnt, 10 * S), 2);
	t_eq(cp_dns_learnt_count_addresses(learnt, 10 * S), 4);
}

static void an_address_of_two_names_lives_as_long_as_one_of_them(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(1, SN_VERDICT_ALLOW, "a.example", 443, false),
		rule_of(2, SN_VERDICT_ALLOW, "b.example", 80, false),
		rule_of(3, SN_VERDICT_ALLOW, "c.example", 0, false),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 3);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(9, 9, 9);
	struct sn_rule_item items[SN_ITEMS_MAX];

	t_eq(put(learnt, rules, "a.example", 1, 1, 10 * S, 1), 0);
	t_eq(put(learnt, rules, "b.example", 1, 1, 20 * S, 1), 0);
	t_eq(items_of(learnt, 1, items), 2);
	t_eq(items[0].rule_id, 1);
	t_eq(items[1].rule_id, 2);
	t_true(opens(learnt, 1, 443, 9 * S));
	t_false(opens(learnt, 1, 443, 11 * S));
	t_true(opens(learnt, 1, 80, 19 * S));
	t_eq(cp_dns_learnt_count_addresses(learnt, 15 * S), 1);
	/* Every port until later covers both; until earlier it stands beside. */
	t_eq(put(learnt, rules, "c.example", 1, 1, 16 * S, 15 * S), 0);
	t_eq(items_of(learnt, 1, items), 2);
	t_eq(put(learnt, rules, "c.example", 1, 1, 30 * S, 15 * S), 0);
	t_eq(items_of(learnt, 1, items), 1);
	t_eq(items[0].rule_id, 3);
}

static void names_of_one_rule_share_an_item(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(5, SN_VERDICT_ALLOW, "example", 443, true),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 1);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(100, 100, 9);
	struct sn_rule_item items[SN_ITEMS_MAX];
	char text[32];

	for (int i = 0; i < 50; i++) {
		(void)snprintf(text, sizeof(text), "n%d.example", i);
		t_eq(put(learnt, rules, text, 1, 1, (10 + (unsigned int)i) * S,
			 1),
		     0);
	}
	t_eq(items_of(learnt, 1, items), 1);
	t_true(opens(learnt, 1, 443, 58 * S));
	t_false(opens(learnt, 1, 443, 60 * S));
}

static void nine_different_openings_do_not_fit_one_address(void)
{
	struct cp_dns_rule list[9];
	char text[32];

	for (int i = 0; i < 9; i++) {
		(void)snprintf(text, sizeof(text), "n%d.example", i);
		list[i] = rule_of((uint32_t)i + 1, SN_VERDICT_ALLOW, text,
				  (uint16_t)(i + 1), false);
	}
	{
		sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
			rules_of(list, 9);
		sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
			make(100, 100, 9);
		struct sn_rule_item items[SN_ITEMS_MAX];
		const uint8_t room = 7;

		for (int i = 0; i < 7; i++) {
			(void)snprintf(text, sizeof(text), "n%d.example", i);
			t_eq(put(learnt, rules, text, 1, 1,
				 (10 + (unsigned int)i) * S, 1),
			     0);
		}
		t_eq(put_room(learnt, rules, "n7.example", 1, 1, &room, 20 * S,
			      1),
		     CP_DNS_LEARNT_E_PORTS);
		t_eq(cp_dns_learnt_count_names(learnt, 1), 7);
		t_eq(put(learnt, rules, "n7.example", 1, 1, 20 * S, 1), 0);
		t_eq(put(learnt, rules, "n8.example", 1, 1, 20 * S, 1),
		     CP_DNS_LEARNT_E_PORTS);
		t_eq(items_of(learnt, 1, items), 8);
		/* What has lapsed makes room. */
		t_eq(put(learnt, rules, "n8.example", 1, 1, 20 * S, 10 * S), 0);
		t_eq(items_of(learnt, 1, items), 8);
		t_false(opens(learnt, 1, 1, 9 * S));
		t_true(opens(learnt, 1, 9, 19 * S));
		/* Where CIDR rules leave less, the last to end are told. */
		{
			struct cp_dns_address at = address_of(1);

			t_eq(cp_dns_learnt_items(learnt, &at, 2, items), 2);
			t_eq(items[0].port_low, 8);
			t_eq(items[1].port_low, 9);
			t_eq(cp_dns_learnt_items(learnt, &at, 0, items), 0);
		}
	}
}

struct heard {
	size_t n;
	struct cp_dns_address addresses[64];
};

static void hear(void *userdata, const struct cp_dns_address *address)
{
	struct heard *heard = userdata;

	heard->addresses[heard->n++] = *address;
}

static void removed_rules_close_what_no_other_name_holds(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(1, SN_VERDICT_ALLOW, "a.example", 443, false),
		rule_of(2, SN_VERDICT_ALLOW, "b.example", 80, false),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 2);
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *fewer =
		rules_of(&list[1], 1);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(9, 9, 9);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *copy = NULL;
	struct sn_rule_item items[SN_ITEMS_MAX];
	struct heard heard = { .n = 0 };

	t_eq(put(learnt, rules, "a.example", 1, 2, 10 * S, 1), 0);
	t_eq(put(learnt, rules, "b.example", 2, 2, 10 * S, 1), 0);
	t_true(cp_dns_learnt_is_current(learnt, rules, false));
	t_eq(cp_dns_learnt_apply(learnt, rules, false, hear, &heard), 0);
	t_eq(heard.n, 0);

	t_eq(cp_dns_learnt_copy(learnt, &copy), 0);
	t_false(cp_dns_learnt_is_current(learnt, fewer, false));
	t_eq(cp_dns_learnt_apply(learnt, fewer, false, hear, &heard), 1);
	t_eq(heard.n, 2);
	for (size_t i = 0; i < heard.n; i++)
		t_true(heard.addresses[i].bytes[3] <= 2);
	t_eq(items_of(learnt, 1, items), 0);
	t_eq(items_of(learnt, 2, items), 1);
	t_eq(items[0].rule_id, 2);
	t_eq(items_of(learnt, 3, items), 1);
	t_eq(cp_dns_learnt_count_names(learnt, 1), 1);
	t_eq(cp_dns_learnt_count_addresses(learnt, 1), 2);
	/* The copy is another set. */
	t_eq(items_of(copy, 1, items), 1);
	t_eq(items_of(copy, 2, items), 2);
	t_eq(cp_dns_learnt_count_names(copy, 1), 2);
}

static void lapsed_names_are_revoked_too(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(1, SN_VERDICT_ALLOW, "a.example", 0, false),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 1);
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *none =
		rules_of(NULL, 0);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(9, 9, 9);
	struct sn_rule_item items[SN_ITEMS_MAX];
	struct heard heard = { .n = 0 };

	t_eq(put(learnt, rules, "a.example", 1, 1, 10 * S, 1), 0);
	t_eq(cp_dns_learnt_count_names(learnt, 11 * S), 0);
	t_eq(cp_dns_learnt_apply(learnt, none, false, hear, &heard), 1);
	t_eq(heard.n, 1);
	t_eq(items_of(learnt, 1, items), 0);
	t_eq(cp_dns_learnt_lapsed(learnt, 11 * S, heard.addresses, 9), 0);
}

static void the_most_specific_rule_decides_after_a_change(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(1, SN_VERDICT_ALLOW, "example", 0, true),
		rule_of(2, SN_VERDICT_ALLOW, "a.example", 443, false),
		rule_of(3, SN_VERDICT_DENY, "b.example", 0, false),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *before =
		rules_of(list, 1);
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *after =
		rules_of(list, 3);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(9, 9, 9);
	struct heard heard = { .n = 0 };

	t_eq(put(learnt, before, "a.example", 1, 1, 10 * S, 1), 0);
	t_eq(put(learnt, before, "b.example", 2, 1, 10 * S, 1), 0);
	t_eq(put(learnt, before, "c.example", 3, 1, 10 * S, 1), 0);
	t_eq(cp_dns_learnt_apply(learnt, after, false, hear, &heard), 1);
	t_eq(heard.n, 2);
	t_true(opens(learnt, 1, 443, 1));
	t_false(opens(learnt, 1, 80, 1));
	t_false(opens(learnt, 2, 80, 1));
	t_true(opens(learnt, 3, 80, 1));
}

static void names_without_a_rule_stay_if_told(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(3, SN_VERDICT_DENY, "b.example", 0, false),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 1);
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *none =
		rules_of(NULL, 0);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(9, 9, 9);
	struct sn_rule_item items[SN_ITEMS_MAX];

	t_eq(put(learnt, none, "a.example", 1, 1, 10 * S, 1), 0);
	t_eq(put(learnt, none, "b.example", 2, 1, 10 * S, 1), 0);
	t_eq(items_of(learnt, 1, items), 1);
	t_eq(items[0].rule_id, 0);
	t_eq(cp_dns_learnt_apply(learnt, rules, true, NULL, NULL), 1);
	t_eq(items_of(learnt, 1, items), 1);
	t_eq(items_of(learnt, 2, items), 0);
	t_eq(cp_dns_learnt_apply(learnt, rules, false, NULL, NULL), 1);
	t_eq(items_of(learnt, 1, items), 0);
}

/* Reads the items of one set as if the kernel had them. */
static void adopt(struct cp_dns_learnt *learnt,
		  const struct cp_dns_learnt *known,
		  const struct cp_dns_learnt *kernel, unsigned int i)
{
	struct cp_dns_address address = address_of(i);
	struct sn_rule_item items[SN_ITEMS_MAX];
	uint8_t n = items_of(kernel, i, items);

	t_eq(cp_dns_learnt_adopt(learnt, known, &address, items, n, 1), 0);
}

static void what_the_kernel_has_is_adopted_with_its_names(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(1, SN_VERDICT_ALLOW, "a.example", 443, false),
		rule_of(2, SN_VERDICT_ALLOW, "b.example", 80, false),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 2);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *kernel =
		make(9, 9, 9);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *known =
		make(9, 9, 9);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(9, 9, 9);
	struct cp_dns_name name = name_of("a.example");
	struct cp_dns_address address = address_of(1);
	struct cp_dns_learnt_row row;

	t_eq(put(kernel, rules, "a.example", 1, 1, 20 * S, 1), 0);
	t_eq(put(kernel, rules, "b.example", 1, 1, 30 * S, 1), 0);
	t_eq(put(kernel, rules, "b.example", 2, 1, 30 * S, 1), 0);
	/* Some seconds old, and with a name that the kernel does not have. */
	t_eq(put(known, rules, "a.example", 1, 1, 10 * S, 1), 0);
	t_eq(put(known, rules, "b.example", 1, 1, 90 * S, 1), 0);
	t_eq(put(known, rules, "a.example", 2, 2, 90 * S, 1), 0);
	adopt(learnt, known, kernel, 1);
	adopt(learnt, known, kernel, 2);

	for (unsigned int i = 1; i <= 3; i++)
		for (uint16_t port = 0; port < 500; port++)
			for (uint64_t t = 5; t < 100; t += 5)
				t_eq(opens(learnt, i, port, t * S),
				     opens(kernel, i, port, t * S));
	t_true(cp_dns_learnt_has(learnt, &name, &address, 1, 10 * S));
	t_false(cp_dns_learnt_has(learnt, &name, &address, 1, 11 * S));
	t_true(cp_dns_learnt_next_row(learnt, NULL, 1, &row));
	t_true(cp_dns_name_is_equal(&row.name, &name));
	t_eq(row.expires_ns, 10 * S);
	t_true(cp_dns_learnt_next_row(learnt, &row, 1, &row));
	t_eq(row.rule_id, 2);
	t_false(cp_dns_learnt_next_row(learnt, &row, 1, &row));
}

static void anonymous_entries_go_when_a_change_could_be_about_them(void)
{
	const struct cp_dns_rule exact =
		rule_of(1, SN_VERDICT_ALLOW, "a.example", 443, false);
	const struct cp_dns_rule wide =
		rule_of(2, SN_VERDICT_ALLOW, "example", 0, true);
	const struct cp_dns_rule older =
		rule_of(1, SN_VERDICT_ALLOW, "b.example", 80, false);
	const struct cp_dns_rule younger =
		rule_of(3, SN_VERDICT_ALLOW, "b.example", 80, false);
	const struct cp_dns_rule elsewhere =
		rule_of(3, SN_VERDICT_DENY, "b.test", 0, true);
	const struct cp_dns_rule deny =
		rule_of(1, SN_VERDICT_DENY, "b.example", 0, false);
	const struct cp_dns_rule deny_exact =
		rule_of(4, SN_VERDICT_DENY, "a.example", 0, false);
	struct {
		struct cp_dns_rule learnt;
		struct cp_dns_rule now[2];
		size_t n;
		bool stays;
	} cases[] = {
		{ exact, { exact }, 1, true },
		{ exact, { { 0 } }, 0, false },
		{ exact, { exact, deny_exact }, 2, false },
		{ exact, { exact, elsewhere }, 2, true },
		{ wide, { wide }, 1, true },
		{ wide, { wide, older }, 2, true },
		{ wide, { wide, younger }, 2, false },
		{ wide, { wide, elsewhere }, 2, true },
		{ wide, { wide, deny }, 2, false },
		{ wide, { exact }, 1, false },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *before =
			rules_of(&cases[i].learnt, 1);
		sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *now =
			rules_of(cases[i].now, cases[i].n);
		sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *kernel =
			make(9, 9, 9);
		sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
			make(9, 9, 9);
		struct sn_rule_item items[SN_ITEMS_MAX];

		t_eq(put(kernel, before, "a.example", 1, 1, 9 * S, 1), 0);
		adopt(learnt, NULL, kernel, 1);
		t_eq(items_of(learnt, 1, items), 1);
		t_eq(cp_dns_learnt_count_names(learnt, 1), 0);
		t_eq(cp_dns_learnt_count_addresses(learnt, 1), 1);
		t_eq(cp_dns_learnt_is_current(learnt, now, false),
		     cases[i].stays);
		(void)cp_dns_learnt_apply(learnt, now, false, NULL, NULL);
		if (items_of(learnt, 1, items) != cases[i].stays)
			t_fail("case %zu", i);
		t_eq(cp_dns_learnt_count_addresses(learnt, 1), cases[i].stays);
	}
}

static void rows_are_in_the_order_of_names_and_addresses(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(3, SN_VERDICT_ALLOW, "b.example", 443, false),
		rule_of(4, SN_VERDICT_ALLOW, "a.example", 0, false),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 2);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(9, 9, 9);
	struct cp_dns_learnt_row row;
	struct cp_dns_name gone = name_of("0.example");

	t_false(cp_dns_learnt_next_row(learnt, NULL, 1, &row));
	t_eq(put(learnt, rules, "b.example", 5, 1, 10 * S, 1), 0);
	t_eq(put(learnt, rules, "b.example", 4, 1, 20 * S, 1), 0);
	t_eq(put(learnt, rules, "a.example", 7, 1, 20 * S, 1), 0);
	t_true(cp_dns_learnt_next_row(learnt, NULL, 1, &row));
	t_eq(row.rule_id, 4);
	t_eq(row.n_ports, 0);
	t_eq(row.address.bytes[3], 7);
	t_true(cp_dns_learnt_next_row(learnt, &row, 1, &row));
	t_eq(row.address.bytes[3], 4);
	t_eq(row.n_ports, 1);
	t_eq(row.ports[0].low, 443);
	t_true(cp_dns_learnt_next_row(learnt, &row, 1, &row));
	t_eq(row.address.bytes[3], 5);
	t_eq(row.expires_ns, 10 * S);
	t_false(cp_dns_learnt_next_row(learnt, &row, 1, &row));
	/* A page may begin behind what is there no more. */
	row.name = gone;
	t_true(cp_dns_learnt_next_row(learnt, &row, 1, &row));
	t_eq(row.address.bytes[3], 7);
	/* Lapsed ones are left out. */
	t_true(cp_dns_learnt_next_row(learnt, &row, 11 * S, &row));
	t_eq(row.address.bytes[3], 4);
	t_false(cp_dns_learnt_next_row(learnt, &row, 11 * S, &row));
}

static void lapsed_addresses_are_bounded_oldest_first(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(3, SN_VERDICT_ALLOW, "example", 443, true),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 1);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(4, 4, 4);
	const unsigned int bound = 4 * CP_DNS_LEARNT_LAPSED_FACTOR;
	struct cp_dns_address address, deferred;
	uint64_t now = 1;
	unsigned int i;

	for (i = 0; i < bound; i++, now += S)
		t_eq(put(learnt, rules, "a.example", i, 1, now + S, now), 0);
	t_false(cp_dns_learnt_over(learnt, now, &address));
	t_eq(cp_dns_learnt_lapsed(learnt, now, &deferred, 1), 1);
	t_eq(deferred.bytes[3], 0);
	cp_dns_learnt_defer(learnt, &deferred);
	for (; i < bound + 4; i++, now += S)
		t_eq(put(learnt, rules, "a.example", i, 1, now + S, now), 0);
	/* And refused where nobody collects them. */
	t_eq(put(learnt, rules, "a.example", i, 1, now + S, now),
	     CP_DNS_LEARNT_E_ADDRESSES);
	for (i = 1; i < 5; i++) {
		t_true(cp_dns_learnt_over(learnt, now, &address));
		t_eq(address.bytes[3], i);
		cp_dns_learnt_forget(learnt, &address);
	}
	t_false(cp_dns_learnt_over(learnt, now, &address));
	t_eq(put(learnt, rules, "a.example", 90, 1, now + S, now), 0);
}

/* Ever new names of one address that lives. */
static void names_of_a_living_address_do_not_pile_up(void)
{
	const struct cp_dns_rule list[] = {
		rule_of(3, SN_VERDICT_ALLOW, "example", 443, true),
	};
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *rules =
		rules_of(list, 1);
	sn_cleanup(cp_dns_rules_freep) struct cp_dns_rules *none =
		rules_of(NULL, 0);
	sn_cleanup(cp_dns_learnt_freep) struct cp_dns_learnt *learnt =
		make(4, 4, 4);
	uint64_t now = 1;
	char text[32];

	for (unsigned int i = 0; i < 1000; i++, now += S) {
		(void)snprintf(text, sizeof(text), "n%u.example", i);
		t_eq(put(learnt, rules, text, 1, 1, now + 2 * S, now), 0);
	}
	/* Those that live, and those that lapsed since the last put. */
	t_true(cp_dns_learnt_apply(learnt, none, false, NULL, NULL) <= 4);
}

T_MAIN("dns_learnt", an_address_is_open_as_its_rule_says_until_its_life_ends,
       a_shorter_life_does_not_shorten_and_a_longer_one_revives,
       only_what_the_kernel_has_counts_as_learnt,
       quotas_are_all_or_nothing_and_count_what_lives,
       an_address_of_two_names_lives_as_long_as_one_of_them,
       names_of_one_rule_share_an_item,
       nine_different_openings_do_not_fit_one_address,
       removed_rules_close_what_no_other_name_holds,
       lapsed_names_are_revoked_too,
       the_most_specific_rule_decides_after_a_change,
       names_without_a_rule_stay_if_told,
       what_the_kernel_has_is_adopted_with_its_names,
       anonymous_entries_go_when_a_change_could_be_about_them,
       rows_are_in_the_order_of_names_and_addresses,
       lapsed_addresses_are_bounded_oldest_first,
       names_of_a_living_address_do_not_pile_up)
