// SPDX-License-Identifier: Apache-2.0
#include "controld/rules/cond.h"

#include "shared/runtime.h"
#include "test/unit/test_rules_rig.h"

enum { TEXT_BYTES = 1024 };

/* A rule for every event with this in its match. */
static struct rig *with(const char *match)
{
	char text[TEXT_BYTES];
	size_t n = (size_t)snprintf(text, sizeof(text),
				    "rules:\n  - name: x\n    events: [");

	for (size_t i = 1; i < SN_RT_EVENT_COUNT; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
				      i > 1 ? ", " : "",
				      sn_runtime_events[i].name);
	n += (size_t)snprintf(text + n, sizeof(text) - n,
			      "]\n    match: {%s}\n", match);
	t_true(n < sizeof(text));
	return rig_new(text);
}

static size_t judge(struct rig *rig, const char *event)
{
	rig->event.event = rig_text(event);
	return rig_judge(rig);
}

static void accesses_are_those_of_an_open(void)
{
	static const struct {
		const char *word;
		uint64_t flags[4];
		size_t fits[4];
	} rows[] = {
		{ "read", { 0, 1, 2, 010000000 }, { 1, 0, 1, 0 } },
		{ "write", { 0, 1, 2, 010000002 }, { 0, 1, 1, 0 } },
		{ "create", { 0, 1, 0101, 0102 }, { 0, 0, 1, 1 } },
		{ "truncate", { 0, 01000, 0101, 01101 }, { 0, 1, 0, 1 } },
	};
	char text[64];

	for (size_t i = 0; i < SN_ARRAY_SIZE(rows); i++) {
		sn_cleanup(rig_freep) struct rig *rig = NULL;

		(void)snprintf(text, sizeof(text), "accesses: [%s]",
			       rows[i].word);
		rig = with(text);
		for (size_t j = 0; j < 4; j++) {
			rig->event.flags = rows[i].flags[j];
			t_eq(judge(rig, "file_open"), rows[i].fits[j]);
			t_eq(judge(rig, "file_write"), 0);
		}
	}
}

static void modes_are_any_of_their_bits(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		with("modes: [setuid, world_writable]");

	rig->event.mode = 0755;
	t_eq(judge(rig, "file_chmod"), 0);
	rig->event.mode = 04755;
	t_eq(judge(rig, "file_chmod"), 1);
	t_eq(judge(rig, "file_open"), 1);
	t_eq(judge(rig, "mount"), 0);
	rig->event.mode = 0777;
	t_eq(judge(rig, "file_chmod"), 1);
	rig->event.mode = 02755;
	t_eq(judge(rig, "file_chmod"), 0);
}

static void requests_are_those_of_ptrace(void)
{
	static const struct {
		uint64_t request;
		size_t fits;
	} rows[] = {
		{ 0, 0 }, { 1, 0 },  { 4, 1 },	    { 6, 1 },
		{ 7, 0 }, { 16, 1 }, { 0x4206, 1 }, { 0x4207, 0 },
	};
	sn_cleanup(rig_freep) struct rig *rig =
		with("requests: [poke, attach, seize]");

	for (size_t i = 0; i < SN_ARRAY_SIZE(rows); i++) {
		rig->event.flags = rows[i].request;
		t_eq(judge(rig, "ptrace"), rows[i].fits);
		t_eq(judge(rig, "file_open"), 0);
	}
}

static void kinds_are_those_of_the_file_and_of_the_executable(void)
{
	sn_cleanup(rig_freep) struct rig *file = with("file_kinds: [memfd]");
	sn_cleanup(rig_freep) struct rig *exe =
		with("executable_kinds: [memfd, deleted]");

	t_eq(judge(file, "process_exec"), 0);
	rig_open(file, "memfd:x");
	t_eq(judge(file, "process_exec"), 0);
	file->file.memfd = true;
	t_eq(judge(file, "process_exec"), 1);

	t_eq(judge(exe, "file_open"), 0);
	exe->executable.deleted = true;
	t_eq(judge(exe, "file_open"), 1);
	exe->executable.deleted = false;
	exe->executable.memfd = true;
	t_eq(judge(exe, "file_open"), 1);
	exe->process.executable = NULL;
	t_eq(judge(exe, "file_open"), 1);
}

static void calls_pods_and_namespaces_are_whole_words(void)
{
	sn_cleanup(rig_freep) struct rig *rig = with(
		"calls: [umount], pods: [web-1], namespaces: [shop, bank]");

	t_eq(judge(rig, "mount"), 0);
	rig->event.call = rig_text("umount");
	rig->process.pod = rig_text("web-1");
	t_eq(judge(rig, "mount"), 0);
	rig->process.namespace_ = rig_text("bank");
	t_eq(judge(rig, "mount"), 1);
	rig->process.pod = rig_text("web-12");
	t_eq(judge(rig, "mount"), 0);
}

static void containers_are_ids_any_and_none(void)
{
	sn_cleanup(rig_freep) struct rig *any = with("containers: [any]");
	sn_cleanup(rig_freep) struct rig *none = with("containers: [none]");
	sn_cleanup(rig_freep) struct rig *id = with("containers: [abc, 12]");

	t_eq(judge(any, "mount"), 0);
	t_eq(judge(none, "mount"), 1);
	t_eq(judge(id, "mount"), 0);
	any->process.container_id = rig_text("abcdef");
	none->process.container_id = rig_text("abcdef");
	id->process.container_id = rig_text("abcdef");
	t_eq(judge(any, "mount"), 1);
	t_eq(judge(none, "mount"), 0);
	t_eq(judge(id, "mount"), 1);
	id->process.container_id = rig_text("ab");
	t_eq(judge(id, "mount"), 0);
	/* Without its cgroup nothing is known. */
	id->process.cgroup = rig_text("");
	t_eq(judge(id, "mount"), 1);
}

static void globs_are_of_absolute_paths(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		with("path_globs: [\"/home/*/.ssh/**\", \"**/core\"], "
		     "executable_globs: [\"/bin/c*\"]");

	t_eq(rig_opened(rig, "/home/me/.ssh/a/b"), 1);
	t_eq(rig_opened(rig, "/home/me/x/.ssh/a"), 0);
	t_eq(rig_opened(rig, "/var/core"), 1);
	t_eq(rig_opened(rig, "memfd:/core"), 0);
	rig->executable.path = rig_text("/bin/x");
	t_eq(rig_opened(rig, "/var/core"), 0);
}

static void addresses_are_of_the_other_end_but_bound_ones(void)
{
	sn_cleanup(rig_freep) struct rig *rig = with(
		"cidrs: [10.0.0.0/8, 192.0.2.1, \"2001:db8::/32\", 0.0.0.0/8]");

	t_eq(judge(rig, "net_connect"), 0);
	rig->event.remote = &rig->remote;
	rig->event.local = &rig->local;
	rig->remote.address = rig_text("10.9.8.7");
	rig->local.address = rig_text("127.0.0.1");
	t_eq(judge(rig, "net_connect"), 1);
	t_eq(judge(rig, "net_accept"), 1);
	t_eq(judge(rig, "net_bind"), 0);
	rig->local.address = rig_text("0.0.0.0");
	t_eq(judge(rig, "net_bind"), 1);
	rig->remote.address = rig_text("::ffff:192.0.2.1");
	t_eq(judge(rig, "net_connect"), 1);
	rig->remote.address = rig_text("192.0.2.2");
	t_eq(judge(rig, "net_connect"), 0);
	rig->remote.address = rig_text("2001:db8:1::1");
	t_eq(judge(rig, "net_connect"), 1);
	rig->remote.address = rig_text("2001:db9::1");
	t_eq(judge(rig, "net_connect"), 0);
	rig->remote.address = rig_text("");
	t_eq(judge(rig, "net_connect"), 0);
}

static void a_destination_has_the_names_by_which_it_was_learnt(void)
{
	static const char *const names[] = { "c.test", "WWW.Good.Test" };
	static const char *const above[] = { "test", "notgood.test" };
	sn_cleanup(rig_freep) struct rig *rig = with(
		"destinationNames: [www.good.test, '*.sub.test', a.b.c.test]");

	rig->event.remote = &rig->remote;
	rig->event.local = &rig->local;
	rig->remote.address = rig_text("10.9.8.7");
	rig->local.address = rig_text("10.9.8.7");
	t_eq(judge(rig, "net_connect"), 0);
	rig->names = names;
	rig->n_names = 1;
	t_eq(judge(rig, "net_connect"), 0);
	rig->n_names = 2;
	t_eq(judge(rig, "net_connect"), 1);
	t_eq(judge(rig, "net_accept"), 0);
	t_eq(judge(rig, "net_bind"), 0);
	rig->names = above;
	t_eq(judge(rig, "net_connect"), 0);
	rig->event.remote = NULL;
	rig->names = names;
	t_eq(judge(rig, "net_connect"), 0);
}

static size_t judge_name(struct rig *rig, const char *name)
{
	rig->names = &name;
	rig->n_names = 1;
	return judge(rig, "net_connect");
}

static void a_wildcard_is_the_name_and_what_is_below(void)
{
	sn_cleanup(rig_freep) struct rig *rig = with(
		"destination_names: ['*.good.test', x.exact.test, \"*.\\\\042\"]");

	rig->event.remote = &rig->remote;
	rig->remote.address = rig_text("2001:db8::1");
	t_eq(judge_name(rig, "good.test"), 1);
	t_eq(judge_name(rig, "a.good.test"), 1);
	t_eq(judge_name(rig, "b.a.good.test"), 1);
	t_eq(judge_name(rig, "agood.test"), 0);
	t_eq(judge_name(rig, "test"), 0);
	t_eq(judge_name(rig, "."), 0);
	t_eq(judge_name(rig, "x.exact.test"), 1);
	t_eq(judge_name(rig, "exact.test"), 0);
	t_eq(judge_name(rig, "a.x.exact.test"), 0);
	t_eq(judge_name(rig, "a.\\042"), 1);
}

static void names_are_asked_for_once_and_only_for_their_rules(void)
{
	static const char *names[CP_RULES_VIEW_NAMES_MAX + 1];
	sn_cleanup(rig_freep) struct rig *rig = rig_new(
		"rules:\n"
		"- {name: a, event: net_connect, match: {comms: [cat]}}\n"
		"- {name: b, event: net_connect, match: {comms: [x],"
		" destination_names: [a.test]}}\n");
	sn_cleanup(rig_freep) struct rig *two =
		rig_new("rules:\n"
			"- {name: a, event: net_connect,"
			" match: {destination_names: [a.test]}}\n"
			"- {name: b, event: net_connect, exceptions:"
			" [{destination_names: [b.test]}]}\n");

	rig->event.remote = &rig->remote;
	rig->remote.address = rig_text("10.9.8.7");
	t_eq(judge(rig, "net_connect"), 1);
	t_eq(rig->n_asked_names, 0);

	for (size_t i = 0; i < SN_ARRAY_SIZE(names); i++)
		names[i] = "c.test";
	two->event.remote = &two->remote;
	two->remote.address = rig_text("10.9.8.7");
	two->names = names;
	two->n_names = 2;
	t_eq(judge(two, "net_connect"), 1);
	t_eq(two->n_asked_names, 3);
	t_eq(two->hits[0].rule, 1);
	names[1] = "b.test";
	t_eq(judge(two, "net_connect"), 0);
	/* Of too many names nobody knows whether one would fit. */
	names[1] = "c.test";
	two->n_names = CP_RULES_VIEW_NAMES_MAX;
	t_eq(judge(two, "net_connect"), 1);
	two->n_names = CP_RULES_VIEW_NAMES_MAX + 1;
	t_eq(judge(two, "net_connect"), 2);
}

static void ports_are_of_the_destination(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		with("ports: [22/tcp, 3000-3010]");

	t_eq(judge(rig, "net_connect"), 0);
	rig->event.remote = &rig->remote;
	rig->event.local = &rig->local;
	rig->remote.protocol = 6;
	rig->local.protocol = 6;
	rig->remote.port = 22;
	rig->local.port = 40000;
	t_eq(judge(rig, "net_connect"), 1);
	t_eq(judge(rig, "net_accept"), 0);
	rig->local.port = 3005;
	t_eq(judge(rig, "net_accept"), 1);
	t_eq(judge(rig, "net_bind"), 1);
	rig->remote.protocol = 17;
	t_eq(judge(rig, "net_connect"), 0);
}

static void lists_stand_for_their_values(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		rig_new("lists:\n"
			"  - {name: a, items: [/etc, /boot]}\n"
			"  - {name: b, items: [$a, /usr]}\n"
			"rules:\n"
			"  - name: x\n"
			"    event: file_open\n"
			"    match: {path_prefixes: [/srv, $b]}\n");

	t_eq(rig_opened(rig, "/srv/x"), 1);
	t_eq(rig_opened(rig, "/boot/x"), 1);
	t_eq(rig_opened(rig, "/usr/x"), 1);
	t_eq(rig_opened(rig, "/opt/x"), 0);
}

static void macros_are_used_all_or_any(void)
{
	sn_cleanup(rig_freep) struct rig *rig = rig_new(
		"macros:\n"
		"  - {name: etc, match: {path_prefixes: [/etc]}}\n"
		"  - {name: conf, match: {path_suffixes: [.conf]}}\n"
		"  - {name: both, match: {use: [etc, conf]}}\n"
		"rules:\n"
		"  - {name: all, event: file_open, match: {use: [both], "
		"comms: [cat]}}\n"
		"  - {name: any, event: file_open, match: {use_any: "
		"[etc, conf]}}\n"
		"  - name: except\n"
		"    event: file_open\n"
		"    match: {use: [etc]}\n"
		"    exceptions: [{use: [conf]}]\n");

	t_eq(rig_opened(rig, "/etc/a.conf"), 2);
	t_eq(rig->hits[0].rule, 0);
	t_eq(rig->hits[1].rule, 1);
	t_eq(rig_opened(rig, "/etc/a"), 2);
	t_eq(rig->hits[0].rule, 1);
	t_eq(rig->hits[1].rule, 2);
	t_eq(rig_opened(rig, "/a.conf"), 1);
	t_eq(rig->hits[0].rule, 1);
	t_eq(rig_opened(rig, "/a"), 0);
}

static void what_a_macro_does_not_know_is_not_known(void)
{
	sn_cleanup(rig_freep) struct rig *rig = rig_new(
		"macros:\n"
		"  - {name: dpkg, match: {executables: [/bin/dpkg]}}\n"
		"rules:\n"
		"  - name: x\n"
		"    event: file_open\n"
		"    exceptions: [{use_any: [dpkg]}]\n"
		"  - {name: y, event: file_open, match: {use: [dpkg]}}\n");

	t_eq(rig_judge(rig), 1);
	rig->executable.path = rig_text("/bin/dpkg");
	t_eq(rig_judge(rig), 1);
	t_eq(rig->hits[0].rule, 1);
	rig->process.executable = NULL;
	t_eq(rig_judge(rig), 2);
}

static void macro_that_is_used_often_is_judged_once(void)
{
	enum { DEEP = 200 };
	char text[32 * 1024];
	size_t n = (size_t)snprintf(
		text, sizeof(text),
		"macros:\n- {name: m0, match: {parent_comms: [x]}}\n");
	sn_cleanup(rig_freep) struct rig *rig = NULL;

	/* 2^200 ways lead to the first one. */
	for (int i = 1; i < DEEP; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "- {name: m%d, match: {use_any: [m%d, "
				      "m%d]}}\n",
				      i, i - 1, i - 1);
	n += (size_t)snprintf(text + n, sizeof(text) - n,
			      "rules:\n- {name: x, event: file_open, match: "
			      "{use: [m%d]}}\n",
			      DEEP - 1);
	rig = rig_new(text);
	t_eq(rig_judge(rig), 0);
	t_eq(rig->n_asked, 1);
	rig->parent.comm = rig_text("x");
	t_eq(rig_judge(rig), 1);
}

static void kernel_decides_by_what_is_used(void)
{
	sn_cleanup(rig_freep) struct rig *rig =
		rig_new("macros:\n"
			"  - {name: ssh, match: {path_globs: "
			"[\"/home/*/.ssh/**\"]}}\n"
			"  - {name: root, match: {uids: [0], use: [ssh]}}\n"
			"  - {name: me, match: {comms: [me]}}\n"
			"rules:\n"
			"  - {name: x, event: file_open, match: {use: [root], "
			"use_any: [me]}}\n");
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *wanted =
		NULL;
	const struct cp_runtime_rule *rule;
	struct sn_diag diag;

	t_eq(cp_runtime_rules_new(&wanted), 0);
	t_eq(cp_rules_put_wanted(rig->rules, wanted, NULL, &diag), 0);
	rule = cp_runtime_rules_get(wanted, 0);
	t_eq(rule->fields, 1U << SN_RT_FIELD_EVENT | 1U << SN_RT_FIELD_PATH |
				   1U << SN_RT_FIELD_UID);
	for (size_t i = 0; i < rule->n_terms; i++) {
		if (rule->terms[i].field == SN_RT_FIELD_PATH)
			t_mem_eq(rule->terms[i].path, "/home", 6);
	}
}

T_MAIN("rules_match", accesses_are_those_of_an_open,
       modes_are_any_of_their_bits, requests_are_those_of_ptrace,
       kinds_are_those_of_the_file_and_of_the_executable,
       calls_pods_and_namespaces_are_whole_words,
       containers_are_ids_any_and_none, globs_are_of_absolute_paths,
       addresses_are_of_the_other_end_but_bound_ones,
       a_destination_has_the_names_by_which_it_was_learnt,
       a_wildcard_is_the_name_and_what_is_below,
       names_are_asked_for_once_and_only_for_their_rules,
       ports_are_of_the_destination, lists_stand_for_their_values,
       macros_are_used_all_or_any, what_a_macro_does_not_know_is_not_known,
       macro_that_is_used_often_is_judged_once, kernel_decides_by_what_is_used)
