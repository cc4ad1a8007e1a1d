// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

void cp_ctl_run_descriptors_close(int keep)
{
	unsigned int first = STDERR_FILENO + 1;

	if (keep >= (int)first) {
		if (keep > (int)first)
			(void)close_range(first, (unsigned int)keep - 1, 0);
		first = (unsigned int)keep + 1;
	}
	(void)close_range(first, UINT_MAX, 0);
}

int cp_ctl_run_descriptors_null(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return -errno;
	for (int i = STDIN_FILENO; r == 0 && i <= STDERR_FILENO; i++) {
		if (dup2(fd, i) < 0)
			r = -errno;
	}
	if (fd > STDERR_FILENO)
		(void)close(fd);
	return r;
}
