/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/resolve.h"

#include "test/unit/dns_resolve_rig.h"

/* Whose answer is it? What comes in after an attachment, its servers or its
 * mode have changed must open nothing for what is there now. */

enum { OTHER_PORT = 5353 };

/* Another attachment in the slot, which allows the same names. */
static void replace(uint32_t slot, enum cp_dns_mode mode)
{
	cp_dns_rules_free(fake.rules[slot]);
	attach(slot, mode);
	fake.views[slot].number = FAKE_SLOTS + slot;
}

static void ask_other_servers(uint32_t slot)
{
	fake.settings[slot].n_upstreams = 1;
	fake.settings[slot].upstreams[0].port = OTHER_PORT;
}

static void the_next_one_of_a_slot_gets_nothing_of_the_former(void)
{
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask(resolve, 1, "a.example.com", TYPE_A);
	ask(resolve, 1, "b.example.com", TYPE_A);
	fake_answer(1, 0, one_address);
	t_eq(fake.n_learns, 1);
	replace(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	/* The question of the former one is not the one that this joins. */
	ask(resolve, 1, "b.example.com", TYPE_A);
	t_eq(fake.n_learns, 2);
	fake_answer(0, 0, one_address);
	t_eq(fake.n_learns, 2);
	t_eq(fake.n_dropped, 1);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(fake.n_dropped, 2);
	t_eq(rcode(), NONE);
	fake_learnt(1, CP_ATTACH_DNS_LEARN_OK);
	t_eq(rcode(), 0);
	t_eq(n_records(), 1);
	end(resolve);
}

static void the_control_plane_allows_a_name_to_one_attachment_only(void)
{
	struct cp_dns_proxy_answer yes = { .allow = true, .open = true };
	struct cp_dns_resolve *resolve = start_proxy();

	ask(resolve, 1, "a.example", TYPE_A);
	t_eq(fake.n_planes, 1);
	replace(1, CP_DNS_MODE_PROXY);
	decide(&yes);
	t_eq(fake.n_requests, 0);
	t_eq(fake.n_learns, 0);
	t_eq(fake.n_dropped, 1);
	end(resolve);
}

static void what_the_control_plane_allows_ends_with_the_mode(void)
{
	struct cp_dns_proxy_answer yes = { .allow = true };
	struct cp_dns_resolve *resolve = start_proxy();

	ask(resolve, 1, "a.example", TYPE_A);
	decide(&yes);
	fake.views[1].mode = CP_DNS_MODE_ALLOWLIST;
	fake_answer(0, 0, one_address);
	t_eq(rcode(), REFUSED);
	end(resolve);
}

static void servers_that_are_asked_no_more_open_nothing(void)
{
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask(resolve, 1, "a.example.com", TYPE_A);
	ask_other_servers(1);
	fake_answer(0, 0, one_address);
	t_eq(fake.n_learns, 0);
	t_eq(rcode(), SERVFAIL);
	/* The others are asked, not those before. */
	ask(resolve, 1, "a.example.com", TYPE_A);
	t_eq(fake.n_requests, 2);
	fake_fail(1, CP_UPSTREAM_E_TIMEOUT);
	t_eq(rcode(), SERVFAIL);
	end(resolve);
}

/* The servers change while the control plane is asked: nothing may come from
 * the new ones that is kept as the old ones' word. */
static void an_answer_is_kept_for_its_own_servers_only(void)
{
	struct cp_dns_proxy_answer yes = { .allow = true };
	struct cp_dns_resolve *resolve = start_proxy();

	ask(resolve, 1, "a.example", TYPE_A);
	ask_other_servers(1);
	decide(&yes);
	t_eq(fake.n_requests, 0);
	t_eq(rcode(), SERVFAIL);
	end(resolve);
}

static void ask_unchecked(struct cp_dns_resolve *resolve, uint32_t slot)
{
	struct cp_dns_origin origin = { .ops = &ops,
					.owner = &fake,
					.slot = slot };
	uint8_t message[512];
	struct cp_dns_name name;
	struct sn_diag diag;
	size_t size;

	t_eq(cp_dns_name_parse("a.example.com", &name, &diag), 0);
	size = fake_write(&name, TYPE_A, false, 0, NULL, message);
	message[3] |= 0x10;
	cp_dns_resolve_query(resolve, &origin, message, size);
}

static void who_forgoes_validation_opens_nothing_by_it(void)
{
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask_unchecked(resolve, 1);
	t_false(fake.requests[0].question.checking_disabled);
	fake_answer(0, 0, one_address);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(rcode(), 0);
	/* Where nothing is opened the bit is the client's to set; not if the
	 * mode changes before the answer comes. */
	attach(2, CP_DNS_MODE_DISABLED);
	ask_unchecked(resolve, 2);
	t_true(fake.requests[1].question.checking_disabled);
	fake.views[2].learns = true;
	fake_answer(1, 0, one_address);
	t_eq(fake.n_learns, 1);
	t_eq(rcode(), SERVFAIL);
	end(resolve);
}

T_MAIN("dns_resolve_owner", the_next_one_of_a_slot_gets_nothing_of_the_former,
       the_control_plane_allows_a_name_to_one_attachment_only,
       what_the_control_plane_allows_ends_with_the_mode,
       servers_that_are_asked_no_more_open_nothing,
       an_answer_is_kept_for_its_own_servers_only,
       who_forgoes_validation_opens_nothing_by_it)
