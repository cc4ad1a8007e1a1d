/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Kernel, file systems, accounts and interfaces. */

#include "controld/ctl/doctor/findings.h"

void cp_ctl_doctor_host_look(struct cp_ctl_doctor_findings *findings);
