// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controld/ctl/apply.h"
#include "controld/ctl/run/bound.h"
#include "controld/ctl/run/channel.h"
#include "controld/ctl/run/descriptors.h"
#include "controld/ctl/run/lease.h"
#include "controld/ctl/run/report.h"
#include "controld/rpc/message.h"
#include "sentinel/v1/daemon.pb-c.h"

enum {
	GATHER_MS = 15000, /* less than the least life of what a name opens */
};

struct supervisor {
	struct cp_ctl_session session; /* writes to the streams below */
	struct cp_ctl_run_group group;
	struct cp_ctl_run_lease lease;
	struct cp_ctl_run_bound bound;
	Sentinel__V1__Policy *policy;
	struct cp_ctl_run_report *report;
	char *text; /* what session.errors and session.out have gathered */
	size_t size;
	int channel;
	int told; /* reading end of lease.told */
	bool is_ready; /* the command may run */
	bool is_ended; /* nothing is attached any more */
};

/* Everything that was written since the last call; NONE drops it. */
static void send_text(struct supervisor *own, enum cp_ctl_run_channel_kind kind)
{
	(void)fclose(own->session.out);
	if (kind != CP_CTL_RUN_CHANNEL_NONE && own->text && *own->text)
		(void)cp_ctl_run_channel_send(own->channel, kind, own->text);
	free(own->text);
	own->text = NULL;
	own->session.out = open_memstream(&own->text, &own->size);
	if (!own->session.out)
		_exit(1);
	own->session.errors = own->session.out;
}

static void detach(struct supervisor *own)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;
	Sentinel__V1__DetachRequest request;

	sentinel__v1__detach_request__init(&request);
	request.id = own->lease.id;
	(void)cp_ctl_session_call(&own->session, "Detach", &request.base,
				  &sentinel__v1__detach_response__descriptor,
				  &answer);
}

static __attribute__((noreturn)) void finish(struct supervisor *own)
{
	int n_left = cp_ctl_run_group_kill(&own->group);
	int r;

	if (n_left < 0)
		(void)cp_ctl_session_fail_errno(
			&own->session, "what is left cannot be killed", n_left);
	if (own->is_ready && !own->is_ended) {
		(void)cp_ctl_run_report_print(own->report, &own->session,
					      &own->bound, own->lease.id,
					      SN_MAX(n_left, 0));
		/* What is alive stays under its policy. */
		if (n_left >= 0)
			detach(own);
	}
	r = cp_ctl_run_group_remove(&own->group);
	if (r < 0)
		(void)cp_ctl_session_fail_errno(
			&own->session, "the cgroup cannot be removed", r);
	send_text(own, CP_CTL_RUN_CHANNEL_REPORT);
	(void)cp_ctl_run_channel_send(own->channel, CP_CTL_RUN_CHANNEL_END, "");
	/* The thread of the lease ends with us. */
	_exit(0);
}

/* The lease was refused, or has ended although nobody here ended it. */
static void tell_end(struct supervisor *own)
{
	struct cp_ctl_run_lease *lease = &own->lease;

	own->is_ended = true;
	if (own->is_ready)
		(void)cp_ctl_session_fail(
			&own->session, CP_CTL_EXIT_FAILED,
			"the attachment was ended by somebody else, so the "
			"command was killed");
	else if (lease->error)
		(void)cp_ctl_session_fail_errno(&own->session, "Lease",
						lease->error);
	else
		(void)cp_ctl_session_fail_status(&own->session, &lease->status);
	send_text(own, CP_CTL_RUN_CHANNEL_ERROR);
	finish(own);
}

/* A policy that is too large for one message follows now; until it is in force
 * everything is closed. */
static void become_ready(struct supervisor *own)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *answer = NULL;

	if (!own->lease.policy &&
	    cp_ctl_apply_stream(&own->session, own->lease.id, own->policy,
				false, &answer)) {
		detach(own);
		own->is_ended = true;
		send_text(own, CP_CTL_RUN_CHANNEL_ERROR);
		finish(own);
	}
	own->is_ready = true;
	(void)cp_ctl_run_channel_send(own->channel, CP_CTL_RUN_CHANNEL_READY,
				      own->lease.id);
}

static void look_at_lease(struct supervisor *own)
{
	char byte;

	(void)!read(own->told, &byte, 1);
	switch (cp_ctl_run_lease_get(&own->lease)) {
	case CP_CTL_RUN_LEASE_NONE:
		break;
	case CP_CTL_RUN_LEASE_HELD:
		if (!own->is_ready)
			become_ready(own);
		break;
	case CP_CTL_RUN_LEASE_ENDED:
		tell_end(own);
		break;
	}
}

/* What cannot be gathered now may be at the end; that is no one's concern. */
static void gather(struct supervisor *own)
{
	if (!own->is_ready)
		return;
	(void)cp_ctl_run_report_gather(own->report, &own->session,
				       own->lease.id);
	send_text(own, CP_CTL_RUN_CHANNEL_NONE);
}

/* What is not read before the end would come back as a reset connection, and
 * take our report with it. */
static __attribute__((noreturn)) void mind(struct supervisor *own)
{
	struct cp_ctl_run_channel_record record = { .text = "" };

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = own->channel, .events = POLLIN },
			{ .fd = own->told, .events = POLLIN },
		};
		int n = poll(fds, SN_ARRAY_SIZE(fds), GATHER_MS);

		if (n == 0)
			gather(own);
		if (n > 0 && fds[1].revents)
			look_at_lease(own);
		/* The command has ended, or sentinelctl has. */
		if (n > 0 && fds[0].revents) {
			(void)cp_ctl_run_channel_receive(own->channel, &record);
			finish(own);
		}
	}
}

static void set_signals(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE,
				       SIGTERM };
	sigset_t none;

	for (size_t i = 0; i < SN_ARRAY_SIZE(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The first life of the new process. */
static __attribute__((noreturn)) void begin(struct supervisor *own,
					    char *command)
{
	int pipes[2];
	size_t size = sentinel__v1__policy__get_packed_size(own->policy);

	set_signals();
	(void)setsid();
	cp_ctl_run_descriptors_close(own->channel);
	own->group.fd =
		open(own->group.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	own->session.out = open_memstream(&own->text, &own->size);
	own->session.errors = own->session.out;
	if (own->group.fd < 0 || !own->session.out ||
	    cp_ctl_run_descriptors_null() < 0 ||
	    cp_ctl_run_report_new(&own->report) < 0 ||
	    pipe2(pipes, O_CLOEXEC) < 0 ||
	    cp_ctl_run_bound_start(&own->bound, &own->group,
				   own->session.options.pids_limit) < 0)
		_exit(1);
	own->told = pipes[0];
	own->lease.told = pipes[1];
	own->lease.socket = own->session.options.socket;
	own->lease.policy = size > CP_CTL_APPLY_UNARY_MAX_BYTES ? NULL :
								  own->policy;
	own->lease.cgroup_path = own->group.path;
	own->lease.command = command;
	if (cp_ctl_run_lease_start(&own->lease) < 0)
		_exit(1);
	mind(own);
}

int cp_ctl_run_supervisor_start(const struct cp_ctl_session *session,
				const struct cp_ctl_run_group *group,
				Sentinel__V1__Policy *policy, char *command,
				pid_t *pid, int *channel)
{
	struct supervisor own = {
		.session = *session,
		.group = *group,
		.policy = policy,
	};
	int ends[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	child = fork();
	if (child == 0) {
		own.channel = ends[1];
		begin(&own, command);
	}
	(void)close(ends[1]);
	if (child < 0) {
		int r = -errno;

		(void)close(ends[0]);
		return r;
	}
	*pid = child;
	*channel = ends[0];
	return 0;
}
