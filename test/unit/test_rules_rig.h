/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rules of a text, and events for them. */

#include "controld/rules/state.h"
#include "test/unit/t.h"

enum { RIG_HITS_MAX = 16, RIG_EVENTS_NS = 1000 };

struct rig {
	struct cp_rules *rules;
	struct cp_rules_state *state;
	/* The event; texts are those of the test. */
	Sentinel__V1__RuntimeEvent event;
	Sentinel__V1__RuntimeProcess process;
	Sentinel__V1__RuntimeFile executable;
	Sentinel__V1__RuntimeFile file;
	Sentinel__V1__RuntimeFile target;
	Sentinel__V1__RuntimeAddress local;
	Sentinel__V1__RuntimeAddress remote;
	Sentinel__V1__RuntimeProcess parent;
	Sentinel__V1__RuntimeFile parent_executable;
	bool has_parent;
	unsigned int n_asked; /* for the parent */
	const char *const *names; /* of remote; NULL: none */
	size_t n_names;
	unsigned int n_asked_names;
	uint64_t now_ns;
	/* What the last event hit. */
	size_t n;
	struct cp_rules_hit hits[RIG_HITS_MAX];
	char text[RIG_HITS_MAX][CP_RULES_STATE_TEXT_BYTES];
};

static inline char *rig_text(const char *text)
{
	return (char *)(uintptr_t)text;
}

static inline void rig_load(struct cp_rules **ret, const char *text)
{
	struct sn_diag diag = { .text = "" };
	int r = cp_rules_load(ret, text, strlen(text), "rules.yaml", &diag);

	if (r)
		t_fail("%u: %s", diag.line, diag.text);
}

/* As /bin/cat, by uid 1000, without files. */
static inline struct rig *rig_new(const char *text)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	t_not_null(rig);
	rig_load(&rig->rules, text);
	t_eq(cp_rules_state_new(&rig->state, rig->rules), 0);
	sentinel__v1__runtime_event__init(&rig->event);
	sentinel__v1__runtime_process__init(&rig->process);
	sentinel__v1__runtime_process__init(&rig->parent);
	sentinel__v1__runtime_file__init(&rig->executable);
	sentinel__v1__runtime_file__init(&rig->parent_executable);
	sentinel__v1__runtime_file__init(&rig->file);
	sentinel__v1__runtime_file__init(&rig->target);
	sentinel__v1__runtime_address__init(&rig->local);
	sentinel__v1__runtime_address__init(&rig->remote);
	rig->event.event = rig_text("file_open");
	rig->event.process = &rig->process;
	rig->process.pid = 100;
	rig->process.uid = 1000;
	rig->process.comm = rig_text("cat");
	rig->process.cgroup = rig_text("/user.slice/shell");
	rig->process.executable = &rig->executable;
	rig->executable.path = rig_text("/bin/cat");
	rig->executable.inode = 7;
	rig->parent.comm = rig_text("sh");
	rig->parent.executable = &rig->parent_executable;
	rig->parent_executable.path = rig_text("/bin/sh");
	rig->has_parent = true;
	rig->now_ns = RIG_EVENTS_NS;
	return rig;
}

static inline struct rig *rig_free(struct rig *rig)
{
	if (!rig)
		return NULL;
	(void)cp_rules_state_free(rig->state);
	(void)cp_rules_unref(rig->rules);
	free(rig);
	return NULL;
}
SN_DEFINE_CLEANUP(struct rig, rig_free)

/* NULL: without a file. */
static inline void rig_open(struct rig *rig, const char *path)
{
	rig->event.file = path ? &rig->file : NULL;
	rig->file.path = rig_text(path ? path : "");
	rig->file.inode = 9;
}

static inline const Sentinel__V1__RuntimeProcess *
rig_get_parent(void *userdata, const Sentinel__V1__RuntimeProcess *process)
{
	struct rig *rig = userdata;

	t_true(process == &rig->process);
	rig->n_asked++;
	return rig->has_parent ? &rig->parent : NULL;
}

static inline bool rig_get_name(void *userdata,
				const struct cp_policy_cidr *address, size_t n,
				struct cp_dns_name *ret)
{
	struct rig *rig = userdata;

	t_true(cp_policy_cidr_is_host(address));
	rig->n_asked_names++;
	if (n >= rig->n_names)
		return false;
	t_eq(cp_dns_name_parse(rig->names[n], ret, NULL), 0);
	return true;
}

static inline void rig_hit(void *userdata, const struct cp_rules_hit *hit)
{
	struct rig *rig = userdata;

	t_true(rig->n < RIG_HITS_MAX);
	(void)snprintf(rig->text[rig->n], sizeof(rig->text[0]), "%s",
		       hit->text);
	rig->hits[rig->n] = *hit;
	rig->hits[rig->n].text = rig->text[rig->n];
	rig->n++;
}

static inline size_t rig_judge(struct rig *rig)
{
	const struct cp_rules_subject subject = {
		.event = &rig->event,
		.get_parent = rig_get_parent,
		.get_name = rig_get_name,
		.userdata = rig,
	};

	rig->n = 0;
	t_eq(cp_rules_state_judge(rig->state, &subject, rig->now_ns, rig_hit,
				  rig),
	     rig->n);
	return rig->n;
}

static inline size_t rig_opened(struct rig *rig, const char *path)
{
	rig_open(rig, path);
	return rig_judge(rig);
}
