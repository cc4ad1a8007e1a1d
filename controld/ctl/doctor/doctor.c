// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/doctor/doctor.h"

#include "controld/ctl/doctor/daemons.h"
#include "controld/ctl/doctor/hooks.h"
#include "controld/ctl/doctor/host.h"
#include "controld/ctl/doctor/names.h"

enum cp_ctl_exit cp_ctl_doctor_run(struct cp_ctl_session *session)
{
	struct cp_ctl_doctor_findings findings = { .session = session };

	if (session->options.json)
		findings.array = cp_ctl_output_begin(session);
	cp_ctl_doctor_host_look(&findings);
	cp_ctl_doctor_daemons_look(&findings);
	cp_ctl_doctor_hooks_look(&findings);
	cp_ctl_doctor_names_look(&findings);
	if (session->options.json)
		cp_ctl_output_end(&findings.array);
	else
		(void)fprintf(session->out, "\n%u ok, %u warn, %u fail\n",
			      findings.n[CP_CTL_DOCTOR_OK],
			      findings.n[CP_CTL_DOCTOR_WARN],
			      findings.n[CP_CTL_DOCTOR_FAIL]);
	return findings.n[CP_CTL_DOCTOR_FAIL] ? CP_CTL_EXIT_FAILED :
						CP_CTL_EXIT_OK;
}
