/* SPDX-License-Identifier: Apache-2.0 */

/* bench-rules ROUNDS: what a set of detection rules costs an event. Sets of 0, 1,
 * 50, 500 and 1,000 rules of mixed kinds take turns; events are opens, writes,
 * executions and connections of many programs, of which few hit. Prints a JSON
 * line for each set: nanoseconds of CPU time an event, by round, and the hits of a round. */

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controld/rules/state.h"

enum {
	SETS = 5,
	EVENTS = 512, /* different ones */
	STEPS = 40000, /* judged in a round */
	TEXT_BYTES = 1 << 19,
	PATH_BYTES = 128,
	ROUNDS_MAX = 101,
};

static const int set_sizes[SETS] = { 0, 1, 50, 500, 1000 };

static struct event {
	Sentinel__V1__RuntimeEvent event;
	Sentinel__V1__RuntimeProcess process;
	Sentinel__V1__RuntimeFile file;
	Sentinel__V1__RuntimeFile executable;
	Sentinel__V1__RuntimeAddress remote;
	char path[PATH_BYTES];
	char exe[PATH_BYTES];
	char comm[16];
	char cgroup[PATH_BYTES];
} events[EVENTS];

static struct set {
	struct cp_rules *rules;
	struct cp_rules_state *state;
	uint64_t n_hits; /* of the last round */
	double ns[ROUNDS_MAX];
} sets[SETS];

/* One rule of each kind in turn; numbers make them differ. */
static size_t put_rule(char *text, size_t room, int i)
{
	static const char *const kinds[] = {
		"events: [file_open, file_write], match: {path_prefixes: "
		"[/srv/app%d/data, /var/lib/app%d]}",
		"event: file_open, match: {paths: [/etc/app%d/secret], "
		"accesses: [read]}, exceptions: [{executables: "
		"[/usr/bin/app%d]}]",
		"event: process_exec, match: {executables: [/opt/app%d], uids: "
		"[0, %d]}",
		"event: file_write, match: {path_globs: "
		"[\"/home/*/.app%d/**/*.key\", \"/var/cache/app%d/*/x?\"]}",
		"event: file_open, match: {comms: [app%d, tool%d], "
		"path_suffixes: [.conf, .key]}",
		"event: net_connect, match: {cidrs: [203.0.113.0/24], ports: "
		"[%d/tcp], cgroups: [/app.slice/app%d.service]}",
		"events: [file_open, file_rename], match: {use: [secret], "
		"comms: [cat%d, tac%d]}",
		"event: process_exec, match: {paths: [/usr/bin/tool%d], "
		"parent_comms: [app%d]}",
	};
	size_t n = (size_t)snprintf(text, room, "- {name: r%d, ", i);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	n += (size_t)snprintf(text + n, room - n,
			      kinds[(size_t)i % SN_ARRAY_SIZE(kinds)], i + 1,
			      i + 1);
#pragma GCC diagnostic pop
	return n + (size_t)snprintf(text + n, room - n, "}\n");
}

static void load(struct set *set, int n_rules)
{
	char *text = malloc(TEXT_BYTES);
	struct sn_diag diag = { .text = "" };
	size_t n;

	if (!text)
		errx(1, "no memory");
	n = (size_t)snprintf(text, TEXT_BYTES,
			     "macros: [{name: secret, match: {path_prefixes: "
			     "[/etc/secrets, /root]}}]\nrules:%s\n",
			     n_rules ? "" : " []");
	for (int i = 0; i < n_rules; i++)
		n += put_rule(text + n, TEXT_BYTES - n, i);
	if (cp_rules_load(&set->rules, text, n, "rules", &diag) ||
	    cp_rules_state_new(&set->state, set->rules))
		errx(1, "line %u: %s", diag.line, diag.text);
	free(text);
}

static void make_event(struct event *e, int i)
{
	static const char *const kinds[] = { "file_open", "file_open",
					     "file_write", "process_exec",
					     "net_connect" };
	static const char *const paths[] = {
		"/usr/lib/x86_64-linux-gnu/lib%d.so.6",
		"/srv/app%d/current/public/index.html",
		"/home/user%d/.cache/browser/entry/data",
		"/etc/app%d/settings.conf",
		"/proc/%d/status",
		"/var/log/app%d/access.log",
		"/etc/app%d/secret",
	};

	sentinel__v1__runtime_event__init(&e->event);
	sentinel__v1__runtime_process__init(&e->process);
	sentinel__v1__runtime_file__init(&e->file);
	sentinel__v1__runtime_file__init(&e->executable);
	sentinel__v1__runtime_address__init(&e->remote);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(e->path, sizeof(e->path),
		       paths[(size_t)i % SN_ARRAY_SIZE(paths)], i);
#pragma GCC diagnostic pop
	(void)snprintf(e->exe, sizeof(e->exe), "/usr/bin/program%d", i % 50);
	(void)snprintf(e->comm, sizeof(e->comm), "program%d", i % 50);
	(void)snprintf(e->cgroup, sizeof(e->cgroup),
		       "/system.slice/program%d.service", i % 50);
	e->event.event =
		(char *)(uintptr_t)kinds[(size_t)i % SN_ARRAY_SIZE(kinds)];
	e->event.process = &e->process;
	e->process.pid = (uint32_t)i;
	e->process.uid = (uint32_t)i % 3 * 1000;
	e->process.comm = e->comm;
	e->process.cgroup = e->cgroup;
	e->process.executable = &e->executable;
	e->executable.path = e->exe;
	e->executable.inode = 1;
	if (strcmp(e->event.event, "net_connect") == 0) {
		static char address[] = "198.51.100.7";

		e->event.remote = &e->remote;
		e->remote.address = address;
		e->remote.port = 443;
		e->remote.protocol = 6;
		return;
	}
	e->event.file = &e->file;
	e->file.path = e->path;
	e->file.inode = 2;
}

static void count(void *userdata, const struct cp_rules_hit *hit)
{
	struct set *set = userdata;

	(void)hit;
	set->n_hits++;
}

/* Of this process: others have the CPU too. */
static uint64_t now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * SN_NS_PER_S + (uint64_t)time.tv_nsec;
}

static void measure(struct set *set, int round)
{
	struct cp_rules_subject subject = { .event = NULL };
	uint64_t begin = now();

	set->n_hits = 0;
	for (int i = 0; i < STEPS; i++) {
		subject.event = &events[i % EVENTS].event;
		(void)cp_rules_state_judge(set->state, &subject, begin, count,
					   set);
	}
	set->ns[round] = (double)(now() - begin) / STEPS;
}

int main(int argc, char **argv)
{
	int n_rounds = argc == 2 ? atoi(argv[1]) : 0;

	if (n_rounds < 1 || n_rounds > ROUNDS_MAX)
		errx(1, "usage: bench-rules ROUNDS");
	for (int i = 0; i < EVENTS; i++)
		make_event(&events[i], i);
	for (int i = 0; i < SETS; i++)
		load(&sets[i], set_sizes[i]);
	for (int round = 0; round < n_rounds; round++) {
		for (int i = 0; i < SETS; i++)
			measure(&sets[i], round);
	}
	for (int i = 0; i < SETS; i++) {
		(void)printf("{\"rules\": %d, \"hits\": %llu, \"samples\": [",
			     set_sizes[i], (unsigned long long)sets[i].n_hits);
		for (int round = 0; round < n_rounds; round++)
			(void)printf("%s%.1f", round ? ", " : "",
				     sets[i].ns[round]);
		(void)printf("]}\n");
		(void)cp_rules_state_free(sets[i].state);
		(void)cp_rules_unref(sets[i].rules);
	}
	return 0;
}
