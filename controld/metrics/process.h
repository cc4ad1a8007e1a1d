/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Figures of this process, from /proc. */

#include "controld/metrics/page.h"

/* What cannot be read is left out. */
void cp_metrics_process_put(struct cp_metrics_page *page);
