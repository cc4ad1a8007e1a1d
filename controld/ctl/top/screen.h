/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `top` on a terminal, by ncurses. */

#include "controld/ctl/top/source.h"

/* Can this process have one? */
bool cp_ctl_top_screen_is_possible(void);

/* Until the operator quits. sort: at first. */
enum cp_ctl_exit cp_ctl_top_screen_run(struct cp_ctl_top_source *source,
				       struct cp_ctl_top_model *model,
				       enum cp_ctl_top_sort sort,
				       uint64_t interval_ms);
