/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Policy from afar, over the attachment manager.
 *
 * Every remote change has a revision. One that is not above the item's is
 * answered as done without being looked at; one that succeeds becomes the
 * item's, and is saved with what it changed, so that a crash cannot part them.
 *
 * A new attachment is held: its mode and audit are put aside and everything is
 * dropped until the control plane states a mode, or the local policy is
 * released. Whoever attached it gets the answer only then. In a daemon that was
 * started without a control plane the local API states it. */

#include "controld/attach/attach.h"

struct cp_attach_op;

/* From now on new attachments are held, and of those that the control plane
 * has spoken for the local API may not change the settings; local_rules: it
 * may add and remove its own rules, and these outlive updates. */
void cp_attach_remote_start(struct cp_attach *manager, bool local_rules);

enum cp_attach_remote_kind {
	CP_ATTACH_REMOTE_ACK, /* nothing but the revision */
	CP_ATTACH_REMOTE_UPDATE, /* policy */
	CP_ATTACH_REMOTE_MODE, /* mode, audit */
	CP_ATTACH_REMOTE_ADD_RULE, /* rule */
	CP_ATTACH_REMOTE_REMOVE_RULES, /* rule; also good if there are none */
	CP_ATTACH_REMOTE_ADD_DOMAIN, /* domain */
	CP_ATTACH_REMOTE_REMOVE_DOMAINS, /* domain; also good if none */
	CP_ATTACH_REMOTE_DNS_MODE, /* dns_mode */
	CP_ATTACH_REMOTE_DETACH,
};

struct cp_attach_remote_change {
	enum cp_attach_remote_kind kind;
	char id[CP_ATTACH_ID_CHARS + 1];
	uint64_t revision; /* above 0 */
	/* The control plane's rules and the settings; taken. The rules of
	 * others are added when it is applied. */
	struct cp_policy *policy;
	enum sn_mode mode;
	bool audit;
	struct cp_policy_rule rule; /* of owner REMOTE */
	struct cp_dns_rule domain; /* of owner REMOTE */
	enum cp_dns_mode dns_mode;
};

/* As the calls of attach.h; the policy is taken also on failure. */
int cp_attach_remote_submit(struct cp_attach *manager,
			    struct cp_attach_remote_change *change,
			    cp_attach_done done, void *userdata);

/* Puts the local policy of a held attachment into force; nothing happens to
 * one that is not held. */
int cp_attach_remote_release(struct cp_attach *manager, const char *id,
			     cp_attach_done done, void *userdata);

/* Answers whoever waits for a held attachment, which stays as it is. code
 * other than OK: with this text. */
void cp_attach_remote_answer(struct cp_attach *manager, const char *id,
			     enum cp_attach_code code, const char *text);

uint64_t cp_attach_remote_revision(const struct cp_attach_item *item);
bool cp_attach_remote_is_held(const struct cp_attach_item *item);
size_t cp_attach_remote_count_held(const struct cp_attach *manager);

/* For controld/attach. */

/* Puts the settings of a new item aside, if there is a control plane. */
void cp_attach_remote_hold(struct cp_attach_item *item);
/* The item of the operation has been attached: keeps the answer back if it is
 * held. */
void cp_attach_remote_attached(struct cp_attach_op *op);
/* Why the local API may not do this; false: it may. Sets the result. */
bool cp_attach_remote_refuse(struct cp_attach_op *op);
/* Makes the operation's revision the item's, to be saved with its change; the
 * other call takes that back. */
void cp_attach_remote_stamp(struct cp_attach_op *op);
void cp_attach_remote_unstamp(struct cp_attach_op *op);
/* The operation is about to be answered. True: not yet, its revision has to be
 * saved first. */
bool cp_attach_remote_finish(struct cp_attach_op *op);
/* The item ends. */
void cp_attach_remote_ended(struct cp_attach_item *item);
