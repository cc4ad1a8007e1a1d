/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/proxy.h"

#include <arpa/inet.h>

#include "test/unit/t.h"

#define ONE   "00000000000000000000000000000001"
#define OTHER "00000000000000000000000000000002"

enum { MAX_RUNNING = 8, MAX_ASKED = 8192 };

/* A control plane that is asked and answers when the test says. */
static struct {
	struct {
		cp_rpc_outcall_done done;
		void *userdata;
		char id[40];
		char name[64];
		uint32_t type;
	} asked[MAX_ASKED];
	size_t n;
	size_t n_done;
	int r; /* what asking returns */
	uint64_t now_ns;
} plane;

/* What came back. */
static struct {
	unsigned int n;
	struct cp_dns_proxy_answer last;
	struct cp_dns_address first;
} heard;

static uint64_t now_ns(void *userdata)
{
	(void)userdata;
	return plane.now_ns;
}

static int query(void *userdata, const Sentinel__V1__DnsQueryRequest *request,
		 cp_rpc_outcall_done done, void *done_userdata)
{
	(void)userdata;
	if (plane.r)
		return plane.r;
	t_true(plane.n < MAX_ASKED);
	t_str_eq(request->daemon_id, "daemon");
	plane.asked[plane.n].done = done;
	plane.asked[plane.n].userdata = done_userdata;
	plane.asked[plane.n].type = request->type;
	(void)snprintf(plane.asked[plane.n].id, 40, "%s", request->id);
	(void)snprintf(plane.asked[plane.n].name, 64, "%s", request->name);
	plane.n++;
	return 0;
}

static struct cp_dns_proxy *make(void)
{
	struct cp_dns_proxy_options options = {
		.daemon_id = "daemon",
		.max_running = MAX_RUNNING,
		.now_ns = now_ns,
		.query = query,
	};
	struct cp_dns_proxy *proxy;

	memset(&plane, 0, sizeof(plane));
	memset(&heard, 0, sizeof(heard));
	plane.now_ns = 1000 * SN_NS_PER_S;
	t_eq(cp_dns_proxy_new(&proxy, &options), 0);
	return proxy;
}

static void hear(void *userdata, const struct cp_dns_proxy_answer *answer)
{
	unsigned int *n = userdata;

	heard.n++;
	heard.last = *answer;
	if (answer->n_addresses)
		heard.first = answer->addresses[0];
	if (n)
		(*n)++;
}

static int ask_type(struct cp_dns_proxy *proxy, const char *id,
		    const char *text, uint16_t type,
		    struct cp_dns_proxy_answer *answer)
{
	struct cp_dns_name name;

	t_eq(cp_dns_name_parse(text, &name, NULL), 0);
	return cp_dns_proxy_ask(proxy, id, &name, type, hear, NULL, answer);
}

static int ask(struct cp_dns_proxy *proxy, const char *id, const char *text)
{
	struct cp_dns_proxy_answer answer;

	return ask_type(proxy, id, text, 1, &answer);
}

/* Answers the oldest query. addresses: one or none. */
static void answer_with(bool allow, const char *address, uint32_t ttl_s)
{
	struct cp_rpc_status status = { 0 };
	Sentinel__V1__DnsQueryResponse *response = calloc(1, sizeof(*response));

	sentinel__v1__dns_query_response__init(response);
	response->allow = allow;
	response->open = true;
	response->ttl_seconds = ttl_s;
	if (address) {
		response->addresses = calloc(1, sizeof(char *));
		response->addresses[0] = strdup(address);
		response->n_addresses = 1;
	}
	t_true(plane.n_done < plane.n);
	plane.n_done++;
	plane.asked[plane.n_done - 1].done(
		plane.asked[plane.n_done - 1].userdata, &status,
		&response->base);
}

static void answer_failure(void)
{
	struct cp_rpc_status status = { .code = 4 };

	plane.n_done++;
	plane.asked[plane.n_done - 1].done(
		plane.asked[plane.n_done - 1].userdata, &status, NULL);
}

static void an_answer_reaches_who_asked(void)
{
	struct cp_dns_proxy *proxy = make();

	t_eq(ask(proxy, ONE, "www.example"), 0);
	t_eq(heard.n, 0);
	t_str_eq(plane.asked[0].id, ONE);
	t_str_eq(plane.asked[0].name, "www.example");
	t_eq(plane.asked[0].type, 1);
	answer_with(true, "192.0.2.7", 0);
	t_eq(heard.n, 1);
	t_true(heard.last.allow && heard.last.open && !heard.last.is_failed);
	t_eq(heard.first.family, SN_FAMILY_IPV4);
	t_eq(heard.first.bytes[3], 7);
	/* TTL 0 is not kept. */
	t_eq(ask(proxy, ONE, "www.example"), 0);
	answer_with(false, NULL, 0);
	t_false(heard.last.allow);
	cp_dns_proxy_free(proxy);
}

static void equal_questions_share_a_query(void)
{
	struct cp_dns_proxy *proxy = make();

	for (unsigned int i = 0; i < CP_DNS_PROXY_WAITERS_MAX; i++)
		t_eq(ask(proxy, ONE, "www.example"), 0);
	t_eq(ask(proxy, ONE, "www.example"), CP_DNS_PROXY_E_BUSY);
	t_eq(plane.n, 1);
	/* Another attachment's, another type and another name are others. */
	t_eq(ask(proxy, OTHER, "www.example"), 0);
	t_eq(ask(proxy, ONE, "ww.example"), 0);
	t_eq(plane.n, 3);
	answer_with(true, NULL, 0);
	t_eq(heard.n, CP_DNS_PROXY_WAITERS_MAX);
	answer_with(true, NULL, 0);
	answer_with(true, NULL, 0);
	t_eq(heard.n, CP_DNS_PROXY_WAITERS_MAX + 2);
	cp_dns_proxy_free(proxy);
}

static void answers_are_kept_for_their_life_and_their_attachment(void)
{
	struct cp_dns_proxy *proxy = make();
	struct cp_dns_proxy_answer answer;

	t_eq(ask(proxy, ONE, "www.example"), 0);
	answer_with(true, "2001:db8::1", 60);
	t_eq(heard.last.ttl_s, 60);
	plane.now_ns += 20 * SN_NS_PER_S;
	t_eq(ask_type(proxy, ONE, "www.example", 1, &answer),
	     CP_DNS_PROXY_E_KEPT);
	t_eq(answer.ttl_s, 40);
	t_eq(answer.n_addresses, 1);
	t_eq(answer.addresses[0].family, SN_FAMILY_IPV6);
	t_eq(ask_type(proxy, ONE, "www.example", 28, &answer), 0);
	t_eq(ask(proxy, OTHER, "www.example"), 0);
	t_eq(plane.n, 3);
	plane.now_ns += 40 * SN_NS_PER_S;
	t_eq(ask(proxy, ONE, "www.example"), 0);
	t_eq(plane.n, 4);
	for (unsigned int i = 0; i < 3; i++)
		answer_with(true, NULL, UINT32_MAX);
	t_eq(heard.last.ttl_s, CP_DNS_PROXY_TTL_MAX_S);
	cp_dns_proxy_free(proxy);
}

static void what_cannot_be_read_fails_and_is_not_kept(void)
{
	struct cp_dns_proxy *proxy = make();
	struct cp_dns_proxy_stats stats;

	t_eq(ask(proxy, ONE, "a.example"), 0);
	answer_with(true, "192.0.2.300", 60);
	t_true(heard.last.is_failed && !heard.last.allow);
	t_eq(ask(proxy, ONE, "a.example"), 0);
	answer_failure();
	t_true(heard.last.is_failed);
	plane.r = -ENOTCONN;
	t_eq(ask(proxy, ONE, "a.example"), -ENOTCONN);
	t_eq(heard.n, 2);
	cp_dns_proxy_get_stats(proxy, &stats);
	t_eq(stats.n_failed, 2);
	t_eq(stats.n_kept, 0);
	t_eq(stats.n_running, 0);
	cp_dns_proxy_free(proxy);
}

static void one_attachment_cannot_take_every_query(void)
{
	struct cp_dns_proxy *proxy = make();

	t_eq(ask(proxy, ONE, "a.example"), 0);
	t_eq(ask(proxy, ONE, "b.example"), 0);
	t_eq(ask(proxy, ONE, "c.example"), CP_DNS_PROXY_E_BUSY);
	t_eq(ask(proxy, OTHER, "c.example"), 0);
	answer_with(true, NULL, 0);
	t_eq(ask(proxy, ONE, "c.example"), 0);
	for (unsigned int i = 0; i < 3; i++)
		answer_failure();
	cp_dns_proxy_free(proxy);
}

static void a_changed_policy_forgets(void)
{
	struct cp_dns_proxy *proxy = make();
	struct cp_dns_proxy_stats stats;

	t_eq(ask(proxy, ONE, "a.example"), 0);
	answer_with(true, NULL, 60);
	t_eq(ask(proxy, ONE, "b.example"), 0);
	t_eq(ask(proxy, OTHER, "a.example"), 0);
	cp_dns_proxy_forget(proxy, ONE);
	cp_dns_proxy_forget(proxy, "");
	/* What is under way is still answered, and asked for again. */
	answer_with(true, NULL, 60);
	t_eq(heard.n, 2);
	t_eq(ask(proxy, ONE, "a.example"), 0);
	t_eq(ask(proxy, ONE, "b.example"), 0);
	t_eq(plane.n, 5);
	for (unsigned int i = 0; i < 3; i++)
		answer_with(true, NULL, 60);
	cp_dns_proxy_get_stats(proxy, &stats);
	t_eq(stats.n_kept, 3);
	cp_dns_proxy_free(proxy);
}

static void what_is_kept_is_bounded(void)
{
	struct cp_dns_proxy *proxy = make();
	struct cp_dns_proxy_answer answer;
	struct cp_dns_proxy_stats stats;
	char name[32];

	for (unsigned int i = 0; i < CP_DNS_PROXY_KEPT_OF_ONE_MAX + 10; i++) {
		(void)snprintf(name, sizeof(name), "n%u.example", i);
		t_eq(ask(proxy, ONE, name), 0);
		answer_with(false, NULL, 60);
		/* The first is used all the time. */
		t_eq(ask_type(proxy, ONE, "n0.example", 1, &answer),
		     CP_DNS_PROXY_E_KEPT);
	}
	cp_dns_proxy_get_stats(proxy, &stats);
	t_eq(stats.n_kept, CP_DNS_PROXY_KEPT_OF_ONE_MAX);
	t_eq(ask(proxy, ONE, "n1.example"), 0);
	answer_failure();
	cp_dns_proxy_free(proxy);
}

T_MAIN("dns_proxy", an_answer_reaches_who_asked, equal_questions_share_a_query,
       answers_are_kept_for_their_life_and_their_attachment,
       what_cannot_be_read_fails_and_is_not_kept,
       one_attachment_cannot_take_every_query, a_changed_policy_forgets,
       what_is_kept_is_bounded)
