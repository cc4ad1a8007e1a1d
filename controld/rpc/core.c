/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/core.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>

#include "shared/log.h"

/* The library reports what a peer did as errors, from its own threads, and
 * would write to stderr in a form of its own. */
static void forward(gpr_log_func_args *args)
{
	sn_log(SN_LOG_DEBUG, "grpc file=%s line=%d text=\"%s\"", args->file,
	       args->line, args->message);
}

void cp_rpc_core_init(void)
{
	gpr_set_log_function(forward);
	grpc_init();
}

void cp_rpc_core_done(void)
{
	grpc_shutdown();
}
