/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/proxy.h"

#include <arpa/inet.h>
#include <assert.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "controld/rpc/message.h"

/* Trees, whose depth nobody can choose: one of the attachments, and for each of
 * them one of its questions. A question that is under way is in the tree only,
 * one that is kept also in two lists in the order of use. */

enum { ID_BYTES = 33 };

struct waiter {
	STAILQ_ENTRY(waiter) entry;
	cp_dns_proxy_fn fn;
	void *userdata;
};

STAILQ_HEAD(waiters, waiter);

struct tenant;

struct question {
	LIST_ENTRY(question) link; /* of the tenant's, kept or not */
	TAILQ_ENTRY(question) of_all; /* the first was used last */
	TAILQ_ENTRY(question) of_tenant;
	struct cp_dns_proxy *proxy;
	struct tenant *tenant; /* NULL: forgotten while it was under way */
	struct cp_dns_name name;
	uint16_t type;
	bool is_running;
	struct waiters waiters;
	size_t n_waiters;
	uint64_t expires_ns;
	bool allow;
	bool open;
	struct cp_dns_address *addresses;
	size_t n_addresses;
};
TAILQ_HEAD(questions, question);

struct tenant {
	LIST_ENTRY(tenant) link;
	char id[ID_BYTES];
	void *tree; /* of questions */
	LIST_HEAD(, question) questions;
	struct questions kept;
	size_t n_kept;
	size_t n_running;
};

struct cp_dns_proxy {
	struct cp_dns_proxy_options options;
	void *tree; /* of tenants */
	LIST_HEAD(, tenant) tenants;
	struct questions kept;
	struct cp_dns_proxy_stats stats;
};

static int compare_tenants(const void *a, const void *b)
{
	return strcmp(((const struct tenant *)a)->id,
		      ((const struct tenant *)b)->id);
}

static int compare_questions(const void *a, const void *b)
{
	const struct question *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	if (x->name.size != y->name.size)
		return x->name.size < y->name.size ? -1 : 1;
	return memcmp(x->name.wire, y->name.wire, x->name.size);
}

int cp_dns_proxy_new(struct cp_dns_proxy **ret,
		     const struct cp_dns_proxy_options *options)
{
	struct cp_dns_proxy *proxy = calloc(1, sizeof(*proxy));

	if (!proxy)
		return sn_trace(-ENOMEM);
	proxy->options = *options;
	TAILQ_INIT(&proxy->kept);
	LIST_INIT(&proxy->tenants);
	*ret = proxy;
	return 0;
}

static void free_question(struct question *question)
{
	free(question->addresses);
	free(question);
}

static struct tenant *find_tenant(const struct cp_dns_proxy *proxy,
				  const char *id)
{
	struct tenant wanted;
	struct tenant *const *found;

	(void)snprintf(wanted.id, sizeof(wanted.id), "%s", id);
	found = tfind(&wanted, &proxy->tree, compare_tenants);
	return found ? *found : NULL;
}

static int get_tenant(struct cp_dns_proxy *proxy, const char *id,
		      struct tenant **ret)
{
	struct tenant *tenant = find_tenant(proxy, id);

	if (!tenant) {
		tenant = calloc(1, sizeof(*tenant));
		if (!tenant)
			return sn_trace(-ENOMEM);
		(void)snprintf(tenant->id, sizeof(tenant->id), "%s", id);
		TAILQ_INIT(&tenant->kept);
		LIST_INIT(&tenant->questions);
		if (!tsearch(tenant, &proxy->tree, compare_tenants)) {
			free(tenant);
			return sn_trace(-ENOMEM);
		}
		LIST_INSERT_HEAD(&proxy->tenants, tenant, link);
	}
	*ret = tenant;
	return 0;
}

static void drop_if_empty(struct cp_dns_proxy *proxy, struct tenant *tenant)
{
	if (!LIST_EMPTY(&tenant->questions))
		return;
	LIST_REMOVE(tenant, link);
	(void)tdelete(tenant, &proxy->tree, compare_tenants);
	free(tenant);
}

/* Takes it out of tree and lists; one under way is freed when it ends. */
static void forget(struct question *question)
{
	struct tenant *tenant = question->tenant;
	struct cp_dns_proxy *proxy = question->proxy;

	(void)tdelete(question, &tenant->tree, compare_questions);
	LIST_REMOVE(question, link);
	if (question->is_running) {
		tenant->n_running--;
		question->tenant = NULL;
		return;
	}
	TAILQ_REMOVE(&proxy->kept, question, of_all);
	TAILQ_REMOVE(&tenant->kept, question, of_tenant);
	tenant->n_kept--;
	proxy->stats.n_kept--;
	free_question(question);
}

static void forget_kept(struct question *question)
{
	struct cp_dns_proxy *proxy = question->proxy;
	struct tenant *tenant = question->tenant;

	forget(question);
	drop_if_empty(proxy, tenant);
}

void cp_dns_proxy_forget(struct cp_dns_proxy *proxy, const char *id)
{
	struct tenant *tenant = find_tenant(proxy, id);

	if (!tenant)
		return;
	while (!LIST_EMPTY(&tenant->questions))
		forget(LIST_FIRST(&tenant->questions));
	drop_if_empty(proxy, tenant);
}

struct cp_dns_proxy *cp_dns_proxy_free(struct cp_dns_proxy *proxy)
{
	if (!proxy)
		return NULL;
	assert(proxy->stats.n_running == 0);
	while (!LIST_EMPTY(&proxy->tenants))
		cp_dns_proxy_forget(proxy, LIST_FIRST(&proxy->tenants)->id);
	free(proxy);
	return NULL;
}

static void fill(const struct question *question, uint64_t now_ns,
		 struct cp_dns_proxy_answer *ret)
{
	*ret = (struct cp_dns_proxy_answer){
		.allow = question->allow,
		.open = question->open,
		.addresses = question->addresses,
		.n_addresses = question->n_addresses,
	};
	/* Rounded up: what lives at all does not look as if it did not. */
	if (question->expires_ns > now_ns)
		ret->ttl_s = (uint32_t)((question->expires_ns - now_ns +
					 SN_NS_PER_S - 1) /
					SN_NS_PER_S);
}

static void keep(struct question *question)
{
	struct cp_dns_proxy *proxy = question->proxy;
	struct tenant *tenant = question->tenant;

	TAILQ_INSERT_HEAD(&proxy->kept, question, of_all);
	TAILQ_INSERT_HEAD(&tenant->kept, question, of_tenant);
	proxy->stats.n_kept++;
	tenant->n_kept++;
	if (tenant->n_kept > CP_DNS_PROXY_KEPT_OF_ONE_MAX)
		forget_kept(TAILQ_LAST(&tenant->kept, questions));
	else if (proxy->stats.n_kept > CP_DNS_PROXY_KEPT_MAX)
		forget_kept(TAILQ_LAST(&proxy->kept, questions));
}

static bool parse_address(const char *text, struct cp_dns_address *ret)
{
	*ret = (struct cp_dns_address){ .family = SN_FAMILY_IPV4 };
	if (inet_pton(AF_INET, text, ret->bytes) == 1)
		return true;
	ret->family = SN_FAMILY_IPV6;
	return inet_pton(AF_INET6, text, ret->bytes) == 1;
}

/* False: it cannot be read, as a whole. */
static bool take_response(struct question *question,
			  const Sentinel__V1__DnsQueryResponse *response,
			  uint64_t now_ns)
{
	size_t n = response->n_addresses;
	uint32_t ttl_s =
		SN_MIN(response->ttl_seconds, (uint32_t)CP_DNS_PROXY_TTL_MAX_S);

	if (n > CP_DNS_PROXY_ADDRESSES_MAX)
		return false;
	question->addresses = calloc(n + 1, sizeof(*question->addresses));
	if (!question->addresses)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!parse_address(response->addresses[i],
				   &question->addresses[i]))
			return false;
	question->n_addresses = n;
	question->allow = response->allow;
	question->open = response->open;
	question->expires_ns = now_ns + ttl_s * SN_NS_PER_S;
	return true;
}

/* The question is under way no more: kept, or gone. */
static void settle(struct question *question, bool is_good, uint64_t now_ns)
{
	struct cp_dns_proxy *proxy = question->proxy;
	struct tenant *tenant = question->tenant;

	proxy->stats.n_running--;
	if (!tenant) {
		free_question(question);
		return;
	}
	question->is_running = false;
	tenant->n_running--;
	if (is_good && question->expires_ns > now_ns) {
		keep(question);
		return;
	}
	(void)tdelete(question, &tenant->tree, compare_questions);
	LIST_REMOVE(question, link);
	free_question(question);
	drop_if_empty(proxy, tenant);
}

/* Callbacks may ask again, so the question is settled before they run. */
static void answered(void *userdata, const struct cp_rpc_status *status,
		     ProtobufCMessage *message)
{
	struct question *question = userdata;
	struct cp_dns_proxy *proxy = question->proxy;
	uint64_t now_ns = proxy->options.now_ns(proxy->options.userdata);
	struct cp_dns_address addresses[CP_DNS_PROXY_ADDRESSES_MAX];
	struct cp_dns_proxy_answer answer = { .is_failed = true };
	struct waiters waiters = STAILQ_HEAD_INITIALIZER(waiters);
	struct waiter *waiter;

	(void)status;
	if (message &&
	    take_response(question,
			  (const Sentinel__V1__DnsQueryResponse *)(const void *)
				  message,
			  now_ns)) {
		fill(question, now_ns, &answer);
		(void)memcpy(addresses, question->addresses,
			     question->n_addresses * sizeof(*addresses));
		answer.addresses = addresses;
	} else {
		proxy->stats.n_failed++;
	}
	(void)cp_rpc_message_free(message);
	STAILQ_CONCAT(&waiters, &question->waiters);
	question->n_waiters = 0;
	settle(question, !answer.is_failed, now_ns);
	while ((waiter = STAILQ_FIRST(&waiters))) {
		STAILQ_REMOVE_HEAD(&waiters, entry);
		waiter->fn(waiter->userdata, &answer);
		free(waiter);
	}
}

static int add_waiter(struct question *question, cp_dns_proxy_fn fn,
		      void *userdata)
{
	struct waiter *waiter;

	if (question->n_waiters >= CP_DNS_PROXY_WAITERS_MAX)
		return CP_DNS_PROXY_E_BUSY;
	waiter = calloc(1, sizeof(*waiter));
	if (!waiter)
		return sn_trace(-ENOMEM);
	waiter->fn = fn;
	waiter->userdata = userdata;
	STAILQ_INSERT_TAIL(&question->waiters, waiter, entry);
	question->n_waiters++;
	return 0;
}

static int send_query(struct question *question)
{
	struct cp_dns_proxy *proxy = question->proxy;
	Sentinel__V1__DnsQueryRequest request;
	char name[CP_DNS_NAME_TEXT_BYTES];
	char daemon_id[64];

	sentinel__v1__dns_query_request__init(&request);
	(void)snprintf(daemon_id, sizeof(daemon_id), "%s",
		       proxy->options.daemon_id);
	request.daemon_id = daemon_id;
	request.id = question->tenant->id;
	request.name = cp_dns_name_format(&question->name, name);
	request.type = question->type;
	return proxy->options.query(proxy->options.userdata, &request, answered,
				    question);
}

/* A question that nobody has asked yet. */
static int begin(struct cp_dns_proxy *proxy, struct tenant *tenant,
		 const struct question *like, cp_dns_proxy_fn fn,
		 void *userdata)
{
	unsigned int max = proxy->options.max_running;
	struct question *question;
	int r;

	if (proxy->stats.n_running >= max ||
	    tenant->n_running >= SN_MAX(max / CP_DNS_PROXY_SHARE, 1U))
		return CP_DNS_PROXY_E_BUSY;
	question = malloc(sizeof(*question));
	if (!question)
		return sn_trace(-ENOMEM);
	*question = *like;
	question->proxy = proxy;
	question->tenant = tenant;
	question->is_running = true;
	STAILQ_INIT(&question->waiters);
	r = add_waiter(question, fn, userdata);
	if (r == 0 && !tsearch(question, &tenant->tree, compare_questions))
		r = -ENOMEM;
	if (r == 0) {
		r = send_query(question);
		if (r < 0)
			(void)tdelete(question, &tenant->tree,
				      compare_questions);
	}
	if (r) {
		free(STAILQ_FIRST(&question->waiters));
		free_question(question);
		return r;
	}
	LIST_INSERT_HEAD(&tenant->questions, question, link);
	tenant->n_running++;
	proxy->stats.n_running++;
	proxy->stats.n_queries++;
	return 0;
}

static int ask(struct cp_dns_proxy *proxy, struct tenant *tenant,
	       const struct question *like, cp_dns_proxy_fn fn, void *userdata,
	       struct cp_dns_proxy_answer *answer)
{
	uint64_t now_ns = proxy->options.now_ns(proxy->options.userdata);
	struct question *const *found =
		tfind(like, &tenant->tree, compare_questions);
	struct question *question = found ? *found : NULL;

	if (question && question->is_running)
		return add_waiter(question, fn, userdata);
	if (question && question->expires_ns > now_ns) {
		TAILQ_REMOVE(&proxy->kept, question, of_all);
		TAILQ_INSERT_HEAD(&proxy->kept, question, of_all);
		TAILQ_REMOVE(&tenant->kept, question, of_tenant);
		TAILQ_INSERT_HEAD(&tenant->kept, question, of_tenant);
		proxy->stats.n_hits++;
		fill(question, now_ns, answer);
		return CP_DNS_PROXY_E_KEPT;
	}
	if (question)
		forget(question);
	return begin(proxy, tenant, like, fn, userdata);
}

int cp_dns_proxy_ask(struct cp_dns_proxy *proxy, const char *id,
		     const struct cp_dns_name *name, uint16_t type,
		     cp_dns_proxy_fn fn, void *userdata,
		     struct cp_dns_proxy_answer *answer)
{
	struct question like = { .name = *name, .type = type };
	struct tenant *tenant;
	int r;

	r = get_tenant(proxy, id, &tenant);
	if (r < 0)
		return r;
	r = ask(proxy, tenant, &like, fn, userdata, answer);
	if (r == CP_DNS_PROXY_E_BUSY)
		proxy->stats.n_busy++;
	drop_if_empty(proxy, tenant);
	return r;
}

void cp_dns_proxy_get_stats(const struct cp_dns_proxy *proxy,
			    struct cp_dns_proxy_stats *ret)
{
	*ret = proxy->stats;
}
