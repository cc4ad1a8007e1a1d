// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/colour.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_colours(FILE *out)
{
	const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
	int fd = fileno(out);

	return fd >= 0 && isatty(fd) && !(none && *none) && terminal &&
	       strcmp(terminal, "dumb") != 0;
}

void cp_ctl_colour_begin(FILE *out, enum cp_ctl_colour colour)
{
	if (has_colours(out))
		(void)fprintf(out, "\033[%dm", (int)colour);
}

void cp_ctl_colour_end(FILE *out)
{
	if (has_colours(out))
		(void)fputs("\033[0m", out);
}
