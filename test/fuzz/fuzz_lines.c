/* SPDX-License-Identifier: Apache-2.0 */

/* Whatever a file of events is: reading it ends, each event is one of a process,
 * and a refusal has a line and a reason. */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "controld/ctl/lines.h"
#include "test/fuzz/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(struct cp_ctl_lines *lines,
		    const struct cp_ctl_lines_event *event)
{
	const Sentinel__V1__RuntimeProcess *process = event->message->process;
	const Sentinel__V1__RuntimeProcess *parent;

	ensure(process != NULL, "an event of nobody");
	ensure(!event->expected || json_is_array(event->expected),
	       "what is expected is no list");
	parent = cp_ctl_lines_get_parent(lines, process);
	ensure(!parent || (parent->pid == process->parent_pid &&
			   parent->start_ns == process->parent_start_ns),
	       "another process");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct cp_ctl_lines *lines = NULL;
	struct cp_ctl_lines_event event;
	char path[32];
	int r;

	if (fd < 0)
		fd = memfd_create("lines", MFD_CLOEXEC);
	ensure(fd >= 0 && ftruncate(fd, 0) == 0 &&
		       pwrite(fd, data, size, 0) == (ssize_t)size,
	       "no file");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ensure(cp_ctl_lines_open(&lines, path) == 0, "cannot open");
	while ((r = cp_ctl_lines_read(lines, &event)) == 0)
		look_at(lines, &event);
	ensure(r == CP_CTL_LINES_E_END || r == CP_CTL_LINES_E_REFUSED,
	       "a failure");
	ensure(r == CP_CTL_LINES_E_END || cp_ctl_lines_reason(lines)[0],
	       "a refusal without a reason");
	ensure(cp_ctl_lines_number(lines) > 0, "no line");
	(void)cp_ctl_lines_close(lines);
	return 0;
}
