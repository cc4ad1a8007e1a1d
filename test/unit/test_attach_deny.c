/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/rows.h"

#include "test/unit/test_attach_deny.h"

static void a_denied_network_closes_what_names_have_opened(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;
	unsigned int n_flips = rig->fake->n_flips;
	unsigned int n_narrowed = rig->fake->n_narrowed;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	is_closed_from(&lab, ALL_CLOSED);
	/* Flows are judged again behind the last entry. */
	t_true(rig->fake->n_narrowed > n_narrowed);
	t_eq(rig->fake->n_flips, n_flips);
	t_eq(learn(rig, "a.example", 1, 1, 300), CP_ATTACH_DNS_LEARN_DENIED);
	t_eq(learn(rig, "a.example", 255, 2, 300), CP_ATTACH_DNS_LEARN_DENIED);
	t_null(entry_of(rig, 1));
	/* They live on unseen. */
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/24").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	t_eq(rig->fake->n_flips, n_flips);
	rig_free(rig);
}

static void the_last_write_of_a_closing_makes_flows_be_judged_again(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;
	unsigned int n_narrowed, n_puts;

	/* So that an entry stays to be put. */
	t_eq(add_port(rig, lab.id, "198.51.0.1", 22, 0).result.code,
	     CP_ATTACH_CODE_OK);
	n_narrowed = rig->fake->n_narrowed;
	n_puts = rig->fake->n_puts;
	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	/* The rule's entry, and the address's. */
	t_eq(rig->fake->n_puts, n_puts + 2);
	t_eq(rig->fake->n_narrowed, n_narrowed + 2);
	t_eq(entry_of(rig, 1)->value.n_items, 1);
	t_true(is_open(rig, 1, 22));
	t_false(is_open(rig, 1, 80));
	rig_free(rig);
}

static void what_lapses_while_it_is_closed_stays_closed(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	now_ns += 301 * SN_NS_PER_S;
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/24").result.removed, 1);
	t_false(is_open(rig, 1, 80));
	t_false(is_learnt(rig, "a.example", 1, 0));
	cp_attach_collect_lapsed(rig->manager);
	settle(rig);
	t_null(entry_of(rig, 1));
	rig_free(rig);
}

/* Lapsed addresses have no entry that could be in use. */
static void closed_addresses_leave_the_set_when_they_lapse(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	now_ns += 301 * SN_NS_PER_S;
	rig->fake->in_use = true;
	cp_attach_collect_lapsed(rig->manager);
	settle(rig);
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/24").result.removed, 1);
	t_null(entry_of(rig, 1));
	t_not_null(entry_of(rig, 256));
	rig_free(rig);
}

static void a_more_specific_allow_opens_its_part(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	t_eq(allow(&lab, "198.51.0.0/28").result.code, CP_ATTACH_CODE_OK);
	is_closed_from(&lab, 16);
	t_eq(learn(rig, "a.example", 5, 1, 30), CP_ATTACH_DNS_LEARN_OK);
	t_true(is_open(rig, 5, 80));
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/28").result.removed, 1);
	is_closed_from(&lab, ALL_CLOSED);
	t_eq(allow(&lab, "198.51.0.0/28").result.code, CP_ATTACH_CODE_OK);
	is_closed_from(&lab, 16);
	/* What lies beyond the two says nothing inside them. */
	t_eq(deny(&lab, "198.51.0.0/16").result.code, CP_ATTACH_CODE_OK);
	t_false(is_open(rig, 256, 80));
	t_true(is_open(rig, 1, 80));
	t_false(is_open(rig, 17, 80));
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/24").result.removed, 1);
	t_true(is_open(rig, 1, 80));
	t_false(is_open(rig, 17, 80));
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/16").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/28").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	rig_free(rig);
}

/* Entries about which a longer prefix decides are not touched. */
static void only_entries_that_turn_are_written(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;
	size_t n_rows;

	t_eq(allow(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	entry_of(rig, 1)->value.items[0].rule_id = 999;
	t_eq(deny(&lab, "198.51.0.0/16").result.code, CP_ATTACH_CODE_OK);
	t_eq(entry_of(rig, 1)->value.items[0].rule_id, 999);
	t_null(entry_of(rig, 256));
	n_rows = rig->fake->n_rows;
	/* An allow where names may open says nothing new. */
	t_eq(allow(&lab, "198.51.0.0/28").result.code, CP_ATTACH_CODE_OK);
	t_eq(entry_of(rig, 1)->value.items[0].rule_id, 999);
	t_eq(rig->fake->n_rows, n_rows + 1);
	rig_free(rig);
}

static void one_rule_of_a_prefix_gives_way_to_the_other(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	is_closed_from(&lab, ALL_CLOSED);
	t_true(allow(&lab, "198.51.0.0/24").result.replaced);
	is_closed_from(&lab, ALL_OPEN);
	t_true(deny(&lab, "198.51.0.0/24").result.replaced);
	is_closed_from(&lab, ALL_CLOSED);
	/* With a TTL it is compared by length, and names are longer. */
	t_true(add(rig, lab.id, SN_VERDICT_DENY, "198.51.0.0/24", 60)
		       .result.replaced);
	is_closed_from(&lab, ALL_OPEN);
	rig_free(rig);
}

/* Ports and TTLs have the meaning that they have between CIDR rules. */
static void rules_with_ports_or_ttl_turn_no_names(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;
	struct cp_policy_rule one = rule(SN_VERDICT_DENY, "198.51.0.0/24", 0);
	struct outcome outcome = { 0 };

	one.ports[0] = (struct cp_policy_ports){ .low = 80,
						 .high = 80,
						 .protocol = IPPROTO_TCP };
	one.n_ports = 1;
	t_eq(cp_attach_add_rule(rig->manager, lab.id, &one, done, &outcome), 0);
	TURN_UNTIL(rig, outcome.is_done);
	t_eq(outcome.result.code, CP_ATTACH_CODE_OK);
	is_closed_from(&lab, ALL_OPEN);
	t_eq(add(rig, lab.id, SN_VERDICT_DENY, "198.51.0.0/28", 60).result.code,
	     CP_ATTACH_CODE_OK);
	is_closed_from(&lab, ALL_OPEN);
	/* Nor do they open what a network's deny closes. */
	t_eq(deny(&lab, "198.51.0.0/16").result.code, CP_ATTACH_CODE_OK);
	t_false(is_open(rig, 1, 80));
	t_eq(add_port(rig, lab.id, "198.51.0.0/28", 443, 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_null(entry_of(rig, 1));
	t_eq(add(rig, lab.id, SN_VERDICT_ALLOW, "198.51.0.0/24", 60).result.code,
	     CP_ATTACH_CODE_OK);
	t_null(entry_of(rig, 1));
	rig_free(rig);
}

/* An address that a rule opens for some ports is answered; the name opens no
 * others. */
static void inside_a_denied_network_rules_alone_open(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	for (uint16_t i = 0; i < SN_ITEMS_MAX; i++)
		t_eq(add_port(rig, lab.id, "198.51.0.1", 443 + i, 0).result.code,
		     CP_ATTACH_CODE_OK);
	t_eq(add_port(rig, lab.id, "198.51.0.16/28", 443, 0).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(learn(rig, "a.example", 1, 1, 400), CP_ATTACH_DNS_LEARN_OK);
	t_true(is_learnt(rig, "a.example", 1, 390));
	t_false(is_open(rig, 1, 80));
	t_true(is_open(rig, 1, 443));
	t_eq(learn(rig, "b.example", 17, 2, 400), CP_ATTACH_DNS_LEARN_OK);
	t_null(entry_of(rig, 17));
	t_eq(learn(rig, "b.example", 17, 16, 400), CP_ATTACH_DNS_LEARN_DENIED);
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/24").result.removed, 1);
	t_true(is_open_in(rig, 17, 80, 390));
	rig_free(rig);
}

static void the_deny_of_a_host_closes_it_alone(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	t_eq(deny(&lab, "198.51.0.1").result.code, CP_ATTACH_CODE_OK);
	t_eq(entry_of(rig, 1)->value.n_items, 1);
	t_false(is_open(rig, 1, 80));
	t_true(is_open(rig, 2, 80));
	t_eq(deny(&lab, "198.51.0.0/24").result.code, CP_ATTACH_CODE_OK);
	t_eq(drop_rules(rig, lab.id, "198.51.0.1").result.removed, 1);
	is_closed_from(&lab, ALL_CLOSED);
	t_eq(allow(&lab, "198.51.0.1").result.code, CP_ATTACH_CODE_OK);
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/24").result.removed, 1);
	t_eq(drop_rules(rig, lab.id, "198.51.0.1").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	rig_free(rig);
}

static void a_new_policy_has_its_own_denied_networks(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;

	for (int i = 0; i < 2; i++) {
		struct cp_policy *next = a_and_b();
		struct cp_policy_rule one =
			rule(SN_VERDICT_DENY, "198.51.0.0/25", 0);

		t_eq(cp_policy_add(next, &one, NULL, NULL), 0);
		t_eq(apply(rig, lab.id, next, false).result.code,
		     CP_ATTACH_CODE_OK);
		is_closed_from(&lab, ALL_CLOSED);
		t_eq(set_dns_mode(rig, lab.id, CP_DNS_MODE_DENYLIST).result.code,
		     CP_ATTACH_CODE_OK);
		is_closed_from(&lab, ALL_CLOSED);
		t_eq(apply(rig, lab.id, a_and_b(), false).result.code,
		     CP_ATTACH_CODE_OK);
		is_closed_from(&lab, ALL_OPEN);
	}
	/* Nothing of other generations is left. */
	settle(rig);
	t_eq(fake_count(rig->fake, slot_of(rig)->target.slot,
			slot_of(rig)->policy.generation),
	     fake_count(rig->fake, slot_of(rig)->target.slot, 0));
	rig_free(rig);
}

static void a_length_that_is_new_turns_names_by_a_generation(void)
{
	struct lab lab = lab_new();
	struct rig *rig = lab.rig;
	unsigned int n_flips = rig->fake->n_flips;

	t_eq(deny(&lab, "198.51.0.0/25").result.code, CP_ATTACH_CODE_OK);
	t_eq(rig->fake->n_flips, n_flips + 1);
	is_closed_from(&lab, ALL_CLOSED);
	t_eq(drop_rules(rig, lab.id, "198.51.0.0/25").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	rig_free(rig);
}

static void everything_can_be_denied_to_names(void)
{
	struct lab lab = lab_new();

	t_eq(deny(&lab, "0.0.0.0/0").result.code, CP_ATTACH_CODE_OK);
	t_null(entry_of(lab.rig, 1));
	t_null(entry_of(lab.rig, 256));
	t_eq(drop_rules(lab.rig, lab.id, "0.0.0.0/0").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	/* The length is in the block now. */
	t_eq(deny(&lab, "0.0.0.0/0").result.code, CP_ATTACH_CODE_OK);
	t_null(entry_of(lab.rig, 256));
	t_eq(drop_rules(lab.rig, lab.id, "0.0.0.0/0").result.removed, 1);
	is_closed_from(&lab, ALL_OPEN);
	rig_free(lab.rig);
}

static size_t count_listed(struct lab *lab)
{
	const struct cp_attach_item *item =
		cp_attach_get(lab->rig->manager, lab->id);
	struct cp_dns_learnt_row row, next;
	size_t n = 0;

	while (cp_attach_dns_next_learnt(item, n > 0 ? &row : NULL, &next)) {
		row = next;
		n++;
	}
	return n;
}

static void what_is_closed_is_not_listed(void)
{
	struct lab lab = lab_new();
	struct cp_dns_address closed = address_of(1), open = address_of(17);
	const struct cp_attach_item *item;
	struct cp_dns_learnt_row row;

	t_eq(count_listed(&lab), 9);
	t_eq(deny(&lab, "198.51.0.0/28").result.code, CP_ATTACH_CODE_OK);
	t_eq(count_listed(&lab), 5);
	item = cp_attach_get(lab.rig->manager, lab.id);
	t_false(cp_attach_dns_get_name(item, &closed, 0, false, &row));
	t_true(cp_attach_dns_get_name(item, &closed, 0, true, &row));
	t_true(cp_attach_dns_get_name(item, &open, 0, false, &row));
	t_eq(deny(&lab, "198.51.0.0/16").result.code, CP_ATTACH_CODE_OK);
	t_eq(count_listed(&lab), 0);
	rig_free(lab.rig);
}

static enum cp_attach_dns_say say(struct lab *lab, unsigned int i)
{
	struct cp_dns_address address = address_of(i);

	return cp_attach_dns_judge(cp_attach_get(lab->rig->manager, lab->id),
				   &address, now_ns);
}

static void rules_say_which_addresses_may_be_answered(void)
{
	struct lab lab = lab_new();

	t_eq(say(&lab, 1), CP_ATTACH_DNS_SAY_NOTHING);
	t_eq(deny(&lab, "198.51.0.0/16").result.code, CP_ATTACH_CODE_OK);
	t_eq(say(&lab, 1), CP_ATTACH_DNS_SAY_DENIES);
	t_eq(add_port(lab.rig, lab.id, "198.51.0.0/24", 443, 60).result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(say(&lab, 1), CP_ATTACH_DNS_SAY_OPENS);
	t_eq(say(&lab, 256), CP_ATTACH_DNS_SAY_DENIES);
	now_ns += 61 * SN_NS_PER_S;
	t_eq(say(&lab, 1), CP_ATTACH_DNS_SAY_DENIES);
	t_eq(add(lab.rig, lab.id, SN_VERDICT_DENY, "198.51.0.0/24", 60)
		     .result.code,
	     CP_ATTACH_CODE_OK);
	t_eq(say(&lab, 1), CP_ATTACH_DNS_SAY_DENIES);
	t_eq(allow(&lab, "198.51.0.0/16").result.code, CP_ATTACH_CODE_OK);
	t_eq(say(&lab, 1), CP_ATTACH_DNS_SAY_NOTHING);
	t_eq(say(&lab, 256), CP_ATTACH_DNS_SAY_OPENS);
	rig_free(lab.rig);
}

T_MAIN("attach_deny", a_denied_network_closes_what_names_have_opened,
       the_last_write_of_a_closing_makes_flows_be_judged_again,
       what_lapses_while_it_is_closed_stays_closed,
       closed_addresses_leave_the_set_when_they_lapse,
       a_more_specific_allow_opens_its_part, only_entries_that_turn_are_written,
       one_rule_of_a_prefix_gives_way_to_the_other,
       rules_with_ports_or_ttl_turn_no_names,
       inside_a_denied_network_rules_alone_open,
       the_deny_of_a_host_closes_it_alone,
       a_new_policy_has_its_own_denied_networks,
       a_length_that_is_new_turns_names_by_a_generation,
       everything_can_be_denied_to_names, what_is_closed_is_not_listed,
       rules_say_which_addresses_may_be_answered)
