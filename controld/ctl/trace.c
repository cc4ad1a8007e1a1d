/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/ctl/trace.h"

#include <inttypes.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "controld/ctl/output.h"
#include "controld/ctl/table.h"
#include "controld/rpc/message.h"
#include "sentinel/v1/runtime.pb-c.h"

enum { NS_PER_S = 1000000000, MS_PER_NS = 1000000 };

/* The ledger at the end. A signal ends a read that may wait for ever, so that
 * another thread waits for it, asks, prints and ends the process. */
struct ending {
	pthread_t thread;
	sigset_t signals;
	const struct cp_ctl_session *session;
	Sentinel__V1__GetStatusResponse *before;
};

/* Events. */

static const char *name_cause(Sentinel__V1__RuntimeCut cause,
			      char buffer[CP_CTL_OUTPUT_TEXT_BYTES])
{
	return cp_ctl_output_enum(&sentinel__v1__runtime_cut__descriptor,
				  (int)cause, buffer);
}

static void print_note(struct cp_ctl_session *session,
		       Sentinel__V1__RuntimeEvent *event)
{
	char cause[CP_CTL_OUTPUT_TEXT_BYTES];

	if (strcmp(event->event, "watching") == 0) {
		(void)fprintf(session->errors, "watching\n");
		(void)fflush(session->errors);
	} else if (strcmp(event->event, "waiting") == 0) {
		(void)fprintf(session->errors, "waiting: %s\n",
			      cp_ctl_table_clean(event->error));
		(void)fflush(session->errors);
	} else if (strcmp(event->event, "clock") == 0) {
		(void)fprintf(session->out,
			      "%-12s  CLOCK  set by %" PRId64 " ms\n", "",
			      event->clock_step_ns / MS_PER_NS);
	} else if (event->gap) {
		(void)fprintf(session->out, "%-12s  GAP  %" PRIu64 " %s (%s)\n",
			      "", event->gap,
			      event->gap_event[0] ?
				      cp_ctl_table_clean(event->gap_event) :
				      "events",
			      name_cause(event->gap_cause, cause));
	} else {
		(void)fprintf(session->out,
			      "%-12s  GAP  an unknown number of events (%s)\n",
			      "", name_cause(event->gap_cause, cause));
	}
}

static void print_object(FILE *out, Sentinel__V1__RuntimeEvent *event)
{
	const char *path = event->file ? cp_ctl_table_clean(event->file->path) :
					 "";

	(void)fputs(path, out);
	if (event->file && event->file->deleted)
		(void)fputs(" (deleted)", out);
	if (event->target && event->target->path[0])
		(void)fprintf(out, "%s%s", *path ? " -> " : "",
			      cp_ctl_table_clean(event->target->path));
	if (event->remote && event->remote->address[0])
		(void)fprintf(out, "%s port %" PRIu32, event->remote->address,
			      event->remote->port);
	else if (event->local && event->local->address[0])
		(void)fprintf(out, "%s port %" PRIu32, event->local->address,
			      event->local->port);
	if (event->other_pid)
		(void)fprintf(out, "pid %" PRIu32, event->other_pid);
	for (size_t i = 0; i < event->n_arguments; i++)
		(void)fprintf(out, " %s",
			      cp_ctl_table_clean(event->arguments[i]));
}

static const char *format_result(const Sentinel__V1__RuntimeEvent *event,
				 char ret[CP_CTL_OUTPUT_TEXT_BYTES])
{
	if (event->error[0])
		(void)snprintf(ret, CP_CTL_OUTPUT_TEXT_BYTES, "%s",
			       event->error);
	else if (event->summed)
		(void)snprintf(ret, CP_CTL_OUTPUT_TEXT_BYTES,
			       "%" PRIu64 "x %" PRIu64 " B", event->count,
			       event->bytes);
	else
		(void)snprintf(ret, CP_CTL_OUTPUT_TEXT_BYTES, "%" PRId64,
			       event->result);
	return ret;
}

/* Rows come one by one, so that the widths are given. */
static const char header[] =
	"TIME          EVENT          PROCESS                      UID  "
	"RESULT        OBJECT";

static void print_row(struct cp_ctl_session *session, ProtobufCMessage *message)
{
	Sentinel__V1__RuntimeEvent *event = (void *)message;
	char time[CP_CTL_OUTPUT_TEXT_BYTES], result[CP_CTL_OUTPUT_TEXT_BYTES];
	char process[CP_CTL_OUTPUT_TEXT_BYTES];
	const char *clock;

	if (!event->process) {
		print_note(session, event);
		return;
	}
	(void)cp_ctl_output_time(event->time_ns / NS_PER_S, time);
	clock = strrchr(time, ' ');
	(void)snprintf(process, sizeof(process), "%s[%" PRIu32 "]",
		       cp_ctl_table_clean(event->process->comm),
		       event->process->pid);
	(void)fprintf(session->out,
		      "%s.%03d  %-13s  %-24s  %6" PRIu32 "  %-12s  ",
		      clock ? clock + 1 : time,
		      (int)(event->time_ns % NS_PER_S / MS_PER_NS),
		      cp_ctl_table_clean(event->event), process,
		      event->process->uid, format_result(event, result));
	print_object(session->out, event);
	(void)fputc('\n', session->out);
}

/* The ledger. */

static enum cp_ctl_exit ask(struct cp_ctl_session *session,
			    Sentinel__V1__GetStatusResponse **ret)
{
	ProtobufCMessage *answer = NULL;
	Sentinel__V1__GetStatusRequest request;
	enum cp_ctl_exit exit;

	sentinel__v1__get_status_request__init(&request);
	exit = cp_ctl_session_call(
		session, "GetStatus", &request.base,
		&sentinel__v1__get_status_response__descriptor, &answer);
	if (exit == CP_CTL_EXIT_OK)
		*ret = (void *)answer;
	return exit;
}

static const Sentinel__V1__RuntimeEventStatus *
find_row(const Sentinel__V1__GetStatusResponse *status, size_t index)
{
	if (!status->runtime || index >= status->runtime->n_events)
		return NULL;
	return status->runtime->events[index];
}

/* Of everybody's events, while this ran. */
static void print_ledger(FILE *out,
			 const Sentinel__V1__GetStatusResponse *before,
			 const Sentinel__V1__GetStatusResponse *after)
{
	const Sentinel__V1__RuntimeEventStatus *now, *old;

	(void)fprintf(out, "%-14s %10s %10s %10s %10s %10s %10s\n", "EVENT",
		      "GENERATED", "DELIVERED", "FILTERED", "BUDGET", "RING",
		      "MEMORY");
	for (size_t i = 0; (now = find_row(after, i)); i++) {
		old = find_row(before, i);
		if (!old || now->generated == old->generated)
			continue;
		(void)fprintf(out,
			      "%-14s %10" PRIu64 " %10" PRIu64 " %10" PRIu64
			      " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "\n",
			      *now->event ? now->event : "(processes)",
			      now->generated - old->generated,
			      now->delivered - old->delivered,
			      now->filtered - old->filtered,
			      now->over_budget - old->over_budget,
			      now->ring_full - old->ring_full,
			      now->failed - old->failed + now->lost -
				      old->lost);
	}
}

static void *end(void *userdata)
{
	struct ending *ending = userdata;
	struct cp_ctl_session session = *ending->session;
	Sentinel__V1__GetStatusResponse *after = NULL;
	bool is_free;
	int number;

	session.client = NULL;
	if (sigwait(&ending->signals, &number) != 0)
		return NULL;
	/* Whoever reads the events may have stopped. */
	is_free = ftrylockfile(session.out) == 0;
	if (ask(&session, &after) == CP_CTL_EXIT_OK)
		print_ledger(session.errors, ending->before, after);
	if (is_free)
		(void)fflush(session.out);
	(void)fflush(session.errors);
	_exit(CP_CTL_EXIT_OK);
}

/* Before the first connection: its threads take over what is blocked. */
static void block(struct ending *ending)
{
	(void)sigemptyset(&ending->signals);
	(void)sigaddset(&ending->signals, SIGINT);
	(void)sigaddset(&ending->signals, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &ending->signals, NULL);
}

/* The request. */

/* A directory of the hierarchy, as seen from its root. */
static const char *strip(const char *path, char *folder, size_t folder_bytes)
{
	struct statfs status;

	(void)snprintf(folder, folder_bytes, "%s", path);
	for (char *slash = strrchr(folder, '/'); slash;
	     slash = strrchr(folder, '/')) {
		size_t n = (size_t)(slash - folder);

		*slash = '\0';
		if (statfs(n ? folder : "/", &status) < 0 ||
		    status.f_type != CGROUP2_SUPER_MAGIC) {
			const char *next = strchr(path + n + 1, '/');

			return next && n + 1 < strlen(path) ? next : path;
		}
		if (n == 0)
			break;
	}
	return path;
}

enum cp_ctl_exit cp_ctl_trace_show(struct cp_ctl_session *session)
{
	sn_cleanup(
		cp_rpc_client_stream_freep) struct cp_rpc_client_stream *stream =
		NULL;
	struct cp_ctl_options *options = &session->options;
	struct ending ending = { .session = session };
	uint32_t uids[CP_CTL_OPTIONS_TEXTS_MAX];
	Sentinel__V1__WatchRuntimeRequest request;
	char folder[4096], *cgroup;
	enum cp_ctl_exit exit;

	sentinel__v1__watch_runtime_request__init(&request);
	request.events = options->events.at;
	request.n_events = options->events.n;
	request.path_prefixes = options->paths.at;
	request.n_path_prefixes = options->paths.n;
	request.comms = options->comms.at;
	request.n_comms = options->comms.n;
	for (size_t i = 0; i < options->uids.n; i++)
		uids[i] = (uint32_t)strtoul(options->uids.at[i], NULL, 10);
	request.uids = uids;
	request.n_uids = options->uids.n;
	if (options->cgroup_path) {
		const char *inside =
			strip(options->cgroup_path, folder, sizeof(folder));

		cgroup = (char *)(uintptr_t)inside;
		request.cgroups = &cgroup;
		request.n_cgroups = 1;
	}
	request.follow = true;
	request.from_now = !options->resume;
	if (options->resume)
		request.resume = (char *)(uintptr_t)options->resume;
	block(&ending);
	exit = ask(session, &ending.before);
	if (exit == CP_CTL_EXIT_OK)
		exit = cp_ctl_session_stream(
			session, "WatchRuntime", &request.base,
			&sentinel__v1__runtime_event__descriptor, &stream);
	if (exit == CP_CTL_EXIT_OK &&
	    pthread_create(&ending.thread, NULL, end, &ending) != 0)
		exit = cp_ctl_session_fail(session, CP_CTL_EXIT_FAILED,
					   "cannot start a thread");
	if (exit == CP_CTL_EXIT_OK) {
		exit = cp_ctl_output_stream(session, stream, header, print_row);
		(void)pthread_cancel(ending.thread);
		(void)pthread_join(ending.thread, NULL);
	}
	(void)cp_rpc_message_free(ending.before ? &ending.before->base : NULL);
	return exit;
}
