/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/findings/detection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controld/attach/dns.h"
#include "controld/runtime/ancestors.h"
#include "shared/log.h"

enum { ERROR_BYTES = SN_DIAG_FILE_BYTES + SN_DIAG_TEXT_BYTES + 32 };

struct cp_findings_detection {
	struct cp_findings_detection_options options;
	struct cp_runtime_observer observer;
	struct cp_rules_state *state; /* NULL: there are no rules */
	const struct cp_rules *wanted; /* of the kernel; NULL: none */
	/* Wanted, but not judged by before the kernel has them; NULL: none. */
	struct cp_rules *pending;
	/* The observer's: from where on it is judged, and of what judges. */
	uint64_t first_version;
	uint64_t version;
	int64_t pending_ns; /* when they were read, Unix time */
	uint64_t now_ns; /* the time of the last event: it does not go back */
	int64_t loaded_ns;
	uint64_t n_loaded;
	uint64_t n_refused;
	char error[ERROR_BYTES];
	char refused[ERROR_BYTES]; /* what is pending, by sentinel-dp */
	LIST_HEAD(, cp_findings_detection_waiter) waiters;
};

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SN_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Rules. */

static bool has_rule(const struct cp_rules *rules, const char *name)
{
	for (size_t i = 0; rules && i < cp_rules_count(rules); i++) {
		if (strcmp(cp_rules_get(rules, i)->name, name) == 0)
			return true;
	}
	return false;
}

/* What rules found that there are no more. */
static void forget(struct cp_findings_detection *detection)
{
	struct cp_findings_sources *sources =
		cp_findings_get_sources(detection->options.findings);
	const struct cp_rules *rules =
		cp_findings_detection_get_rules(detection);
	struct cp_findings_source *source, *next;

	for (source = cp_findings_sources_next(sources, NULL); source;
	     source = next) {
		next = cp_findings_sources_next(sources, source);
		if (source->kind == CP_FINDINGS_KIND_RULE &&
		    !has_rule(rules, source->name))
			cp_findings_drop(detection->options.findings, source);
	}
}

static int put_rules(struct cp_findings_detection *detection,
		     struct cp_rules *rules)
{
	if (!rules) {
		detection->state = cp_rules_state_free(detection->state);
		return 0;
	}
	return detection->state ? cp_rules_state_put(detection->state, rules) :
				  cp_rules_state_new(&detection->state, rules);
}

/* From now on these judge; NULL: none. -ENOMEM: as before. */
static int judge_by(struct cp_findings_detection *detection,
		    struct cp_rules *rules, int64_t loaded_ns)
{
	bool is_first = !detection->state;
	int r = put_rules(detection, rules);

	if (r < 0)
		return r;
	detection->version = detection->observer.version;
	if (is_first)
		detection->first_version = detection->version;
	detection->refused[0] = '\0';
	detection->loaded_ns = loaded_ns;
	detection->n_loaded++;
	forget(detection);
	if (rules)
		sn_log(SN_LOG_INFO, "rules file='%s' rules=%zu",
		       detection->options.config->rules, cp_rules_count(rules));
	return 0;
}

/* For want of memory it is tried again with the next event. */
static void take_pending(struct cp_findings_detection *detection)
{
	if (detection->pending &&
	    judge_by(detection, detection->pending, detection->pending_ns) == 0)
		detection->pending = cp_rules_unref(detection->pending);
}

/* NULL: none. If it fails the kernel has those of before. */
static int want(struct cp_findings_detection *detection,
		const struct cp_rules *rules)
{
	const struct cp_rules *before = detection->wanted;
	int r = 0;

	detection->wanted = rules;
	detection->observer.version++;
	if (detection->observer.id)
		r = cp_runtime_observer_changed(detection->options.runtime);
	if (r != 0) {
		detection->wanted = before;
		detection->observer.version--;
	}
	return r;
}

/* What is refused must keep nobody else's rules out. */
static void refuse_pending(struct cp_findings_detection *detection,
			   const char *why)
{
	detection->n_refused++;
	(void)snprintf(detection->refused, sizeof(detection->refused), "%s: %s",
		       detection->options.config->rules, why);
	sn_log(SN_LOG_ERROR, "rules error='%s': the rules before stay",
	       detection->refused);
	if (want(detection, cp_rules_state_get(detection->state)) == 0)
		detection->pending = cp_rules_unref(detection->pending);
}

/* Those before go on as long as the kernel has them. */
static void settle_pending(struct cp_findings_detection *detection)
{
	const struct cp_runtime *runtime = detection->options.runtime;
	const struct cp_runtime_observer *observer = &detection->observer;
	uint64_t version = cp_runtime_get_version(runtime, observer);

	if (version == 0 || version == observer->version)
		take_pending(detection);
	if (detection->pending && !detection->refused[0] &&
	    cp_runtime_get_refused_version(runtime, observer) ==
		    observer->version)
		refuse_pending(detection, cp_runtime_why_refused(runtime));
}

/* Events. */

struct judging {
	struct cp_findings_detection *detection;
	const Sentinel__V1__RuntimeEvent *event;
	struct cp_runtime_ancestors ancestors;
};

static const Sentinel__V1__RuntimeProcess *
get_parent(void *userdata, const Sentinel__V1__RuntimeProcess *process)
{
	struct judging *judging = userdata;

	(void)process;
	return cp_runtime_ancestors_get(&judging->ancestors, 0);
}

/* Also those whose time is over, as long as they are kept: what was opened by a
 * name stays open by it. */
static bool get_name(void *userdata, const struct cp_policy_cidr *address,
		     size_t n, struct cp_dns_name *ret)
{
	const struct judging *judging = userdata;
	const struct cp_attach_item *item =
		cp_attach_get(judging->detection->options.manager,
			      judging->event->process->attachment);
	struct cp_dns_address wanted = { .family = address->family };
	struct cp_dns_learnt_row row;

	(void)memcpy(wanted.bytes, address->address, sizeof(wanted.bytes));
	if (!item || !cp_attach_dns_get_name(item, &wanted, n, true, &row))
		return false;
	*ret = row.name;
	return true;
}

static void hit(void *userdata, const struct cp_rules_hit *what)
{
	const struct judging *judging = userdata;
	struct cp_findings_detection *detection = judging->detection;
	const struct cp_rules_rule *rule =
		cp_rules_get(cp_rules_state_get(detection->state), what->rule);
	const struct cp_findings_report report = {
		.kind = CP_FINDINGS_KIND_RULE,
		.name = rule->name,
		.severity = (Sentinel__V1__Severity)rule->severity + 1,
		.text = what->text,
		.tags = rule->tags,
		.n_tags = rule->n_tags,
		.count = what->count,
		.event = judging->event,
	};

	_Static_assert((int)CP_RULES_SEVERITY_CRITICAL + 1 ==
			       (int)SENTINEL__V1__SEVERITY__SEVERITY_CRITICAL,
		       "severities are those of the API");
	cp_findings_put(detection->options.findings, &report);
}

static void told(struct cp_runtime_observer *observer,
		 const Sentinel__V1__RuntimeEvent *event, uint64_t number)
{
	struct cp_findings_detection *detection = sn_container_of(
		observer, struct cp_findings_detection, observer);
	struct judging judging = { detection, event, { .n = 0 } };
	const struct cp_rules_subject subject = { event, get_parent, get_name,
						  &judging };

	(void)number;
	detection->now_ns = SN_MAX(detection->now_ns, event->boot_ns);
	if (observer->told_version == observer->version)
		take_pending(detection);
	if (!detection->state ||
	    observer->told_version < detection->first_version)
		return;
	cp_runtime_ancestors_init(&judging.ancestors,
				  detection->options.runtime, event->process);
	(void)cp_rules_state_judge(detection->state, &subject,
				   detection->now_ns, hit, &judging);
	cp_runtime_ancestors_done(&judging.ancestors);
}

static int put_wanted(struct cp_runtime_observer *observer,
		      struct cp_runtime_rules *rules,
		      uint64_t (*find)(const char *cgroup))
{
	const struct cp_findings_detection *detection = sn_container_of(
		observer, struct cp_findings_detection, observer);
	struct sn_diag diag = { .text = "" };

	return detection->wanted ? cp_rules_put_wanted(detection->wanted, rules,
						       find, &diag) :
				   0;
}

/* Whoever waits for the rules. */

static void settle_all(struct cp_findings_detection *detection)
{
	struct cp_findings_detection_waiter *waiter;

	while ((waiter = LIST_FIRST(&detection->waiters))) {
		cp_findings_detection_unwait(waiter);
		waiter->settled(waiter);
	}
}

static void changed(struct cp_runtime_observer *observer)
{
	struct cp_findings_detection *detection = sn_container_of(
		observer, struct cp_findings_detection, observer);

	settle_pending(detection);
	if (!cp_runtime_is_changing(detection->options.runtime))
		settle_all(detection);
}

bool cp_findings_detection_wait(struct cp_findings_detection *detection,
				struct cp_findings_detection_waiter *waiter)
{
	if (!cp_runtime_is_changing(detection->options.runtime))
		return false;
	LIST_INSERT_HEAD(&detection->waiters, waiter, link);
	return true;
}

void cp_findings_detection_unwait(struct cp_findings_detection_waiter *waiter)
{
	LIST_REMOVE(waiter, link);
}

/* Files. */

/* Where there are rules already, fresh ones have to wait for the kernel. */
static int put_or_wait(struct cp_findings_detection *detection,
		       struct cp_rules *rules)
{
	int64_t now = (int64_t)read_clock(CLOCK_REALTIME);
	bool waits = rules && detection->state;
	int r = waits ? 0 : judge_by(detection, rules, now);

	if (r < 0)
		return r;
	detection->pending = cp_rules_unref(detection->pending);
	if (!waits)
		return 0;
	detection->pending = cp_rules_ref(rules);
	detection->pending_ns = now;
	detection->refused[0] = '\0';
	settle_pending(detection);
	return 0;
}

/* What the kernel does not take is not judged by either, and what is judged by
 * keeps its counts then. */
static int take(struct cp_findings_detection *detection, struct cp_rules *rules,
		struct sn_diag *diag)
{
	const struct cp_rules *before = detection->wanted;
	int r = want(detection, rules);

	if (r == 0)
		r = put_or_wait(detection, rules);
	if (r == -ENOMEM)
		(void)want(detection, before);
	if (r == CP_RUNTIME_E_FULL) {
		sn_diag_set(diag, NULL,
			    "does not go into the kernel beside runtime.rules "
			    "and those of readers, the log says why (there is "
			    "room for %d rules and %d values)",
			    SN_RT_RULES_MAX, CP_RUNTIME_RULES_TERMS_MAX);
		sn_diag_at(diag, detection->options.config->rules, 0);
	}
	return r == CP_RUNTIME_E_FULL ? CP_FINDINGS_DETECTION_E_REFUSED : r;
}

int cp_findings_detection_load(struct cp_findings_detection *detection,
			       struct sn_diag *diag)
{
	sn_cleanup(cp_rules_unrefp) struct cp_rules *rules = NULL;
	const char *path = detection->options.config->rules;
	int r = path[0] ? cp_rules_load_file(&rules, path, diag) : 0;

	if (r == 0)
		r = take(detection, rules, diag);
	if (r != 0) {
		detection->n_refused++;
		if (!diag->text[0])
			sn_diag_set(diag, NULL, "%s", strerror(abs(r)));
		(void)sn_diag_format(diag, detection->error,
				     sizeof(detection->error));
		return r < 0 ? r : CP_FINDINGS_DETECTION_E_REFUSED;
	}
	detection->error[0] = '\0';
	return 0;
}

void cp_findings_detection_configure(struct cp_findings_detection *detection,
				     const struct cp_config_detection *config)
{
	struct sn_diag diag = { .text = "" };

	detection->options.config = config;
	if (!config->rules[0] && !detection->state)
		return;
	if (cp_findings_detection_load(detection, &diag) != 0)
		sn_log(SN_LOG_ERROR, "rules error='%s': the rules before stay",
		       detection->error);
}

/* Life. */

int cp_findings_detection_new(
	struct cp_findings_detection **ret,
	const struct cp_findings_detection_options *options,
	struct sn_diag *diag)
{
	struct cp_findings_detection *detection = calloc(1, sizeof(*detection));
	int r;

	if (!detection)
		return -ENOMEM;
	detection->options = *options;
	detection->observer = (struct cp_runtime_observer){
		.put_wanted = put_wanted,
		.told = told,
		.changed = changed,
	};
	r = cp_findings_detection_load(detection, diag);
	if (r == 0)
		r = cp_runtime_observe(options->runtime, &detection->observer);
	if (r == 0) {
		*ret = detection;
		return 0;
	}
	if (!diag->text[0])
		sn_diag_set(diag, "detection.rules", "%s",
			    r < 0 ? strerror(-r) :
				    "does not go into the kernel beside "
				    "runtime.rules, the log says why");
	cp_rules_unref(detection->pending);
	cp_rules_state_free(detection->state);
	free(detection);
	return r < 0 ? r : CP_FINDINGS_DETECTION_E_REFUSED;
}

struct cp_findings_detection *
cp_findings_detection_free(struct cp_findings_detection *detection)
{
	if (!detection)
		return NULL;
	settle_all(detection);
	cp_runtime_unobserve(detection->options.runtime, &detection->observer);
	cp_rules_unref(detection->pending);
	cp_rules_state_free(detection->state);
	free(detection);
	return NULL;
}

/* For readers. */

const struct cp_rules *
cp_findings_detection_get_rules(const struct cp_findings_detection *detection)
{
	return detection->state ? cp_rules_state_get(detection->state) : NULL;
}

/* Those that judge: with others refused they may be all the same. */
static bool is_in_force(const struct cp_findings_detection *detection)
{
	const struct cp_runtime *runtime = detection->options.runtime;

	if (!detection->refused[0])
		return !detection->pending && cp_runtime_is_in_force(runtime);
	return cp_runtime_get_version(runtime, &detection->observer) >=
	       detection->version;
}

void cp_findings_detection_get_status(
	const struct cp_findings_detection *detection,
	struct cp_findings_detection_status *ret)
{
	const struct cp_rules *rules =
		cp_findings_detection_get_rules(detection);

	*ret = (struct cp_findings_detection_status){
		.path = detection->options.config->rules,
		.n_rules = rules ? cp_rules_count(rules) : 0,
		.loaded_ns = detection->loaded_ns,
		.is_in_force = is_in_force(detection),
		.error = detection->error[0] ? detection->error :
					       detection->refused,
		.n_loaded = detection->n_loaded,
		.n_refused = detection->n_refused,
	};
	for (size_t i = 0; i < ret->n_rules; i++)
		ret->n_enabled += cp_rules_get(rules, i)->enabled;
}

void cp_findings_detection_get_count(
	const struct cp_findings_detection *detection, size_t index,
	struct cp_findings_detection_count *ret)
{
	const struct cp_rules_rule *rule =
		cp_rules_get(cp_rules_state_get(detection->state), index);
	const struct cp_rules_count count =
		cp_rules_state_get_count(detection->state, index);
	const struct cp_findings_source *source = cp_findings_sources_find(
		cp_findings_get_sources(detection->options.findings),
		CP_FINDINGS_KIND_RULE, rule->name);

	*ret = (struct cp_findings_detection_count){
		.n_hits = count.hits,
		.n_limited = source ? source->n_limited : 0,
	};
	/* Counted by boot time, as events are. */
	if (count.last_ns)
		ret->last_ns =
			(int64_t)(read_clock(CLOCK_REALTIME) -
				  read_clock(CLOCK_BOOTTIME) + count.last_ns);
}
