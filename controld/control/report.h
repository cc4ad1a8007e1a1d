/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The events that tell the control plane how things are, made of what the
 * attachment manager knows. Each is put into a queue. */

#include "controld/attach/attach.h"
#include "controld/attach/observe.h"
#include "controld/control/queue.h"
#include "sentinel/v1/daemon.pb-c.h"

enum {
	/* Parts of SyncRequest and Heartbeat are ended at whichever comes
	 * first. */
	CP_CONTROL_REPORT_BYTES = 768 * 1024,
	CP_CONTROL_REPORT_ITEMS = 1024,
};

/* What a host says of itself; borrowed. */
struct cp_control_report_host {
	const char *daemon_id;
	const char *version;
	const struct cp_attach_pair *metadata;
	size_t n_metadata;
	bool sends_policy_events;
};

/* Packs one SyncRequest with the attachments after that id (NULL: from the
 * first) into *ret, from malloc(3). next: the id to go on after, empty after
 * the last part. */
int cp_control_report_sync(struct cp_attach *manager,
			   const struct cp_control_report_host *host,
			   const char *after, char next[CP_ATTACH_ID_CHARS + 1],
			   void **ret, size_t *size);

void cp_control_report_subscribed(struct cp_control_queue *queue,
				  const struct cp_attach_item *item);

enum cp_control_report_end {
	CP_CONTROL_REPORT_END_REMOVED,
	CP_CONTROL_REPORT_END_DETACHED,
	CP_CONTROL_REPORT_END_ERROR,
};
void cp_control_report_unsubscribed(struct cp_control_queue *queue,
				    const struct cp_attach_item *item,
				    enum cp_control_report_end reason,
				    const char *text);

/* status: as GetStatus answers it, NULL: not known. n_unsent: policy events
 * that were left out. Otherwise as cp_control_report_sync(), into the queue. */
void cp_control_report_heartbeat(struct cp_control_queue *queue,
				 struct cp_attach *manager,
				 const Sentinel__V1__GetStatusResponse *status,
				 uint64_t n_unsent, const char *after,
				 char next[CP_ATTACH_ID_CHARS + 1]);

struct cp_control_report_result {
	const char *command_id;
	const char *id;
	const char *error; /* NULL: success */
	uint64_t revision;
	bool is_repeated;
};
void cp_control_report_result(struct cp_control_queue *queue,
			      const struct cp_control_report_result *result);

void cp_control_report_blocked(struct cp_control_queue *queue,
			       const struct cp_attach_item *item,
			       const struct sn_event *event);
void cp_control_report_denied(struct cp_control_queue *queue,
			      const struct cp_attach_item *item,
			      const char *name, uint16_t type, bool audited);
