/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/control/report.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "controld/api/view.h"
#include "controld/attach/remote.h"
#include "sentinel/v1/control.pb-c.h"
#include "shared/tables.h"
#include "shared/util.h"

static int64_t wall_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#define EVENT_CASE(name) SENTINEL__V1__DAEMON_EVENT__EVENT_##name

/* A part of the attachments: those after one id, up to the limits. The pair
 * entries of Attachment and of Subscription are the same message by another
 * name, so the view's are packed as they are. */
struct part {
	struct cp_api_view *views[CP_CONTROL_REPORT_ITEMS];
	size_t n_views;
	size_t n_bytes;
};

static struct part *free_part(struct part *part)
{
	if (!part)
		return NULL;
	for (size_t i = 0; i < part->n_views; i++)
		(void)cp_api_view_free(part->views[i]);
	free(part);
	return NULL;
}
SN_DEFINE_CLEANUP(struct part, free_part)

static int collect(struct cp_attach *manager, const char *after,
		   struct part **ret, char next[CP_ATTACH_ID_CHARS + 1])
{
	sn_cleanup(free_partp) struct part *part = calloc(1, sizeof(*part));
	const struct cp_attach_item *item;
	struct cp_attach_info info;
	int r;

	if (!part)
		return sn_trace(-ENOMEM);
	next[0] = '\0';
	for (item = cp_attach_get_next(manager, after); item;
	     item = cp_attach_get_next(manager, info.id)) {
		cp_attach_info_get(item, &info);
		if (part->n_views == CP_CONTROL_REPORT_ITEMS ||
		    part->n_bytes > CP_CONTROL_REPORT_BYTES)
			break;
		r = cp_api_view_new(&part->views[part->n_views], &info);
		if (r < 0)
			return r;
		part->n_bytes += protobuf_c_message_get_packed_size(
			&part->views[part->n_views]->message.base);
		part->n_views++;
		(void)memcpy(next, info.id, CP_ATTACH_ID_CHARS + 1);
	}
	if (!item)
		next[0] = '\0';
	*ret = sn_steal(&part);
	return 0;
}

static void put_subscription(const struct cp_attach_item *item,
			     struct cp_api_view *view,
			     Sentinel__V1__Subscription *ret)
{
	const Sentinel__V1__Attachment *from = &view->message;

	sentinel__v1__subscription__init(ret);
	ret->id = from->id;
	ret->target = from->target;
	ret->type = from->type;
	ret->mode = from->mode;
	ret->audit = from->audit;
	ret->dns_mode = from->dns_mode;
	ret->dns_address = from->dns_address;
	ret->n_metadata = from->n_metadata;
	ret->metadata = (Sentinel__V1__Subscription__MetadataEntry **)(void *)
				from->metadata;
	ret->attached_at = from->attached_at;
	ret->applied_revision = cp_attach_remote_revision(item);
	ret->closed = cp_attach_remote_is_held(item);
}

/* The view's map entries carry the other message's descriptor, by which
 * protobuf-c packs them; the fields are the same. */
_Static_assert(sizeof(Sentinel__V1__Subscription__MetadataEntry) ==
		       sizeof(Sentinel__V1__Attachment__MetadataEntry),
	       "one layout");

static int pack(const Sentinel__V1__DaemonEvent *event, void **ret,
		size_t *size)
{
	*size = protobuf_c_message_get_packed_size(&event->base);
	*ret = malloc(*size);
	if (!*ret)
		return sn_trace(-ENOMEM);
	(void)protobuf_c_message_pack(&event->base, *ret);
	return 0;
}

static void put_host(const struct cp_control_report_host *host,
		     const struct utsname *system,
		     Sentinel__V1__SyncRequest *ret, char **capabilities)
{
	ret->daemon_id = sn_borrow(host->daemon_id);
	ret->version = sn_borrow(host->version);
	ret->hostname = sn_borrow(system->nodename);
	capabilities[ret->n_capabilities++] = sn_borrow("cidr");
	capabilities[ret->n_capabilities++] = sn_borrow("dns");
	capabilities[ret->n_capabilities++] = sn_borrow("dns-proxy");
	if (host->sends_policy_events)
		capabilities[ret->n_capabilities++] =
			sn_borrow("policy-events");
	ret->capabilities = capabilities;
}

static int put_metadata(const struct cp_control_report_host *host,
			Sentinel__V1__SyncRequest *ret,
			Sentinel__V1__SyncRequest__MetadataEntry *pairs)
{
	size_t n = host->n_metadata;
	Sentinel__V1__SyncRequest__MetadataEntry **pointers;

	pointers = calloc(n + 1, sizeof(*pointers));
	if (!pointers)
		return sn_trace(-ENOMEM);
	for (size_t i = 0; i < n; i++) {
		sentinel__v1__sync_request__metadata_entry__init(&pairs[i]);
		pairs[i].key = host->metadata[i].key;
		pairs[i].value = host->metadata[i].value;
		pointers[i] = &pairs[i];
	}
	ret->metadata = pointers;
	ret->n_metadata = n;
	return 0;
}

static int put_part(struct cp_attach *manager, struct part *part,
		    Sentinel__V1__SyncRequest *ret)
{
	Sentinel__V1__Subscription *all;
	size_t n = part->n_views;

	/* The pointers and, behind them, what they point to. */
	ret->attachments = malloc((n + 1) * (sizeof(void *) + sizeof(*all)));
	if (!ret->attachments)
		return sn_trace(-ENOMEM);
	all = (Sentinel__V1__Subscription *)(void *)&ret->attachments[n];
	for (size_t i = 0; i < n; i++) {
		put_subscription(cp_attach_get(manager,
					       part->views[i]->message.id),
				 part->views[i], &all[i]);
		ret->attachments[i] = &all[i];
	}
	ret->n_attachments = n;
	return 0;
}

int cp_control_report_sync(struct cp_attach *manager,
			   const struct cp_control_report_host *host,
			   const char *after, char next[CP_ATTACH_ID_CHARS + 1],
			   void **ret, size_t *size)
{
	sn_cleanup(free_partp) struct part *part = NULL;
	Sentinel__V1__SyncRequest__MetadataEntry pairs[CP_ATTACH_METADATA_MAX];
	Sentinel__V1__SyncRequest sync;
	Sentinel__V1__DaemonEvent event;
	char *capabilities[4];
	struct utsname system;
	int r;

	sentinel__v1__sync_request__init(&sync);
	sentinel__v1__daemon_event__init(&event);
	(void)uname(&system);
	put_host(host, &system, &sync, capabilities);
	r = put_metadata(host, &sync, pairs);
	if (r == 0)
		r = collect(manager, after, &part, next);
	if (r == 0)
		r = put_part(manager, part, &sync);
	if (r == 0) {
		sync.more = next[0] != '\0';
		event.event_case = EVENT_CASE(SYNC_REQUEST);
		event.sync_request = &sync;
		r = pack(&event, ret, size);
	}
	free(sync.metadata);
	free(sync.attachments);
	return r;
}

void cp_control_report_subscribed(struct cp_control_queue *queue,
				  const struct cp_attach_item *item)
{
	sn_cleanup(cp_api_view_freep) struct cp_api_view *view = NULL;
	Sentinel__V1__Subscribed subscribed;
	Sentinel__V1__DaemonEvent event;
	Sentinel__V1__Subscription attachment;
	struct cp_attach_info info;

	sentinel__v1__subscribed__init(&subscribed);
	sentinel__v1__daemon_event__init(&event);
	cp_attach_info_get(item, &info);
	if (cp_api_view_new(&view, &info) < 0)
		return;
	put_subscription(item, view, &attachment);
	subscribed.attachment = &attachment;
	event.event_case = EVENT_CASE(SUBSCRIBED);
	event.subscribed = &subscribed;
	cp_control_queue_put(queue, CP_CONTROL_CLASS_SUBSCRIPTION, &event.base);
}

void cp_control_report_unsubscribed(struct cp_control_queue *queue,
				    const struct cp_attach_item *item,
				    enum cp_control_report_end reason,
				    const char *text)
{
	static const Sentinel__V1__UnsubscribedReason reasons[] = {
		[CP_CONTROL_REPORT_END_REMOVED] =
			SENTINEL__V1__UNSUBSCRIBED_REASON__UNSUBSCRIBED_REASON_REMOVED,
		[CP_CONTROL_REPORT_END_DETACHED] =
			SENTINEL__V1__UNSUBSCRIBED_REASON__UNSUBSCRIBED_REASON_DETACHED,
		[CP_CONTROL_REPORT_END_ERROR] =
			SENTINEL__V1__UNSUBSCRIBED_REASON__UNSUBSCRIBED_REASON_ERROR,
	};
	Sentinel__V1__Unsubscribed unsubscribed;
	Sentinel__V1__DaemonEvent event;
	struct cp_attach_info info;

	sentinel__v1__unsubscribed__init(&unsubscribed);
	sentinel__v1__daemon_event__init(&event);
	cp_attach_info_get(item, &info);
	unsubscribed.id = sn_borrow(info.id);
	unsubscribed.reason = reasons[reason];
	unsubscribed.text = sn_borrow(text);
	event.event_case = EVENT_CASE(UNSUBSCRIBED);
	event.unsubscribed = &unsubscribed;
	cp_control_queue_put(queue, CP_CONTROL_CLASS_SUBSCRIPTION, &event.base);
}

static void put_health(const struct cp_attach_item *item,
		       const Sentinel__V1__Attachment *from,
		       Sentinel__V1__AttachmentHealth *ret)
{
	sentinel__v1__attachment_health__init(ret);
	ret->id = from->id;
	ret->state = from->state;
	ret->packets_allowed = from->packets_allowed;
	ret->packets_blocked = from->packets_blocked;
	ret->dns_allowed = from->dns_allowed;
	ret->dns_blocked = from->dns_blocked;
	ret->dns_failed = from->dns_failed;
	ret->applied_revision = cp_attach_remote_revision(item);
}

static void put_status(const Sentinel__V1__GetStatusResponse *status,
		       Sentinel__V1__Heartbeat *ret)
{
	if (!status)
		return;
	ret->tables = status->tables;
	ret->n_tables = status->n_tables;
	ret->warnings = status->warnings;
	ret->n_warnings = status->n_warnings;
	ret->uptime_seconds = status->uptime_seconds;
	ret->dataplane_connected = status->dataplane &&
				   status->dataplane->connected;
}

void cp_control_report_heartbeat(struct cp_control_queue *queue,
				 struct cp_attach *manager,
				 const Sentinel__V1__GetStatusResponse *status,
				 uint64_t n_unsent, const char *after,
				 char next[CP_ATTACH_ID_CHARS + 1])
{
	sn_cleanup(free_partp) struct part *part = NULL;
	sn_cleanup(sn_freep) Sentinel__V1__AttachmentHealth *all = NULL;
	Sentinel__V1__AttachmentHealth *pointers[CP_CONTROL_REPORT_ITEMS];
	Sentinel__V1__Heartbeat heartbeat;
	Sentinel__V1__DaemonEvent event;

	sentinel__v1__heartbeat__init(&heartbeat);
	sentinel__v1__daemon_event__init(&event);
	next[0] = '\0';
	all = calloc(CP_CONTROL_REPORT_ITEMS, sizeof(*all));
	if (!all || collect(manager, after, &part, next) < 0)
		return;
	for (size_t i = 0; i < part->n_views; i++) {
		put_health(cp_attach_get(manager, part->views[i]->message.id),
			   &part->views[i]->message, &all[i]);
		pointers[i] = &all[i];
	}
	heartbeat.time = wall_ms() / 1000;
	heartbeat.attachments = pointers;
	heartbeat.n_attachments = part->n_views;
	put_status(status, &heartbeat);
	heartbeat.events_dropped =
		cp_control_queue_dropped(queue, CP_CONTROL_CLASS_COUNT);
	heartbeat.policy_events_unsent = n_unsent;
	event.event_case = EVENT_CASE(HEARTBEAT);
	event.heartbeat = &heartbeat;
	cp_control_queue_put(queue, CP_CONTROL_CLASS_HEARTBEAT, &event.base);
}

void cp_control_report_result(struct cp_control_queue *queue,
			      const struct cp_control_report_result *result)
{
	Sentinel__V1__CommandResult message;
	Sentinel__V1__DaemonEvent event;

	sentinel__v1__command_result__init(&message);
	sentinel__v1__daemon_event__init(&event);
	message.command_id = sn_borrow(result->command_id);
	message.id = sn_borrow(result->id);
	message.success = !result->error;
	message.error = sn_borrow(result->error ? result->error : "");
	message.applied_revision = result->revision;
	message.repeated = result->is_repeated;
	event.event_case = EVENT_CASE(COMMAND_RESULT);
	event.command_result = &message;
	cp_control_queue_put(queue, CP_CONTROL_CLASS_RESULT, &event.base);
}

static void put_policy_event(struct cp_control_queue *queue,
			     const struct cp_attach_item *item,
			     Sentinel__V1__PolicyEvent *message)
{
	Sentinel__V1__DaemonEvent event;
	struct cp_attach_info info;

	sentinel__v1__daemon_event__init(&event);
	cp_attach_info_get(item, &info);
	message->id = sn_borrow(info.id);
	message->time_ms = wall_ms();
	event.event_case = EVENT_CASE(POLICY_EVENT);
	event.policy_event = message;
	cp_control_queue_put(queue, CP_CONTROL_CLASS_POLICY_EVENT, &event.base);
}

void cp_control_report_blocked(struct cp_control_queue *queue,
			       const struct cp_attach_item *item,
			       const struct sn_event *from)
{
	Sentinel__V1__PolicyEvent message;
	Sentinel__V1__BlockedFlow flow;
	char local[INET6_ADDRSTRLEN] = "", remote[INET6_ADDRSTRLEN] = "";
	int family = from->family == SN_FAMILY_IPV4 ? AF_INET : AF_INET6;

	sentinel__v1__policy_event__init(&message);
	sentinel__v1__blocked_flow__init(&flow);
	if (from->family) {
		(void)inet_ntop(family, from->local, local, sizeof(local));
		(void)inet_ntop(family, from->remote, remote, sizeof(remote));
	}
	flow.direction = from->direction == SN_EGRESS ?
				 SENTINEL__V1__DIRECTION__DIRECTION_EGRESS :
				 SENTINEL__V1__DIRECTION__DIRECTION_INGRESS;
	flow.protocol = from->protocol;
	flow.local_address = local;
	flow.remote_address = remote;
	flow.local_port = ntohs(from->local_port);
	flow.remote_port = ntohs(from->remote_port);
	flow.rule_id = from->rule_id;
	message.flow = &flow;
	message.reason = sn_borrow(sn_reasons_info[from->reason].name);
	message.audited = from->audit;
	put_policy_event(queue, item, &message);
}

void cp_control_report_denied(struct cp_control_queue *queue,
			      const struct cp_attach_item *item,
			      const char *name, uint16_t type, bool audited)
{
	Sentinel__V1__PolicyEvent message;

	sentinel__v1__policy_event__init(&message);
	message.reason = sn_borrow("dns-denied");
	message.audited = audited;
	message.name = sn_borrow(name);
	message.name_type = type;
	put_policy_event(queue, item, &message);
}
