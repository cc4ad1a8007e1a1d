/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What others look at the daemon through, as configured: metrics and health. */

#include <uv.h>

#include "controld/config/config.h"
#include "controld/metrics/host.h"
#include "shared/diag.h"

struct cp_attach;
struct cp_monitor;
struct cp_rest;

struct cp_monitor_options {
	uv_loop_t *loop;
	struct cp_attach *manager;
	struct cp_metrics_host host;
	/* Where it is as long as it is there; it comes later and goes before. */
	struct cp_rest *const *rest;
	const struct cp_config *config; /* for the call */
};

int cp_monitor_new(struct cp_monitor **ret,
		   const struct cp_monitor_options *options);
/* Before what it looks at is closed. Then calls closed from the loop. */
void cp_monitor_close(struct cp_monitor *monitor,
		      void (*closed)(void *userdata), void *userdata);
