/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A feature with a target and tables of its own uses the manager's link, of
 * which there is one: it is told when the link can be used and when it cannot. */

#include "controld/attach/attach.h"
#include "controld/link/link.h"

struct cp_attach_guest {
	void *userdata;
	/* fds: the answer of FDS, for this call only. Also comes again for a
	 * link that did not break: what the guest knew of sentinel-dp may be
	 * old. */
	void (*up)(void *userdata, struct cp_link *link,
		   const struct sn_ipc_hello_answer *hello,
		   const struct cp_link_answer *fds);
	void (*down)(void *userdata);
};

/* Before the loop runs, or NULL to end; guest is kept as a pointer. */
void cp_attach_guest_put(struct cp_attach *manager,
			 const struct cp_attach_guest *guest);

/* For the manager. */
void cp_attach_guest_up(struct cp_attach *manager,
			const struct cp_link_answer *fds);
void cp_attach_guest_down(struct cp_attach *manager);
