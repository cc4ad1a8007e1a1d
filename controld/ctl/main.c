// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "controld/ctl/commands.h"

int main(int argc, char **argv)
{
	return (int)cp_ctl_commands_run(argc, argv, getenv("SENTINEL_SOCKET"),
					stdout, stderr);
}
