/* SPDX-License-Identifier: Apache-2.0 */

/* Whatever /proc says of a process: reading it stays within it, names end, and a
 * cgroup is a path of one line, or none. A process chooses its own name. */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/runtime/proc.h"
#include "test/fuzz/ensure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const char *text, struct cp_runtime_proc *proc)
{
	int r = cp_runtime_proc_parse_stat(text, proc);

	ensure(r == 0 || r == -EIO, "stat: another answer");
	ensure(r < 0 || memchr(proc->comm, '\0', sizeof(proc->comm)),
	       "a name without an end");
	r = cp_runtime_proc_parse_status(text, proc);
	ensure(r == 0 || r == -EIO, "status: another answer");
	cp_runtime_proc_parse_cgroup(text, proc);
	ensure(memchr(proc->cgroup, '\0', sizeof(proc->cgroup)) != NULL,
	       "a cgroup without an end");
	ensure(!proc->cgroup[0] || proc->cgroup[0] == '/', "no path");
	ensure(!strchr(proc->cgroup, '\n'), "a cgroup of two lines");
	ensure(!proc->cgroup[0] || strstr(text, proc->cgroup),
	       "a cgroup that is not there");
}

/* The name is the input, and nothing in it is taken for what follows it. */
static void read_name(const char *name)
{
	struct cp_runtime_proc proc;
	size_t size = strlen(name) + 256;
	char *text = malloc(size);

	ensure(text != NULL, "no memory");
	(void)snprintf(text, size,
		       "7 (%s) S 6 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 "
		       "12345 1 1\n",
		       name);
	ensure(cp_runtime_proc_parse_stat(text, &proc) == 0, "refused");
	ensure(proc.parent == 6 && proc.start_ticks == 12345,
	       "a name is taken for a number");
	ensure(strncmp(proc.comm, name, sizeof(proc.comm) - 1) == 0,
	       "another name");
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cp_runtime_proc proc;
	char *text = malloc(size + 1);

	ensure(text != NULL, "no memory");
	(void)memset(&proc, 'x', sizeof(proc));
	(void)memcpy(text, data, size);
	text[size] = '\0';
	read_all(text, &proc);
	read_name(text);
	free(text);
	return 0;
}
