/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Words of requests, before anything is looked up. Pure. All fill diag, field
 * included, when they refuse. */

#include "controld/attach/attach.h"
#include "controld/dns/learnt.h"
#include "sentinel/v1/daemon.pb-c.h"
#include "shared/diag.h"

enum {
	CP_API_VALIDATE_E_INVALID = 1,
	CP_API_VALIDATE_KEY_BYTES = 63,
	CP_API_VALIDATE_VALUE_BYTES = 255,
	CP_API_VALIDATE_PAGE_DEFAULT = 100,
	CP_API_VALIDATE_PAGE_MAX = 1000,
	CP_API_VALIDATE_RULES_DEFAULT = 1000,
	CP_API_VALIDATE_RULES_MAX = 10000,
	CP_API_VALIDATE_LEARNT_TOKEN_BYTES =
		CP_POLICY_CIDR_TEXT_BYTES + CP_DNS_NAME_TEXT_BYTES + 1,
};

/* 32 lower-case hex digits. */
int cp_api_validate_id(const char *id, struct sn_diag *diag);
/* Up to 32 of them. */
int cp_api_validate_prefix(const char *prefix, struct sn_diag *diag);
/* 0 becomes the default. */
int cp_api_validate_page(uint32_t size, uint32_t fallback, uint32_t max,
			 uint32_t *ret, struct sn_diag *diag);
/* Tokens are an id (List) or the decimal number of a rule (GetRules). */
int cp_api_validate_rule_token(const char *token, uint32_t *ret,
			       struct sn_diag *diag);
/* ListLearnt: the address and the name of the last row. An empty token
 * begins (is_set false). The rest of *ret is zero. */
int cp_api_validate_learnt_token(const char *token, bool *is_set,
				 struct cp_dns_learnt_row *ret,
				 struct sn_diag *diag);
void cp_api_validate_make_learnt_token(
	const struct cp_dns_learnt_row *row,
	char token[CP_API_VALIDATE_LEARNT_TOKEN_BYTES]);

/* Target, role and metadata. pairs has CP_ATTACH_METADATA_MAX entries; what is
 * put in is borrowed from the message. ret->policy is not touched. */
int cp_api_validate_attach(const Sentinel__V1__AttachRequest *message,
			   struct cp_attach_request *ret,
			   struct cp_attach_pair *pairs, struct sn_diag *diag);

/* Mode and audit of an AttachRequest into its policy. */
int cp_api_validate_mode(const Sentinel__V1__AttachRequest *message,
			 struct cp_policy *policy, struct sn_diag *diag);
