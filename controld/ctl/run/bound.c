// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/bound.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	/* What forks as fast as it can makes some hundreds in that time. */
	WATCH_MS = 100,
	READ_BYTES = 4096,
};

int cp_ctl_run_bound_set(const struct cp_ctl_run_group *group, uint64_t limit)
{
	int fd = openat(group->fd, "pids.max", O_WRONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? CP_CTL_RUN_BOUND_E_UNAVAILABLE :
					 -errno;
	if (dprintf(fd, "%" PRIu64, limit) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

bool cp_ctl_run_bound_is_kept(const struct cp_ctl_run_group *group,
			      uint64_t limit)
{
	int fd = openat(group->fd, "cgroup.threads", O_RDONLY | O_CLOEXEC);
	char text[READ_BYTES];
	uint64_t n = 0;
	ssize_t size = 1;

	if (fd < 0)
		return false;
	while (n <= limit && (size = read(fd, text, sizeof(text))) > 0) {
		for (ssize_t i = 0; i < size; i++)
			n += text[i] == '\n';
	}
	(void)close(fd);
	return size >= 0 && n <= limit;
}

static void *watch(void *userdata)
{
	struct cp_ctl_run_bound *bound = userdata;

	while (cp_ctl_run_bound_is_kept(&bound->group, bound->limit))
		(void)poll(NULL, 0, WATCH_MS);
	atomic_store(&bound->was_exceeded, true);
	(void)cp_ctl_run_group_kill(&bound->group);
	return NULL;
}

int cp_ctl_run_bound_start(struct cp_ctl_run_bound *bound,
			   const struct cp_ctl_run_group *group, uint64_t limit)
{
	int r;

	bound->group = *group;
	bound->limit = limit;
	atomic_store(&bound->was_exceeded, false);
	if (limit == 0)
		return 0;
	r = cp_ctl_run_bound_set(group, limit);
	if (r != CP_CTL_RUN_BOUND_E_UNAVAILABLE)
		return r;
	return -pthread_create(&bound->thread, NULL, watch, bound);
}

/* pids.events is "max COUNT". */
uint64_t cp_ctl_run_bound_count_refused(const struct cp_ctl_run_bound *bound)
{
	int fd = openat(bound->group.fd, "pids.events", O_RDONLY | O_CLOEXEC);
	char text[READ_BYTES] = "";
	const char *at;

	if (fd < 0)
		return 0;
	(void)!read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	at = strstr(text, "max ");
	return at ? strtoull(at + 4, NULL, 10) : 0;
}

void cp_ctl_run_bound_tell(const struct cp_ctl_run_bound *bound,
			   struct cp_ctl_session *session)
{
	uint64_t n_refused = cp_ctl_run_bound_count_refused(bound);

	if (atomic_load(&bound->was_exceeded))
		(void)fprintf(session->errors,
			      "sentinelctl: run: the command had more than "
			      "%" PRIu64 " processes and threads, so it was "
			      "killed; --pids-limit allows more\n",
			      bound->limit);
	else if (n_refused)
		(void)fprintf(session->errors,
			      "sentinelctl: run: %" PRIu64 " forks were "
			      "refused: the command had all the %" PRIu64
			      " processes and threads that it may have; "
			      "--pids-limit allows more\n",
			      n_refused, bound->limit);
}
