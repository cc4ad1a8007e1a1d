/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The attachment manager: owns every attachment, its policy, and the link to
 * sentinel-dp. The policy of an attachment is the one last acknowledged; the
 * kernel is made to agree with it, before the answer of a change and again
 * after each loss of the link.
 *
 * Changes are operations with a callback, which comes exactly once after the
 * call returned 0, from the loop and never from within the call. Those of one
 * attachment run one after the other, those of different ones in parallel. A
 * change that fails leaves policy, kernel and state file as they were. The
 * calls return 0, -ENOMEM, or -ENOBUFS when too many operations wait. */

#include <uv.h>

#include "controld/attach/info.h"
#include "controld/dns/learnt.h"
#include "controld/policy/policy.h"
#include "controld/state/state.h"
#include "shared/diag.h"

struct cp_attach;

enum {
	CP_ATTACH_ID_CHARS = 2 * SN_ID_BYTES,
	CP_ATTACH_METADATA_MAX = 64,
	CP_ATTACH_TARGET_BYTES = 4096, /* PATH_MAX */
	/* Operations that may wait or run, of all attachments. */
	CP_ATTACH_OPS_MAX = 16384,
	/* Those that run at one time, so that their requests (up to eight
	 * each) fit the link's queue. */
	CP_ATTACH_RUNNING_MAX = 256,
};

enum cp_attach_code {
	CP_ATTACH_CODE_OK,
	CP_ATTACH_CODE_INVALID, /* diag.field says what */
	CP_ATTACH_CODE_NOT_FOUND,
	CP_ATTACH_CODE_EXISTS,
	CP_ATTACH_CODE_PRECONDITION, /* target or host do not allow it */
	CP_ATTACH_CODE_EXHAUSTED, /* a table or limit is full */
	CP_ATTACH_CODE_UNAVAILABLE, /* sentinel-dp is away or being reconciled */
	CP_ATTACH_CODE_INTERNAL,
};

/* Which fields mean something depends on the operation. */
struct cp_attach_result {
	enum cp_attach_code code;
	struct sn_diag diag; /* text says why code is not OK */
	char id[CP_ATTACH_ID_CHARS + 1];
	uint32_t generation;
	uint32_t added;
	uint32_t removed;
	uint32_t unchanged;
	uint32_t rule_id;
	bool replaced;
	uint64_t revision; /* the control plane's that is in force */
	bool is_repeated; /* remote: not above it, so not done again */
};

typedef void (*cp_attach_done)(void *userdata,
			       const struct cp_attach_result *result);

struct cp_attach_options {
	uv_loop_t *loop;
	const char *socket_path; /* of sentinel-dp */
	struct cp_state *store;
	uint64_t reconnect_min_ns;
	uint64_t reconnect_max_ns;
	uint64_t collect_interval_ms;
	uint64_t max_attachments;
	uint64_t max_rules;
	uint32_t flow_quota;
	struct cp_dns_learnt_limits learnt; /* of one attachment; seed: any */
	const char *learnt_path; /* learnt.pb; NULL: names are not kept */
	/* CLOCK_BOOTTIME; NULL: the machine's. For tests. */
	uint64_t (*now_ns)(void);
};

/* What attach asks for; strings and pairs are copied. */
struct cp_attach_request {
	enum sn_target_type type;
	const char *target; /* interface name or absolute path */
	enum sn_role role; /* NONE: by the kind of interface */
	struct cp_attach_pair *metadata;
	size_t n_metadata;
	struct cp_policy *policy; /* taken, also on failure */
};

/* Takes over the attachments of the state file and connects. diag is filled
 * when an attachment there cannot be read. */
int cp_attach_new(struct cp_attach **ret,
		  const struct cp_attach_options *options,
		  struct sn_diag *diag);

/* Takes over collect_interval_ms, max_attachments, max_rules, flow_quota and
 * learnt; the middle two count for what is attached or applied from now on. */
void cp_attach_reload(struct cp_attach *manager,
		      const struct cp_attach_options *options);

/* Ends operations (UNAVAILABLE), closes the link and frees everything, then
 * calls closed from the loop. Enforcement goes on. */
void cp_attach_close(struct cp_attach *manager, void (*closed)(void *userdata),
		     void *userdata);

/* Also -EDQUOT: as many as there may be. */
int cp_attach_add(struct cp_attach *manager,
		  const struct cp_attach_request *request, cp_attach_done done,
		  void *userdata);
int cp_attach_remove(struct cp_attach *manager, const char *id,
		     cp_attach_done done, void *userdata);

/* Replaces the policy; takes it, also on failure. Rules equal to present ones
 * keep their ids. dry_run: checks and compares only. */
int cp_attach_apply(struct cp_attach *manager, const char *id,
		    struct cp_policy *policy, bool dry_run, cp_attach_done done,
		    void *userdata);
int cp_attach_set_mode(struct cp_attach *manager, const char *id,
		       enum sn_mode mode, bool audit, cp_attach_done done,
		       void *userdata);
/* Closes what is about to end. As cp_attach_remove(), also under a control
 * plane. */
int cp_attach_block_all(struct cp_attach *manager, const char *id,
			cp_attach_done done, void *userdata);

/* One rule more; its TTL runs from the moment it takes effect. */
int cp_attach_add_rule(struct cp_attach *manager, const char *id,
		       const struct cp_policy_rule *rule, cp_attach_done done,
		       void *userdata);
/* Every rule of the prefix with the owner of rule; with ports, only rules of
 * exactly these. result.removed counts them; NOT_FOUND if there are none. */
int cp_attach_remove_rules(struct cp_attach *manager, const char *id,
			   const struct cp_policy_rule *rule,
			   cp_attach_done done, void *userdata);

/* Attachments in the order of their ids; a call later the pointers may be
 * gone. after: an id or any text, NULL for the first one. */
const struct cp_attach_item *cp_attach_get(struct cp_attach *manager,
					   const char *id);
const struct cp_attach_item *cp_attach_get_next(struct cp_attach *manager,
						const char *after);

/* CLOCK_BOOTTIME as the manager sees it. */
uint64_t cp_attach_now(const struct cp_attach *manager);
