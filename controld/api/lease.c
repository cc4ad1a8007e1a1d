/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/lease.h"

#include <fcntl.h>
#include <grpc/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/change.h"
#include "controld/api/validate.h"
#include "controld/policy/convert.h"
#include "shared/log.h"

enum {
	AGAIN_MS = 500, /* between steps towards the end of a broken lease */
	PATH_BYTES = CP_ATTACH_TARGET_BYTES + sizeof("/cgroup.events"),
	EVENTS_BYTES = 256, /* of cgroup.events */
};

/* Freed when nothing refers to it any more: the timer until it is closed, and
 * each change and look that is under way. */
struct cp_api_lease {
	LIST_ENTRY(cp_api_lease) link;
	struct cp_api *api;
	struct cp_rpc_call *call; /* NULL: the stream has ended */
	struct cp_api_pending *pending; /* the attachment is being made */
	char id[CP_ATTACH_ID_CHARS + 1]; /* "" until it is there */
	bool is_ended; /* not in the list */
	unsigned int n_users;
	uv_timer_t timer;
	uv_work_t work;
	char events_path[PATH_BYTES]; /* "": an interface */
	bool is_empty;
	bool is_closed; /* in block-all, on the way to the end */
};

static void put_back(struct cp_api_lease *lease)
{
	if (--lease->n_users == 0)
		free(lease);
}

static void closed(uv_handle_t *handle)
{
	put_back(handle->data);
}

static void end(struct cp_api_lease *lease)
{
	if (lease->is_ended)
		return;
	lease->is_ended = true;
	LIST_REMOVE(lease, link);
	lease->api->n_leases--;
	uv_close((uv_handle_t *)&lease->timer, closed);
}

/* The stream and the lease end; the attachment is not touched. */
static void refuse(struct cp_api_lease *lease, int code, const char *text)
{
	struct cp_rpc_call *call = sn_steal(&lease->call);

	end(lease);
	if (!call)
		return;
	cp_rpc_call_set_data(call, NULL);
	cp_rpc_call_fail(call, code, text);
}

/* The end of a broken lease. */

/* On a worker thread. Whoever detaches lets pass, so a cgroup is only empty if
 * it says so, or is gone. */
static void look(uv_work_t *work)
{
	struct cp_api_lease *lease = work->data;
	sn_cleanup(sn_closep) int fd = -1;
	char text[EVENTS_BYTES];
	ssize_t n;

	fd = open(lease->events_path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0) {
		lease->is_empty = errno == ENOENT || errno == ENODEV;
		return;
	}
	text[n] = '\0';
	lease->is_empty = strstr(text, "populated 0");
}

static void step(uv_timer_t *timer);

static void step_later(struct cp_api_lease *lease)
{
	(void)uv_timer_start(&lease->timer, step, AGAIN_MS, 0);
}

static void removed(void *userdata, const struct cp_attach_result *result)
{
	struct cp_api_lease *lease = userdata;
	bool is_gone = result->code == CP_ATTACH_CODE_OK ||
		       result->code == CP_ATTACH_CODE_NOT_FOUND;

	if (is_gone) {
		sn_log_change("audit method=Lease id=%s broken=1 result=ended",
			      lease->id);
		end(lease);
	} else {
		sn_log(SN_LOG_INFO,
		       "audit method=Lease id=%s broken=1 result=%s", lease->id,
		       result->diag.text);
		if (!lease->is_ended)
			step_later(lease);
	}
	put_back(lease);
}

static void remove_now(struct cp_api_lease *lease)
{
	if (cp_attach_remove(lease->api->options.manager, lease->id, removed,
			     lease) == 0)
		lease->n_users++;
	else
		step_later(lease);
}

static void looked(uv_work_t *work, int status)
{
	struct cp_api_lease *lease = work->data;

	if (!lease->is_ended && status == 0 && lease->is_empty)
		remove_now(lease);
	else if (!lease->is_ended)
		step_later(lease);
	put_back(lease);
}

static void remove_if_empty(struct cp_api_lease *lease)
{
	if (!lease->events_path[0]) {
		remove_now(lease);
		return;
	}
	lease->work.data = lease;
	if (uv_queue_work(lease->api->options.loop, &lease->work, look,
			  looked) == 0)
		lease->n_users++;
	else
		step_later(lease);
}

static void was_closed(void *userdata, const struct cp_attach_result *result)
{
	struct cp_api_lease *lease = userdata;

	lease->is_closed = result->code == CP_ATTACH_CODE_OK;
	if (!lease->is_ended)
		remove_if_empty(lease);
	put_back(lease);
}

/* Closing comes first: processes may live on without anybody to stop them.
 * While it fails they have the policy that they had, and it is tried again. */
static void step(uv_timer_t *timer)
{
	struct cp_api_lease *lease = timer->data;

	if (lease->is_closed)
		remove_if_empty(lease);
	else if (cp_attach_block_all(lease->api->options.manager, lease->id,
				     was_closed, lease) == 0)
		lease->n_users++;
	else
		step_later(lease);
}

static void break_lease(struct cp_api_lease *lease)
{
	const struct cp_attach_item *item =
		cp_attach_get(lease->api->options.manager, lease->id);
	struct cp_attach_info info;

	if (!item) {
		end(lease);
		return;
	}
	cp_attach_info_get(item, &info);
	if (info.type == SN_TARGET_CGROUP)
		(void)snprintf(lease->events_path, sizeof(lease->events_path),
			       "%s/cgroup.events", info.target);
	step(&lease->timer);
}

/* The stream. */

static void send_attached(struct cp_api_lease *lease)
{
	Sentinel__V1__LeaseResponse answer = SENTINEL__V1__LEASE_RESPONSE__INIT;
	struct cp_api_change_attached attached;

	cp_api_change_fill_attached(lease->api, lease->id, &attached);
	answer.attached = &attached.message;
	if (cp_rpc_call_send(lease->call, &answer.base) == 0)
		return;
	cp_rpc_call_set_data(lease->call, NULL);
	cp_rpc_call_fail(sn_steal(&lease->call), GRPC_STATUS_RESOURCE_EXHAUSTED,
			 "out of memory");
}

static void reply(struct cp_rpc_call *call,
		  const struct cp_attach_result *result)
{
	struct cp_api_lease *lease = cp_rpc_call_get_data(call);

	(void)result;
	send_attached(lease);
}

/* The pending change has the call while it runs. */
static void attached(void *userdata, const struct cp_attach_result *result)
{
	struct cp_api_lease *lease = userdata;
	struct cp_api_pending *pending = sn_steal(&lease->pending);
	bool is_done = result->code == CP_ATTACH_CODE_OK;

	if (is_done) {
		(void)snprintf(lease->id, sizeof(lease->id), "%s", result->id);
	} else if (lease->call) {
		cp_rpc_call_set_data(lease->call, NULL);
		lease->call = NULL;
	}
	cp_api_pending_done(pending, result);
	if (!is_done)
		end(lease);
	else if (!lease->call && !lease->is_ended)
		break_lease(lease);
	put_back(lease);
}

static struct cp_api_lease *new_lease(struct cp_api *api,
				      struct cp_rpc_call *call)
{
	struct cp_api_lease *lease;

	if (api->n_leases >= CP_API_LEASES_MAX) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "there are as many leases as there may be at "
				 "one time");
		return NULL;
	}
	lease = calloc(1, sizeof(*lease));
	if (!lease) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "out of memory");
		return NULL;
	}
	lease->api = api;
	lease->call = call;
	(void)uv_timer_init(api->options.loop, &lease->timer);
	lease->timer.data = lease;
	lease->n_users = 1;
	LIST_INSERT_HEAD(&api->leases, lease, link);
	api->n_leases++;
	return lease;
}

static void make(struct cp_api_lease *lease,
		 const Sentinel__V1__AttachRequest *message)
{
	struct cp_rpc_call *call = lease->call;
	struct cp_api_pending *pending;
	struct sn_diag diag = { 0 };
	int started = 0, r;

	pending = cp_api_pending_new(lease->api, call, "Lease", reply);
	if (!pending) {
		lease->call = NULL;
		end(lease);
		return;
	}
	lease->pending = pending;
	lease->n_users++;
	r = cp_api_change_begin_attach(pending, message, attached, lease,
				       &started, &diag);
	if (r == 0 && started == 0) {
		cp_rpc_call_set_data(call, lease);
		return;
	}
	lease->call = NULL;
	lease->pending = NULL;
	end(lease);
	put_back(lease);
	cp_rpc_call_set_data(call, NULL);
	if (r)
		cp_api_pending_drop(pending, r, &diag);
	else
		cp_api_pending_started(pending, started);
}

static struct cp_api_lease *find(struct cp_api *api, const char *id)
{
	struct cp_api_lease *lease;

	LIST_FOREACH(lease, &api->leases, link) {
		if (strcmp(lease->id, id) == 0)
			return lease;
	}
	return NULL;
}

static void take_over(struct cp_api *api, struct cp_rpc_call *call,
		      const char *id)
{
	struct cp_api_lease *lease = find(api, id);

	if (!cp_attach_get(api->options.manager, id)) {
		cp_rpc_call_fail(call, GRPC_STATUS_NOT_FOUND,
				 "there is no attachment with this id");
		return;
	}
	if (lease) {
		cp_rpc_call_fail(call, GRPC_STATUS_FAILED_PRECONDITION,
				 "another stream has the lease, or had it and "
				 "broke");
		return;
	}
	lease = new_lease(api, call);
	if (!lease)
		return;
	(void)snprintf(lease->id, sizeof(lease->id), "%s", id);
	cp_rpc_call_set_data(call, lease);
	send_attached(lease);
	if (!lease->call)
		end(lease);
}

void cp_api_lease_call(struct cp_rpc_call *call,
		       const ProtobufCMessage *message, void *user)
{
	const Sentinel__V1__LeaseRequest *request = (const void *)message;
	struct sn_diag diag = { 0 };
	struct cp_api *api = user;
	struct cp_api_lease *lease;

	if (!request->attach == !request->id[0]) {
		sn_diag_set(&diag, "attach",
			    "exactly one of attach and id must be stated");
		cp_api_pending_refuse(call, &diag);
	} else if (!request->attach) {
		if (cp_api_validate_id(request->id, &diag))
			cp_api_pending_refuse(call, &diag);
		else
			take_over(api, call, request->id);
	} else {
		lease = new_lease(api, call);
		if (lease)
			make(lease, request->attach);
	}
}

void cp_api_lease_cancel(struct cp_rpc_call *call, void *user)
{
	struct cp_api_lease *lease = cp_rpc_call_get_data(call);

	(void)user;
	if (!lease)
		return;
	lease->call = NULL;
	if (lease->pending)
		lease->pending->call = NULL;
	else if (!lease->is_ended)
		break_lease(lease);
}

static void ended(void *userdata, const struct cp_attach_item *item,
		  bool is_gone)
{
	struct cp_api *api = userdata;
	struct cp_attach_info info;
	struct cp_api_lease *lease;

	(void)is_gone;
	cp_attach_info_get(item, &info);
	lease = find(api, info.id);
	if (lease)
		refuse(lease, GRPC_STATUS_NOT_FOUND,
		       "the attachment has ended");
}

void cp_api_lease_init(struct cp_api *api)
{
	LIST_INIT(&api->leases);
	api->ends.userdata = api;
	api->ends.ended = ended;
	cp_attach_observe_add(api->options.manager, &api->ends);
}

void cp_api_lease_stop(struct cp_api *api)
{
	struct cp_api_lease *lease, *next;

	cp_attach_observe_remove(&api->ends);
	for (lease = LIST_FIRST(&api->leases); lease; lease = next) {
		next = LIST_NEXT(lease, link);
		if (lease->pending)
			lease->pending->call = NULL;
		refuse(lease, GRPC_STATUS_UNAVAILABLE,
		       "sentinel-cp is stopping");
	}
}
