/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Learnt addresses on their way into the kernel. They are no operations: those
 * of one attachment are written as they come, beside whatever operation runs,
 * since every entry is composed anew from what is known when it is sent, and
 * sentinel-dp takes requests in their order. They wait where that would not do:
 * while a single change of the attachment is on its way, which may have to be
 * taken back, and between the last row of a new generation and the answer to
 * its FLIP.
 *
 * While another generation is being written (or could still be gone back to)
 * what is learnt goes into its set too, and its entry is written before it
 * becomes current: see struct cp_attach_learn_shadow in item.h. */

#include "controld/attach/dns.h"
#include "controld/attach/item.h"

enum {
	/* Under way, of all attachments and of one: few enough for the link's
	 * queue, so that nobody's flood keeps others waiting. */
	CP_ATTACH_LEARN_MAX = 1536,
	CP_ATTACH_LEARN_ITEM_MAX = 256,
	CP_ATTACH_LEARN_ADDRESSES_MAX = 256, /* one record */
};

/* As cp_attach_dns_learn(). */
int cp_attach_learn_submit(struct cp_attach *manager,
			   const struct cp_attach_dns_learn *request,
			   cp_attach_dns_learn_fn fn, void *userdata);

/* Those of the attachment wait from now on; those that wait go on with the next
 * step. Holding twice is holding once. */
void cp_attach_learn_hold(struct cp_attach_item *item);
void cp_attach_learn_release(struct cp_attach_item *item);

/* The item ends: its learns end UNAVAILABLE. */
void cp_attach_learn_cancel(struct cp_attach_item *item);
/* The link broke or the manager closes: the same for those that wait. */
void cp_attach_learn_refuse(struct cp_attach *manager);

/* Goes on with those that may, answers those that have ended. */
void cp_attach_learn_step(struct cp_attach *manager);
