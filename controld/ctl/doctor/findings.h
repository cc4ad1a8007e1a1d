/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What sentinelctl doctor has found: one row for each thing that it looked at,
 * written when it is known. */

#include "controld/ctl/output.h"

enum cp_ctl_doctor_grade {
	CP_CTL_DOCTOR_OK,
	CP_CTL_DOCTOR_WARN, /* works, but not as it could */
	CP_CTL_DOCTOR_FAIL,
};

struct cp_ctl_doctor_findings {
	struct cp_ctl_session *session;
	unsigned int n[CP_CTL_DOCTOR_FAIL + 1];
	struct cp_ctl_output_array array; /* unless it is a table */
};

/* next: what to do about it, or NULL. */
void cp_ctl_doctor_findings_put(struct cp_ctl_doctor_findings *findings,
				enum cp_ctl_doctor_grade grade,
				const char *subject, const char *next,
				const char *format, ...)
	__attribute__((format(printf, 5, 6)));
