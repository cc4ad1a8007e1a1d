/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The daemons: processes, privileges, sockets, and what they say of themselves. */

#include "controld/ctl/doctor/findings.h"

void cp_ctl_doctor_daemons_look(struct cp_ctl_doctor_findings *findings);
