/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Policy files: YAML to the Policy message. Keys: mode, audit, inbound,
 * cidrs: [{allow|deny: PREFIX, ports: [SPEC, ...], ttl: DURATION}, ...], and
 * dns (file_dns.h).
 * Everything is checked here, so that a mistake is told with file and line;
 * strings go into the message as they were written. */

#include <stddef.h>

#include "controld/config/schema.h"
#include "sentinel/v1/policy.pb-c.h"
#include "shared/diag.h"
#include "shared/util.h"

/* Answers besides 0 and -errno. */
enum {
	CP_POLICY_FILE_E_REFUSED = 1, /* diag says where and why */
};

/* For the manual. */
extern const struct cp_config_schema_item cp_policy_file_items[];

/* file names the text in diag. An empty text is refused: an empty policy is
 * written `{}` or with its mode. */
int cp_policy_file_parse(const char *text, size_t size, const char *file,
			 Sentinel__V1__Policy **ret, struct sn_diag *diag);

/* diag is filled for -errno too if the file cannot be read. */
int cp_policy_file_load(const char *path, Sentinel__V1__Policy **ret,
			struct sn_diag *diag);

Sentinel__V1__Policy *cp_policy_file_free(Sentinel__V1__Policy *policy);
SN_DEFINE_CLEANUP(Sentinel__V1__Policy, cp_policy_file_free)
