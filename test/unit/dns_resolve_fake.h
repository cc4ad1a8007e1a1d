/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Attachments and upstream servers that do as a test says, in the place of
 * controld/attach and controld/upstream, which are not linked then. */

#include <arpa/inet.h>
#include <string.h>

#include "controld/attach/dns.h"
#include "controld/attach/doh.h"
#include "controld/attach/observe.h"
#include "controld/dns/resolve.h"
#include "controld/upstream/upstream.h"
#include "test/unit/t.h"

enum { FAKE_SLOTS = 8, FAKE_MAX = 2048 };

struct cp_upstream_request {
	struct cp_upstream_question question;
	struct cp_dns_name name;
	cp_upstream_fn fn;
	void *userdata;
	bool is_under_way;
};

struct fake_learn {
	struct cp_dns_name name;
	uint32_t slot;
	uint64_t life_ns;
	size_t n_addresses;
	struct cp_dns_address addresses[16];
	bool by_control_plane;
	cp_attach_dns_learn_fn fn;
	void *userdata;
};

static struct {
	struct cp_attach_dns_view views[FAKE_SLOTS]; /* id NULL: nobody */
	struct cp_dns_settings settings[FAKE_SLOTS];
	struct cp_dns_rules *rules[FAKE_SLOTS];
	uint64_t ends[FAKE_SLOTS][CP_ATTACH_DNS_END_COUNT];
	uint64_t now_ns;
	enum cp_attach_dns_say say; /* of CIDR rules */
	bool is_learnt; /* everything is, already */
	int learn_r;
	struct cp_upstream_request requests[FAKE_MAX];
	size_t n_requests;
	struct fake_learn learns[FAKE_MAX];
	size_t n_learns;
	int ask_r;
	struct cp_dns_doh *doh;
	/* The control plane. */
	int plane_r;
	struct cp_dns_proxy_answer plane; /* for CP_DNS_PROXY_E_KEPT */
	cp_dns_proxy_fn plane_fn;
	void *plane_userdata;
	size_t n_planes;
	/* Replies to the test's clients. */
	uint8_t reply[65535];
	size_t reply_size;
	size_t n_replies; /* with a message */
	size_t n_dropped; /* without */
	struct cp_dns_name denied, answered; /* told to observers, last */
	size_t n_denied[2]; /* by audited */
	size_t n_answered; /* addresses */
} fake;

uint64_t cp_attach_now(const struct cp_attach *manager)
{
	(void)manager;
	return fake.now_ns;
}

const struct cp_dns_doh *cp_attach_doh_get(const struct cp_attach *manager)
{
	(void)manager;
	return fake.doh;
}

bool cp_attach_dns_get(struct cp_attach *manager, uint32_t slot,
		       struct cp_attach_dns_view *ret)
{
	(void)manager;
	if (slot >= FAKE_SLOTS || !fake.views[slot].id)
		return false;
	*ret = fake.views[slot];
	ret->settings = &fake.settings[slot];
	ret->rules = fake.rules[slot];
	return true;
}

enum cp_attach_dns_say cp_attach_dns_judge(const struct cp_attach_item *item,
					   const struct cp_dns_address *address,
					   uint64_t now_ns)
{
	(void)item;
	(void)address;
	(void)now_ns;
	return fake.say;
}

bool cp_attach_dns_is_learnt(struct cp_attach *manager, uint32_t slot,
			     const struct cp_dns_name *name,
			     const struct cp_dns_address *addresses,
			     size_t n_addresses, uint64_t life_ns)
{
	(void)manager;
	(void)slot;
	(void)name;
	(void)addresses;
	(void)n_addresses;
	(void)life_ns;
	return fake.is_learnt;
}

int cp_attach_dns_learn(struct cp_attach *manager,
			const struct cp_attach_dns_learn *request,
			cp_attach_dns_learn_fn fn, void *userdata)
{
	struct fake_learn *learn = &fake.learns[fake.n_learns];

	(void)manager;
	if (fake.learn_r)
		return fake.learn_r;
	t_true(fake.n_learns < FAKE_MAX && request->n_addresses <= 16);
	fake.n_learns++;
	learn->name = *request->name;
	learn->slot = request->slot;
	learn->life_ns = request->life_ns;
	learn->n_addresses = request->n_addresses;
	(void)memcpy(learn->addresses, request->addresses,
		     request->n_addresses * sizeof(learn->addresses[0]));
	learn->by_control_plane = request->by_control_plane;
	learn->fn = fn;
	learn->userdata = userdata;
	return 0;
}

void cp_attach_observe_denied(const struct cp_attach_item *item,
			      const struct cp_dns_name *name, uint16_t type,
			      bool audited)
{
	(void)item;
	(void)type;
	fake.denied = *name;
	fake.n_denied[audited]++;
}

void cp_attach_observe_answered(const struct cp_attach_item *item,
				const struct cp_dns_name *name,
				const struct cp_dns_address *addresses,
				size_t n)
{
	(void)item;
	(void)addresses;
	fake.answered = *name;
	fake.n_answered += n;
}

void cp_attach_dns_count(struct cp_attach *manager, uint32_t slot,
			 enum cp_attach_dns_end end)
{
	(void)manager;
	fake.ends[slot][end]++;
}

int cp_upstream_set_get(struct cp_upstream *upstream,
			const struct cp_dns_upstream *servers, size_t n,
			bool dnssec, struct cp_upstream_set **ret)
{
	(void)upstream;
	(void)dnssec;
	(void)n;
	/* A set is its first server's port, which is never 0. */
	*ret = (struct cp_upstream_set *)(uintptr_t)servers[0].port;
	return 0;
}

struct cp_upstream_set *cp_upstream_set_unref(struct cp_upstream_set *set)
{
	(void)set;
	return NULL;
}

uint64_t cp_upstream_set_id(const struct cp_upstream_set *set)
{
	return (uint64_t)(uintptr_t)set;
}

int cp_upstream_ask(struct cp_upstream_set *set,
		    const struct cp_upstream_question *question,
		    cp_upstream_fn fn, void *userdata,
		    struct cp_upstream_request **ret)
{
	struct cp_upstream_request *request = &fake.requests[fake.n_requests];

	(void)set;
	if (fake.ask_r)
		return fake.ask_r;
	t_true(fake.n_requests < FAKE_MAX);
	fake.n_requests++;
	request->name = *question->name;
	request->question = *question;
	request->question.name = &request->name;
	request->fn = fn;
	request->userdata = userdata;
	request->is_under_way = true;
	*ret = request;
	return 0;
}

void cp_upstream_cancel(struct cp_upstream_request *request)
{
	t_true(request->is_under_way);
	request->is_under_way = false;
}

int cp_dns_proxy_ask(struct cp_dns_proxy *proxy, const char *id,
		     const struct cp_dns_name *name, uint16_t type,
		     cp_dns_proxy_fn fn, void *userdata,
		     struct cp_dns_proxy_answer *answer)
{
	t_true(proxy == (struct cp_dns_proxy *)&fake);
	t_not_null(id);
	t_true(name->size > 1 && type > 0);
	fake.n_planes++;
	*answer = fake.plane;
	fake.plane_fn = fn;
	fake.plane_userdata = userdata;
	return fake.plane_r;
}

/* Records of an answer: "A 192.0.2.1 60", one a string, NULL ends. */
static inline size_t fake_write_records(uint8_t *at, const char *const *records,
					uint16_t *n)
{
	uint8_t *begin = at;

	for (*n = 0; records && records[*n]; (*n)++) {
		char type[8], text[64];
		unsigned int ttl_s;
		bool is_ipv6;
		uint8_t size;

		t_eq(sscanf(records[*n], "%7s %63s %u", type, text, &ttl_s), 3);
		is_ipv6 = strcmp(type, "AAAA") == 0;
		size = is_ipv6 ? 16 : 4;
		(void)memcpy(at,
			     ((const uint8_t[]){ 0xc0, 12, 0, is_ipv6 ? 28 : 1,
						 0, 1, (uint8_t)(ttl_s >> 24),
						 (uint8_t)(ttl_s >> 16),
						 (uint8_t)(ttl_s >> 8),
						 (uint8_t)ttl_s, 0, size }),
			     12);
		t_eq(inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text, at + 12), 1);
		at += 12 + size;
	}
	return (size_t)(at - begin);
}

/* A message with the question; rcode and records make it an answer. */
static inline size_t fake_write(const struct cp_dns_name *name, uint16_t type,
				bool is_answer, unsigned int rcode,
				const char *const *records, uint8_t *ret)
{
	uint8_t *at = ret + 12;
	uint16_t n = 0;

	(void)memset(ret, 0, 12);
	ret[2] = is_answer ? 0x81 : 0x01;
	ret[3] = (uint8_t)(is_answer ? 0x80 | rcode : 0);
	ret[5] = 1;
	(void)memcpy(at, name->wire, name->size);
	at += name->size;
	*at++ = (uint8_t)(type >> 8);
	*at++ = (uint8_t)type;
	*at++ = 0;
	*at++ = 1;
	at += fake_write_records(at, records, &n);
	ret[7] = (uint8_t)n;
	return (size_t)(at - ret);
}

/* Ends upstream request i. */
static inline void fake_answer(size_t i, unsigned int rcode,
			       const char *const *records)
{
	struct cp_upstream_request *request = &fake.requests[i];
	uint8_t message[1024];
	struct cp_upstream_answer answer = { .message = message };

	t_true(i < fake.n_requests && request->is_under_way);
	request->is_under_way = false;
	answer.size = fake_write(&request->name, request->question.type, true,
				 rcode, records, message);
	request->fn(request->userdata, &answer);
}

static inline void fake_fail(size_t i, int status)
{
	struct cp_upstream_request *request = &fake.requests[i];
	struct cp_upstream_answer answer = { .status = status };

	t_true(i < fake.n_requests && request->is_under_way);
	request->is_under_way = false;
	request->fn(request->userdata, &answer);
}

static inline void fake_learnt(size_t i, enum cp_attach_dns_learn_code code)
{
	t_true(i < fake.n_learns && fake.learns[i].fn);
	sn_steal (&fake.learns[i].fn)(fake.learns[i].userdata, code);
}
