// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/allow.h"

#include "controld/ctl/run/bound.h"
#include "controld/ctl/run/channel.h"
#include "controld/ctl/run/wait.h"
#include "controld/policy/file.h"
#include "test/unit/t.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void destinations_become_rules(void)
{
	static const struct {
		const char *text, *cidr, *domain;
		bool has_subdomains;
		const char *ports; /* joined */
	} cases[] = {
		{ "example.com", NULL, "example.com", false, "" },
		{ "example.com:443", NULL, "example.com", false, "443" },
		{ "*.example.com:443/tcp,80", NULL, "example.com", true,
		  "443/tcp,80" },
		{ "192.0.2.1", "192.0.2.1", NULL, false, "" },
		{ "10.0.0.0/8:5432/tcp", "10.0.0.0/8", NULL, false,
		  "5432/tcp" },
		{ "2001:db8::/32", "2001:db8::/32", NULL, false, "" },
		{ "[2001:db8::/32]", "2001:db8::/32", NULL, false, "" },
		{ "[2001:db8::1]:53/udp", "2001:db8::1", NULL, false,
		  "53/udp" },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		sn_cleanup(cp_policy_file_freep)
			Sentinel__V1__Policy *policy = cp_ctl_run_allow_new();
		struct sn_diag diag = { .text = "" };
		char joined[64] = "", **ports;
		size_t n;

		t_eq(cp_ctl_run_allow_add(policy, cases[i].text, &diag), 0);
		t_eq(policy->n_rules, cases[i].cidr ? 1 : 0);
		if (cases[i].cidr) {
			t_str_eq(policy->rules[0]->cidr, cases[i].cidr);
			ports = policy->rules[0]->ports;
			n = policy->rules[0]->n_ports;
		} else {
			t_eq(policy->dns->n_domains, 1);
			t_str_eq(policy->dns->domains[0]->domain,
				 cases[i].domain);
			t_eq(policy->dns->domains[0]->subdomains,
			     cases[i].has_subdomains);
			ports = policy->dns->domains[0]->ports;
			n = policy->dns->domains[0]->n_ports;
		}
		for (size_t j = 0; j < n; j++) {
			(void)strcat(joined, j ? "," : "");
			(void)strcat(joined, ports[j]);
		}
		t_str_eq(joined, cases[i].ports);
	}
}

static void what_is_no_destination_is_refused(void)
{
	static const char *const texts[] = {
		"",
		":",
		":443",
		"*.",
		"*",
		"example.com:",
		"example.com:0",
		"example.com:443/x",
		"10.0.0.1/8",
		"*.10.0.0.0/8",
		"[2001:db8::1",
		"[2001:db8::1]443",
		"http://a.test",
		"a..b",
		"1.2.3.4.5",
		"a.test:1,2,3,4,5,6,7,8,9",
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(texts); i++) {
		sn_cleanup(cp_policy_file_freep)
			Sentinel__V1__Policy *policy = cp_ctl_run_allow_new();
		struct sn_diag diag = { .text = "" };

		if (cp_ctl_run_allow_add(policy, texts[i], &diag) !=
		    CP_CTL_RUN_ALLOW_E_REFUSED)
			t_fail("'%s' is taken", texts[i]);
		t_true(diag.text[0]);
		t_eq(policy->n_rules, 0);
		t_true(!policy->dns || policy->dns->n_domains == 0);
	}
}

static void long_texts_come_in_several_records(void)
{
	static char text[CP_CTL_RUN_CHANNEL_BYTES + 3];
	struct cp_ctl_run_channel_record record;
	int ends[2];

	(void)memset(text, 'x', sizeof(text) - 1);
	t_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	t_eq(cp_ctl_run_channel_send(ends[0], CP_CTL_RUN_CHANNEL_REPORT, text),
	     0);
	t_eq(cp_ctl_run_channel_receive(ends[1], &record), 0);
	t_eq(record.kind, CP_CTL_RUN_CHANNEL_REPORT);
	t_eq(strlen(record.text), CP_CTL_RUN_CHANNEL_BYTES);
	t_eq(cp_ctl_run_channel_receive(ends[1], &record), 0);
	t_str_eq(record.text, "xx");
	(void)close(ends[0]);
	t_eq(cp_ctl_run_channel_receive(ends[1], &record), 0);
	t_eq(record.kind, CP_CTL_RUN_CHANNEL_NONE);
	(void)close(ends[1]);
}

/* A folder that has the files of a cgroup. */

static struct cp_ctl_run_group make_group(void)
{
	struct cp_ctl_run_group group = { .path = "/tmp/test_ctl_run.XXXXXX" };

	t_not_null(mkdtemp(group.path));
	group.fd = open(group.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t_true(group.fd >= 0);
	return group;
}

static void put_file(const struct cp_ctl_run_group *group, const char *name,
		     const char *line, size_t n)
{
	int fd = openat(group->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	t_true(fd >= 0);
	for (size_t i = 0; i < n; i++)
		t_eq(write(fd, line, strlen(line)), strlen(line));
	(void)close(fd);
}

static void file_is(const struct cp_ctl_run_group *group, const char *name,
		    const char *wanted)
{
	int fd = openat(group->fd, name, O_RDONLY | O_CLOEXEC);
	char text[32] = "";

	t_true(fd >= 0);
	t_true(read(fd, text, sizeof(text) - 1) >= 0);
	(void)close(fd);
	t_str_eq(text, wanted);
}

static void remove_group(const struct cp_ctl_run_group *group)
{
	static const char *const names[] = { "pids.max", "pids.events",
					     "cgroup.threads" };

	for (size_t i = 0; i < SN_ARRAY_SIZE(names); i++)
		(void)unlinkat(group->fd, names[i], 0);
	(void)close(group->fd);
	t_eq(rmdir(group->path), 0);
}

static void the_kernel_gets_the_limit_where_it_takes_one(void)
{
	const struct cp_ctl_run_group group = make_group();
	struct cp_ctl_run_bound bound;

	t_eq(cp_ctl_run_bound_set(&group, 7), CP_CTL_RUN_BOUND_E_UNAVAILABLE);
	put_file(&group, "pids.max", "", 0);
	/* Nothing is counted: there is nothing to count. */
	t_eq(cp_ctl_run_bound_start(&bound, &group, 4194304), 0);
	file_is(&group, "pids.max", "4194304");
	t_eq(cp_ctl_run_bound_count_refused(&bound), 0);
	put_file(&group, "pids.events", "max 31\n", 1);
	t_eq(cp_ctl_run_bound_count_refused(&bound), 31);
	t_true(!atomic_load(&bound.was_exceeded));
	remove_group(&group);
}

static void no_limit_is_left_as_it_is(void)
{
	const struct cp_ctl_run_group group = make_group();
	struct cp_ctl_run_bound bound;

	put_file(&group, "pids.max", "max\n", 1);
	t_eq(cp_ctl_run_bound_start(&bound, &group, 0), 0);
	file_is(&group, "pids.max", "max\n");
	remove_group(&group);
}

/* More than one read gives. */
static void threads_are_counted_up_to_the_limit(void)
{
	const struct cp_ctl_run_group group = make_group();

	t_true(!cp_ctl_run_bound_is_kept(&group, 1));
	put_file(&group, "cgroup.threads", "4194304\n", 0);
	t_true(cp_ctl_run_bound_is_kept(&group, 1));
	put_file(&group, "cgroup.threads", "4194304\n", 2000);
	t_true(cp_ctl_run_bound_is_kept(&group, 2000));
	t_true(!cp_ctl_run_bound_is_kept(&group, 1999));
	remove_group(&group);
}

/* What sentinelctl exits with when the supervisor said what it says, and the
 * command had died of the signal by then. */
static int wait_beside(enum cp_ctl_run_channel_kind said, int number)
{
	struct cp_ctl_session session = { .name = "run", .errors = tmpfile() };
	struct cp_ctl_run_wait run = { .channel = -1 };
	siginfo_t info;
	int ends[2], status;

	t_not_null(session.errors);
	t_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	t_eq(cp_ctl_run_wait_begin(&run), 0);
	run.channel = ends[0];
	run.child = fork();
	t_true(run.child >= 0);
	if (run.child == 0) {
		(void)sigprocmask(SIG_SETMASK, &run.before, NULL);
		for (;;)
			(void)pause();
	}
	t_eq(kill(run.child, number), 0);
	t_eq(waitid(P_PID, (id_t)run.child, &info, WEXITED | WNOWAIT), 0);
	if (said != CP_CTL_RUN_CHANNEL_NONE)
		t_eq(cp_ctl_run_channel_send(ends[1], said, ""), 0);
	(void)close(ends[1]);
	status = cp_ctl_run_wait_child(&run, &session);
	t_eq(run.child, 0);
	cp_ctl_run_wait_end(&run);
	(void)close(ends[0]);
	(void)fclose(session.errors);
	return status;
}

/* Both are there when sentinelctl looks: the end and the command's. */
static void status_is_the_commands_also_when_the_supervisor_ends(void)
{
	t_eq(wait_beside(CP_CTL_RUN_CHANNEL_END, SIGKILL), 128 + SIGKILL);
	t_eq(wait_beside(CP_CTL_RUN_CHANNEL_END, SIGUSR1), 128 + SIGUSR1);
	t_eq(wait_beside(CP_CTL_RUN_CHANNEL_NONE, SIGKILL), CP_CTL_EXIT_FAILED);
}

T_MAIN("ctl_run", destinations_become_rules, what_is_no_destination_is_refused,
       long_texts_come_in_several_records,
       the_kernel_gets_the_limit_where_it_takes_one, no_limit_is_left_as_it_is,
       threads_are_counted_up_to_the_limit,
       status_is_the_commands_also_when_the_supervisor_ends)
