// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/lease.h"

#include <errno.h>
#include <grpc/status.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "controld/rpc/message.h"
#include "sentinel/v1/daemon.pb-c.h"

#define METHOD "/sentinel.v1.DaemonService/Lease"

enum {
	CONNECT_MS = 10000,
	AGAIN_MS = 250, /* between attempts while sentinel-cp is away */
};

static void set(struct cp_ctl_run_lease *lease,
		enum cp_ctl_run_lease_state state)
{
	(void)pthread_mutex_lock(&lease->lock);
	lease->state = state;
	(void)pthread_mutex_unlock(&lease->lock);
	(void)!write(lease->told, "", 1);
}

enum cp_ctl_run_lease_state cp_ctl_run_lease_get(struct cp_ctl_run_lease *lease)
{
	enum cp_ctl_run_lease_state state;

	(void)pthread_mutex_lock(&lease->lock);
	state = lease->state;
	(void)pthread_mutex_unlock(&lease->lock);
	return state;
}

static int send_request(struct cp_ctl_run_lease *lease,
			struct cp_rpc_client_stream *stream,
			struct cp_rpc_status *status)
{
	static char key[] = "run";
	Sentinel__V1__AttachRequest__MetadataEntry note, *notes = &note;
	Sentinel__V1__AttachRequest attach;
	Sentinel__V1__LeaseRequest request;
	int r;

	sentinel__v1__lease_request__init(&request);
	sentinel__v1__attach_request__init(&attach);
	if (lease->id[0]) {
		request.id = lease->id;
	} else {
		attach.cgroup_path = lease->cgroup_path;
		attach.policy = lease->policy;
		attach.audit = lease->policy && lease->policy->audit;
		sentinel__v1__attach_request__metadata_entry__init(&note);
		note.key = key;
		note.value = lease->command;
		attach.metadata = &notes;
		attach.n_metadata = 1;
		request.attach = &attach;
	}
	r = cp_rpc_client_stream_send(stream, &request.base, status);
	if (r == 0)
		cp_rpc_client_stream_close(stream);
	return r;
}

/* The one message, then the end of the stream, which *status tells of. */
static int read_all(struct cp_ctl_run_lease *lease,
		    struct cp_rpc_client_stream *stream,
		    struct cp_rpc_status *status)
{
	int r = 0;

	while (r == 0) {
		sn_cleanup(cp_rpc_message_freep)
			ProtobufCMessage *message = NULL;
		const Sentinel__V1__LeaseResponse *answer;

		r = cp_rpc_client_stream_read(stream, &message, status);
		answer = (const Sentinel__V1__LeaseResponse *)message;
		if (r || lease->id[0] || !answer->attached)
			continue;
		(void)snprintf(lease->id, sizeof(lease->id), "%s",
			       answer->attached->id);
		set(lease, CP_CTL_RUN_LEASE_HELD);
	}
	return r;
}

static int hold_once(struct cp_ctl_run_lease *lease,
		     struct cp_rpc_status *status)
{
	sn_cleanup(cp_rpc_client_freep) struct cp_rpc_client *client = NULL;
	sn_cleanup(
		cp_rpc_client_stream_freep) struct cp_rpc_client_stream *stream =
		NULL;
	int r;

	r = cp_rpc_client_new(&client, lease->socket, CONNECT_MS, status);
	if (r == 0)
		r = cp_rpc_client_stream_new(
			&stream, client, METHOD,
			&sentinel__v1__lease_response__descriptor, 0);
	if (r == 0)
		r = send_request(lease, stream, status);
	return r ? r : read_all(lease, stream, status);
}

/* Is it only that sentinel-cp is away? The kernel enforces the policy then. */
static bool may_come_back(const struct cp_ctl_run_lease *lease, int r,
			  const struct cp_rpc_status *status)
{
	return lease->id[0] && r == CP_RPC_CLIENT_E_STATUS &&
	       status->code != GRPC_STATUS_NOT_FOUND &&
	       status->code != GRPC_STATUS_FAILED_PRECONDITION;
}

static void *hold(void *userdata)
{
	struct cp_ctl_run_lease *lease = userdata;
	struct cp_rpc_status status;
	int r;

	for (;;) {
		status = (struct cp_rpc_status){ .code = 0 };
		r = hold_once(lease, &status);
		if (!may_come_back(lease, r, &status))
			break;
		(void)poll(NULL, 0, AGAIN_MS);
	}
	(void)pthread_mutex_lock(&lease->lock);
	lease->error = r < 0 ? r : 0;
	lease->status = status;
	(void)pthread_mutex_unlock(&lease->lock);
	set(lease, CP_CTL_RUN_LEASE_ENDED);
	return NULL;
}

int cp_ctl_run_lease_start(struct cp_ctl_run_lease *lease)
{
	int r;

	lease->state = CP_CTL_RUN_LEASE_NONE;
	lease->id[0] = '\0';
	(void)pthread_mutex_init(&lease->lock, NULL);
	r = pthread_create(&lease->thread, NULL, hold, lease);
	return -r;
}
