/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A resolver between the fakes, asked by hand. */

#include "controld/dns/resolve.h"
#include "test/unit/dns_resolve_fake.h"

enum {
	TYPE_A = 1,
	TYPE_TXT = 16,
	TYPE_AAAA = 28,
	TYPE_ANY = 255,
	SERVFAIL = 2,
	NXDOMAIN = 3,
	NOTIMP = 4,
	REFUSED = 5,
	NONE = -1, /* no reply yet */
	FLOOR_S = 30,
	GRACE_S = 10,
};

static const char *const one_address[] = { "A 192.0.2.1 60", NULL };

static inline void take_reply(const struct cp_dns_origin *origin,
			      const uint8_t *message, size_t size)
{
	t_true(origin->owner == &fake);
	fake.n_replies += size > 0;
	fake.n_dropped += size == 0;
	fake.reply_size = size;
	if (size > 0)
		(void)memcpy(fake.reply, message, size);
}

static const struct cp_dns_origin_ops ops = {
	.reply = take_reply,
	.is_datagram = true,
};

static inline struct cp_dns_resolve *start(void)
{
	struct cp_dns_resolve_options options = {
		.cache_bytes = 1 << 20,
		.ttl_floor_s = FLOOR_S,
		.grace_s = GRACE_S,
		.denied = CP_DNS_DENIED_REFUSED,
		.n_slots = FAKE_SLOTS,
	};
	struct cp_dns_upstream server = { .family = SN_FAMILY_IPV4,
					  .port = 53 };
	struct cp_dns_resolve *resolve = NULL;

	t_eq(cp_dns_resolve_new(&resolve, &options), 0);
	t_eq(cp_dns_resolve_put_upstreams(resolve, &server, 1, false), 0);
	fake.now_ns = 1000 * SN_NS_PER_S;
	return resolve;
}

/* An attachment that learns. */
static inline void attach(uint32_t slot, enum cp_dns_mode mode)
{
	fake.views[slot] = (struct cp_attach_dns_view){
		.id = "id",
		.number = slot,
		.address_mode = SN_MODE_ALLOWLIST,
		.mode = mode,
		.learns = mode != CP_DNS_MODE_DISABLED,
	};
	t_eq(cp_dns_rules_new(&fake.rules[slot]), 0);
}

static inline void rule(uint32_t slot, enum sn_verdict verdict,
			const char *name)
{
	static uint32_t id;
	struct cp_dns_rule rule = { .id = ++id,
				    .verdict = (uint8_t)verdict,
				    .owner = 1,
				    .subdomains = true };
	struct sn_diag diag;

	t_eq(cp_dns_name_parse(name, &rule.name, &diag), 0);
	t_true(cp_dns_rules_add(fake.rules[slot], &rule, NULL) >= 0);
}

static inline void ask(struct cp_dns_resolve *resolve, uint32_t slot,
		       const char *text, uint16_t type)
{
	struct cp_dns_origin origin = { .ops = &ops,
					.owner = &fake,
					.slot = slot };
	uint8_t message[512];
	struct cp_dns_name name;
	struct sn_diag diag;

	t_eq(cp_dns_name_parse(text, &name, &diag), 0);
	cp_dns_resolve_query(resolve, &origin, message,
			     fake_write(&name, type, false, 0, NULL, message));
}

/* rcode of the one reply since the last call. */
static inline int rcode(void)
{
	size_t n = fake.n_replies;

	fake.n_replies = 0;
	if (n == 0)
		return NONE;
	t_eq(n, 1);
	return fake.reply[3] & 0x0f;
}

static inline unsigned int n_records(void)
{
	return (unsigned int)fake.reply[6] << 8 | fake.reply[7];
}

static inline void end(struct cp_dns_resolve *resolve)
{
	cp_dns_resolve_free(resolve);
	for (size_t i = 0; i < FAKE_SLOTS; i++)
		cp_dns_rules_free(fake.rules[i]);
}

/* An attachment of mode PROXY, and a control plane. */
static inline struct cp_dns_resolve *start_proxy(void)
{
	struct cp_dns_resolve *resolve = start();

	cp_dns_resolve_put_proxy(resolve, (struct cp_dns_proxy *)&fake);
	attach(1, CP_DNS_MODE_PROXY);
	rule(1, SN_VERDICT_ALLOW, "good.example");
	rule(1, SN_VERDICT_DENY, "bad.example");
	return resolve;
}

static inline void decide(const struct cp_dns_proxy_answer *answer)
{
	fake.plane_fn(fake.plane_userdata, answer);
}
