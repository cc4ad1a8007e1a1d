/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/upstream/validator.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/upstream/event.h"
#include "controld/upstream/request.h"

enum {
	PENDING_MAX = 1024, /* of one context */
	ADDRESS_BYTES = INET6_ADDRSTRLEN + 8,
	SEC_BOGUS = 1, /* what libunbound's callback says */
	SEC_SECURE = 2,
	QR_RD = 0x81,
	RA = 0x80,
};

static const char system_anchor[] = "/usr/share/dns/root.key";

struct cp_upstream_validator {
	struct cp_upstream_event_base base;
	struct cp_upstream *upstream;
	struct ub_ctx *context;
	struct cp_upstream_pending *asking; /* within ub_resolve_event() */
	uint32_t n_pending;
};

struct cp_upstream_pending {
	TAILQ_ENTRY(cp_upstream_pending) link; /* if is_told */
	struct cp_upstream_request *request;
	struct cp_upstream_validator *validator;
	uint8_t *message; /* NULL: none */
	size_t size;
	int id; /* libunbound's */
	int status;
	bool is_secure;
	bool is_told;
};

/* Each is set before anything finishes the context, where later ones would be
 * ignored. Its caches are small, because what it answers is kept by us. */
static const char *const settings[][2] = {
	{ "module-config:", "validator iterator" },
	{ "do-not-query-localhost:", "no" },
	{ "use-caps-for-id:", "yes" },
	{ "edns-buffer-size:", "1232" },
	{ "outgoing-range:", "64" },
	{ "outgoing-num-tcp:", "8" },
	{ "msg-cache-size:", "1m" },
	{ "rrset-cache-size:", "2m" },
	{ "key-cache-size:", "1m" },
	{ "neg-cache-size:", "256k" },
	{ "infra-keep-probing:", "yes" },
	{ "unblock-lan-zones:", "yes" },
	{ "trust-anchor-signaling:", "no" },
	{ "root-key-sentinel:", "no" },
	{ "qname-minimisation:", "no" },
	{ "unwanted-reply-threshold:", "10000" },
};

/* Names that libunbound would answer by itself: they are the upstream's. */
static const char *const built_in[] = {
	"localhost.",
	"127.in-addr.arpa.",
	"home.arpa.",
	"onion.",
	"test.",
	"invalid.",
	"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
};

static const char *anchor_of(const struct cp_upstream *upstream)
{
	return upstream->trust_anchor_file ? upstream->trust_anchor_file :
					     system_anchor;
}

int cp_upstream_validator_check(const struct cp_upstream *upstream,
				const struct cp_dns_upstream *servers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (servers[i].is_tls)
			return -EOPNOTSUPP;
	if (access(anchor_of(upstream), R_OK))
		return sn_trace(-errno);
	return 0;
}

static int set_servers(struct ub_ctx *context,
		       const struct cp_upstream_set *set)
{
	char address[INET6_ADDRSTRLEN];
	char text[ADDRESS_BYTES];

	for (uint8_t i = 0; i < set->n; i++) {
		const struct cp_dns_upstream *config = &set->servers[i]->config;
		int family = config->family == SN_FAMILY_IPV4 ? AF_INET :
								AF_INET6;

		(void)inet_ntop(family, config->address, address,
				sizeof(address));
		(void)snprintf(text, sizeof(text), "%s@%u", address,
			       (unsigned int)config->port);
		if (ub_ctx_set_fwd(context, text))
			return -EINVAL;
	}
	return 0;
}

static int configure(struct cp_upstream_validator *validator,
		     const struct cp_upstream_set *set)
{
	struct ub_ctx *context = validator->context;

	/* What it has to say comes as answers; the log is not its place. */
	if (ub_ctx_debugout(context, NULL))
		return -EINVAL;
	for (size_t i = 0; i < SN_ARRAY_SIZE(settings); i++)
		if (ub_ctx_set_option(context, settings[i][0], settings[i][1]))
			return -EINVAL;
	if (set_servers(context, set) < 0)
		return -EINVAL;
	/* A small local file, read once for a set of servers. */
	if (ub_ctx_add_ta_file(context, anchor_of(validator->upstream)))
		return -ENOENT;
	for (size_t i = 0; i < SN_ARRAY_SIZE(built_in); i++)
		if (ub_ctx_zone_remove(context, built_in[i]))
			return -EINVAL;
	return 0;
}

static int get_validator(struct cp_upstream_set *set)
{
	struct cp_upstream *upstream = set->upstream;
	struct cp_upstream_validator *validator;
	int r;

	if (set->validator)
		return 0;
	if (upstream->n_validators >= CP_UPSTREAM_VALIDATORS_MAX)
		return -ENOBUFS;
	validator = calloc(1, sizeof(*validator));
	if (!validator)
		return sn_trace(-ENOMEM);
	validator->upstream = upstream;
	upstream->n_validators++;
	cp_upstream_event_init(&validator->base, upstream);
	validator->context = ub_ctx_create_ub_event(&validator->base.base);
	r = validator->context ? configure(validator, set) : -ENOMEM;
	if (r < 0) {
		(void)cp_upstream_validator_free(validator);
		return sn_trace(r);
	}
	set->validator = validator;
	return 0;
}

struct cp_upstream_validator *
cp_upstream_validator_free(struct cp_upstream_validator *validator)
{
	if (!validator)
		return NULL;
	if (validator->context)
		ub_ctx_delete(validator->context);
	validator->upstream->n_validators--;
	free(validator);
	return NULL;
}

static struct cp_upstream_query query_of(const struct cp_upstream_request *of)
{
	return (struct cp_upstream_query){
		.name = &of->name,
		.type = of->type,
		.class = of->class,
	};
}

/* A failure of which libunbound says no more than the code. */
static void make_failure(struct cp_upstream_pending *pending, int rcode)
{
	struct cp_upstream_query query = query_of(pending->request);

	pending->message = malloc(CP_UPSTREAM_QUERY_BYTES);
	if (!pending->message) {
		pending->status = -ENOMEM;
		return;
	}
	pending->size = cp_upstream_query_write(&query, pending->message);
	pending->message[2] = QR_RD;
	pending->message[3] = (uint8_t)(RA | (rcode & 0x0f));
}

static void keep_answer(struct cp_upstream_pending *pending,
			const uint8_t *packet, size_t size, bool is_secure)
{
	struct cp_upstream_query query = query_of(pending->request);

	if (size >= CP_UPSTREAM_QUERY_HEADER)
		query.id = cp_upstream_query_id(packet);
	if (cp_upstream_query_match(&query, packet, size) != 0) {
		make_failure(pending, CP_UPSTREAM_QUERY_SERVFAIL);
		return;
	}
	pending->message = malloc(size);
	if (!pending->message) {
		pending->status = -ENOMEM;
		return;
	}
	(void)memcpy(pending->message, packet, size);
	pending->size = size;
	pending->is_secure = is_secure;
	cp_upstream_query_clean(&query, pending->message);
}

static void tell(struct cp_upstream_pending *pending)
{
	struct cp_upstream_request *request = pending->request;
	uint8_t *message = sn_steal(&pending->message);
	const struct cp_upstream_answer answer = {
		.status = pending->status,
		.message = pending->status == 0 ? message : NULL,
		.size = pending->status == 0 ? pending->size : 0,
		.is_secure = pending->is_secure,
	};

	cp_upstream_request_finish(request, &answer);
	free(message);
}

static void resolved(void *userdata, int rcode, void *packet, int size, int sec,
		     char *why_bogus, int was_ratelimited)
{
	struct cp_upstream_pending *pending = userdata;

	(void)why_bogus;
	(void)was_ratelimited;
	if (sec == SEC_BOGUS)
		pending->status = CP_UPSTREAM_E_BOGUS;
	else if (rcode != 0 || !packet || size < 0)
		make_failure(pending,
			     rcode ? rcode : CP_UPSTREAM_QUERY_SERVFAIL);
	else
		keep_answer(pending, packet, (size_t)size, sec == SEC_SECURE);

	pending->validator->n_pending--;
	pending->id = -1;
	if (pending->validator->asking != pending) {
		tell(pending);
		return;
	}
	pending->is_told = true;
	TAILQ_INSERT_TAIL(&pending->validator->upstream->told, pending, link);
	cp_upstream_wake_loop(pending->validator->upstream);
}

int cp_upstream_validator_ask(struct cp_upstream_request *request)
{
	struct cp_upstream_set *set = request->set;
	char name[CP_DNS_NAME_TEXT_BYTES];
	struct cp_upstream_pending *pending;
	int r;

	r = get_validator(set);
	if (r < 0)
		return r;
	if (set->validator->n_pending >= PENDING_MAX)
		return -ENOBUFS;
	pending = calloc(1, sizeof(*pending));
	if (!pending)
		return sn_trace(-ENOMEM);
	pending->request = request;
	pending->validator = set->validator;
	set->validator->asking = pending;
	set->validator->n_pending++;
	r = ub_resolve_event(set->validator->context,
			     cp_dns_name_format(&request->name, name),
			     request->type, request->class, pending, resolved,
			     &pending->id);
	set->validator->asking = NULL;
	if (r != 0) {
		set->validator->n_pending--;
		free(pending);
		return sn_trace(-EIO);
	}
	if (pending->is_told)
		pending->id = -1;
	request->pending = pending;
	return 0;
}

void cp_upstream_validator_cancel(struct cp_upstream_request *request)
{
	struct cp_upstream_pending *pending = sn_steal(&request->pending);

	if (!pending)
		return;
	if (pending->is_told) {
		TAILQ_REMOVE(&pending->validator->upstream->told, pending,
			     link);
	} else if (pending->id >= 0) {
		(void)ub_cancel(pending->validator->context, pending->id);
		pending->validator->n_pending--;
	}
	free(pending->message);
	free(pending);
}

void cp_upstream_validator_flush(struct cp_upstream *upstream)
{
	struct cp_upstream_pending *last =
		TAILQ_LAST(&upstream->told, cp_upstream_told);
	struct cp_upstream_pending *pending;
	bool is_last;

	while (last && (pending = TAILQ_FIRST(&upstream->told))) {
		is_last = pending == last;
		tell(pending);
		if (is_last)
			break;
	}
	if (!TAILQ_EMPTY(&upstream->told))
		cp_upstream_wake_loop(upstream);
}
