/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/history/history.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "controld/attach/counters.h"
#include "controld/dns/server.h"

enum {
	SLOTS_PER_STEP = 64,
	MS_PER_S = 1000,
	NS_PER_MS = 1000000,
	HANDLES = 2,
};

struct cp_history {
	struct cp_history_options options;
	uv_timer_t timer; /* the next sample */
	uv_idle_t idle; /* while one is made */
	struct cp_attach_totals totals;
	uint32_t slot;
	uint64_t n_made; /* the newest is the one before it, modulo */
	unsigned int n_handles;
	void (*closed)(void *userdata);
	void *closed_userdata;
	struct cp_history_sample samples[CP_HISTORY_SAMPLES_MAX];
};

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * MS_PER_S + now.tv_nsec / NS_PER_MS;
}

static void put_packets(struct cp_history_sample *sample,
			const struct cp_attach_totals *totals)
{
	const struct sn_counters *counters = &totals->counters;

	for (int i = 0; i < 2; i++) {
		sample->n_allowed += counters->allowed_packets[i];
		sample->n_blocked += counters->blocked_packets[i];
	}
	sample->n_blocked += totals->reasons.count[SN_REASON_CALL_REFUSED];
}

static void put_names(struct cp_history_sample *sample,
		      const struct cp_dns_server *dns)
{
	struct cp_dns_server_status status;
	const struct cp_dns_resolve_stats *stats = &status.resolve;

	cp_dns_server_get_status(dns, &status);
	sample->n_names_allowed = stats->n_allowed;
	sample->n_names_blocked = stats->n_blocked;
	sample->n_names_failed = stats->n_failed_malformed +
				 stats->n_failed_upstream +
				 stats->n_failed_quota + stats->n_failed_learn +
				 stats->n_failed_busy + stats->n_failed_proxy;
}

static void finish(struct cp_history *history)
{
	struct cp_history_sample *sample =
		&history->samples[history->n_made % CP_HISTORY_SAMPLES_MAX];

	*sample = (struct cp_history_sample){ .time_ms = now_ms() };
	put_packets(sample, &history->totals);
	if (history->options.dns)
		put_names(sample, history->options.dns);
	history->n_made++;
}

static void step(uv_idle_t *idle)
{
	struct cp_history *history = idle->data;

	if (cp_attach_counters_add(history->options.manager, history->slot,
				   SLOTS_PER_STEP, &history->totals)) {
		history->slot += SLOTS_PER_STEP;
		return;
	}
	(void)uv_idle_stop(idle);
	/* Of what is not mapped there is nothing to tell. */
	if (history->slot > 0)
		finish(history);
}

static void begin(uv_timer_t *timer)
{
	struct cp_history *history = timer->data;

	history->totals = (struct cp_attach_totals){ 0 };
	history->slot = 0;
	(void)uv_idle_start(&history->idle, step);
}

int cp_history_new(struct cp_history **ret,
		   const struct cp_history_options *options)
{
	struct cp_history *history = calloc(1, sizeof(*history));

	if (!history)
		return -ENOMEM;
	history->options = *options;
	(void)uv_timer_init(options->loop, &history->timer);
	(void)uv_idle_init(options->loop, &history->idle);
	history->timer.data = history;
	history->idle.data = history;
	(void)uv_timer_start(&history->timer, begin, 0,
			     options->interval_ms ? options->interval_ms :
						    CP_HISTORY_INTERVAL_MS);
	*ret = history;
	return 0;
}

static void handle_closed(uv_handle_t *handle)
{
	struct cp_history *history = handle->data;

	if (++history->n_handles < HANDLES)
		return;
	history->closed(history->closed_userdata);
	free(history);
}

void cp_history_close(struct cp_history *history,
		      void (*closed)(void *userdata), void *userdata)
{
	history->closed = closed;
	history->closed_userdata = userdata;
	uv_close((uv_handle_t *)&history->timer, handle_closed);
	uv_close((uv_handle_t *)&history->idle, handle_closed);
}

size_t cp_history_count(const struct cp_history *history)
{
	return SN_MIN(history->n_made, (uint64_t)CP_HISTORY_SAMPLES_MAX);
}

const struct cp_history_sample *cp_history_get(const struct cp_history *history,
					       size_t index)
{
	size_t n = cp_history_count(history);

	assert(index < n);
	return &history->samples[(history->n_made - n + index) %
				 CP_HISTORY_SAMPLES_MAX];
}
