/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The client of a control plane as the configuration states it. */

#include "controld/config/config.h"
#include "controld/control/control.h"

/* options: loop, manager, daemon_id, version, visit_status, userdata; the rest
 * is filled from the configuration. *ret is NULL without a control plane. */
int cp_control_setup_new(struct cp_control **ret,
			 struct cp_control_options *options,
			 const struct cp_config *config);
