/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/events/events.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "controld/attach/dns.h"
#include "controld/attach/observe.h"
#include "controld/events/site.h"
#include "shared/log.h"

enum { MS_PER_S = 1000, NS_PER_MS = 1000000 };

struct cp_events {
	struct cp_events_options options;
	struct cp_attach_observer observer;
	struct cp_events_ring *ring;
	struct cp_events_sites sites;
	LIST_HEAD(, cp_events_watcher) watchers;
	struct cp_events_watcher *next_watcher; /* while they are woken */
	struct cp_events_stats stats;
	uint64_t run;
	int64_t lines_second;
	uint32_t n_lines; /* in that second */
	uint64_t n_unlogged;
};

static int64_t wall_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * MS_PER_S + now.tv_nsec / NS_PER_MS;
}

int64_t cp_events_now_ms(const struct cp_events *events)
{
	return events->options.wall_ms ? events->options.wall_ms() : wall_ms();
}

/* The journal. */

/* False: this second has had its lines. */
static bool may_log(struct cp_events *events, int64_t now_ms)
{
	int64_t second = now_ms / MS_PER_S;

	if (events->lines_second != second) {
		events->lines_second = second;
		events->n_lines = 0;
		if (events->n_unlogged)
			sn_log(SN_LOG_WARNING,
			       "events-unlogged n=%llu: over %d lines a second",
			       (unsigned long long)events->n_unlogged,
			       CP_EVENTS_LINES_PER_S);
		events->n_unlogged = 0;
	}
	if (events->n_lines >= CP_EVENTS_LINES_PER_S) {
		events->n_unlogged++;
		return false;
	}
	events->n_lines++;
	return true;
}

/* Names of processes are theirs to choose, a quote in them included. */
static void quote(const uint8_t *comm, char ret[SN_COMM_BYTES + 1])
{
	size_t n = 0;

	for (; n < SN_COMM_BYTES && comm[n]; n++)
		ret[n] = (char)(comm[n] == '\'' || comm[n] == '\\' ? '?' :
								     comm[n]);
	ret[n] = '\0';
}

static void log_name(const struct cp_events_record *record, bool with_names)
{
	char name[CP_DNS_NAME_TEXT_BYTES] = "";

	if (with_names && record->name.size > 0)
		(void)cp_dns_name_format(&record->name, name);
	sn_log(SN_LOG_INFO,
	       "blocked kind=name id=%s reason=dns-denied audited=%d "
	       "type=%u%s%s",
	       record->id, record->is_audited, record->type,
	       name[0] ? " name=" : "", name);
}

static void log_flow(const struct cp_events_record *record, bool with_names)
{
	const struct sn_event *flow = &record->flow;
	int family = flow->family == SN_FAMILY_IPV4 ? AF_INET : AF_INET6;
	char local[INET6_ADDRSTRLEN] = "-", remote[INET6_ADDRSTRLEN] = "-";
	char ends[2 * INET6_ADDRSTRLEN + CP_DNS_NAME_TEXT_BYTES + 64] = "";
	char name[CP_DNS_NAME_TEXT_BYTES] = "-", comm[SN_COMM_BYTES + 1];

	quote(flow->comm, comm);
	if (flow->family) {
		(void)inet_ntop(family, flow->local, local, sizeof(local));
		(void)inet_ntop(family, flow->remote, remote, sizeof(remote));
	}
	if (record->name.size > 0)
		(void)cp_dns_name_format(&record->name, name);
	if (with_names)
		(void)snprintf(ends, sizeof(ends),
			       " local=%s remote=%s name=%s comm='%s'", local,
			       remote, name, comm);
	sn_log(SN_LOG_INFO,
	       "blocked kind=flow id=%s reason=%s audited=%d direction=%s "
	       "protocol=%u local_port=%u remote_port=%u rule=%u pid=%u%s",
	       record->id, sn_reasons_info[flow->reason].name,
	       record->is_audited, flow->direction == SN_EGRESS ? "out" : "in",
	       flow->protocol, ntohs(flow->local_port),
	       ntohs(flow->remote_port), flow->rule_id, flow->tgid, ends);
}

static void log_record(struct cp_events *events,
		       const struct cp_events_record *record)
{
	bool with_names = events->options.logs_names;

	if (!events->options.logs || !may_log(events, record->time_ms))
		return;
	switch ((enum cp_events_kind)record->kind) {
	case CP_EVENTS_KIND_FLOW:
		log_flow(record, with_names);
		break;
	case CP_EVENTS_KIND_NAME:
		log_name(record, with_names);
		break;
	case CP_EVENTS_KIND_LOST:
		sn_log(SN_LOG_INFO,
		       "blocked kind=lost id=%s reason=rate n=%llu", record->id,
		       (unsigned long long)record->n_lost);
		break;
	}
}

/* Recording. */

static void wake(struct cp_events *events)
{
	struct cp_events_watcher *watcher = LIST_FIRST(&events->watchers);

	assert(!events->next_watcher);
	for (; watcher; watcher = events->next_watcher) {
		events->next_watcher = LIST_NEXT(watcher, link);
		watcher->woken(watcher);
	}
}

static void put(struct cp_events *events, const struct cp_events_record *record)
{
	cp_events_ring_put(events->ring, record);
	events->stats.n_recorded++;
	log_record(events, record);
}

static struct cp_events_record begin(const struct cp_events *events,
				     const struct cp_events_site *site,
				     enum cp_events_kind kind)
{
	struct cp_events_record record = {
		.kind = (uint8_t)kind,
		.time_ms = cp_events_now_ms(events),
	};

	(void)memcpy(record.id, site->id, sizeof(record.id));
	return record;
}

/* What was left out before comes first. */
static void tell_limited(struct cp_events *events, struct cp_events_site *site)
{
	struct cp_events_record record =
		begin(events, site, CP_EVENTS_KIND_LOST);

	if (site->n_limited == 0)
		return;
	record.n_lost = site->n_limited;
	site->n_limited = 0;
	put(events, &record);
}

static void record(struct cp_events *events, struct cp_events_site *site,
		   struct cp_events_record *one)
{
	if (events->options.redact_names)
		one->name.size = 0;
	/* Learning loses nothing to the rate: it has a bound of its own. */
	(void)cp_events_seen_put(site->seen, one);
	if (!cp_events_site_admit(site, events->options.rate, one->time_ms)) {
		events->stats.n_limited++;
		return;
	}
	tell_limited(events, site);
	put(events, one);
	wake(events);
}

/* The name by which the workload knows an address. */
static void find_name(const struct cp_attach_item *item,
		      const struct cp_events_site *site,
		      const struct sn_event *flow, struct cp_dns_name *ret)
{
	struct cp_dns_address address = { .family = flow->family };
	const struct cp_dns_name *name;
	struct cp_dns_learnt_row row;

	if (!flow->family || flow->direction != SN_EGRESS)
		return;
	(void)memcpy(address.bytes, flow->remote, sizeof(address.bytes));
	name = cp_events_names_get(site->names, &address);
	if (name)
		*ret = *name;
	else if (cp_attach_dns_get_name(item, &address, 0, false, &row) ||
		 cp_attach_dns_get_name(item, &address, 0, true, &row))
		*ret = row.name;
}

static void blocked(void *userdata, const struct cp_attach_item *item,
		    const struct sn_event *event)
{
	struct cp_events *events = userdata;
	struct cp_events_site *site = cp_events_site_need(
		&events->sites, cp_attach_info_get_id(item));
	uint64_t now_ns = cp_attach_now(events->options.manager);
	struct cp_events_record one;

	if (!site) {
		events->stats.n_limited++;
		return;
	}
	one = begin(events, site, CP_EVENTS_KIND_FLOW);
	/* Since then it waited in the kernel's buffer. */
	if (event->time < now_ns)
		one.time_ms -= (int64_t)((now_ns - event->time) / NS_PER_MS);
	one.is_audited = event->audit;
	one.flow = *event;
	find_name(item, site, event, &one.name);
	record(events, site, &one);
}

static void denied(void *userdata, const struct cp_attach_item *item,
		   const struct cp_dns_name *name, uint16_t type, bool audited)
{
	struct cp_events *events = userdata;
	struct cp_events_site *site = cp_events_site_need(
		&events->sites, cp_attach_info_get_id(item));
	struct cp_events_record one;

	if (!site) {
		events->stats.n_limited++;
		return;
	}
	one = begin(events, site, CP_EVENTS_KIND_NAME);
	one.is_audited = audited;
	one.type = type;
	one.name = *name;
	record(events, site, &one);
}

static void answered(void *userdata, const struct cp_attach_item *item,
		     const struct cp_dns_name *name,
		     const struct cp_dns_address *addresses, size_t n)
{
	struct cp_events *events = userdata;
	struct cp_events_site *site = cp_events_site_need(
		&events->sites, cp_attach_info_get_id(item));

	if (!site || events->options.redact_names)
		return;
	for (size_t i = 0; i < n; i++)
		(void)cp_events_names_put(site->names, &addresses[i], name);
}

static void ended(void *userdata, const struct cp_attach_item *item,
		  bool is_gone)
{
	struct cp_events *events = userdata;

	(void)is_gone;
	cp_events_site_drop(&events->sites, cp_attach_info_get_id(item));
}

/* The rest. */

int cp_events_new(struct cp_events **ret,
		  const struct cp_events_options *options)
{
	sn_cleanup(cp_events_freep) struct cp_events *events = NULL;
	int r;

	events = calloc(1, sizeof(*events));
	if (!events)
		return -ENOMEM;
	events->options = *options;
	if (getrandom(&events->run, sizeof(events->run), 0) !=
	    (ssize_t)sizeof(events->run))
		return sn_trace(-EIO);
	r = cp_events_ring_new(&events->ring, options->n_records);
	if (r < 0)
		return sn_trace(r);
	events->observer = (struct cp_attach_observer){
		.userdata = events,
		.ended = ended,
		.blocked = blocked,
		.denied = denied,
		.answered = answered,
	};
	cp_attach_observe_add(options->manager, &events->observer);
	*ret = sn_steal(&events);
	return 0;
}

struct cp_events *cp_events_free(struct cp_events *events)
{
	if (!events)
		return NULL;
	if (events->observer.userdata)
		cp_attach_observe_remove(&events->observer);
	cp_events_site_done(&events->sites);
	cp_events_ring_free(events->ring);
	free(events);
	return NULL;
}

void cp_events_reload(struct cp_events *events,
		      const struct cp_events_options *options)
{
	events->options.rate = options->rate;
	events->options.redact_names = options->redact_names;
	events->options.logs = options->logs;
	events->options.logs_names = options->logs_names;
}

const struct cp_events_ring *cp_events_get_ring(const struct cp_events *events)
{
	return events->ring;
}

uint64_t cp_events_get_run(const struct cp_events *events)
{
	return events->run;
}

void cp_events_get_stats(const struct cp_events *events,
			 struct cp_events_stats *ret)
{
	*ret = events->stats;
	ret->n_held = cp_events_ring_next(events->ring) -
		      cp_events_ring_oldest(events->ring);
	ret->n_held_max = events->options.n_records;
}

const struct cp_events_seen *cp_events_get_seen(const struct cp_events *events,
						const char *id)
{
	const struct cp_events_site *site =
		cp_events_site_get(&events->sites, id);

	return site ? site->seen : NULL;
}

void cp_events_watch(struct cp_events *events,
		     struct cp_events_watcher *watcher)
{
	LIST_INSERT_HEAD(&events->watchers, watcher, link);
	events->stats.n_watchers++;
}

void cp_events_unwatch(struct cp_events *events,
		       struct cp_events_watcher *watcher)
{
	if (events->next_watcher == watcher)
		events->next_watcher = LIST_NEXT(watcher, link);
	LIST_REMOVE(watcher, link);
	events->stats.n_watchers--;
}

void cp_events_count_missed(struct cp_events *events, uint64_t n)
{
	events->stats.n_missed += n;
}
