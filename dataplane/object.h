/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The BPF objects: every map of shared/tables.def and every program of
 * shared/programs.def, loaded or adopted from pins. Those of runtime events are
 * an object of their own, only opened with --runtime; else, or if that fails, its
 * maps and programs are -1, and what an earlier start left of it is removed.
 *
 * Maps are made once, in `maps_new`, and become valid by the folder's rename
 * to `maps`. Programs are adopted if the pinned maps name the hash of the
 * object that is built in; else they are loaded into `programs_new`, the caller
 * moves the links over, and dp_object_commit() makes them the valid ones. A
 * process that dies on the way leaves a hash of zero, which fits no object. */

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/options.h"
#include "dataplane/pins.h"
#include "shared/tables.h"

struct dp_object {
	const struct dp_pins *pins;
	uint32_t n_slots;
	uint32_t n_cpus;
	int maps[SN_TABLE_COUNT]; /* fds */
	uint32_t capacity[SN_TABLE_COUNT];
	/* Writable memory of the arrays that sentinel-dp writes, else NULL. */
	void *memory[SN_TABLE_COUNT];
	size_t memory_bytes[SN_TABLE_COUNT];
	int programs[SN_PROGRAM_COUNT]; /* fds, -1: did not load */
	uint32_t program_ids[SN_PROGRAM_COUNT];
	int program_errors[SN_PROGRAM_COUNT]; /* 0 or an errno */
	int variables; /* the map of the programs' writable variables, or -1 */
	bool replaced; /* programs are new, links have to be moved */
	/* The same of the runtime object; its programs have an instance behind
	 * that of sn_rt_host and of all pins (dp_pins_pass_instances). */
	bool runtime_replaced;
	bool runtime; /* it is open */
	bool runtime_fexit; /* programs on functions are tried */
	bool runtime_compat; /* the one for 32-bit calls is */
};

/* Returns 0, or -errno and *diag; what is enforced goes on either way. On
 * failure *object is closed. */
int dp_object_open(struct dp_object *object, const struct dp_pins *pins,
		   const struct dp_options *options, struct sn_diag *diag);

/* After the links have been moved to new programs; no-op otherwise. */
int dp_object_commit(struct dp_object *object);

/* Closes fds and mappings; pins stay. */
void dp_object_done(struct dp_object *object);

/* Sets the task that sn_task_cgroups looks for. */
int dp_object_set_task(struct dp_object *object, uint32_t pid);
