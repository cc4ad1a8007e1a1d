/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/counters.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "controld/attach/item.h"
#include "shared/log.h"
#include "shared/ring.h"

enum {
	EVENTS_PER_TURN = 256, /* records that one turn of the loop reads */
	STABLE_TRIES = 8,
	N_FDS = 3,
};

struct cp_attach_counters {
	struct cp_attach *manager;
	const struct sn_counters *counters; /* slot * n_cpus + cpu */
	const struct sn_reasons *reasons; /* slot */
	size_t counters_bytes;
	size_t reasons_bytes;
	uint32_t n_slots;
	uint32_t n_cpus;
	struct sn_ring *ring;
	int events_fd;
	uv_poll_t poll;
	bool has_poll;
};

static struct cp_attach_counters *
free_counters(struct cp_attach_counters *counters)
{
	if (!counters)
		return NULL;
	if (counters->counters)
		(void)munmap((void *)(uintptr_t)counters->counters,
			     counters->counters_bytes);
	if (counters->reasons)
		(void)munmap((void *)(uintptr_t)counters->reasons,
			     counters->reasons_bytes);
	sn_ring_free(counters->ring);
	sn_closep(&counters->events_fd);
	free(counters);
	return NULL;
}
SN_DEFINE_CLEANUP(struct cp_attach_counters, free_counters)

static const void *map(int fd, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void take_event(void *userdata, const void *record, size_t size)
{
	const struct cp_attach *manager = userdata;
	const struct cp_attach_item *item;
	struct sn_event event;

	if (size < sizeof(event))
		return;
	memcpy(&event, record, sizeof(event));
	if (event.reason >= SN_REASON_COUNT)
		return;
	item = cp_attach_item_by_slot(manager, event.slot);
	if (item && !item->is_new)
		cp_attach_observe_blocked(item, &event);
	else
		sn_log(SN_LOG_DEBUG, "blocked slot=%u reason=%s", event.slot,
		       sn_reasons_info[event.reason].name);
}

static void readable(uv_poll_t *poll, int status, int events)
{
	struct cp_attach_counters *counters = poll->data;
	unsigned int n = 0;

	(void)events;
	if (status < 0 || sn_ring_read(counters->ring, EVENTS_PER_TURN, &n,
				       take_event, counters->manager) < 0)
		sn_log(SN_LOG_WARNING, "events error=ring: some were dropped");
}

/* Without events there is less to be told, and nothing else. */
static int poll_events(struct cp_attach_counters *counters, int fd,
		       uint32_t bytes)
{
	int r;

	r = sn_ring_new(&counters->ring, fd, bytes);
	if (r < 0)
		return r;
	counters->events_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (counters->events_fd < 0)
		return -errno;
	r = uv_poll_init(counters->manager->options.loop, &counters->poll,
			 counters->events_fd);
	if (r < 0)
		return r;
	counters->manager->n_handles++;
	counters->has_poll = true;
	counters->poll.data = counters;
	return uv_poll_start(&counters->poll, UV_READABLE, readable);
}

int cp_attach_counters_new(struct cp_attach_counters **ret,
			   struct cp_attach *manager,
			   const struct cp_link_answer *answer)
{
	sn_cleanup(free_countersp) struct cp_attach_counters *counters = NULL;
	struct sn_ipc_fds_answer body;
	int r;

	memcpy(&body, answer->body, sizeof(body));
	if (answer->n_fds < N_FDS || body.n_slots == 0 || body.n_cpus == 0 ||
	    body.n_slots > UINT16_MAX + 1U || body.n_cpus > 4096)
		return -EPROTO;
	counters = calloc(1, sizeof(*counters));
	if (!counters)
		return -ENOMEM;
	counters->manager = manager;
	counters->events_fd = -1;
	counters->n_slots = body.n_slots;
	counters->n_cpus = body.n_cpus;
	counters->counters_bytes =
		(size_t)body.n_slots * body.n_cpus * sizeof(struct sn_counters);
	counters->reasons_bytes =
		(size_t)body.n_slots * sizeof(struct sn_reasons);
	counters->counters = map(answer->fds[0], counters->counters_bytes);
	counters->reasons = map(answer->fds[1], counters->reasons_bytes);
	if (!counters->counters || !counters->reasons)
		return -errno;
	r = poll_events(counters, answer->fds[2], body.events_bytes);
	if (r < 0)
		sn_log(SN_LOG_WARNING, "events error=%s: there are none",
		       strerror(-r));
	*ret = sn_steal(&counters);
	return 0;
}

static void poll_closed(uv_handle_t *handle)
{
	struct cp_attach_counters *counters = handle->data;
	struct cp_attach *manager = counters->manager;

	free_counters(counters);
	cp_attach_item_handle_closed(manager);
}

void cp_attach_counters_close(struct cp_attach_counters *counters)
{
	if (counters && !counters->has_poll)
		free_counters(counters);
	else if (counters)
		uv_close((uv_handle_t *)&counters->poll, poll_closed);
}

static void sum(const struct cp_attach_counters *counters, uint32_t slot,
		struct cp_attach_totals *ret)
{
	const struct sn_counters *of_slot =
		&counters->counters[(size_t)slot * counters->n_cpus];

	*ret = (struct cp_attach_totals){ 0 };
	for (uint32_t cpu = 0; cpu < counters->n_cpus; cpu++) {
		const volatile struct sn_counters *one = &of_slot[cpu];

		for (int i = 0; i < 2; i++) {
			ret->counters.allowed_packets[i] +=
				one->allowed_packets[i];
			ret->counters.allowed_bytes[i] += one->allowed_bytes[i];
			ret->counters.blocked_packets[i] +=
				one->blocked_packets[i];
			ret->counters.blocked_bytes[i] += one->blocked_bytes[i];
		}
	}
	for (int i = 0; i < SN_REASON_COUNT; i++)
		ret->reasons.count[i] =
			((const volatile struct sn_reasons *)&counters
				 ->reasons[slot])
				->count[i];
}

/* Counters and reasons of one moment, if the traffic leaves one: they are read
 * until two readings agree. */
static void read_slot(const struct cp_attach_counters *counters, uint32_t slot,
		      struct cp_attach_totals *ret)
{
	struct cp_attach_totals again;

	sum(counters, slot, ret);
	for (int i = 0; i < STABLE_TRIES; i++) {
		sum(counters, slot, &again);
		if (memcmp(&again, ret, sizeof(again)) == 0)
			return;
		*ret = again;
	}
}

/* a - b, number by number; all of a totals struct is uint64_t. */
static void subtract(const struct cp_attach_totals *a,
		     const struct cp_attach_totals *b,
		     struct cp_attach_totals *ret)
{
	uint64_t x[sizeof(*a) / 8], y[sizeof(*a) / 8];

	_Static_assert(sizeof(x) == sizeof(*a), "all uint64_t");
	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	for (size_t i = 0; i < SN_ARRAY_SIZE(x); i++)
		x[i] -= y[i];
	memcpy(ret, x, sizeof(x));
}

static bool is_mapped(const struct cp_attach_item *item)
{
	const struct cp_attach_counters *counters = item->manager->counters;

	return counters && item->slot > 0 && item->slot < counters->n_slots;
}

void cp_attach_counters_rebase(struct cp_attach_item *item)
{
	item->base = (struct cp_attach_totals){ 0 };
	if (is_mapped(item))
		read_slot(item->manager->counters, item->slot, &item->base);
}

bool cp_attach_counters_get(const struct cp_attach_item *item,
			    struct cp_attach_totals *ret)
{
	*ret = (struct cp_attach_totals){ 0 };
	if (!is_mapped(item))
		return false;
	read_slot(item->manager->counters, item->slot, ret);
	subtract(ret, &item->base, ret);
	return true;
}

bool cp_attach_counters_add(const struct cp_attach *manager, uint32_t first,
			    uint32_t n, struct cp_attach_totals *ret)
{
	const struct cp_attach_counters *counters = manager->counters;
	uint64_t all[sizeof(*ret) / 8], one[sizeof(*ret) / 8];
	struct cp_attach_totals of_slot;

	if (!counters || first >= counters->n_slots)
		return false;
	memcpy(all, ret, sizeof(all));
	for (uint32_t i = 0; i < n && first + i < counters->n_slots; i++) {
		sum(counters, first + i, &of_slot);
		memcpy(one, &of_slot, sizeof(one));
		for (size_t j = 0; j < SN_ARRAY_SIZE(all); j++)
			all[j] += one[j];
	}
	memcpy(ret, all, sizeof(all));
	return true;
}

uint64_t cp_attach_counters_sum_reason(const struct cp_attach *manager,
				       enum sn_reason reason)
{
	const struct cp_attach_counters *counters = manager->counters;
	uint64_t total = 0;

	for (uint32_t slot = 0; counters && slot < counters->n_slots; slot++)
		total += counters->reasons[slot].count[reason];
	return total;
}
