/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "controld/runtime/reader.h"
#include "controld/runtime/tell.h"
#include "controld/runtime/wanted.h"
#include "shared/log.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

enum {
	TICK_MS = 1000,
	N_READINGS = 8, /* of the clocks */
	N_FDS = 5, /* of FDS, at least, where there is a ring of ours */
};

/* The host's own tree, also where ours is another one. */
static const char *const mount_tables[] = { "/proc/1/mountinfo",
					    "/proc/self/mountinfo" };

static void measure(struct cp_runtime *runtime)
{
	struct cp_runtime_clock_reading readings[N_READINGS];
	int64_t step;

	for (size_t i = 0; i < SN_ARRAY_SIZE(readings); i++)
		cp_runtime_clock_read(&readings[i]);
	step = cp_runtime_clock_measure(&runtime->clock, readings,
					SN_ARRAY_SIZE(readings));
	if (step != 0)
		cp_runtime_tell_step(runtime, step);
}

/* What the kernel meant to tell and did not. */
static void tell_gaps(struct cp_runtime *runtime)
{
	struct cp_runtime_ledger_counts added;
	bool is_first = !runtime->is_ledger_read;
	uint64_t n_before = 0;

	cp_runtime_ledger_read(runtime->ledger, &added);
	for (size_t i = 0; !is_first && i < SN_RT_EVENT_SLOTS; i++) {
		const struct sn_rt_count *of = &added.of[i];

		if (of->over_budget)
			cp_runtime_tell_gap(
				runtime, i,
				SENTINEL__V1__RUNTIME_CUT__RUNTIME_CUT_BUDGET,
				of->over_budget);
		if (of->ring_full)
			cp_runtime_tell_gap(
				runtime, i,
				SENTINEL__V1__RUNTIME_CUT__RUNTIME_CUT_RING,
				of->ring_full);
		if (of->failed)
			cp_runtime_tell_gap(
				runtime, i,
				SENTINEL__V1__RUNTIME_CUT__RUNTIME_CUT_MEMORY,
				of->failed);
	}
	for (size_t i = 0; i < SN_RT_EVENT_SLOTS; i++)
		n_before += added.of[i].generated;
	if (is_first && n_before > 0)
		cp_runtime_tell_gap(
			runtime, SN_RT_EVENT_NONE,
			SENTINEL__V1__RUNTIME_CUT__RUNTIME_CUT_RESTART, 0);
	runtime->is_ledger_read = true;
}

static void put_wanted(struct cp_runtime *runtime)
{
	struct sn_diag diag = { .text = "" };
	char before[CP_RUNTIME_ERROR_BYTES];
	int r = cp_runtime_wanted_put(runtime, &diag);

	(void)memcpy(before, runtime->error, sizeof(before));
	runtime->error[0] = '\0';
	if (r < 0)
		(void)snprintf(runtime->error, sizeof(runtime->error), "%s",
			       strerror(-r));
	else if (r > 0)
		(void)snprintf(runtime->error, sizeof(runtime->error), "%s%s%s",
			       diag.field, diag.field[0] ? ": " : "",
			       diag.text[0] ? diag.text : "too many rules");
	if (r != 0 && strcmp(before, runtime->error) != 0)
		sn_log(SN_LOG_ERROR,
		       "runtime error='%s': the rules before stay",
		       runtime->error);
}

/* Of the rules, made or not. */
static enum cp_runtime_host_state get_state(const struct cp_runtime *runtime)
{
	enum cp_runtime_host_state state =
		cp_runtime_host_get_state(runtime->host);

	return runtime->error[0] && state != CP_RUNTIME_HOST_UNSUPPORTED ?
		       CP_RUNTIME_HOST_REFUSED :
		       state;
}

static const char *get_error(const struct cp_runtime *runtime)
{
	return runtime->error[0] ? runtime->error :
				   cp_runtime_host_error(runtime->host);
}

/* A watcher's rule that is refused would keep the configuration's out, and it
 * would wait for ever. Which of those that wait is too much nobody knows. */
static void end_refused(struct cp_runtime *runtime)
{
	enum cp_runtime_host_state state = get_state(runtime);
	bool is_off = !runtime->options.config->enabled ||
		      state == CP_RUNTIME_HOST_UNSUPPORTED;
	struct cp_runtime_watcher *watcher = LIST_FIRST(&runtime->watchers);
	char why[CP_RUNTIME_ERROR_BYTES] = CP_RUNTIME_OFF;

	if (!is_off && state != CP_RUNTIME_HOST_REFUSED)
		return;
	if (!is_off)
		(void)snprintf(why, sizeof(why), "%s", get_error(runtime));
	for (; watcher; watcher = runtime->next_watcher) {
		runtime->next_watcher = LIST_NEXT(watcher, link);
		if (is_off || (watcher->filter && !watcher->is_in_force))
			watcher->refused(watcher, why);
	}
}

static void ticked(uv_timer_t *timer)
{
	struct cp_runtime *runtime = timer->data;

	measure(runtime);
	cp_runtime_owners_forget(runtime->owners);
	if (runtime->reader && !runtime->is_ended)
		tell_gaps(runtime);
	end_refused(runtime);
	if (runtime->error[0] || cp_runtime_wanted_is_stale(runtime))
		put_wanted(runtime);
	cp_runtime_tell_all(runtime);
}

static void window_ended(uv_timer_t *timer)
{
	struct cp_runtime *runtime = timer->data;

	cp_runtime_host_flush(runtime->host);
}

/* Mounts. */

static void load_mounts(struct cp_runtime *runtime)
{
	int r = -ENOENT;

	for (size_t i = 0; r < 0 && i < SN_ARRAY_SIZE(mount_tables); i++)
		r = cp_runtime_mounts_load(runtime->mounts, mount_tables[i]);
	if (r < 0)
		sn_log(SN_LOG_WARNING,
		       "runtime mounts error='%s': paths of the host are those "
		       "known before",
		       strerror(-r));
}

static void mounts_changed(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	load_mounts(poll->data);
}

/* Without it the table is the one of the start. */
static int watch_mounts(struct cp_runtime *runtime)
{
	int r;

	for (size_t i = 0;
	     runtime->mounts_fd < 0 && i < SN_ARRAY_SIZE(mount_tables); i++)
		runtime->mounts_fd =
			open(mount_tables[i], O_RDONLY | O_CLOEXEC);
	if (runtime->mounts_fd < 0)
		return -errno;
	r = uv_poll_init(runtime->options.loop, &runtime->mounts_poll,
			 runtime->mounts_fd);
	if (r < 0)
		return r;
	runtime->n_handles++;
	runtime->mounts_poll.data = runtime;
	return uv_poll_start(&runtime->mounts_poll, UV_PRIORITIZED,
			     mounts_changed);
}

/* The link. */

/* Which rules records of this generation were judged by. What came under the
 * oldest one that is known is read before that is forgotten. */
static void staged(void *userdata, uint32_t generation)
{
	struct cp_runtime *runtime = userdata;

	if (cp_runtime_sets_is_full(&runtime->sets))
		cp_runtime_reader_drain(runtime);
	cp_runtime_sets_put(&runtime->sets, generation, runtime->wanted);
}

static void changed(void *userdata)
{
	struct cp_runtime *runtime = userdata;
	enum cp_runtime_host_state state =
		cp_runtime_host_get_state(runtime->host);
	struct cp_runtime_observer *observer;
	struct cp_runtime_watcher *watcher;

	LIST_FOREACH(observer, &runtime->observers, link) {
		if (observer->changed)
			observer->changed(observer);
	}
	/* An observer that takes back what was refused has it tried again. */
	state = cp_runtime_host_get_state(runtime->host);
	if (state == CP_RUNTIME_HOST_REFUSED)
		sn_log(SN_LOG_ERROR,
		       "runtime error='%s': the rules before "
		       "stay, and it is tried again",
		       cp_runtime_host_error(runtime->host));
	if (state != CP_RUNTIME_HOST_IN_FORCE)
		return;
	LIST_FOREACH(watcher, &runtime->watchers, link)
		watcher->is_in_force = true;
	cp_runtime_tell_all(runtime);
}

static int take_fds(struct cp_runtime *runtime,
		    const struct cp_link_answer *fds)
{
	struct sn_ipc_fds_answer body;
	int r;

	(void)memcpy(&body, fds->body, sizeof(body));
	if (runtime->is_ended)
		return 0;
	/* This ledger may be another one. */
	if (runtime->reader)
		tell_gaps(runtime);
	if (!body.runtime_bytes || fds->n_fds < N_FDS) {
		cp_runtime_reader_close(runtime);
		return 0;
	}
	r = cp_runtime_ledger_open(runtime->ledger, fds->fds[fds->n_fds - 1],
				   body.n_cpus);
	if (r == 0)
		r = cp_runtime_reader_open(runtime, fds->fds[fds->n_fds - 2],
					   body.runtime_bytes);
	if (r == 0)
		tell_gaps(runtime);
	return r;
}

static void up(void *userdata, struct cp_link *link,
	       const struct sn_ipc_hello_answer *hello,
	       const struct cp_link_answer *fds)
{
	struct cp_runtime *runtime = userdata;
	struct cp_runtime_watcher *watcher;
	int r = take_fds(runtime, fds);

	if (r < 0)
		sn_log(SN_LOG_ERROR, "runtime error='%s': there are no events",
		       strerror(-r));
	/* This sentinel-dp may be another one, with less room. */
	LIST_FOREACH(watcher, &runtime->watchers, link)
		watcher->is_in_force = false;
	cp_runtime_host_up(runtime->host, link, hello);
}

/* The ring and the ledger are there without the link. */
static void down(void *userdata)
{
	struct cp_runtime *runtime = userdata;

	cp_runtime_host_down(runtime->host);
}

/* Life. */

static int load_redact(struct cp_runtime *runtime)
{
	const struct cp_config_schema_strings *patterns =
		&runtime->options.config->redact;
	sn_cleanup(cp_runtime_redact_freep) struct cp_runtime_redact *fresh =
		NULL;
	struct sn_diag diag = { .text = "" };
	int r = cp_runtime_redact_new(&fresh);

	for (size_t i = 0; r == 0 && i < patterns->n_items; i++)
		r = cp_runtime_redact_add(fresh, patterns->items[i], &diag);
	if (r != 0)
		return r;
	cp_runtime_redact_free(runtime->redact);
	runtime->redact = sn_steal(&fresh);
	return 0;
}

static int open_output(struct cp_runtime *runtime)
{
	const struct cp_config_runtime *config = runtime->options.config;
	const struct cp_runtime_output_options options = {
		.loop = runtime->options.loop,
		.path = config->output.path,
		.max_bytes = config->output.max_bytes,
		.n_files = config->output.files,
	};

	if (!config->enabled || !config->output.path || !config->output.path[0])
		return 0;
	return cp_runtime_output_new(&runtime->output, &options);
}

/* Events get the same uuids from whoever reads them, as long as the host runs. */
static void read_boot(struct cp_runtime *runtime)
{
	sn_cleanup(sn_closep) int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	char text[36];

	runtime->boot = runtime->run;
	if (fd < 0 || read(fd, text, sizeof(text)) != (ssize_t)sizeof(text))
		return;
	runtime->boot = 0xcbf29ce484222325ULL;
	for (size_t i = 0; i < sizeof(text); i++)
		runtime->boot = (runtime->boot ^ (unsigned char)text[i]) *
				0x100000001b3ULL;
}

static int make_parts(struct cp_runtime *runtime)
{
	const struct cp_runtime_host_options host = {
		.loop = runtime->options.loop,
		.userdata = runtime,
		.staged = staged,
		.changed = changed,
	};
	int r = load_redact(runtime);

	if (getrandom(&runtime->run, sizeof(runtime->run), 0) !=
	    (ssize_t)sizeof(runtime->run))
		return -EIO;
	read_boot(runtime);
	if (r == 0)
		r = cp_runtime_mounts_new(&runtime->mounts);
	if (r == 0)
		r = cp_runtime_processes_new(&runtime->processes,
					     CP_RUNTIME_PROCESSES_MAX);
	if (r == 0)
		r = cp_runtime_files_new(&runtime->files);
	if (r == 0)
		r = cp_runtime_owners_new(&runtime->owners,
					  runtime->options.manager,
					  cp_runtime_wanted_find_mount);
	if (r == 0)
		r = cp_runtime_ledger_new(&runtime->ledger);
	if (r == 0)
		r = cp_runtime_store_new(
			&runtime->store,
			(size_t)runtime->options.config->memory_bytes);
	if (r == 0)
		r = cp_runtime_host_new(&runtime->host, &host);
	return r;
}

static void free_runtime(struct cp_runtime *runtime)
{
	cp_runtime_sets_clear(&runtime->sets);
	cp_runtime_sets_unref(runtime->wanted);
	cp_runtime_mounts_free(runtime->mounts);
	cp_runtime_processes_free(runtime->processes);
	cp_runtime_files_free(runtime->files);
	cp_runtime_owners_free(runtime->owners);
	cp_runtime_ledger_free(runtime->ledger);
	cp_runtime_redact_free(runtime->redact);
	cp_runtime_store_free(runtime->store);
	sn_closep(&runtime->mounts_fd);
	free(runtime);
}

static void start_window(struct cp_runtime *runtime)
{
	uint64_t window_ms = runtime->options.config->window_ms;

	(void)uv_timer_start(&runtime->window, window_ended, window_ms,
			     window_ms);
}

static int start(struct cp_runtime *runtime)
{
	int r = open_output(runtime);

	if (r < 0)
		return r;
	(void)uv_timer_init(runtime->options.loop, &runtime->tick);
	(void)uv_timer_init(runtime->options.loop, &runtime->window);
	runtime->tick.data = runtime;
	runtime->window.data = runtime;
	runtime->n_handles += 2;
	measure(runtime);
	load_mounts(runtime);
	if (watch_mounts(runtime) < 0)
		sn_log(SN_LOG_WARNING, "runtime mounts: changes of mounts are "
				       "not seen");
	(void)uv_timer_start(&runtime->tick, ticked, TICK_MS, TICK_MS);
	start_window(runtime);
	put_wanted(runtime);
	cp_attach_guest_put(runtime->options.manager, &runtime->guest);
	return 0;
}

int cp_runtime_new(struct cp_runtime **ret,
		   const struct cp_runtime_options *options)
{
	struct cp_runtime *runtime = calloc(1, sizeof(*runtime));
	int r;

	if (!runtime)
		return -ENOMEM;
	runtime->options = *options;
	runtime->mounts_fd = -1;
	runtime->guest = (struct cp_attach_guest){
		.userdata = runtime,
		.up = up,
		.down = down,
	};
	r = make_parts(runtime);
	if (r == 0)
		r = start(runtime);
	if (r == 0) {
		*ret = runtime;
		return 0;
	}
	if (runtime->host)
		cp_runtime_host_close(runtime->host);
	free_runtime(runtime);
	return r;
}

static void one_closed(struct cp_runtime *runtime)
{
	void (*closed)(void *userdata) = runtime->closed;
	void *userdata = runtime->closed_userdata;

	if (--runtime->n_handles > 0)
		return;
	free_runtime(runtime);
	closed(userdata);
}

static void handle_closed(uv_handle_t *handle)
{
	one_closed(handle->data);
}

static void output_closed(void *userdata)
{
	one_closed(userdata);
}

void cp_runtime_close(struct cp_runtime *runtime,
		      void (*closed)(void *userdata), void *userdata)
{
	runtime->is_closing = true;
	runtime->closed = closed;
	runtime->closed_userdata = userdata;
	cp_attach_guest_put(runtime->options.manager, NULL);
	cp_runtime_reader_close(runtime);
	cp_runtime_host_close(runtime->host);
	if (runtime->output) {
		runtime->n_handles++;
		cp_runtime_output_close(sn_steal(&runtime->output),
					output_closed, runtime);
	}
	if (runtime->mounts_poll.data)
		uv_close((uv_handle_t *)&runtime->mounts_poll, handle_closed);
	uv_close((uv_handle_t *)&runtime->window, handle_closed);
	uv_close((uv_handle_t *)&runtime->tick, handle_closed);
}

void cp_runtime_reload(struct cp_runtime *runtime,
		       const struct cp_config_runtime *config)
{
	runtime->options.config = config;
	if (load_redact(runtime) != 0)
		sn_log(SN_LOG_ERROR, "runtime redact: out of memory; the "
				     "patterns before stay");
	if (!runtime->output && open_output(runtime) < 0)
		sn_log(SN_LOG_ERROR, "runtime file: out of memory");
	start_window(runtime);
	put_wanted(runtime);
}

/* For readers. */

const struct cp_runtime_store *
cp_runtime_get_store(const struct cp_runtime *runtime)
{
	return runtime->store;
}

uint64_t cp_runtime_get_run(const struct cp_runtime *runtime)
{
	return runtime->run;
}

static size_t count_enabled(const struct cp_config_runtime *config)
{
	const struct cp_config_runtime_rule *rules = config->rules.items;
	size_t n = 0;

	for (size_t i = 0; config->enabled && i < config->rules.n_items; i++)
		n += rules[i].enabled;
	return n;
}

void cp_runtime_get_status(const struct cp_runtime *runtime,
			   struct cp_runtime_status *ret)
{
	uint64_t next = cp_runtime_store_next(runtime->store).number;

	*ret = (struct cp_runtime_status){
		.is_enabled = runtime->options.config->enabled,
		.state = get_state(runtime),
		.error = get_error(runtime),
		.generation = cp_runtime_host_generation(runtime->host),
		.n_rules = count_enabled(runtime->options.config),
		.n_watchers = runtime->n_watchers,
		.n_missed = runtime->n_missed,
		.n_malformed = runtime->n_malformed,
		.n_processes = cp_runtime_processes_count(runtime->processes),
		.n_held = next - cp_runtime_store_oldest(runtime->store).number,
		.n_held_bytes = cp_runtime_store_bytes(runtime->store),
		.n_recorded = next - 1,
		.n_unlogged = runtime->n_unlogged,
		.is_counted = runtime->is_ledger_read,
		.counts = &runtime->counts,
	};
	cp_runtime_ledger_get(runtime->ledger, &ret->ledger);
	if (runtime->output)
		cp_runtime_output_get_stats(runtime->output, &ret->output);
}

int cp_runtime_watch(struct cp_runtime *runtime,
		     struct cp_runtime_watcher *watcher, struct sn_diag *diag)
{
	enum cp_runtime_host_state state =
		cp_runtime_host_get_state(runtime->host);
	int r = 0;

	if (!runtime->options.config->enabled ||
	    state == CP_RUNTIME_HOST_UNSUPPORTED)
		return CP_RUNTIME_E_OFF;
	watcher->is_in_force = false;
	LIST_INSERT_HEAD(&runtime->watchers, watcher, link);
	runtime->n_watchers++;
	if (watcher->filter)
		r = cp_runtime_wanted_put(runtime, diag);
	else
		watcher->is_in_force = state == CP_RUNTIME_HOST_IN_FORCE;
	if (r == 0)
		return 0;
	LIST_REMOVE(watcher, link);
	runtime->n_watchers--;
	return r < 0 ? r : CP_RUNTIME_E_REFUSED;
}

const char *cp_runtime_why_waiting(const struct cp_runtime *runtime,
				   const struct cp_runtime_watcher *watcher)
{
	enum cp_runtime_host_state state = get_state(runtime);

	if (watcher->is_in_force)
		return "";
	if (state == CP_RUNTIME_HOST_AWAY)
		return "sentinel-dp is away";
	return state == CP_RUNTIME_HOST_REFUSED ? get_error(runtime) : "";
}

void cp_runtime_unwatch(struct cp_runtime *runtime,
			struct cp_runtime_watcher *watcher)
{
	if (runtime->next_watcher == watcher)
		runtime->next_watcher = LIST_NEXT(watcher, link);
	LIST_REMOVE(watcher, link);
	runtime->n_watchers--;
	if (watcher->filter && !runtime->is_closing)
		put_wanted(runtime);
}

void cp_runtime_count_missed(struct cp_runtime *runtime, uint64_t n)
{
	runtime->n_missed += n;
}

int cp_runtime_observe(struct cp_runtime *runtime,
		       struct cp_runtime_observer *observer)
{
	int r;

	if (runtime->n_observers >= CP_RUNTIME_SETS_SHARES_MAX)
		return CP_RUNTIME_E_FULL;
	observer->id = ++runtime->n_observed;
	LIST_INSERT_HEAD(&runtime->observers, observer, link);
	runtime->n_observers++;
	r = cp_runtime_observer_changed(runtime);
	if (r == 0)
		return 0;
	LIST_REMOVE(observer, link);
	runtime->n_observers--;
	return r;
}

void cp_runtime_unobserve(struct cp_runtime *runtime,
			  struct cp_runtime_observer *observer)
{
	LIST_REMOVE(observer, link);
	runtime->n_observers--;
	if (!runtime->is_closing && !runtime->is_ended)
		put_wanted(runtime);
}

int cp_runtime_observer_changed(struct cp_runtime *runtime)
{
	struct sn_diag diag = { .text = "" };
	int r = cp_runtime_wanted_put(runtime, &diag);

	if (r > 0 && diag.text[0])
		sn_log(SN_LOG_ERROR,
		       "runtime error='%s': the rules before stay", diag.text);
	return r > 0 ? CP_RUNTIME_E_FULL : r;
}

uint64_t cp_runtime_get_version(const struct cp_runtime *runtime,
				const struct cp_runtime_observer *observer)
{
	return cp_runtime_sets_get_version(
		&runtime->sets, cp_runtime_host_generation(runtime->host),
		observer->id);
}

uint64_t
cp_runtime_get_refused_version(const struct cp_runtime *runtime,
			       const struct cp_runtime_observer *observer)
{
	return cp_runtime_sets_get_version(
		&runtime->sets,
		cp_runtime_host_refused_generation(runtime->host),
		observer->id);
}

uint64_t cp_runtime_get_position(const struct cp_runtime *runtime)
{
	return runtime->before_ring + cp_runtime_reader_position(runtime);
}

void cp_runtime_release(struct cp_runtime *runtime)
{
	cp_runtime_reader_release(runtime);
}

void cp_runtime_end(struct cp_runtime *runtime)
{
	cp_runtime_reader_end(runtime);
	runtime->is_ended = true;
}

bool cp_runtime_is_in_force(const struct cp_runtime *runtime)
{
	return runtime->options.config->enabled &&
	       cp_runtime_host_get_state(runtime->host) ==
		       CP_RUNTIME_HOST_IN_FORCE;
}

const char *cp_runtime_why_refused(const struct cp_runtime *runtime)
{
	return cp_runtime_host_error(runtime->host);
}

bool cp_runtime_is_changing(const struct cp_runtime *runtime)
{
	return cp_runtime_host_get_state(runtime->host) ==
	       CP_RUNTIME_HOST_CHANGING;
}
