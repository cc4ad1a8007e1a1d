/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* sentinelctl doctor: looks at everything that Sentinel needs, whether it runs
 * or not, and says what to do. Fails if something fails. */

#include "controld/ctl/session.h"

enum cp_ctl_exit cp_ctl_doctor_run(struct cp_ctl_session *session);
