/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/core.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <stdlib.h>

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
	/* The library has no setting for a minimum version of TLS. The suites
	 * of TLS 1.2 that are offered are this one alone, which needs a shared
	 * key that neither side has; so only 1.3 remains. */
	(void)setenv("GRPC_SSL_CIPHER_SUITES", "PSK-AES256-GCM-SHA384", 1);
	grpc_init();
}

void cp_rpc_core_done(void)
{
	grpc_shutdown();
}
