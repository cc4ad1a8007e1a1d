/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/guest.h"

#include "controld/attach/item.h"

void cp_attach_guest_put(struct cp_attach *manager,
			 const struct cp_attach_guest *guest)
{
	manager->guest = guest;
	manager->is_guest_up = false;
}

void cp_attach_guest_up(struct cp_attach *manager,
			const struct cp_link_answer *fds)
{
	if (!manager->guest || manager->is_closing)
		return;
	manager->is_guest_up = true;
	manager->guest->up(manager->guest->userdata, manager->link,
			   &manager->hello, fds);
}

void cp_attach_guest_down(struct cp_attach *manager)
{
	if (!manager->guest || !manager->is_guest_up)
		return;
	manager->is_guest_up = false;
	manager->guest->down(manager->guest->userdata);
}
