/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What convert.c and convert_dns.c say and read alike of a message's fields.
 * Refusals answer CP_POLICY_CONVERT_E_INVALID. */

#include "controld/policy/policy.h"
#include "sentinel/v1/policy.pb-c.h"
#include "shared/diag.h"

enum { CP_POLICY_FIELD_BYTES = SN_DIAG_FILE_BYTES };

/* "rules[3].cidr", without the dot if either is empty; cut if too long. Returns
 * buffer. */
const char *cp_policy_field_join(char buffer[CP_POLICY_FIELD_BYTES],
				 const char *field, const char *name);

/* Refuses with the text that a parser left in diag. */
int cp_policy_field_refuse(struct sn_diag *diag, const char *field,
			   const char *name);
/* Refuses what only answers have. */
int cp_policy_field_refuse_answer(struct sn_diag *diag, const char *field,
				  const char *name);

/* Of a rule that field names. */
int cp_policy_field_read_verdict(Sentinel__V1__Verdict message,
				 const char *field, enum sn_verdict *ret,
				 struct sn_diag *diag);
int cp_policy_field_read_ports(char *const *texts, size_t n_texts,
			       const char *field,
			       struct cp_policy_ports ret[CP_POLICY_PORTS_MAX],
			       uint8_t *n, struct sn_diag *diag);

/* As answers carry it. */
Sentinel__V1__Verdict cp_policy_field_to_verdict(uint8_t verdict);
