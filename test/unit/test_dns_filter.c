/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/task.h"

#include "controld/dns/doh.h"
#include "test/unit/dns_resolve_rig.h"

/* Addresses that an answer may not have where it is learnt. */

static void private_addresses_are_left_out_unless_opened(void)
{
	static const char *const mixed[] = { "A 192.0.2.1 60", "A 10.0.0.1 60",
					     "A 127.0.0.1 60",
					     "A 169.254.169.254 60", NULL };
	static const char *const only[] = { "A 10.0.0.1 60", NULL };
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	ask(resolve, 1, "example.com", TYPE_A);
	fake_answer(0, 0, mixed);
	t_eq(fake.learns[0].n_addresses, 1);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(rcode(), 0);
	t_eq(n_records(), 1);

	ask(resolve, 1, "only.example.com", TYPE_A);
	fake_answer(1, 0, only);
	t_eq(rcode(), 0);
	t_eq(n_records(), 0);
	t_eq(fake.n_learns, 1);

	/* The cache has them all, for those who may have them. */
	fake.settings[1].allow_private = true;
	ask(resolve, 1, "only.example.com", TYPE_A);
	t_eq(fake.learns[1].n_addresses, 1);
	fake_learnt(1, CP_ATTACH_DNS_LEARN_OK);
	t_eq(n_records(), 1);
	fake.n_replies = 0;
	fake.settings[1].allow_private = false;
	fake.say = CP_ATTACH_DNS_SAY_OPENS;
	ask(resolve, 1, "example.com", TYPE_A);
	t_eq(fake.learns[2].n_addresses, 4);
	t_eq(fake.n_requests, 2);
	fake_learnt(2, CP_ATTACH_DNS_LEARN_OK);
	end(resolve);
}

static void addresses_of_doh_servers_are_left_out(void)
{
	static const char list[] = "192.0.2.1\n";
	static const char *const answer[] = { "A 192.0.2.1 60",
					      "A 192.0.2.2 60", NULL };
	struct cp_dns_resolve *resolve = start();
	struct sn_diag diag;

	t_eq(cp_dns_doh_parse(list, sizeof(list) - 1, "list", &fake.doh, &diag),
	     0);
	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	fake.settings[1].allow_private = true;
	ask(resolve, 1, "example.com", TYPE_A);
	fake_answer(0, 0, answer);
	t_eq(fake.learns[0].n_addresses, 1);
	t_eq(fake.learns[0].addresses[0].bytes[3], 2);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(n_records(), 1);
	fake.say = CP_ATTACH_DNS_SAY_OPENS;
	fake.n_replies = 0;
	ask(resolve, 1, "example.com", TYPE_A);
	t_eq(fake.learns[1].n_addresses, 2);
	fake_learnt(1, CP_ATTACH_DNS_LEARN_OK);
	end(resolve);
	cp_dns_doh_free(fake.doh);
}

static void denied_addresses_are_left_out_whatever_opens_them(void)
{
	static const char *const answer[] = { "A 192.0.2.1 60", NULL };
	struct cp_dns_resolve *resolve = start();

	attach(1, CP_DNS_MODE_ALLOWLIST);
	rule(1, SN_VERDICT_ALLOW, "example.com");
	fake.settings[1].allow_private = true;
	fake.say = CP_ATTACH_DNS_SAY_DENIES;
	ask(resolve, 1, "example.com", TYPE_A);
	fake_answer(0, 0, answer);
	t_eq(rcode(), 0);
	t_eq(n_records(), 0);
	t_eq(fake.n_learns, 0);
	/* From the cache too, and again once the rule is gone. */
	fake.n_replies = 0;
	ask(resolve, 1, "example.com", TYPE_A);
	t_eq(n_records(), 0);
	fake.say = CP_ATTACH_DNS_SAY_NOTHING;
	fake.n_replies = 0;
	ask(resolve, 1, "example.com", TYPE_A);
	t_eq(fake.learns[0].n_addresses, 1);
	fake_learnt(0, CP_ATTACH_DNS_LEARN_OK);
	t_eq(n_records(), 1);
	t_eq(fake.n_requests, 1);
	/* Where nothing is learnt nothing is left out. */
	fake.views[1].learns = false;
	fake.say = CP_ATTACH_DNS_SAY_DENIES;
	fake.n_replies = 0;
	ask(resolve, 1, "example.com", TYPE_A);
	t_eq(n_records(), 1);
	end(resolve);
}

T_MAIN("dns_filter", private_addresses_are_left_out_unless_opened,
       addresses_of_doh_servers_are_left_out,
       denied_addresses_are_left_out_whatever_opens_them)
