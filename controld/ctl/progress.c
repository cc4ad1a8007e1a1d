// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/progress.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
	PATIENCE_S = 1,
};

/* A thread, because the calls of gRPC block, and signals would end them. */
static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	const char *what;
	bool is_begun;
	bool is_over;
} progress = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.ended = PTHREAD_COND_INITIALIZER,
};

static void *wait_and_tell(void *userdata)
{
	struct timespec deadline;
	int r = 0;

	(void)userdata;
	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += PATIENCE_S;
	(void)pthread_mutex_lock(&progress.lock);
	while (!progress.is_over && r == 0)
		r = pthread_cond_timedwait(&progress.ended, &progress.lock,
					   &deadline);
	if (!progress.is_over)
		(void)fprintf(stderr, "sentinelctl: waiting for %s ...\n",
			      progress.what);
	(void)pthread_mutex_unlock(&progress.lock);
	return NULL;
}

void cp_ctl_progress_begin(const char *what)
{
	if (progress.is_begun || !isatty(STDERR_FILENO))
		return;
	progress.what = what;
	progress.is_over = false;
	progress.is_begun = pthread_create(&progress.thread, NULL,
					   wait_and_tell, NULL) == 0;
}

void cp_ctl_progress_end(void)
{
	if (!progress.is_begun)
		return;
	(void)pthread_mutex_lock(&progress.lock);
	progress.is_over = true;
	(void)pthread_cond_signal(&progress.ended);
	(void)pthread_mutex_unlock(&progress.lock);
	(void)pthread_join(progress.thread, NULL);
	progress.is_begun = false;
}
