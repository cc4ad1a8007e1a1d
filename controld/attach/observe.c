/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/attach/observe.h"

#include "controld/attach/item.h"

#define TELL(item, callback, ...)                                            \
	do {                                                                 \
		const struct cp_attach_observer *observer_;                  \
                                                                             \
		LIST_FOREACH(observer_, &(item)->manager->observers, link) { \
			if (observer_->callback)                             \
				observer_->callback(observer_->userdata,     \
						    __VA_ARGS__);            \
		}                                                            \
	} while (0)

void cp_attach_observe_add(struct cp_attach *manager,
			   struct cp_attach_observer *observer)
{
	LIST_INSERT_HEAD(&manager->observers, observer, link);
}

void cp_attach_observe_remove(struct cp_attach_observer *observer)
{
	LIST_REMOVE(observer, link);
}

void cp_attach_observe_attached(const struct cp_attach_item *item)
{
	TELL(item, attached, item);
}

void cp_attach_observe_changed(const struct cp_attach_item *item)
{
	TELL(item, changed, item);
}

void cp_attach_observe_ended(const struct cp_attach_item *item)
{
	TELL(item, ended, item, item->is_gone);
}

void cp_attach_observe_blocked(const struct cp_attach_item *item,
			       const struct sn_event *event)
{
	TELL(item, blocked, item, event);
}

void cp_attach_observe_denied(const struct cp_attach_item *item,
			      const struct cp_dns_name *name, uint16_t type,
			      bool audited)
{
	TELL(item, denied, item, name, type, audited);
}

void cp_attach_observe_answered(const struct cp_attach_item *item,
				const struct cp_dns_name *name,
				const struct cp_dns_address *addresses,
				size_t n)
{
	TELL(item, answered, item, name, addresses, n);
}
