/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The upstream servers of the configuration, each asked once. */

#include "controld/ctl/doctor/findings.h"

void cp_ctl_doctor_names_look(struct cp_ctl_doctor_findings *findings);
