/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the kernel would say to a new connection now, and by which entry. Block
 * and entries are read back from the kernel, not from the model, and judged by
 * controld/policy/match.h, so that a difference between the two shows. */

#include "controld/attach/attach.h"
#include "controld/policy/match.h"

struct cp_attach_explain_question {
	struct cp_dns_address remote;
	uint8_t protocol;
	uint16_t port; /* host order; 0 where the protocol has none */
};

struct cp_attach_explain_answer {
	/* OK; NOT_FOUND: it has ended meanwhile, or its target is not there;
	 * UNAVAILABLE: sentinel-dp is away, or the policy never stood still. */
	enum cp_attach_code code;
	struct sn_policy block; /* generation 0: no policy yet */
	uint32_t revision; /* in that generation */
	struct cp_policy_match_verdict verdict;
	/* The entry that has decided; if none did, the longest one around the
	 * address whose ports or life do not fit. */
	bool is_decided;
	bool has_entry;
	struct cp_policy_cidr prefix;
	struct sn_rule_item item;
};

typedef void (*cp_attach_explain_fn)(
	void *userdata, const struct cp_attach_explain_answer *answer);

/* After 0 fn is called once, from the loop and never within the call. -ENOENT,
 * -ENOTCONN (sentinel-dp is away, or the target is), -ENOBUFS, -ENOMEM. */
int cp_attach_explain(struct cp_attach *manager, const char *id,
		      const struct cp_attach_explain_question *question,
		      cp_attach_explain_fn fn, void *userdata);
