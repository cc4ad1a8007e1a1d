/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a run did: names, gathered while it runs because what they opened
 * lapses, and counters at its end. */

#include "controld/ctl/run/bound.h"

struct cp_ctl_run_report;

int cp_ctl_run_report_new(struct cp_ctl_run_report **ret);
struct cp_ctl_run_report *
cp_ctl_run_report_free(struct cp_ctl_run_report *report);
SN_DEFINE_CLEANUP(struct cp_ctl_run_report, cp_ctl_run_report_free)

/* Takes in what names have opened up to now. */
enum cp_ctl_exit cp_ctl_run_report_gather(struct cp_ctl_run_report *report,
					  struct cp_ctl_session *session,
					  char *id);

/* To session->out, as text or as a JSON object. n_left: processes that were
 * there when the command had ended. */
enum cp_ctl_exit cp_ctl_run_report_print(struct cp_ctl_run_report *report,
					 struct cp_ctl_session *session,
					 const struct cp_ctl_run_bound *bound,
					 char *id, int n_left);
