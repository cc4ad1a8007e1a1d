/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Operations: a queue for each attachment, one running at a time. An
 * operation is a chain of steps, each of which starts one thing (a request to
 * sentinel-dp, a batch of rows, a sync of the state file) and names the step
 * that goes on with its outcome. It ends with cp_attach_op_finish(). */

#include "controld/attach/item.h"
#include "controld/attach/rows.h"
#include "controld/policy/compile.h"

/* r: 0 or -errno of what was started. */
typedef void (*cp_attach_op_step)(struct cp_attach_op *op, int r);

/* What of an attachment an operation of the local API is about. */
enum cp_attach_op_scope {
	CP_ATTACH_OP_SCOPE_WHOLE, /* to attach, to detach */
	CP_ATTACH_OP_SCOPE_POLICY,
	CP_ATTACH_OP_SCOPE_RULES, /* those of the caller's own */
};

struct cp_attach_op {
	TAILQ_ENTRY(cp_attach_op) entry;
	struct cp_attach *manager;
	struct cp_attach_item *item;
	char id[CP_ATTACH_ID_CHARS + 1]; /* to be looked up, or "" */
	void (*run)(struct cp_attach_op *op);
	cp_attach_op_step step;
	cp_attach_op_step staged; /* goes on after stage.c */
	cp_attach_done done; /* NULL: nobody waits */
	void *userdata;
	struct cp_attach_result result;

	enum cp_attach_op_scope scope;
	uint64_t revision; /* of the control plane's change; 0: a local one */
	uint64_t previous_revision;
	enum sn_mode previous_held_mode;
	void (*guarded)(struct cp_attach_op *op); /* the run of a remote one */
	bool releases; /* the item is no longer held */
	bool accepts_none; /* a removal that finds nothing is one */

	bool is_internal; /* runs also before the manager is ready */
	bool is_settling; /* reconciling waits for it */
	bool dry_run;
	bool drops_item; /* the attachment ends with the operation */
	bool has_begun; /* staging: something was sent */
	bool was_attached; /* by this operation, to be undone */
	int cause; /* first failure, kept while it is undone */

	struct cp_policy *policy; /* to become the running one */
	struct cp_policy *previous; /* the one that it replaced */
	struct sn_policy previous_block;
	uint32_t previous_generation;
	struct cp_policy_rule rule;
	/* The rules of its prefix before the change, oldest first. */
	struct cp_policy_rule before[SN_ITEMS_MAX];
	uint8_t n_before;
	enum sn_mode mode;
	bool audit;

	/* Names. */
	struct cp_attach_domains_change *domains; /* NULL: not about them */
	enum cp_dns_mode dns_mode;
	struct cp_dns_learnt *learnt; /* of the generation being staged */
	struct cp_dns_learnt *previous_learnt; /* what was replaced */
	struct cp_attach_rows_list list; /* addresses to be gone through */
	struct cp_attach_rows_list touched; /* learnt while staging */
	size_t n_rounds; /* of writing these */
	bool narrows;
	bool turns_names; /* a rule that closes or opens what names hold */
	bool drops_learnt;
	cp_attach_op_step written; /* goes on when entries are written */

	/* Where staging or a walk over prefixes is. */
	struct sn_policy block;
	size_t cursor;
	enum sn_table table;
	struct cp_policy_cidr *lapsed;
	size_t n_lapsed;
	size_t n_lapsed_rules; /* those of sn_rules, which come first */

	enum sn_ipc_type asked;
	struct sn_ipc_attach_answer attached; /* answer to ATTACH */
};

/* id NULL: the caller sets op->item. -ENOMEM, -ENOBUFS. */
int cp_attach_op_new(struct cp_attach_op **ret, struct cp_attach *manager,
		     const char *id, void (*run)(struct cp_attach_op *op),
		     cp_attach_done done, void *userdata);
struct cp_attach_op *cp_attach_op_free(struct cp_attach_op *op);
SN_DEFINE_CLEANUP(struct cp_attach_op, cp_attach_op_free)

/* Takes the operation; it starts from the loop. */
void cp_attach_op_submit(struct cp_attach_op *op);
/* An internal one, without a waiter; nothing happens when memory is short.
 * first: before those that wait already. */
struct cp_attach_op *cp_attach_op_enqueue(struct cp_attach_item *item,
					  void (*run)(struct cp_attach_op *op),
					  bool first);
/* Starts what can start. */
void cp_attach_op_kick(struct cp_attach *manager);
/* Answers and frees what waits for the attachment. */
void cp_attach_op_cancel(struct cp_attach_item *item);
/* The link broke: changes that wait are answered, since they were asked for
 * before kernel and policies are compared again. */
void cp_attach_op_refuse_waiting(struct cp_attach *manager);
/* Answers and frees it; with drops_item also the attachment. */
void cp_attach_op_finish(struct cp_attach_op *op);

/* Sets code and text of the result. */
void cp_attach_op_fail(struct cp_attach_op *op, enum cp_attach_code code,
		       const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same from an error of the link or of sentinel-dp. what: "the policy". */
void cp_attach_op_fail_errno(struct cp_attach_op *op, int r, const char *what);
/* -ENOTCONN, -ECONNRESET: the link. */
bool cp_attach_op_is_link_error(int r);

/* Start one thing. step is called with its outcome: from the loop, or at once
 * when it could not be started. */
void cp_attach_op_request(struct cp_attach_op *op, enum sn_ipc_type type,
			  const void *body, int fd, cp_attach_op_step step);
/* rows: from malloc(3), taken. */
void cp_attach_op_rows(struct cp_attach_op *op, enum sn_ipc_type type,
		       const struct sn_ipc_table *body, void *rows,
		       uint32_t n_rows, cp_attach_op_step step);
void cp_attach_op_sync(struct cp_attach_op *op, cp_attach_op_step step);
void cp_attach_op_sweep(struct cp_attach_op *op, enum sn_table table,
			uint32_t generation, cp_attach_op_step step);
