/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/api.h"

#include <stdlib.h>

#include "controld/api/change.h"
#include "controld/api/detection.h"
#include "controld/api/domain.h"
#include "controld/api/explain.h"
#include "controld/api/finding.h"
#include "controld/api/history.h"
#include "controld/api/lease.h"
#include "controld/api/pending.h"
#include "controld/api/read.h"
#include "controld/api/runtime.h"
#include "controld/api/seen.h"
#include "controld/api/status.h"
#include "controld/api/stream.h"
#include "controld/api/watch.h"

#define UNARY(name, type, answer, handler, cancel, whose)                     \
	{                                                                     \
		.path = "/sentinel.v1.DaemonService/" name,                   \
		.request = &sentinel__v1__##type##__descriptor,               \
		.response = &sentinel__v1__##answer##__descriptor,            \
		.kind = CP_RPC_KIND_UNARY, .role = whose, .on_call = handler, \
		.on_cancel = cancel,                                          \
	}

#define ADMIN(name, type, answer, handler)                        \
	UNARY(name, type, answer, handler, cp_api_pending_cancel, \
	      CP_RPC_ROLE_ADMIN)
#define CHANGE(name, type, answer, handler)                       \
	UNARY(name, type, answer, handler, cp_api_pending_cancel, \
	      CP_RPC_ROLE_OPERATOR)
#define READ(name, type, answer, handler) \
	UNARY(name, type, answer, handler, NULL, CP_RPC_ROLE_VIEWER)

/* A stream of what happens, which is taken up again where it broke off. */
#define WATCH(name, type, answer, module, whose)                   \
	{                                                          \
		.path = "/sentinel.v1.DaemonService/" name,        \
		.request = &sentinel__v1__##type##__descriptor,    \
		.response = &sentinel__v1__##answer##__descriptor, \
		.kind = CP_RPC_KIND_SERVER_STREAM, .role = whose,  \
		.cursor = "cursor", .resume = "resume",            \
		.on_call = cp_api_##module##_call,                 \
		.on_writable = cp_api_##module##_writable,         \
		.on_cancel = cp_api_##module##_cancel,             \
	}

static const struct cp_rpc_method methods[] = {
	ADMIN("Attach", attach_request, attach_response, cp_api_change_attach),
	ADMIN("Detach", detach_request, detach_response, cp_api_change_detach),
	CHANGE("Apply", apply_request, apply_response, cp_api_change_apply),
	CHANGE("SetMode", set_mode_request, set_mode_response,
	       cp_api_change_set_mode),
	CHANGE("AllowCIDR", allow_cidrrequest, allow_cidrresponse,
	       cp_api_change_allow),
	CHANGE("DenyCIDR", deny_cidrrequest, deny_cidrresponse,
	       cp_api_change_deny),
	CHANGE("RemoveCIDR", remove_cidrrequest, remove_cidrresponse,
	       cp_api_change_remove),
	CHANGE("AllowDomain", allow_domain_request, allow_domain_response,
	       cp_api_domain_allow),
	CHANGE("DenyDomain", deny_domain_request, deny_domain_response,
	       cp_api_domain_deny),
	CHANGE("RemoveDomain", remove_domain_request, remove_domain_response,
	       cp_api_domain_remove),
	CHANGE("SetDnsMode", set_dns_mode_request, set_dns_mode_response,
	       cp_api_domain_set_mode),
	READ("List", list_request, list_response, cp_api_read_list),
	READ("Get", get_request, get_response, cp_api_read_get),
	READ("GetRules", get_rules_request, get_rules_response,
	     cp_api_read_rules),
	READ("GetDomains", get_domains_request, get_domains_response,
	     cp_api_domain_read_rules),
	READ("ListLearnt", list_learnt_request, list_learnt_response,
	     cp_api_domain_read_learnt),
	UNARY("Explain", explain_request, explain_response, cp_api_explain_call,
	      cp_api_explain_cancel, CP_RPC_ROLE_VIEWER),
	READ("GetSeen", get_seen_request, get_seen_response, cp_api_seen_get),
	READ("GetHistory", get_history_request, get_history_response,
	     cp_api_history_get),
	READ("ListRules", list_rules_request, list_rules_response,
	     cp_api_detection_list),
	CHANGE("ReloadRules", reload_rules_request, reload_rules_response,
	       cp_api_detection_reload),
	READ("GetStatus", get_status_request, get_status_response,
	     cp_api_status_get),
	{
		.path = "/sentinel.v1.DaemonService/ApplyStream",
		.request = &sentinel__v1__apply_stream_request__descriptor,
		.response = &sentinel__v1__apply_stream_response__descriptor,
		.kind = CP_RPC_KIND_CLIENT_STREAM,
		.role = CP_RPC_ROLE_OPERATOR,
		.on_call = cp_api_stream_call,
		.on_message = cp_api_stream_message,
		.on_half_close = cp_api_stream_half_close,
		.on_cancel = cp_api_stream_cancel,
	},
	WATCH("WatchEvents", watch_events_request, event, watch,
	      CP_RPC_ROLE_VIEWER),
	WATCH("WatchRuntime", watch_runtime_request, runtime_event, runtime,
	      CP_RPC_ROLE_OPERATOR),
	WATCH("WatchFindings", watch_findings_request, finding, finding,
	      CP_RPC_ROLE_OPERATOR),
	{
		.path = "/sentinel.v1.DaemonService/Lease",
		.request = &sentinel__v1__lease_request__descriptor,
		.response = &sentinel__v1__lease_response__descriptor,
		.kind = CP_RPC_KIND_SERVER_STREAM,
		.role = CP_RPC_ROLE_ADMIN,
		.on_call = cp_api_lease_call,
		.on_cancel = cp_api_lease_cancel,
	},
};

int cp_api_new(struct cp_api **ret, const struct cp_api_options *options,
	       struct sn_diag *diag)
{
	sn_cleanup(cp_api_freep) struct cp_api *api = NULL;
	struct cp_rpc_server_options server = {
		.path = options->path,
		.gid = options->gid,
		.methods = methods,
		.n_methods = SN_ARRAY_SIZE(methods),
		.max_connections = (unsigned int)options->max_connections,
		.max_message_bytes = (unsigned int)options->max_message_bytes,
	};
	int r;

	api = calloc(1, sizeof(*api));
	if (!api)
		return -ENOMEM;
	api->options = *options;
	api->started_ns = cp_attach_now(options->manager);
	server.user = api;
	r = cp_rpc_server_new(&api->server, options->loop, &server, diag);
	if (r)
		return r < 0 ? sn_trace(r) : r;
	cp_api_lease_init(api);
	*ret = sn_steal(&api);
	return 0;
}

const struct cp_rpc_method *cp_api_get_methods(size_t *n)
{
	*n = SN_ARRAY_SIZE(methods);
	return methods;
}

void cp_api_reload(struct cp_api *api, uint64_t max_rules)
{
	api->options.max_rules = max_rules;
}

void cp_api_stop(struct cp_api *api, unsigned int drain_ms,
		 void (*stopped)(void *userdata), void *userdata)
{
	cp_api_lease_stop(api);
	cp_api_watch_stop(api);
	cp_api_runtime_stop(api);
	cp_api_finding_stop(api);
	cp_rpc_server_stop(sn_steal(&api->server), drain_ms, stopped, userdata);
}

struct cp_api *cp_api_free(struct cp_api *api)
{
	free(api);
	return NULL;
}
