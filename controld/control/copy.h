/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Options of a control plane's client that outlive whoever stated them: a
 * configuration is replaced by each reload. */

#include "controld/control/control.h"

/* Fills *ret; to be released also after a failure. */
int cp_control_copy_options(const struct cp_control_options *options,
			    struct cp_control_options *ret);
void cp_control_copy_done(struct cp_control_options *options);
