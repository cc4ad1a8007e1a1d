/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/finding.h"

#include <grpc/status.h>
#include <stdlib.h>
#include <string.h>

#include "controld/api/cursor.h"
#include "controld/api/pending.h"
#include "controld/api/validate.h"
#include "controld/findings/findings.h"
#include "controld/rpc/message.h"

struct cp_api_finding {
	LIST_ENTRY(cp_api_finding) link;
	struct cp_api *api;
	struct cp_rpc_call *call;
	struct cp_findings_watcher watcher;
	Sentinel__V1__WatchFindingsRequest *request;
	struct cp_runtime_position next; /* in the store */
	bool is_restarted; /* to be told */
	bool is_sending;
};

static void send_gap(struct cp_api_finding *watch, uint64_t n)
{
	Sentinel__V1__Finding message;

	sentinel__v1__finding__init(&message);
	message.is_gap = true;
	message.gap = n;
	watch->is_sending = cp_rpc_call_send(watch->call, &message.base) == 0;
}

static bool has(char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static bool passes(const Sentinel__V1__WatchFindingsRequest *request,
		   const Sentinel__V1__Finding *finding)
{
	if (request->n_rules == 0 && request->n_detectors == 0)
		return true;
	return has(request->rules, request->n_rules, finding->rule) ||
	       has(request->detectors, request->n_detectors, finding->detector);
}

/* A gap has no severity, and is told whatever the least one is. */
static void send_stored(struct cp_api_finding *watch,
			const struct cp_runtime_stored *stored)
{
	const Sentinel__V1__WatchFindingsRequest *request = watch->request;
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message = NULL;
	struct sn_diag diag = { .text = "" };
	Sentinel__V1__Finding *finding;
	char cursor[CP_API_CURSOR_BYTES];
	char *before;

	if (stored->kind && stored->kind < request->min_severity)
		return;
	if (cp_rpc_message_unpack(&sentinel__v1__finding__descriptor,
				  stored->bytes, stored->size, &message,
				  &diag) != 0)
		return;
	finding = (void *)message;
	if (!passes(request, finding))
		return;
	(void)cp_api_cursor_write(
		cp_findings_get_run(watch->api->options.findings), &watch->next,
		cursor);
	before = finding->cursor;
	finding->cursor = cursor;
	watch->is_sending = cp_rpc_call_send(watch->call, message) == 0;
	finding->cursor = before;
}

static void free_watch(struct cp_api_finding *watch)
{
	(void)cp_rpc_message_free(&watch->request->base);
	free(watch);
}

static void release(struct cp_api_finding *watch)
{
	struct cp_api *api = watch->api;

	cp_findings_unwatch(api->options.findings, &watch->watcher);
	LIST_REMOVE(watch, link);
	api->n_findings--;
	free_watch(watch);
}

/* Returns whether there is nothing more for now. */
static bool send_next(struct cp_api_finding *watch)
{
	struct cp_findings *findings = watch->api->options.findings;
	const struct cp_runtime_stored *stored;
	uint64_t n_lost;

	if (watch->is_restarted) {
		watch->is_restarted = false;
		send_gap(watch, 0);
		return false;
	}
	switch (cp_runtime_store_read(cp_findings_get_store(findings),
				      &watch->next, &stored, &n_lost)) {
	case 0:
		send_stored(watch, stored);
		return false;
	case CP_RUNTIME_STORE_E_LOST:
		cp_findings_count_missed(findings, n_lost);
		send_gap(watch, n_lost);
		return false;
	default:
		return true;
	}
}

/* Sends what comes next, if nothing is on its way. The watch may be gone
 * afterwards. */
static void advance(struct cp_api_finding *watch)
{
	struct cp_rpc_call *call = watch->call;

	while (!watch->is_sending) {
		if (!send_next(watch))
			continue;
		if (watch->request->follow)
			return;
		release(watch);
		cp_rpc_call_finish(call);
		return;
	}
}

static void woken(struct cp_findings_watcher *watcher)
{
	advance(sn_container_of(watcher, struct cp_api_finding, watcher));
}

void cp_api_finding_writable(struct cp_rpc_call *call, void *user)
{
	struct cp_api_finding *watch = cp_rpc_call_get_data(call);

	(void)user;
	watch->is_sending = false;
	advance(watch);
}

void cp_api_finding_cancel(struct cp_rpc_call *call, void *user)
{
	(void)user;
	release(cp_rpc_call_get_data(call));
}

void cp_api_finding_stop(struct cp_api *api)
{
	struct cp_api_finding *watch;

	while ((watch = LIST_FIRST(&api->findings))) {
		struct cp_rpc_call *call = watch->call;

		release(watch);
		cp_rpc_call_fail(call, GRPC_STATUS_UNAVAILABLE,
				 "sentinel-cp is stopping");
	}
}

/* Where to begin. */
static int begin(struct cp_api_finding *watch, struct sn_diag *diag)
{
	const struct cp_findings *findings = watch->api->options.findings;
	const struct cp_runtime_store *store = cp_findings_get_store(findings);
	const char *resume = watch->request->resume;
	struct cp_runtime_position position;
	uint64_t run;

	watch->next = watch->request->from_now ? cp_runtime_store_next(store) :
						 cp_runtime_store_oldest(store);
	if (!resume[0])
		return 0;
	if (!cp_api_cursor_read(resume, &run, &position)) {
		sn_diag_set(diag, "resume", "is not the cursor of a finding");
		return CP_API_VALIDATE_E_INVALID;
	}
	watch->is_restarted = run != cp_findings_get_run(findings) ||
			      position.number >
				      cp_runtime_store_next(store).number;
	if (!watch->is_restarted)
		watch->next = cp_runtime_store_find(store, position);
	return 0;
}

void cp_api_finding_call(struct cp_rpc_call *call,
			 const ProtobufCMessage *message, void *user)
{
	struct cp_api *api = user;
	struct cp_api_finding *watch = NULL;
	struct sn_diag diag = { .text = "" };

	(void)message;
	if (!api->options.findings) {
		cp_rpc_call_fail(call, GRPC_STATUS_FAILED_PRECONDITION,
				 "there are no findings");
		return;
	}
	if (api->n_findings < CP_API_WATCHES_MAX)
		watch = calloc(1, sizeof(*watch));
	if (!watch) {
		cp_rpc_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
				 "too many WatchFindings calls at one time");
		return;
	}
	watch->api = api;
	watch->call = call;
	watch->watcher.woken = woken;
	watch->request = (void *)cp_rpc_call_take_message(call);
	if (begin(watch, &diag) != 0) {
		cp_api_pending_refuse(call, &diag);
		free_watch(watch);
		return;
	}
	cp_rpc_call_set_data(call, watch);
	LIST_INSERT_HEAD(&api->findings, watch, link);
	api->n_findings++;
	cp_findings_watch(api->options.findings, &watch->watcher);
	advance(watch);
}
