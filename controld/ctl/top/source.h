/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Samples from the daemon, over a connection that may break and come back. */

#include "controld/ctl/session.h"
#include "controld/ctl/top/model.h"

struct cp_ctl_top_source {
	struct cp_ctl_session *session;
	char *cursor; /* of the last event that was read; NULL: none */
};

/* False: status->text says why; the model is as it was. */
bool cp_ctl_top_source_sample(struct cp_ctl_top_source *source,
			      struct cp_ctl_top_model *model,
			      struct cp_rpc_status *status);
void cp_ctl_top_source_done(struct cp_ctl_top_source *source);
