/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A DaemonService for tests of sentinelctl: a server in a thread that answers
 * with known messages and keeps the last request of each kind as JSON. Calls
 * are made one at a time, and an answer is read only after it was given, so
 * that the test may look at what the thread wrote. */

#include "test/unit/ctl_fake_events.h"

static inline void fake_fill(Sentinel__V1__Attachment *one, unsigned int i)
{
	sentinel__v1__attachment__init(one);
	one->id = fake_texts[i];
	one->target = fake_texts[3 + i];
	one->type = i == 1 ? SENTINEL__V1__TARGET_TYPE__TARGET_TYPE_CGROUP :
			     SENTINEL__V1__TARGET_TYPE__TARGET_TYPE_TC;
	one->role = i == 1 ? SENTINEL__V1__ROLE__ROLE_UNSPECIFIED :
			     SENTINEL__V1__ROLE__ROLE_WORKLOAD;
	one->mode = SENTINEL__V1__MODE__MODE_ALLOWLIST;
	one->audit = i == 1;
	one->inbound = SENTINEL__V1__INBOUND__INBOUND_REPLIES;
	one->packets_allowed = 1000 * i;
	one->packets_blocked = 7;
	one->bytes_allowed = 64000;
	one->bytes_blocked = 420;
	one->state = SENTINEL__V1__ATTACHMENT_STATE__ATTACHMENT_STATE_ENFORCED;
	one->generation = 4;
	one->rules = 12;
	one->calls_refused = 1;
	one->dns_address = fake_texts[9];
	one->dns_mode = SENTINEL__V1__DNS_MODE__DNS_MODE_ALLOWLIST;
	one->dns_steering = SENTINEL__V1__DNS_STEERING__DNS_STEERING_ON;
	one->domain_rules = 3;
	one->dns_allowed = 100;
	one->dns_blocked = 20;
	one->dns_failed = 4;
	one->learnt_names = 5;
	one->learnt_addresses = 9;
	if (i == 2) {
		one->dns_address = fake_texts[10];
		one->dns_steering =
			SENTINEL__V1__DNS_STEERING__DNS_STEERING_OFF;
	}
}

/* Two a page, so that paging is used. */
static inline void fake_list(struct cp_rpc_call *call,
			     const ProtobufCMessage *message, void *user)
{
	const Sentinel__V1__ListRequest *request =
		(const Sentinel__V1__ListRequest *)message;
	Sentinel__V1__Attachment all[3], *page[3];
	Sentinel__V1__ListResponse response;
	const char *prefix = request->id_prefix;
	unsigned int first = *request->page_token ? 2 : 0;

	(void)user;
	sentinel__v1__list_response__init(&response);
	response.attachments = page;
	for (unsigned int i = first; i < 3; i++) {
		fake_fill(&all[i], i);
		if (strncmp(all[i].id, prefix, strlen(prefix)) != 0)
			continue;
		if (response.n_attachments == 2) {
			response.next_page_token = fake_texts[8];
			break;
		}
		page[response.n_attachments++] = &all[i];
	}
	cp_rpc_call_reply(call, &response.base);
}

static inline void fake_get(struct cp_rpc_call *call,
			    const ProtobufCMessage *message, void *user)
{
	Sentinel__V1__Attachment__MetadataEntry entry, *entries[] = { &entry };
	Sentinel__V1__ReasonCount count, *counts[] = { &count };
	char *notes[] = { fake_texts[7] };
	Sentinel__V1__GetResponse response;
	Sentinel__V1__Attachment one;

	fake_keep(user, message);
	sentinel__v1__get_response__init(&response);
	sentinel__v1__attachment__metadata_entry__init(&entry);
	sentinel__v1__reason_count__init(&count);
	fake_fill(&one, 0);
	entry.key = fake_texts[8];
	entry.value = fake_texts[3];
	count.reason = fake_texts[6];
	count.count = 7;
	one.n_metadata = 1;
	one.metadata = entries;
	one.n_blocked_reasons = 1;
	one.blocked_reasons = counts;
	one.n_notes = 1;
	one.notes = notes;
	one.attached_at = 86400;
	response.attachment = &one;
	cp_rpc_call_reply(call, &response.base);
}

static inline void fake_rules(struct cp_rpc_call *call,
			      const ProtobufCMessage *message, void *user)
{
	static char texts[][24] = { "10.0.0.0/8",    "443/tcp",
				    "8000-8100/udp", "2001:db8::1/128",
				    "local",	     "next" };
	const Sentinel__V1__GetRulesRequest *request =
		(const Sentinel__V1__GetRulesRequest *)message;
	char *ports[] = { texts[1], texts[2] };
	Sentinel__V1__GetRulesResponse response;
	Sentinel__V1__Rule rule, *rules[] = { &rule };

	fake_keep(user, message);
	sentinel__v1__get_rules_response__init(&response);
	sentinel__v1__rule__init(&rule);
	response.rules = rules;
	response.n_rules = 1;
	rule.owner = texts[4];
	if (*request->page_token) {
		rule.id = 17;
		rule.verdict = SENTINEL__V1__VERDICT__VERDICT_DENY;
		rule.cidr = texts[3];
	} else {
		rule.id = 1;
		rule.verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
		rule.cidr = texts[0];
		rule.ports = ports;
		rule.n_ports = 2;
		rule.ttl_seconds = 5400;
		rule.remaining_seconds = 59;
		response.next_page_token = texts[5];
	}
	cp_rpc_call_reply(call, &response.base);
}

/* As fake_rules(), two pages of one. has_no_domains: an empty one. */
static inline void fake_domains(struct cp_rpc_call *call,
				const ProtobufCMessage *message, void *user)
{
	static char texts[][32] = { "example.com", "443/tcp",
				    "xn--bcher-kva.example", "local", "next" };
	const Sentinel__V1__GetDomainsRequest *request =
		(const Sentinel__V1__GetDomainsRequest *)message;
	Sentinel__V1__GetDomainsResponse response;
	Sentinel__V1__DomainRule rule, *rules[] = { &rule };
	char *ports[] = { texts[1] };

	sentinel__v1__get_domains_response__init(&response);
	sentinel__v1__domain_rule__init(&rule);
	response.domains = rules;
	response.n_domains = ((struct fake *)user)->has_no_domains ? 0 : 1;
	rule.owner = texts[3];
	if (*request->page_token) {
		rule.id = 3;
		rule.verdict = SENTINEL__V1__VERDICT__VERDICT_DENY;
		rule.domain = texts[2];
	} else {
		rule.id = 2;
		rule.verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
		rule.domain = texts[0];
		rule.subdomains = true;
		rule.ports = ports;
		rule.n_ports = 1;
		rule.ttl_floor_seconds = 300;
		response.next_page_token = texts[4];
	}
	cp_rpc_call_reply(call, &response.base);
}

static inline void fake_learnt(struct cp_rpc_call *call,
			       const ProtobufCMessage *message, void *user)
{
	static char texts[][32] = { "www.example.com", "203.0.113.9",
				    "2001:db8::9", "443/tcp" };
	Sentinel__V1__ListLearntResponse response;
	Sentinel__V1__Learnt learnt[2], *all[] = { &learnt[0], &learnt[1] };
	char *ports[] = { texts[3] };

	fake_keep(user, message);
	sentinel__v1__list_learnt_response__init(&response);
	response.learnt = all;
	response.n_learnt = 2;
	for (unsigned int i = 0; i < 2; i++) {
		sentinel__v1__learnt__init(&learnt[i]);
		learnt[i].name = texts[0];
		learnt[i].address = texts[1 + i];
		learnt[i].remaining_seconds = 40 + 60 * i;
	}
	learnt[0].rule_id = 2;
	learnt[0].ports = ports;
	learnt[0].n_ports = 1;
	cp_rpc_call_reply(call, &response.base);
}

static inline void fake_attach(struct cp_rpc_call *call,
			       const ProtobufCMessage *message, void *user)
{
	const Sentinel__V1__AttachRequest *request =
		(const Sentinel__V1__AttachRequest *)message;
	char *notes[] = { fake_texts[7] };
	Sentinel__V1__AttachResponse response;

	fake_keep(user, message);
	((struct fake *)user)->attach_was_audit = request->audit;
	if (strcmp(request->interface_name, "veth1") == 0) {
		cp_rpc_call_fail(call, GRPC_STATUS_ALREADY_EXISTS,
				 "veth1 is attached\n\033[0m");
		return;
	}
	sentinel__v1__attach_response__init(&response);
	response.id = fake_texts[0];
	response.notes = notes;
	response.n_notes = 1;
	cp_rpc_call_reply(call, &response.base);
}

static inline void fake_detach(struct cp_rpc_call *call,
			       const ProtobufCMessage *message, void *user)
{
	Sentinel__V1__DetachResponse response;
	struct fake *fake = user;

	fake_keep(fake, message);
	fake->n_detached++;
	if (fake->refuse_detach) {
		cp_rpc_call_fail(call, GRPC_STATUS_UNAVAILABLE, "dp is away");
		return;
	}
	sentinel__v1__detach_response__init(&response);
	cp_rpc_call_reply(call, &response.base);
}

static inline void fake_apply(struct cp_rpc_call *call,
			      const ProtobufCMessage *message, void *user)
{
	Sentinel__V1__ApplyResponse response;

	fake_keep(user, message);
	sentinel__v1__apply_response__init(&response);
	response.generation = 5;
	response.added = 3;
	response.removed = 2;
	response.unchanged = 1;
	cp_rpc_call_reply(call, &response.base);
}

static inline void fake_stream(struct cp_rpc_call *call,
			       const ProtobufCMessage *message, void *user)
{
	struct fake *fake = user;

	(void)message;
	fake->n_parts = 0;
	fake->n_stream_rules = 0;
	fake->n_stream_domains = 0;
	cp_rpc_call_next(call);
}

static inline void fake_part(struct cp_rpc_call *call,
			     const ProtobufCMessage *message, void *user)
{
	const Sentinel__V1__ApplyStreamRequest *request =
		(const Sentinel__V1__ApplyStreamRequest *)message;
	struct fake *fake = user;

	if (fake->n_parts++ == 0)
		fake_keep(fake, message);
	fake->n_stream_rules += (unsigned int)request->n_rules;
	fake->n_stream_domains += (unsigned int)request->n_domains;
	fake->largest_part =
		SN_MAX(fake->largest_part,
		       protobuf_c_message_get_packed_size(message));
	if (fake->refuse_stream && fake->n_parts == 3) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "the table of rules is full");
		return;
	}
	cp_rpc_call_next(call);
}

static inline void fake_stream_end(struct cp_rpc_call *call, void *user)
{
	Sentinel__V1__ApplyStreamResponse response;
	Sentinel__V1__ApplyResponse result;
	struct fake *fake = user;

	sentinel__v1__apply_stream_response__init(&response);
	sentinel__v1__apply_response__init(&result);
	result.generation = 5;
	result.added = fake->n_stream_rules;
	response.result = &result;
	cp_rpc_call_reply(call, &response.base);
}

static inline void fake_cancel(struct cp_rpc_call *call, void *user)
{
	(void)call;
	(void)user;
}

static inline void fake_mode(struct cp_rpc_call *call,
			     const ProtobufCMessage *message, void *user)
{
	Sentinel__V1__SetModeResponse response;

	fake_keep(user, message);
	sentinel__v1__set_mode_response__init(&response);
	cp_rpc_call_reply(call, &response.base);
}

/* A method whose answer has a few numbers, always the same. */
#define FAKE_ANSWER(function, type, prefix, ...)                                \
	static inline void function(struct cp_rpc_call *call,                   \
				    const ProtobufCMessage *message,            \
				    void *user)                                 \
	{                                                                       \
		const Sentinel__V1__##type response = {                         \
			.base = PROTOBUF_C_MESSAGE_INIT(                        \
				&sentinel__v1__##prefix##response__descriptor), \
			__VA_ARGS__                                             \
		};                                                              \
                                                                                \
		fake_keep(user, message);                                       \
		cp_rpc_call_reply(call, &response.base);                        \
	}

FAKE_ANSWER(fake_allow, AllowCIDRResponse, allow_cidr, .rule_id = 9)
FAKE_ANSWER(fake_deny, DenyCIDRResponse, deny_cidr, .rule_id = 9,
	    .replaced = true)
FAKE_ANSWER(fake_remove, RemoveCIDRResponse, remove_cidr, .removed = 2)
FAKE_ANSWER(fake_allow_domain, AllowDomainResponse, allow_domain_,
	    .rule_id = 11)
FAKE_ANSWER(fake_deny_domain, DenyDomainResponse, deny_domain_, .rule_id = 11,
	    .replaced = true)
FAKE_ANSWER(fake_remove_domain, RemoveDomainResponse, remove_domain_,
	    .removed = 1)

static inline void fake_dns_mode(struct cp_rpc_call *call,
				 const ProtobufCMessage *message, void *user)
{
	Sentinel__V1__SetDnsModeResponse response;

	fake_keep(user, message);
	sentinel__v1__set_dns_mode_response__init(&response);
	cp_rpc_call_reply(call, &response.base);
}

static inline void fake_status(struct cp_rpc_call *call,
			       const ProtobufCMessage *message, void *user)
{
	static char texts[][40] = { "0.1.0",
				    "rules",
				    "prefixes",
				    "egress-tc",
				    "egress-cgroup",
				    "no cgroup2 here",
				    "something is odd",
				    "no such socket" };
	Sentinel__V1__TableStatus table[2],
		*tables[] = { &table[0], &table[1] };
	Sentinel__V1__FeatureStatus feature[2];
	Sentinel__V1__FeatureStatus *features[] = { &feature[0], &feature[1] };
	char *warnings[] = { texts[6] };
	Sentinel__V1__GetStatusResponse response;
	Sentinel__V1__DataplaneStatus dataplane;
	struct fake *fake = user;

	fake_keep(fake, message);
	sentinel__v1__get_status_response__init(&response);
	sentinel__v1__dataplane_status__init(&dataplane);
	for (unsigned int i = 0; i < 2; i++) {
		sentinel__v1__table_status__init(&table[i]);
		table[i].name = texts[1 + i];
		table[i].entries = i ? 0 : 1234;
		table[i].capacity = 2000000;
		sentinel__v1__feature_status__init(&feature[i]);
		feature[i].name = texts[3 + i];
		feature[i].state = (Sentinel__V1__FeatureState)(1 + 2 * i);
		feature[i].reason = i ? texts[5] : feature[i].reason;
	}
	dataplane.connected = !fake->is_disconnected;
	if (fake->is_disconnected)
		dataplane.last_error = texts[7];
	else
		dataplane.version = texts[0];
	response.version = texts[0];
	response.daemon_id = fake_texts[0];
	response.dataplane = &dataplane;
	response.attachments = 3;
	response.uptime_seconds = 90061;
	response.tables = tables;
	response.n_tables = 2;
	response.features = features;
	response.n_features = 2;
	response.warnings = warnings;
	response.n_warnings = 1;
	cp_rpc_call_reply(call, &response.base);
}

#define FAKE_METHOD(name, type, handler)                                 \
	{                                                                \
		.path = "/sentinel.v1.DaemonService/" name,              \
		.request = &sentinel__v1__##type##request__descriptor,   \
		.response = &sentinel__v1__##type##response__descriptor, \
		.kind = CP_RPC_KIND_UNARY, .on_call = handler,           \
		.on_cancel = fake_cancel,                                \
	}

static const struct cp_rpc_method fake_methods[] = {
	{
		.path = "/sentinel.v1.DaemonService/WatchEvents",
		.request = &sentinel__v1__watch_events_request__descriptor,
		.response = &sentinel__v1__event__descriptor,
		.kind = CP_RPC_KIND_SERVER_STREAM,
		.on_call = fake_events,
		.on_writable = fake_event_send,
		.on_cancel = fake_cancel,
	},
	FAKE_METHOD("List", list_, fake_list),
	FAKE_METHOD("Get", get_, fake_get),
	FAKE_METHOD("GetRules", get_rules_, fake_rules),
	FAKE_METHOD("Attach", attach_, fake_attach),
	FAKE_METHOD("Detach", detach_, fake_detach),
	FAKE_METHOD("Apply", apply_, fake_apply),
	FAKE_METHOD("SetMode", set_mode_, fake_mode),
	FAKE_METHOD("AllowCIDR", allow_cidr, fake_allow),
	FAKE_METHOD("DenyCIDR", deny_cidr, fake_deny),
	FAKE_METHOD("RemoveCIDR", remove_cidr, fake_remove),
	FAKE_METHOD("AllowDomain", allow_domain_, fake_allow_domain),
	FAKE_METHOD("DenyDomain", deny_domain_, fake_deny_domain),
	FAKE_METHOD("RemoveDomain", remove_domain_, fake_remove_domain),
	FAKE_METHOD("SetDnsMode", set_dns_mode_, fake_dns_mode),
	FAKE_METHOD("GetDomains", get_domains_, fake_domains),
	FAKE_METHOD("ListLearnt", list_learnt_, fake_learnt),
	FAKE_METHOD("GetSeen", get_seen_, fake_seen),
	FAKE_METHOD("Explain", explain_, fake_explain),
	FAKE_METHOD("GetStatus", get_status_, fake_status),
	{
		.path = "/sentinel.v1.DaemonService/ApplyStream",
		.request = &sentinel__v1__apply_stream_request__descriptor,
		.response = &sentinel__v1__apply_stream_response__descriptor,
		.kind = CP_RPC_KIND_CLIENT_STREAM,
		.on_call = fake_stream,
		.on_message = fake_part,
		.on_half_close = fake_stream_end,
		.on_cancel = fake_cancel,
	},
};

static inline void fake_stop_asked(uv_async_t *async)
{
	struct fake *fake = async->data;

	cp_rpc_server_stop(fake->server, 0, NULL, NULL);
	uv_close((uv_handle_t *)&fake->stop, NULL);
}

static inline void fake_run(void *data)
{
	struct fake *fake = data;
	const struct cp_rpc_server_options options = {
		.path = fake->path,
		.gid = (gid_t)-1,
		.methods = fake_methods,
		.n_methods = SN_ARRAY_SIZE(fake_methods),
		.user = fake,
	};

	(void)uv_loop_init(&fake->loop);
	fake->new_result = cp_rpc_server_new(&fake->server, &fake->loop,
					     &options, &fake->diag);
	fake->stop.data = fake;
	if (!fake->new_result)
		(void)uv_async_init(&fake->loop, &fake->stop, fake_stop_asked);
	uv_sem_post(&fake->ready);
	(void)uv_run(&fake->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&fake->loop);
}

static inline void fake_start(struct fake *fake)
{
	(void)snprintf(fake->directory, sizeof(fake->directory),
		       "/tmp/sn-ctl-XXXXXX");
	t_true(mkdtemp(fake->directory) != NULL);
	(void)snprintf(fake->path, sizeof(fake->path), "%s/s", fake->directory);
	t_eq(uv_sem_init(&fake->ready, 0), 0);
	t_eq(uv_thread_create(&fake->thread, fake_run, fake), 0);
	uv_sem_wait(&fake->ready);
	if (fake->new_result)
		t_fail("no server: %s", fake->diag.text);
}

static inline void fake_end(struct fake *fake)
{
	char lock[80];

	t_eq(uv_async_send(&fake->stop), 0);
	t_eq(uv_thread_join(&fake->thread), 0);
	uv_sem_destroy(&fake->ready);
	free(fake->request);
	(void)snprintf(lock, sizeof(lock), "%s.lock", fake->path);
	(void)unlink(lock);
	t_eq(rmdir(fake->directory), 0);
}
