/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/pending.h"

#include <grpc/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/validate.h"
#include "controld/policy/convert.h"
#include "controld/rpc/status.h"
#include "shared/log.h"

static int status_of(enum cp_attach_code code)
{
	switch (code) {
	case CP_ATTACH_CODE_OK:
		return GRPC_STATUS_OK;
	case CP_ATTACH_CODE_INVALID:
		return GRPC_STATUS_INVALID_ARGUMENT;
	case CP_ATTACH_CODE_NOT_FOUND:
		return GRPC_STATUS_NOT_FOUND;
	case CP_ATTACH_CODE_EXISTS:
		return GRPC_STATUS_ALREADY_EXISTS;
	case CP_ATTACH_CODE_PRECONDITION:
		return GRPC_STATUS_FAILED_PRECONDITION;
	case CP_ATTACH_CODE_EXHAUSTED:
		return GRPC_STATUS_RESOURCE_EXHAUSTED;
	case CP_ATTACH_CODE_UNAVAILABLE:
		return GRPC_STATUS_UNAVAILABLE;
	case CP_ATTACH_CODE_INTERNAL:
		return GRPC_STATUS_INTERNAL;
	}
	return GRPC_STATUS_INTERNAL;
}

struct cp_api_pending *
cp_api_pending_new(struct cp_api *api, struct cp_rpc_call *call,
		   const char *method,
		   void (*reply)(struct cp_rpc_call *call,
				 const struct cp_attach_result *result))
{
	const struct ucred *peer = cp_rpc_call_get_peer(call);
	const char *name = cp_rpc_call_get_name(call);
	struct cp_api_pending *pending = calloc(1, sizeof(*pending));

	if (!pending) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "out of memory");
		return NULL;
	}
	pending->api = api;
	pending->call = call;
	pending->method = method;
	pending->reply = reply;
	pending->pid = peer->pid;
	pending->uid = peer->uid;
	if (name)
		(void)snprintf(pending->caller, sizeof(pending->caller), "%s",
			       name);
	cp_rpc_call_set_data(call, pending);
	return pending;
}

void cp_api_pending_started(struct cp_api_pending *pending, int r)
{
	struct cp_attach_result result = {
		.code = CP_ATTACH_CODE_EXHAUSTED,
	};

	if (r == 0)
		return;
	sn_diag_set(&result.diag, NULL, "%s",
		    r == -EDQUOT  ? "there are as many attachments as there "
				    "may be (limits.attachments)" :
		    r == -ENOBUFS ? "too many changes wait; try again" :
				    strerror(-r));
	cp_api_pending_done(pending, &result);
}

static void log_change(const struct cp_api_pending *pending, const char *id,
		       int status, const char *reason)
{
	char who[sizeof(pending->caller) + 16];

	if (pending->caller[0])
		(void)snprintf(who, sizeof(who), "caller=%s", pending->caller);
	else
		(void)snprintf(who, sizeof(who), "pid=%d uid=%u",
			       (int)pending->pid, (unsigned int)pending->uid);
	if (status == GRPC_STATUS_OK)
		sn_log_change("audit method=%s %s id=%s%s result=OK",
			      pending->method, who, id[0] ? id : "-",
			      pending->what);
	else
		sn_log(SN_LOG_INFO,
		       "audit method=%s %s id=%s%s result=%s reason='%s'",
		       pending->method, who, id[0] ? id : "-", pending->what,
		       cp_rpc_status_name(status),
		       /* Why a target cannot be attached names it. */
		       strncmp(pending->what, " target", 7) == 0 ?
			       sn_log_target(reason) :
			       reason);
}

void cp_api_pending_done(void *userdata, const struct cp_attach_result *result)
{
	struct cp_api_pending *pending = userdata;
	int status = status_of(result->code);

	log_change(pending, result->id[0] ? result->id : pending->id, status,
		   result->diag.text);
	if (pending->call && status == GRPC_STATUS_OK)
		pending->reply(pending->call, result);
	else if (pending->call)
		cp_rpc_call_fail(pending->call, status, result->diag.text);
	free(pending);
}

void cp_api_pending_cancel(struct cp_rpc_call *call, void *user)
{
	struct cp_api_pending *pending = cp_rpc_call_get_data(call);

	(void)user;
	if (pending)
		pending->call = NULL;
}

enum { TEXT_BYTES = sizeof(struct sn_diag) + 4 };

/* "field: text" */
static void put_text(const char *field, const char *what, char text[TEXT_BYTES])
{
	(void)snprintf(text, TEXT_BYTES, "%s%s%s", field, field[0] ? ": " : "",
		       what);
}

void cp_api_pending_drop(struct cp_api_pending *pending, int r,
			 const struct sn_diag *diag)
{
	struct cp_rpc_call *call = pending->call;
	int status = r == CP_POLICY_CONVERT_E_INVALID ?
			     GRPC_STATUS_INVALID_ARGUMENT :
			     GRPC_STATUS_RESOURCE_EXHAUSTED;
	char text[TEXT_BYTES];

	put_text(diag->field, r > 0 ? diag->text : strerror(-r), text);
	log_change(pending, pending->id, status, text);
	free(pending);
	cp_rpc_call_set_data(call, NULL);
	cp_rpc_call_fail(call, status, text);
}

void cp_api_pending_refuse(struct cp_rpc_call *call, const struct sn_diag *diag)
{
	char text[TEXT_BYTES];

	put_text(diag->field, diag->text, text);
	cp_rpc_call_fail(call, GRPC_STATUS_INVALID_ARGUMENT, text);
}

struct cp_api_pending *
cp_api_pending_begin(struct cp_api *api, struct cp_rpc_call *call,
		     const char *method, const char *id,
		     void (*reply)(struct cp_rpc_call *call,
				   const struct cp_attach_result *result))
{
	struct cp_api_pending *pending;
	struct sn_diag diag = { 0 };

	pending = cp_api_pending_new(api, call, method, reply);
	if (!pending)
		return NULL;
	if (cp_api_validate_id(id, &diag)) {
		cp_api_pending_drop(pending, CP_POLICY_CONVERT_E_INVALID,
				    &diag);
		return NULL;
	}
	(void)snprintf(pending->id, sizeof(pending->id), "%s", id);
	return pending;
}
