/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/tell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controld/runtime/message.h"
#include "controld/runtime/reader.h"
#include "shared/log.h"
#include "shared/runtime.h"

enum { LINES_PER_S = 100 };

static uint64_t boot_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* The journal. */

static bool may_log(struct cp_runtime *runtime)
{
	int64_t second = (int64_t)(boot_now() / SN_NS_PER_S);

	if (!runtime->options.config->output.journal)
		return false;
	if (runtime->lines_second != second) {
		runtime->lines_second = second;
		runtime->n_lines = 0;
	}
	if (runtime->n_lines++ < LINES_PER_S)
		return true;
	runtime->n_unlogged++;
	return false;
}

/* What others chose, in quotes; ret has room for 4 times its bytes. */
static const char *quote(const char *text, char *ret, size_t ret_bytes)
{
	size_t n = 0;

	for (; *text && n + 5 < ret_bytes; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == '\'' || c == '\\' || c == 0x7f)
			n += (size_t)snprintf(ret + n, ret_bytes - n, "\\x%02x",
					      c);
		else
			ret[n++] = (char)c;
	}
	ret[n] = '\0';
	return ret;
}

static void log_event(struct cp_runtime *runtime,
		      const Sentinel__V1__RuntimeEvent *event)
{
	char path[4 * SN_RT_PATH_MAX + 8], comm[8 * SN_COMM_BYTES];
	const Sentinel__V1__RuntimeProcess *process = event->process;

	if (!may_log(runtime))
		return;
	if (!process) {
		sn_log(SN_LOG_INFO, "runtime event=%s missing=%s n=%llu",
		       event->event, event->gap_event,
		       (unsigned long long)event->gap);
		return;
	}
	sn_log(SN_LOG_INFO,
	       "runtime event=%s uuid=%s pid=%u uid=%u comm='%s' result=%lld "
	       "path='%s'",
	       event->event, event->uuid, process->pid, process->uid,
	       quote(process->comm, comm, sizeof(comm)),
	       (long long)event->result,
	       event->file ? quote(event->file->path, path, sizeof(path)) : "");
}

/* The store and all that is fed from it. */

static int store(struct cp_runtime *runtime,
		 const Sentinel__V1__RuntimeEvent *message,
		 const struct cp_runtime_stored *like)
{
	struct cp_runtime_position at = cp_runtime_store_next(runtime->store);
	const struct cp_runtime_stored *stored;
	uint64_t n_lost;
	int r = cp_runtime_store_put(runtime->store, &message->base, like);

	if (r < 0)
		return r;
	if (!like->is_configured)
		return 0;
	if (runtime->output &&
	    cp_runtime_store_read(runtime->store, &at, &stored, &n_lost) == 0)
		cp_runtime_output_put(runtime->output, stored);
	log_event(runtime, message);
	return 0;
}

/* Of the set's rules those of the configuration: what readers ask for is
 * theirs. */
static void keep_configured(const struct cp_runtime_set *set,
			    const struct sn_rt_bits *matched,
			    struct sn_rt_bits *ret)
{
	(void)memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < set->shares.n_configured; i++)
		ret->words[i / 64] |= matched->words[i / 64] & 1ULL << i % 64;
}

/* telling NULL: no event, but what all are told. An observer that was not there
 * when the kernel got the set has no rule in it. */
static void tell_observers(struct cp_runtime *runtime,
			   const struct cp_runtime_telling *telling,
			   const Sentinel__V1__RuntimeEvent *message)
{
	struct cp_runtime_observer *observer;
	const struct cp_runtime_share *share;

	LIST_FOREACH(observer, &runtime->observers, link) {
		share = telling ? cp_runtime_sets_find_share(
					  &telling->set->shares, observer->id) :
				  NULL;
		observer->told_version = share ? share->version : 0;
		if (!telling ||
		    (share && cp_runtime_sets_has(telling->matched,
						  share->first, share->n)))
			observer->told(observer, message, runtime->n_told);
	}
}

/* What only observers want is theirs alone. */
static int put_event(struct cp_runtime *runtime,
		     const struct cp_runtime_telling *telling,
		     const Sentinel__V1__RuntimeEvent *message)
{
	const struct cp_runtime_set *set = telling->set;
	size_t n = cp_runtime_rules_count(set->rules);
	const struct cp_runtime_stored like = {
		.kind = telling->record->head->event,
		.n = 1,
		.is_configured = cp_runtime_sets_has(telling->matched, 0,
						     set->shares.n_configured),
	};
	int r = 0;

	if (like.is_configured ||
	    cp_runtime_sets_has(telling->matched, set->shares.n_lasting,
				n - set->shares.n_lasting))
		r = store(runtime, message, &like);
	tell_observers(runtime, telling, message);
	return r;
}

static void put_owner(struct cp_runtime *runtime,
		      struct cp_runtime_event *event)
{
	const struct cp_runtime_process *process = event->process;
	uint64_t cgroup = event->record->head->cgroup;
	const struct cp_runtime_owner *owner;

	/* It may have been moved since. */
	if (!process || process->is_cgroup_cut || process->cgroup != cgroup)
		return;
	owner = cp_runtime_owners_find(runtime->owners, cgroup,
				       process->cgroup_path);
	event->attachment = owner->attachment;
	event->pod = owner->pod;
	event->namespace = owner->namespace;
}

int cp_runtime_tell_event(struct cp_runtime *runtime,
			  const struct cp_runtime_telling *telling)
{
	sn_cleanup(
		cp_runtime_message_freep) struct cp_runtime_message *message =
		NULL;
	const struct cp_runtime_record *record = telling->record;
	struct cp_runtime_redact_result *arguments = NULL;
	struct sn_rt_bits matched;
	struct cp_runtime_event event = {
		.record = record,
		.process = telling->process,
		.mounts = runtime->mounts,
		.rules = telling->set->rules,
		.matched = &matched,
		.wall_ns = cp_runtime_clock_get_wall(&runtime->clock,
						     record->head->time),
	};
	int r = 0;

	runtime->n_told++;
	cp_runtime_message_name(runtime->boot,
				cp_runtime_reader_position(runtime),
				record->head, event.name);
	keep_configured(telling->set, telling->matched, &matched);
	put_owner(runtime, &event);
	/* Those of a set that still wanted them may be on their way. */
	if (record->arguments.size > 0 && runtime->options.config->arguments) {
		r = cp_runtime_redact_apply(runtime->redact,
					    record->arguments.at,
					    record->arguments.size, &arguments);
		event.arguments = r == 0 ? arguments->texts : NULL;
		event.n_arguments = r == 0 ? arguments->n : 0;
	}
	if (r == 0)
		r = cp_runtime_message_new(&message, &event);
	if (r == 0)
		r = put_event(runtime, telling,
			      cp_runtime_message_get(message));
	free(arguments);
	return r;
}

static void begin(struct cp_runtime *runtime, const char *name,
		  char uuid[CP_RUNTIME_MESSAGE_UUID_BYTES],
		  Sentinel__V1__RuntimeEvent *ret)
{
	uint64_t now = boot_now();

	sentinel__v1__runtime_event__init(ret);
	cp_runtime_message_uuid(runtime->run, ++runtime->n_told, uuid);
	ret->uuid = uuid;
	ret->event = (char *)(uintptr_t)name;
	ret->boot_ns = now;
	ret->time_ns = cp_runtime_clock_get_wall(&runtime->clock, now);
}

void cp_runtime_tell_gap(struct cp_runtime *runtime, size_t event,
			 Sentinel__V1__RuntimeCut cause, uint64_t n)
{
	const struct cp_runtime_stored like = {
		.kind = (uint8_t)event,
		.is_configured = true,
		.n = SN_MAX(n, (uint64_t)1),
	};
	const char *name = event < SN_RT_EVENT_COUNT ?
				   sn_runtime_events[event].name :
				   NULL;
	char uuid[CP_RUNTIME_MESSAGE_UUID_BYTES];
	Sentinel__V1__RuntimeEvent message;

	begin(runtime, "gap", uuid, &message);
	message.gap = n;
	message.gap_cause = cause;
	message.gap_event = (char *)(uintptr_t)(name ? name : "");
	(void)store(runtime, &message, &like);
	tell_observers(runtime, NULL, &message);
}

void cp_runtime_tell_step(struct cp_runtime *runtime, int64_t step_ns)
{
	const struct cp_runtime_stored like = {
		.is_configured = true,
	};
	char uuid[CP_RUNTIME_MESSAGE_UUID_BYTES];
	Sentinel__V1__RuntimeEvent message;

	begin(runtime, "clock", uuid, &message);
	message.clock_step_ns = step_ns;
	(void)store(runtime, &message, &like);
	tell_observers(runtime, NULL, &message);
}

void cp_runtime_tell_all(struct cp_runtime *runtime)
{
	struct cp_runtime_watcher *watcher = LIST_FIRST(&runtime->watchers);

	if (runtime->next_watcher)
		return;
	for (; watcher; watcher = runtime->next_watcher) {
		runtime->next_watcher = LIST_NEXT(watcher, link);
		watcher->woken(watcher);
	}
}
