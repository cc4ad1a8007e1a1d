/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Detection rules in force: those of a file go into the kernel beside the
 * configuration's, and what they hit becomes findings. A file is taken as a whole
 * or not at all, between two events. All on the loop's thread. */

#include "controld/attach/attach.h"
#include "controld/findings/findings.h"
#include "controld/rules/state.h"

struct cp_findings_detection;

struct cp_findings_detection_options {
	struct cp_runtime *runtime;
	struct cp_findings *findings;
	struct cp_attach *manager;
	const struct cp_config_detection *config; /* until the next reload */
};

/* Answers besides 0 and -errno. */
enum {
	CP_FINDINGS_DETECTION_E_REFUSED = 1, /* *diag says where and why */
};

/* diag is filled for every failure but -ENOMEM. */
int cp_findings_detection_new(
	struct cp_findings_detection **ret,
	const struct cp_findings_detection_options *options,
	struct sn_diag *diag);
/* Before its runtime and its findings. Who still waits is told. */
struct cp_findings_detection *
cp_findings_detection_free(struct cp_findings_detection *detection);

/* Reads the file that the configuration names now. If it fails, as above, the
 * rules before stay, and cp_findings_detection_get_status() has the reason. */
int cp_findings_detection_load(struct cp_findings_detection *detection,
			       struct sn_diag *diag);
void cp_findings_detection_configure(struct cp_findings_detection *detection,
				     const struct cp_config_detection *config);

struct cp_findings_detection_status {
	const char *path; /* "": there is no file */
	size_t n_rules;
	size_t n_enabled;
	int64_t loaded_ns; /* Unix time */
	bool is_in_force; /* the kernel sends what they ask for */
	const char *error; /* of the last file, also by dp; "": none */
	uint64_t n_loaded; /* files, since the start */
	uint64_t n_refused;
};
void cp_findings_detection_get_status(
	const struct cp_findings_detection *detection,
	struct cp_findings_detection_status *ret);

/* NULL: there are none. */
const struct cp_rules *
cp_findings_detection_get_rules(const struct cp_findings_detection *detection);

struct cp_findings_detection_count {
	uint64_t n_hits;
	uint64_t n_limited; /* of these over the rate */
	int64_t last_ns; /* Unix time; 0: none */
};
/* index below the count of the rules. */
void cp_findings_detection_get_count(
	const struct cp_findings_detection *detection, size_t index,
	struct cp_findings_detection_count *ret);

/* Embedded in what waits for the kernel to have the rules. */
struct cp_findings_detection_waiter {
	LIST_ENTRY(cp_findings_detection_waiter) link;
	/* From the loop, once; it does not wait any more then. */
	void (*settled)(struct cp_findings_detection_waiter *waiter);
};

/* Returns false if there is nothing to wait for: it has them, or cannot have
 * them now. */
bool cp_findings_detection_wait(struct cp_findings_detection *detection,
				struct cp_findings_detection_waiter *waiter);
void cp_findings_detection_unwait(struct cp_findings_detection_waiter *waiter);
