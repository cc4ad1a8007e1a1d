/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Programs of others on the hooks of what is attached. */

#include "controld/ctl/doctor/findings.h"

void cp_ctl_doctor_hooks_look(struct cp_ctl_doctor_findings *findings);
