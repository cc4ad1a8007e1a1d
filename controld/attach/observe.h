/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who wants to know what happens to attachments. */

#include <sys/queue.h>

#include "controld/attach/attach.h"

/* Embedded in what observes. Callbacks may be NULL, come from the loop, and
 * must not end or begin operations other than by submitting them. */
struct cp_attach_observer {
	LIST_ENTRY(cp_attach_observer) link;
	void *userdata;
	/* A new one is in the kernel and in the state file. */
	void (*attached)(void *userdata, const struct cp_attach_item *item);
	/* An operation of an API has changed its policy. */
	void (*changed)(void *userdata, const struct cp_attach_item *item);
	/* It has ended; is_gone: because its target did. */
	void (*ended)(void *userdata, const struct cp_attach_item *item,
		      bool is_gone);
	/* The kernel reports a blocked packet or call. */
	void (*blocked)(void *userdata, const struct cp_attach_item *item,
			const struct sn_event *event);
	/* The resolver has denied a name (or would have, without audit). */
	void (*denied)(void *userdata, const struct cp_attach_item *item,
		       const struct cp_dns_name *name, uint16_t type,
		       bool audited);
	/* The resolver has answered a name with addresses that are not learnt:
	 * under audit, or where names open nothing. */
	void (*answered)(void *userdata, const struct cp_attach_item *item,
			 const struct cp_dns_name *name,
			 const struct cp_dns_address *addresses, size_t n);
};

/* The observer stays where it is until it is removed. */
void cp_attach_observe_add(struct cp_attach *manager,
			   struct cp_attach_observer *observer);
void cp_attach_observe_remove(struct cp_attach_observer *observer);

/* For controld/attach and the resolver: pass on what has happened. */
void cp_attach_observe_attached(const struct cp_attach_item *item);
void cp_attach_observe_changed(const struct cp_attach_item *item);
void cp_attach_observe_ended(const struct cp_attach_item *item);
void cp_attach_observe_blocked(const struct cp_attach_item *item,
			       const struct sn_event *event);
void cp_attach_observe_denied(const struct cp_attach_item *item,
			      const struct cp_dns_name *name, uint16_t type,
			      bool audited);
void cp_attach_observe_answered(const struct cp_attach_item *item,
				const struct cp_dns_name *name,
				const struct cp_dns_address *addresses,
				size_t n);
